//! The one place that reads time. Everywhere else time is an argument.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Tells the time: the system's, or one that a test moves by hand.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    fixed: Option<Arc<Mutex<Timestamp>>>,
}

impl Clock {
    /// The system's clocks.
    pub const fn system() -> Self {
        Self { fixed: None }
    }

    /// A wall clock that stands still until it is advanced; the monotonic one stays tokio's.
    pub fn fixed(at: Timestamp) -> Self {
        Self { fixed: Some(Arc::new(Mutex::new(at))) }
    }

    /// The wall clock, for what is stored and compared with other machines.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads time")]
    pub fn now(&self) -> Timestamp {
        self.fixed
            .as_ref()
            .map_or_else(Timestamp::now, |at| *at.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The monotonic clock, for waits.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads time")]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Moves a fixed clock; the system's stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Some(at) = &self.fixed {
            let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
            *at = at.saturating_add(by).unwrap_or(*at);
        }
    }
}
