//! Killed in the middle of submits, again and again; the service's journal is the judge.

use std::collections::BTreeMap;

use super::support::World;

#[tokio::test]
async fn ten_kills_in_the_middle_of_twenty_submits_pay_for_each_job_once() {
    let mut world = World::without_operator("killed", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.account("default", "");
    // Nothing but the writes protects here, and every life begins at once.
    world.arguments = vec!["--leader-elect=false".to_owned()];
    world.start();
    // Replies come late, so that a kill finds requests that were taken and not answered.
    world.faults("[{match: {route: submit}, delay_reply: 0.3}]");
    for round in 0..10 {
        let before = world.requests("submit").len();
        let manifests: Vec<String> = (0..20)
            .map(|n| {
                super::support::job(
                    &format!("job-{round}-{n}"),
                    &super::support::site(&format!("site-{round}-{n}"), ""),
                )
            })
            .collect();
        world.apply(&manifests.join("\n---\n"));
        let enough = before + 1 + 2 * round % 19;
        world.until_true("some were submitted", |world| world.requests("submit").len() >= enough).await;
        world.kill();
        world.start();
    }
    for round in 0..10 {
        for n in 0..20 {
            world.until(&format!("job-{round}-{n}"), "Completed").await;
        }
    }
    let jobs = world.service.jobs();
    let mut paid: BTreeMap<String, usize> = BTreeMap::new();
    for job in &jobs {
        *paid.entry(job.payload["url"].to_string()).or_default() += 1;
    }
    assert_eq!(paid.len(), 200);
    assert!(paid.values().all(|count| *count == 1), "{paid:?}");
    for job in jobs {
        let name =
            job.payload["url"].as_str().unwrap().replace("https://site", "job").replace(".example", "");
        assert_eq!(world.get("ScrapeJob", &name).await["status"]["jobID"], job.job_id.as_str());
    }
}
