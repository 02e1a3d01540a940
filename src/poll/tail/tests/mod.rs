//! The lists against a service whose jobs change, late and in numbers: nothing of what is followed is lost.

mod net;
mod parts;
mod readers;

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::floor::Moment;
use super::followed::{Jobs, Known};
use super::machine::Machine;
use super::page::{Ask, Own, Page};
use crate::spideriq::{JobState, JobStatus, ListPage, ListRow, Listed, PAGE};

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
    /// Of a hundred changes so many are never in the list of what changed.
    swallowed: u32,
}

struct World {
    weather: Weather,
    random: fastrand::Rng,
    jobs: Vec<Job>,
    now: Moment,
}

fn rank_of(state: &JobState) -> u8 {
    match state {
        JobState::Queued => 0,
        JobState::Processing => 1,
        JobState::Completed | JobState::Failed | JobState::Cancelled | JobState::Other(_) => 2,
    }
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
            let (rank, stamp) = if n < weather.own { (0, 0) } else { (2, -random.i64(0..100_000)) };
            Job { rank, stamp, shown: (rank, stamp), shown_at: Moment::ZERO, coming: None }
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
        if self.random.u32(0..100) >= self.weather.swallowed {
            job.coming = Some((self.now + late, job.rank, stamp));
        }
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

    fn page(&mut self, ask: Ask) -> ListPage {
        let (shuffled, ahead) = (self.weather.shuffled, self.weather.ahead);
        let mut rows: Vec<(i64, u64, usize)> = Vec::new();
        for (at, job) in self.jobs.iter().enumerate() {
            let nth = u64::try_from(at).unwrap();
            let tie = if shuffled { self.random.u64(..) } else { nth };
            match ask.of {
                Listed::Changed => rows.push((-job.shown.1, tie, at)),
                Listed::Queued if job.now().0 == 0 => rows.push((0, nth, at)),
                Listed::Processing if job.now().0 == 1 => rows.push((0, nth, at)),
                Listed::Queued | Listed::Processing => {}
            }
        }
        rows.sort_unstable();
        let rows = rows.into_iter().skip((ask.page - 1) * PAGE).take(PAGE).map(|(_, _, at)| {
            let job = &self.jobs[at];
            let (rank, stamp) = if ask.of == Listed::Changed { job.shown } else { job.now() };
            row(&format!("job-{at}"), state(rank), Timestamp::from_second(EPOCH + stamp + ahead).ok())
        });
        let rows: Vec<ListRow> = rows.collect();
        let length = rows.len();
        ListPage { rows, length }
    }
}

fn row(job_id: &str, state: JobState, updated_at: Option<Timestamp>) -> ListRow {
    let job =
        JobStatus { state, type_: None, created_at: None, updated_at, worker_id: None, error_message: None };
    ListRow { job_id: job_id.to_owned(), type_: None, url: None, created_at: None, job: Some(job) }
}

impl Job {
    /// As it is, where a change that is to become visible is not yet.
    fn now(&self) -> (u8, i64) {
        if self.coming.is_some() { self.shown } else { (self.rank, self.stamp) }
    }
}

/// What a run came to.
struct Ran {
    /// When each page was asked for.
    asked: Vec<Moment>,
    /// Of them those of all that is not over.
    rounds: usize,
    /// Looks at single jobs.
    looks: usize,
    /// Followed jobs whose last state was never told.
    lost: usize,
    /// How long after it was visible each change was told, at the most.
    slowest: Duration,
}

/// A run: jobs are busy for so long, and then nothing changes. Of jobs that no list shows whoever follows them looks at once.
fn run(weather: &Weather, busy_for: u64, then_quiet: u64) -> Ran {
    let (mut machine, mut jobs) = (Machine::default(), Jobs::default());
    let mut world = World::new(weather.clone());
    for at in 0..weather.own {
        jobs.follow(&format!("job-{at}"), ("reader", &at.to_string()), (None, false), Moment::ZERO);
    }
    let mut told: HashMap<usize, u8> = HashMap::new();
    let mut ran = Ran { asked: Vec::new(), rounds: 0, looks: 0, lost: 0, slowest: Duration::ZERO };
    let busy_until = Duration::from_secs(busy_for);
    while world.now < busy_until + Duration::from_secs(then_quiet) {
        let changed = machine.next(world.now, 100);
        let all = machine.next_of_all(world.now, (weather.own, 100));
        let (at, ask) = all.filter(|(at, _)| *at <= changed.0).unwrap_or(changed);
        let busy = world.now < busy_until;
        world.until(at, busy);
        let begun = world.now;
        ran.asked.push(begun);
        if ask.of != Listed::Changed {
            ran.rounds += 1;
            if machine.net.ask(weather.own, begun) {
                jobs.round_begins();
            }
        }
        let page = world.page(ask);
        world.until(begun + LATENCY, busy);
        let mut news = Vec::new();
        if ask.of == Listed::Changed {
            let read = Page::of(&page).unwrap();
            let owns: Vec<Own> = read.rows().map(|row| jobs.take(row, &mut news)).collect();
            machine.took(ask, (begun, world.now), &read, (&owns, jobs.new_ones()));
        } else {
            assert!(ask.is_answered_by(&page));
            page.rows.iter().for_each(|row| jobs.take_active(row, &mut news));
            let last = machine.net.took(page.length, weather.own, world.now);
            if last && machine.net.is_believed(jobs.count_unmet(), weather.own, world.now) {
                let cut = machine.all_was_read();
                for (reader, key) in jobs.round_ends(cut) {
                    ran.looks += 1;
                    let at: usize = key.parse().unwrap();
                    let (rank, _) = world.jobs[at].now();
                    jobs.saw(&format!("job-{at}"), (&reader, &key), &state(rank));
                    told.insert(at, rank);
                }
            }
        }
        for ((_, key), job) in news {
            let at: usize = key.parse().unwrap();
            told.insert(at, rank_of(&job.state));
            // What was made before anything was read is told with the first page.
            if world.jobs[at].shown_at > Moment::ZERO {
                ran.slowest = ran.slowest.max(world.now.saturating_sub(world.jobs[at].shown_at));
            }
        }
        assert_eq!(machine.left(), None);
    }
    ran.lost = (0..weather.own).filter(|at| told.get(at) != Some(&world.jobs[*at].rank)).count();
    ran
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
        swallowed: 0,
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

    /// Where others change so much that reading further down costs more than there is, what is visible at once is told, and
    /// soon.
    #[test]
    fn nothing_is_lost_where_others_change_many_times_a_second(weather in weathers(0, 800)) {
        let ran = run(&Weather { changes: weather.changes.max(300), foreign: 4_000, ..weather }, 120, 60);
        prop_assert_eq!(ran.lost, 0);
        prop_assert!(ran.slowest <= Duration::from_secs(20), "{:?}", ran.slowest);
        prop_assert!(busiest(&ran.asked) <= 110, "{} requests in a minute", busiest(&ran.asked));
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
        jobs.follow("JOB-1", ("r", "k"), (Some(&known), true), Moment::ZERO);
        prop_assert_eq!(jobs.new_ones(), 0);
        let mut news = Vec::new();
        for rank in 0..3u8 {
            let own = jobs.take(&row("job-1", state(rank), None), &mut news);
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
        let weather = Weather {
            seed: 7,
            own,
            foreign: 2_000,
            changes: 20,
            late: 0,
            ahead: 0,
            shuffled: false,
            swallowed: 0,
        };
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
        // One reading of all that is not over lies in that time.
        let most = if own > 50 { 21 + 8 } else { 21 };
        assert!(quiet <= most, "{quiet}");
    }
}
