//! The parts of the list by themselves: when it is left, what a page is, and who is told what.

use std::time::Duration;

use jiff::Timestamp;

use super::{EPOCH, row, state};
use crate::poll::tail::floor::{Floor, Mark, Moment};
use crate::poll::tail::followed::{Jobs, Known, Look, Told};
use crate::poll::tail::machine::Machine;
use crate::poll::tail::pace::Pace;
use crate::poll::tail::page::{Ask, Fault, Own, Page, Why};
use crate::spideriq::{JobState, ListPage};

#[test]
fn a_list_that_is_refused_is_left_and_tried_again_ever_more_seldom() {
    let mut machine = Machine::default();
    let mut pauses = Vec::new();
    let mut now = Moment::ZERO;
    for _ in 0..8 {
        let (at, ask) = machine.next(now, 100);
        pauses.push(at.saturating_sub(now).as_secs());
        machine.failed(ask, Fault::Refused, at);
        assert_eq!(machine.left(), Some(Why::Refused));
        now = at;
    }
    assert_eq!(pauses, [0, 60, 120, 240, 480, 960, 1800, 1800]);
    let page = ListPage::default();
    let page = Page::of(&page).unwrap();
    machine.took(Ask::changed(1), (now, now), &page, (&[], 0));
    assert_eq!((machine.left(), machine.known_at(now)), (None, Some(now)));
    assert_eq!(
        machine.known_at(now + Duration::from_secs(60)),
        None,
        "it says nothing of what is true later"
    );
}

#[test]
fn a_list_that_is_late_or_wrong_is_left_only_if_it_is_so_again_and_again() {
    for (fault, why, times) in [(Fault::Slow, Why::Slow, 3), (Fault::Unreadable, Why::Unreadable, 2)] {
        let mut machine = Machine::default();
        for time in 1..=times {
            assert_eq!(machine.left(), None);
            machine.failed(Ask::changed(1), fault, Duration::from_secs(time));
        }
        assert_eq!(machine.left(), Some(why));
    }
    let mut machine = Machine::default();
    (0..50).for_each(|time| machine.failed(Ask::changed(1), Fault::Passing, Duration::from_secs(time)));
    assert_eq!(machine.left(), None, "the budget waits for what passes");
}

#[test]
fn a_page_out_of_order_is_none_and_an_odd_row_is_no_reason() {
    let row = |second: Option<i64>| {
        row("a", JobState::Queued, second.map(|second| Timestamp::from_second(second).unwrap()))
    };
    let page = |seconds: &[Option<i64>]| ListPage {
        rows: seconds.iter().map(|at| row(*at)).collect(),
        length: seconds.len(),
    };
    assert!(Page::of(&page(&[Some(9), Some(9), None, Some(3)])).is_some());
    assert!(Page::of(&page(&[Some(3), Some(9)])).is_none());
    assert!(Page::of(&page(&[Some(3), None, None])).is_none());
    assert!(Page::of(&page(&[])).is_some());
}

/// What one who follows a job has seen, another one has not.
#[test]
fn each_who_follows_a_job_is_told_of_it_whatever_another_knows() {
    let (first, second) = (("a", "k"), ("b", "k"));
    let mut jobs = Jobs::default();
    jobs.follow("job-1", first, (None, false), Moment::ZERO);
    assert_eq!(jobs.saw("job-1", first, &state(1)), Look::AsKnown, "a first look misses nothing");
    jobs.follow("job-1", second, (Some(&Known { state: state(0), updated_at: None }), false), Moment::ZERO);
    let told = |jobs: &Jobs, by| jobs.told("job-1", by).map(|(told, _)| told);
    assert_eq!((told(&jobs, first), told(&jobs, second)), (Some(Told::ByList), Some(Told::New)));
    let mut news = Vec::new();
    assert_eq!(jobs.take(&row("job-1", state(1), None), &mut news), Own::Shown);
    assert_eq!(news.iter().map(|(follower, _)| follower.0.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(jobs.saw("job-1", first, &state(2)), Look::Missed, "the list had not told of it");
    assert_eq!(
        jobs.take(&row("job-1", state(2), None), &mut news),
        Own::News,
        "the other is still to be told"
    );
    for by in [first, second] {
        jobs.follow("job-2", by, (None, false), Moment::ZERO);
    }
    news.clear();
    let _ = jobs.take(&row("job-2", state(1), None), &mut news);
    assert_eq!(news.len(), 2, "one row tells both");
    jobs.unfollow("job-2", second);
    jobs.leave("a");
    assert_eq!((jobs.len(), jobs.new_ones()), (1, 0));
    jobs.unfollow("job-1", second);
    assert_eq!(jobs.len(), 0);
}

/// What changed before somebody began to follow is read only if the floor is still below it: else he has to look.
#[test]
fn who_begins_to_follow_after_the_floor_has_passed_is_not_covered() {
    let mut floor = Floor::default();
    assert!(floor.begin_at(EPOCH) && floor.begin_at(EPOCH - 9_000), "reading begins where the records are");
    assert_eq!(floor.stamp(), Some(EPOCH - 600));
    floor.saw(&[EPOCH + 100], &[], Moment::ZERO);
    floor.read_whole(Moment::from_secs(1), None);
    assert!(floor.begin_at(EPOCH + 100) && !floor.begin_at(EPOCH + 50));
    floor.begin_anew();
    assert_eq!((floor.stamp(), floor.begin_at(EPOCH + 100)), (None, false));
}

/// What changes while a reading of many pages goes on may move past it: it shows what was when it began.
#[test]
fn a_reading_of_many_pages_is_as_old_as_its_first() {
    let mut machine = Machine::default();
    let mut read = |number: usize, stamps: std::ops::Range<i64>, at: u64| {
        let job = |stamp: i64| row(&stamp.to_string(), state(1), Timestamp::from_second(EPOCH + stamp).ok());
        let rows: Vec<_> = stamps.rev().map(job).collect();
        let (page, at) = (ListPage { length: rows.len(), rows }, Moment::from_secs(at));
        let owns = vec![Own::Foreign; page.rows.len()];
        machine.took(Ask::changed(number), (at, at), &Page::of(&page).unwrap(), (&owns, 0));
        machine.known_at(at).map(|at| at.as_secs())
    };
    assert_eq!(read(1, 0..20, 20), Some(20));
    assert_eq!(read(1, 300..400, 40), Some(20), "more has changed than a page has");
    assert_eq!(read(2, 200..300, 45), Some(20));
    assert_eq!(read(3, 0..200, 50), Some(40));
}

/// How late rows become visible is learnt of those that are.
#[test]
fn after_a_row_that_came_late_readings_go_further_down() {
    let mut machine = Machine::default();
    let mut read = |stamps: &[i64], at: u64| {
        let job = |stamp: &i64| row(&stamp.to_string(), state(1), Timestamp::from_second(EPOCH + stamp).ok());
        let page = ListPage { rows: stamps.iter().map(job).collect(), length: stamps.len() };
        let (owns, at) = (vec![Own::News; stamps.len()], Moment::from_secs(at));
        machine.took(Ask::changed(1), (at, at), &Page::of(&page).unwrap(), (&owns, 0));
        machine.mark(at).map(|mark| mark.to_string())
    };
    for (stamps, at) in [(&[0][..], 0), (&[40], 40), (&[80, 30], 80)] {
        read(stamps, at);
    }
    assert_eq!(
        read(&[120], 120),
        Some(format!("{} 60", EPOCH + 30)),
        "50 s late, and as much again, but a minute at the most"
    );
}

/// Reading many pages takes minutes: as long as they come, every job that is told of needs no look.
#[test]
fn a_long_reading_is_believed_while_its_pages_come_and_not_for_ever() {
    let mut machine = Machine::default();
    let full = |newest: i64| {
        let job = |n: i64| {
            row(&(newest - n).to_string(), state(1), Timestamp::from_second(EPOCH + newest - n).ok())
        };
        ListPage { rows: (0..100).map(job).collect(), length: 100 }
    };
    let mut read = |number: usize, newest: i64, at: u64| {
        let (page, at) = (full(newest), Moment::from_secs(at));
        machine.took(Ask::changed(number), (at, at), &Page::of(&page).unwrap(), (&[Own::Foreign; 100], 0));
        let known = |after: u64| machine.known_at(at + Duration::from_secs(after)).is_some();
        ([known(0), known(59), known(60)], machine.next(at, 100).1.page)
    };
    // The first page is all that there is to know, of jobs that were begun after it.
    assert_eq!(read(1, 1_000, 10).0, [true, true, false]);
    assert_eq!(read(1, 900_000, 20).0, [true, false, false]);
    for page in 2..20 {
        let newest = 900_000 - 100 * i64::try_from(page).unwrap();
        assert_eq!(read(page, newest, 20 + u64::try_from(page).unwrap()).0, [true, false, false]);
    }
    // After so many all that is not over is read instead, beside the first page.
    assert_eq!(read(20, 898_000, 40).0, [true, true, false]);
    for at in (45..800).step_by(5) {
        let (known, next) = read(1, 900_000, at);
        assert_eq!((known[0], next), (at < 620, 1), "after {at} s");
    }
}

/// What an earlier process has told and not written stands above its mark; while the list is left the mark stays.
#[test]
fn a_mark_is_as_old_as_what_it_tells_of_is_written_and_stays_while_the_list_is_left() {
    let mut machine = Machine::default();
    let stamp = |second: u64| EPOCH + i64::try_from(second).unwrap();
    let page = |second: u64| {
        let row = row("a", JobState::Queued, Timestamp::from_second(stamp(second)).ok());
        ListPage { rows: vec![row], length: 1 }
    };
    let read = |machine: &mut Machine, second: u64| {
        let (page, at) = (page(second), Moment::from_secs(second));
        machine.took(Ask::changed(1), (at, at), &Page::of(&page).unwrap(), (&[Own::Foreign], 0));
        machine.mark(at).map(|mark| mark.to_string())
    };
    assert_eq!(read(&mut machine, 0), None);
    assert_eq!(read(&mut machine, 29), None, "what was told may not be written yet");
    assert_eq!(read(&mut machine, 31), Some(format!("{} 5", stamp(0) - 6)));
    assert_eq!(read(&mut machine, 60), Some(format!("{} 5", stamp(29) - 6)));
    machine.failed(Ask::changed(1), Fault::Refused, Moment::from_secs(90));
    assert_eq!(machine.mark(Moment::from_secs(200)), None);
}

/// A process goes on from the mark of the one before it, whatever its objects record; a mark ahead of the stamps hides
/// nothing.
#[test]
fn reading_goes_on_from_the_mark_and_a_wrong_one_does_no_harm() {
    for wrong in ["", "1", "1 x", "-1 5", "99999999999999 5", "1767225600 4000", "1767225600 5 5"] {
        assert!(wrong.parse::<Mark>().is_err(), "{wrong}");
    }
    let (good, ahead) = (format!("{} 5", EPOCH - 40), format!("{} 9", EPOCH + 9_000));
    for (mark, down_to) in [(good, EPOCH - 40), (ahead, EPOCH + 100 - 600)] {
        let mut floor = Floor::default();
        floor.go_on_from(mark.parse().unwrap());
        floor.begin_anew();
        assert!(floor.begin_at(EPOCH - 9_000), "{mark}");
        floor.saw(&[EPOCH + 100, EPOCH + 100, EPOCH + 100], &[], Moment::ZERO);
        assert_eq!(floor.stamp(), Some(down_to), "{mark}");
    }
}

/// A process that was away for days reads no more pages than looks would cost.
#[test]
fn what_changed_in_a_long_time_is_not_read_where_looks_cost_less() {
    let mut machine = Machine::default();
    machine.go_on_from(format!("{} 5", EPOCH - 1_000_000).parse().unwrap());
    let full = |page: i64| {
        let at = |n: i64| Timestamp::from_second(EPOCH - page * 100 - n).ok();
        let rows = (0..100).map(|n| row(&format!("job-{page}-{n}"), JobState::Queued, at(n))).collect();
        ListPage { rows, length: 100 }
    };
    let (mut now, mut pages) = (Moment::ZERO, 0);
    while !machine.looks_cost_less(50, now) {
        let (at, ask) = machine.next(now, 100);
        now = at;
        let page = full(i64::try_from(ask.page).unwrap());
        machine.took(ask, (now, now), &Page::of(&page).unwrap(), (&[Own::Foreign; 100], 0));
        pages += 1;
        assert!(pages < 30);
    }
    assert!(machine.known_at(now).is_some());
    assert!(!machine.looks_cost_less(50, now), "once");
}

/// What is looked at because a reading was cut off, the list has not kept back.
#[test]
fn looks_in_place_of_pages_say_nothing_against_the_list() {
    let by = ("a", "k");
    let mut jobs = Jobs::default();
    for (id, known) in [("new", None), ("known", Some(Known { state: state(0), updated_at: None }))] {
        jobs.follow(id, by, (known.as_ref(), true), Moment::ZERO);
    }
    assert_eq!(jobs.cut().len(), 2);
    assert_eq!(jobs.saw("new", by, &state(1)), Look::AsKnown);
    assert_eq!(jobs.saw("known", by, &state(2)), Look::AsKnown);
    assert_eq!((jobs.new_ones(), jobs.unlisted()), (0, 0));
}

/// However many objects follow a job that no list shows, it is one job; and one change of it is missed once.
#[test]
fn mirrors_of_one_job_count_as_one() {
    let mut jobs = Jobs::default();
    let keys: Vec<String> = (0..9).map(|key| key.to_string()).collect();
    for key in &keys {
        jobs.follow("job-1", ("a", key), (None, false), Moment::ZERO);
    }
    jobs.round_begins();
    assert_eq!((jobs.count_unmet(), jobs.round_ends(false).len()), (1, 9));
    let looks: Vec<Look> = keys.iter().map(|key| jobs.saw("job-1", ("a", key), &state(1))).collect();
    assert!(looks.iter().all(|look| *look == Look::Unlisted));
    assert_eq!(jobs.unlisted(), 1);
    let mut machine = Machine::default();
    machine.shows_too_few((jobs.unlisted(), jobs.len()), Moment::ZERO);
    assert_eq!(machine.left(), None);
    jobs.begin_again();
    assert_eq!((jobs.unlisted(), jobs.new_ones()), (0, 9), "another try may show it");
    assert_eq!(jobs.take(&row("job-1", state(1), None), &mut Vec::new()), Own::Known);
    let looks: Vec<Look> = keys.iter().map(|key| jobs.saw("job-1", ("a", key), &state(2))).collect();
    assert_eq!(looks.iter().filter(|look| **look == Look::Missed).count(), 1, "{looks:?}");
}

/// A list that was left and fails in passing is not tried without a pause; a page that always fails is found out although
/// the first one can be read.
#[test]
fn no_failure_is_tried_again_at_once_for_ever() {
    let mut machine = Machine::default();
    machine.failed(Ask::changed(1), Fault::Refused, Moment::ZERO);
    let mut now = Moment::ZERO;
    for _ in 0..3 {
        let (at, ask) = machine.next(now, 100);
        assert!(at >= now + Moment::from_secs(60));
        machine.failed(ask, Fault::Passing, at);
        now = at;
    }
    let mut machine = Machine::default();
    machine.go_on_from(format!("{} 5", EPOCH - 1_000_000).parse().unwrap());
    let (mut now, mut pages) = (Moment::ZERO, 0);
    while machine.left().is_none() {
        let (at, ask) = machine.next(now, 100);
        now = at;
        pages += 1;
        assert!(pages < 20, "it ends");
        if ask.page == 2 {
            machine.failed(ask, Fault::Passing, now);
            continue;
        }
        let rows =
            (0..100).map(|n| row("a", JobState::Queued, Timestamp::from_second(EPOCH - n).ok())).collect();
        let page = ListPage { rows, length: 100 };
        machine.took(ask, (now, now), &Page::of(&page).unwrap(), (&[Own::Foreign; 100], 0));
    }
    assert_eq!(machine.left(), Some(Why::Slow));
    assert!(now >= Moment::from_secs(3), "with pauses between: {now:?}");
}

/// Events are relied on once they were first to tell of a change, and no more once the list tells of changes first.
#[test]
fn events_are_relied_on_after_a_sweep_and_not_once_they_lose_changes() {
    let mut pace = Pace::default();
    let (now, slow) = (Moment::from_secs(5), Moment::from_secs(15));
    let pause = |pace: &Pace| pace.pause(now, 100);
    pace.note_change(now);
    pace.note_stream(true);
    pace.note_first(false);
    pace.note_first(true);
    assert!(pause(&pace) < slow, "what changed before is still to be read, and counts for nothing");
    pace.note_whole();
    assert!(pause(&pace) < slow, "it has told of nothing");
    pace.note_first(true);
    assert_eq!(pause(&pace), slow);
    pace.note_first(false);
    (0..30).for_each(|_| pace.note_first(true));
    assert_eq!(pause(&pace), slow, "one is lost now and then");
    pace.note_first(false);
    pace.note_first(false);
    assert!(pause(&pace) < slow);
    // Another stream is no better than the one before it.
    pace.note_stream(false);
    pace.note_stream(true);
    pace.note_whole();
    assert!(pause(&pace) < slow);
}

/// An event that is not true has the list read at once no more than once in a while.
#[test]
fn an_event_without_an_end_is_heard_once_in_a_while() {
    let mut jobs = Jobs::default();
    jobs.follow("job-1", ("reader", "k"), (None, false), Moment::ZERO);
    let _ = jobs.take(&row("job-1", state(1), None), &mut Vec::new());
    let mut heard = |second: u64| jobs.may_be_over("JOB-1", Moment::from_secs(second)).len();
    let seconds = [100, 101, 114, 115, 116, 131];
    assert_eq!(seconds.map(&mut heard), [1, 0, 0, 1, 0, 1]);
    assert!(jobs.awaits_an_end(Moment::from_secs(145)) && !jobs.awaits_an_end(Moment::from_secs(146)));
}
