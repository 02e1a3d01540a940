//! The Secrets of accounts: what is read in them, and when they change.

mod credentials;
mod watches;

pub use credentials::{SecretError, from_secret, is_labelled, needs_label};
pub use watches::SecretWatches;
