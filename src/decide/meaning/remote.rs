//! What the facts say of the job at the service: whether they can be believed, whether they are fresh, whether it is over.

use std::time::Duration;

use super::submission::Submission;
use crate::api::{Origin, Owed, Reason, ScrapeJobStatus};
use crate::decide::facts::{AccountFacts, Observed, RemoteState, Trouble, since};
use crate::decide::message::{Follow, Message, Wait};
use crate::decide::plan::Freshness;
use crate::decide::record::Recorded;

/// A job is gone only when the service says so twice, this far apart: one 404 may be a fault of the service.
const VANISHED_AFTER: Duration = Duration::from_secs(60);

/// How old the last good look may be, at the least, before an error makes the mirror stale.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// The same in poll intervals.
const STALE_INTERVALS: u32 = 5;

/// How often, and for how long, the reads at the end are tried before they are given up (R7).
const READS: u32 = 5;

const READING: Duration = Duration::from_secs(600);

/// How long they wait for their turns in the budget, where that is all that holds them up.
const TURNS: Duration = Duration::from_secs(3600);

/// How long a failed job waits for the service's words on it: only the answer to a read of its results says them.
const WORDS_WITHIN: Duration = Duration::from_secs(5);

/// The poll interval of a job whose spec names none, in seconds: the status page says 2 to 5.
const POLL_SECONDS: i32 = 3;

/// Whether the service has said for long enough that it does not know a job, first and last so far apart: one rule for
/// what is followed and for what is to be cancelled.
pub(in crate::decide) fn is_gone(unknown_for: Duration) -> bool {
    unknown_for >= VANISHED_AFTER
}

/// The terminal state that the service told, whether recorded or just seen.
pub(in crate::decide) fn terminal_state(o: &Observed) -> Option<RemoteState> {
    let recorded =
        o.recorded.remote.as_ref().and_then(|remote| remote.state.as_deref()).map(RemoteState::parse);
    let seen = o.watched.latest.as_ref().filter(|_| believed(o)).map(|job| job.state.clone());
    recorded.filter(RemoteState::is_terminal).or_else(|| seen.filter(RemoteState::is_terminal))
}

/// How much longer the reads at the end are tried, after the failures so far and whatever else held them up.
pub(in crate::decide) fn reads_end_in(o: &Observed) -> Duration {
    if o.memory.failed_reads >= READS {
        return Duration::ZERO;
    }
    let whole = TURNS.saturating_sub(o.memory.over_seen_for);
    if o.memory.failed_reads == 0 && believed(o) {
        return whole;
    }
    // One failure after a long wait for a turn is no reason to give up.
    let failing = o.memory.unreadable_since.map_or(Duration::ZERO, |at| since(at, o.steady));
    whole.min(READING.saturating_sub(failing))
}

/// The next of these reads, where the account may still make it.
pub(in crate::decide) fn next_read(o: &Observed, owed: &[Owed]) -> Option<Owed> {
    let unread = |read: &Owed| *read == Owed::Results || o.memory.details.is_none();
    owed.iter().copied().find(unread).filter(|_| believed(o) && !reads_end_in(o).is_zero())
}

/// How much longer a failed job waits for the service's words on it, before it is shown without them.
pub(in crate::decide) fn reason_comes_in(o: &Observed) -> Duration {
    WORDS_WITHIN.saturating_sub(o.memory.over_seen_for)
}

/// Whether the account is proven to be of the client that the job belongs to; what another client's credentials
/// are told about the job means nothing. A mirrored job belongs to whoever the account is, until one was seen.
pub(in crate::decide) fn believed(o: &Observed) -> bool {
    match (&o.account, Submission::of(&o.recorded).record()) {
        (AccountFacts::Usable(account), Some(record)) => {
            account.proves(record) || (record.client_id.is_none() && record.credential.is_none())
        }
        (AccountFacts::Usable(_), None) => true,
        (AccountFacts::Missing { .. } | AccountFacts::Unusable { .. } | AccountFacts::Rejected { .. }, _) => {
            false
        }
    }
}

/// Whether the service was ever seen to know the job.
pub(in crate::decide) fn seen_before(o: &Observed) -> bool {
    let recorded = o.recorded.remote.as_ref().is_some_and(|remote| remote.state.is_some());
    recorded
        || matches!(Submission::of(&o.recorded), Submission::Accepted(Origin::Submitted | Origin::Cached, _))
}

/// Whether the mirror is fresh. A slow queue for the budget alone makes nothing stale: only an error does, and
/// only when the last good look is old, so that an outage does not write twice for every object (R13).
pub(in crate::decide) fn freshness(o: &Observed) -> Freshness {
    let account = match &o.account {
        AccountFacts::Missing { kind, name } => {
            let wait = Wait::NoAccount { kind: *kind, name: name.clone() };
            return Freshness::Stale(Reason::AccountNotFound, wait.into());
        }
        AccountFacts::Unusable { reason, message, fingerprint: _ } => {
            return Freshness::Stale(*reason, Message::Said(message.clone()));
        }
        AccountFacts::Rejected { message, .. } => {
            return Freshness::Stale(Reason::CredentialsRejected, Wait::Rejected(message.clone()).into());
        }
        AccountFacts::Usable(account) => account,
    };
    if !believed(o) {
        return Freshness::Stale(Reason::TenantChanged, Follow::TenantChanged(account.title()).into());
    }
    let old = o.watched.read_at.is_none_or(|at| o.steady > at + stale_after(o));
    match &o.watched.trouble {
        None if o.watched.read_at.is_some() => Freshness::Fresh,
        None | Some(Trouble::NoBudget(_)) => Freshness::Unchanged,
        Some(_) if !old => Freshness::Unchanged,
        Some(Trouble::Rejected(words)) => {
            Freshness::Stale(Reason::CredentialsRejected, Wait::Rejected(words.clone()).into())
        }
        Some(Trouble::Throttled(_, words)) => {
            Freshness::Stale(Reason::RateLimited, Wait::service(words).into())
        }
        Some(Trouble::SpendCap(words) | Trouble::NotFound(words) | Trouble::Unavailable(words)) => {
            Freshness::Stale(Reason::ServiceUnavailable, Wait::service(words).into())
        }
    }
}

/// Whether the spec makes another body than the one that this run submitted. The schema forbids it but for a top-level
/// key of the payload that it does not know, renamed.
pub(in crate::decide) fn payload_changed(o: &Observed, record: &ScrapeJobStatus) -> bool {
    let submitted = record.submission.as_ref().and_then(|submission| submission.body_hash.as_deref());
    let same_run = record.run() == o.job.spec.run();
    same_run
        && submitted
            .zip(o.job.body.as_ref())
            .is_some_and(|(submitted, body)| body.recorded(submitted) == Recorded::Other)
}

/// The age of the last good look from which an error makes the mirror stale.
pub(in crate::decide) fn stale_after(o: &Observed) -> Duration {
    (poll_interval(o) * STALE_INTERVALS).max(STALE_AFTER)
}

/// The poll interval of this job: how often the poller should look at it.
pub fn poll_interval(o: &Observed) -> Duration {
    let seconds = o.job.spec.poll.as_ref().and_then(|poll| poll.interval_seconds).unwrap_or(POLL_SECONDS);
    Duration::from_secs(seconds.max(POLL_SECONDS).unsigned_abs().into())
}
