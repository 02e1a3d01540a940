//! What is written of a job, and told of it.

mod events;
mod proof;
mod record;

pub(super) use proof::{JUST_PROVEN, PROVEN};
pub(super) use record::{Part, again, gone, is_refusal, is_refused_for_good, status_of, was_taken, write};
