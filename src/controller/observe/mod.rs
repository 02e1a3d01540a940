//! Gathers what is known about one object. Reads only.

mod account;
pub(super) mod facts;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use super::context::Context;
use super::context::jobs::{Ending, Remembered};
use crate::account::Session;
use crate::api::{ScrapeJob, ScrapeJobStatus};
use crate::cache::{CachedJob, intent_of, is_at_rest, job_facts, job_id, key, recorded};
use crate::decide::{IntentFacts, JobFacts, Marks, Observed, RemoteState, Watched, since};
use crate::status::WriteError;

/// What is known, and the session to act with.
pub(super) struct Seen {
    pub(super) observed: Observed,
    pub(super) session: Option<Arc<Session>>,
    /// After how long a look that is asked for is taken up, where it is not yet.
    pub(super) wish_in: Option<Duration>,
}

/// Everything that a decision about this object may look at; nothing while its account is about to be opened.
///
/// # Errors
/// If the API server did not say what the decision hangs on.
pub(super) async fn observe(
    context: &Context,
    job: &CachedJob,
    remembered: &Remembered,
    nonce: String,
) -> Result<Option<Seen>, WriteError> {
    let account = account::of(context, job, remembered).await?;
    // What is deleted has a bound, whatever becomes of its account.
    // And what is over needs none.
    if !is_at_rest(job) && account::is_opening(context, &account) && job.metadata.deletion_timestamp.is_none()
    {
        return Ok(None);
    }
    let (facts_of_account, session) = account::facts(context, job, &account)?;
    let watched =
        session.as_ref().and_then(|session| session.polling(|poller| poller.latest(&key(job), job_id(job))));
    let watched = watched.map_or_else(Watched::default, |observation| facts::watched(&observation));
    let now = context.clock.now();
    let intent = intent_of(job);
    let recorded = recorded(job, &intent);
    let (requested, wish_in) = wish(context, job);
    let facts = job_facts(job);
    let observed = Observed {
        now,
        steady: context.clock.steady(),
        job: JobFacts { marks: Marks { requested, ..facts.marks }, ..facts },
        memory: with_ages(context, job, (&recorded, &intent, &watched), remembered),
        recorded,
        intent,
        account: facts_of_account,
        watched,
        nonce,
    };
    Ok(Some(Seen { observed, session, wish_in }))
}

/// The look that is asked for, one in a while however often the annotation changes; else the one before, and how long this
/// one still waits.
fn wish(context: &Context, job: &CachedJob) -> (Option<String>, Option<Duration>) {
    let handled = job.status.as_ref().and_then(|status| status.last_handled_reconcile_at.clone());
    let asked = job.marks.requested.clone();
    let Some(new) = asked.as_deref().filter(|_| asked != handled) else { return (asked, None) };
    match context.paces.take_up(&job.uid().unwrap_or_default(), new, context.clock.instant()) {
        Ok(()) => (asked, None),
        Err(left) => (handled, Some(left)),
    }
}

/// Keeps by the monotonic clock how long the recorded nonce has been seen without a job id, that the run should end, and
/// that its job is over.
fn with_ages(
    context: &Context,
    job: &ScrapeJob,
    (status, intent, watched): (&ScrapeJobStatus, &IntentFacts, &Watched),
    remembered: &Remembered,
) -> crate::decide::Memory {
    let nonce = status.submission.as_ref().and_then(|submission| submission.nonce.clone());
    // A restored intent has its nonce in the annotation only; it ages all the same.
    let intended = if let IntentFacts::Found(intent) = intent { Some(intent.nonce.clone()) } else { None };
    let nonce = nonce.or(intended).filter(|_| status.job_id.is_none());
    let mut memory = remembered.memory.clone();
    let now = context.clock.instant();
    let (since, same) = match (&nonce, &remembered.nonce) {
        (Some(nonce), Some((seen, since))) if nonce == seen => (*since, true),
        (Some(_) | None, _) => (now, false),
    };
    memory.ended_here = nonce.is_some() && nonce == remembered.ended;
    memory.unsent = nonce.as_ref().is_some_and(|nonce| remembered.unsent.contains(nonce));
    memory.nonce_seen_for = now.duration_since(since);
    let ending = ending(context, job, remembered);
    memory.ending_seen_for = ending.map_or(Duration::ZERO, |ending| remembered.ending_for(&ending, now));
    memory.ending_before = ending.map(|ending| ending.before);
    let missing = memory.missing.then(|| remembered.missing.unwrap_or(now));
    memory.missing_for = missing.map_or(Duration::ZERO, |since| now.duration_since(since));
    let recorded = status.remote.as_ref().and_then(|remote| remote.state.as_deref()).map(RemoteState::parse);
    let seen = watched.latest.as_ref().map(|job| job.state.clone());
    let is_over = recorded.into_iter().chain(seen).any(|state| state.is_terminal());
    let is_open = !status.finished || !status.owed.is_empty();
    let over = (is_over && is_open).then(|| remembered.over.unwrap_or(now));
    memory.over_seen_for = over.map_or(Duration::ZERO, |since| now.duration_since(since));
    if !same || ending != remembered.ending || missing != remembered.missing || over != remembered.over {
        context.memories.set(&job.uid().unwrap_or_default(), |remembered| {
            if !same {
                remembered.nonce = nonce.map(|nonce| (nonce, now));
            }
            remembered.ending = ending;
            remembered.missing = missing;
            remembered.over = over;
        });
    }
    memory
}

/// That the run should end, as this process saw it first: what it had waited by then is stored, or counts whole.
fn ending(context: &Context, job: &ScrapeJob, remembered: &Remembered) -> Option<Ending> {
    let status = job.status.as_ref();
    let deleted_at = job.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    let other_run = status.is_some_and(|status| status.is_written() && status.run() != job.spec.run());
    if deleted_at.is_none() && !other_run {
        return None;
    }
    let known = remembered.ending.filter(|known| known.deleted == deleted_at.is_some());
    Some(known.unwrap_or_else(|| {
        let begun = deleted_at.or(status.and_then(|status| status.cancel_time.as_ref()).map(|time| time.0));
        let stored = status.and_then(ScrapeJobStatus::cancel_wait).filter(|_| deleted_at.is_some());
        let by_clock = begun.map_or(Duration::ZERO, |begun| since(begun, context.clock.now()));
        let (since, before) = (context.clock.instant(), stored.unwrap_or(by_clock));
        Ending { deleted: deleted_at.is_some(), since, before, paced: Duration::ZERO }
    }))
}
