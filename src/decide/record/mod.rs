//! What is recorded of a submit before it is sent: the body, its hash, and the intent.

mod body;
mod intent;
mod kept;

pub use body::Body;
pub(super) use body::knows_version;
pub(super) use intent::Fit;
pub use intent::Intent;
pub use kept::{KeptBody, equality};
