//! The budget behind a lock: waits for a turn, without a timer while nobody waits. Inside, time is the steady clock's,
//! which no jump of the wall clock touches; what is asked and answered is the wall's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::{Budget, Counted, Lane, Limits, Ticket, Verdict};
use crate::clock::Clock;
use crate::health::waiting;
use crate::telemetry::Metrics;

/// How long a turn is kept for a key that was told about it.
const KEPT: Duration = Duration::from_secs(15);

/// Hands out the turns of one client's budget to one of its accounts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    shared: Arc<Shared>,
    account: Arc<str>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    clock: Clock,
    turns: mpsc::UnboundedSender<String>,
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    budget: Budget,
    waiters: HashMap<Ticket, Waiting>,
    places: HashMap<String, Place>,
    timer: Option<(Timestamp, AbortHandle)>,
}

#[derive(Debug)]
struct Waiting {
    lane: Lane,
    since: Timestamp,
    waiter: Waiter,
}

#[derive(Debug)]
enum Waiter {
    Future(oneshot::Sender<Permit>),
    Key(String),
}

/// The place of a key that comes back later.
#[derive(Debug)]
enum Place {
    Queued { ticket: Ticket, lane: Lane, since: Timestamp },
    Granted { permit: Permit, lane: Lane },
}

/// One request that may be made now. Dropped unused, its turn goes to somebody else.
#[derive(Debug)]
pub struct Permit {
    gate: Weak<Shared>,
    ticket: Ticket,
    used: bool,
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
        /// Until when the whole account pauses.
        paused_until: Option<Timestamp>,
        /// How many others wait for a turn of this kind.
        others: usize,
    },
}

impl Gate {
    /// A gate that tells keys of their turns through `turns`.
    pub fn new(budget: Budget, clock: Clock, turns: mpsc::UnboundedSender<String>, metrics: Metrics) -> Self {
        let state = State { budget, waiters: HashMap::new(), places: HashMap::new(), timer: None };
        let shared = Shared { state: Mutex::new(state), clock, turns, metrics };
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
            self.shared.turn();
            if let Ok(permit) = waiting(receiver).await {
                std::mem::forget(leave);
                return permit;
            }
        }
    }

    /// Asks for a turn without waiting. The key keeps its place between calls, and is told when its turn comes;
    /// then it has 15 seconds to ask again.
    pub fn reserve(&self, key: &str, lane: Lane, group: &str, subject: &str) -> Reservation {
        let now = self.shared.clock.steady();
        // A turn in another lane is none in this one. Dropped after the lock is, because that takes it again.
        let left = self.shared.lock().leave_other(key, lane);
        drop(left);
        {
            let mut state = self.shared.lock();
            if !state.places.contains_key(key) {
                let ticket = state.budget.enqueue(&self.account, lane, group, subject);
                let waiter = Waiter::Key(key.to_owned());
                state.waiters.insert(ticket, Waiting { lane, since: now, waiter });
                state.places.insert(key.to_owned(), Place::Queued { ticket, lane, since: now });
            }
        }
        self.shared.turn_for(Some(key));
        let wall = |at| self.shared.clock.as_wall(at);
        let mut state = self.shared.lock();
        match state.places.remove(key) {
            Some(Place::Granted { permit, .. }) => Reservation::Granted(permit),
            Some(Place::Queued { ticket, lane, since }) => {
                state.places.insert(key.to_owned(), Place::Queued { ticket, lane, since });
                Reservation::Waiting {
                    since: wall(since),
                    estimate: state.budget.estimate(&self.account, lane, now).map(wall),
                    paused_until: state.budget.paused_until(now).map(wall),
                    others: state.budget.waiting(lane).saturating_sub(1),
                }
            }
            None => Reservation::Waiting { since: wall(now), estimate: None, paused_until: None, others: 0 },
        }
    }

    /// Gives up the place of a key.
    pub fn forget(&self, key: &str) {
        let left = self.shared.lock().leave(key);
        if left.is_some() {
            drop(left);
            self.shared.turn();
        }
    }

    /// Other limits of the client from now on, and the most requests that an answer can raise them to.
    pub fn set_limits(&self, limits: Limits, most: u32) {
        self.shared.lock().budget.set_limits(limits, most, self.shared.clock.steady());
        self.shared.turn();
    }

    /// The client's limits that hold now.
    pub fn limits(&self) -> Limits {
        self.shared.lock().budget.limits(self.shared.clock.steady())
    }

    /// The limits that this account has for itself from now on; `spent` where an earlier process may just have used them.
    pub fn set_own(&self, limits: Limits, spent: bool) {
        self.shared.lock().budget.set_own(&self.account, limits, spent, self.shared.clock.steady());
        self.shared.turn();
    }

    /// The account is gone, or has no limits of its own any more.
    pub fn leave(&self) {
        self.shared.lock().budget.leave(&self.account, self.shared.clock.steady());
        self.shared.turn();
    }

    /// Counts requests that were sent before anybody knew that they were of this client.
    pub fn charge(&self, requests: u32) {
        self.shared.lock().budget.charge(requests, self.shared.clock.steady());
    }

    /// Lets a single submit out at once, where submits pause.
    pub fn probe_submits(&self) {
        self.shared.lock().budget.probe_submits(self.shared.clock.steady());
        self.shared.turn();
    }

    /// Puts a pause back that an earlier process was asked for.
    pub fn restore_pause(&self, until: Timestamp) {
        self.shared
            .lock()
            .budget
            .restore_pause(self.shared.clock.steady(), self.shared.clock.as_steady(until));
    }

    /// When a submit tries the spend cap again, where that is reached.
    pub fn spend_cap(&self) -> Option<Timestamp> {
        self.shared.lock().budget.spend_cap().map(|until| self.shared.clock.as_wall(until))
    }

    /// Takes over from an earlier process that the spend cap is reached, and when it is to be tried again. What this
    /// process knows is newer.
    pub fn restore_spend_cap(&self, until: Timestamp) {
        let until = self.shared.clock.as_steady(until);
        self.shared.lock().budget.restore_spend_cap(self.shared.clock.steady(), until);
    }

    /// Forgets a spend cap that nobody is there to try; says whether there was one.
    pub fn forget_untried_cap(&self) -> bool {
        self.shared.lock().budget.forget_untried_cap(self.shared.clock.steady())
    }

    /// Whether this is the very same one, for the same account.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.account == other.account
    }

    /// Until when the whole account pauses.
    pub fn paused_until(&self) -> Option<Timestamp> {
        let until = self.shared.lock().budget.paused_until(self.shared.clock.steady());
        until.map(|until| self.shared.clock.as_wall(until))
    }

    /// Until when the service itself asked to wait.
    pub fn service_pause(&self) -> Option<Timestamp> {
        let until = self.shared.lock().budget.service_pause(self.shared.clock.steady());
        until.map(|until| self.shared.clock.as_wall(until))
    }

    /// How long, all told, cancels could not go whosever turn it was, because the service did not answer or asked to wait.
    pub fn outage(&self) -> Duration {
        self.shared.lock().budget.outage(self.shared.clock.steady())
    }

    /// Requests that the account could send at once now.
    pub fn available(&self) -> u32 {
        self.shared.lock().budget.available(&self.account, self.shared.clock.steady())
    }

    /// How many wait in a lane.
    pub fn waiting(&self, lane: Lane) -> usize {
        self.shared.lock().budget.waiting(lane)
    }
}

impl Permit {
    /// Tells the budget what came of the request; says whether the spend cap stands otherwise than before.
    pub fn settle(mut self, verdict: Verdict, counted: Counted) -> bool {
        self.used = true;
        let Some(gate) = self.gate.upgrade() else { return false };
        let other = {
            let steady = |at| gate.clock.as_steady(at);
            let verdict = match verdict {
                Verdict::Throttled(until) => Verdict::Throttled(until.map(steady)),
                Verdict::Capped(until) => Verdict::Capped(steady(until)),
                Verdict::Answered | Verdict::Spent | Verdict::Failed => verdict,
            };
            let counted = Counted { reset: counted.reset.map(steady), ..counted };
            let now = gate.clock.steady();
            let budget = &mut gate.lock().budget;
            let before = budget.spend_cap();
            budget.answered(now, self.ticket, verdict, counted, fastrand::f64());
            budget.spend_cap() != before
        };
        gate.turn();
        other
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.used
            && let Some(gate) = self.gate.upgrade()
        {
            gate.lock().budget.withdraw(self.ticket);
            gate.turn();
        }
    }
}

/// Leaves the queue when a waiting future is dropped.
struct Leave<'a> {
    gate: &'a Arc<Shared>,
    ticket: Ticket,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.waiters.remove(&self.ticket);
        state.budget.withdraw(self.ticket);
    }
}

impl State {
    /// Takes a key out that has its place in another lane than this.
    fn leave_other(&mut self, key: &str, mine: Lane) -> Option<Place> {
        let (Place::Queued { lane, .. } | Place::Granted { lane, .. }) = self.places.get(key)?;
        if *lane == mine { None } else { self.leave(key) }
    }

    /// Takes a key out; the permit that it may have had is dropped by the caller, outside of the lock.
    fn leave(&mut self, key: &str) -> Option<Place> {
        let place = self.places.remove(key);
        if let Some(Place::Queued { ticket, .. }) = &place {
            self.waiters.remove(ticket);
            self.budget.withdraw(*ticket);
        }
        place
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(self: &Arc<Self>) {
        self.turn_for(None);
    }

    /// Hands out the turns that have come, and sets the one timer for the next. The key that asks just now needs
    /// no telling.
    fn turn_for(self: &Arc<Self>, asking: Option<&str>) {
        let now = self.clock.steady();
        // Permits that find nobody any more are dropped after the lock is, because dropping one takes it again.
        let mut unwanted = Vec::new();
        let mut state = self.lock();
        for ticket in state.budget.grant(now) {
            let permit = Permit { gate: Arc::downgrade(self), ticket, used: false };
            let Some(Waiting { lane, since, waiter }) = state.waiters.remove(&ticket) else {
                unwanted.push(permit);
                continue;
            };
            let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            self.metrics.waited(lane.as_str(), waited);
            match waiter {
                Waiter::Future(sender) => unwanted.extend(sender.send(permit).err()),
                Waiter::Key(key) => {
                    if asking != Some(key.as_str()) {
                        // The receiver goes only when the process stops.
                        let _ = self.turns.send(key.clone());
                        self.keep_for_a_while(key.clone(), ticket);
                    }
                    state.places.insert(key, Place::Granted { permit, lane });
                }
            }
        }
        let next = state.budget.next_change(now);
        if state.timer.as_ref().map(|(at, _)| *at) != next {
            if let Some((_, timer)) = state.timer.take() {
                timer.abort();
            }
            state.timer = next.map(|at| (at, self.wake_at(at, now)));
        }
    }

    fn wake_at(self: &Arc<Self>, at: Timestamp, now: Timestamp) -> AbortHandle {
        let gate = Arc::downgrade(self);
        let wait =
            Duration::try_from(at.duration_since(now)).unwrap_or_default().max(Duration::from_millis(1));
        let sleep = async move {
            tokio::time::sleep(wait).await;
            if let Some(gate) = gate.upgrade() {
                gate.lock().timer = None;
                gate.turn();
            }
        };
        tokio::spawn(sleep).abort_handle()
    }

    fn keep_for_a_while(self: &Arc<Self>, key: String, ticket: Ticket) {
        let gate = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            let Some(gate) = gate.upgrade() else { return };
            let mut state = gate.lock();
            let unused = matches!(state.places.get(&key), Some(Place::Granted { permit, .. }) if permit.ticket == ticket);
            let dropped = unused.then(|| state.places.remove(&key));
            drop((state, dropped));
        });
    }
}
