//! Jobs in numbers, followed by one list, on a real API server and within the documented limits.

use std::collections::HashMap;
use std::time::Duration;

use emulator::journal::{Event, JobEvent};
use kube::api::ListParams;
use serde_json::{Value, json};

use super::support::{TOKEN, World, job};

const JOBS: usize = 200;
/// Four fifths of them end, in three groups.
const RULES: &str = "jobs: [{match: {contains: group-0.}, queued: 2, processing: 28}, {match: {contains: group-1.}, queued: 2, processing: 43}, {match: {contains: group-2.}, queued: 2, processing: 58}, {queued: 2, end: processing}]";

fn group(n: usize) -> usize {
    if n % 5 == 4 { 3 } else { n % 3 }
}

#[tokio::test]
async fn the_ends_of_jobs_in_numbers_are_shown_within_the_documented_limits() {
    let mut world = World::without_operator("lists", RULES).await;
    let ids: Vec<String> = (0..JOBS).map(|n| format!("550e8400-e29b-41d4-a716-{n:012}")).collect();
    world.secret("default", TOKEN);
    world.apply(&format!(
        "{{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeAccount, metadata: {{name: default}}, spec: {{secretRef: {{name: default}}, endpoint: \"{}\"}}}}",
        world.service.base_url()
    ));
    world.limits.clear();
    world.start();
    for (n, id) in ids.iter().enumerate() {
        let page = format!("https://group-{}.example/{n}", group(n));
        let theirs = json!({"job_id": id, "payload": {"url": page}});
        world.service.create_jobs(serde_json::from_value(theirs).unwrap()).unwrap();
    }
    let mirrors: Vec<String> =
        ids.iter().enumerate().map(|(n, id)| job(&format!("mirror-{n}"), &format!("jobID: {id}"))).collect();
    world.apply(&mirrors.join("\n---\n"));
    tokio::time::sleep(Duration::from_secs(100)).await;

    let journal = world.service.journal(0).entries;
    let mut over: HashMap<String, i64> = HashMap::new();
    let mut sent = Vec::new();
    for entry in &journal {
        match &entry.event {
            Event::Job(JobEvent { job_id, to, .. }) if to == "completed" => {
                over.insert(job_id.clone(), entry.wall_ms);
            }
            Event::Request(_) => sent.push(entry.wall_ms),
            Event::Job(_) => {}
        }
    }
    let mut waited = Vec::new();
    let mut missing = Vec::new();
    for object in world.api("ScrapeJob").list(&ListParams::default()).await.unwrap() {
        let object: Value = serde_json::to_value(object).unwrap();
        let id = object["status"]["jobID"].as_str().unwrap_or_default().to_owned();
        let Some(over) = over.get(&id) else { continue };
        match object["status"]["finishTime"].as_str() {
            Some(time) => {
                let shown: jiff::Timestamp = time.parse().unwrap();
                waited.push(shown.as_millisecond() - over);
            }
            None => missing.push(id),
        }
    }
    waited.sort_unstable();
    let at = |share: usize| waited[(waited.len() - 1) * share / 100];
    let busiest =
        sent.iter().map(|from| sent.iter().filter(|at| (*from..from + 60_000).contains(at)).count()).max();
    println!(
        "{} of {} ends shown; p50 {} ms, p99 {} ms, slowest {} ms; {} requests, busiest minute {busiest:?}",
        waited.len(),
        over.len(),
        at(50),
        at(99),
        at(100),
        sent.len()
    );
    assert_eq!((over.len(), missing), (JOBS * 4 / 5, Vec::new()));
    assert!(busiest <= Some(100), "{busiest:?}");
    let account = world.get("ScrapeAccount", "default").await;
    assert_eq!(account["status"]["sync"], json!({"mode": "List"}), "{account}");
}
