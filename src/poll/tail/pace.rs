//! How often the list is read: often while something changes, seldom while nothing does.

use std::collections::VecDeque;
use std::time::Duration;

use super::floor::Moment;
use crate::spideriq::PAGE;

/// While something has just changed.
const FAST: Duration = Duration::from_millis(1500);
/// For so long.
const LATELY: Duration = Duration::from_secs(10);
/// Afterwards, at the least and at the most: a fortieth of the time for which nothing has changed.
const SLOW: Duration = Duration::from_secs(3);
const SLOWEST: Duration = Duration::from_secs(15);
const QUIET_PARTS: u32 = 40;

/// A reading of more pages than so many is a long one; after so many of them in a row others change too much.
const LONG: usize = 3;
const CROWDED: u32 = 4;
/// Until the usual depth, of so long, would have no more pages than so many.
const DEPTH: Duration = Duration::from_secs(6);
const AGAIN: usize = 2;
/// The longest pause that pages make.
const FOR_PAGES: Duration = Duration::from_secs(5);

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
    /// How many pages the last reading had.
    pages: usize,
    /// Long readings in a row; as many as say that others change too much, until that is over.
    long: u32,
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

    /// A reading had so many pages; of one, how many rows were new, and since when.
    pub(super) fn note_reading(&mut self, pages: usize, fresh: Option<(usize, Duration)>) {
        self.pages = pages;
        let usual = |(rows, since): (usize, Duration)| {
            let times = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
            (since + DEPTH).saturating_mul(times(rows)) < since.saturating_mul(times(AGAIN * PAGE))
        };
        self.long = match pages > LONG {
            true => self.long.saturating_add(1),
            false if self.is_crowded() && !fresh.is_some_and(usual) => CROWDED,
            false => 0,
        };
    }

    /// Whether others change so much that the usual depth costs more than there is.
    pub(super) fn is_crowded(&self) -> bool {
        self.long >= CROWDED
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

    /// The pause after a reading at this moment. Half of the client's requests a minute at the most are readings, and two
    /// thirds where others change too much.
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
        // A few long ones are what many jobs make that begin together.
        let counts = self.long == 0 || self.is_crowded();
        let pages = if counts { u32::try_from(self.pages).unwrap_or(u32::MAX).max(1) } else { 1 };
        let share = Duration::from_secs(if self.is_crowded() { 90 } else { 120 }) / per_minute.max(1);
        let share = share.max(share.saturating_mul(pages).min(FOR_PAGES));
        wanted.max(share).max(self.longest())
    }
}
