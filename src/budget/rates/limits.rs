//! Which limits hold: those of a client, as far as the service says no other, and what an account has for itself.

use std::time::Duration;

use jiff::Timestamp;

use super::bucket::Bucket;

/// The least that an answer can lower the requests of a client to.
const LEAST: u32 = 10;
/// How long it is believed what an answer said of the limit.
const BELIEVED_FOR: Duration = Duration::from_secs(15 * 60);

/// Limits, each counted over any 60 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests of every kind.
    pub requests_per_minute: u32,
    /// Requests at once.
    pub burst: u32,
    /// Submits.
    pub submits_per_minute: u32,
}

impl Default for Limits {
    /// What the service documents (contract section 4).
    fn default() -> Self {
        Self::new(100, 10)
    }
}

impl Limits {
    /// So many requests and submits, with a fifth of the requests, 1 to 20, at once.
    pub fn new(requests_per_minute: u32, submits_per_minute: u32) -> Self {
        Self { requests_per_minute, burst: (requests_per_minute / 5).clamp(1, 20), submits_per_minute }
    }

    /// The larger of each rate.
    #[must_use]
    pub fn largest(self, other: Self) -> Self {
        Self::new(
            self.requests_per_minute.max(other.requests_per_minute),
            self.submits_per_minute.max(other.submits_per_minute),
        )
    }

    /// The most submits at once.
    pub(super) fn submit_burst(self) -> u32 {
        (self.submits_per_minute / 5).max(1)
    }
}

/// The limits of a client: what is set, and what the service says of them.
#[derive(Debug, PartialEq)]
pub(super) struct ClientLimits {
    pub(super) set: Limits,
    /// The most requests that any of its accounts asks for: so far an answer can raise them.
    pub(super) most: u32,
    told: Option<(u32, Timestamp)>,
}

impl ClientLimits {
    pub(super) fn new(set: Limits) -> Self {
        Self { set, most: set.requests_per_minute, told: None }
    }

    /// An answer said how many requests a minute are allowed.
    pub(super) fn told(&mut self, requests: u32, now: Timestamp) {
        self.told = Some((requests, now));
    }

    /// What holds now.
    pub(super) fn in_force(&self, now: Timestamp) -> Limits {
        let fresh = |at: Timestamp| at.saturating_add(BELIEVED_FOR).is_ok_and(|end| now < end);
        let Some((told, _)) = self.told.filter(|(_, at)| fresh(*at)) else { return self.set };
        let most = self.most.max(self.set.requests_per_minute);
        let requests = told.clamp(LEAST.min(self.set.requests_per_minute), most);
        if requests == self.set.requests_per_minute {
            return self.set;
        }
        Limits { submits_per_minute: self.set.submits_per_minute, ..Limits::new(requests, 0) }
    }
}

/// What one account may still send of its own limits.
#[derive(Debug, PartialEq)]
pub(super) struct Own {
    limits: Limits,
    requests: Bucket,
    submits: Bucket,
    /// Whether the account is gone, or has no limits of its own any more: what it has spent is kept until it does not
    /// count any more.
    pub(super) gone: bool,
}

impl Own {
    /// The limits of an account that is new here; `spent` where an earlier process may just have used them.
    pub(super) fn new(limits: Limits, spent: bool, now: Timestamp) -> Self {
        let bucket = if spent { Bucket::spent } else { Bucket::full };
        Self {
            limits,
            requests: bucket(limits.requests_per_minute, limits.burst, now),
            submits: bucket(limits.submits_per_minute, limits.submit_burst(), now),
            gone: false,
        }
    }

    pub(super) fn set(&mut self, limits: Limits, now: Timestamp) {
        self.gone = false;
        if self.limits != limits {
            self.limits = limits;
            self.requests.resize(limits.requests_per_minute, limits.burst, now);
            self.submits.resize(limits.submits_per_minute, limits.submit_burst(), now);
        }
    }

    /// When there is a token for a submit or another request.
    pub(super) fn next(&self, submit: bool, now: Timestamp) -> Timestamp {
        let submits = if submit { self.submits.next(now) } else { now };
        self.requests.next(now).max(submits)
    }

    pub(super) fn take(&mut self, submit: bool, now: Timestamp) {
        self.requests.take(now);
        if submit {
            self.submits.take(now);
        }
    }

    pub(super) fn give_back(&mut self, submit: bool) {
        self.requests.give_back();
        if submit {
            self.submits.give_back();
        }
    }

    pub(super) fn available(&self, now: Timestamp) -> u32 {
        self.requests.available(now)
    }

    /// Whether it has to be remembered.
    pub(super) fn counts(&self, now: Timestamp) -> bool {
        !(self.gone && self.requests.is_full(now) && self.submits.is_full(now))
    }
}
