//! Which page of the list is read next, and what is known after it. Pure: moments and pages go in, the next page comes out.
//!
//! The list is read in the order of the last change, down to the floor. Its pages are offsets: a change moves a row to the
//! top, so what is not read yet only moves down, and is met twice rather than missed.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::floor::{Floor, Moment};
use super::pace::Pace;
use crate::spideriq::{ListPage, ListRow, PAGE};

/// How many pages of one reading follow each other at once, before each waits for a while.
const AT_ONCE: usize = 12;
/// How long each of the others waits.
const STEP: Duration = Duration::from_secs(1);
/// How often the first page is read beside such a long reading: a change at the top is no reason to begin it anew.
const BESIDE: Duration = Duration::from_secs(5);

/// So long after the last that begins to follow the first page is read, and at the latest so long after the first.
const GATHERS: Duration = Duration::from_secs(1);
const GATHERS_FOR: Duration = Duration::from_secs(15);

/// How often jobs of which nobody knows anything are looked for in the list.
const SOUGHT_EVERY: Duration = Duration::from_secs(60);

/// Without a whole reading for so long the list says nothing of what is true now.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// How often in a row the list may be late before it is left, and how often it may be no list.
const LATE: u32 = 3;
const UNREADABLE: u32 = 2;
/// How often it may keep something back in so long.
const MISSED: usize = 3;
const MISSED_IN: Duration = Duration::from_secs(3600);
/// The first pause until a list that was left is tried again, and the longest.
const TRIED_AGAIN: Duration = Duration::from_secs(60);
const SELDOM: Duration = Duration::from_secs(1800);

/// Why jobs are followed one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The service refuses the list, or has none.
    Refused,
    /// What it answers is no list in the order of the last change.
    Unreadable,
    /// It answers too late, again and again.
    Slow,
    /// It does not show what the jobs themselves do, again and again.
    Partial,
}

/// A page to be read; pages count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) page: usize,
}

/// A page in the order of the last change.
pub(super) struct Page<'a> {
    /// The rows that say when they changed last, in seconds.
    rows: Vec<(&'a ListRow, i64)>,
    /// How many rows there were, also such as cannot be read.
    length: usize,
}

impl<'a> Page<'a> {
    /// A page whose rows are in order; nothing where they are not, or most do not say when they changed. An odd row, which
    /// may be of anybody's job, says nothing of the others.
    pub(super) fn of(page: &'a ListPage) -> Option<Self> {
        let dated = |row: &'a ListRow| Some((row, row.job.as_ref()?.updated_at?.as_second()));
        let rows: Vec<(&ListRow, i64)> = page.rows.iter().filter_map(dated).collect();
        let in_order = rows.is_sorted_by(|(_, newer), (_, older)| newer >= older);
        (in_order && rows.len() * 2 >= page.length).then_some(Self { rows, length: page.length })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &'a ListRow> {
        self.rows.iter().map(|(row, _)| *row)
    }

    fn is_last(&self) -> bool {
        self.length < PAGE
    }

    fn goes_below(&self, floor: i64) -> bool {
        self.rows.last().is_some_and(|(_, stamp)| *stamp < floor)
    }
}

/// What came of it, where it is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The service refuses the list for good.
    Refused,
    /// It cannot be read.
    Unreadable,
    /// It took too long.
    Slow,
    /// Something else, which the budget waits for.
    Passing,
}

/// What a row is to those who follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// Nobody follows the job.
    Foreign,
    /// It is known so.
    Known,
    /// It is new.
    News,
}

/// A reading of more than the first page.
#[derive(Debug)]
struct Walk {
    next: usize,
    read: usize,
    /// When the first page was asked for.
    begun: Moment,
    /// Down to this stamp; none where it looks for jobs that nobody has seen yet.
    floor: Option<i64>,
    /// The most pages.
    most: usize,
    /// The first and the last job of the last page.
    edges: Option<(String, String)>,
}

/// What is known, and what comes next.
#[derive(Debug, Default)]
pub(super) struct Machine {
    floor: Floor,
    pace: Pace,
    walk: Option<Walk>,
    /// The rows of the first page, as it was read last: one hash each.
    head: HashSet<u64>,
    hasher: RandomState,
    /// When the first page was asked for last.
    asked: Option<Moment>,
    /// When the last page was.
    last: Option<Moment>,
    /// When the last reading began that was whole.
    whole: Option<Moment>,
    failures: u32,
    /// Since when the first page waits for those who follow jobs in the same moment.
    gathers: Option<Moment>,
    /// Whether jobs are followed of which nobody knows anything, and when such were last looked for.
    seeks: bool,
    sought: Option<Moment>,
    /// When it was found to have kept something back.
    missed: VecDeque<Moment>,
    left: Option<Left>,
}

/// The list is not used.
#[derive(Clone, Copy, Debug)]
struct Left {
    why: Why,
    tried_at: Moment,
    pause: Duration,
}

impl Machine {
    /// What to read next, and when.
    pub(super) fn next(&self, now: Moment, per_minute: u32) -> (Moment, Ask) {
        let first = Ask { page: 1 };
        if let Some(left) = self.left {
            return (left.tried_at, first);
        }
        let Some(asked) = self.asked else {
            let gathered = self.gathers.map(|since| (self.pace.changed() + GATHERS).min(since + GATHERS_FOR));
            return (gathered.unwrap_or(now), first);
        };
        let Some(walk) = &self.walk else { return (asked + self.pace.pause(asked, per_minute), first) };
        let last = self.last.unwrap_or(asked);
        let step = if walk.read < AT_ONCE { Duration::ZERO } else { STEP };
        let (page, head) = (last + step, asked + BESIDE);
        if head <= page { (head, first) } else { (page, Ask { page: walk.next }) }
    }

    /// Something that is followed was begun, or is about to change.
    pub(super) fn hurry(&mut self, at: Moment) {
        self.pace.note_change(at);
    }

    /// Jobs are followed of which nobody knows anything.
    pub(super) fn seek(&mut self) {
        self.seeks = true;
    }

    /// An earlier process knew every change up to about this stamp. Says whether changes after it are still read.
    pub(super) fn begin_at(&mut self, stamp: i64) -> bool {
        self.floor.begin_at(stamp)
    }

    /// Nobody has followed anything: what changed meanwhile is not read. Others may follow theirs in the same moment, so that
    /// the first page waits for them.
    pub(super) fn begin_anew(&mut self, at: Moment) {
        self.floor.begin_anew();
        (self.walk, self.whole, self.asked) = (None, None, None);
        self.gathers = Some(at);
    }

    /// A page was read that was asked for then: its rows with their stamps, in order, and what each is. `unseen` counts the
    /// jobs of which nobody knows anything afterwards.
    pub(super) fn took(
        &mut self,
        ask: Ask,
        (begun, ended): (Moment, Moment),
        page: &Page<'_>,
        (owns, unseen): (&[Own], usize),
    ) {
        self.pace.note_page(ended.saturating_sub(begun));
        self.last = Some(ended);
        let hash = |(row, stamp): &(&ListRow, i64)| {
            self.hasher.hash_one((&row.job_id, stamp, row.job.as_ref().map(|job| &job.state)))
        };
        let hashes: Vec<u64> = page.rows.iter().map(hash).collect();
        let stamps: Vec<i64> = page.rows.iter().map(|(_, stamp)| *stamp).collect();
        if owns.contains(&Own::News) {
            self.pace.note_change(ended);
        }
        for (_, stamp) in owns.iter().zip(&stamps).filter(|(own, _)| **own == Own::News) {
            self.floor.was_late(*stamp, begun);
        }
        self.failures = 0;
        self.left = None;
        if ask.page == 1 {
            self.asked = Some(begun);
            let new = hashes.iter().zip(&stamps).filter(|(hash, _)| !self.head.contains(hash));
            let new: Vec<i64> = new.map(|(_, stamp)| *stamp).collect();
            self.floor.saw(&stamps, &new, begun);
            self.head = hashes.into_iter().collect();
            self.head_was_read(begun, page, unseen);
        } else {
            self.walk_went_on(ask, page, unseen);
        }
    }

    /// The first page: if it reaches the floor it is all that there is to read.
    fn head_was_read(&mut self, begun: Moment, page: &Page<'_>, unseen: usize) {
        let floor = self.floor.stamp();
        let reached = page.is_last() || floor.is_none_or(|floor| page.goes_below(floor));
        if reached {
            self.whole(begun);
        }
        if self.walk.is_some() || page.is_last() {
            return;
        }
        // Each page that is read for those whom nobody has seen saves a request only where there is more than one of them;
        // and what is not there is not looked for again and again.
        let seeks = self.seeks && self.sought.is_none_or(|at| begun.saturating_sub(at) >= SOUGHT_EVERY);
        let most = match (reached, seeks) {
            (false, _) => usize::MAX,
            (true, true) => unseen.min(AT_ONCE),
            (true, false) => 0,
        };
        if most > 1 {
            if reached {
                (self.seeks, self.sought) = (false, Some(begun));
            }
            let floor = floor.filter(|_| !reached);
            self.walk = Some(Walk { next: 2, read: 1, begun, floor, most, edges: None });
        }
    }

    fn walk_went_on(&mut self, ask: Ask, page: &Page<'_>, unseen: usize) {
        let Some(walk) = self.walk.as_mut().filter(|walk| walk.next == ask.page) else { return };
        let edges = page.rows.first().zip(page.rows.last());
        let edges = edges.map(|(first, last)| (first.0.job_id.clone(), last.0.job_id.clone()));
        if edges.is_some() && edges == walk.edges && !page.is_last() {
            // The same page again: the service does not turn pages.
            let last = self.last.unwrap_or_default();
            return self.failed(ask, Fault::Unreadable, last);
        }
        walk.edges = edges;
        walk.next += 1;
        walk.read += 1;
        let reached = walk.floor.map_or(unseen == 0, |floor| page.goes_below(floor));
        if !(reached || page.is_last() || walk.read >= walk.most) {
            return;
        }
        let (begun, floor) = (walk.begun, walk.floor);
        self.walk = None;
        if floor.is_some() {
            self.whole(begun);
        }
    }

    fn whole(&mut self, begun: Moment) {
        self.floor.read_whole(begun);
        self.whole = self.whole.max(Some(begun));
    }

    /// Reading a page came to this.
    pub(super) fn failed(&mut self, ask: Ask, fault: Fault, at: Moment) {
        self.last = Some(at);
        if ask.page == 1 {
            self.asked = Some(at);
        } else {
            // What is further down is not read: the next reading walks again.
            self.walk = None;
        }
        let (why, most) = match fault {
            Fault::Refused => (Why::Refused, 1),
            Fault::Unreadable => (Why::Unreadable, UNREADABLE),
            Fault::Slow => (Why::Slow, LATE),
            Fault::Passing => return,
        };
        self.failures = self.failures.saturating_add(1);
        if self.failures >= most || self.left.is_some() {
            self.leave(why, at);
        }
    }

    /// A look at a job itself found a change with this stamp that the list had not shown.
    pub(super) fn missed(&mut self, stamp: Option<i64>, at: Moment) {
        if stamp.zip(self.floor.stamp()).is_none_or(|(stamp, floor)| stamp >= floor) {
            // It was about to.
            return;
        }
        self.missed.retain(|then| at.saturating_sub(*then) < MISSED_IN);
        self.missed.push_back(at);
        if self.missed.len() >= MISSED {
            self.missed.clear();
            self.leave(Why::Partial, at);
        }
    }

    fn leave(&mut self, why: Why, at: Moment) {
        let first = if why == Why::Partial { SELDOM } else { TRIED_AGAIN };
        let pause = self.left.map_or(first, |left| (left.pause * 2).min(SELDOM));
        self.left = Some(Left { why, tried_at: at + pause, pause });
        self.walk = None;
    }

    /// A list that was left is tried at once.
    pub(super) fn try_again(&mut self, now: Moment) {
        if let Some(left) = &mut self.left {
            left.tried_at = now;
        }
    }

    /// When everything was known last, where the list still says what is true now.
    pub(super) fn known_at(&self, now: Moment) -> Option<Moment> {
        self.whole.filter(|whole| self.left.is_none() && now.saturating_sub(*whole) < GOOD_FOR)
    }

    /// When that ends, if no other reading is whole before.
    pub(super) fn good_until(&self) -> Option<Moment> {
        self.whole.filter(|_| self.left.is_none()).map(|whole| whole + GOOD_FOR)
    }

    /// Why the list is not used, if it is not.
    pub(super) fn left(&self) -> Option<Why> {
        self.left.map(|left| left.why)
    }
}
