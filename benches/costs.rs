//! What the operator costs, measured: `make bench` writes `docs/benchmarks.md` from what this prints.
//!
//! Nothing here passes or fails: figures of one machine are not those of another.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a benchmark")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are rounded anyway"
)]
#![expect(dead_code, unreachable_pub, reason = "parts of the tests are used")]

#[path = "../tests/cluster/manifest.rs"]
mod manifest;
#[path = "../tests/cluster/reach.rs"]
mod reach;
#[path = "../tests/pure/situation.rs"]
mod situation;
#[path = "../tests/cluster/support.rs"]
mod support;

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use spideriq_operator::decide::{Outcome, next, settle};
use support::World;

const FINISHED: usize = 1000;
const NEW: usize = 100;

#[tokio::main]
async fn main() {
    println!("# Benchmarks\n");
    println!(
        "Written by `make bench`: one run, on 2 cores, release build; timings on a busy machine vary by a factor of two.\n"
    );
    println!("| Measure | Goal | Measured |\n|---|---|---|");
    decisions();
    let program = std::env::var_os("OPERATOR")
        .unwrap_or_else(|| panic!("OPERATOR must name the release binary; run `make bench`"));
    let size = std::fs::metadata(&program).unwrap().len();
    row("release binary, stripped", "≤ 8 MB", &format!("{:.1} MB", size as f64 / 1e6));
    cluster(program.into()).await;
}

fn row(measure: &str, goal: &str, measured: &str) {
    println!("| {measure} | {goal} | {measured} |");
}

/// The pure part of a look at an object.
fn decisions() {
    let situations = [
        ("a job to be submitted", situation::fresh(situation::site())),
        ("a job that runs", situation::accepted("processing")),
    ];
    for (name, o) in situations {
        let look = || {
            let plan = next(black_box(&o));
            settle(&o, &plan, &Outcome::Done)
        };
        let rounds: Vec<f64> = (0..7).map(|_| microseconds(5000, || drop(black_box(look())))).collect();
        row(&format!("decide and settle, {name}"), "< 10 µs", &spread(rounds, "µs"));
        let whole: Vec<f64> = (0..7)
            .map(|_| microseconds(5000, || drop(black_box(situation::shown(standing(), &o)))))
            .collect();
        row(&format!("the same with the conditions, {name}"), "–", &spread(whole, "µs"));
    }
}

fn standing() -> spideriq_operator::decide::Standing {
    use spideriq_operator::api::{Reason, State};
    spideriq_operator::decide::Standing::Following(
        State::Processing,
        Reason::Processing,
        spideriq_operator::decide::Message::Said("in progress".into()),
    )
}

fn microseconds(times: u32, what: impl Fn()) -> f64 {
    let begun = Instant::now();
    for _ in 0..times {
        what();
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

/// Median, least and most.
fn spread(mut figures: Vec<f64>, unit: &str) -> String {
    figures.sort_by(f64::total_cmp);
    let at = |share: f64| figures[((figures.len() - 1) as f64 * share).round() as usize];
    format!("{:.1} {unit} ({:.1} to {:.1})", at(0.5), at(0.0), at(1.0))
}

async fn cluster(program: std::path::PathBuf) {
    let mut world = World::without_operator("bench", "jobs: [{queued: 0.05, processing: 0.05}]").await;
    world.program = program;
    // Fast enough to make a thousand objects in a benchmark's time; the service has no limits here.
    let limits = "limits: {requestsPerMinute: 60000, burst: 20000, submitsPerMinute: 30000}";
    world.secret("default", support::TOKEN);
    world.apply(&format!(
        "{{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeAccount, metadata: {{name: default}}, spec: {{secretRef: {{name: default}}, endpoint: \"{}\", {limits}}}}}",
        world.service.base_url()
    ));
    world.start();
    world.until_of("ScrapeAccount", "default", "ready", |a| support::condition(a, "Ready").0 == "True").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    row("memory with one account and no job", "–", &memory(&world));

    let manifests: Vec<String> = (0..FINISHED)
        .map(|n| support::job(&format!("job-{n}"), &support::site(&format!("site-{n}"), "")))
        .collect();
    for some in manifests.chunks(200) {
        world.apply(&some.join("\n---\n"));
    }
    finished(&world, FINISHED).await;
    row("memory after the work, 1,000 finished objects", "–", &memory(&world));
    let requests = world
        .service
        .journal(0)
        .entries
        .iter()
        .filter(|e| matches!(e.event, emulator::journal::Event::Request(_)))
        .count();
    row(
        "requests to the service for each finished job",
        "submit, results, details and looks",
        &format!("{:.2}", requests as f64 / FINISHED as f64),
    );
    assert!(world.stop().await);
    world.start();
    tokio::time::sleep(Duration::from_secs(10)).await;
    row("memory after a restart with 1,000 finished objects", "≤ 12 MiB at 2,000", &memory(&world));

    let mut waits = Vec::new();
    for n in 0..NEW {
        let name = format!("new-{n}");
        let manifest = support::job(&name, &support::site(&name, ""));
        waits.push(until_post(&world, &name, &manifest).await);
    }
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share).round() as usize];
    let measured = format!("p50 {:.0} ms, p99 {:.0} ms", at(0.5), at(0.99));
    row("new object → POST, on 1,000 standing objects", "p99 ≤ 25 ms on 2,000", &measured);

    finished(&world, FINISHED + NEW).await;
    let begun = cpu(&world);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let share = (cpu(&world) - begun) / 30.0 * 100.0;
    row("processor time while nothing happens", "< 0.03 %", &format!("{share:.3} %"));
}

/// Milliseconds from the API server's answer to the creation until the service sees the request.
async fn until_post(world: &World, name: &str, manifest: &str) -> f64 {
    let object = serde_saphyr::from_str(manifest).unwrap();
    let since = world.service.journal(0).last;
    world.api("ScrapeJob").create(&kube::api::PostParams::default(), &object).await.unwrap();
    let born = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64() * 1e3;
    for _ in 0..20_000 {
        let posted = world.service.journal(since).entries.into_iter().find(
            |entry| matches!(&entry.event, emulator::journal::Event::Request(request) if request.route == "submit"),
        );
        if let Some(posted) = posted {
            return posted.wall_ms as f64 - born;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{name} was never submitted");
}

async fn finished(world: &World, count: usize) {
    for _ in 0..600 {
        let page = world.http("/metrics").await;
        if page.contains(&format!("state=\"Completed\"}} {count}.0\n")) {
            // The last finalizers and the account's counts.
            tokio::time::sleep(Duration::from_secs(5)).await;
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("not all were finished");
}

/// Resident memory of the operator, in MiB.
fn memory(world: &World) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let kib = |field: &str| -> f64 {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    format!(
        "{:.1} MiB, of it {:.1} MiB not shared with a file",
        kib("VmRSS:") / 1024.0,
        kib("RssAnon:") / 1024.0
    )
}

/// Processor seconds of the operator so far.
fn cpu(world: &World) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", world.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
