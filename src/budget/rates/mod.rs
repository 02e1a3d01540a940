//! What may be sent, in tokens: by the client's limits for all of its accounts together, by those of an account for that
//! account alone.

mod bucket;
mod limits;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::request::Lane;
use bucket::Bucket;
pub use limits::Limits;
use limits::{ClientLimits, Own};

/// What one client may send.
#[derive(Debug, PartialEq)]
pub(super) struct Rates {
    limits: ClientLimits,
    /// What the buckets are made for.
    in_force: Limits,
    requests: Bucket,
    /// The same without the guess that the burst is spent, until the service has said how many requests are left.
    unguessed: Option<Bucket>,
    submits: Bucket,
    /// Accounts with limits of their own.
    own: BTreeMap<String, Own>,
}

impl Rates {
    /// With the burst spent.
    pub(super) fn spent(limits: Limits, now: Timestamp) -> Self {
        let mut rates = Self::unused(limits, now);
        rates.requests = Bucket::spent(limits.requests_per_minute, limits.burst, now);
        rates.submits = Bucket::spent(limits.submits_per_minute, limits.submit_burst(), now);
        rates.unguessed = Some(Bucket::full(limits.requests_per_minute, limits.burst, now));
        rates
    }

    /// With nothing spent.
    pub(super) fn unused(limits: Limits, now: Timestamp) -> Self {
        Self {
            limits: ClientLimits::new(limits),
            in_force: limits,
            requests: Bucket::full(limits.requests_per_minute, limits.burst, now),
            unguessed: None,
            submits: Bucket::full(limits.submits_per_minute, limits.submit_burst(), now),
            own: BTreeMap::new(),
        }
    }

    fn buckets(&mut self) -> impl Iterator<Item = &mut Bucket> {
        std::iter::once(&mut self.requests).chain(&mut self.unguessed)
    }

    /// Whether the client may send a request.
    pub(super) fn has(&self, now: Timestamp) -> bool {
        self.requests.has(now)
    }

    /// Whether it may send a submit, as far as those are counted apart.
    pub(super) fn has_submit(&self, now: Timestamp) -> bool {
        self.submits.has(now)
    }

    /// When the client may send a request.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        self.requests.next(now)
    }

    /// When it may send one of this lane, as far as that is counted apart.
    pub(super) fn next_in(&self, lane: Lane, now: Timestamp) -> Timestamp {
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
        let pace = if lane == Lane::Submit { &self.submits } else { &self.requests };
        pace.time_for(requests)
    }

    /// Counts a request of this account.
    pub(super) fn take(&mut self, account: &str, lane: Lane, now: Timestamp) {
        self.buckets().for_each(|bucket| bucket.take(now));
        if lane == Lane::Submit {
            self.submits.take(now);
        }
        if let Some(own) = self.own.get_mut(account) {
            own.take(lane == Lane::Submit, now);
        }
    }

    /// Undoes that, where nothing came of it.
    pub(super) fn give_back(&mut self, account: &str, lane: Lane) {
        self.buckets().for_each(Bucket::give_back);
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

    /// Believes what the service counts where that is less than ours. The first time it replaces the guess that ours
    /// began with.
    pub(super) fn told_remaining(&mut self, requests: u32, now: Timestamp) {
        if let Some(own) = self.unguessed.take() {
            self.requests = own;
        }
        self.requests.at_most(requests, now);
    }

    /// Has the buckets be those of the limits that hold now.
    pub(super) fn put_in_force(&mut self, now: Timestamp) {
        let limits = self.limits.in_force(now);
        if std::mem::replace(&mut self.in_force, limits) == limits {
            return;
        }
        for bucket in self.buckets() {
            bucket.resize(limits.requests_per_minute, limits.burst, now);
        }
        self.submits.resize(limits.submits_per_minute, limits.submit_burst(), now);
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
        self.buckets().for_each(|bucket| bucket.charge(requests, now));
    }
}
