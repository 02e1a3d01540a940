//! What stops the turns of a budget: what people and the next process are told of it, what this one takes over from the
//! one before, and what is tried or forgotten early. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Budget;
use crate::budget::outage::Stop;
use crate::budget::rates::Past;
use crate::budget::request::{Lane, Subject};

impl Budget {
    /// What keeps a place in this lane from its turn.
    pub fn stop(&self, lane: Lane, subject: &Subject, now: Timestamp) -> Stop {
        self.brakes.stop(lane, subject, now).unwrap_or_else(|| self.reach.stop(now))
    }

    /// How long, all told, cancels could not go whosever turn it was.
    pub fn outage(&self, now: Timestamp) -> Duration {
        self.outage.length(now)
    }

    /// Why the service is not available, where it has not answered for a while.
    pub fn unavailable(&self) -> Option<Arc<str>> {
        self.reach.unavailable()
    }

    /// Since when the service knows no address for submits of this type.
    pub fn not_served_since(&self, kind: &str) -> Option<Timestamp> {
        self.brakes.not_served_since(kind)
    }

    /// Whether it is only feared what an earlier process submitted.
    pub fn guesses_submits(&self) -> bool {
        self.rates.guesses_submits()
    }

    /// What was sent in the last minute.
    pub fn past(&self, now: Timestamp) -> Past {
        self.rates.past(now)
    }

    /// An earlier process sent this in the minute before it told so, and may have sent more for so long after it.
    pub fn sent_before(&mut self, past: Past, unknown: Duration, now: Timestamp) {
        self.rates.sent_before(past, unknown, now);
    }

    /// What an earlier process submitted, each so long ago.
    pub fn submitted_before(&mut self, ages: &[Duration], now: Timestamp) {
        self.rates.submitted_before(ages.iter().copied(), now);
    }

    /// Has what pauses for long tried by a single request each, now or a minute after the last time.
    pub fn try_now(&mut self, now: Timestamp) {
        self.brakes.try_now(now);
    }

    /// Until when the whole client pauses.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.brakes.pauses.until(now)
    }

    /// When a read tries a long pause of everything, where there is one; nobody may be there to read.
    pub fn read_tries_at(&self) -> Option<Timestamp> {
        self.brakes.pauses.read_tries_at()
    }

    /// Until when the service itself asked to wait; our own pauses do not count.
    pub fn service_pause(&self, now: Timestamp) -> Option<Timestamp> {
        self.brakes.pauses.asked_of_all(now)
    }

    /// Until when the service itself asked to submit nothing.
    pub fn submits_pause(&self, now: Timestamp) -> Option<Timestamp> {
        self.brakes.pauses.asked_of_submits(now)
    }

    /// Puts a pause back that an earlier process was asked for. A long one may have been of submits alone, as releases
    /// before 0.2 wrote it down: a read finds out at once.
    pub fn restore_pause(&mut self, now: Timestamp, until: Timestamp) {
        if self.brakes.pauses.restore(now, until) {
            self.note_outage(now, Some(now));
        }
    }

    /// Puts a pause of submits back. It is tried soon: the process before may have been about to.
    pub fn restore_submits_pause(&mut self, now: Timestamp, until: Timestamp) {
        self.brakes.pauses.restore_submits(now, until);
    }

    /// When a submit tries the spend cap again, where that is reached; a time in the past is now.
    pub fn spend_cap(&self) -> Option<Timestamp> {
        self.brakes.pauses.spend_cap()
    }

    /// Takes over from an earlier process that the spend cap is reached, and when it is to be tried again.
    pub fn restore_spend_cap(&mut self, now: Timestamp, until: Timestamp) {
        self.brakes.pauses.restore_spend_cap(now, until);
    }

    /// Forgets a spend cap that might have been tried for a minute and that nobody is there to try; says whether there
    /// was one.
    pub fn forget_untried_cap(&mut self, now: Timestamp) -> bool {
        let waits = self.queue.waiting(Lane::Submit) > 0;
        self.brakes.pauses.forget_untried_cap(waits, now)
    }
}
