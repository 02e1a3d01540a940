//! How an account stands: what an answer of the service changes about it, what a status tells of it, when it is looked at
//! again, and what people are told.
//!
//! `unproven` is what the service says of credentials at first, `health` what it says of them later, `standing` what is
//! true with it, `told` what a status says of both.

mod health;
mod standing;
mod told;
mod unproven;

pub use health::{Answer, Asked, Health};
pub use standing::{AccountHealth, AccountState, RETRY_UNKNOWN, looks_again_in};
pub use told::{accepted_since, capped, is_accepted, is_of, transition};
pub use unproven::{LATER, Proof, Said, Unproven};
