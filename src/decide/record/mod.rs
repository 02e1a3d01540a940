//! What is recorded of a submit before it is sent: the body, its hash, and the intent.

mod body;
mod intent;
mod kept;
mod number;

pub use body::Body;
pub(super) use body::{Recorded, knows_version};
pub use intent::{Intent, IntentFacts};
pub use kept::{KeptBody, equality};
pub use number::as_stored;
