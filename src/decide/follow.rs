//! Decides about a job that has an id: follow it, finish it, or say why it cannot be believed.

use std::time::Duration;

use super::Intent;
use super::ending::cancel::by_reason;
use super::facts::{AccountFacts, IntentFacts, Named, Observed, RemoteState, Trouble, likely_cause, since};
use super::plan::{Freshness, Plan, Standing};
use super::record::Recorded;
use super::submit::still_held;
use crate::api::{CancelReason, Origin, Reason, ScrapeJobStatus, State, find};

/// A job is gone only when the service says so twice, this far apart: one 404 may be a fault of the service.
const VANISHED_AFTER: Duration = Duration::from_secs(60);
/// How old the last good look may be, at the least, before an error makes the mirror stale.
const STALE_AFTER: Duration = Duration::from_secs(60);
/// The same in poll intervals.
const STALE_INTERVALS: u32 = 5;
/// How often, and for how long, the reads at the end are tried before the run is closed without them (R7).
const READS: u32 = 5;
const READING: Duration = Duration::from_secs(600);
/// How long they wait for their turns in the budget, where that is all that holds them up.
const TURNS: Duration = Duration::from_secs(3600);
/// How long the service answers an equal payload with the earlier job (contract section 3).
pub(super) const DEDUPLICATION: Duration = Duration::from_secs(24 * 3600);
/// The poll interval of a job whose spec names none, in seconds: the status page says 2 to 5.
const POLL_SECONDS: i32 = 3;

/// The next step of a job that is accepted, or mirrored.
pub(super) fn next(o: &Observed) -> Plan {
    if let Some(plan) = protect(o) {
        return plan;
    }
    if let Some(standing) = still_held(o) {
        return Plan::Rest(standing);
    }
    if let AccountFacts::Unusable { reason: Reason::NamespaceNotAllowed, message, fingerprint: _ } =
        &o.account
        && !seen_before(o)
    {
        // A mirrored job that was never looked at is not looked at for a namespace that may not use the account.
        return Plan::Rest(Standing::Waiting(Reason::NamespaceNotAllowed, message.clone()));
    }
    if let Some(why) = not_to_be_seen(o) {
        return Plan::Rest(Standing::Held(Reason::JobNotFound, why));
    }
    if let Some(state) = terminal_state(o).filter(|_| !reads_left(o)) {
        return Plan::Rest(ended(o, &state, &o.recorded, true));
    }
    if believed(o) {
        if let Some((first, last)) = o.watched.missing {
            if !seen_before(o) && o.job.spec.job_id.is_some() {
                return Plan::Rest(Standing::Held(Reason::JobNotFound, job_not_found(o)));
            }
            if is_gone(since(first, last)) {
                let message = "the service no longer knows the job; it is not submitted again".to_owned();
                return Plan::Rest(Standing::Ended(State::Failed, Reason::RemoteJobVanished, message));
            }
        }
        match terminal_state(o) {
            Some(RemoteState::Completed) if o.memory.details.is_none() => return Plan::Detail,
            Some(RemoteState::Completed | RemoteState::Failed) => return Plan::Collect,
            Some(state) => return Plan::Rest(ended(o, &state, &o.recorded, false)),
            None if o.owed_look().is_some() => return Plan::Look,
            None => {}
        }
    }
    Plan::Rest(standing(o, &o.recorded))
}

/// Whether the service has said for long enough that it does not know a job, first and last so far apart: one rule for
/// what is followed and for what is to be cancelled.
pub(super) fn is_gone(unknown_for: Duration) -> bool {
    unknown_for >= VANISHED_AFTER
}

/// How an accepted job stands, from what is recorded and what was seen.
pub(super) fn standing(o: &Observed, record: &ScrapeJobStatus) -> Standing {
    let state = record.remote.as_ref().and_then(|remote| remote.state.as_deref()).map(RemoteState::parse);
    if state.is_none() && o.job.spec.job_id.is_some() {
        return unseen(o);
    }
    let worker = record.remote.as_ref().and_then(|remote| remote.worker_id.as_deref());
    let reached =
        if o.recorded.current_state() == State::Processing { State::Processing } else { State::Queued };
    match state {
        Some(RemoteState::Queued) | None if reached == State::Queued => Standing::Following(
            State::Queued,
            Reason::Queued,
            "waiting for a worker of the service".to_owned(),
        ),
        Some(state) if state.is_terminal() => Standing::Following(
            State::Processing,
            Reason::CollectingResults,
            "the job is over at the service; its details and results are being read".to_owned(),
        ),
        Some(RemoteState::Other(_)) => Standing::Following(
            State::Processing,
            Reason::Processing,
            "the service names a state that this release does not know; see status.remote.state".to_owned(),
        ),
        Some(_) | None => Standing::Following(
            State::Processing,
            Reason::Processing,
            worker.map_or_else(|| "in progress".to_owned(), |worker| format!("picked up by {worker}")),
        ),
    }
}

/// How a mirrored job stands that the service has not told anything of yet.
fn unseen(o: &Observed) -> Standing {
    let (reason, message) = match freshness(o) {
        Freshness::Stale(reason, message) => (reason, message),
        Freshness::Fresh | Freshness::Unchanged => {
            (Reason::WaitingForController, "waiting for the first look at the job".to_owned())
        }
    };
    Standing::Waiting(reason, message)
}

/// Whether this is the recorded reason.
pub(super) fn is_recorded(o: &Observed, reason: Reason) -> bool {
    o.recorded.reason.as_deref() == Some(reason.as_str())
}

/// How a finished run ended, as it is recorded.
pub(super) fn recorded_end(o: &Observed, state: State) -> Standing {
    let reason = o.recorded.reason.as_deref().and_then(Reason::parse).unwrap_or(Reason::Completed);
    Standing::Ended(state, reason, o.recorded.message.clone().unwrap_or_default())
}

/// How a run ended, as the service told it.
pub(super) fn ended(
    o: &Observed,
    state: &RemoteState,
    record: &ScrapeJobStatus,
    reads_failed: bool,
) -> Standing {
    // A job from the cache that was seen at work ended like any other; one that was over already is an old failure.
    let at_work = ["Queued", "Processing"].iter().any(|type_| find(&record.conditions, type_).is_some());
    let origin = record.submission.as_ref().and_then(|submission| submission.origin);
    let cached = origin == Some(Origin::Cached) && !at_work;
    let words = record.remote.as_ref().and_then(|remote| remote.error_message.clone());
    let without = if reads_failed { "; its details or results could not be read in time" } else { "" };
    match state {
        RemoteState::Completed => {
            let count = record.results.as_ref().and_then(|results| results.count);
            let message = count
                .map_or_else(|| "completed".to_owned(), |count| format!("completed with {count} results"));
            Standing::Ended(State::Completed, Reason::Completed, format!("{message}{without}"))
        }
        RemoteState::Failed | RemoteState::Cancelled if cached => {
            Standing::Ended(State::Failed, Reason::CachedFailure, cached_failure(state, record))
        }
        RemoteState::Cancelled if o.job.deleted_at.is_some() => Standing::Ended(
            State::Cancelled,
            Reason::CancelledAsRequested,
            "cancelled, because the object was deleted".to_owned(),
        ),
        RemoteState::Cancelled if record.cancel_reason.is_some() => cancelled(record),
        RemoteState::Cancelled => Standing::Ended(
            State::Cancelled,
            Reason::CancelledRemotely,
            words.unwrap_or_else(|| "cancelled at the service; nobody here asked for it".to_owned()),
        ),
        RemoteState::Failed | RemoteState::Queued | RemoteState::Processing | RemoteState::Other(_) => {
            let message = words.unwrap_or_else(|| "the service gives no reason".to_owned());
            Standing::Ended(State::Failed, Reason::RemoteFailed, format!("{message}{without}"))
        }
    }
}

/// How a run ended that was cancelled from here.
pub(super) fn cancelled(record: &ScrapeJobStatus) -> Standing {
    let (reason, message) = match record.cancel_reason {
        Some(reason @ CancelReason::DeadlineExceeded) => {
            (reason, "cancelled, because spec.activeDeadlineSeconds were over")
        }
        Some(reason @ CancelReason::Superseded) => (reason, "cancelled, because another run was wanted"),
        Some(CancelReason::CancelledAsRequested) | None => {
            (CancelReason::CancelledAsRequested, "cancelled, because spec.cancel asked for it")
        }
    };
    by_reason(reason, message)
}

fn cached_failure(state: &RemoteState, record: &ScrapeJobStatus) -> String {
    let created = record.remote.as_ref().and_then(|remote| remote.created_at.as_ref());
    let until = created.map_or_else(
        || "24 hours after that job was made".to_owned(),
        |time| time.0.saturating_add(DEDUPLICATION).unwrap_or(time.0).to_string(),
    );
    let words = record
        .remote
        .as_ref()
        .and_then(|remote| remote.error_message.as_deref())
        .unwrap_or("no reason given");
    format!(
        "the service answered with an earlier job of an equal payload that is {} ({words}); it runs an equal payload afresh from {until} on, a changed one at once",
        state.word()
    )
}

/// The terminal state that the service told, whether recorded or just seen.
pub(super) fn terminal_state(o: &Observed) -> Option<RemoteState> {
    let recorded =
        o.recorded.remote.as_ref().and_then(|remote| remote.state.as_deref()).map(RemoteState::parse);
    let seen = o.watched.latest.as_ref().filter(|_| believed(o)).map(|job| job.state.clone());
    recorded.filter(RemoteState::is_terminal).or_else(|| seen.filter(RemoteState::is_terminal))
}

/// Whether the reads at the end may be tried once more, after the failures so far and whatever else held them up.
pub(super) fn reads_left(o: &Observed) -> bool {
    let only_waits = o.memory.failed_reads == 0 && believed(o);
    o.memory.failed_reads < READS && o.memory.over_seen_for < if only_waits { TURNS } else { READING }
}

/// Whether the account is proven to be of the client that the job belongs to; what another client's credentials
/// are told about the job means nothing. A mirrored job belongs to whoever the account is, until one was seen.
pub(super) fn believed(o: &Observed) -> bool {
    match (&o.account, &o.recorded.submission) {
        (AccountFacts::Usable(account), Some(record)) => {
            account.proves(record) || (record.client_id.is_none() && record.credential.is_none())
        }
        (AccountFacts::Usable(_), None) => true,
        (AccountFacts::Missing { .. } | AccountFacts::Unusable { .. } | AccountFacts::Rejected { .. }, _) => {
            false
        }
    }
}

/// Whether the mirror is fresh. A slow queue for the budget alone makes nothing stale: only an error does, and
/// only when the last good look is old, so that an outage does not write twice for every object (R13).
pub(super) fn freshness(o: &Observed) -> Freshness {
    let account = match &o.account {
        AccountFacts::Missing { kind, name } => {
            let message = format!("{} {name} does not exist", kind.as_str());
            return Freshness::Stale(Reason::AccountNotFound, message);
        }
        AccountFacts::Unusable { reason, message, fingerprint: _ } => {
            return Freshness::Stale(*reason, message.clone());
        }
        AccountFacts::Rejected { message, .. } => {
            return Freshness::Stale(Reason::CredentialsRejected, message.clone());
        }
        AccountFacts::Usable(account) => account,
    };
    if !believed(o) {
        let message =
            format!("the credentials of {} are not of the client that the job belongs to", account.title());
        return Freshness::Stale(Reason::TenantChanged, message);
    }
    let old = o.watched.read_at.is_none_or(|at| o.steady > at + stale_after(o));
    match &o.watched.trouble {
        None if o.watched.read_at.is_some() => Freshness::Fresh,
        None | Some(Trouble::NoBudget(_)) => Freshness::Unchanged,
        Some(_) if !old => Freshness::Unchanged,
        Some(Trouble::Rejected(words)) => Freshness::Stale(Reason::CredentialsRejected, words.clone()),
        Some(Trouble::Throttled(_, words)) => Freshness::Stale(Reason::RateLimited, words.clone()),
        Some(Trouble::SpendCap(words) | Trouble::NotFound(words) | Trouble::Unavailable(words)) => {
            Freshness::Stale(Reason::ServiceUnavailable, words.clone())
        }
    }
}

/// Whether the spec makes another body than the one that this run submitted. The schema forbids it but for a top-level
/// key of the payload that it does not know, renamed.
pub(super) fn payload_changed(o: &Observed, record: &ScrapeJobStatus) -> bool {
    let submitted = record.submission.as_ref().and_then(|submission| submission.body_hash.as_deref());
    let same_run = record.run() == o.job.spec.run();
    same_run
        && submitted
            .zip(o.job.body.as_ref())
            .is_some_and(|(submitted, body)| body.recorded(submitted) == Recorded::Other)
}

/// The age of the last good look from which an error makes the mirror stale.
pub(super) fn stale_after(o: &Observed) -> Duration {
    (poll_interval(o) * STALE_INTERVALS).max(STALE_AFTER)
}

/// The poll interval of this job.
pub(super) fn poll_interval(o: &Observed) -> Duration {
    let seconds = o.job.spec.poll.as_ref().and_then(|poll| poll.interval_seconds).unwrap_or(POLL_SECONDS);
    Duration::from_secs(seconds.max(POLL_SECONDS).unsigned_abs().into())
}

/// A live job that deletion may have to cancel needs the finalizer; one of ours needs its intent, too, with the name of
/// its client once that is known.
fn protect(o: &Observed) -> Option<Plan> {
    let origin = o.recorded.submission.as_ref().and_then(|record| record.origin);
    let running = seen_before(o) && terminal_state(o).is_none();
    let named = o.recorded.submission.as_ref().is_some_and(|record| record.client_id.is_some());
    let unnamed = matches!(&o.intent, IntentFacts::Found(intent) if intent.client_id.is_none());
    if (o.job.protected && !(named && unnamed)) || !running {
        return None;
    }
    if o.job.spec.job_id.is_some() {
        return o.job.cancels_on_delete(origin).then_some(Plan::Protect(None));
    }
    let account = o.account.usable()?;
    let record = o.recorded.submission.as_ref()?;
    let started = record.started_at.as_ref().map_or(o.now, |time| time.0);
    let nonce = record.nonce.clone().unwrap_or_default();
    let intent = Intent::new(&o.job, account, &nonce, started);
    let intent = intent.map(|intent| match &record.body_hash {
        Some(hash) => intent.of_body(hash),
        None => intent,
    });
    let intent = intent.map(|intent| Intent {
        client_id: record.client_id.clone().or(intent.client_id),
        job_id: o.recorded.job_id.clone(),
        ..intent
    });
    Some(Plan::Protect(intent.map(Box::new)))
}

/// Whether the service was ever seen to know the job.
fn seen_before(o: &Observed) -> bool {
    let recorded = o.recorded.remote.as_ref().is_some_and(|remote| remote.state.is_some());
    recorded
        || o.recorded
            .submission
            .as_ref()
            .is_some_and(|record| matches!(record.origin, Some(Origin::Submitted | Origin::Cached)))
}

/// Why a mirrored job that was never looked at is not looked at: the account is used by others, too. A job that they have
/// reads as one that nobody knows.
fn not_to_be_seen(o: &Observed) -> Option<String> {
    let account = o.account.usable().filter(|_| o.job.spec.job_id.is_some() && !seen_before(o))?;
    match account.named {
        Named::Own | Named::Followed => None,
        Named::OfOthers => Some(job_not_found(o)),
        Named::NotAllowed => Some(format!(
            "no ScrapeJob of this namespace has the job, and {} lets nobody follow such a job; have its spec.allowMirror set to true, or create a ScrapeAccount in this namespace",
            account.title()
        )),
    }
}

fn job_not_found(o: &Observed) -> String {
    let id = o.job.spec.job_id.as_deref().unwrap_or_default();
    let cause = o.account.usable().map_or("", |account| likely_cause(&account.endpoint));
    format!(
        "the service does not know job {id}, or it belongs to another client; check the id and the account, and create the object again{cause}"
    )
}
