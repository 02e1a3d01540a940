//! The one place that reads time. Everywhere else time is an argument.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Tells the time: the system's, or a simulation's.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    simulated: Option<Arc<Simulated>>,
}

/// When the system's clocks were first read together.
static FIRST: OnceLock<(Timestamp, Instant)> = OnceLock::new();

#[derive(Debug)]
struct Simulated {
    start: Timestamp,
    begun: Instant,
    /// Seconds by which this wall clock is wrong.
    ahead: AtomicI64,
}

impl Clock {
    /// The system's clocks.
    pub const fn system() -> Self {
        Self { simulated: None }
    }

    /// A wall clock that shows `start` now and runs with tokio's monotonic one, which a test may pause.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads time")]
    pub fn simulated(start: Timestamp) -> Self {
        let simulated = Simulated { start, begun: Instant::now(), ahead: AtomicI64::new(0) };
        Self { simulated: Some(Arc::new(simulated)) }
    }

    /// The wall clock, for what is stored and compared with other machines.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads time")]
    pub fn now(&self) -> Timestamp {
        let Some(simulated) = &self.simulated else { return Timestamp::now() };
        let ahead = SignedDuration::from_secs(simulated.ahead.load(Ordering::Relaxed));
        let shown = simulated.start.saturating_add(simulated.begun.elapsed());
        shown.and_then(|shown| shown.checked_add(ahead)).unwrap_or(simulated.start)
    }

    /// A wall clock that never jumps: it runs with the monotonic one from the time that the wall clock first showed. For
    /// waits that are reckoned with timestamps.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads time")]
    pub fn steady(&self) -> Timestamp {
        let (start, begun) = match &self.simulated {
            Some(simulated) => (simulated.start, simulated.begun),
            None => *FIRST.get_or_init(|| (Timestamp::now(), Instant::now())),
        };
        start.saturating_add(begun.elapsed()).unwrap_or(start)
    }

    /// A time of the wall clock, by the steady one.
    pub fn as_steady(&self, wall: Timestamp) -> Timestamp {
        wall.checked_sub(self.now().duration_since(self.steady())).unwrap_or(wall)
    }

    /// A time of the steady clock, by the wall clock.
    pub fn as_wall(&self, steady: Timestamp) -> Timestamp {
        steady.checked_add(self.now().duration_since(self.steady())).unwrap_or(steady)
    }

    /// The monotonic clock, for waits.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads time")]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Makes a simulated wall clock wrong by so many seconds; the system's stays as it is.
    pub fn jump(&self, ahead: i64) {
        if let Some(simulated) = &self.simulated {
            simulated.ahead.store(ahead, Ordering::Relaxed);
        }
    }
}

/// Waits until then; for ever, where nothing is to come.
pub async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
