//! What is recorded of a submit before it is sent: the body, its hash, and the intent.

mod body;
mod intent;
mod kept;
mod lost;
mod number;

pub use body::Body;
pub(super) use body::{Recorded, knows_version};
pub(super) use intent::Fit;
pub use intent::Intent;
pub use kept::{KeptBody, equality};
pub use lost::{restored, was_sent};
pub use number::as_stored;
