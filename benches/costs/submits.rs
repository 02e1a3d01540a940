//! How soon new objects are submitted, and what one job costs.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use emulator::journal::{Entry, Event};
use kube::api::PostParams;
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

/// Milliseconds from the API server's answer to each creation until the service has the request.
async fn twenty(world: &World, name: &str) {
    let last = world.service.journal(0).last;
    let api = world.api("ScrapeJob");
    let creates = (0..20).map(|n| {
        let (api, url) = (api.clone(), format!("https://at-once-{n}.example"));
        let object = json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": {"name": format!("at-once-{n}")},
            "spec": {"type": "spiderSite", "payload": {"url": url}}});
        async move {
            let object = serde_json::from_value(object).unwrap();
            api.create(&PostParams::default(), &object).await.unwrap();
            (url, scene::now())
        }
    });
    let born: HashMap<String, i64> = futures::future::join_all(creates).await.into_iter().collect();
    let mut posts = Vec::new();
    for _ in 0..900 {
        let entries = world.service.journal(last).entries.into_iter();
        let post = |entry: Entry| match entry.event {
            Event::Request(request) if request.route == "submit" => {
                let url = request.payload?["url"].as_str()?.to_owned();
                Some((entry.wall_ms - born[&url]) as f64)
            }
            Event::Request(_) | Event::Job(_) => None,
        };
        posts = entries.filter_map(post).collect();
        if posts.len() >= 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let first: Vec<f64> = posts.iter().copied().take(10).collect();
    let measured = format!("p50 {:.0} ms, slowest {:.0} ms", share(&first, 0.5), share(&first, 1.0));
    row(&[&format!("{name}: object → POST of the first ten"), "≤ 50 ms", &measured]);
    let all = format!("{} POSTs, the last after {:.0} s", posts.len(), share(&posts, 1.0) / 1000.0);
    row(&[&format!("{name}: all"), "–", &all]);
}
