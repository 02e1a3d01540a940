//! What is recorded of a submit before it is sent, and in which order: the body, its hash, the intent, and the chain of
//! writes.

mod body;
mod chain;
mod intent;
mod kept;
mod number;

pub use body::Body;
pub(super) use body::{Recorded, knows_version};
pub use chain::{Chain, Step, Written, is_intended, is_same_record, recording};
pub use intent::{Intent, IntentFacts};
pub use kept::{KeptBody, equality};
pub use number::as_stored;
