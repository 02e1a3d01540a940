//! Looks at objects that are under way, and whether each of them waits for somebody else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Health;

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
struct Stage {
    what: String,
    /// Since which second it waits for nobody else.
    since: u64,
    /// What it waits for of others.
    waits: u32,
}

/// One look, until this is dropped.
#[derive(Clone, Debug)]
struct Looked {
    health: Health,
    number: u64,
}

tokio::task_local! {
    /// The look that this task is at.
    static NOW: Arc<Looked>;
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

    fn begin(&self, what: String, since: u64) -> u64 {
        let mut table = self.lock();
        let number = table.next;
        table.next += 1;
        table.under_way.insert(number, Stage { what, since, waits: 0 });
        number
    }

    fn end(&self, number: u64) {
        self.lock().under_way.remove(&number);
    }

    fn change(&self, number: u64, with: impl FnOnce(&mut Stage)) {
        if let Some(stage) = self.lock().under_way.get_mut(&number) {
            with(stage);
        }
    }
}

impl Drop for Looked {
    fn drop(&mut self) {
        self.health.0.stages.end(self.number);
    }
}

/// Runs a look at an object, and knows of it while it lasts.
pub async fn stage<T>(health: &Health, what: impl FnOnce() -> String, look: impl Future<Output = T>) -> T {
    let number = health.0.stages.begin(what(), health.now());
    let looked = Arc::new(Looked { health: health.clone(), number });
    NOW.scope(looked, look).await
}

/// Waits within a look for somebody else: the API server, the service, a turn, another look. That does not count.
pub async fn waiting<T>(wait: impl Future<Output = T>) -> T {
    let Ok(looked) = NOW.try_with(Arc::clone) else { return wait.await };
    let _waits = Waits::begin(looked);
    wait.await
}

/// A wait, until this is dropped.
struct Waits(Arc<Looked>);

impl Waits {
    fn begin(looked: Arc<Looked>) -> Self {
        looked.health.0.stages.change(looked.number, |stage| stage.waits += 1);
        Self(looked)
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let now = self.0.health.now();
        self.0.health.0.stages.change(self.0.number, |stage| {
            stage.waits = stage.waits.saturating_sub(1);
            stage.since = now;
        });
    }
}
