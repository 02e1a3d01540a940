//! `ScrapeJob`: what a user writes, and what the operator says.

mod owed;
pub(in crate::api) mod payload;
#[allow(
    unreachable_pub,
    reason = "the derived schema module hides from the lint that these items are exported"
)]
mod spec;
mod status;

pub use owed::Owed;
pub use payload::{Payload, Unfit};
pub use spec::{
    AccountRef, DeletionPolicy, OnAmbiguous, OnCacheHit, Poll, ReadyWhen, ScrapeJob, ScrapeJobSpec,
    Submission, TtlPolicy, is_job_id,
};
pub use status::{
    CancelReason, Credential, JobAccount, Origin, Remote, Results, Run, ScrapeJobStatus, State,
    SubmissionRecord,
};
