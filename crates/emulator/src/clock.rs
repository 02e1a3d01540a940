//! The two clocks of the emulated service.
//!
//! The job clock runs at a chosen speed and can be advanced; rate-limit windows use the wall clock, which does neither.
//! Reads the machine's time; nothing else in the crate may.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Microseconds since the Unix epoch, or a span of microseconds.
pub(crate) type Micros = i64;

/// Job time and wall time, in microseconds since the Unix epoch.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    wall_origin: Micros,
    speed: f64,
    /// Wall time at which the job clock was last set, and the job time it was set to.
    set_at: Micros,
    set_to: Micros,
}

impl Clock {
    /// Both clocks start at `epoch`, or at the machine's time without one.
    #[allow(clippy::disallowed_methods, reason = "this is the module that reads the time")]
    pub(crate) fn new(speed: f64, epoch: Option<Micros>) -> Self {
        let origin = epoch.unwrap_or_else(|| Timestamp::now().as_microsecond());
        Self { started: Instant::now(), wall_origin: origin, speed, set_at: origin, set_to: origin }
    }

    /// Time that rate limits are measured in.
    pub(crate) fn wall(&self) -> Micros {
        self.wall_origin.saturating_add(micros(self.started.elapsed()))
    }

    /// Time that jobs live in.
    pub(crate) fn now(&self) -> Micros {
        let since = Duration::from_micros(u64::try_from(self.wall() - self.set_at).unwrap_or(0));
        self.set_to.saturating_add(seconds(since.as_secs_f64() * self.speed))
    }

    /// Moves the job clock forward.
    pub(crate) fn advance(&mut self, span: Micros) {
        let now = self.now();
        self.set_at = self.wall();
        self.set_to = now.saturating_add(span);
    }

    /// The wall time at which a job time that has been reached was reached.
    ///
    /// Right for changes that were settled before the last [`Clock::advance`]; those that it jumped over count as its moment.
    pub(crate) fn wall_of(&self, job_time: Micros) -> Micros {
        let since = Duration::from_micros(u64::try_from(job_time - self.set_to).unwrap_or(0));
        self.set_at.saturating_add(seconds(since.as_secs_f64() / self.speed))
    }
}

fn micros(span: Duration) -> Micros {
    Micros::try_from(span.as_micros()).unwrap_or(Micros::MAX)
}

/// Seconds as microseconds; what is negative, not a number or too large becomes zero or the largest.
pub(crate) fn seconds(value: f64) -> Micros {
    if value > 0.0 { Duration::try_from_secs_f64(value).map_or(Micros::MAX / 4, micros) } else { 0 }
}

/// `2025-10-27T10:00:00Z`: whole seconds, cut and not rounded (contract sections 5.1 and 10).
pub(crate) fn zulu(at: Micros) -> String {
    stamp(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// `2025-10-27T10:00:00`: as in YAML (contract section 5.1).
pub(crate) fn naive(at: Micros) -> String {
    stamp(at, "%Y-%m-%dT%H:%M:%S")
}

/// `2026-01-18T12:31:37.073080`: as in one submit sample (contract section 9, row 11).
pub(crate) fn naive_micros(at: Micros) -> String {
    stamp(at, "%Y-%m-%dT%H:%M:%S%.6f")
}

fn stamp(at: Micros, format: &str) -> String {
    Timestamp::from_microsecond(at).map(|t| t.strftime(format).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn job_time_is_scaled_and_advanced_and_wall_time_is_neither() {
        let mut clock = Clock::new(10.0, Some(1_000_000));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((clock.now(), clock.wall()), (21_000_000, 3_000_000));
        assert_eq!(clock.wall_of(11_000_000), 2_000_000);
        clock.advance(5_000_000);
        assert_eq!((clock.now(), clock.wall()), (26_000_000, 3_000_000));
        assert_eq!(clock.wall_of(22_000_000), 3_000_000, "jumped over: the moment of the jump");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), 36_000_000);
        assert_eq!(clock.wall_of(31_000_000), 3_500_000);
    }

    #[test]
    fn stamps_are_cut_to_whole_seconds() {
        let at = 1_761_559_365_999_999;
        assert_eq!(zulu(at), "2025-10-27T10:02:45Z");
        assert_eq!(naive(at), "2025-10-27T10:02:45");
        assert_eq!(naive_micros(at), "2025-10-27T10:02:45.999999");
    }
}
