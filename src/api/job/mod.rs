//! `ScrapeJob`: what a user writes, and what the operator says.

#[allow(
    unreachable_pub,
    reason = "the derived schema module hides from the lint that these items are exported"
)]
mod spec;
mod status;

pub use spec::{
    AccountKind, AccountRef, DeletionPolicy, OnAmbiguous, OnCacheHit, Payload, Poll, ReadyWhen, ScrapeJob,
    ScrapeJobSpec, Submission, TtlPolicy, is_job_id,
};
pub use status::{
    CancelReason, Credential, JobAccount, Origin, Remote, Results, Run, ScrapeJobStatus, State,
    SubmissionRecord,
};
