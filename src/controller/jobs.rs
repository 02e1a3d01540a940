//! The pipeline of one job, and the controller that runs it.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::act::nonce;
use super::act::{Acted, act};
use super::context::tally;
use super::context::{CachedJob, Context};
use super::observe::{Seen, key, observe};
use super::watch;
use crate::api::{NotAName, ObjectName, Reason, ScrapeJob, ScrapeJobStatus, State};
use crate::decide::{self, Again, Outcome, SubmitAnswer, Verdict};
use crate::health;
use crate::kubernetes::said_in_decoding;
use crate::poll::Followed;
use crate::status::{WriteError, answered, compute, patch_status, same_meaning};

/// How many objects are worked on at once; what waits for the budget does not count.
const AT_ONCE: u16 = 64;
/// How long until a job is looked at again whose account is about to be opened; it is told when it is.
const OPENS_WITHIN: Duration = Duration::from_secs(5);

/// The first pause before a write that was lost is decided on anew; each further one in a row is twice as long.
const RETRY: Duration = Duration::from_millis(200);
/// The longest such pause: a full or absent API server is not asked more often for each object.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Runs until the process stops: every change of a job, and every key that arrives on `keys`, is looked at.
pub async fn run(context: Arc<Context>, writer: Writer<CachedJob>, keys: mpsc::UnboundedReceiver<String>) {
    let watched = watched(&context, writer);
    let told = UnboundedReceiverStream::new(keys).filter_map(|key| async move {
        let (namespace, name) = key.split_once('/')?;
        Some(ObjectRef::<CachedJob>::new(name).within(namespace))
    });
    let mut stopping = context.stopping.clone();
    let stopped = async move {
        // An error means that the sender is gone, which is a stop as well.
        let _ = stopping.wait_for(Option::is_some).await;
    };
    Controller::for_stream(watched, context.jobs.clone())
        .with_config(Config::default().concurrency(AT_ONCE))
        .reconcile_on(told)
        .graceful_shutdown_on(stopped)
        .run(reconcile, |job, error, context| on_error(&context, &job, error), Arc::clone(&context))
        .for_each(|_| async {})
        .await;
}

/// The jobs as they change, kept in the cache.
fn watched(
    context: &Arc<Context>,
    writer: Writer<CachedJob>,
) -> impl futures::Stream<Item = Result<CachedJob, watcher::Error>> + Send + use<> {
    let watched = watch::watch::<CachedJob>(context.apis(), context.jobs.clone(), |heard| {
        watch::warn("ScrapeJob", &heard);
    });
    let context = Arc::clone(context);
    let noted = watched.reflect(writer).inspect_ok(move |event| match event {
        watcher::Event::Delete(job) => forget(&context, job),
        watcher::Event::Apply(job) => {
            if let Ok(job) = &job.0 {
                tally::changed(&context, context.account_of(job));
            }
        }
        watcher::Event::Init | watcher::Event::InitApply(_) | watcher::Event::InitDone => {}
    });
    noted.touched_objects()
}

fn key_of(job: &CachedJob) -> String {
    format!("{}/{}", job.namespace().unwrap_or_default(), job.name_any())
}

/// Forgets what this process holds for an object that is gone.
fn forget(context: &Arc<Context>, job: &CachedJob) {
    let key = key_of(job);
    if let Some(line) = context.memories.forget(&job.uid().unwrap_or_default()).line {
        line.forget(&key);
    }
    for session in context.accounts.sessions() {
        session.polling(|poller| poller.unfollow(&key));
    }
    if let Ok(job) = &job.0 {
        let account = context.account_of(job);
        if context.accounts.keeps(&account) && context.jobs_of(&account).is_empty() {
            context.accounts.let_go(&account);
        }
        tally::changed(context, account);
    }
}

/// Looks at one object. One that was seen to go meanwhile is forgotten once more: what was learnt of it since would stay
/// for ever, and its job would be followed.
async fn reconcile(cached: Arc<CachedJob>, context: Arc<Context>) -> Result<Action, WriteError> {
    let what = || format!("ScrapeJob {}", key_of(&cached));
    let looked = Box::pin(health::stage(&context.health, what, look_at(&cached, &context))).await;
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
    let Some(job) = fresh(context, cached).await? else { return Ok(Action::await_change()) };
    let uid = job.uid().unwrap_or_default();
    if let Some(error) = misnamed(&job) {
        return Ok(leave(context, &job, &uid, &error).await);
    }
    // IO, reads only
    let Some(seen) = observe(context, &job, context.memories.get(&uid), nonce()).await? else {
        return Ok(Action::requeue(OPENS_WITHIN));
    };
    // pure
    let plan = decide::next(&seen.observed);
    // What comes of a submit may stand nowhere but here, until it is written.
    let _unwritten = matches!(plan, decide::Plan::Submit(_)).then(|| context.health.unwritten());
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
    let written = write(context, current, &verdict, &outcome).await;
    remember(context, &uid, &verdict, &outcome, written.as_ref().ok().or(left.as_ref()));
    let again = match &written {
        Ok(_) => verdict.again,
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
    Ok(match again {
        Again::Live => Action::requeue(retry(failures)),
        Again::After(pause) => Action::requeue(pause),
        Again::OnChange => Action::await_change(),
    })
}

/// Why nothing can be done for a job that names an account which cannot exist. It never was submitted, so that its deletion
/// is the only thing that still has to go its way.
pub(super) fn misnamed(job: &ScrapeJob) -> Option<NotAName> {
    let named = job.spec.account_ref.as_ref().filter(|_| job.metadata.deletion_timestamp.is_none())?;
    ObjectName::parse(&named.name).err()
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

/// The object to decide on: from the cache, or live where the cache is known to be behind our own last write.
async fn fresh(context: &Context, cached: &CachedJob) -> Result<Option<ScrapeJob>, WriteError> {
    let (namespace, name) = (cached.namespace().unwrap_or_default(), cached.name_any());
    let remembered = context.memories.get(&cached.uid().unwrap_or_default());
    let version: Option<u64> = cached.resource_version().and_then(|version| version.parse().ok());
    let stale = remembered.written.is_some_and(|written| version.is_none_or(|version| version < written));
    if stale || remembered.live {
        let live = answered(context.jobs_in(&namespace).get_opt(&name)).await?;
        // One that was made anew comes by the watch.
        return Ok(live.filter(|live| live.uid() == cached.uid()));
    }
    match &cached.0 {
        Ok(job) => Ok(Some(job.clone())),
        Err(error) => {
            let error = said_in_decoding(&error.error);
            tracing::error!(
                job = format!("{namespace}/{name}"),
                error,
                "a ScrapeJob cannot be decoded and is left alone"
            );
            Ok(None)
        }
    }
}

/// Writes the status where its meaning changed. An accepted job is written until it is seen: its id exists nowhere
/// else. A refusal is written again, too: were it lost, nobody could tell it from an unknown outcome.
async fn write(
    context: &Context,
    job: &ScrapeJob,
    verdict: &Verdict,
    outcome: &Outcome,
) -> Result<ScrapeJob, WriteError> {
    let submit = if let Outcome::Submit(submit) = outcome { Some(submit) } else { None };
    let sent = submit.and_then(|submit| submit.record.nonce.as_deref());
    let (accepted, refused) = match submit.map(|submit| (&submit.answer, &submit.record)) {
        Some((SubmitAnswer::Accepted(accepted), _)) => (Some(accepted.job_id.as_str()), None),
        Some((SubmitAnswer::Refused(_), record)) => (None, record.nonce.as_deref()),
        Some((SubmitAnswer::Unknown { .. }, _)) | None => (None, None),
    };
    let mut base = job.clone();
    let mut pause = Duration::from_millis(200);
    loop {
        let recorded = base.status.clone().unwrap_or_default();
        let Some(status) = status_of(context, &base, &recorded, verdict) else { return Ok(base) };
        let version = base.resource_version().unwrap_or_default();
        let jobs = context.jobs_in(&base.namespace().unwrap_or_default());
        let name = base.name_any();
        let error = match patch_status(&jobs, &name, &version, &recorded, &status).await {
            Ok(written) => return Ok(written),
            Err(error) => error,
        };
        let lasts = refused.is_some() && pause < Duration::from_secs(10);
        if accepted.is_none() && !lasts {
            return Err(error);
        }
        tracing::warn!(job = key(&base), job_id = accepted, %error, "what came of a submit is not recorded yet; trying until it is");
        health::waiting(tokio::time::sleep(pause)).await;
        pause = (pause * 2).min(Duration::from_secs(10));
        let live = match answered(jobs.get_opt(&name)).await {
            Ok(live) => live.filter(|live| live.uid() == base.uid()),
            Err(_) => continue,
        };
        let has = live.as_ref().and_then(|live| live.status.as_ref()?.job_id.as_deref());
        match (live.as_ref(), accepted) {
            (Some(live), Some(job_id)) if has == Some(job_id) => return Ok(live.clone()),
            // Who leads now has sent a request of its own: what comes of that shows whether it is the same job.
            (Some(live), Some(_))
                if has.is_none() && !context.leads() && is_another(nonce_of(live), sent) => {}
            (Some(live), Some(_)) if has.is_none() && takes(&base, live) => base = live.clone(),
            (_, Some(job_id)) => return orphaned(context, &base, job_id).await,
            (Some(live), None) if has.is_none() && takes(&base, live) && nonce_of(live) == refused => {
                base = live.clone();
            }
            (_, None) => return Err(error),
        }
    }
}

/// The nonce of the attempt that the status speaks of.
fn nonce_of(job: &ScrapeJob) -> Option<&str> {
    job.status.as_ref()?.submission.as_ref()?.nonce.as_deref()
}

/// Whether somebody else's attempt is recorded.
fn is_another(recorded: Option<&str>, sent: Option<&str>) -> bool {
    recorded.is_some_and(|recorded| sent.is_some_and(|sent| sent != recorded))
}

/// Whether the status still speaks of the run that a job was submitted for, and that run is not over: another process
/// may have ended it while the answer was under way.
fn takes(submitted: &ScrapeJob, live: &ScrapeJob) -> bool {
    let run = |job: &ScrapeJob| job.status.as_ref().map(|status| status.run().to_owned());
    run(submitted) == run(live) && !live.status.as_ref().is_some_and(|status| status.finished)
}

/// The object went, or has another job or run: somebody has to be told about ours.
async fn orphaned(context: &Context, job: &ScrapeJob, job_id: &str) -> Result<ScrapeJob, WriteError> {
    let note = format!(
        "job {job_id} was accepted for this object, which no longer takes it; cancel it at the service if it is not wanted"
    );
    tracing::warn!(job = key(job), job_id, "orphaned");
    let event = decide::Event { warning: true, reason: Reason::Orphaned, note };
    // The id stands nowhere else.
    while !context.publish(&job.object_ref(&()), std::slice::from_ref(&event)).await {}
    Err(WriteError::Lost("the object no longer takes the job".to_owned()))
}

/// The status to be written, if its meaning differs from what is recorded.
fn status_of(
    context: &Context,
    job: &ScrapeJob,
    recorded: &ScrapeJobStatus,
    verdict: &Verdict,
) -> Option<ScrapeJobStatus> {
    let generation = job.metadata.generation.unwrap_or(0);
    let ready_when = job.spec.ready_when.unwrap_or_default();
    let status = compute(verdict, recorded, ready_when, generation, context.clock.now())?;
    (!recorded.is_written() || !same_meaning(&status, recorded)).then_some(status)
}

fn remember(context: &Context, uid: &str, verdict: &Verdict, outcome: &Outcome, written: Option<&ScrapeJob>) {
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
    Action::requeue(retry(context.memories.get(&job.uid().unwrap_or_default()).failures))
}

/// The pause after so many writes or reads in a row that were not carried out.
fn retry(failures: u32) -> Duration {
    RETRY.saturating_mul(1 << failures.min(8)).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_another, misnamed, takes};
    use crate::api::ScrapeJob;

    fn job(status: &serde_json::Value) -> ScrapeJob {
        serde_json::from_value(json!({
            "apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": {"name": "acme"},
            "spec": {}, "status": status,
        }))
        .unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn an_attempt_of_somebody_else_is_one_with_another_nonce() {
        assert!(is_another(Some("theirs"), Some("ours")));
        for (recorded, sent) in [(Some("ours"), Some("ours")), (None, Some("ours")), (Some("x"), None)] {
            assert!(!is_another(recorded, sent), "{recorded:?} {sent:?}");
        }
    }

    #[test]
    fn a_job_whose_account_cannot_exist_is_left_alone_until_it_is_deleted() {
        let named = |name: &str| {
            let mut job = job(&json!({}));
            job.spec.account_ref = Some(crate::api::AccountRef { kind: None, name: name.to_owned() });
            job
        };
        assert!(misnamed(&named("team")).is_none() && misnamed(&job(&json!({}))).is_none());
        let mut odd = named("?limit=500");
        assert!(misnamed(&odd).is_some());
        odd.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert!(misnamed(&odd).is_none());
    }

    #[test]
    fn a_job_is_written_only_over_the_run_that_it_was_submitted_for() {
        let submitted = job(&json!({"runID": "r1", "state": "Submitting"}));
        assert!(takes(&submitted, &submitted));
        assert!(takes(&submitted, &job(&json!({"runID": "r1", "state": "Held"}))));
        for other in [
            json!({"runID": "r2", "state": "Pending"}),
            json!({"state": "Pending"}),
            json!({"runID": "r1", "state": "Cancelled", "finished": true}),
        ] {
            assert!(!takes(&submitted, &job(&other)), "{other}");
        }
    }
}
