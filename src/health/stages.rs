//! What is known of the looks at objects that are under way.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The looks that are under way.
#[derive(Debug, Default)]
pub(super) struct Stages {
    of: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    under_way: BTreeMap<u64, Stage>,
}

#[derive(Debug)]
pub(super) struct Stage {
    what: String,
    /// Since which second it waits for nobody else.
    pub(super) since: u64,
    /// What it waits for of others.
    pub(super) waits: u32,
}

impl Stages {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The look that has waited for nobody for the longest time, and for how many seconds.
    pub(super) fn longest(&self, now: u64) -> Option<(String, u64)> {
        let table = self.lock();
        let alone = table.under_way.values().filter(|stage| stage.waits == 0);
        let oldest = alone.min_by_key(|stage| stage.since)?;
        Some((oldest.what.clone(), now.saturating_sub(oldest.since)))
    }

    pub(super) fn begin(&self, what: String, since: u64) -> u64 {
        let mut table = self.lock();
        let number = table.next;
        table.next += 1;
        table.under_way.insert(number, Stage { what, since, waits: 0 });
        number
    }

    pub(super) fn end(&self, number: u64) {
        self.lock().under_way.remove(&number);
    }

    pub(super) fn change(&self, number: u64, with: impl FnOnce(&mut Stage)) {
        if let Some(stage) = self.lock().under_way.get_mut(&number) {
            with(stage);
        }
    }
}
