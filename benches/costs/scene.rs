//! What the parts have in common: a world with the documented limits, objects in numbers, and what the service and the operator
//! counted.

use std::path::Path;
use std::time::{Duration, SystemTime};

use emulator::journal::Event;
use emulator::rules::Rules;
use futures::StreamExt;
use kube::api::PostParams;
use serde_json::Value;

use crate::support::{TOKEN, World, condition};

/// The documented limits, counted as a sliding minute.
pub const LIMITS: &str = "limits: {window: sliding}";

/// A world whose service has the documented limits, and an account; more of its spec may be given.
pub async fn world(name: &str, program: &Path, rules: &str, spec: &str) -> World {
    let mut world = World::without_operator(name, rules).await;
    program.clone_into(&mut world.program);
    // As in the image.
    world.variables = vec![
        ("RUST_LOG", "info".to_owned()),
        ("MALLOC_ARENA_MAX", "1".to_owned()),
        ("MALLOC_MMAP_THRESHOLD_", "131072".to_owned()),
        ("MALLOC_TRIM_THRESHOLD_", "131072".to_owned()),
    ];
    if rules.contains("limits:") {
        world.limits.clear();
        world.service.set_rules(Rules::parse(rules).unwrap()).unwrap();
    }
    world.secret("default", TOKEN);
    world.apply(&format!(
        "{{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeAccount, metadata: {{name: default}}, spec: {{secretRef: {{name: default}}, endpoint: \"{}\"{spec}}}}}",
        world.service.base_url()
    ));
    world
}

/// Starts the operator, and waits until its account can be used.
pub async fn start(world: &mut World) {
    world.start();
    world
        .until_of("ScrapeAccount", "default", "ready", |account| condition(account, "Ready").0 == "True")
        .await;
}

/// Makes objects, many at a time.
pub async fn create(world: &World, objects: impl Iterator<Item = Value>) {
    let api = world.api("ScrapeJob");
    let creates = objects.map(|object| {
        let api = api.clone();
        async move {
            let object = serde_json::from_value(object).unwrap();
            api.create(&PostParams::default(), &object).await.unwrap();
        }
    });
    futures::stream::iter(creates).buffer_unordered(16).collect::<Vec<()>>().await;
}

/// The requests that the service saw after an entry of its journal: route, status, and when, in milliseconds.
pub fn requests(world: &World, since: u64) -> Vec<(&'static str, Option<u16>, i64)> {
    let entries = world.service.journal(since).entries.into_iter();
    let request = |entry: emulator::journal::Entry| match entry.event {
        Event::Request(request) => Some((request.route, request.status, entry.wall_ms)),
        Event::Job(_) => None,
    };
    entries.filter_map(request).collect()
}

/// A figure of the operator's page, summed over all labels.
pub async fn counted(world: &World, metric: &str) -> f64 {
    let page = world.http("/metrics").await;
    let of = |line: &str| line.strip_prefix(metric)?.rsplit_once(' ')?.1.parse::<f64>().ok();
    page.lines().filter_map(of).sum()
}

/// Waits until a line is on the operator's page.
pub async fn until_counted(world: &World, line: &str, seconds: u32) {
    for _ in 0..seconds * 5 {
        if world.http("/metrics").await.contains(line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("never: {line}");
}

/// Milliseconds since the epoch, by the clock that the service's journal has as well.
pub fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}
