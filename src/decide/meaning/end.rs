//! How a run ends: as it is recorded, as the service told it, or because somebody here wanted it to.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::submission::Submission;
use crate::api::{CancelReason, Origin, Owed, Reason, ScrapeJobStatus, State, find};
use crate::decide::facts::{Observed, RemoteState};
use crate::decide::message::{End, Message, Told, Unread};
use crate::decide::plan::Standing;

/// How long the service answers an equal payload with the earlier job (contract section 3).
const DEDUPLICATION: Duration = Duration::from_secs(24 * 3600);

/// How a finished run ended, as it is recorded.
pub(in crate::decide) fn recorded_end(o: &Observed, state: State) -> Standing {
    let reason = o.recorded.reason.as_deref().and_then(Reason::parse).unwrap_or(Reason::Completed);
    Standing::Ended(state, reason, Message::Said(o.recorded.message.clone().unwrap_or_default()))
}

/// How a run ended, as the service told it.
pub(in crate::decide) fn ended(
    o: &Observed,
    state: &RemoteState,
    record: &ScrapeJobStatus,
    unread: Unread,
) -> Standing {
    let unread =
        if unread == Unread::Yet && owed(state, record).is_empty() { Unread::Nothing } else { unread };
    // A job from the cache that was seen at work ended like any other; one that was over already is an old failure.
    let at_work = ["Queued", "Processing"].iter().any(|type_| find(&record.conditions, type_).is_some());
    let cached = Submission::of(record).origin() == Some(Origin::Cached) && !at_work;
    let words = record.remote.as_ref().and_then(|remote| remote.error_message.clone());
    let mirrored = o.job.spec.job_id.is_some();
    let told = |how: Told, unread: Unread| Message::from(End::AsTold { how, unread, mirrored });
    match state {
        RemoteState::Completed => {
            let count = record.results.as_ref().and_then(|results| results.count);
            let message = told(Told::Completed(count), unread);
            Standing::Ended(State::Completed, Reason::Completed, message)
        }
        RemoteState::Failed | RemoteState::Cancelled if cached => {
            Standing::Ended(State::Failed, Reason::CachedFailure, cached_failure(state, record))
        }
        RemoteState::Cancelled if o.job.deleted_at.is_some() => {
            Standing::Ended(State::Cancelled, Reason::CancelledAsRequested, End::Deleted.into())
        }
        RemoteState::Cancelled if record.cancel_reason.is_some() => cancelled(record),
        RemoteState::Cancelled => {
            let message = told(Told::Cancelled(words), Unread::Nothing);
            Standing::Ended(State::Cancelled, Reason::CancelledRemotely, message)
        }
        RemoteState::Failed | RemoteState::Queued | RemoteState::Processing | RemoteState::Other(_) => {
            let message = told(Told::Failed(words), unread);
            Standing::Ended(State::Failed, Reason::RemoteFailed, message)
        }
    }
}

/// What is to be read of a run that the service says is over: of a completed one all, of a failed one its words, where the
/// service has not said them yet.
pub(in crate::decide) fn owed(state: &RemoteState, record: &ScrapeJobStatus) -> &'static [Owed] {
    let said = record.remote.as_ref().is_some_and(|remote| remote.error_message.is_some());
    match state {
        RemoteState::Completed => &[Owed::Details, Owed::Results],
        RemoteState::Failed if !said => &[Owed::Results],
        RemoteState::Failed
        | RemoteState::Cancelled
        | RemoteState::Queued
        | RemoteState::Processing
        | RemoteState::Other(_) => &[],
    }
}

/// How a run ended that was cancelled from here.
pub(in crate::decide) fn cancelled(record: &ScrapeJobStatus) -> Standing {
    let reason = record.cancel_reason.unwrap_or(CancelReason::CancelledAsRequested);
    by_reason(reason, End::Cancelled(reason).into())
}

fn cached_failure(state: &RemoteState, record: &ScrapeJobStatus) -> Message {
    let remote = record.remote.as_ref();
    let created = remote.and_then(|remote| remote.created_at.as_ref()).map(|time| time.0);
    let end = End::EarlierFailed {
        state: state.word().to_owned(),
        words: remote.and_then(|remote| remote.error_message.clone()),
        fresh_from: fresh_from(created),
    };
    end.into()
}

/// From when on the service runs a payload afresh that is equal to that of a job which was made then.
pub(in crate::decide) fn fresh_from(created: Option<Timestamp>) -> Option<Timestamp> {
    created?.checked_add(DEDUPLICATION).ok()
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
pub(in crate::decide) fn by_reason(reason: CancelReason, message: Message) -> Standing {
    match reason {
        CancelReason::CancelledAsRequested | CancelReason::Superseded => {
            Standing::Ended(State::Cancelled, Reason::CancelledAsRequested, message)
        }
        CancelReason::DeadlineExceeded => Standing::Ended(State::Failed, Reason::DeadlineExceeded, message),
    }
}

pub(in crate::decide) fn origin(o: &Observed) -> Option<Origin> {
    Submission::of(&o.recorded).origin()
}
