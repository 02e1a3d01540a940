//! What the probes say while the API server is away, refuses, or is lost as a leader loses it.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::proxy::Proxy;
use super::replica::Replica;
use super::support::{World, http};

/// A port of this machine where nobody listens yet.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits until a path of the operator answers so.
async fn until(world: &World, path: &str, holds: impl Fn(&str) -> bool) -> String {
    let mut said = String::new();
    for _ in 0..1200 {
        said = world.http(path).await;
        if holds(&said) {
            return said;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{path} never came to it; it says {said}");
}

#[tokio::test]
async fn an_api_server_that_is_away_at_the_start_is_waited_for() {
    let mut world = World::without_operator("away", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    let (way, api) = (free(), world.api_server());
    let service = world.service_address();
    world.by_way_of(way, service);
    world.account("default", "");
    world.site("later", "");
    world.start();
    let why = until(&world, "/readyz", |said| said.contains("cannot be reached")).await;
    assert!(why.contains("check KUBECONFIG and the network"), "{why}");
    assert_eq!(world.http("/healthz").await, "ok", "another process would find the same");
    let _way = Proxy::at(way, api).await;
    world.until("later", "Completed").await;
    until(&world, "/readyz", |said| said == "ok").await;
    let page = world.http("/metrics").await;
    let of = format!("last_news_age_seconds{{namespace=\"{}\",resource=\"scrapejobs\"}} ", world.namespace);
    assert!(page.contains(&of), "{page}");
}

#[tokio::test]
async fn all_rights_gone_ends_no_process() {
    let world = World::new("rightless", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    until(&world, "/readyz", |said| said == "ok").await;
    world.site("before", "");
    world.until("before", "Completed").await;
    let binding = format!("rolebinding/{}", world.lease());
    let rights = world.kubectl(&["get", &binding, "--output", "yaml"]).unwrap();
    world.kubectl(&["delete", &binding]).unwrap();
    world.site("meanwhile", "");
    world
        .until_true("it is refused", |world| {
            world.logged().contains("forbidden") || world.logged().contains("refused the write")
        })
        .await;
    assert_eq!(world.http("/healthz").await, "ok", "another process would be refused as well");
    let kept = rights.lines().filter(|line| !line.contains("resourceVersion: ") && !line.contains("uid: "));
    world.apply(&kept.collect::<Vec<_>>().join("\n"));
    world.until("meanwhile", "Completed").await;
}

#[tokio::test]
async fn who_loses_the_lease_stays_to_record_what_was_accepted_and_then_ends() {
    let world = World::without_operator("recorded", "jobs: [{queued: 0.1, end: processing}]").await;
    world.account("default", "");
    world.faults("[{match: {route: submit}, delay_reply: 4}]");
    let mut leader = Replica::start(&world, "first");
    leader.until(&world, "leading").await;
    world.job("paid", "type: spiderMail, payload: {url: \"https://paid.example\"}");
    world.until_true("it was sent", |world| !world.made().is_empty()).await;
    // While the reply is under way every right goes: what was accepted cannot be recorded, nor the lease renewed.
    let name = world.lease();
    let bindings = [format!("rolebinding/{name}"), format!("rolebinding/{name}-lease")];
    let rights = world.kubectl(&["get", &bindings[0], &bindings[1], "--output", "yaml"]).unwrap();
    world.kubectl(&["delete", &bindings[0], &bindings[1]]).unwrap();
    leader.until(&world, "what came of a submit is not recorded yet").await;
    leader.until(&world, "staying until what came of each submit is written").await;
    assert_eq!(http(&leader.logged(), "/healthz").await, "ok", "it holds the only word of a paid job");
    let why = http(&leader.logged(), "/readyz").await;
    assert!(why.contains("the lease"), "{why}");
    world.site("untouched", "");
    let kept = rights.lines().filter(|line| !line.contains("resourceVersion: ") && !line.contains("uid: "));
    world.apply(&kept.collect::<Vec<_>>().join("\n"));
    let recorded = world.until("paid", "Queued").await;
    assert_eq!(recorded["status"]["jobID"], world.made()[0].job_id.as_str());
    assert!(!leader.ended().await.success(), "it ends as one that has lost the lease does");
    assert_eq!(world.requests("submit").len(), 1, "{}", leader.logged());
    assert_ne!(super::support::state_of(&world.get("ScrapeJob", "untouched").await), "Submitting");
}
