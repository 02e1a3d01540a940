//! What limits a budget: the client's limits, those of an account, and what counts against them without a turn. Pure.

use jiff::Timestamp;

use super::{Budget, bound};
use crate::budget::rates::Limits;

impl Budget {
    /// Other limits of the client from now on, and the most requests that an answer can raise them to; what was spent
    /// stays spent.
    pub fn set_limits(&mut self, limits: Limits, most: u32, now: Timestamp) {
        self.rates.set(limits, most, now);
    }

    /// The limits that hold now: those that are set, as far as the service said no other.
    pub fn limits(&self, now: Timestamp) -> Limits {
        self.rates.limits(now)
    }

    /// The limits that this account has for itself from now on; `spent` where it may just have used them elsewhere.
    pub fn set_own(&mut self, account: &str, limits: Limits, spent: bool, now: Timestamp) {
        let new = !self.rates.has_own(account);
        self.rates.set_own(account, limits, spent, now);
        if new {
            let (rates, brakes) = (&self.rates, &self.brakes);
            let waiting = self.queue.of_account(account);
            self.queue.sort(&waiting, |lane, waiter| bound(rates, brakes, lane, waiter));
        }
    }

    /// The account is gone, or has no limits of its own any more: what it has spent of them is not forgotten before it
    /// ceases to count.
    pub fn clear_own(&mut self, account: &str, now: Timestamp) {
        self.rates.clear_own(account, now);
    }

    /// Counts requests of the client that were sent before anybody knew that they were of it.
    pub fn charge(&mut self, requests: u32, now: Timestamp) {
        self.rates.charge(requests, now);
    }

    /// Requests that this account could send at once now.
    pub fn available(&self, account: &str, now: Timestamp) -> u32 {
        self.rates.available(account, now)
    }
}
