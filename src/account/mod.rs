//! Who may call the service, with what credentials and what budget.
//!
//! It may know accounts, Secrets and the service's client. It must never know jobs beyond an opaque key,
//! write a status, or keep a Secret.

mod credentials;
mod key;
mod registry;
mod session;
mod watches;

pub use credentials::{SecretError, from_secret};
pub use key::AccountKey;
pub use registry::{Accounts, Channels, Opening, Standing};
pub use session::{Health, Session, Settings};
pub use watches::SecretWatches;
