//! A reading of all jobs that are not over, beside the list of what changed: what it does not show of the followed ones is
//! over, or is shown by no list. It costs a page for a hundred jobs, where looking at each costs a hundred requests.
//!
//! A job that ends leaves these lists, and all after it move up. So each is read from its last page to its first, the
//! oldest jobs first: what moves comes from pages that are still to be read, and no job is passed over but one that has
//! just begun to run.

use std::time::Duration;

use super::floor::Moment;
use super::page::SHORT;
use crate::spideriq::{Listed, PAGE};

/// The two lists of jobs that are not over, in the order in which a job is in them.
const LISTS: [Listed; 2] = [Listed::Queued, Listed::Processing];

/// From how many followed jobs on reading all is cheaper than looking at each.
pub(super) const FROM: usize = 50;
/// From how many jobs on of which nobody knows anything they are looked for here first, if it has no more pages than that.
const NEW: usize = 4;

/// How often it begins in the background, at the most, and how long each page of it takes.
const EVERY: Duration = Duration::from_secs(600);
const EACH: Duration = Duration::from_secs(15);
/// So long after the last when something calls for it, and so long after the start of the first.
const CALLED: Duration = Duration::from_secs(60);
/// For so long after it all that it has shown is known, but for what the first page of changes tells.
const JUST: Duration = Duration::from_secs(10);
/// Its share of the client's requests: a twentieth in the background, half when something calls for it.
const PART: u32 = 20;
const PART_CALLED: u32 = 2;

/// How often in a row a page may fail in passing, and how long nothing is read then.
const FAILURES: u32 = 3;
const OFF: Duration = Duration::from_secs(1800);

/// What is known of the readings, and which page comes next. Pure, as the list of what changed is.
#[derive(Debug, Default)]
pub(super) struct Net {
    round: Option<Round>,
    /// When the last round began, and when the last that was whole ended.
    begun: Option<Moment>,
    whole: Option<Moment>,
    called: bool,
    /// On which page each of the lists ended last.
    ends: [usize; 2],
    /// When a page was asked for last.
    asked: Moment,
    failures: u32,
    /// Whether this round is the second reading of one.
    again: bool,
    /// It is not used until then.
    off: Moment,
}

#[derive(Debug)]
struct Round {
    /// Which of the lists is read.
    of: usize,
    at: At,
    called: bool,
}

/// A page that is read next.
#[derive(Clone, Copy, Debug)]
enum At {
    /// The last page is looked for: `full` is the last that is known to be none, `empty` the first that is known to have
    /// no rows.
    Seeking { page: usize, step: usize, full: usize, empty: Option<usize> },
    /// All after it were read.
    Down(usize),
}

/// So many pages at the most, while so many jobs are followed: a page costs a request, as a look does.
fn most(jobs: usize) -> usize {
    jobs.saturating_add(2)
}

impl At {
    /// The last page is looked for from where it was last, while so many jobs are followed.
    fn from(end: usize, jobs: usize) -> Self {
        Self::Seeking { page: end.clamp(1, most(jobs)), step: 1, full: 0, empty: None }
    }

    fn page(self) -> usize {
        match self {
            Self::Seeking { page, .. } | Self::Down(page) => page,
        }
    }

    /// The page had so many rows: what comes next, and the last page of the list as soon as it is known.
    fn after(self, rows: usize) -> (Self, Option<usize>) {
        let Self::Seeking { page, step, full, empty } = self else {
            return (Self::Down(self.page().saturating_sub(1)), None);
        };
        let (full, empty) = match rows {
            0 => (full, Some(page)),
            SHORT.. => (page, empty),
            _ => return (Self::Down(page - 1), Some(page)),
        };
        match empty {
            None => (Self::Seeking { page: page.saturating_add(step), step: step * 2, full, empty }, None),
            Some(empty) if empty <= full + 1 => (Self::Down(full.saturating_sub(1)), Some(full)),
            Some(first) => (Self::Seeking { page: full.midpoint(first), step, full, empty }, None),
        }
    }
}

impl Net {
    /// Something may have been missed: a reading begins as soon as it may.
    pub(super) fn call(&mut self) {
        match &mut self.round {
            Some(round) => round.called = true,
            None => self.called = true,
        }
    }

    /// The same of what was missed until a moment: one that began before it is not enough.
    pub(super) fn call_anew(&mut self, since: Moment) {
        self.call();
        self.called |= self.begun.is_some_and(|begun| begun < since);
    }

    /// The same, unless there was one lately: it has found what was missed until then.
    pub(super) fn call_if_late(&mut self, now: Moment) {
        if self.begun.is_none_or(|begun| now.saturating_sub(begun) >= EVERY) {
            self.call();
        }
    }

    /// So many are followed of which nobody knows anything: says nothing where looking at each is cheaper.
    pub(super) fn seek(&mut self, new: usize) {
        if new >= NEW.max(self.pages()) {
            self.call();
        }
    }

    /// How many pages both lists had last.
    fn pages(&self) -> usize {
        self.ends.iter().sum()
    }

    /// Whether so many jobs are followed that a reading is cheaper than looks.
    pub(super) fn is_worth_it(&self, jobs: usize, now: Moment) -> bool {
        jobs > FROM && self.off <= now
    }

    /// Whether it finds what is missed, so that looks can be seldom.
    pub(super) fn is_good(&self, jobs: usize, now: Moment) -> bool {
        let lately = self.whole.is_some_and(|at| now.saturating_sub(at) < self.every() * 2);
        self.is_worth_it(jobs, now) && (lately || self.round.is_some())
    }

    /// Whether something has called for what is read now.
    pub(super) fn is_called(&self) -> bool {
        self.round.as_ref().is_some_and(|round| round.called)
    }

    /// Whether it is about to show jobs of which nobody knows anything.
    pub(super) fn is_read(&self, now: Moment) -> bool {
        self.off <= now && (self.called || self.is_called())
    }

    /// Whether it tells all that changed, or has just done so.
    pub(super) fn tells_instead(&self, now: Moment) -> bool {
        self.is_read(now) || self.whole.is_some_and(|at| now.saturating_sub(at) < JUST)
    }

    /// When the last round began.
    pub(super) fn begun(&self) -> Option<Moment> {
        self.begun
    }

    fn every(&self) -> Duration {
        EVERY.max(EACH.saturating_mul(u32::try_from(self.pages()).unwrap_or(u32::MAX)))
    }

    /// The next page, and when; nothing while none is to be read.
    pub(super) fn next(&self, jobs: usize, per_minute: u32, now: Moment) -> Option<(Moment, Listed, usize)> {
        let pause = |part: u32| Duration::from_secs(60).saturating_mul(part) / per_minute.max(1);
        if let Some(round) = &self.round {
            let at = self.asked + pause(if round.called { PART_CALLED } else { PART });
            return Some((at, *LISTS.get(round.of)?, round.at.page()));
        }
        let at = match (self.called, self.begun) {
            (true, None) => now.max(self.off),
            (true, Some(begun)) => (begun + CALLED).max(self.off),
            (false, _) if !self.is_worth_it(jobs, now) => return None,
            // An earlier process may have left something out.
            (false, None) => CALLED,
            (false, Some(begun)) => begun + self.every(),
        };
        Some((at, LISTS[0], At::from(self.ends[0], jobs).page()))
    }

    /// When a page was asked for last.
    pub(super) fn asked(&self) -> Moment {
        self.asked
    }

    /// A page is asked for, while so many jobs are followed; says whether a round begins with it.
    pub(super) fn ask(&mut self, jobs: usize, now: Moment) -> bool {
        self.asked = now;
        if self.round.is_some() {
            return false;
        }
        let called = std::mem::take(&mut self.called);
        self.begun = Some(now);
        self.round = Some(Round { of: 0, at: At::from(self.ends[0], jobs), called });
        true
    }

    /// A page was read that had so many rows, while so many jobs are followed. Says whether that was the last one.
    pub(super) fn took(&mut self, rows: usize, jobs: usize, now: Moment) -> bool {
        self.failures = 0;
        let Some(round) = &mut self.round else { return false };
        if rows > 0 && round.at.page() > most(jobs) {
            self.turn_off(now);
            return false;
        }
        let (next, end) = round.at.after(rows);
        round.at = next;
        if let Some((end, known)) = end.zip(self.ends.get_mut(round.of)) {
            *known = end;
        }
        if !matches!(next, At::Down(0)) {
            return false;
        }
        round.of += 1;
        if let Some(end) = self.ends.get(round.of) {
            round.at = At::from(*end, jobs);
            return false;
        }
        (self.round, self.whole) = (None, Some(now));
        true
    }

    /// A round is over that has not shown so many of the followed jobs; says whether it is believed. Where they are more
    /// than a page, both lists are read once more: jobs that began to run meanwhile may have moved past the reading. Where
    /// they are most of all jobs then, the lists are wrong.
    pub(super) fn is_believed(&mut self, unmet: usize, jobs: usize, now: Moment) -> bool {
        let again = std::mem::take(&mut self.again);
        if unmet <= PAGE {
            return true;
        }
        if !again {
            (self.again, self.whole) = (true, None);
            self.round = Some(Round { of: 0, at: At::from(self.ends[0], jobs), called: true });
            return false;
        }
        let wrong = unmet > jobs / 2;
        if wrong {
            self.turn_off(now);
            self.whole = None;
        }
        !wrong
    }

    /// It is not used for a while.
    fn turn_off(&mut self, now: Moment) {
        (self.round, self.called, self.again) = (None, false, false);
        (self.failures, self.ends, self.off) = (0, [0; 2], now + OFF);
    }

    /// A page could not be read; `for_good`: none will be.
    pub(super) fn failed(&mut self, for_good: bool, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        if for_good || self.failures >= FAILURES {
            self.turn_off(now);
        }
    }

    /// The list is left: nothing is read until it is used again.
    pub(super) fn stop(&mut self) {
        (self.round, self.called, self.again) = (None, false, false);
    }
}
