//! What the service's answers look like, read as leniently as the contract asks for.

mod details;
mod results;
mod status;
mod text;

pub use details::Details;
pub(super) use results::summarise;
pub use results::{Summary, SummaryState};
pub use status::{Accepted, JobState, JobStatus, ListRow, Whoami, is_job_id};
pub(super) use status::{CancelBody, ListBody, ProbeBody, SubmitBody, is_type};
pub(super) use text::text;
