//! What is written of a job, and told of it.

mod events;
mod proof;
mod record;

pub(super) use proof::{JUST_PROVEN, PROVEN};
pub(super) use record::{
    Part, is_refusal, note_refusal, note_taken, orphan_unrecorded, retry_unrecorded, status_of, write_outcome,
};
