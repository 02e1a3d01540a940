//! Which page of the list is read next, and what is known after it. Pure: moments and pages go in, the next page comes out.
//!
//! The list is read in the order of the last change, down to the floor. Its pages are offsets: a change moves a row to the
//! top, so what is not read yet only moves down, and is met twice rather than missed.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::floor::{Floor, Mark, Moment};
use super::net::{FROM as NET_FROM, Net};
use super::pace::Pace;
use super::page::{Ask, Fault, Own, Page, Why};
use crate::spideriq::{ListRow, Listed};

/// How many pages of one reading follow each other at once, before each waits for a while.
const AT_ONCE: usize = 12;
/// A page of all that is not over waits for so many times as long as one takes.
const REST: u32 = 2;
/// How long each of the others waits.
const STEP: Duration = Duration::from_secs(1);
/// How often the first page is read beside such a long reading: a change at the top is no reason to begin it anew.
const BESIDE: Duration = Duration::from_secs(5);

/// How often in a row a page may be the one before it.
const SAME: u32 = 2;
/// From how many pages on all that is not over is read instead, where that is shorter.
const FAR: usize = 20;

/// So long after the last that begins to follow the first page is read, and at the latest so long after the first.
const GATHERS: Duration = Duration::from_secs(1);
const GATHERS_FOR: Duration = Duration::from_secs(15);

/// Without a whole reading for so long the list says nothing of what is true now.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// Where so much has changed that all that is not over is read instead, that takes longer: so long at the most, as long as
/// pages come.
const LONG: Duration = Duration::from_secs(600);

/// How often in a row the list may be late before it is left, and how often it may be no list.
const LATE: u32 = 3;
const UNREADABLE: u32 = 2;
/// How often it may keep something back in so long.
const MISSED: usize = 3;
const MISSED_IN: Duration = Duration::from_secs(3600);
/// Up to so many jobs it is left for that: looking at more by themselves finds a change later than reading all does.
const ONE_BY_ONE: usize = 1000;
/// From how many jobs on that no list shows, and which part of all, the list is left.
const UNLISTED: usize = 5;
const UNLISTED_PART: usize = 10;
/// The first pause until a list that was left is tried again, and the longest.
const TRIED_AGAIN: Duration = Duration::from_secs(60);
const SELDOM: Duration = Duration::from_secs(1800);

/// A reading of more than the first page.
#[derive(Debug)]
struct Walk {
    next: usize,
    read: usize,
    /// When the first page was asked for.
    begun: Moment,
    /// Down to this stamp, from this one.
    floor: i64,
    newest: Option<i64>,
    /// The first and the last job of the last page, and how many pages in a row had the same.
    edges: Option<(String, String)>,
    same: u32,
}

/// What is known, and what comes next.
#[derive(Debug, Default)]
pub(super) struct Machine {
    floor: Floor,
    pace: Pace,
    walk: Option<Walk>,
    /// The reading of all that is not over.
    pub(super) net: Net,
    /// The rows of the first page, as it was read last: one hash each.
    head: HashSet<u64>,
    hasher: RandomState,
    /// When the first page was asked for last.
    asked: Option<Moment>,
    /// When the last page was.
    last: Option<Moment>,
    /// When the last reading began that was whole.
    whole: Option<Moment>,
    /// Since when the first page alone does not tell of all that changed.
    behind: Option<Moment>,
    failures: u32,
    /// Since when the first page waits for those who follow jobs in the same moment.
    gathers: Option<Moment>,
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
        let first = Ask::changed(1);
        if let Some(left) = self.left {
            return (left.tried_at, first);
        }
        let Some(asked) = self.asked else {
            let gathered = self.gathers.map(|since| (self.pace.changed() + GATHERS).min(since + GATHERS_FOR));
            return (gathered.unwrap_or(now), first);
        };
        let Some(walk) = &self.walk else { return (asked + self.pace.pause(asked, per_minute), first) };
        let (last, head) = (self.last.unwrap_or(asked), asked + BESIDE);
        if walk.read >= FAR && self.net.is_read(now) {
            // It shows the same in fewer pages, if nothing keeps it from its turns.
            return (head, first);
        }
        let step = if walk.read < AT_ONCE { Duration::ZERO } else { STEP };
        let page = last + step;
        if head <= page { (head, first) } else { (page, Ask::changed(walk.next)) }
    }

    /// The same of all that is not over, once what changed was read; nothing while none of it is to be read.
    pub(super) fn next_of_all(&self, now: Moment, (jobs, per_minute): (usize, u32)) -> Option<(Moment, Ask)> {
        if self.left.is_some() || self.asked.is_none() {
            return None;
        }
        // The list may be a scan of a whole table.
        let rested = self.net.asked() + self.pace.takes() * REST;
        self.net.next(jobs, per_minute, now).map(|(at, of, page)| (at.max(rested), Ask { of, page }))
    }

    /// Whether somebody waits for all that is not over. Where others change too much what changed is more pressing.
    pub(super) fn waits_for_all(&self) -> bool {
        self.net.is_called() && !self.pace.is_crowded()
    }

    /// Something that is followed was begun, or is about to change.
    pub(super) fn hurry(&mut self, at: Moment) {
        self.pace.note_change(at);
    }

    /// An earlier process knew every change up to about this stamp. Says whether changes after it are still read.
    pub(super) fn begin_at(&mut self, stamp: i64) -> bool {
        self.floor.begin_at(stamp)
    }

    /// An earlier process has read down to its mark.
    pub(super) fn go_on_from(&mut self, mark: Mark) {
        self.floor.go_on_from(mark);
    }

    /// Where the next process may go on. While the list is left it stays where it was.
    pub(super) fn mark(&mut self, now: Moment) -> Option<Mark> {
        if self.left.is_some() { None } else { self.floor.mark(now) }
    }

    /// Nobody has followed anything: what changed meanwhile is not read. Others may follow theirs in the same moment, so that
    /// the first page waits for them.
    pub(super) fn begin_anew(&mut self, at: Moment) {
        self.floor.begin_anew();
        (self.walk, self.whole, self.behind, self.asked) = (None, None, None, None);
        self.net.stop();
        self.gathers = Some(at);
    }

    /// A stream of events was opened, or has ended: what changed while there was none is read at once.
    pub(super) fn stream(&mut self, open: bool, at: Moment) {
        self.pace.note_stream(open);
        if open {
            self.pace.note_change(at);
        }
    }

    /// Whether an event has said something that the list is to show.
    pub(super) fn await_row(&mut self, awaits: bool) {
        self.pace.await_row(awaits);
    }

    /// An event was first to tell of a change, which a look has found.
    pub(super) fn told_by_event(&mut self, at: Moment) {
        self.pace.note_first(true);
        self.pace.note_change(at);
    }

    /// Whether the first page waits for others who begin to follow.
    pub(super) fn is_about_to_begin(&self) -> bool {
        self.asked.is_none() && self.left.is_none()
    }

    /// A page of what changed was read that was asked for then: its rows with their stamps, in order, and what each is. `new`
    /// counts those who follow a job of which nothing was read even then.
    pub(super) fn took(
        &mut self,
        ask: Ask,
        (begun, ended): (Moment, Moment),
        page: &Page<'_>,
        (owns, new): (&[Own], usize),
    ) {
        self.pace.note_page(ended.saturating_sub(begun));
        self.last = Some(ended);
        let hash = |(row, stamp): &(&ListRow, i64)| {
            self.hasher.hash_one((&row.job_id, stamp, row.job.as_ref().map(|job| &job.state)))
        };
        let hashes: Vec<u64> = page.rows.iter().map(hash).collect();
        let stamps: Vec<i64> = page.rows.iter().map(|(_, stamp)| *stamp).collect();
        if owns.iter().any(|own| matches!(own, Own::Shown | Own::Heard | Own::News)) {
            self.pace.note_change(ended);
        }
        for own in owns.iter().filter(|own| matches!(own, Own::Heard | Own::News)) {
            self.pace.note_first(*own == Own::Heard);
        }
        for (_, stamp) in owns.iter().zip(&stamps).filter(|(own, _)| **own == Own::News) {
            self.floor.was_late(*stamp, begun);
        }
        if self.left.take().is_some() {
            self.failures = 0;
            // What changed meanwhile may lie below what is read now.
            self.net.call();
        }
        if ask.page == 1 {
            let since = begun.saturating_sub(self.asked.replace(begun).unwrap_or_default());
            let fresh = hashes.iter().zip(&stamps).filter(|(hash, _)| !self.head.contains(hash));
            let fresh: Vec<i64> = fresh.map(|(_, stamp)| *stamp).collect();
            self.floor.saw(&stamps, &fresh, begun);
            self.head = hashes.into_iter().collect();
            self.head_was_read(begun, page, (fresh.len(), since));
            self.net.seek(new);
        } else {
            self.walk_went_on(ask, page);
        }
    }

    /// The first page: if it reaches the floor it is all that there is to read.
    fn head_was_read(&mut self, begun: Moment, page: &Page<'_>, fresh: (usize, Duration)) {
        // What the third row says no two wrong clocks have made.
        let newest = page.rows.get(2).or(page.rows.last()).map(|(_, stamp)| *stamp);
        let floor = self.floor.stamp().filter(|floor| !page.is_last() && !page.goes_below(*floor));
        let Some(floor) = floor else {
            self.behind = None;
            self.pace.note_reading(1, Some(fresh));
            return self.whole(begun, newest);
        };
        self.behind.get_or_insert(begun);
        if self.walk.is_none() {
            self.walk = Some(Walk { next: 2, read: 1, begun, floor, newest, edges: None, same: 0 });
        }
    }

    fn walk_went_on(&mut self, ask: Ask, page: &Page<'_>) {
        let Some(walk) = self.walk.as_mut().filter(|walk| walk.next == ask.page) else { return };
        let edges = page.rows.first().zip(page.rows.last());
        let edges = edges.map(|(first, last)| (first.0.job_id.clone(), last.0.job_id.clone()));
        walk.same = if edges.is_some() && edges == walk.edges && !page.is_last() { walk.same + 1 } else { 0 };
        if walk.same >= SAME {
            // The service does not turn pages. Once is as well where a page full has changed meanwhile.
            let last = self.last.unwrap_or_default();
            return self.failed(ask, Fault::Unreadable, last);
        }
        walk.edges = edges;
        walk.next += 1;
        walk.read += 1;
        if !(page.goes_below(walk.floor) || page.is_last()) {
            if walk.read == FAR {
                self.net.call_anew(walk.begun);
            }
            return;
        }
        let (begun, newest, read) = (walk.begun, walk.newest, walk.read);
        self.walk = None;
        self.pace.note_reading(read, None);
        self.whole(begun, newest);
        if read > AT_ONCE {
            // Rows of one moment may have come in another order on each page, and rows may have gone.
            self.net.call();
        }
    }

    /// A reading was whole that began then, with this stamp. Where others change so much that reading what may have become
    /// visible late costs more than there is, the next one goes down to where this one began, and no further.
    fn whole(&mut self, begun: Moment, newest: Option<i64>) {
        self.failures = 0;
        self.floor.read_whole(begun, newest.filter(|_| self.pace.is_crowded()));
        self.pace.note_whole();
        self.whole = self.whole.max(Some(begun));
    }

    /// So many pages have changed that so few jobs are better looked at by themselves. Says whether they are to be.
    pub(super) fn looks_cost_less(&mut self, jobs: usize, now: Moment) -> bool {
        let instead = self.net.is_read(now);
        self.cut_off(|walk| jobs <= NET_FROM || (walk.read >= jobs && !instead))
    }

    /// All that is not over was read. Where what changed has so many pages that they are still read, it has told as much
    /// as they would: says whether they are cut off.
    pub(super) fn all_was_read(&mut self) -> bool {
        let begun = self.net.begun();
        self.cut_off(|walk| begun >= Some(walk.begun))
    }

    /// Ends a reading of far too many pages.
    fn cut_off(&mut self, ends: impl Fn(&Walk) -> bool) -> bool {
        let far = self.walk.take_if(|walk| walk.read >= FAR && ends(walk));
        far.inspect(|walk| self.whole(walk.begun, walk.newest)).is_some()
    }

    /// Reading a page came to this.
    pub(super) fn failed(&mut self, ask: Ask, fault: Fault, at: Moment) {
        if ask.of != Listed::Changed {
            let for_good = matches!(fault, Fault::Refused | Fault::Unreadable);
            return self.net.failed(for_good, at);
        }
        // What is further down is not read: the next reading walks again, after a pause.
        (self.last, self.asked) = (Some(at), Some(at));
        if ask.page > 1 {
            self.walk = None;
        }
        let (why, most) = match fault {
            Fault::Refused => (Why::Refused, 1),
            Fault::Unreadable => (Why::Unreadable, UNREADABLE),
            Fault::Slow => (Why::Slow, LATE),
            // A page that always fails keeps each walk from its end.
            Fault::Passing if ask.page > 1 => (Why::Slow, LATE),
            Fault::Passing => {
                if let Some(left) = &mut self.left {
                    left.tried_at = at + left.pause;
                }
                return;
            }
        };
        self.failures = self.failures.saturating_add(1);
        if self.failures >= most || self.left.is_some() {
            self.leave(why, at);
        }
    }

    /// A look at a job itself found a change with this stamp that the list had not shown, while so many jobs are followed.
    pub(super) fn missed(&mut self, stamp: Option<i64>, jobs: usize, at: Moment) {
        if stamp.zip(self.floor.stamp()).is_none_or(|(stamp, floor)| stamp >= floor) {
            // It was about to.
            return;
        }
        if jobs > ONE_BY_ONE || self.pace.is_crowded() {
            return self.net.call_if_late(at);
        }
        self.missed.retain(|then| at.saturating_sub(*then) < MISSED_IN);
        self.missed.push_back(at);
        if self.missed.len() >= MISSED {
            self.missed.clear();
            self.leave(Why::Partial, at);
        }
    }

    /// So many of the followed jobs no list shows, although they go on.
    pub(super) fn shows_too_few(&mut self, (unlisted, jobs): (usize, usize), at: Moment) {
        if self.left.is_none() && unlisted >= UNLISTED.max(jobs / UNLISTED_PART) {
            self.leave(Why::Partial, at);
        }
    }

    fn leave(&mut self, why: Why, at: Moment) {
        let first = if why == Why::Partial { SELDOM } else { TRIED_AGAIN };
        let pause = self.left.map_or(first, |left| (left.pause * 2).min(SELDOM));
        self.left = Some(Left { why, tried_at: at + pause, pause });
        (self.walk, self.behind) = (None, None);
        self.net.stop();
    }

    /// A list that was left is tried at once.
    pub(super) fn try_again(&mut self, now: Moment) {
        if let Some(left) = &mut self.left {
            left.tried_at = now;
        }
    }

    /// When everything was known last, where the list still says what is true now.
    pub(super) fn known_at(&self, now: Moment) -> Option<Moment> {
        self.whole.filter(|_| self.good_until(now).is_some_and(|until| now < until))
    }

    /// When that ends, if no other reading is whole before.
    pub(super) fn good_until(&self, now: Moment) -> Option<Moment> {
        // A list whose pages take long is read seldom.
        let good_for = GOOD_FOR.max(self.pace.longest() * 2);
        let whole = self.whole.filter(|_| self.left.is_none())?;
        let read = self.behind.zip(self.last).filter(|_| self.net.tells_instead(now));
        let instead = read.map(|(since, last)| (since + LONG).min(last + good_for));
        Some((whole + good_for).max(instead.unwrap_or_default()))
    }

    /// Why the list is not used, if it is not.
    pub(super) fn left(&self) -> Option<Why> {
        self.left.map(|left| left.why)
    }
}
