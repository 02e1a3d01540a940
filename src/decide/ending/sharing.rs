//! Whether another object uses a job that is about to be cancelled: then nobody cancels it (`docs/adr/0003`).
//!
//! What the operator sent or recorded counts, whatever becomes of its account. What was never sent nor seen is a mere
//! wish: anybody may write one, so it counts only if its account could have the job, and only if it is older than the
//! cancel (`docs/adr/0014`).

use k8s_openapi::jiff::Timestamp;

use crate::api::{ScrapeJob, SubmissionRecord};
use crate::decide::Body;

/// What another object has to do with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nothing, or nothing any more.
    None,
    /// It follows the job, or has sent a submit that may have been answered with it.
    Recorded,
    /// It is still to be submitted with an equal payload, or still to see the job: it counts if its account is of the
    /// same client.
    Wants,
}

/// What `other`, as a live list shows it, has to do with the job of `ours`.
pub fn share(ours: &ScrapeJob, other: &ScrapeJob) -> Share {
    if other.metadata.deletion_timestamp.is_some() {
        return Share::None;
    }
    let recorded = || if may_be_one(ours, other) { Share::Recorded } else { Share::None };
    let wants = || if is_late(ours, other) { Share::None } else { Share::Wants };
    let finished = other.status.as_ref().is_some_and(|status| status.finished);
    let has = job_id(other);
    if !finished && has.is_some() && has == job_id(ours) {
        return if is_seen(other) { recorded() } else { wants() };
    }
    // A run that is still to be submitted may receive the job as the answer to an equal payload.
    let next_run = other.status.as_ref().is_some_and(|status| status.run() != other.spec.run());
    let submits = next_run || (has.is_none() && !finished);
    // Held back or not, what was sent may have been answered with it.
    let unknown = !next_run && submission(other).is_some_and(|record| record.nonce.is_some());
    let held_back = (other.spec.suspended() && !unknown) || other.spec.cancel == Some(true);
    if !submits || held_back || type_of(other) != type_of(ours) || !equal_payload(ours, other) {
        return Share::None;
    }
    if unknown { recorded() } else { wants() }
}

/// Whether the service was seen to know the job that an object names: a mirror may name any.
fn is_seen(other: &ScrapeJob) -> bool {
    let remote = other.status.as_ref().and_then(|status| status.remote.as_ref());
    other.spec.job_id.is_none()
        || submission(other).is_some()
        || remote.is_some_and(|remote| remote.state.is_some())
}

/// Whether what was recorded of both may be of one client: one that is not known may be any.
fn may_be_one(ours: &ScrapeJob, other: &ScrapeJob) -> bool {
    let Some((ours, theirs)) = submission(ours).zip(submission(other)) else { return true };
    let equal = |ours: &Option<String>, theirs: &Option<String>| {
        ours.as_ref().zip(theirs.as_ref()).is_none_or(|(ours, theirs)| ours == theirs)
    };
    equal(&ours.endpoint, &theirs.endpoint) && equal(&ours.client_id, &theirs.client_id)
}

/// Whether an object was made, or its spec changed, after the end of our job had begun: else whoever makes one after the
/// other would keep it running for ever. In the same second nobody can tell.
fn is_late(ours: &ScrapeJob, other: &ScrapeJob) -> bool {
    let cancelled = ours.status.as_ref().and_then(|status| status.cancel_time.as_ref());
    let begun = cancelled.into_iter().chain(&ours.metadata.deletion_timestamp).map(|time| time.0).min();
    let edits = other
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:spec").is_some()));
    let touched = edits.filter_map(|entry| entry.time.as_ref()).chain(&other.metadata.creation_timestamp);
    let second = |time: Timestamp| time.as_second();
    touched.map(|time| time.0).max().zip(begun).is_some_and(|(at, begun)| second(at) > second(begun))
}

/// Whether the other's payload is the one that our job was submitted with: the spec may name another run by now.
fn equal_payload(ours: &ScrapeJob, other: &ScrapeJob) -> bool {
    let recorded = submission(ours).and_then(|record| record.body_hash.as_deref());
    other.spec.payload.as_ref().is_some_and(|payload| Body::new(payload, None).has_payload_of(recorded))
}

fn submission(job: &ScrapeJob) -> Option<&SubmissionRecord> {
    job.status.as_ref().and_then(|status| status.submission.as_ref())
}

fn job_id(job: &ScrapeJob) -> Option<&str> {
    let recorded = job.status.as_ref().and_then(|status| status.job_id.as_deref());
    recorded.or(job.spec.job_id.as_deref())
}

fn type_of(job: &ScrapeJob) -> Option<&str> {
    let recorded = job.status.as_ref().and_then(|status| status.type_.as_deref());
    recorded.or(job.spec.type_.as_deref())
}
