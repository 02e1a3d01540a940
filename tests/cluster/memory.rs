//! What large and many objects of tenants cost the operator in memory: less than half of the chart's limit, whatever is
//! done to them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use http::Request;

use super::support::World;

/// As large as the API server stores them.
const LARGE: usize = 20;
const LARGE_BYTES: usize = 1_400_000;
const SMALL: usize = 400;
const SMALL_BYTES: usize = 2_600;
const DELETED: usize = 50;
/// The most that the process may hold for itself, in KiB.
const MOST: u64 = 128 * 1024;

fn large(at: usize) -> String {
    object(&format!("large-{at}"), &format!(r#""x":"{}""#, "x".repeat(LARGE_BYTES)))
}

fn small(at: usize) -> String {
    object(&format!("small-{at}"), &format!(r#""x":"{}""#, "x".repeat(SMALL_BYTES)))
}

fn object(name: &str, payload: &str) -> String {
    format!(
        r#"{{"apiVersion":"spideriq.ai/v1alpha1","kind":"ScrapeJob","metadata":{{"name":"{name}"}},"spec":{{"type":"spiderSite","suspend":true,"payload":{{"url":"https://{name}.example",{payload}}}}}}}"#
    )
}

async fn create(world: &World, texts: impl Iterator<Item = String>) {
    let path = format!("/apis/spideriq.ai/v1alpha1/namespaces/{}/scrapejobs", world.namespace);
    let made = futures::stream::iter(texts).map(|text| {
        let request = Request::post(&path).header("content-type", "application/json").body(text.into_bytes());
        let client = world.client();
        async move {
            match client.request_text(request.unwrap()).await {
                // An answer that is late is asked for once more.
                Ok(_) | Err(kube::Error::Api(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    made.buffer_unordered(4).for_each(|()| async {}).await;
}

/// The anonymous memory of a process in KiB.
fn held(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Looks at a process again and again, and keeps the most that it held.
struct Watched {
    most: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

impl Watched {
    fn new(pid: u32) -> Self {
        let (most, ends): (Arc<AtomicU64>, Arc<AtomicBool>) = Default::default();
        let (noted, ended) = (Arc::clone(&most), Arc::clone(&ends));
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                noted.fetch_max(held(pid), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { most, ends }
    }

    /// The most since it was asked last.
    fn most(&self, when: &str) -> u64 {
        let most = self.most.swap(0, Ordering::Relaxed);
        eprintln!("{when}: {most} KiB at the most");
        most
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// Waits until the operator's page of metrics has a line.
pub async fn until_scraped(world: &World, line: &str) {
    for _ in 0..600 {
        if world.http("/metrics").await.contains(line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("never: {line} in {}", world.http("/metrics").await);
}

/// The same of how many jobs are in a state. Nobody else lists objects of this size just to count them.
async fn until_counted(world: &World, state: &str, count: usize) {
    let labels = format!("namespace=\"{}\",state=\"{state}\"", world.namespace);
    until_scraped(world, &format!("spideriq_operator_jobs{{{labels}}} {count}.0\n")).await;
}

#[tokio::test]
async fn large_and_many_objects_stay_below_half_of_the_limit() {
    let mut world = World::without_operator("memory", "jobs: [{queued: 0.1, end: processing}]").await;
    // An API server that has its hands full is no reason to stand down here.
    world.arguments.push("--leader-elect=false".to_owned());
    world.account("default", "");
    create(&world, (0..LARGE).map(large)).await;
    create(&world, (0..SMALL).map(small)).await;
    world.start();
    let watched = Watched::new(world.pid());
    until_counted(&world, "Suspended", SMALL).await;
    until_counted(&world, "Failed", LARGE).await;
    let first = watched.most("at the first start");
    world.kill();
    drop(watched);
    world.start();
    let watched = Watched::new(world.pid());
    for at in 0..DELETED {
        world.site(&format!("running-{at}"), "");
    }
    until_counted(&world, "Processing", DELETED).await;
    let again = watched.most("at a start, and with 50 that run");
    let running: Vec<String> = (0..DELETED).map(|at| format!("running-{at}")).collect();
    let names: Vec<&str> = running.iter().map(String::as_str).collect();
    world.kubectl(&[&["delete", "scrapejob", "--timeout=120s"], names.as_slice()].concat()).unwrap();
    assert_eq!(world.service.jobs().iter().filter(|job| job.state == "cancelled").count(), DELETED);
    let deleting = watched.most("while 50 are deleted");
    for most in [first, again, deleting] {
        assert!(most < MOST, "{most} KiB");
    }
}
