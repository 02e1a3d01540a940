//! Deletion in every state, with the service up and down.

use super::support::{World, state_of};

async fn gone(world: &World, name: &str) {
    world.until_of("ScrapeJob", name, "gone", serde_json::Value::is_null).await;
}

fn delete(world: &World, name: &str) {
    world.kubectl(&["delete", "scrapejob", name, "--wait=false"]).unwrap();
}

#[tokio::test]
async fn what_runs_is_cancelled_and_what_does_not_is_gone_at_once() {
    let rules =
        "jobs: [{match: {contains: done}, queued: 0.1, processing: 0.1}, {queued: 0.1, end: processing}]";
    let world = World::new("deleted", rules).await;
    world.site("waits", ", suspend: true");
    world.site("done", "");
    world.site("runs", "");
    world.site("left", ", deletionPolicy: Orphan");
    world.until("waits", "Suspended").await;
    world.until("done", "Completed").await;
    let runs = world.until("runs", "Processing").await;
    world.until("left", "Processing").await;
    for name in ["waits", "done", "runs", "left"] {
        delete(&world, name);
    }
    for name in ["waits", "done", "runs", "left"] {
        gone(&world, name).await;
    }
    let cancelled: Vec<Option<String>> =
        world.requests("cancel").into_iter().map(|request| request.job_id).collect();
    assert_eq!(cancelled, [runs["status"]["jobID"].as_str().map(str::to_owned)]);
    let left = world.events("left").await;
    assert!(left.iter().any(|(_, reason, _)| reason == "LeftRunning"), "{left:?}");
}

#[tokio::test]
async fn a_service_that_is_down_holds_a_deletion_no_longer_than_its_bound() {
    let world = World::new("bound", "jobs: [{queued: 0.1, end: processing}]").await;
    world.site("acme", ", cancelTimeoutSeconds: 15");
    let job = world.until("acme", "Processing").await;
    world.faults("[{match: {path: /jobs/}, reply: {status: 503}}]");
    delete(&world, "acme");
    let deleting = world
        .until_of("ScrapeJob", "acme", "deleting", |job| job["metadata"]["deletionTimestamp"].is_string())
        .await;
    assert_ne!(state_of(&deleting), "Cancelled");
    gone(&world, "acme").await;
    let id = job["status"]["jobID"].as_str().unwrap();
    let told = world.events("acme").await;
    assert!(
        told.iter()
            .any(|(kind, reason, note)| kind == "Warning" && reason == "Orphaned" && note.contains(id)),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_job_that_another_object_follows_is_not_cancelled() {
    let world = World::new("shared", "jobs: [{queued: 0.1, end: processing}]").await;
    let spec = "type: spiderSite, payload: {url: \"https://shared.example\"}";
    world.job("one", spec);
    world.until("one", "Processing").await;
    world.job("two", spec);
    world.until("two", "Processing").await;
    delete(&world, "one");
    gone(&world, "one").await;
    assert!(world.requests("cancel").is_empty());
    delete(&world, "two");
    gone(&world, "two").await;
    assert_eq!(world.requests("submit").len(), 2);
}

#[tokio::test]
async fn a_stop_is_graceful_and_the_next_process_goes_on() {
    let mut world = World::new("stop", "jobs: [{queued: 0.1, end: processing}]").await;
    world.site("acme", "");
    world.until("acme", "Processing").await;
    assert!(world.stop().await);
    let id = world.made().remove(0).job_id;
    assert!(world.service.set_state(&id, "completed", None, None));
    world.start();
    world.until("acme", "Completed").await;
    assert_eq!(world.made().len(), 1);
}

#[tokio::test]
async fn a_submit_that_is_under_way_at_a_stop_is_answered_and_recorded_before_the_process_ends() {
    let mut world = World::new("drain", "jobs: [{queued: 0.1, end: processing}]").await;
    world.faults("[{match: {route: submit}, delay_reply: 3}]");
    world.job("mail", "type: spiderMail, payload: {url: \"https://mail.example\"}");
    world.until_true("it is under way", |world| world.requests("submit").len() == 1).await;
    assert!(world.stop().await);
    let job = world.get("ScrapeJob", "mail").await;
    assert_eq!(job["status"]["jobID"].as_str(), Some(world.made().remove(0).job_id.as_str()), "{job}");
    assert_eq!(job["status"]["state"], "Queued", "{job}");
}

#[tokio::test]
async fn what_nobody_knows_the_outcome_of_is_named_when_its_object_goes() {
    let world = World::new("orphan", "jobs: [{queued: 0.1, end: processing}]").await;
    world.faults("[{match: {route: submit, type: spiderPR}, drop: after}, {match: {route: submit, body: held.example}, reply: {status: 429, body: {code: MAX_CAMPAIGNS_PER_CLIENT, detail: no more}}}]");
    world.job("unknown", "type: spiderPR, payload: {title: News, body: Something happened}");
    world.site("held", "");
    world.until_because("unknown", "Held", "SubmissionAmbiguous").await;
    world.until_because("held", "Held", "Refused").await;
    let made = world.made().remove(0).job_id;
    // It is looked for behind all that was made since.
    let looks = world.requests("list").len();
    world.service.create_jobs(serde_json::from_str(r#"{"count": 250}"#).unwrap()).unwrap();
    for name in ["unknown", "held"] {
        delete(&world, name);
        gone(&world, name).await;
    }
    let told = world.events("unknown").await;
    assert!(
        told.iter()
            .any(|(kind, reason, note)| kind == "Warning" && reason == "Orphaned" && note.contains(&made)),
        "{told:?}"
    );
    assert!(!world.events("held").await.iter().any(|(_, reason, _)| reason == "Orphaned"));
    assert_eq!(world.requests("list").len(), looks + 3);
    assert!(world.requests("cancel").is_empty(), "what is not known to be ours is not cancelled");
    assert_eq!(world.requests("submit").len(), 2);
}
