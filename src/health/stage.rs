//! Looks at objects that are under way, and whether each of them waits for somebody else.

use std::sync::Arc;

use super::Health;

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

impl Drop for Looked {
    fn drop(&mut self) {
        self.health.0.stages.end(self.number);
    }
}

/// Runs a look at an object, and knows of it while it lasts.
pub async fn stage<T>(health: &Health, what: impl FnOnce() -> String, look: impl Future<Output = T>) -> T {
    let number = health.0.stages.begin(what(), health.seconds());
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
        let now = self.0.health.seconds();
        self.0.health.0.stages.change(self.0.number, |stage| {
            stage.waits = stage.waits.saturating_sub(1);
            stage.since = now;
        });
    }
}
