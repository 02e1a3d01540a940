//! The pipeline of one job, and the controller that runs it.

mod pause;

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use self::pause::{hope, rest_after, rests, retry};
use super::accounts::{stand_back, tally};
use super::act::{Acted, act, nonce};
use super::context::Context;
use super::context::schema::Kind;
use super::drive::drive;
use super::observe::{Seen, observe};
use super::watch;
use super::write::{self, PROVEN, Part, is_refusal, is_refused_for_good, status_of, write};
use crate::api::{NotAName, Reason, ScrapeJob, State};
use crate::cache::{CachedJob, is_at_rest, key, misnamed};
use crate::decide::{self, Again, LookUp, Observed, Outcome, Plan, Verdict};
use crate::health;
use crate::poll::Followed;
use crate::status::{WriteError, answered};

/// How long until a job is looked at again whose account is about to be opened; it is told when it is.
const OPENS_WITHIN: Duration = Duration::from_secs(5);

/// When an object is looked at again while the API server would lose fields; it is told when that is mended.
const STANDS_STILL: Duration = Duration::from_secs(60);
/// The same of one that is deleted, whose bound may pass meanwhile.
const LOOKS_AT_END: Duration = Duration::from_secs(5);

/// Runs until the process stops: every change of a job, and every key that arrives on `keys`, is looked at.
pub async fn run(context: Arc<Context>, writer: Writer<CachedJob>, keys: mpsc::UnboundedReceiver<String>) {
    let watched = watched(&context, writer);
    let told = UnboundedReceiverStream::new(keys).filter_map(|key| async move {
        let (namespace, name) = key.split_once('/')?;
        Some(ObjectRef::<CachedJob>::new(name).within(namespace))
    });
    // Each waits for its place by itself, so that they go round by namespace.
    let controller = drive(&context, (watched, context.jobs.clone()), (told, 0), reconcile, on_error);
    tokio::select! {
        // In this order, so that a simulation can be repeated.
        biased;
        () = controller => {}
        () = context.keep_proving() => {}
    }
}

/// The jobs as they change, kept in the cache.
fn watched(
    context: &Arc<Context>,
    writer: Writer<CachedJob>,
) -> impl futures::Stream<Item = Result<CachedJob, watcher::Error>> + Send + use<> {
    let watched = watch::watch_jobs(context.apis(), context.jobs.clone(), &context.replies, |heard| {
        watch::warn("ScrapeJob", &heard);
    });
    let context = Arc::clone(context);
    let noted = watched.reflect(writer).inspect_ok(move |event| match event {
        watcher::Event::Delete(job) => forget(&context, job),
        watcher::Event::Apply(job) => {
            tally::changed(&context, context.account_of(job));
        }
        watcher::Event::Init | watcher::Event::InitApply(_) | watcher::Event::InitDone => {}
    });
    noted.touched_objects()
}

/// Forgets what this process holds for an object that is gone.
fn forget(context: &Arc<Context>, job: &CachedJob) {
    let key = key(job);
    let uid = job.uid().unwrap_or_default();
    if let Some(line) = context.memories.forget(&uid).line {
        line.gate.forget(&key);
    }
    write::gone(context, &uid);
    for session in context.accounts.sessions() {
        session.polling(|poller| poller.unfollow(&key));
    }
    let account = context.account_of(job);
    if context.accounts.keeps(&account) && context.jobs_of(&account).is_empty() {
        context.accounts.let_go(&account);
    }
    tally::changed(context, account);
}

/// Looks at one object. One that was seen to go meanwhile is forgotten once more: what was learnt of it since would stay
/// for ever, and its job would be followed.
async fn reconcile(cached: Arc<CachedJob>, context: Arc<Context>) -> Result<Action, WriteError> {
    let place = context.places.take(&cached.namespace().unwrap_or_default()).await;
    if context.stopping.borrow().is_some() {
        // Who waited for a place until now has not begun.
        return Ok(Action::await_change());
    }
    // It may have changed while it waited.
    let now = context.jobs.get(&ObjectRef::from_obj(&*cached)).filter(|now| now.uid() == cached.uid());
    let cached = now.unwrap_or(cached);
    let what = || format!("ScrapeJob {}", key(&cached));
    let looked = Box::pin(health::stage(&context.health, what, look_at(&cached, &context))).await;
    drop(place);
    if looked.is_err() {
        context.memories.set(&cached.uid().unwrap_or_default(), |remembered| {
            remembered.failures = remembered.failures.saturating_add(1);
        });
    }
    let known = context.jobs.get(&ObjectRef::from_obj(&*cached));
    if known.is_none_or(|known| known.uid() != cached.uid()) {
        forget(&context, &cached);
    }
    looked
}

/// Looks at one object: each line is a stage.
async fn look_at(cached: &CachedJob, context: &Arc<Context>) -> Result<Action, WriteError> {
    let begun = context.clock.instant();
    let Some(mut job) = fresh(context, cached).await? else { return Ok(Action::await_change()) };
    let uid = job.uid().unwrap_or_default();
    if let Some(error) = misnamed(&job) {
        return Ok(leave(context, &job, &uid, &error).await);
    }
    if let Some(action) = write::again(context, &mut job).await {
        return Ok(action);
    }
    if !is_at_rest(&job)
        && let Some(action) = stand_back(context, &job).await?
    {
        return Ok(action);
    }
    // Whether anything may be written at all.
    let writable = match prove(context, &job).await {
        Err(error) if error.not_kept().is_none() => return Err(error),
        // Of an object that goes nothing is left to be lost.
        Err(_) if job.metadata.deletion_timestamp.is_none() => {
            context.tell_of_schema(&job).await;
            return Ok(Action::requeue(STANDS_STILL));
        }
        proven => proven.is_ok(),
    };
    tell_faults(context, &job);
    // IO, reads only
    let Some(seen) = observe(context, &job, &context.memories.get(&uid), nonce()).await? else {
        return Ok(Action::requeue(OPENS_WITHIN));
    };
    // pure
    let plan = decide::next(&seen.observed);
    if !writable && !goes_on(&plan, &seen.observed) {
        return Ok(Action::requeue(LOOKS_AT_END));
    }
    // What failed is not tried earlier because something else is new.
    if let Some(left) = rests(context, &seen, &plan) {
        return Ok(Action::requeue(left));
    }
    // What is over needs nobody, until it does.
    if is_at_rest(&job)
        && writes(context, &job, &seen, &plan)
        && let Some(action) = stand_back(context, &job).await?
    {
        return Ok(action);
    }
    // What comes of a submit may stand nowhere but here, until it is written.
    let _unwritten = matches!(plan, Plan::Submit(_)).then(|| context.health.unwritten());
    // IO, at most one effect
    let Acted { outcome, job: left } = act(context, &job, &seen, &plan).await;
    // pure
    let verdict = decide::settle(&seen.observed, &plan, &outcome);
    // IO, only where something changed
    let current = left.as_ref().unwrap_or(&job);
    // What names a job that nothing else does is told before anything is written that forgets it.
    let (strays, news): (Vec<_>, Vec<_>) =
        verdict.events.iter().cloned().partition(|event| event.reason == Reason::Orphaned);
    let told = context.publish(&job.object_ref(&()), &strays).await;
    let written = save(context, current, (&verdict, &outcome), writable).await;
    remember(context, &uid, &verdict, &outcome, written.as_ref().ok().or(left.as_ref()));
    let again = match &written {
        Ok(_) => verdict.again,
        // What is known stays so while nothing can be written.
        Err(_) if !writable => verdict.again,
        Err(error) => {
            tracing::info!(job = key(&job), %error, "a status was not written; looking again");
            Again::Live
        }
    };
    if written.is_ok() {
        follow(&seen, &job, &verdict);
        let again = if told { [].as_slice() } else { strays.as_slice() };
        context.publish(&job.object_ref(&()), &[again, &news].concat()).await;
    }
    let failures = context.memories.set(&uid, |remembered| {
        remembered.rest =
            rest_after(&outcome, again).map(|rest| (hope(&seen), context.clock.instant() + rest));
        remembered.live = again == Again::Live;
        let well = written.is_ok() && outcome != Outcome::Lost;
        remembered.failures = if well { 0 } else { remembered.failures.saturating_add(1) };
        remembered.failures
    });
    let result = match &written {
        Ok(after) if after.resource_version() != current.resource_version() => "written",
        Ok(_) => "unchanged",
        Err(_) => "retried",
    };
    context.metrics.reconciled("ScrapeJob", result, begun.elapsed());
    Ok(match (again, seen.wish_in) {
        (Again::Live, _) => Action::requeue(retry(context, &uid, failures)),
        (Again::After(pause), wish_in) => {
            Action::requeue(wish_in.map_or(pause, |wish_in| pause.min(wish_in)))
        }
        (Again::OnChange, Some(wish_in)) => Action::requeue(wish_in),
        (Again::OnChange, None) => Action::await_change(),
    })
}

/// Leaves such a job alone: the schema refuses every write of it, so that an event and a metric say it.
async fn leave(context: &Context, job: &ScrapeJob, uid: &str, error: &NotAName) -> Action {
    if !context.memories.set(uid, |remembered| std::mem::replace(&mut remembered.misnamed, true)) {
        let note = format!("spec.accountRef.name: {error}; create another ScrapeJob");
        let event = decide::Event { warning: true, reason: Reason::AccountNotFound, note };
        context.publish(&job.object_ref(&()), &[event]).await;
    }
    Action::await_change()
}

/// Whether this comes to more than a look.
fn writes(context: &Context, job: &CachedJob, seen: &Seen, plan: &Plan) -> bool {
    if !matches!(plan, Plan::Rest(_) | Plan::Leave) {
        return true;
    }
    let verdict = decide::settle(&seen.observed, plan, &Outcome::Done);
    let recorded = job.status.clone().unwrap_or_default();
    !verdict.events.is_empty() || status_of(context, job, &recorded, &verdict).is_some()
}

async fn prove(context: &Context, job: &ScrapeJob) -> Result<(), WriteError> {
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    context.prove(Kind::Job, (&namespace, &name), PROVEN).await
}

/// Whether this goes on for an object that is deleted while nothing may be written: what ends its job, and letting go of it.
/// What its record would tell may be read again before its bound has passed, so that nothing is given up until then.
fn goes_on(plan: &Plan, o: &Observed) -> bool {
    let bound = o.job.deleted_at.is_none_or(|begun| o.end_waits(begun).is_zero());
    match plan {
        Plan::Rest(_)
        | Plan::Cancel
        | Plan::Confirm
        | Plan::LookUp(LookUp::ToRelease)
        | Plan::Release(None) => true,
        Plan::Release(Some(_)) => bound || o.job.marks.force_orphan,
        Plan::Leave
        | Plan::LookUp(LookUp::ToHold | LookUp::ToAdopt)
        | Plan::Submit(_)
        | Plan::Adopt(_)
        | Plan::Look
        | Plan::Detail
        | Plan::Collect
        | Plan::Protect(_)
        | Plan::Latch(_)
        | Plan::Abandon(_)
        | Plan::Begin(_)
        | Plan::Expire => false,
    }
}

/// Writes what is true now. Of an object that goes it is remembered where it cannot be written, or a cancel that was
/// confirmed would be asked for again and again.
async fn save(
    context: &Context,
    job: &CachedJob,
    (verdict, outcome): (&Verdict, &Outcome),
    writable: bool,
) -> Result<CachedJob, WriteError> {
    let error = if writable {
        match write(context, job, verdict, outcome).await {
            Err(error) => error,
            written => return written,
        }
    } else {
        WriteError::UnknownFields(Vec::new())
    };
    if writable {
        is_refused_for_good(context, job, (Part::Status, &error)).await;
    }
    if job.metadata.deletion_timestamp.is_some() && is_refusal(&error) {
        let recorded = job.status.clone().unwrap_or_default();
        let unsaved = status_of(context, job, &recorded, verdict).map(Box::new);
        context.memories.set(&job.uid().unwrap_or_default(), |remembered| {
            remembered.unsaved = unsaved.or(remembered.unsaved.take());
        });
    }
    Err(error)
}

/// The object to decide on: from the cache, or live where the cache is known to be behind our own last write.
async fn fresh(context: &Context, cached: &CachedJob) -> Result<Option<CachedJob>, WriteError> {
    let (namespace, name) = (cached.namespace().unwrap_or_default(), cached.name_any());
    let remembered = context.memories.get(&cached.uid().unwrap_or_default());
    let version: Option<u64> = cached.resource_version().and_then(|version| version.parse().ok());
    let stale = remembered.written.is_some_and(|written| version.is_none_or(|version| version < written));
    let doubted = remembered.doubted.is_some() && remembered.doubted == cached.resource_version();
    // Of what goes, what could not be written is true all the same.
    let with_unsaved = |mut job: CachedJob| {
        if let Some(unsaved) =
            remembered.unsaved.as_deref().filter(|_| job.metadata.deletion_timestamp.is_some())
        {
            job.set_status(unsaved.clone());
        }
        job
    };
    if stale || doubted || remembered.live {
        let jobs: Api<CachedJob> = context.jobs_in(&namespace);
        let _room = context.replies.room(cached.bytes).await;
        let live = answered(jobs.get_opt(&name)).await?;
        // One that was made anew comes by the watch.
        return Ok(live.filter(|live| live.uid() == cached.uid()).map(with_unsaved));
    }
    Ok(Some(with_unsaved(cached.clone())))
}

/// Says once of each object what of it cannot be read.
fn tell_faults(context: &Context, job: &CachedJob) {
    let words = Some(job.faults.words()).filter(|_| !job.faults.is_none());
    let uid = job.uid().unwrap_or_default();
    if context.memories.get(&uid).faults != words {
        if let Some(words) = &words {
            tracing::error!(
                job = key(job),
                words,
                "a ScrapeJob cannot be read whole; is the operator as new as the CRDs?"
            );
        }
        context.memories.set(&uid, |remembered| remembered.faults = words);
    }
}

fn remember(context: &Context, uid: &str, verdict: &Verdict, outcome: &Outcome, written: Option<&CachedJob>) {
    context.memories.set(uid, |remembered| {
        remembered.memory = verdict.memory.clone();
        if let Outcome::Submit(submit) = outcome {
            remembered.ended.clone_from(&submit.record.nonce);
        }
        let version =
            written.and_then(ResourceExt::resource_version).and_then(|version| version.parse().ok());
        remembered.written = remembered.written.max(version);
    });
}

/// Follows the job while it runs, and stops when it is over or held.
fn follow(seen: &Seen, job: &ScrapeJob, verdict: &Verdict) {
    let Some(session) = &seen.session else { return };
    let key = key(job);
    // A mirrored job that was not seen yet waits for its first look.
    let running =
        matches!(verdict.standing, Some(decide::Standing::Following(..) | decide::Standing::Waiting(..)))
            || (verdict.standing.is_none() && seen.observed.recorded.current_state() < State::Held);
    let id = verdict.record.job_id.clone().filter(|_| running && job.metadata.deletion_timestamp.is_none());
    session.polling(|poller| match id {
        Some(job_id) => {
            let group = job.namespace().unwrap_or_default();
            poller.follow(Followed { key, group, job_id, interval: decide::poll_interval(&seen.observed) });
        }
        None => poller.unfollow(&key),
    });
}

fn on_error(context: &Context, job: &CachedJob, error: &WriteError) -> Action {
    tracing::warn!(job = job.name_any(), %error, "looking again");
    let uid = job.uid().unwrap_or_default();
    Action::requeue(retry(context, &uid, context.memories.get(&uid).failures))
}
