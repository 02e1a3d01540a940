//! What may be sent, in tokens: by the client's limits for all of its accounts together, by those of an account for that
//! account alone.

mod bucket;
mod limits;
mod past;
mod window;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::request::Lane;
pub use limits::Limits;
use limits::{ClientLimits, Own};
pub use past::Past;
use window::Window;

/// How long it is believed how many submits at once the service takes.
const LEARNED_FOR: Duration = Duration::from_secs(24 * 3600);

/// What one client may send.
#[derive(Debug, PartialEq)]
pub(super) struct Rates {
    limits: ClientLimits,
    /// What the buckets are made for.
    in_force: Limits,
    requests: Window,
    submits: Window,
    /// The most submits at once that the service was seen to take, and until when that is believed.
    learned: Option<(u32, Timestamp)>,
    /// Accounts with limits of their own.
    own: BTreeMap<String, Own>,
}

impl Rates {
    /// With the burst spent.
    pub(super) fn spent(limits: Limits, now: Timestamp) -> Self {
        let mut rates = Self::unused(limits, now);
        rates.requests = Window::spent(limits.requests_per_minute, limits.burst, now);
        rates.submits = Window::spent(limits.submits_per_minute, limits.submits_per_minute, now);
        rates
    }

    /// With nothing spent.
    pub(super) fn unused(limits: Limits, now: Timestamp) -> Self {
        Self {
            limits: ClientLimits::new(limits),
            in_force: limits,
            requests: Window::unused(limits.requests_per_minute, limits.burst, now),
            submits: Window::unused(limits.submits_per_minute, limits.submits_per_minute, now),
            learned: None,
            own: BTreeMap::new(),
        }
    }

    /// Whether the client may send a request.
    pub(super) fn has(&self, now: Timestamp) -> bool {
        self.requests.has(now)
    }

    /// When the client may send a request.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        self.requests.next(now)
    }

    /// When it may send one of this lane, as far as that is counted apart. What has time leaves the last turn to others,
    /// who would wait for the next one.
    pub(super) fn next_in(&self, lane: Lane, now: Timestamp) -> Timestamp {
        if lane.has_time() {
            return self.requests.next_leaving(1, now);
        }
        if lane == Lane::Submit { self.submits.next(now) } else { now }
    }

    /// Whether this account has limits of its own, or what it has spent of them counts still.
    pub(super) fn has_own(&self, account: &str) -> bool {
        self.own.contains_key(account)
    }

    /// When this account may, by its own limits.
    pub(super) fn next_of(&self, account: &str, lane: Lane, now: Timestamp) -> Timestamp {
        self.own.get(account).map_or(now, |own| own.next(lane == Lane::Submit, now))
    }

    /// How long so many requests of a lane take.
    pub(super) fn time_for(&self, lane: Lane, requests: u32) -> Option<Duration> {
        if lane == Lane::Submit { self.submits.time_for(requests) } else { self.requests.time_for(requests) }
    }

    /// Counts a request of this account.
    pub(super) fn take(&mut self, account: &str, lane: Lane, now: Timestamp) {
        self.requests.take(now);
        if lane == Lane::Submit {
            self.submits.take(now);
        }
        if let Some(own) = self.own.get_mut(account) {
            own.take(lane == Lane::Submit, now);
        }
    }

    /// A request that was counted is answered, or nobody waits for its answer any more.
    pub(super) fn answered(&mut self, lane: Lane, now: Timestamp) {
        self.requests.answered(now);
        if lane == Lane::Submit {
            self.submits.answered(now);
        }
    }

    /// Whether it is only feared what an earlier process submitted.
    pub(super) fn guesses_submits(&self) -> bool {
        self.submits.guesses()
    }

    /// What was sent in the last minute.
    pub(super) fn past(&self, now: Timestamp) -> Past {
        self.requests.past(now)
    }

    /// An earlier process sent this in the minute before it ended, or before it told so, and may have sent more for so long
    /// after it.
    pub(super) fn sent_before(&mut self, past: Past, unknown: Duration, now: Timestamp) {
        self.requests.restore(past, unknown, now);
    }

    /// What an earlier process submitted, each so long ago.
    pub(super) fn submitted_before(&mut self, ages: impl Iterator<Item = Duration>, now: Timestamp) {
        self.submits.sent_before(ages, now);
    }

    /// The service asked to wait with a submit, although no more were sent than it allows in a minute: half as many go at
    /// once for a day.
    pub(super) fn submit_throttled(&mut self, now: Timestamp) {
        let fewer = (self.submit_burst(now) / 2).max(1);
        self.learned = Some((fewer, now + LEARNED_FOR));
        self.submits.resize(self.in_force.submits_per_minute, fewer, now);
    }

    /// The most submits at once.
    fn submit_burst(&self, now: Timestamp) -> u32 {
        let learned = self.learned.filter(|(_, until)| now < *until);
        learned.map_or(self.in_force.submits_per_minute, |(burst, _)| burst)
    }

    /// Undoes that, where nothing was sent.
    pub(super) fn give_back(&mut self, account: &str, lane: Lane) {
        self.requests.give_back();
        if lane == Lane::Submit {
            self.submits.give_back();
        }
        if let Some(own) = self.own.get_mut(account) {
            own.give_back(lane == Lane::Submit);
        }
    }

    /// Requests that this account could send at once.
    pub(super) fn available(&self, account: &str, now: Timestamp) -> u32 {
        let own = self.own.get(account).map_or(u32::MAX, |own| own.available(now));
        self.requests.available(now).min(own)
    }

    /// The limits that hold now: those that are set, as far as the service said no other.
    pub(super) fn limits(&self, now: Timestamp) -> Limits {
        self.limits.in_force(now)
    }

    /// Other limits of the client from now on, and the most requests that an answer can raise them to.
    pub(super) fn set(&mut self, limits: Limits, most: u32, now: Timestamp) {
        (self.limits.set, self.limits.most) = (limits, most);
        self.put_in_force(now);
    }

    /// An answer said how many requests a minute are allowed.
    pub(super) fn told_limit(&mut self, requests: u32, now: Timestamp) {
        self.limits.told(requests, now);
        self.put_in_force(now);
    }

    /// Believes what the service counts where that is less than ours; says whether others must have used the client.
    pub(super) fn told_remaining(&mut self, requests: u32, now: Timestamp) -> bool {
        self.requests.at_most(requests, now);
        requests == 0 && !self.requests.is_full(now)
    }

    /// Has the buckets be those of the limits that hold now.
    pub(super) fn put_in_force(&mut self, now: Timestamp) {
        self.requests.refresh(now);
        self.submits.refresh(now);
        if self.learned.is_some_and(|(_, until)| now >= until) {
            self.learned = None;
            self.submits.resize(self.in_force.submits_per_minute, self.in_force.submits_per_minute, now);
        }
        let limits = self.limits.in_force(now);
        if std::mem::replace(&mut self.in_force, limits) == limits {
            return;
        }
        self.requests.resize(limits.requests_per_minute, limits.burst, now);
        let at_once = self.submit_burst(now);
        self.submits.resize(limits.submits_per_minute, at_once, now);
    }

    /// The limits that this account has for itself from now on; `spent` where it may just have used them elsewhere.
    pub(super) fn set_own(&mut self, account: &str, limits: Limits, spent: bool, now: Timestamp) {
        self.own.retain(|_, own| own.counts(now));
        self.own.entry(account.to_owned()).or_insert_with(|| Own::new(limits, spent, now)).set(limits, now);
    }

    /// The account has none any more: what it has spent of them is not forgotten before it ceases to count.
    pub(super) fn clear_own(&mut self, account: &str, now: Timestamp) {
        if let Some(own) = self.own.get_mut(account) {
            own.gone = true;
        }
        self.own.retain(|_, own| own.counts(now));
    }

    /// Counts requests of the client that were sent without having been taken.
    pub(super) fn charge(&mut self, requests: u32, now: Timestamp) {
        self.requests.charge(requests, now);
    }
}
