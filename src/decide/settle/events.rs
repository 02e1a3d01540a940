//! What people are told: one event for each transition, none for standing still.

use crate::api::{Reason, ScrapeJobStatus, State};
use crate::decide::facts::Observed;
use crate::decide::plan::{Event, Standing};

/// The events of going from what is recorded to this standing.
pub(super) fn of(o: &Observed, standing: Option<&Standing>, record: &ScrapeJobStatus) -> Vec<Event> {
    let mut events = Vec::new();
    if o.recorded.job_id.is_none()
        && o.job.spec.job_id.is_none()
        && let Some(job_id) = &record.job_id
    {
        let origin = record.submission.as_ref().and_then(|submission| submission.origin);
        let (reason, note) = match origin {
            Some(crate::api::Origin::Cached) => (
                Reason::Adopted,
                format!("the service answered with its earlier job {job_id} of an equal payload"),
            ),
            Some(crate::api::Origin::Adopted) => (Reason::Adopted, format!("took over job {job_id}")),
            Some(crate::api::Origin::Submitted | crate::api::Origin::Mirrored) | None => {
                (Reason::Submitted, format!("the service accepted job {job_id}"))
            }
        };
        events.push(Event { warning: false, reason, note });
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
