//! Jobs: what they are, how they move along their course, and the store of them.
//!
//! Knows job time only as an argument; knows nothing of HTTP.

mod job;
pub(crate) mod payload;
pub(crate) mod results;
mod store;

pub use job::JobView;
pub(crate) use job::{Job, NewJob, default_priority};
pub(crate) use store::{Moved, Store, dedup_key};
