//! Two replicas: one works, the other takes over; and without the lease, both work and nothing is done twice.

use std::collections::BTreeMap;
use std::time::Duration;

use testbed::Entry;

use super::replica::Replica;
use super::support::{World, http, job, site};

/// A world with an account, a replica that leads and one that follows.
async fn two(name: &str, rules: &str) -> (World, Replica, Replica) {
    let world = World::without_operator(name, rules).await;
    world.account("default", "");
    let leader = Replica::start(&world, "first");
    leader.until(&world, "leading").await;
    let follower = Replica::start(&world, "second");
    follower.until(&world, "following").await;
    (world, leader, follower)
}

/// Whether a leader asked of its lease no more than so many renewals. One that is not answered in time, which its log
/// tells, is followed by a look at the lease and another one.
pub fn only_renews(asked: &[Entry], renewals: usize, log: &str) -> bool {
    let failed = log.matches("the lease was not written").count();
    let (updates, looks): (Vec<_>, Vec<_>) = asked.iter().partition(|entry| entry.verb == "update");
    updates.len() <= renewals + failed && looks.len() <= failed && looks.iter().all(|look| look.verb == "get")
}

fn holder(world: &World) -> String {
    world.kubectl(&["get", "lease", &world.lease(), "--output", "jsonpath={.spec.holderIdentity}"]).unwrap()
}

/// Twenty jobs, of a type whose submits always make a new job.
fn twenty(world: &World) {
    let jobs: Vec<String> = (0..20).map(|n| job(&format!("job-{n}"), &mail(n))).collect();
    world.apply(&jobs.join("\n---\n"));
}

fn mail(n: u32) -> String {
    format!("type: spiderMail, payload: {{url: \"https://site-{n}.example\"}}")
}

/// How often each payload was submitted, whatever came of it.
fn submits(world: &World) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in world.requests("submit") {
        *counts.entry(request.payload.unwrap_or_default()["url"].to_string()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_graceful_stop_hands_over_and_a_follower_is_ready_and_does_nothing() {
    let (world, mut first, second) = two("handover", "jobs: [{queued: 0.1, end: processing}]").await;
    assert!(first.logged().contains(&holder(&world)));
    for (replica, leads) in [(&first, "1.0"), (&second, "0.0")] {
        while http(&replica.logged(), "/readyz").await != "ok" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(http(&replica.logged(), "/healthz").await, "ok");
        let page = http(&replica.logged(), "/metrics").await;
        assert!(page.contains(&format!("\nspideriq_operator_leader {leads}\n")), "{page}");
    }
    world.site("slow", "");
    let id = world.until("slow", "Processing").await["status"]["jobID"].as_str().unwrap().to_owned();

    // The follower watches the lease and asks nothing: all that is seen of it are the leader's renewals.
    let (_, from) = world.bed.audit(0).unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let mut asked = world.bed.audit(from).unwrap().0;
    asked.retain(|entry| entry.user == world.user() && entry.resource == "leases" && entry.verb != "watch");
    assert!(only_renews(&asked, 2, &first.logged()), "{asked:#?}");

    let (_, from) = world.bed.audit(0).unwrap();
    first.signal("TERM");
    assert!(first.ended().await.success(), "{}", first.logged());
    assert!(first.logged().contains("the lease is given up"), "{}", first.logged());
    second.until(&world, "leading").await;
    // It was told: who waits for the lease to run out writes on what it knew, and is refused.
    let mut asked = world.bed.audit(from).unwrap().0;
    asked.retain(|entry| entry.user == world.user() && entry.resource == "leases" && entry.verb != "watch");
    assert!(asked.iter().all(|entry| entry.code != 409), "{asked:#?}");
    assert!(second.logged().contains(&holder(&world)));
    assert!(!second.logged().contains("the watch of the lease begins again"), "{}", second.logged());
    assert!(world.service.set_state(&id, "completed", None, None));
    world.until("slow", "Completed").await;
    assert_eq!(world.requests("submit").len(), 1);
    assert!(http(&second.logged(), "/metrics").await.contains("\nspideriq_operator_leader 1.0\n"));
    let transitions = ["get", "lease", &world.lease(), "--output", "jsonpath={.spec.leaseTransitions}"];
    assert_eq!(world.kubectl(&transitions).unwrap(), "2");
}

#[tokio::test]
async fn a_leader_killed_in_the_middle_of_submits_is_followed_by_one_that_finishes_them() {
    let (world, mut first, second) = two("takeover", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    // Replies come late, so that the kill finds requests that were taken and not answered.
    world.faults("[{match: {route: submit}, delay_reply: 0.3}]");
    let jobs: Vec<String> =
        (0..20).map(|n| job(&format!("job-{n}"), &site(&format!("site-{n}"), ""))).collect();
    world.apply(&jobs.join("\n---\n"));
    world.until_true("some were submitted", |world| world.requests("submit").len() >= 5).await;
    first.kill();
    second.until(&world, "leading").await;
    for n in 0..20 {
        world.until(&format!("job-{n}"), "Completed").await;
    }
    assert_eq!(world.made().len(), 20, "{:?}", submits(&world));
    assert_eq!(world.service.jobs().len(), 20);
    assert_eq!(submits(&world).len(), 20);
}

#[tokio::test]
async fn a_leader_frozen_for_longer_than_the_lease_begins_nothing_and_ends() {
    let (world, mut first, second) = two("frozen", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.site("before", "");
    world.until("before", "Completed").await;
    first.signal("STOP");
    second.until(&world, "leading").await;
    // Frozen as well, so that whatever is submitted now the first has submitted.
    second.signal("STOP");
    // Nor can the first learn from the API server that another leads: it has to know by itself.
    let binding = format!("rolebinding/{}-lease", world.lease());
    let rights = world.kubectl(&["get", &binding, "--output", "yaml"]).unwrap();
    world.kubectl(&["delete", &binding]).unwrap();
    let may = ["auth", "can-i", "update", &format!("leases/{}", world.lease()), "--as", &world.user()];
    world.until_true("the rights are gone", |world| world.kubectl(&may).is_err()).await;
    twenty(&world);
    let before = first.logged().matches("submitting").count();
    first.signal("CONT");
    let ended = first.ended().await;
    let log = first.logged();
    assert!(!ended.success(), "{log}");
    assert!(log.contains("error: the lease ") && log.contains("no effect begins here any more"), "{log}");
    assert_eq!(log.matches("submitting").count(), before, "{log}");
    assert_eq!(world.requests("submit").len(), 1);
    // Whether the second was frozen for too long as well or not: somebody finishes.
    let rights = rights.lines().filter(|line| !line.contains("resourceVersion: ") && !line.contains("uid: "));
    world.apply(&rights.collect::<Vec<_>>().join("\n"));
    world.until_true("the rights are back", |world| world.kubectl(&may).is_ok()).await;
    second.signal("CONT");
    let _third = Replica::start(&world, "third");
    for n in 0..20 {
        world.until(&format!("job-{n}"), "Completed").await;
    }
    assert!(submits(&world).values().all(|count| *count == 1), "{:?}", submits(&world));
}

#[tokio::test]
async fn without_the_lease_two_replicas_submit_nothing_twice() {
    let mut world = World::without_operator("unled", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.account("default", "");
    world.arguments = vec!["--leader-elect=false".to_owned()];
    let replicas = ["first", "second"].map(|name| Replica::start(&world, name));
    let opened = "/metrics";
    for replica in &replicas {
        let mut ready = false;
        while !ready {
            ready = http(&replica.logged(), opened).await.contains("budget_requests_left");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    twenty(&world);
    for n in 0..20 {
        world.until(&format!("job-{n}"), "Completed").await;
    }
    let counts = submits(&world);
    assert!(counts.len() == 20 && counts.values().all(|count| *count == 1), "{counts:?}");
    assert_eq!(world.made().len(), 20);
    for n in 0..20 {
        let job = world.get("ScrapeJob", &format!("job-{n}")).await;
        assert!(world.service.jobs().iter().any(|made| job["status"]["jobID"] == made.job_id.as_str()));
    }
    // Both have worked, and have met: else this would say nothing.
    for replica in &replicas {
        let log = replica.logged();
        assert!(log.contains("submitting") || log.contains("was not begun"), "{log}");
    }
}
