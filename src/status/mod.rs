//! What users and their tools read: the conditions, and the only writer of a status.
//!
//! It may know the published API and a verdict. It must never decide, and never ask the service.

mod account;
mod bounds;
mod conditions;
mod difference;
mod error;
mod flat;
mod refusal;
mod write;

pub use account::account_status;
pub use conditions::compute;
pub use difference::{Written, difference, same_meaning};
pub use error::WriteError;
pub use write::{Reply, answered, delete, patch_claim, patch_metadata, patch_status, stored, try_status};
