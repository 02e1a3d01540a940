//! What it costs to stand still.

use std::time::Duration;

use super::leader::only_renews;
use super::memory::until_scraped;
use super::support::World;

#[tokio::test]
async fn an_idle_minute_with_200_finished_objects_costs_nothing_and_a_start_neither() {
    let mut world = World::new("idle", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    let manifests: Vec<String> = (0..200)
        .map(|n| super::support::job(&format!("job-{n}"), &super::support::site(&format!("site-{n}"), "")))
        .collect();
    world.apply(&manifests.join("\n---\n"));
    for n in 0..200 {
        let name = format!("job-{n}");
        world
            .until_of("ScrapeJob", &name, "over and released", |job| {
                job["status"]["state"] == "Completed" && job["metadata"]["finalizers"].is_null()
            })
            .await;
    }
    let before = world.logged().len();
    // The account's counts follow at most a minute later.
    tokio::time::sleep(Duration::from_secs(70)).await;
    let (_, from) = world.bed.audit(0).unwrap();
    let last = world.service.journal(0).last;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked: Vec<_> = world
        .bed
        .audit(from)
        .unwrap()
        .0
        .into_iter()
        .filter(|entry| entry.user == world.user() && entry.verb != "watch")
        .collect();
    let (leases, asked): (Vec<_>, Vec<_>) = asked.into_iter().partition(|entry| entry.resource == "leases");
    assert!(asked.is_empty(), "{asked:#?}");
    assert!(only_renews(&leases, 13, &world.logged()[before..]), "{leases:#?}");
    assert!(world.service.journal(last).entries.is_empty());

    assert!(world.stop().await);
    let (_, from) = world.bed.audit(0).unwrap();
    world.start();
    until_scraped(&world, "spideriq_operator_kept_jobs{kept=\"record\"} 200.0\n").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let page = world.http("/metrics").await;
    assert!(page.contains("spideriq_operator_kept_jobs{kept=\"whole\"} 0.0\n"), "{page}");
    for result in ["written", "unchanged", "retried"] {
        let looks = format!("reconciles_total{{kind=\"ScrapeJob\",result=\"{result}\"}} 0\n");
        assert!(page.contains(&looks), "{looks}: {page}");
    }
    let asked = world.bed.audit(from).unwrap().0.into_iter().filter(|entry| {
        entry.user == world.user()
            && entry.resource == "scrapejobs"
            && !["list", "watch"].contains(&&*entry.verb)
    });
    let asked: Vec<_> = asked.collect();
    assert!(asked.is_empty(), "{asked:#?}");
    assert!(world.service.journal(last).entries.is_empty());
}
