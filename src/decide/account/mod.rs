//! How an account stands: what an answer of the service changes about it, what a status tells of it, when it is looked at
//! again, and what people are told.
//!
//! `health` is what the service said, `standing` what is true with it, `told` what a status says of both.

mod health;
mod standing;
mod told;

pub use health::{Answer, Asked, Health};
pub use standing::{AccountHealth, AccountState, RETRY_UNKNOWN, looks_again_in};
pub use told::{accepted_since, capped, is_accepted, is_of, transition};
