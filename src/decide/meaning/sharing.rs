//! Whether another object uses a job that is about to be cancelled: then nobody cancels it (`docs/adr/0003`).
//!
//! What the operator sent or recorded counts, whatever becomes of its account. What was never sent nor seen is a mere
//! wish: anybody may write one, so it counts only if its account could have the job, and only if it is older than the
//! cancel (`docs/adr/0014`).

use k8s_openapi::jiff::Timestamp;

use super::submission::was_sent;
use crate::api::{Origin, ScrapeJob, SubmissionRecord};
use crate::decide::facts::ClientIdentity;
use crate::decide::record::KeptBody;

/// What another object has to do with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nothing, or nothing any more.
    None,
    /// It follows the job, or has sent a submit that may have been answered with it.
    Recorded,
    /// The same, by a record that names the client otherwise: it counts if an account knows both names as one client's.
    OtherName,
    /// It is still to be submitted with an equal payload, or still to see the job: it counts if its account is of the
    /// same client.
    Wants,
}

/// One of two objects that may share a job.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// The object.
    pub job: &'a ScrapeJob,
    /// The body that its spec makes.
    pub body: Option<&'a KeptBody>,
    /// When it was made, or its spec last changed.
    pub touched: Option<Timestamp>,
}

/// What `other`, as a live list shows it, has to do with the job of `ours`.
pub fn share(ours: &Party<'_>, other: &Party<'_>) -> Share {
    let Party { job: ours, body: now, touched: asked } = *ours;
    let Party { job: other, body: theirs, touched } = *other;
    let equal =
        || theirs.is_some_and(|theirs| is_payload_of(theirs, ours, now)) || sent_the_same(ours, other);
    if other.metadata.deletion_timestamp.is_some() {
        return Share::None;
    }
    let recorded = || by_records(&ClientIdentity::recorded(ours), &ClientIdentity::recorded(other));
    let wants = || if is_late((ours, asked), touched) { Share::None } else { Share::Wants };
    let finished = other.status.as_ref().is_some_and(|status| status.finished);
    let has = job_id(other);
    if !finished && has.is_some() && has == job_id(ours) {
        return if is_seen(other) { recorded() } else { wants() };
    }
    // A run that is still to be submitted may receive the job as the answer to an equal payload.
    let next_run = other.status.as_ref().is_some_and(|status| status.run() != other.spec.run());
    let submits = next_run || (has.is_none() && !finished);
    // Held back or not, what was sent may have been answered with it.
    let unknown = !next_run && other.status.as_ref().is_some_and(was_sent);
    let held_back = (other.spec.suspended() && !unknown) || other.spec.cancel == Some(true);
    if !submits || held_back || type_of(other) != type_of(ours) || !equal() {
        return Share::None;
    }
    if unknown && is_of_an_account(other) { recorded() } else { wants() }
}

/// Whether what was sent is known from more than an annotation, which anybody may write: the operator records its own
/// attempts with the credentials of an account. Where it has lost the record, its own word on the state tells.
fn is_of_an_account(other: &ScrapeJob) -> bool {
    submission(other).is_none_or(|record| record.credential.is_some())
}

/// What a record of the same job, or of the same submit, comes to.
fn by_records(ours: &ClientIdentity, theirs: &ClientIdentity) -> Share {
    if ours.may_be(theirs) {
        Share::Recorded
    } else if ours.may_be_beside(theirs) {
        Share::OtherName
    } else {
        Share::None
    }
}

/// Whether the service was seen to know the job that an object names: a mirror may name any, and so may the annotation from
/// which a job is adopted.
fn is_seen(other: &ScrapeJob) -> bool {
    let remote = other.status.as_ref().and_then(|status| status.remote.as_ref());
    let named = match submission(other).and_then(|record| record.origin) {
        Some(Origin::Adopted) => true,
        Some(Origin::Submitted | Origin::Cached | Origin::Mirrored) => false,
        None => other.spec.job_id.is_some() && submission(other).is_none(),
    };
    !named || remote.is_some_and(|remote| remote.state.is_some())
}

/// Whether an object was made, or its spec changed, after the end of our job had begun: else whoever makes one after the
/// other would keep it running for ever. In the same second nobody can tell.
///
/// A cancel begins by the operator's clock, and everything else is told by the API server's: where the former is behind, what
/// asked for the cancel shows that it began no earlier than that.
fn is_late((ours, asked): (&ScrapeJob, Option<Timestamp>), touched: Option<Timestamp>) -> bool {
    let cancelled = ours.status.as_ref().and_then(|status| status.cancel_time.as_ref());
    let cancelled = cancelled.map(|time| asked.map_or(time.0, |asked| asked.max(time.0)));
    let deleted = ours.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    let begun = cancelled.into_iter().chain(deleted).min();
    let second = |time: Timestamp| time.as_second();
    touched.zip(begun).is_some_and(|(at, begun)| second(at) > second(begun))
}

/// Whether a payload is the one that our job was submitted with: the spec may name another run by now. Where the record of
/// that is lost, the spec is all there is; where another release made the hash, it may be.
fn is_payload_of(theirs: &KeptBody, ours: &ScrapeJob, now: Option<&KeptBody>) -> bool {
    let recorded =
        submission(ours).and_then(|record| record.body_hash.as_ref()).or(now.map(|body| &body.hash));
    recorded.is_some_and(|recorded| theirs.has_payload_of(recorded).unwrap_or(true))
}

/// Whether the other has sent the same payload, whatever its spec can be read to say now.
fn sent_the_same(ours: &ScrapeJob, other: &ScrapeJob) -> bool {
    let (ours, theirs) = (submission(ours), submission(other));
    let of = |hash: fn(&SubmissionRecord) -> Option<&str>| {
        ours.and_then(hash).is_some_and(|ours| theirs.and_then(hash) == Some(ours))
    };
    theirs.is_some_and(|record| record.nonce.is_some())
        && (of(|record| record.payload_hash.as_deref()) || of(|record| record.body_hash.as_deref()))
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
