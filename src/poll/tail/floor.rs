//! Down to which stamp every change is known. No clock enters but that of the stamps themselves: neither ours nor that of the
//! answers' headers is theirs.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
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

/// Down to where a process has read, for the one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The stamp below which every change was told, in seconds.
    down_to: i64,
    /// How late rows may become visible, in seconds.
    lateness: i64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.down_to, self.lateness)
    }
}

impl FromStr for Mark {
    type Err = ();

    /// What somebody else has written there is no mark.
    fn from_str(words: &str) -> Result<Self, ()> {
        let (down_to, lateness) = words.split_once(' ').ok_or(())?;
        let number = |word: &str| word.parse::<i64>().map_err(drop);
        let mark = Self { down_to: number(down_to)?, lateness: number(lateness)? };
        // A time of day in seconds, and what is ever learnt.
        let good = (0..1 << 40).contains(&mark.down_to) && (LEAST..=MOST).contains(&mark.lateness);
        good.then_some(mark).ok_or(())
    }
}

/// So long after it was told, a change stands in its object.
const WRITTEN_WITHIN: Duration = Duration::from_secs(30);

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
    /// Where an earlier process has left off.
    marked: bool,
    /// Where it was, at most once a second.
    trail: VecDeque<(Moment, i64)>,
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
            marked: false,
            trail: VecDeque::new(),
        }
    }
}

impl Floor {
    /// The stamp below which every change is known that was visible in time; none before a first page was read.
    pub(super) fn stamp(&self) -> Option<i64> {
        self.down_to
    }

    /// An earlier process has told every change below its mark, and what it told is written.
    pub(super) fn go_on_from(&mut self, mark: Mark) {
        (self.down_to, self.lateness, self.marked) = (Some(mark.down_to), mark.lateness, true);
    }

    /// Where the next process may go on: where this one was when what it has told since was surely written.
    pub(super) fn mark(&mut self, now: Moment) -> Option<Mark> {
        let floor = self.down_to.filter(|_| self.begun)?;
        if self.trail.back().is_none_or(|(at, _)| now.saturating_sub(*at) >= Duration::from_secs(1)) {
            self.trail.push_back((now, floor));
        }
        let old = |(at, _): &(Moment, i64)| now.saturating_sub(*at) >= WRITTEN_WITHIN;
        while self.trail.get(1).is_some_and(old) {
            self.trail.pop_front();
        }
        // Rows that became visible late may have taken the floor back since.
        let (_, then) = self.trail.front().filter(|first| old(first))?;
        Some(Mark { down_to: floor.min(*then), lateness: self.lateness })
    }

    /// Somebody knows a job as it was after its change with this stamp. Says whether every later change is still read: of
    /// what was recorded before this process began it is, because reading begins where the record is.
    pub(super) fn begin_at(&mut self, stamp: i64) -> bool {
        if self.passed.is_none() {
            if !self.marked {
                self.down_to = self.down_to.max(Some(stamp - BEHIND));
            }
            return true;
        }
        self.begun && self.down_to.is_some_and(|floor| floor <= stamp)
    }

    /// Nobody needs to know what changed until now.
    pub(super) fn begin_anew(&mut self) {
        if self.marked && self.passed.is_none() {
            return;
        }
        (self.down_to, self.begun) = (None, false);
        self.trail.clear();
    }

    /// The stamps of the rows of a page, in its order, of which these are new since the last page.
    pub(super) fn saw(&mut self, stamps: &[i64], new: &[i64], at: Moment) {
        if self.passed.is_none() {
            // The first page has all kinds of rows: what the third of them tells no two wrong clocks have made.
            self.passed = stamps.get(2).or(stamps.last()).map(|stamp| (*stamp, at));
            // A mark that is ahead of all this is none, and would hide what changes next.
            if let Some((stamp, _)) = self.passed.filter(|_| self.marked) {
                self.down_to = self.down_to.map(|floor| {
                    if floor > stamp { stamp - BEHIND } else { floor.min(stamp - self.lateness - 1) }
                });
            }
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

    /// Everything was read down to the floor by a reading that began then. With `newest`, the stamp that it began with, what
    /// is visible later than that is not read for, where none was seen to be.
    pub(super) fn read_whole(&mut self, begun: Moment, newest: Option<i64>) {
        if begun.saturating_sub(self.learnt) >= LEARNT_FOR {
            (self.lateness, self.learnt) = ((self.lateness / 2).max(LEAST), begun);
        }
        self.begun = true;
        let Some(clock) = self.clock(begun) else { return };
        // Stamps are cut to whole seconds.
        let usual = clock - self.lateness - 1;
        let newest = newest.filter(|_| self.lateness <= LATENESS);
        let known = newest.map_or(usual, |newest| newest.min(clock).max(usual));
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
