//! Whether another object uses a job that is about to be cancelled: then nobody cancels it (`docs/adr/0003`).

use crate::api::ScrapeJob;
use crate::decide::{Body, was_sent};

/// What another object has to do with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nothing, or nothing any more.
    None,
    /// It follows the job.
    Follows,
    /// Its submit may be answered with the job, if it is of the same client.
    MayReceive,
}

/// What `other`, as a live list shows it, has to do with the job of `ours`.
pub fn share(ours: &ScrapeJob, other: &ScrapeJob) -> Share {
    if other.metadata.deletion_timestamp.is_some() {
        return Share::None;
    }
    let finished = other.status.as_ref().is_some_and(|status| status.finished);
    let has = job_id(other);
    if !finished && has.is_some() && has == job_id(ours) {
        return Share::Follows;
    }
    // A run that is still to be submitted may receive the job as the answer to an equal payload.
    let next_run = other.status.as_ref().is_some_and(|status| status.run() != other.spec.run());
    let submits = next_run || (has.is_none() && !finished);
    // Held back or not, what was sent may have been answered with it.
    let unknown = !next_run && other.status.as_ref().is_some_and(was_sent);
    let held_back = (other.spec.suspended() && !unknown) || other.spec.cancel == Some(true);
    let equal = submits && !held_back && type_of(other) == type_of(ours) && equal_payload(ours, other);
    if equal { Share::MayReceive } else { Share::None }
}

/// Whether the other's payload is the one that our job was submitted with: the spec may name another run by now. Where the
/// record of that is lost, the spec is all there is; where another release made the hash, it may be.
fn equal_payload(ours: &ScrapeJob, other: &ScrapeJob) -> bool {
    let submission = ours.status.as_ref().and_then(|status| status.submission.as_ref());
    let recorded = submission.and_then(|record| record.body_hash.clone());
    recorded
        .or_else(|| Some(Body::new(ours.spec.payload.as_ref()?, None).hash))
        .zip(other.spec.payload.as_ref())
        .is_some_and(|(recorded, payload)| Body::new(payload, None).has_payload_of(&recorded).unwrap_or(true))
}

fn job_id(job: &ScrapeJob) -> Option<&str> {
    let recorded = job.status.as_ref().and_then(|status| status.job_id.as_deref());
    recorded.or(job.spec.job_id.as_deref())
}

fn type_of(job: &ScrapeJob) -> Option<&str> {
    let recorded = job.status.as_ref().and_then(|status| status.type_.as_deref());
    recorded.or(job.spec.type_.as_deref())
}
