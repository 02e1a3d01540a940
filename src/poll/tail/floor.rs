//! Down to which stamp every change is known. No clock enters but that of the stamps themselves: neither ours nor that of the
//! answers' headers is theirs.

use std::collections::VecDeque;
use std::time::Duration;

/// How late a row becomes visible, as long as nothing else was learnt, in seconds; and the least and the most.
const LATENESS: i64 = 5;
const LEAST: i64 = 3;
const MOST: i64 = 60;
/// How long what was learnt of it holds.
const LEARNT_FOR: Duration = Duration::from_secs(3600);

/// How far back an earlier process may have been behind the newest of what it recorded, in seconds.
const BEHIND: i64 = 600;

/// From how many new rows the clock is read: no single writer whose clock is wrong moves it.
const SAMPLES: usize = 15;
/// With how few it is.
const FEW: usize = 3;

/// A moment by the clock that never jumps, since the tail began.
pub(super) type Moment = Duration;

/// What is known of the stamps.
#[derive(Debug)]
pub(super) struct Floor {
    /// How far the stamps of the last new rows were ahead of our moments when they were first seen, in seconds.
    offsets: VecDeque<i64>,
    /// A stamp that the clock had passed, and when that was known.
    passed: Option<(i64, Moment)>,
    lateness: i64,
    learnt: Moment,
    down_to: Option<i64>,
    /// Whether a reading was whole since it was last begun.
    begun: bool,
}

impl Default for Floor {
    fn default() -> Self {
        Self {
            offsets: VecDeque::new(),
            passed: None,
            lateness: LATENESS,
            learnt: Moment::ZERO,
            down_to: None,
            begun: false,
        }
    }
}

impl Floor {
    /// The stamp below which every change is known that was visible in time; none before a first page was read.
    pub(super) fn stamp(&self) -> Option<i64> {
        self.down_to
    }

    /// Somebody knows a job as it was after its change with this stamp. Says whether every later change is still read: of
    /// what was recorded before this process began it is, because reading begins where the record is.
    pub(super) fn begin_at(&mut self, stamp: i64) -> bool {
        if self.passed.is_none() {
            self.down_to = self.down_to.max(Some(stamp - BEHIND));
            return true;
        }
        self.begun && self.down_to.is_some_and(|floor| floor <= stamp)
    }

    /// Nobody needs to know what changed until now.
    pub(super) fn begin_anew(&mut self) {
        (self.down_to, self.begun) = (None, false);
    }

    /// The stamps of the rows of a page, in its order, of which these are new since the last page.
    pub(super) fn saw(&mut self, stamps: &[i64], new: &[i64], at: Moment) {
        if self.passed.is_none() {
            // The first page has all kinds of rows: what the third of them tells no two wrong clocks have made.
            self.passed = stamps.get(2).or(stamps.last()).map(|stamp| (*stamp, at));
            return;
        }
        for stamp in new {
            self.offsets.push_back(stamp - seconds(at));
            if self.offsets.len() > SAMPLES {
                self.offsets.pop_front();
            }
        }
    }

    /// The clock of the stamps at a moment, in seconds; it may be behind, and is not ahead but by what half of the writers
    /// are.
    fn clock(&self, at: Moment) -> Option<i64> {
        let (stamp, then) = self.passed?;
        let since = stamp + seconds(at.saturating_sub(then));
        if self.offsets.len() < FEW {
            return Some(since);
        }
        let mut offsets: Vec<i64> = self.offsets.iter().copied().collect();
        offsets.sort_unstable();
        offsets.get(offsets.len() / 2).map(|offset| offset + seconds(at))
    }

    /// Everything was read down to the floor by a reading that began then.
    pub(super) fn read_whole(&mut self, begun: Moment) {
        if begun.saturating_sub(self.learnt) >= LEARNT_FOR {
            (self.lateness, self.learnt) = ((self.lateness / 2).max(LEAST), begun);
        }
        self.begun = true;
        // Stamps are cut to whole seconds.
        let Some(known) = self.clock(begun).map(|clock| clock - self.lateness - 1) else { return };
        self.down_to = Some(self.down_to.map_or(known, |floor| floor.max(known)));
    }

    /// A change with this stamp was seen first at this moment, although it lies below the floor: rows become visible later
    /// than was thought.
    pub(super) fn was_late(&mut self, stamp: i64, at: Moment) {
        if self.down_to.is_none_or(|floor| stamp >= floor) {
            return;
        }
        let Some(clock) = self.clock(at) else { return };
        let late = clock - stamp;
        (self.lateness, self.learnt) = (late.saturating_mul(2).clamp(self.lateness, MOST), at);
        // What else was as late is read again; a change that has left its stamp as it was says nothing of others.
        let again = stamp.max(clock - MOST - 1);
        self.down_to = self.down_to.map(|floor| floor.min(again));
    }
}

fn seconds(moment: Moment) -> i64 {
    i64::try_from(moment.as_secs()).unwrap_or(i64::MAX)
}
