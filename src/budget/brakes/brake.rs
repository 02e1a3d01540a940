//! Stops something for a while after failures, and then lets a single probe out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::budget::request::Ticket;

/// The longest that a wait asked for by the service is believed.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// How often a submit tries what stops all submits of a client: a spend cap, or a ceiling that the service named.
pub const SUBMITS_PROBE: Duration = Duration::from_secs(3600);
/// The first pause; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(2);
/// The longest pause that we choose ourselves.
const LONGEST: Duration = Duration::from_secs(300);

/// Whether something is stopped, and who tries whether it still has to be.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Brake {
    failures: u32,
    /// The end of the pause; it stays set until the probe after it succeeds.
    pub(super) until: Option<Timestamp>,
    probe: Option<Ticket>,
    /// Who failed last, so that the failures of two can be told from two failures of one.
    pub(super) last_failed: Option<String>,
    /// What went wrong last, where that is why it is stopped.
    pub(super) why: Option<Arc<str>>,
}

impl Brake {
    /// Whether a request may go out: no pause, or its end has come and no probe is out.
    pub(super) fn lets_pass(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until <= now && self.probe.is_none())
    }

    /// When it may let one pass again; `None` while only the probe's answer can tell.
    pub(super) fn opens(&self) -> Option<Timestamp> {
        match (self.until, self.probe) {
            (None, _) => Some(Timestamp::MIN),
            (Some(until), None) => Some(until),
            (Some(_), Some(_)) => None,
        }
    }

    /// A request was let out; after a pause it is the probe.
    pub(super) fn passed(&mut self, ticket: Ticket) {
        if self.until.is_some() {
            self.probe = Some(ticket);
        }
    }

    pub(super) fn is_probe(&self, ticket: Ticket) -> bool {
        self.probe == Some(ticket)
    }

    /// The probe is over, whatever came of it.
    pub(super) fn probe_withdrawn(&mut self, ticket: Ticket) {
        if self.probe == Some(ticket) {
            self.probe = None;
        }
    }

    /// A request was answered well. A pause is over only when its probe says so: what was under way when it began
    /// says nothing about it.
    pub(super) fn answered(&mut self, ticket: Ticket, now: Timestamp) {
        if self.until.is_none_or(|until| until <= now && self.is_probe(ticket)) {
            *self = Self::default();
        }
    }

    /// One more failure, in words where people are told of it: twice the pause, spread between half and all of it.
    pub(super) fn failed(&mut self, now: Timestamp, jitter: f64, why: Option<&Arc<str>>) {
        self.why = why.cloned();
        let whole = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.pause(now, whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0));
    }

    /// A pause ends now; what comes after it is still a single probe.
    pub(super) fn ends(&mut self, now: Timestamp) {
        self.until = self.until.map(|until| until.min(now));
    }

    /// A pause that the service itself asked for; one in the past is none.
    pub(super) fn hold(&mut self, now: Timestamp, until: Timestamp) {
        if until > now {
            let asked = Duration::try_from(until.duration_since(now)).unwrap_or(LONGEST_WAIT);
            self.pause(now, asked.min(LONGEST_WAIT));
        }
    }

    fn pause(&mut self, now: Timestamp, length: Duration) {
        self.pause_until(now.checked_add(length).unwrap_or(now));
    }

    /// A pause only ever grows: two requests that were under way together fail together. One that is over still has
    /// its probe to come.
    pub(super) fn pause_until(&mut self, end: Timestamp) {
        self.until = Some(self.until.map_or(end, |until| until.max(end)));
    }
}
