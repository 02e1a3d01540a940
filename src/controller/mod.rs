//! The pipeline: observe, decide, act, settle, write — for jobs, and in short for accounts.
//!
//! It joins the rooms and decides nothing itself.

mod accounts;
mod act;
mod context;
mod facts;
mod jobs;
mod memory;
mod observe;

pub use accounts::run as run_accounts;
pub use context::{Context, Options};
pub use jobs::run as run_jobs;
