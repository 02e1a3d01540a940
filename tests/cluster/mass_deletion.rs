//! Many running jobs deleted with one command, under limits that make most of them wait longer than their bound.

use super::support::World;

/// With 50 cancels a minute they take more than half a minute, and each may wait a tenth of one.
const JOBS: usize = 32;

#[tokio::test]
async fn every_running_job_is_cancelled_although_the_turns_take_longer_than_the_bound() {
    let mut world = World::without_operator("mass", "jobs: [{queued: 0.1, end: processing}]").await;
    world.secret("default", super::support::TOKEN);
    world.apply(&format!(
        "{{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeAccount, metadata: {{name: default}}, spec: {{secretRef: {{name: default}}, endpoint: \"{}\", limits: {{requestsPerMinute: 60, burst: 10}}}}}}",
        world.endpoint
    ));
    world.start();
    let id = |n: usize| format!("1c9b4f0e-0000-4000-8000-{n:012}");
    for n in 0..JOBS {
        let job = format!(r#"{{"job_id": "{}", "payload": {{"url": "https://theirs-{n}.example"}}}}"#, id(n));
        world.service.create_jobs(serde_json::from_str(&job).unwrap()).unwrap();
        world.job(
            &format!("mirror-{n}"),
            &format!("jobID: {}, deletionPolicy: Cancel, cancelTimeoutSeconds: 6", id(n)),
        );
    }
    for n in 0..JOBS {
        world.until(&format!("mirror-{n}"), "Processing").await;
    }
    world.kubectl(&["delete", "scrapejobs", "--all", "--wait=false"]).unwrap();
    // In the middle of it the operator is another one.
    world.until_true("some are cancelled", |world| world.requests("cancel").len() >= JOBS / 3).await;
    world.kill();
    world.start();
    for n in 0..JOBS {
        world.until_of("ScrapeJob", &format!("mirror-{n}"), "gone", serde_json::Value::is_null).await;
    }
    let running: Vec<String> = world
        .service
        .jobs()
        .into_iter()
        .filter(|job| job.state != "cancelled")
        .map(|job| job.job_id)
        .collect();
    assert!(running.is_empty(), "{running:?} run on");
    let told = world.kubectl(&["get", "events", "--output", "jsonpath={.items[*].reason}"]).unwrap();
    assert!(!told.contains("Orphaned"), "{told}");
}
