//! How soon new objects are submitted, and what one job costs.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::figures::{row, share, table};
use crate::scene;
use crate::support::World;

pub async fn measure(program: &Path) {
    table("Submits, within the documented limits", "Measure | Goal | Measured");
    let rules = format!("jobs: [{{queued: 2, processing: 58}}]\n{}", scene::LIMITS);
    let mut world = scene::world("bench-submits", program, &rules, "").await;
    scene::start(&mut world).await;
    twenty(&world, "20 objects at once, a fresh process").await;
    drop(world);

    let mut world = scene::world("bench-one", program, &rules, "").await;
    scene::start(&mut world).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let last = world.service.journal(0).last;
    world.site("alone", "");
    world.until("alone", "Completed").await;
    let requests = scene::requests(&world, last);
    let of = |route: &str| requests.iter().filter(|(at, ..)| *at == route).count();
    let all = format!(
        "{}: {} submit, {} list, {} status, {} results",
        requests.len(),
        of("submit"),
        of("list"),
        of("status"),
        of("results")
    );
    row(&["all requests for one job of 60 s, alone", "≤ 30 by list, ≤ 10 with events", &all]);
}

/// Milliseconds from the API server's answer to each creation until the service sees the request.
async fn twenty(world: &World, name: &str) {
    let last = world.service.journal(0).last;
    let begun = scene::now();
    let objects = (0..20).map(|n| {
        json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": {"name": format!("at-once-{n}")},
            "spec": {"type": "spiderSite", "payload": {"url": format!("https://at-once-{n}.example")}}})
    });
    scene::create(world, objects).await;
    let made = scene::now();
    let mut posts = Vec::new();
    for _ in 0..900 {
        let requests = scene::requests(world, last);
        posts = requests
            .iter()
            .filter(|(route, ..)| *route == "submit")
            .map(|(_, _, at)| (*at - begun) as f64)
            .collect();
        if posts.len() >= 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let first: Vec<f64> = posts.iter().copied().take(10).collect();
    let measured = format!(
        "p50 {:.0} ms, slowest {:.0} ms, from the first creation; all were made after {} ms",
        share(&first, 0.5),
        share(&first, 1.0),
        made - begun
    );
    row(&[&format!("{name}: the first ten POSTs"), "≤ 50 ms", &measured]);
    let all = format!("{} POSTs, the last after {:.0} s", posts.len(), share(&posts, 1.0) / 1000.0);
    row(&[&format!("{name}: all"), "–", &all]);
}
