//! What the service's answers look like, read as leniently as the contract asks for.

mod details;
mod results;
mod status;
mod text;

pub use details::Details;
pub use results::{Summary, SummaryState};
pub(super) use results::summarise;
pub use status::{Accepted, JobState, JobStatus, ListRow, Whoami, is_job_id, is_type};
pub(super) use status::{CancelBody, ListBody, SubmitBody};
pub(super) use text::{text, timestamp};
