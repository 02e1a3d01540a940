//! How often the list is read: often while something changes, seldom while nothing does.

use std::collections::VecDeque;
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

/// While events tell of changes first: then it only finds what they have lost.
const BESIDE_EVENTS: Duration = Duration::from_secs(15);
/// Of so many changes that events tell of all but one have to be told by them first.
const JUDGED: usize = 20;

/// The pauses between two readings of the first page.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Of the last changes while a stream of events was open, whether it was first to tell of them.
    events: VecDeque<bool>,
    /// Whether one is open, and what changed before it was has been read.
    open: bool,
    read: bool,
    awaits: bool,
    /// When something that is followed changed last, or was begun.
    changed: Moment,
    /// How long the service takes for a page: new ones count a fifth.
    takes: Duration,
}

impl Pace {
    /// A stream of events was opened, or has ended.
    pub(super) fn note_stream(&mut self, open: bool) {
        (self.open, self.read) = (open, false);
    }

    /// Everything was read that changed before.
    pub(super) fn note_whole(&mut self) {
        self.read = self.open;
    }

    /// A change was told by the stream first, or by the list.
    pub(super) fn note_first(&mut self, by_event: bool) {
        if !self.read {
            return;
        }
        self.events.push_back(by_event);
        if self.events.len() > JUDGED {
            self.events.pop_front();
        }
    }

    /// Whether events tell of changes before the list does: they did so before.
    fn has_events(&self) -> bool {
        let missed = self.events.iter().filter(|first| !**first).count();
        self.read && missed < 2 && missed < self.events.len()
    }

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

    /// How long the service takes for a page.
    pub(super) fn takes(&self) -> Duration {
        self.takes
    }

    /// The pause that a slow service makes, at the least.
    pub(super) fn longest(&self) -> Duration {
        self.takes.saturating_mul(REST)
    }

    /// Whether an event has said something that the list is to show.
    pub(super) fn await_row(&mut self, awaits: bool) {
        self.awaits = awaits;
    }

    /// The pause after a reading at this moment. Half of the client's requests a minute at the most are readings.
    pub(super) fn pause(&self, at: Moment, per_minute: u32) -> Duration {
        let quiet = at.saturating_sub(self.changed);
        let wanted = if self.awaits {
            FAST
        } else if self.has_events() {
            BESIDE_EVENTS
        } else if quiet < LATELY {
            FAST
        } else {
            (quiet / QUIET_PARTS).clamp(SLOW, SLOWEST)
        };
        let share = Duration::from_secs(120) / per_minute.max(1);
        wanted.max(share).max(self.longest())
    }
}
