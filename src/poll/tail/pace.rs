//! How often the list is read: often while something changes, seldom while nothing does.

use std::time::Duration;

use super::floor::Moment;

/// While something has just changed.
const FAST: Duration = Duration::from_millis(1500);
/// For so long.
const LATELY: Duration = Duration::from_secs(10);
/// Afterwards, at the least and at the most: a fortieth of the time for which nothing has changed.
const SLOW: Duration = Duration::from_secs(3);
const SLOWEST: Duration = Duration::from_secs(15);
const QUIET_PARTS: u32 = 40;

/// The list may be a scan of a whole table: it is at work for a twentieth of the time at the most.
const REST: u32 = 20;

/// The pauses between two readings of the first page.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When something that is followed changed last, or was begun.
    changed: Moment,
    /// How long the service takes for a page: new ones count a fifth.
    takes: Duration,
}

impl Pace {
    /// Something that is followed changed, or was begun.
    pub(super) fn note_change(&mut self, at: Moment) {
        self.changed = self.changed.max(at);
    }

    /// When something that is followed changed last, or was begun.
    pub(super) fn changed(&self) -> Moment {
        self.changed
    }

    /// A page took so long.
    pub(super) fn note_page(&mut self, took: Duration) {
        self.takes = if self.takes.is_zero() { took } else { (self.takes * 4 + took) / 5 };
    }

    /// The pause after a reading at this moment. Half of the client's requests a minute at the most are readings.
    pub(super) fn pause(&self, at: Moment, per_minute: u32) -> Duration {
        let quiet = at.saturating_sub(self.changed);
        let wanted = if quiet < LATELY { FAST } else { (quiet / QUIET_PARTS).clamp(SLOW, SLOWEST) };
        let share = Duration::from_secs(120) / per_minute.max(1);
        wanted.max(share).max(self.takes.saturating_mul(REST))
    }
}
