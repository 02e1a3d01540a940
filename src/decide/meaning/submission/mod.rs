//! What a status and an intent say of the submit.

mod candidates;
mod intended;
mod intent;
mod lost;
mod record;
mod unknown;

pub use candidates::{Row, Sought, candidates};
pub(in crate::decide) use intended::{Intended, adoptable, intended};
pub use lost::{restored, was_sent};
pub(in crate::decide) use record::Submission;
pub(in crate::decide) use unknown::{
    is_seen_for_long, is_settled, repeatable, settles_in, unknown_submission,
};
