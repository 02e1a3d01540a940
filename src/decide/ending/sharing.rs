//! Whether another object uses a job that is about to be cancelled: then nobody cancels it (`docs/adr/0003`).

use crate::api::{ScrapeJob, SubmissionRecord};
use crate::decide::{KeptBody, was_sent};

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

/// What `other`, as a live list shows it, has to do with the job of `ours`. The bodies are those that the two specs make.
pub fn share(
    (ours, now): (&ScrapeJob, Option<&KeptBody>),
    (other, theirs): (&ScrapeJob, Option<&KeptBody>),
) -> Share {
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
    let equal = submits
        && !held_back
        && type_of(other) == type_of(ours)
        && (theirs.is_some_and(|theirs| is_payload_of(theirs, ours, now)) || sent_the_same(ours, other));
    if equal { Share::MayReceive } else { Share::None }
}

/// Whether a payload is the one that our job was submitted with: the spec may name another run by now. Where the record of
/// that is lost, the spec is all there is; where another release made the hash, it may be.
fn is_payload_of(theirs: &KeptBody, ours: &ScrapeJob, now: Option<&KeptBody>) -> bool {
    let submission = ours.status.as_ref().and_then(|status| status.submission.as_ref());
    let recorded = submission.and_then(|record| record.body_hash.as_ref()).or(now.map(|body| &body.hash));
    recorded.is_some_and(|recorded| theirs.has_payload_of(recorded).unwrap_or(true))
}

/// Whether the other has sent the same payload, whatever its spec can be read to say now.
fn sent_the_same(ours: &ScrapeJob, other: &ScrapeJob) -> bool {
    let submission = |job: &'_ ScrapeJob| job.status.as_ref().and_then(|status| status.submission.clone());
    let (ours, theirs) = (submission(ours), submission(other));
    let (ours, theirs) = (ours.as_ref(), theirs.as_ref());
    let of = |hash: fn(&SubmissionRecord) -> Option<&str>| {
        ours.and_then(hash).is_some_and(|ours| theirs.and_then(hash) == Some(ours))
    };
    theirs.is_some_and(|record| record.nonce.is_some())
        && (of(|record| record.payload_hash.as_deref()) || of(|record| record.body_hash.as_deref()))
}

fn job_id(job: &ScrapeJob) -> Option<&str> {
    let recorded = job.status.as_ref().and_then(|status| status.job_id.as_deref());
    recorded.or(job.spec.job_id.as_deref())
}

fn type_of(job: &ScrapeJob) -> Option<&str> {
    let recorded = job.status.as_ref().and_then(|status| status.type_.as_deref());
    recorded.or(job.spec.type_.as_deref())
}
