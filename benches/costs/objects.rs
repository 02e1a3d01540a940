//! Finished objects in numbers: memory, and what a start and a deletion beside them cost.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::figures::{forget_peak, memory, row, table};
use crate::plot::{Line, draw};
use crate::scene;
use crate::support::World;

const RULES: &str =
    "jobs: [{match: {contains: endless}, queued: 0.1, end: processing}, {queued: 0.1, processing: 0.1}]";

/// So long after the work memory is what it costs to have done it.
const AFTER_WORK: Duration = Duration::from_secs(120);

pub async fn measure(program: &Path) {
    table(
        "Finished objects",
        "Objects | Not shared memory after a restart (goal) | Resident | Two minutes after 100 jobs more (goal: 1.3 times) | Reconciles and requests of the restart (goal: 0)",
    );
    // Fast enough to make them in a benchmark's time; the service has no limits here.
    let limits = ", limits: {requestsPerMinute: 60000, burst: 20000, submitsPerMinute: 30000}";
    let mut world = scene::world("bench-objects", program, RULES, limits).await;
    scene::start(&mut world).await;
    world.site("site-0", "");
    let pattern = world.until("site-0", "Completed").await;
    let mut standing = 1;
    let mut line = Line { name: "not shared with a file, after a restart", points: Vec::new() };
    for (many, goal) in [(2_000, 3.5), (10_000, 7.0), (100_000, 18.0)] {
        assert!(world.stop().await);
        if many == 10_000 {
            more(&world, &pattern, standing..4_000).await;
            standing = 4_000;
            deletions(&mut world, standing).await;
        }
        more(&world, &pattern, standing..many).await;
        standing = many;
        let anonymous = at_rest(&mut world, standing, goal).await;
        line.points.push((standing as f64, anonymous));
        standing += 100;
    }
    draw("memory.svg", "Memory beside finished objects", ("finished objects", "MiB"), &[line]);
}

/// Makes finished objects after the pattern of one: of the same payload, whose hash stands in the status.
async fn more(world: &World, pattern: &Value, numbers: std::ops::Range<usize>) {
    let api = world.api("ScrapeJob");
    let objects = numbers.map(|n| {
        let (api, name) = (api.clone(), format!("made-{n}"));
        let object = json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob",
            "metadata": {"name": name, "annotations": pattern["metadata"]["annotations"].clone()},
            "spec": pattern["spec"].clone()});
        let mut status = pattern["status"].clone();
        status["jobID"] = json!(format!("00000000-0000-4000-8000-{n:012}"));
        async move {
            let object = serde_json::from_value(object).unwrap();
            api.create(&kube::api::PostParams::default(), &object).await.unwrap();
            let patch = Patch::Merge(json!({"status": status}));
            api.patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
        }
    });
    futures::stream::iter(objects).buffer_unordered(16).collect::<Vec<()>>().await;
}

/// A start beside them, and some work; memory after the start.
async fn at_rest(world: &mut World, standing: usize, goal: f64) -> f64 {
    let last = world.service.journal(0).last;
    world.start();
    let line = format!("spideriq_operator_kept_jobs{{kept=\"record\"}} {standing}.0\n");
    scene::until_counted(world, &line, 300).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let reconciles = scene::counted(world, "spideriq_operator_reconciles_total{kind=\"ScrapeJob\"").await;
    let requests = scene::requests(world, last).iter().filter(|(route, ..)| *route != "whoami").count();
    let (resident, anonymous, _) = memory(world.pid());
    let objects = (0..100).map(|n| {
        json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": {"name": format!("work-{standing}-{n}")},
            "spec": {"type": "spiderSite", "payload": {"url": format!("https://work-{standing}-{n}.example")}}})
    });
    scene::create(world, objects).await;
    let line = format!("spideriq_operator_kept_jobs{{kept=\"record\"}} {}.0\n", standing + 100);
    scene::until_counted(world, &line, 300).await;
    // Connections that the work needed are closed by then.
    tokio::time::sleep(AFTER_WORK).await;
    let (_, worked, _) = memory(world.pid());
    row(&[
        &standing.to_string(),
        &format!("{anonymous:.1} MiB (≤ {goal})"),
        &format!("{resident:.1} MiB"),
        &format!("{worked:.1} MiB, {:.2} times", worked / anonymous),
        &format!("{:.0}, {requests}", reconciles.abs()),
    ]);
    anonymous
}

/// Twenty running jobs are deleted beside them.
async fn deletions(world: &mut World, standing: usize) {
    world.start();
    let names: Vec<String> = (0..20).map(|n| format!("running-{n}")).collect();
    for name in &names {
        world.job(name, &crate::support::site(&format!("endless-{name}"), ""));
    }
    for name in &names {
        world.until(name, "Processing").await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (last, begun) = (world.service.journal(0).last, scene::now());
    forget_peak(world.pid());
    let arguments: Vec<&str> =
        ["delete", "scrapejob", "--wait=false"].into_iter().chain(names.iter().map(String::as_str)).collect();
    world.kubectl(&arguments).unwrap();
    let mut cancels = Vec::new();
    for _ in 0..600 {
        cancels = scene::requests(world, last).into_iter().filter(|(route, ..)| *route == "cancel").collect();
        if cancels.len() >= names.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (.., peak) = memory(world.pid());
    let slowest = cancels.iter().map(|(.., at)| at - begun).max().unwrap_or(-1);
    let words =
        format!("{} of 20 cancelled, the last DELETE after {:.1} s", cancels.len(), slowest as f64 / 1000.0);
    row(&[
        &format!("20 running jobs deleted beside {standing}"),
        &format!("peak resident {peak:.1} MiB (≤ 25)"),
        "–",
        &words,
        "–",
    ]);
    assert!(world.stop().await);
}
