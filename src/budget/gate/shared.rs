//! What all who hold a gate share: who waits, whose turn has come, and the one timer for the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::budget::request::{Counted, Lane, Ticket, Verdict};
use crate::budget::turns::Budget;
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// How long a turn is kept for a key that was told about it.
const KEPT: Duration = Duration::from_secs(15);

/// What all who hold a gate share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Held by the one who asks what was sent before.
    pub(super) asking: tokio::sync::Mutex<()>,
    pub(super) clock: Clock,
    /// Who asked without waiting is told of its turn here.
    pub(super) turns: mpsc::UnboundedSender<String>,
    pub(super) metrics: Metrics,
}

/// The budget, and who waits for a turn of it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) budget: Budget,
    pub(super) waiters: HashMap<Ticket, Waiting>,
    pub(super) places: HashMap<String, Place>,
    timer: Option<(Timestamp, AbortHandle)>,
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) lane: Lane,
    pub(super) since: Timestamp,
    pub(super) waiter: Waiter,
}

/// How it is told.
#[derive(Debug)]
pub(super) enum Waiter {
    Future(oneshot::Sender<Permit>),
    Key(String),
}

/// The place of a key that comes back later.
#[derive(Debug)]
pub(super) enum Place {
    Queued { ticket: Ticket, lane: Lane, since: Timestamp },
    Granted { permit: Permit, lane: Lane },
}

/// Leaves the queue when a waiting future is dropped.
pub(super) struct Leave<'a> {
    pub(super) gate: &'a Arc<Shared>,
    pub(super) ticket: Ticket,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.waiters.remove(&self.ticket);
        state.budget.withdraw(self.ticket);
    }
}

impl State {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, waiters: HashMap::new(), places: HashMap::new(), timer: None }
    }

    /// Takes a key out that has its place in another lane than this.
    pub(super) fn leave_other(&mut self, key: &str, mine: Lane) -> Option<Place> {
        let (Place::Queued { lane, .. } | Place::Granted { lane, .. }) = self.places.get(key)?;
        if *lane == mine { None } else { self.leave(key) }
    }

    /// Takes a key out; the permit that it may have had is dropped by the caller, outside of the lock.
    pub(super) fn leave(&mut self, key: &str) -> Option<Place> {
        let place = self.places.remove(key);
        if let Some(Place::Queued { ticket, .. }) = &place {
            self.waiters.remove(ticket);
            self.budget.withdraw(*ticket);
        }
        place
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out the turns that have come, and sets the one timer for the next. A key that asks just now needs
    /// no telling.
    pub(super) fn hand_out(self: &Arc<Self>, asking: Option<&str>) {
        let now = self.clock.steady();
        // Permits that find nobody any more are dropped after the lock is, because dropping one takes it again.
        let mut unwanted = Vec::new();
        let mut state = self.lock();
        for ticket in state.budget.grant(now) {
            let permit = Permit::new(self, ticket);
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
                gate.hand_out(None);
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
            let unused =
                matches!(state.places.get(&key), Some(Place::Granted { permit, .. }) if permit.is_of(ticket));
            let dropped = unused.then(|| state.places.remove(&key));
            drop((state, dropped));
        });
    }
}

/// One request that may be made now. Dropped before it is begun, its turn goes to somebody else.
#[derive(Debug)]
pub struct Permit {
    gate: Weak<Shared>,
    ticket: Ticket,
    begun: bool,
    used: bool,
}

impl Permit {
    fn new(gate: &Arc<Shared>, ticket: Ticket) -> Self {
        Self { gate: Arc::downgrade(gate), ticket, begun: false, used: false }
    }

    fn is_of(&self, ticket: Ticket) -> bool {
        self.ticket == ticket
    }

    /// The same, of a request that is made from here on: it may arrive whatever becomes of this.
    #[must_use]
    pub fn begun(mut self) -> Self {
        self.begun = true;
        self
    }

    /// Its answer has begun: whatever it brings, the request arrived before.
    pub fn arrived(&self) {
        let Some(gate) = self.gate.upgrade() else { return };
        let now = gate.clock.steady();
        gate.lock().budget.arrived(self.ticket, now);
        gate.hand_out(None);
    }

    /// Tells the budget what came of the request; says whether the spend cap stands otherwise than before.
    pub fn settle(mut self, verdict: Verdict, counted: Counted) -> bool {
        self.used = true;
        let Some(gate) = self.gate.upgrade() else { return false };
        let other = {
            let steady = |at| gate.clock.as_steady(at);
            let verdict = match verdict {
                Verdict::Throttled(until) => Verdict::Throttled(until.map(steady)),
                Verdict::Capped(until) => Verdict::Capped(steady(until)),
                Verdict::Answered | Verdict::Spent | Verdict::Failed(_) | Verdict::NotServed(_) => verdict,
            };
            let counted = Counted { reset: counted.reset.map(steady), ..counted };
            let now = gate.clock.steady();
            let budget = &mut gate.lock().budget;
            let before = budget.spend_cap();
            budget.answered(now, self.ticket, verdict, counted, fastrand::f64());
            budget.spend_cap() != before
        };
        gate.hand_out(None);
        other
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(gate) = self.gate.upgrade().filter(|_| !self.used) else { return };
        {
            let now = gate.clock.steady();
            let budget = &mut gate.lock().budget;
            if self.begun { budget.abandon(self.ticket, now) } else { budget.withdraw(self.ticket) }
        }
        gate.hand_out(None);
    }
}
