//! The end of a look: writes what is true now, tells people, and says when to look again.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use super::pause::{hope, rest_after, retry};
use crate::api::{Reason, ScrapeJob, ScrapeJobStatus, State};
use crate::cache::{CachedJob, intent_of, job_facts, key, recorded};
use crate::controller::context::Context;
use crate::controller::context::jobs::Decided;
use crate::controller::observe::Seen;
use crate::controller::write::{Part, is_refusal, note_refusal, status_of, write_outcome};
use crate::decide::{self, Again, JobFacts, Marks, Observed, Outcome, Plan, RemoteState, Verdict};
use crate::poll::{Followed, Known};
use crate::spideriq::JobState;
use crate::status::WriteError;

/// What came of a plan, and what is true now.
pub(super) struct Came {
    /// What the plan was, in a word.
    pub(super) plan: &'static str,
    pub(super) outcome: Outcome,
    pub(super) verdict: Verdict,
    /// Whether anything may be written.
    pub(super) writable: bool,
    pub(super) begun: Instant,
}

/// Writes what is true now, tells people, and says when to look again. `left` is the object as our own writes left it.
pub(super) async fn conclude(
    context: &Context,
    (job, left): (&CachedJob, Option<&CachedJob>),
    seen: &Seen,
    came: &Came,
) -> Action {
    let Came { plan, outcome, verdict, writable, begun } = came;
    let uid = job.uid().unwrap_or_default();
    let current = left.unwrap_or(job);
    // What names a job that nothing else does is told before anything is written that forgets it.
    let (strays, news): (Vec<_>, Vec<_>) =
        verdict.events.iter().cloned().partition(|event| event.reason == Reason::Orphaned);
    let mut untold = context.publish(&job.object_ref(&()), &strays).await;
    let written = save(context, current, (verdict, outcome), *writable).await;
    remember(context, &uid, verdict, outcome, written.as_ref().ok().or(left));
    let again = match &written {
        Ok(_) => verdict.again,
        // What is known stays so while nothing can be written.
        Err(_) if !writable => verdict.again,
        Err(error) => {
            tracing::info!(job = key(job), %error, "a status was not written; looking again");
            Again::Live
        }
    };
    // What is in flight by now is looked at again once all are listed, and followed then.
    let waits = written.as_ref().is_ok_and(|after| context.waits_for_list(after));
    if written.is_ok() {
        if !waits {
            follow(seen, job, verdict);
        }
        untold.extend(news);
        // Those that a status tells as well are not tried any more.
        drop(context.publish(&job.object_ref(&()), &untold).await);
    }
    let after = written.as_ref().ok().filter(|_| !waits);
    let settled = after.and_then(|after| settled(context, (current, after), seen, verdict));
    let again = settled.map_or(again, |(_, then)| sooner(again, then));
    let failures = context.memories.set(&uid, |remembered| {
        remembered.settled = settled.map(|(version, _)| version);
        remembered.rest = rest_after(outcome, again).map(|rest| (hope(seen), context.clock.instant() + rest));
        let at = context.clock.instant();
        remembered.decided = Some(Decided { plan, outcome: outcome.word(), at, again });
        remembered.live = again == Again::Live;
        let well = written.is_ok() && *outcome != Outcome::Lost;
        remembered.failures = if well { 0 } else { remembered.failures.saturating_add(1) };
        remembered.failures
    });
    let result = match &written {
        Ok(after) if after.resource_version() != current.resource_version() => "written",
        Ok(_) => "unchanged",
        Err(_) => "retried",
    };
    context.metrics.reconciled("ScrapeJob", result, begun.elapsed());
    if let Ok(after) = &written {
        count_end(context, current, after);
    }
    action(context, &uid, (again, seen.wish_in), failures)
}

/// When to look again, in the words of kube's loop.
fn action(
    context: &Context,
    uid: &str,
    (again, wish_in): (Again, Option<Duration>),
    failures: u32,
) -> Action {
    match (again, wish_in) {
        (Again::Live, _) => Action::requeue(retry(context, uid, failures)),
        (Again::After(pause), wish_in) => {
            Action::requeue(wish_in.map_or(pause, |wish_in| pause.min(wish_in)))
        }
        (Again::OnChange, Some(wish_in)) => Action::requeue(wish_in),
        (Again::OnChange, None) => Action::await_change(),
    }
}

/// Counts a run whose end was just recorded, and its times once they are: they may be read later.
fn count_end(context: &Context, before: &CachedJob, after: &CachedJob) {
    let (Some(was), Some(is)) = (&before.status, &after.status) else { return };
    // An earlier run that is shown again was counted when it ended.
    if !is.finished || was.run() != is.run() {
        return;
    }
    let outcome = match is.current_state() {
        State::Completed => "Completed",
        State::Failed => "Failed",
        State::Cancelled => "Cancelled",
        // None of these is an end.
        State::Pending
        | State::Suspended
        | State::Submitting
        | State::Queued
        | State::Processing
        | State::Cancelling
        | State::Held => return,
    };
    let ended = |status: &ScrapeJobStatus| {
        let remote = status.remote.as_ref()?;
        // Of what has not completed the service's last word was its end.
        remote
            .completed_at
            .as_ref()
            .or(remote.updated_at.as_ref().filter(|_| outcome != "Completed"))
            .map(|time| time.0)
    };
    if !was.finished {
        context.metrics.finished(outcome);
    }
    if let Some(ended) = ended(is).filter(|_| !was.finished || ended(was).is_none())
        && let Some(remote) = &is.remote
        && let Some(created) = &remote.created_at
    {
        let since = |then: Timestamp| Duration::try_from(then.duration_since(created.0)).ok();
        let waited = remote.started_at.as_ref().and_then(|time| since(time.0));
        context.metrics.took(outcome, since(ended), waited);
    }
}

/// The version of the object that was just written, and when to look again, where a look at it as it is now would do
/// nothing.
fn settled(
    context: &Context,
    (before, after): (&CachedJob, &CachedJob),
    seen: &Seen,
    verdict: &Verdict,
) -> Option<(u64, Again)> {
    if before.resource_version() == after.resource_version() {
        return None;
    }
    let intent = intent_of(after);
    let facts = job_facts(after);
    let requested = seen.observed.job.marks.requested.clone();
    let observed = Observed {
        now: context.clock.now(),
        steady: context.clock.steady(),
        job: JobFacts { marks: Marks { requested, ..facts.marks }, ..facts },
        recorded: recorded(after, &intent),
        intent,
        memory: verdict.memory.clone(),
        ..seen.observed.clone()
    };
    let plan = decide::next(&observed);
    let then = decide::settle(&observed, &plan, &Outcome::Done);
    let nothing = matches!(plan, Plan::Rest(_) | Plan::Leave)
        && then.events.is_empty()
        && status_of(context, after, &then).is_none();
    let version = after.resource_version()?.parse().ok()?;
    (nothing && then.again != Again::Live).then_some((version, then.again))
}

/// The sooner of two.
fn sooner(first: Again, second: Again) -> Again {
    match (first, second) {
        (Again::Live, _) | (_, Again::Live) => Again::Live,
        (Again::After(first), Again::After(second)) => Again::After(first.min(second)),
        (Again::After(pause), Again::OnChange) | (Again::OnChange, Again::After(pause)) => {
            Again::After(pause)
        }
        (Again::OnChange, Again::OnChange) => Again::OnChange,
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
        match write_outcome(context, job, verdict, outcome).await {
            Err(error) => error,
            written => return written,
        }
    } else {
        WriteError::UnknownFields(Vec::new())
    };
    if writable {
        note_refusal(context, job, (Part::Status, &error)).await;
    }
    if job.metadata.deletion_timestamp.is_some() && is_refusal(&error) {
        let unsaved = status_of(context, job, verdict).map(Box::new);
        context.memories.set(&job.uid().unwrap_or_default(), |remembered| {
            remembered.unsaved = unsaved.or(remembered.unsaved.take());
        });
    }
    Err(error)
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

/// What is recorded of a job that runs.
fn known(verdict: &Verdict) -> Option<Known> {
    let remote = verdict.record.remote.as_ref()?;
    let state = match RemoteState::parse(remote.state.as_deref()?) {
        RemoteState::Queued => JobState::Queued,
        RemoteState::Processing => JobState::Processing,
        RemoteState::Other(word) => JobState::Other(word),
        RemoteState::Completed | RemoteState::Failed | RemoteState::Cancelled => return None,
    };
    Some(Known { state, updated_at: remote.updated_at.as_ref().map(|time| time.0) })
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
            let (interval, known) = (decide::poll_interval(&seen.observed), known(verdict));
            poller.follow(Followed { key, group, job_id, interval, known });
        }
        None => poller.unfollow(&key),
    });
}
