//! A stream of events as the list listens to it: when it is opened again, and when it says too much to be listened to.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::spideriq::{Error, Events};

/// One opening of the client's stream of events, paid from its budget by whoever gives this function.
pub type Stream = Arc<dyn Fn() -> BoxFuture<'static, Result<Events, Error>> + Send + Sync>;

/// The first pause until it is opened again, the longest, and that after a refusal.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
const REFUSED: Duration = Duration::from_secs(1800);
/// One that has lasted so long works: the next pause is a first one.
const WORKS: Duration = Duration::from_secs(60);

/// More events than that in so long are a fault of the service.
const TOO_MANY: u32 = 10_000;
const IN: Duration = Duration::from_secs(10);

/// The tries to open it.
#[derive(Debug, Default)]
pub(super) struct Tries {
    failed: u32,
}

impl Tries {
    /// It has ended after so long, or was never opened. In how long it is to be opened again; `share` is drawn from 0 to 1,
    /// so that those whom one fault has cut off do not come back together.
    pub(super) fn ended(&mut self, lasted: Duration, refused: bool, share: f64) -> Duration {
        if refused {
            return REFUSED;
        }
        self.failed = if lasted >= WORKS { 1 } else { self.failed.saturating_add(1) };
        let most = FIRST.saturating_mul(1 << (self.failed - 1).min(16)).min(LONGEST);
        (most / 2).saturating_add(most.mul_f64(share / 2.0))
    }
}

/// How many events come.
#[derive(Debug, Default)]
pub(super) struct Flow {
    since: Duration,
    events: u32,
}

impl Flow {
    /// One more has come at this moment; says whether it is still listened to.
    pub(super) fn takes(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.since) >= IN {
            *self = Self { since: now, events: 0 };
        }
        self.events = self.events.saturating_add(1);
        self.events <= TOO_MANY
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Flow, TOO_MANY, Tries};

    #[test]
    fn a_stream_that_ends_at_once_is_opened_ever_more_seldom_and_one_that_worked_soon() {
        let mut tries = Tries::default();
        let short = Duration::from_secs(1);
        let pauses: Vec<u64> = (0..11).map(|_| tries.ended(short, false, 1.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(tries.ended(Duration::from_secs(60), false, 0.0), Duration::from_millis(500));
        assert_eq!(tries.ended(short, true, 0.5), Duration::from_secs(1800));
    }

    #[test]
    fn a_stream_that_says_too_much_is_not_listened_to() {
        let mut flow = Flow::default();
        let at = Duration::from_secs;
        assert!((0..TOO_MANY).all(|_| flow.takes(at(15))));
        assert!(!flow.takes(at(16)));
        assert!(flow.takes(at(26)), "another ten seconds");
    }
}
