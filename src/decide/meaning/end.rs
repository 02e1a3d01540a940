//! How a run ends: as it is recorded, as the service told it, or because somebody here wanted it to.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::api::{CancelReason, Origin, Reason, ScrapeJobStatus, State, find};
use crate::decide::facts::{Observed, RemoteState};
use crate::decide::plan::{Event, Standing};

/// How long the service answers an equal payload with the earlier job (contract section 3).
pub(in crate::decide) const DEDUPLICATION: Duration = Duration::from_secs(24 * 3600);

/// How a finished run ended, as it is recorded.
pub(in crate::decide) fn recorded_end(o: &Observed, state: State) -> Standing {
    let reason = o.recorded.reason.as_deref().and_then(Reason::parse).unwrap_or(Reason::Completed);
    Standing::Ended(state, reason, o.recorded.message.clone().unwrap_or_default())
}

/// How a run ended, as the service told it.
pub(in crate::decide) fn ended(
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
pub(in crate::decide) fn cancelled(record: &ScrapeJobStatus) -> Standing {
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

/// When the run's time is over: counted from acceptance, for a mirrored job from the first look.
pub(in crate::decide) fn deadline(o: &Observed, record: &ScrapeJobStatus) -> Option<Timestamp> {
    let seconds = o.job.spec.active_deadline_seconds?.max(0).unsigned_abs();
    let mirrored = record.start_time.as_ref().filter(|_| o.job.spec.job_id.is_some());
    let accepted = record.submit_time.as_ref().filter(|_| record.job_id.is_some());
    let from = accepted.or(mirrored)?.0;
    from.checked_add(Duration::from_secs(seconds)).ok()
}

/// How a run ended that was cancelled for this reason.
pub(in crate::decide) fn by_reason(reason: CancelReason, message: &str) -> Standing {
    match reason {
        CancelReason::CancelledAsRequested | CancelReason::Superseded => {
            Standing::Ended(State::Cancelled, Reason::CancelledAsRequested, message.to_owned())
        }
        CancelReason::DeadlineExceeded => {
            Standing::Ended(State::Failed, Reason::DeadlineExceeded, message.to_owned())
        }
    }
}

pub(in crate::decide) fn origin(o: &Observed) -> Option<Origin> {
    o.recorded.submission.as_ref().and_then(|record| record.origin)
}

/// The warning that names what nothing here follows any more.
pub(in crate::decide) fn orphaned(note: &str) -> Event {
    Event { warning: true, reason: Reason::Orphaned, note: note.to_owned() }
}
