//! The pipeline: observe, decide, act, settle, write — for jobs, and in short for accounts.
//!
//! It joins the rooms and decides nothing itself.

mod accounts;
mod act;
mod context;
mod jobs;
mod observe;
mod pause;
mod record;
mod watch;

pub use accounts::run as run_accounts;
pub use accounts::{AccountWriters, Known, account_caches};
pub use context::{CachedJob, Context, Options, Stopping};
pub use jobs::run as run_jobs;
pub use observe::{Facts, Planned, Then, manifest, plan};
