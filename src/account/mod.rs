//! Who may call the service, with what credentials and what budget.
//!
//! It may know accounts, Secrets and the service's client. It must never know jobs beyond an opaque key,
//! write a status, or keep a Secret.

mod key;
mod news;
mod proving;
mod registry;
mod secrets;
mod session;
mod turn;

pub use key::AccountKey;
pub use news::{Channels, News};
pub use proving::Proving;
pub use registry::{Accounts, Network, Opening, Standing};
pub use secrets::{SecretError, SecretWatches, from_secret, is_labelled, needs_label};
pub use session::{Session, Settings};
