//! What the service's answers look like, read as leniently as the contract asks for.

mod clean;
mod details;
mod pick;
mod results;
mod status;
mod text;

pub(super) use clean::clean;
pub use details::Details;
pub(super) use results::summarise;
pub use results::{Summary, SummaryState};
pub use status::{Accepted, JobState, JobStatus, ListPage, ListRow, Whoami, is_job_id};
pub(super) use status::{CancelBody, SubmitBody, is_type};
pub(super) use text::{lines, text};
