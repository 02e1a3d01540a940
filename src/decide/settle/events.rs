//! What people are told: one event for each transition, none for standing still.

use crate::api::{Origin, Reason, ScrapeJobStatus, State};
use crate::decide::facts::Observed;
use crate::decide::meaning::submission::Submission;
use crate::decide::message::Note;
use crate::decide::plan::{Event, Standing};

/// The events of going from what is recorded to this standing.
pub(super) fn of(o: &Observed, standing: Option<&Standing>, record: &ScrapeJobStatus) -> Vec<Event> {
    let mut events = Vec::new();
    if o.recorded.job_id.is_none()
        && o.job.spec.job_id.is_none()
        && let Some(job_id) = &record.job_id
    {
        let origin = Submission::of(record).origin();
        let job_id = job_id.clone();
        let (reason, note) = match origin {
            Some(Origin::Cached) => (Reason::Adopted, Note::FromCache(job_id)),
            Some(Origin::Adopted) => (Reason::Adopted, Note::TakenOver(job_id)),
            Some(Origin::Submitted | Origin::Mirrored) | None => (Reason::Submitted, Note::Accepted(job_id)),
        };
        events.push(Event { warning: false, reason, note: note.into() });
    }
    let before = o.recorded.current_state();
    match standing {
        Some(Standing::Ended(state, reason, message)) if before != *state => {
            events.push(Event {
                warning: *state != State::Completed && *reason != Reason::CancelledAsRequested,
                reason: *reason,
                note: message.clone(),
            });
        }
        Some(Standing::Held(reason, message))
            if before != State::Held || o.recorded.reason.as_deref() != Some(reason.as_str()) =>
        {
            events.push(Event { warning: true, reason: *reason, note: message.clone() });
        }
        Some(Standing::Following(State::Processing, Reason::Processing, message))
            if before != State::Processing =>
        {
            events.push(Event { warning: false, reason: Reason::Processing, note: message.clone() });
        }
        Some(Standing::Unknown(message))
            if o.recorded.reason.as_deref() != Some(Reason::SubmissionAmbiguous.as_str()) =>
        {
            events.push(Event { warning: true, reason: Reason::SubmissionAmbiguous, note: message.clone() });
        }
        Some(
            Standing::Waiting(..)
            | Standing::Rejected(..)
            | Standing::Suspended
            | Standing::Submitting
            | Standing::Unknown(_)
            | Standing::Held(..)
            | Standing::Following(..)
            | Standing::Cancelling(_)
            | Standing::Ended(..),
        )
        | None => {}
    }
    events
}
