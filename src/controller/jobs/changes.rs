//! What the watch tells of jobs: what is awake is kept whole and looked at, of what rests a record is kept, and what went
//! is forgotten.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::ahead::new_ones;
use crate::cache::{self, CachedJob, key};
use crate::controller::accounts::tally;
use crate::controller::context::Context;
use crate::controller::context::accounts::Uses;
use crate::controller::context::table::{Jobs, Keep, Waking};
use crate::controller::watch::{self, Heard};
use crate::controller::write::orphan_unrecorded;
use crate::status::answered;

/// How many objects are read at once because they wake.
const WAKES_AT_ONCE: usize = 16;
/// How long the list of jobs waits for that of accounts.
const ACCOUNTS_WITHIN: Duration = Duration::from_secs(5);
/// When one is read again that could not be.
const READS_AGAIN: Duration = Duration::from_secs(5);

/// What is told.
enum Told {
    Watched(Event<CachedJob>),
    /// An object that rested, as it is now.
    Woken(CachedJob),
}

/// The jobs with which something is to be done, each time one changes or wakes.
pub(super) fn changes(
    context: &Arc<Context>,
    mut writer: Writer<CachedJob>,
    woken: mpsc::UnboundedReceiver<Waking>,
) -> impl Stream<Item = Result<CachedJob, watcher::Error>> + Send + use<> {
    let hears = Arc::clone(context);
    let told = move |heard: Heard<'_>| {
        watch::warn("ScrapeJob", &heard);
        match heard {
            Heard::Listed(namespace) => {
                if hears.jobs.hear(namespace) {
                    hears.wake_listed(namespace);
                    tally::listed(&hears);
                }
            }
            Heard::Failed(Some(namespace), error) if is_refused(error) => {
                hears.jobs.hear_refusal(Some(namespace), hears.clock.instant());
            }
            Heard::Failed(namespace, _) => hears.jobs.hear_nothing(namespace),
        }
    };
    let held = Arc::clone(&context.jobs);
    let watched = watch::watch(context.apis(), held, &context.replies, told, new_ones(context));
    let accounts = Arc::clone(context);
    // Nothing is done with a job before, and the pages of two lists wait for each other.
    let begun = async move {
        drop(tokio::time::timeout(ACCOUNTS_WITHIN, accounts.known.synced()).await);
        watched
    };
    let watched = stream::once(begun).flatten();
    let of = Arc::clone(context);
    let woken = UnboundedReceiverStream::new(woken)
        .map(move |waking| read(Arc::clone(&of), waking))
        .buffer_unordered(WAKES_AT_ONCE)
        .filter_map(|job| async { job.map(|job| Ok(Told::Woken(job))) });
    let context = Arc::clone(context);
    stream::select(watched.map(|event| event.map(Told::Watched)), woken).filter_map(move |told| {
        let job = told.map(|told| take(&context, &mut writer, told)).transpose();
        async { job }
    })
}

/// Whether the API server says that a list is not for us, or that there is none.
fn is_refused(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.is_forbidden() || status.is_not_found())
}

/// Reads an object that rests; nothing where it is gone, which the watch tells.
async fn read(context: Arc<Context>, waking: Waking) -> Option<CachedJob> {
    let known = context.jobs.known(&waking.namespace, &waking.name)?;
    let jobs: Api<CachedJob> = context.jobs_in(&waking.namespace);
    let _room = context.replies.room(known.bytes).await;
    match answered(jobs.get_opt(&waking.name)).await {
        Ok(live) => live,
        Err(error) => {
            tracing::info!(job = format!("{}/{}", waking.namespace, waking.name), %error, "reading it again");
            context.jobs.wake_at(&waking, context.clock.instant() + READS_AGAIN);
            None
        }
    }
}

/// Keeps what is told; an object with which something is to be done is one to be looked at.
fn take(context: &Arc<Context>, writer: &mut Writer<CachedJob>, told: Told) -> Option<CachedJob> {
    match told {
        Told::Watched(Event::Init) => {
            context.jobs.clear();
            writer.apply_watcher_event(&Event::Init);
            None
        }
        Told::Watched(Event::InitDone) => {
            writer.apply_watcher_event(&Event::InitDone);
            None
        }
        Told::Watched(Event::InitApply(job) | Event::Apply(job)) => {
            let uses = Uses::of(&job);
            let kept = keep(context, writer, job);
            tally::changed(context, context.known.resolve(uses));
            kept
        }
        Told::Watched(Event::Delete(job)) => {
            went(context, &job);
            writer.apply_watcher_event(&Event::Delete(job));
            None
        }
        Told::Woken(job) => {
            let known = context.jobs.known(&job.namespace().unwrap_or_default(), &job.name_any());
            if known.is_some_and(|known| known.wakes_as(job.uid().as_deref(), version(&job))) {
                keep(context, writer, job)
            } else {
                None
            }
        }
    }
}

/// Keeps an object that is there; says whether it is to be looked at.
fn keep(context: &Arc<Context>, writer: &mut Writer<CachedJob>, job: CachedJob) -> Option<CachedJob> {
    let Some(rest) = rests(context, &job) else {
        context.jobs.put(&job, Keep::Awake);
        writer.apply_watcher_event(&Event::Apply(job.clone()));
        let echo = version(&job)
            .is_some_and(|version| context.memories.is_settled(&job.uid().unwrap_or_default(), version));
        return (!echo && !context.waits_for_list(&job)).then_some(job);
    };
    let until = rest.until.map(|left| context.clock.instant() + left);
    let before = context.jobs.put(&job, Keep::Resting(until));
    if before.is_some_and(|before| before.awake) {
        settle_down(context, &key(&job), &job.uid().unwrap_or_default());
        writer.apply_watcher_event(&Event::Delete(job));
    }
    None
}

/// How an object rests, if it does. One for which a job was accepted that is not recorded has to be told of it.
fn rests(context: &Context, job: &CachedJob) -> Option<cache::Rest> {
    if context.unrecorded.get(&job.uid().unwrap_or_default()).is_some() {
        return None;
    }
    cache::rest(job, context.clock.now())
}

fn version(job: &CachedJob) -> Option<u64> {
    job.resource_version().and_then(|version| version.parse().ok())
}

/// What there is left to do after a look at an object that is awake no longer: what was learnt of it since would stay for
/// ever, and its job would be followed.
pub(super) fn after_a_look(context: &Arc<Context>, job: &CachedJob) {
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    let uid = job.uid().unwrap_or_default();
    let Some(known) = context.jobs.known(&namespace, &name).filter(|known| known.uid == uid) else {
        return forget(context, &key(job), &uid, Uses::of(job));
    };
    if !known.awake {
        settle_down(context, &key(job), &uid);
        if context.unrecorded.get(&uid).is_some() {
            context.jobs.wake(Waking { namespace, name });
        }
    }
}

/// An object rests: nothing is to be done with it, whatever this process remembers of it.
fn settle_down(context: &Context, key: &str, uid: &str) {
    if let Some(line) = context.memories.forget(uid).line {
        line.gate.forget(key);
    }
    context.collecting.forget(uid);
    for session in context.accounts.sessions() {
        session.polling(|poller| poller.unfollow(key));
    }
}

/// An object is gone.
fn went(context: &Arc<Context>, job: &CachedJob) {
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    let known = context.jobs.take(&namespace, &name);
    let uses = known.map_or_else(|| Uses::of(job), |known| known.uses);
    forget(context, &key(job), &job.uid().unwrap_or_default(), uses);
}

/// Forgets what this process holds for an object that is gone.
fn forget(context: &Arc<Context>, key: &str, uid: &str, uses: Uses) {
    settle_down(context, key, uid);
    context.paces.forget(uid);
    orphan_unrecorded(context, uid);
    let account = context.known.resolve(uses);
    if context.accounts.keeps(&account) {
        context.let_go_unused(&account);
    }
    tally::changed(context, account);
}

impl watch::Holds<CachedJob> for Arc<Jobs> {
    fn version(&self, key: &ObjectRef<CachedJob>) -> Option<(String, String)> {
        let known = self.known(key.namespace.as_deref().unwrap_or_default(), &key.name)?;
        Some((known.uid, known.version.map(|version| version.to_string()).unwrap_or_default()))
    }

    fn remains(&self, key: &ObjectRef<CachedJob>) -> Option<CachedJob> {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        Some(CachedJob::remains(namespace, &key.name, self.known(namespace, &key.name)?.uid))
    }

    fn unlisted(
        &self,
        namespace: Option<&str>,
        listed: &HashSet<ObjectRef<CachedJob>>,
    ) -> Vec<ObjectRef<CachedJob>> {
        let names = self.as_ref().unlisted(namespace, listed);
        names.into_iter().map(|(namespace, name)| ObjectRef::new(&name).within(&namespace)).collect()
    }
}
