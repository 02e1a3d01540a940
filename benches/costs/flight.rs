//! Jobs in flight, in numbers: how soon a change is shown, by the list and one by one, and what it costs. FLIGHT="200 one
//! list,200 list and events" runs these alone.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use emulator::JobSpec;
use futures::StreamExt;
use kube::core::DynamicObject;
use kube::runtime::watcher;
use serde_json::json;

use crate::figures::{busiest, memory, row, share, table, times};
use crate::plot::{Line, draw};
use crate::scene;
use crate::support::World;

/// In a minute, for so long.
const ENDS: u64 = 63;
const OTHERS: u64 = 130;
const MEASURED: Duration = Duration::from_secs(90);
/// The list is read less often while nothing changes: what changes in so many milliseconds after that is told apart.
const AFTER_QUIET: i64 = 5_000;
/// How long jobs may take to be shown for the first time. One by one it would take hours.
const KNOWN_WITHIN: u64 = 240;
const KNOWN_ONE_BY_ONE: u64 = 60;

/// When each job was first shown in each state, in milliseconds.
type Shown = Arc<Mutex<HashMap<(String, String), i64>>>;

struct Flight {
    world: World,
    shown: Shown,
    queued: Vec<String>,
    processing: Vec<String>,
    random: fastrand::Rng,
}

/// Seconds until changes were shown, and how many ends were not.
#[derive(Default)]
struct Judged {
    ends: Vec<f64>,
    others: Vec<f64>,
    first: Vec<f64>,
    missing: usize,
}

pub async fn measure(program: &Path) {
    table(
        "Jobs in flight, within the documented limits",
        "Jobs, followed | Ends shown | End → shown, p50 / p99 / most | Other change → shown | The first after 10 quiet seconds, most | Requests a minute: list, status, results | Busiest minute, 429 | Quiet minute: requests, reconciles | Not shared memory",
    );
    println!(
        "| goal | all | ≤ 2 s p99 | ≤ 2 s p99 | – | ≤ 45 besides the reads at ends | ≤ 100, 0 | –, 0 | – |"
    );
    let (mut shown, mut restarts) = (Vec::<(How, f64, Vec<f64>)>::new(), Vec::new());
    // One by one nothing of ten thousand would be shown in this time.
    for (jobs, how) in [
        (200, How::List),
        (200, How::Events),
        (200, How::OneByOne),
        (1_000, How::List),
        (1_000, How::OneByOne),
        (10_000, How::List),
        (10_000, How::Events),
    ] {
        let name = format!("{jobs} {}", how.words());
        if std::env::var("FLIGHT").is_ok_and(|some| !some.split(',').any(|some| some == name)) {
            continue;
        }
        let (ends, restart) = one(program, jobs, how).await;
        shown.push((how, jobs as f64, ends));
        restarts.extend(restart);
    }
    for rows in restarts {
        table("A restart with 10,000 jobs in flight, of which 200 have changed", "Measure | Goal | Measured");
        for cells in rows {
            row(&cells.each_ref().map(String::as_str));
        }
    }
    let line = |name: &'static str, of: How, part: f64| {
        let of = shown.iter().filter(|(how, _, ends)| *how == of && !ends.is_empty());
        Line { name, points: of.map(|(_, jobs, ends)| (*jobs, share(ends, part))).collect() }
    };
    let lines = [
        line("one by one, p50 of those shown", How::OneByOne, 0.5),
        line("one list, p99", How::List, 0.99),
        line("one list, p50", How::List, 0.5),
        line("list and events, p99", How::Events, 0.99),
    ];
    draw("freshness.svg", "From the end of a job until it is shown", ("jobs in flight", "seconds"), &lines);
}

/// How the jobs are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    List,
    Events,
    OneByOne,
}

impl How {
    fn spec(self) -> &'static str {
        match self {
            Self::List => "{list: Auto}",
            Self::Events => "{list: Auto, events: Auto}",
            Self::OneByOne => "{list: \"Off\"}",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::List => "one list",
            Self::Events => "list and events",
            Self::OneByOne => "one by one",
        }
    }
}

/// The times from ends until they are shown, and what a restart came to where one was measured.
async fn one(program: &Path, jobs: usize, how: How) -> (Vec<f64>, Option<Restart>) {
    let mut flight = Flight::begin(program, jobs, how).await;
    let known =
        flight.until_known(jobs, if how == How::OneByOne { KNOWN_ONE_BY_ONE } else { KNOWN_WITHIN }).await;
    let (since, begun) = (flight.world.service.journal(0).last, scene::now());
    let changes = flight.change(MEASURED).await;
    let took = (scene::now() - begun) as f64 / 60_000.0;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let Judged { ends, others, first, missing } = flight.judge(&changes, begun + AFTER_QUIET);
    let all_ends = changes.iter().filter(|(_, to, _)| *to == "completed").count();
    let requests = scene::requests(&flight.world, since);
    let of = |route: &str| {
        requests
            .iter()
            .filter(|(at, _, when)| *at == route && *when < begun + MEASURED.as_millis() as i64)
            .count() as f64
            / took
    };
    let all = scene::requests(&flight.world, 0);
    let refused = all.iter().filter(|(_, status, _)| *status == Some(429)).count();
    let moments: Vec<i64> = all.iter().map(|(.., at)| *at).collect();
    let whole = how == How::List && jobs >= 10_000;
    let quiet = if whole { flight.quiet().await } else { "–".to_owned() };
    let (_, anonymous, _) = memory(flight.world.pid());
    row(&[
        &format!("{jobs}, {}; {known} known when it began", how.words()),
        &format!("{} of {all_ends}", all_ends - missing),
        &times(&ends),
        &times(&others),
        &format!("{:.1} s", share(&first, 1.0)),
        &format!("{:.0}, {:.0}, {:.0}", of("list"), of("status"), of("results")),
        &format!("{}, {refused}", busiest(&moments)),
        &quiet,
        &format!("{anonymous:.1} MiB"),
    ]);
    let restart = if whole { Some(flight.restart().await) } else { None };
    (ends, restart)
}

/// Rows of a table.
type Restart = [[String; 3]; 3];

impl Flight {
    /// Jobs that somebody made, half of which run, beside 500 of others; and an object for each.
    async fn begin(program: &Path, jobs: usize, how: How) -> Self {
        let name = format!("bench-{jobs}-{}", how.words().replace(' ', "-"));
        let spec = format!(", sync: {}", how.spec());
        let mut world = scene::world(&name, program, scene::LIMITS, &spec).await;
        world.arguments.push("--allow-events".to_owned());
        let make = |state: &str, count: usize| {
            let spec = json!({"state": state, "count": count});
            world.service.create_jobs(serde_json::from_value::<JobSpec>(spec).unwrap()).unwrap()
        };
        make("completed", 500);
        let (queued, processing) = (make("queued", jobs / 2), make("processing", jobs / 2));
        let shown = Shown::default();
        tokio::spawn(watch(world.api("ScrapeJob"), Arc::clone(&shown)));
        scene::start(&mut world).await;
        let objects = queued.iter().chain(&processing).enumerate().map(|(n, id)| {
            json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": {"name": format!("mirror-{n}")},
                "spec": {"jobID": id}})
        });
        let objects: Vec<_> = objects.collect();
        scene::create(&world, objects.into_iter()).await;
        let mut random = fastrand::Rng::with_seed(7);
        let (mut queued, mut processing) = (queued, processing);
        random.shuffle(&mut queued);
        random.shuffle(&mut processing);
        Self { world, shown, queued, processing, random }
    }

    /// Waits until all jobs are shown, but not for ever; how many are.
    async fn until_known(&self, jobs: usize, seconds: u64) -> usize {
        let count = || {
            let shown = self.shown.lock().unwrap();
            shown.keys().map(|(id, _)| id).collect::<HashSet<_>>().len()
        };
        for _ in 0..seconds {
            if count() >= jobs {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // What was written last is still read and counted.
        tokio::time::sleep(Duration::from_secs(10)).await;
        count()
    }

    /// Changes jobs for a while: each, its new state, and when.
    async fn change(&mut self, lasts: Duration) -> Vec<(String, &'static str, i64)> {
        let (begun, mut changes) = (tokio::time::Instant::now(), Vec::new());
        let each = Duration::from_secs(60) / (ENDS + OTHERS) as u32;
        for nth in 0.. {
            let at = begun + each * nth;
            if at > begun + lasts {
                break;
            }
            tokio::time::sleep_until(at).await;
            let ends = self.random.u64(0..ENDS + OTHERS) < ENDS;
            let from = if ends { &mut self.processing } else { &mut self.queued };
            let Some(job) = from.pop() else { continue };
            let to = if ends { "completed" } else { "processing" };
            changes.push((job.clone(), to, scene::now()));
            assert!(self.world.service.set_state(&job, to, None, None));
            if !ends {
                // It ends later than those that ran before.
                self.processing.insert(0, job);
            }
        }
        changes
    }

    /// How soon changes were shown; those before a moment came after a quiet time.
    fn judge(&self, changes: &[(String, &'static str, i64)], quiet_until: i64) -> Judged {
        let shown = self.shown.lock().unwrap();
        let mut judged = Judged::default();
        for (job, to, at) in changes {
            let end = *to == "completed";
            let state = if end { "Completed" } else { "Processing" };
            let Some(seen) = shown.get(&(job.clone(), state.to_owned())) else {
                judged.missing += usize::from(end);
                continue;
            };
            let of = match (*at < quiet_until, end) {
                (true, _) => &mut judged.first,
                (false, true) => &mut judged.ends,
                (false, false) => &mut judged.others,
            };
            of.push(((seen - at) as f64 / 1000.0).max(0.0));
        }
        judged
    }

    /// A minute in which nothing changes: requests, and looks at objects.
    async fn quiet(&self) -> String {
        let reconciles = "spideriq_operator_reconciles_total{kind=\"ScrapeJob\"";
        // What is still to be read of the ends comes first.
        let reads = || requests_of(&self.world, "results");
        let mut before = 0;
        while before < reads() {
            before = reads();
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        // The list is read less often when nothing has changed for a while.
        tokio::time::sleep(Duration::from_secs(30)).await;
        let (last, before) =
            (self.world.service.journal(0).last, scene::counted(&self.world, reconciles).await);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let after = scene::counted(&self.world, reconciles).await;
        format!("{}, {:.0}", scene::requests(&self.world, last).len(), after - before)
    }

    /// The operator is away while 200 jobs change.
    async fn restart(mut self) -> Restart {
        assert!(self.world.stop().await);
        let (last, mut changes) = (self.world.service.journal(0).last, Vec::new());
        for nth in 0..200 {
            let (from, to) = if nth % 2 == 0 {
                (&mut self.processing, "completed")
            } else {
                (&mut self.queued, "processing")
            };
            let Some(job) = from.pop() else { continue };
            assert!(self.world.service.set_state(&job, to, None, None));
            changes.push((job, to, scene::now()));
        }
        let begun = scene::now();
        self.world.start();
        let mut shown = 0;
        for _ in 0..1200 {
            let judged = self.judge(&changes, i64::MAX);
            shown = judged.first.len();
            if shown >= changes.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let took = (scene::now() - begun) as f64 / 1000.0;
        let requests = scene::requests(&self.world, last);
        let reads = requests.iter().filter(|(route, ..)| *route == "results").count();
        let (_, anonymous, _) = memory(self.world.pid());
        let words = format!("{}, of which {reads} for results", requests.len());
        [
            ["changes shown".to_owned(), "200".to_owned(), format!("{shown} after {took:.1} s")],
            ["requests until then".to_owned(), "≤ 5 besides the reads at ends".to_owned(), words],
            ["memory not shared with a file".to_owned(), "–".to_owned(), format!("{anonymous:.1} MiB")],
        ]
    }
}

fn requests_of(world: &World, route: &str) -> usize {
    scene::requests(world, 0).iter().filter(|(at, ..)| *at == route).count()
}

async fn watch(api: kube::Api<DynamicObject>, shown: Shown) {
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
    while let Some(event) = events.next().await {
        let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = event else { continue };
        let word = |field: &str| object.data["status"][field].as_str().unwrap_or_default().to_owned();
        let at = (word("jobID"), word("state"));
        if !at.0.is_empty() && !at.1.is_empty() {
            shown.lock().unwrap().entry(at).or_insert_with(scene::now);
        }
    }
}
