//! Who may call the service, with what credentials and what budget.
//!
//! It may know accounts, Secrets and the service's client. It must never know jobs beyond an opaque key,
//! write a status, or keep a Secret.

mod credentials;
mod gates;
mod key;
mod proving;
mod registry;
mod session;
mod verdict;
mod watches;

pub use credentials::{SecretError, from_secret, is_labelled, needs_label};
pub use key::AccountKey;
pub use proving::{Proof, Proving, Said};
pub use registry::{Accounts, Channels, Network, News, Opening, Standing};
pub use session::{Health, Session, Settings};
pub use watches::SecretWatches;
