//! A job as the operator keeps it: what the cache has of it, and what that says.

mod facts;
mod job;
mod marks;
mod rest;

pub use facts::{intent_of, is_at_rest, is_new, job_facts, job_id, key, misnamed, recorded};
pub use job::CachedJob;
pub use marks::requested;
pub use rest::{Rest, rest, status_of};
