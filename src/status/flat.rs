//! The flat words of a status, for columns, field selectors and people: computed here and nowhere else.

use super::bounds;
use crate::api::{MESSAGE_MAX, Reason, State};
use crate::decide::Standing;
use crate::decide::message::Wait;

/// Where a job is, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Flat {
    pub(super) state: State,
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// The words for this standing.
pub(super) fn flat(standing: &Standing) -> Flat {
    let (state, reason, message) = match standing {
        Standing::Waiting(reason, message) => (State::Pending, *reason, message.to_string()),
        Standing::Rejected(_, message) => (State::Pending, Reason::CredentialsRejected, message.to_string()),
        Standing::Suspended => (State::Suspended, Reason::Suspended, Wait::Suspended.to_string()),
        Standing::Submitting => (State::Submitting, Reason::Submitting, Wait::Submitting.to_string()),
        Standing::Unknown(message) => (State::Submitting, Reason::SubmissionAmbiguous, message.to_string()),
        Standing::Held(reason, message) => (State::Held, *reason, message.to_string()),
        Standing::Following(state, reason, message) | Standing::Ended(state, reason, message) => {
            (*state, *reason, message.to_string())
        }
        Standing::Cancelling(message) => (State::Cancelling, Reason::Cancelling, message.to_string()),
    };
    Flat { state, reason, message: bounds::cut(&message, MESSAGE_MAX) }
}
