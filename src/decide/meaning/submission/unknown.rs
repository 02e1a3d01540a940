//! A submit whose outcome is not known: which one, whether its request can still be under way, and whether sending it again
//! is only a look-up.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::intended::{Intended, intended};
use super::record::Submission;
use crate::api::{State, SubmissionRecord};
use crate::decide::facts::Observed;
use crate::decide::record::IntentFacts;

/// How long this process must have seen a nonce before it takes the outcome as unknown: longer than any request
/// that another process may still have under way (5 s to begin, 8 s to run, and a margin).
const SETTLE: Duration = Duration::from_secs(18);

/// How long after the first attempt a repeat is still a look-up: the service de-duplicates for 24 h.
const REPEATABLE: SignedDuration = SignedDuration::from_hours(20);

/// A recorded time may be this far ahead of our clock; more is taken as older than `REPEATABLE`.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(300);

/// The submission whose outcome is not known, if there is one: a nonce without a job id, or the intent of a
/// restored object that had another uid when it was written.
pub(in crate::decide) fn unknown_submission(o: &Observed) -> Option<SubmissionRecord> {
    match Submission::of(&o.recorded) {
        Submission::Attempted(record) => {
            let never_sent = o.memory.unsent && record.attempt == Some(1);
            // What nothing was sent with has not used up what it was allowed by.
            let resubmitted = record.resubmitted.filter(|_| !o.memory.unsent);
            (!never_sent).then(|| SubmissionRecord { resubmitted, ..record.clone() })
        }
        Submission::Nothing => match intended(o) {
            Intended::Ours(intent) if intent.job_id.is_none() => {
                // It names the client as whoever wrote it likes; that it is this account's is what was compared.
                let client = o.account.usable().and_then(|account| account.client_id.clone());
                let record = intent.record();
                Some(SubmissionRecord { client_id: client.or(record.client_id), ..record })
            }
            Intended::Ours(_) | Intended::Nothing | Intended::Unclear(_) | Intended::Unproven(_) => None,
        },
        Submission::Refused(_)
        | Submission::Mirrored(_)
        | Submission::Accepted(..)
        | Submission::Unexplained(_) => None,
    }
}

/// Whether no request of the recorded attempt can still be under way: this process ended it, or has seen it for long
/// enough. What is held was settled when it was.
pub(in crate::decide) fn is_settled(o: &Observed, record: &SubmissionRecord) -> bool {
    let held = o.recorded.current_state() == State::Held && record.nonce.is_some();
    held || o.memory.ended_here || o.memory.unsent || is_seen_for_long(o)
}

/// Whether this process has seen the nonce for longer than any request of another one takes.
pub(in crate::decide) fn is_seen_for_long(o: &Observed) -> bool {
    o.memory.nonce_seen_for >= SETTLE
}

/// How long until an unknown outcome is settled; `None` where there is none, or it is.
pub(in crate::decide) fn settles_in(o: &Observed) -> Option<Duration> {
    unknown_submission(o)
        .filter(|record| !is_settled(o, record))
        .map(|_| SETTLE.saturating_sub(o.memory.nonce_seen_for))
}

/// Whether sending the body again is only a look-up: the service de-duplicates the type, and still remembers.
pub(in crate::decide) fn repeatable(o: &Observed, record: &SubmissionRecord) -> bool {
    let recorded = record.started_at.as_ref().map(|time| time.0);
    let intended = match &o.intent {
        IntentFacts::Found(intent) if Some(&intent.nonce) == record.nonce.as_ref() => Some(intent.time),
        IntentFacts::Found(_) | IntentFacts::None | IntentFacts::Unreadable => None,
    };
    let fresh = |time: Timestamp| {
        let ago = o.attempted_ago(time);
        -ago <= CLOCK_SLACK && ago < REPEATABLE
    };
    deduplicates(o) && recorded.is_some_and(fresh) && intended.is_none_or(fresh)
}

/// The types that the service de-duplicates for sure enough (contract section 3); every other one is taken to
/// act, and to charge, again.
fn deduplicates(o: &Observed) -> bool {
    match o.job.spec.type_.as_deref() {
        Some("spiderSite" | "spiderVerify" | "spiderPeople" | "spiderCompanyData" | "spiderVideo") => true,
        Some("spiderMaps") => o.job.body.as_ref().is_some_and(|body| !body.workflow),
        Some(_) | None => false,
    }
}
