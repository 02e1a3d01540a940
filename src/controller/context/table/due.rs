//! Which of the objects that rest have to be looked at, and when.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use super::shared::Number;

/// Records in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Due {
    order: BTreeSet<(Instant, Number)>,
    at: HashMap<Number, Instant>,
}

impl Due {
    pub(super) fn put(&mut self, number: Number, at: Instant) {
        self.remove(number);
        self.order.insert((at, number));
        self.at.insert(number, at);
    }

    pub(super) fn remove(&mut self, number: Number) {
        if let Some(at) = self.at.remove(&number) {
            self.order.remove(&(at, number));
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out all that are due.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Number> {
        let mut due = Vec::new();
        while let Some((_, number)) = self.order.first().copied().filter(|(at, _)| *at <= now) {
            self.remove(number);
            due.push(number);
        }
        due
    }
}
