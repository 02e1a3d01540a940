//! The list against a service whose jobs change, late and in numbers: nothing of what is followed is lost.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::floor::Moment;
use super::followed::{Jobs, Known};
use super::machine::{Ask, Fault, Machine, Own, Page, Why};
use crate::spideriq::{JobState, JobStatus, ListPage, ListRow, PAGE};

/// A service's day began then.
const EPOCH: i64 = 1_767_225_600;
/// How long a page takes.
const LATENCY: Duration = Duration::from_millis(80);

/// A job as the service has it, and as the list shows it.
#[derive(Clone)]
struct Job {
    rank: u8,
    stamp: i64,
    shown: (u8, i64),
    shown_at: Moment,
    /// What becomes visible, and when.
    coming: Option<(Moment, u8, i64)>,
}

/// What a run is like.
#[derive(Clone, Debug)]
struct Weather {
    seed: u64,
    /// Jobs that are followed, and others.
    own: usize,
    foreign: usize,
    /// Changes of others in ten seconds.
    changes: u32,
    /// How late a change becomes visible at the most, in seconds.
    late: u64,
    /// How far the clock of the stamps is ahead of ours, in seconds.
    ahead: i64,
    /// Whether rows of one second come in another order each time.
    shuffled: bool,
}

struct World {
    weather: Weather,
    random: fastrand::Rng,
    jobs: Vec<Job>,
    now: Moment,
}

fn state(rank: u8) -> JobState {
    match rank {
        0 => JobState::Queued,
        1 => JobState::Processing,
        _ => JobState::Completed,
    }
}

impl World {
    fn new(weather: Weather) -> Self {
        let mut random = fastrand::Rng::with_seed(weather.seed);
        let jobs = (0..weather.own + weather.foreign).map(|n| {
            // Others were made long ago; what is followed just now.
            let stamp = if n < weather.own { 0 } else { -random.i64(0..100_000) };
            Job { rank: 0, stamp, shown: (0, stamp), shown_at: Moment::ZERO, coming: None }
        });
        let jobs = jobs.collect();
        Self { weather, random, jobs, now: Moment::ZERO }
    }

    fn change(&mut self, at: usize) {
        let stamp = i64::try_from(self.now.as_secs()).unwrap();
        let late = Duration::from_millis(self.random.u64(0..=self.weather.late * 1000));
        let job = &mut self.jobs[at];
        if job.coming.is_some() || (at < self.weather.own && job.rank == 2) {
            return;
        }
        job.rank = (job.rank + 1).min(2);
        job.stamp = stamp;
        job.coming = Some((self.now + late, job.rank, stamp));
    }

    /// Lets time pass; while `busy` jobs change.
    fn until(&mut self, then: Moment, busy: bool) {
        while self.now < then {
            self.now += Duration::from_millis(100);
            if busy {
                if self.random.u32(0..1000) < self.weather.changes * 10 && self.weather.foreign > 0 {
                    let at = self.random.usize(self.weather.own..self.jobs.len());
                    self.change(at);
                }
                if self.random.u32(0..100) < 5 {
                    let at = self.random.usize(0..self.weather.own);
                    self.change(at);
                }
            }
            let now = self.now;
            for job in &mut self.jobs {
                if let Some((_, rank, stamp)) = job.coming.filter(|(at, ..)| *at <= now) {
                    (job.shown, job.shown_at, job.coming) = ((rank, stamp), now, None);
                }
            }
        }
    }

    fn page(&mut self, page: usize) -> ListPage {
        let (shuffled, ahead) = (self.weather.shuffled, self.weather.ahead);
        let mut rows: Vec<(i64, u64, usize)> = Vec::new();
        for (at, job) in self.jobs.iter().enumerate() {
            let tie = if shuffled { self.random.u64(..) } else { u64::try_from(at).unwrap() };
            rows.push((-job.shown.1, tie, at));
        }
        rows.sort_unstable();
        let rows = rows.into_iter().skip((page - 1) * PAGE).take(PAGE).map(|(stamp, _, at)| ListRow {
            job_id: format!("job-{at}"),
            type_: None,
            url: None,
            created_at: None,
            job: Some(JobStatus {
                state: state(self.jobs[at].shown.0),
                type_: None,
                created_at: None,
                updated_at: Timestamp::from_second(EPOCH - stamp + ahead).ok(),
                worker_id: None,
                error_message: None,
            }),
        });
        let rows: Vec<ListRow> = rows.collect();
        let length = rows.len();
        ListPage { rows, length }
    }
}

/// What a run came to.
struct Ran {
    /// When each page was asked for.
    asked: Vec<Moment>,
    /// Followed jobs whose last state was never told.
    lost: usize,
    /// How long after it was visible each change was told, at the most.
    slowest: Duration,
}

fn run(weather: &Weather, busy_for: u64, then_quiet: u64) -> Ran {
    let (mut machine, mut jobs) = (Machine::default(), Jobs::default());
    let mut world = World::new(weather.clone());
    for at in 0..weather.own {
        jobs.follow(&format!("job-{at}"), ("reader", &at.to_string()), None, false);
    }
    machine.seek();
    let mut told: HashMap<usize, u8> = HashMap::new();
    let (mut asked, mut slowest) = (Vec::new(), Duration::ZERO);
    let busy_until = Duration::from_secs(busy_for);
    while world.now < busy_until + Duration::from_secs(then_quiet) {
        let (at, ask) = machine.next(world.now, 100);
        let busy = world.now < busy_until;
        world.until(at, busy);
        let begun = world.now;
        asked.push(begun);
        let page = world.page(ask.page);
        world.until(begun + LATENCY, busy);
        let mut news = Vec::new();
        let read = Page::of(&page).unwrap();
        let owns: Vec<Own> = read.rows().map(|row| jobs.take(row, &mut news)).collect();
        for ((_, key), job) in news {
            let at: usize = key.parse().unwrap();
            told.insert(
                at,
                [JobState::Queued, JobState::Processing]
                    .iter()
                    .position(|s| *s == job.state)
                    .map_or(2, |rank| u8::try_from(rank).unwrap()),
            );
            // What was made before anything was read is told with the first page.
            if world.jobs[at].shown_at > Moment::ZERO {
                slowest = slowest.max(world.now.saturating_sub(world.jobs[at].shown_at));
            }
        }
        machine.took(ask, (begun, world.now), &read, (&owns, jobs.unseen()));
        assert_eq!(machine.left(), None);
    }
    let lost = (0..weather.own).filter(|at| told.get(at) != Some(&world.jobs[*at].rank)).count();
    Ran { asked, lost, slowest }
}

/// Most requests in any minute.
fn busiest(asked: &[Moment]) -> usize {
    let minute = Duration::from_secs(60);
    asked
        .iter()
        .map(|from| asked.iter().filter(|at| **at >= *from && **at < *from + minute).count())
        .max()
        .unwrap()
}

fn weathers(late: u64, changes: u32) -> impl Strategy<Value = Weather> {
    let parts = (any::<u64>(), 1..40usize, 0..600usize, 0..=changes, 0..=late, -90..90i64, any::<bool>());
    parts.prop_map(|(seed, own, foreign, changes, late, ahead, shuffled)| Weather {
        seed,
        own,
        foreign,
        changes,
        late,
        ahead,
        shuffled,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// However many others change, what becomes visible in time is told, and read in less than the client's budget.
    #[test]
    fn nothing_is_lost_that_becomes_visible_in_time(weather in weathers(2, 100)) {
        let ran = run(&weather, 240, 120);
        prop_assert_eq!(ran.lost, 0);
        prop_assert!(busiest(&ran.asked) <= 90, "{} requests in a minute", busiest(&ran.asked));
    }

    /// Among few others, it is told however late it becomes visible, up to a minute.
    #[test]
    fn what_becomes_visible_late_is_told_all_the_same(weather in weathers(60, 4)) {
        let ran = run(&weather, 240, 180);
        prop_assert_eq!(ran.lost, 0);
    }

    /// A mark of an earlier process saves looking at what has not changed since.
    #[test]
    fn what_was_known_is_not_news(at in 0..3u8) {
        let mut jobs = Jobs::default();
        let known = Known { state: state(at), updated_at: None };
        jobs.follow("JOB-1", ("r", "k"), Some(&known), true);
        prop_assert_eq!(jobs.unseen(), 0);
        let mut news = Vec::new();
        for rank in 0..3u8 {
            let job = JobStatus { state: state(rank), type_: None, created_at: None, updated_at: None, worker_id: None, error_message: None };
            let row = ListRow { job_id: "job-1".to_owned(), type_: None, url: None, created_at: None, job: Some(job) };
            let own = jobs.take(&row, &mut news);
            prop_assert_eq!(own == Own::News, rank > at);
        }
        prop_assert_eq!(news.len(), usize::from(2 - at));
    }
}

/// While things change, everything is told within two seconds at 40 requests a minute, whatever the number of jobs; a quiet
/// list is read four times a minute.
#[test]
fn the_list_is_read_often_while_something_changes_and_seldom_while_nothing_does() {
    for own in [5, 50, 500] {
        let weather =
            Weather { seed: 7, own, foreign: 2_000, changes: 20, late: 0, ahead: 0, shuffled: false };
        let ran = run(&weather, 300, 1_200);
        let busy: Vec<Moment> =
            ran.asked.iter().copied().filter(|at| (60..300).contains(&at.as_secs())).collect();
        let quiet = ran.asked.iter().filter(|at| at.as_secs() >= 1_200).count();
        println!(
            "{own} jobs: {} a minute, slowest {:?}, then {quiet} in 5 minutes",
            busiest(&busy),
            ran.slowest
        );
        assert_eq!(ran.lost, 0);
        assert!(busiest(&busy) <= 42, "{}", busiest(&busy));
        assert!(ran.slowest <= Duration::from_millis(3_500), "{:?}", ran.slowest);
        assert!(quiet <= 21, "{quiet}");
    }
}

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
    machine.took(Ask { page: 1 }, (now, now), &page, (&[], 0));
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
            machine.failed(Ask { page: 1 }, fault, Duration::from_secs(time));
        }
        assert_eq!(machine.left(), Some(why));
    }
    let mut machine = Machine::default();
    (0..50).for_each(|time| machine.failed(Ask { page: 1 }, Fault::Passing, Duration::from_secs(time)));
    assert_eq!(machine.left(), None, "the budget waits for what passes");
}

#[test]
fn a_page_out_of_order_is_none_and_an_odd_row_is_no_reason() {
    let row = |second: Option<i64>| {
        let updated_at = second.map(|second| Timestamp::from_second(second).unwrap());
        let job = JobStatus {
            state: JobState::Queued,
            type_: None,
            created_at: None,
            updated_at,
            worker_id: None,
            error_message: None,
        };
        ListRow { job_id: "a".to_owned(), type_: None, url: None, created_at: None, job: Some(job) }
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

fn row(rank: u8) -> ListRow {
    let job = JobStatus {
        state: state(rank),
        type_: None,
        created_at: None,
        updated_at: None,
        worker_id: None,
        error_message: None,
    };
    ListRow { job_id: "job-1".to_owned(), type_: None, url: None, created_at: None, job: Some(job) }
}

/// What one who follows a job has seen, another one has not.
#[test]
fn each_who_follows_a_job_is_told_of_it_whatever_another_knows() {
    let (first, second) = (("a", "k"), ("b", "k"));
    let mut jobs = Jobs::default();
    jobs.follow("job-1", first, None, false);
    assert!(!jobs.saw("job-1", first, &state(1)), "a first look misses nothing");
    jobs.follow("job-1", second, Some(&Known { state: state(0), updated_at: None }), false);
    assert!(jobs.is_covered("job-1", first) && !jobs.is_covered("job-1", second));
    let mut news = Vec::new();
    assert_eq!(jobs.take(&row(1), &mut news), Own::News);
    assert_eq!(news.iter().map(|(follower, _)| follower.0.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(jobs.saw("job-1", first, &state(2)), "the list had not told of it");
    assert_eq!(jobs.take(&row(2), &mut news), Own::News, "the other is still to be told");
    jobs.leave("a");
    assert_eq!((jobs.len(), jobs.unseen()), (1, 0));
    jobs.unfollow("job-1", second);
    assert_eq!(jobs.len(), 0);
}

/// What changed before somebody began to follow is read only if the floor is still below it: else he has to look.
#[test]
fn who_begins_to_follow_after_the_floor_has_passed_is_not_covered() {
    let mut floor = super::floor::Floor::default();
    assert!(floor.begin_at(EPOCH) && floor.begin_at(EPOCH - 9_000), "reading begins where the records are");
    assert_eq!(floor.stamp(), Some(EPOCH - 600));
    floor.saw(&[EPOCH + 100], &[], Moment::ZERO);
    floor.read_whole(Moment::from_secs(1));
    assert!(floor.begin_at(EPOCH + 100) && !floor.begin_at(EPOCH + 50));
    floor.begin_anew();
    assert_eq!((floor.stamp(), floor.begin_at(EPOCH + 100)), (None, false));
}
