//! How often people may be told of an object, and have it looked at: whoever changes one again and again gains nothing by
//! it, even where it rests between.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many events of an object are told at once, and how often one more.
const TOLD_AT_ONCE: u32 = 25;
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// One look that an annotation asks for is taken up in so long.
const WISHES: Duration = Duration::from_secs(10);

/// How many paces are kept before it is looked which of them bind anybody.
const FEW: usize = 256;

/// The paces of all objects, by uid.
#[derive(Debug, Default)]
pub(in crate::controller) struct Paces {
    of: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    of: HashMap<String, Pace>,
    /// With how many those that bind nobody are dropped.
    many: usize,
}

#[derive(Debug)]
struct Pace {
    /// Events that may still be told at once, and when that was counted.
    told: (u32, Instant),
    /// The look that was asked for and taken up last, and when.
    wish: Option<(String, Instant)>,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { told: (TOLD_AT_ONCE, now), wish: None }
    }

    /// How many events may be told at once now, and since when.
    fn left(&self, now: Instant) -> (u32, Instant) {
        let (left, counted) = self.told;
        let more = now.duration_since(counted).as_secs() / TOLD_EVERY.as_secs();
        let left = left.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(TOLD_AT_ONCE);
        // What is left of a pause goes on.
        (left, if more == 0 { counted } else { now })
    }

    /// Whether it keeps anything from being done.
    fn binds(&self, now: Instant) -> bool {
        let waits = |at: &Instant| now.duration_since(*at) < WISHES;
        self.left(now).0 < TOLD_AT_ONCE || self.wish.as_ref().is_some_and(|(_, at)| waits(at))
    }
}

impl Paces {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set<T>(&self, uid: &str, now: Instant, with: impl FnOnce(&mut Pace) -> T) -> T {
        let mut kept = self.lock();
        if kept.of.len() > kept.many.max(FEW) {
            kept.of.retain(|_, pace| pace.binds(now));
            kept.many = kept.of.len().saturating_mul(2);
        }
        with(kept.of.entry(uid.to_owned()).or_insert_with(|| Pace::new(now)))
    }

    /// Whether one more event may be told of an object: so many at once, and then one in a while.
    pub(in crate::controller) fn may_tell(&self, uid: &str, now: Instant) -> bool {
        self.set(uid, now, |pace| {
            let (left, counted) = pace.left(now);
            pace.told = (left.saturating_sub(1), counted);
            left > 0
        })
    }

    /// Takes up a look that is asked for, or says how long it still has to wait, because another one was taken up.
    ///
    /// # Errors
    /// How long it has to wait.
    pub(in crate::controller) fn take_up(
        &self,
        uid: &str,
        asked: &str,
        now: Instant,
    ) -> Result<(), Duration> {
        self.set(uid, now, |pace| {
            let other = pace.wish.as_ref().filter(|(last, _)| last != asked);
            let left = other.map_or(Duration::ZERO, |(_, at)| WISHES.saturating_sub(now.duration_since(*at)));
            if !left.is_zero() {
                return Err(left);
            }
            if pace.wish.as_ref().is_none_or(|(last, _)| last != asked) {
                pace.wish = Some((asked.to_owned(), now));
            }
            Ok(())
        })
    }

    /// Forgets an object that is gone.
    pub(in crate::controller) fn forget(&self, uid: &str) {
        self.lock().of.remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{FEW, Paces, TOLD_AT_ONCE, TOLD_EVERY, WISHES};
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn another_look_that_is_asked_for_is_taken_up_only_after_a_while() {
        let (paces, now) = (Paces::default(), Clock::system().instant());
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(paces.take_up("a", "1", now), Ok(()));
        assert_eq!(paces.take_up("a", "1", later(3)), Ok(()), "the same is the same look");
        assert_eq!(paces.take_up("a", "2", later(3)), Err(Duration::from_secs(7)));
        assert_eq!(paces.take_up("b", "2", later(3)), Ok(()), "each object has its own");
        assert_eq!(paces.take_up("a", "2", later(10)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn only_paces_that_bind_nobody_are_dropped_when_there_are_many() {
        let (paces, now) = (Paces::default(), Clock::system().instant());
        let told = (0..=TOLD_AT_ONCE).filter(|_| paces.may_tell("loud", now)).count();
        assert_eq!(told, 25);
        assert!((0..FEW).all(|number| paces.take_up(&number.to_string(), "x", now).is_ok()));
        assert_eq!(paces.lock().of.len(), FEW + 1);
        let after = now + WISHES;
        assert!(!paces.may_tell("loud", after), "it has told too much");
        assert_eq!(paces.lock().of.len(), 1);
        assert!(paces.may_tell("loud", now + TOLD_EVERY * 2));
    }
}
