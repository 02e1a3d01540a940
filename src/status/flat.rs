//! The flat words of a status, for columns, field selectors and people: computed here and nowhere else.

use super::bounds;
use crate::api::{MESSAGE_MAX, Reason, State};
use crate::decide::Standing;

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
        Standing::Waiting(reason, message) => (State::Pending, *reason, message.as_str()),
        Standing::Rejected(_, message) => (State::Pending, Reason::CredentialsRejected, message.as_str()),
        Standing::Suspended => (
            State::Suspended,
            Reason::Suspended,
            "spec.suspend holds back the submit; set it to false to go on",
        ),
        Standing::Submitting => (State::Submitting, Reason::Submitting, "the submit is being sent"),
        Standing::Unknown(message) => (State::Submitting, Reason::SubmissionAmbiguous, message.as_str()),
        Standing::Held(reason, message) => (State::Held, *reason, message.as_str()),
        Standing::Following(state, reason, message) | Standing::Ended(state, reason, message) => {
            (*state, *reason, message.as_str())
        }
        Standing::Cancelling(message) => (State::Cancelling, Reason::Cancelling, message.as_str()),
    };
    Flat { state, reason, message: bounds::cut(message, MESSAGE_MAX) }
}
