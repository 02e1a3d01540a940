//! The budget behind a lock: waits for a turn, without a timer while nobody waits. Inside, time is the steady clock's,
//! which no jump of the wall clock touches; what is asked and answered is the wall's.

mod shared;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::outage::Stop;
use super::rates::{Limits, Past};
use super::request::{Lane, Subject};
use super::turns::Budget;
use crate::clock::Clock;
use crate::health::waiting;
use crate::telemetry::Metrics;
pub use shared::Permit;
use shared::{Leave, Place, Shared, State, Waiter, Waiting};

/// Hands out the turns of one client's budget to one of its accounts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    shared: Arc<Shared>,
    account: Arc<str>,
}

/// The answer to asking for a turn without waiting.
#[derive(Debug)]
pub enum Reservation {
    /// Now.
    Granted(Permit),
    /// Later; the key is told when.
    Waiting {
        /// Since when it waits.
        since: Timestamp,
        /// About when its turn comes.
        estimate: Option<Timestamp>,
        /// What keeps it from its turn.
        stop: Stop,
        /// How many others wait for a turn of this kind.
        others: usize,
    },
}

impl Gate {
    /// A gate that tells keys of their turns through `turns`.
    pub fn new(budget: Budget, clock: Clock, turns: mpsc::UnboundedSender<String>, metrics: Metrics) -> Self {
        let (state, asking) = (Mutex::new(State::new(budget)), tokio::sync::Mutex::default());
        let shared = Shared { state, asking, clock, turns, metrics };
        Self { shared: Arc::new(shared), account: "".into() }
    }

    /// The same gate for this account.
    #[must_use]
    pub fn of(&self, account: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), account: account.into() }
    }

    /// Waits for a turn. Dropping the future leaves the queue.
    pub async fn acquire(&self, lane: Lane, group: &str, subject: &str) -> Permit {
        loop {
            let (sender, receiver) = oneshot::channel();
            let ticket = {
                let mut state = self.shared.lock();
                let ticket = state.budget.enqueue(&self.account, lane, group, subject);
                let since = self.shared.clock.steady();
                state.waiters.insert(ticket, Waiting { lane, since, waiter: Waiter::Future(sender) });
                ticket
            };
            let leave = Leave { gate: &self.shared, ticket };
            self.shared.hand_out(None);
            if let Ok(permit) = waiting(receiver).await {
                std::mem::forget(leave);
                return permit;
            }
        }
    }

    /// Asks for a turn without waiting. The key keeps its place between calls, and is told when its turn comes;
    /// then it has 15 seconds to ask again.
    pub fn reserve(&self, key: &str, lane: Lane, group: &str, subject: &Subject) -> Reservation {
        let now = self.shared.clock.steady();
        // A turn in another lane is none in this one. Dropped after the lock is, because that takes it again.
        let left = self.shared.lock().leave_other(key, lane);
        drop(left);
        {
            let mut state = self.shared.lock();
            if !state.places.contains_key(key) {
                let ticket = state.budget.enqueue(&self.account, lane, group, subject.clone());
                let waiter = Waiter::Key(key.to_owned());
                state.waiters.insert(ticket, Waiting { lane, since: now, waiter });
                state.places.insert(key.to_owned(), Place::Queued { ticket, lane, since: now });
            }
        }
        self.shared.hand_out(Some(key));
        let wall = |at| self.shared.clock.as_wall(at);
        let mut state = self.shared.lock();
        match state.places.remove(key) {
            Some(Place::Granted { permit, .. }) => Reservation::Granted(permit),
            Some(Place::Queued { ticket, lane, since }) => {
                state.places.insert(key.to_owned(), Place::Queued { ticket, lane, since });
                Reservation::Waiting {
                    since: wall(since),
                    estimate: state.budget.estimate(&self.account, lane, now).map(wall),
                    stop: match state.budget.stop(lane, subject, now) {
                        Stop::Asked(until) => Stop::Asked(until.map(wall)),
                        Stop::NotServed(since, why) => Stop::NotServed(wall(since), why),
                        stop @ (Stop::Turn | Stop::Recovering | Stop::Failing(_)) => stop,
                    },
                    others: state.budget.waiting(lane).saturating_sub(1),
                }
            }
            None => Reservation::Waiting { since: wall(now), estimate: None, stop: Stop::Turn, others: 0 },
        }
    }

    /// Gives up the place of a key.
    pub fn forget(&self, key: &str) {
        let left = self.shared.lock().leave(key);
        if left.is_some() {
            drop(left);
            self.shared.hand_out(None);
        }
    }

    fn with<T>(&self, with: impl FnOnce(&mut Budget, Timestamp) -> T) -> T {
        let now = self.shared.clock.steady();
        with(&mut self.shared.lock().budget, now)
    }

    /// What the budget tells of a time, by the wall clock.
    fn wall(&self, tell: impl FnOnce(&mut Budget, Timestamp) -> Option<Timestamp>) -> Option<Timestamp> {
        self.with(tell).map(|at| self.shared.clock.as_wall(at))
    }

    /// Other limits of the client from now on, and the most requests that an answer can raise them to.
    pub fn set_limits(&self, limits: Limits, most: u32) {
        self.with(|budget, now| budget.set_limits(limits, most, now));
        self.shared.hand_out(None);
    }

    /// The client's limits that hold now.
    pub fn limits(&self) -> Limits {
        self.with(|budget, now| budget.limits(now))
    }

    /// The limits that this account has for itself from now on; `spent` where an earlier process may just have used them.
    pub fn set_own(&self, limits: Limits, spent: bool) {
        self.with(|budget, now| budget.set_own(&self.account, limits, spent, now));
        self.shared.hand_out(None);
    }

    /// The account is gone, or has no limits of its own any more.
    pub fn clear_own(&self) {
        self.with(|budget, now| budget.clear_own(&self.account, now));
        self.shared.hand_out(None);
    }

    /// Whether it is only feared what an earlier process submitted.
    pub fn guesses_submits(&self) -> bool {
        self.with(|budget, _| budget.guesses_submits())
    }

    /// Has one alone, of all who would, ask somebody else what was sent before.
    pub async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.asking.lock().await
    }

    /// What was sent in the last minute.
    pub fn past(&self) -> Past {
        self.with(|budget, now| budget.past(now))
    }

    /// What an earlier process submitted, each so long ago.
    pub fn submitted_before(&self, ages: &[Duration]) {
        self.with(|budget, now| budget.submitted_before(ages, now));
        self.shared.hand_out(None);
    }

    /// Counts requests that were sent before anybody knew that they were of this client.
    pub fn charge(&self, requests: u32) {
        self.with(|budget, now| budget.charge(requests, now));
    }

    /// Has what pauses for long tried by a single request each, now or a minute after the last time.
    pub fn try_now(&self) {
        self.with(Budget::try_now);
        self.shared.hand_out(None);
    }

    /// Puts pauses back that an earlier process was asked for: of everything, and of submits.
    pub fn restore_pauses(&self, all: Option<Timestamp>, submits: Option<Timestamp>) {
        let steady = |until| self.shared.clock.as_steady(until);
        self.with(|budget, now| {
            if let Some(until) = submits {
                budget.restore_submits_pause(now, steady(until));
            }
            if let Some(until) = all {
                budget.restore_pause(now, steady(until));
            }
        });
    }

    /// When a submit tries the spend cap again, where that is reached.
    pub fn spend_cap(&self) -> Option<Timestamp> {
        self.wall(|budget, _| budget.spend_cap())
    }

    /// Takes over from an earlier process that the spend cap is reached, and when it is to be tried again. What this
    /// process knows is newer.
    pub fn restore_spend_cap(&self, until: Timestamp) {
        let until = self.shared.clock.as_steady(until);
        self.with(|budget, now| budget.restore_spend_cap(now, until));
    }

    /// Forgets a spend cap that nobody is there to try; says whether there was one.
    pub fn forget_untried_cap(&self) -> bool {
        self.with(Budget::forget_untried_cap)
    }

    /// Whether this is the very same one, for the same account.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.account == other.account
    }

    /// Until when the whole client pauses.
    pub fn paused_until(&self) -> Option<Timestamp> {
        self.wall(|budget, now| budget.paused_until(now))
    }

    /// Until when the service itself asked to wait.
    pub fn service_pause(&self) -> Option<Timestamp> {
        self.wall(|budget, now| budget.service_pause(now))
    }

    /// Until when the service itself asked to submit nothing.
    pub fn submits_pause(&self) -> Option<Timestamp> {
        self.wall(|budget, now| budget.submits_pause(now))
    }

    /// When a read tries a long pause of everything; nobody may be there to read.
    pub fn read_tries_at(&self) -> Option<Timestamp> {
        self.wall(|budget, _| budget.read_tries_at())
    }

    /// Since when the service knows no address for submits of this type.
    pub fn not_served_since(&self, kind: &str) -> Option<Timestamp> {
        self.wall(|budget, _| budget.not_served_since(kind))
    }

    /// Why the service is not available, where it has not answered for a while.
    pub fn unavailable(&self) -> Option<Arc<str>> {
        self.with(|budget, _| budget.unavailable())
    }

    /// How long, all told, cancels could not go whosever turn it was, because the service did not answer or asked to wait.
    pub fn outage(&self) -> Duration {
        self.with(|budget, now| budget.outage(now))
    }

    /// Requests that the account could send at once now.
    pub fn available(&self) -> u32 {
        self.with(|budget, now| budget.available(&self.account, now))
    }

    /// How many wait in a lane.
    pub fn waiting(&self, lane: Lane) -> usize {
        self.with(|budget, _| budget.waiting(lane))
    }
}
