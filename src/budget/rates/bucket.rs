//! A token bucket kept as one time: when it would be full again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

const MINUTE: u64 = 60_000_000_000;

/// At most `per_minute` in any 60 seconds: `burst` at once, refilled at what is left of the minute's limit.
#[derive(Debug, PartialEq)]
pub(super) struct Bucket {
    /// The time that one token takes to come back; `None` where nothing is ever allowed.
    each: Option<Duration>,
    burst: u32,
    full_at: Timestamp,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn full(per_minute: u32, burst: u32, now: Timestamp) -> Self {
        let mut bucket = Self { each: None, burst: 0, full_at: now };
        bucket.resize(per_minute, burst, now);
        bucket.full_at = now;
        bucket
    }

    /// An empty bucket.
    pub(super) fn spent(per_minute: u32, burst: u32, now: Timestamp) -> Self {
        let mut bucket = Self { each: None, burst: 0, full_at: now };
        bucket.resize(per_minute, burst, now);
        bucket
    }

    /// Other limits from now on. What could be taken still can be, as far as there is room for it, and nothing more: no
    /// change of limits makes a token. What is owed beyond the new burst is forgiven: none stops everything for longer
    /// than one token takes, which is a minute at the most.
    pub(super) fn resize(&mut self, per_minute: u32, burst: u32, now: Timestamp) {
        let (had, each) = (self.left(now), self.each);
        self.burst = burst.clamp(1, per_minute.saturating_sub(1).max(1));
        // Evenly spaced tokens need no room for a burst; a burst and the refill behind it share the limit.
        let refill = if self.burst == 1 { per_minute } else { per_minute - self.burst };
        self.each = (refill > 0).then(|| Duration::from_nanos(MINUTE / u64::from(refill)));
        let (Some(room), Some(new)) = (self.span(self.burst), self.each) else {
            self.full_at = now;
            return;
        };
        let kept = each.map_or(0, |old| had.as_nanos() * new.as_nanos() / old.as_nanos().max(1));
        let kept = Duration::from_nanos(u64::try_from(kept).unwrap_or(u64::MAX));
        self.full_at = now.checked_add(room.saturating_sub(kept)).unwrap_or(now);
    }

    /// What could be taken, as the time that it takes to come back.
    fn left(&self, now: Timestamp) -> Duration {
        let missing = Duration::try_from(self.full_at.duration_since(now).max(SignedDuration::ZERO));
        self.span(self.burst).unwrap_or_default().saturating_sub(missing.unwrap_or(Duration::MAX))
    }

    /// Whether nothing of it is taken.
    pub(super) fn is_full(&self, now: Timestamp) -> bool {
        self.full_at <= now
    }

    /// When there is a token.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        match self.span(self.burst.saturating_sub(1)) {
            None => Timestamp::MAX,
            Some(spare) => self.full_at.checked_sub(spare).unwrap_or(now).max(now),
        }
    }

    pub(super) fn take(&mut self, now: Timestamp) {
        if let Some(each) = self.each {
            self.full_at = self.full_at.max(now).checked_add(each).unwrap_or(self.full_at);
        }
    }

    /// Undoes a take that nothing came of.
    pub(super) fn give_back(&mut self) {
        if let Some(each) = self.each {
            self.full_at = self.full_at.checked_sub(each).unwrap_or(self.full_at);
        }
    }

    /// Tokens that could be taken at once.
    pub(super) fn available(&self, now: Timestamp) -> u32 {
        let Some(each) = self.each else { return 0 };
        let missing = Duration::try_from(self.full_at.duration_since(now).max(SignedDuration::ZERO))
            .unwrap_or_default();
        let missing = u32::try_from(missing.as_nanos().div_ceil(each.as_nanos())).unwrap_or(u32::MAX);
        self.burst.saturating_sub(missing)
    }

    fn span(&self, tokens: u32) -> Option<Duration> {
        self.each?.checked_mul(tokens)
    }
}
