//! A job's whole life, mirrored jobs, and jobs that end otherwise.

use serde_json::json;

use super::support::{TOKEN, World, condition, state_of};

#[tokio::test]
async fn a_job_is_submitted_once_followed_and_costs_six_writes() {
    let world = World::new("life", "jobs: [{queued: 8, processing: 8}]").await;
    world
        .until_of("ScrapeAccount", "default", "ready", |account| condition(account, "Ready").0 == "True")
        .await;
    let (_, from) = world.bed.audit(0).unwrap();
    world.site("acme", "");
    world.until("acme", "Queued").await;
    world.until("acme", "Processing").await;
    let job = world.until("acme", "Completed").await;
    world.until_of("ScrapeJob", "acme", "released", |job| job["metadata"]["finalizers"].is_null()).await;

    let status = &job["status"];
    let made = world.made();
    assert_eq!(made.len(), 1);
    assert_eq!(world.requests("submit").len(), 1);
    assert_eq!(status["jobID"], json!(made[0].job_id));
    assert_eq!(status["account"]["clientID"], "cli_test");
    assert_eq!(status["remote"]["state"], "completed");
    assert_eq!(status["remote"]["pagesCrawled"], 5);
    assert!(status["remote"]["startedAt"].is_string() && status["remote"]["completedAt"].is_string());
    assert!(status["results"]["bytes"].as_u64().unwrap() > 500);
    for (name, want) in [
        ("Ready", "True"),
        ("Completed", "True"),
        ("Finished", "True"),
        ("Synced", "True"),
        ("Queued", "False"),
        ("Processing", "False"),
        ("Failed", ""),
        ("Cancelled", ""),
    ] {
        assert_eq!(condition(&job, name).0, want, "{name}");
    }

    let asked = || {
        let entries = world.bed.audit(from).unwrap().0.into_iter();
        entries.filter(|entry| {
            entry.user == world.user() && entry.resource == "scrapejobs" && entry.name == "acme"
        })
    };
    let writes = || -> Vec<String> {
        let written = asked().filter(testbed::Entry::is_write);
        written.map(|entry| format!("{} {}", entry.subresource, entry.code)).collect()
    };
    // A write is seen before it is in the audit log.
    world.until_true("all are in the audit log", |_| writes().len() >= 6).await;
    assert_eq!(
        writes(),
        [" 200", "status 200", "status 200", "status 200", "status 200", " 200"],
        "G6: exactly six"
    );
    assert_eq!(asked().filter(|entry| entry.dry_run).count(), 1, "that nothing is dropped is proven once");

    let reasons: Vec<String> = world.events("acme").await.into_iter().map(|(_, reason, _)| reason).collect();
    assert_eq!(reasons, ["Submitted", "Processing", "Completed"]);
    let routes: Vec<usize> = ["results", "cancel"].map(|route| world.requests(route).len()).to_vec();
    assert_eq!(routes, [1, 0]);
    let lists = world.requests("list").len();
    assert!((3..=20).contains(&lists), "{lists} pages of the list for a job of 16 s");
    assert_eq!(
        world.requests("status").len(),
        1,
        "the list shows the job, and nothing looks at it by itself"
    );
    let yaml =
        world.requests("status").into_iter().filter(|request| request.path.contains("format=yaml")).count();
    assert_eq!(yaml, 1, "the details are read once");

    assert!(!world.logged().contains("secret_canary") && !job.to_string().contains("secret_canary"));
    assert!(!world.logged().contains(TOKEN));
}

#[tokio::test]
async fn a_failed_job_tells_the_words_of_the_service() {
    let rules = "jobs: [{queued: 0.2, processing: 0.2, end: failed, result: {error_message: 'robots.txt forbids it'}}]";
    let world = World::new("failed", rules).await;
    world.site("acme", "");
    let job = world.until_because("acme", "Failed", "RemoteFailed").await;
    assert_eq!(job["status"]["remote"]["errorMessage"], "robots.txt forbids it");
    assert!(job["status"]["message"].as_str().unwrap().contains("robots.txt forbids it"));
    assert_eq!(condition(&job, "Stalled").0, "True");
    // It is told right after it is written.
    let warns = |events: Vec<(String, String, String)>| {
        events.into_iter().any(|(kind, reason, _)| kind == "Warning" && reason == "RemoteFailed")
    };
    while !warns(world.events("acme").await) {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_mirrored_job_is_followed_and_never_submitted() {
    let world = World::new("mirror", "{}").await;
    let spec = serde_json::from_value(json!({"state": "processing"})).unwrap();
    let id = world.service.create_jobs(spec).unwrap().remove(0);
    world.job("mirror", &format!("jobID: {id}"));
    world.job("unknown", "jobID: 00000000-0000-4000-8000-000000000000");
    world.until("mirror", "Processing").await;
    assert!(world.service.set_state(&id, "completed", None, None));
    let job = world.until("mirror", "Completed").await;
    assert_eq!(job["status"]["submission"]["origin"], "Mirrored");
    assert!(job["metadata"]["finalizers"].is_null());
    let held = world.until_because("unknown", "Held", "JobNotFound").await;
    assert_eq!(condition(&held, "Stalled").0, "True");
    assert!(world.requests("submit").is_empty());
}

#[tokio::test]
async fn an_equal_payload_is_adopted_and_a_cached_failure_is_told() {
    let rules = "jobs: [{match: {contains: bad}, queued: 0.1, processing: 0.1, end: failed}, {queued: 0.1, processing: 0.1}]";
    let world = World::new("cached", rules).await;
    for name in ["good", "bad"] {
        let spec = format!("type: spiderSite, payload: {{url: \"https://{name}.example\"}}");
        world.job(&format!("{name}-1"), &spec);
        let end = if name == "good" { "Completed" } else { "Failed" };
        let first = world.until(&format!("{name}-1"), end).await;
        world.job(&format!("{name}-2"), &spec);
        let second = world.until(&format!("{name}-2"), end).await;
        assert_eq!(first["status"]["jobID"], second["status"]["jobID"]);
        assert_eq!(second["status"]["submission"]["origin"], "Cached");
        if name == "bad" {
            assert_eq!(second["status"]["reason"], "CachedFailure");
        }
    }
    assert_eq!(world.made().len(), 2);
}

#[tokio::test]
async fn a_state_word_of_a_later_release_is_not_the_end() {
    let world = World::new(
        "word",
        "jobs: [{steps: [{state: queued, for: 1}, {state: reviewing, for: 8}, {state: completed}]}]",
    )
    .await;
    world.site("acme", "");
    let job = world
        .until_of("ScrapeJob", "acme", "reviewing", |job| job["status"]["remote"]["state"] == "reviewing")
        .await;
    assert_eq!((state_of(&job), condition(&job, "Reconciling").0), ("Processing", "True"));
    world.until("acme", "Completed").await;
}
