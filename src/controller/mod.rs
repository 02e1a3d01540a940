//! The pipeline: observe, decide, act, settle, write — for jobs, and in short for accounts.
//!
//! It joins the rooms and decides nothing itself.

mod accounts;
mod act;
mod context;
mod drive;
mod jobs;
mod observe;
mod watch;
mod write;

pub use accounts::run as run_accounts;
pub use context::accounts::{AccountWriters, Known, account_caches};
pub use context::table::Jobs;
pub use context::{Context, Options, Stopping};
pub use jobs::run as run_jobs;
