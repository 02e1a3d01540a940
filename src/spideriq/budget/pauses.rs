//! The pauses that last: a reached spend cap, a wait that the service asked for, an address that it does not know; and
//! the single requests that try whether they still have to (`docs/adr/0018`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::brake::Brake;
use super::{Budget, LONGEST_WAIT, Lane, Ticket};

/// How often a submit tries what stops all submits of a client.
pub const SPEND_CAP_PROBE: Duration = Duration::from_secs(3600);
/// How long a spend cap that may be tried waits for somebody to come and try it.
pub const UNTRIED: Duration = Duration::from_secs(60);
/// A wait that the service asks for is obeyed to its end up to this; a longer one is tried so often by a read, where a
/// read was told, and by a submit an hour, where a submit was.
const LONG: Duration = Duration::from_secs(900);
/// People may have it tried at once, so often.
const WISHES: Duration = Duration::from_secs(60);
/// Types that the service takes nowhere are remembered; past that the one that may be tried first is forgotten.
const KINDS: usize = 64;

/// What is known of a client's spend cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SpendCap {
    #[default]
    Unknown,
    Open,
    /// As an earlier process knew it: what this one sends is newer.
    Restored,
    Reached,
}

/// The waits that the service itself asked for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// Until when everything waits.
    all: Option<Timestamp>,
    /// Whether that is long, so that reads try it before.
    tried_by_reads: bool,
    /// Until when submits wait.
    submits: Option<Timestamp>,
    /// When people last had something tried, or will.
    wished: Option<Timestamp>,
}

/// Submits of a type for which the service knows no address.
#[derive(Debug, PartialEq)]
pub(super) struct NotServed {
    since: Timestamp,
    why: Arc<str>,
    pub(super) brake: Brake,
}

/// The types that the service takes nowhere.
pub(super) type Kinds = BTreeMap<String, NotServed>;

impl Budget {
    /// Takes over that the service asks to wait.
    pub(super) fn throttled(
        &mut self,
        now: Timestamp,
        (lane, ticket): (Lane, Ticket),
        until: Option<Timestamp>,
        jitter: f64,
    ) {
        let Some(until) = until.filter(|until| *until > now) else {
            return self.account.failed(now, jitter, None);
        };
        let until = until.min(now + LONGEST_WAIT);
        if until <= now + LONG {
            self.account.hold(now, until);
            self.asked.all = self.asked.all.max(self.account.until);
        } else if lane == Lane::Submit {
            // A ceiling of submits: reads go on.
            self.account.answered(ticket, now);
            self.hold_submits(until, now + SPEND_CAP_PROBE);
        } else {
            self.account.hold(now, now + LONG);
            self.asked.all = self.asked.all.max(Some(until));
            self.asked.tried_by_reads = true;
        }
    }

    fn hold_submits(&mut self, until: Timestamp, tried_at: Timestamp) {
        self.lanes.entry(Lane::Submit).or_default().pause_until(until.min(tried_at));
        self.asked.submits = self.asked.submits.max(Some(until));
    }

    /// Takes over that a pause is over, where an answer has just said so.
    pub(super) fn note_end_of_pauses(&mut self, now: Timestamp) {
        if self.account.until.is_none() {
            self.asked.all = self.asked.all.map(|until| until.min(now));
            self.asked.tried_by_reads = false;
        }
        if self.lanes.get(&Lane::Submit).is_some_and(|brake| brake.until.is_none()) {
            self.asked.submits = self.asked.submits.map(|until| until.min(now));
        }
    }

    /// Takes over that the service knows no address for submits of this type: one at a time tries it from now on.
    pub(super) fn not_served(
        &mut self,
        now: Timestamp,
        (kind, ticket): (&str, Ticket),
        why: Arc<str>,
        jitter: f64,
    ) {
        let new = || NotServed { since: now, why, brake: Brake::default() };
        let known = self.kinds.entry(kind.to_owned()).or_insert_with(new);
        // Others that were under way together fail together.
        if known.brake.until.is_none() || known.brake.is_probe(ticket) {
            known.brake.failed(now, jitter, None);
        }
        while self.kinds.len() > KINDS {
            let first = self.kinds.iter().min_by_key(|(_, known)| known.brake.opens());
            let Some(first) = first.map(|(kind, _)| kind.clone()) else { return };
            self.kinds.remove(&first);
        }
    }

    /// Since when the service knows no address for submits of this type, and its words.
    pub fn is_not_served(&self, kind: &str) -> Option<(Timestamp, Arc<str>)> {
        self.kinds.get(kind).map(|known| (known.since, Arc::clone(&known.why)))
    }

    /// Has what pauses for long tried by a single request each, now or a minute after the last time.
    pub fn try_now(&mut self, now: Timestamp) {
        if self.spend_cap == SpendCap::Unknown {
            // What an earlier process knew is not put back any more.
            self.spend_cap = SpendCap::Open;
        }
        if self.asked.wished.is_some_and(|wished| wished > now) {
            return;
        }
        let soonest = self.asked.wished.and_then(|last| last.checked_add(WISHES).ok());
        let at = soonest.map_or(now, |soonest| soonest.max(now));
        let long = Some(&mut self.account).filter(|_| self.asked.tried_by_reads);
        let kinds = self.kinds.values_mut().map(|known| &mut known.brake);
        let paused = long.into_iter().chain(self.lanes.values_mut()).chain(kinds);
        for brake in paused.filter(|brake| brake.until.is_some_and(|until| until > now)) {
            brake.ends(at);
            self.asked.wished = Some(at);
        }
    }

    /// Whether submits are left to reads to try: the service asked for a long pause of everything.
    pub(super) fn waits_for_read(&self) -> bool {
        self.asked.tried_by_reads && self.account.until.is_some()
    }

    /// When a read tries a long pause of everything, where there is one; nobody may be there to read.
    pub fn read_tries_at(&self) -> Option<Timestamp> {
        self.account.until.filter(|_| self.asked.tried_by_reads)
    }

    /// Until when the service itself asked to wait; our own pauses do not count.
    pub fn service_pause(&self, now: Timestamp) -> Option<Timestamp> {
        self.asked.all.filter(|until| *until > now)
    }

    /// Until when the service itself asked to submit nothing.
    pub fn submits_pause(&self, now: Timestamp) -> Option<Timestamp> {
        self.asked.submits.filter(|until| *until > now)
    }

    /// Puts a pause back that an earlier process was asked for. A long one may have been of submits alone, as releases
    /// before 0.2 wrote it down: a read finds out at once.
    pub fn restore_pause(&mut self, now: Timestamp, until: Timestamp) {
        if until <= now || self.asked.all.is_some() {
            return;
        }
        let until = until.min(now + LONGEST_WAIT);
        self.asked.all = Some(until);
        if until > now + LONG {
            self.account.pause_until(now);
            self.asked.tried_by_reads = true;
            self.restore_submits_pause(now, until);
        } else {
            self.account.hold(now, until);
        }
        self.note_outage(now, Some(now));
    }

    /// Puts a pause of submits back. It is tried soon: the process before may have been about to.
    pub fn restore_submits_pause(&mut self, now: Timestamp, until: Timestamp) {
        if until > now && self.asked.submits.is_none() {
            self.hold_submits(until.min(now + LONGEST_WAIT), now + LONG);
        }
    }

    /// When a submit tries the spend cap again, where that is reached; a time in the past is now.
    pub fn spend_cap(&self) -> Option<Timestamp> {
        let until = self.lanes.get(&Lane::Submit).and_then(|brake| brake.until);
        until.filter(|_| matches!(self.spend_cap, SpendCap::Restored | SpendCap::Reached))
    }

    /// Takes over from an earlier process that the spend cap is reached, and when it is to be tried again.
    pub fn restore_spend_cap(&mut self, now: Timestamp, until: Timestamp) {
        if self.spend_cap == SpendCap::Unknown {
            self.lanes.entry(Lane::Submit).or_default().pause_until(until.clamp(now, now + SPEND_CAP_PROBE));
            self.spend_cap = SpendCap::Restored;
        }
    }

    /// Forgets a spend cap that might have been tried for a minute and that nobody is there to try; says whether there
    /// was one.
    pub fn forget_untried_cap(&mut self, now: Timestamp) -> bool {
        let opens = self.lanes.get(&Lane::Submit).and_then(Brake::opens);
        let untried = opens.is_some_and(|opens| now >= opens.saturating_add(UNTRIED).unwrap_or(opens));
        let forgotten = self.spend_cap().is_some() && untried && self.queue.waiting(Lane::Submit) == 0;
        if forgotten {
            self.spend_cap = SpendCap::Unknown;
        }
        forgotten
    }
}
