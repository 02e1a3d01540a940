//! A turn: used, or given back.

use std::sync::{Arc, Weak};

use super::Shared;
use crate::spideriq::budget::{Counted, Ticket, Verdict};

/// One request that may be made now. Dropped unused, its turn goes to somebody else.
#[derive(Debug)]
pub struct Permit {
    gate: Weak<Shared>,
    ticket: Ticket,
    used: bool,
}

impl Permit {
    pub(super) fn new(gate: &Arc<Shared>, ticket: Ticket) -> Self {
        Self { gate: Arc::downgrade(gate), ticket, used: false }
    }

    pub(super) fn is_of(&self, ticket: Ticket) -> bool {
        self.ticket == ticket
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
