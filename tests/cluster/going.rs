//! Jobs that go with what is around them: their namespace, with its Secret and account, or their kind. They need an
//! operator with rights that outlive a namespace, and so a control plane that no other test uses.

use testbed::{Options, Own};

use super::support::{TOKEN, World};

const RULES: &str = "jobs: [{queued: 0.1, end: processing}]";

fn delete(world: &World, what: &[&str]) {
    world.bed.kubectl(&[&["delete", "--wait=false"], what].concat()).unwrap();
}

async fn until_gone(world: &World, what: &[&str]) {
    let arguments = [&["get", "--ignore-not-found", "--output", "name"], what].concat();
    world.until_true("it is gone", |world| world.bed.kubectl(&arguments).unwrap().is_empty()).await;
}

#[tokio::test]
async fn a_namespace_goes_with_its_jobs_cancelled_or_named_beside_it() {
    let own = Own::start(Options { controller_manager: true }).unwrap();
    let mut world = World::everywhere((*own).clone(), "hub", RULES).await;
    world.start();
    for namespace in ["cancelled", "named"] {
        world.enter(namespace, "");
        world.account("default", "");
        world.site(namespace, ", cancelTimeoutSeconds: 20");
        world.until(namespace, "Processing").await;
    }
    world.enter("cancelled", "");
    delete(&world, &["namespace", "cancelled"]);
    until_gone(&world, &["namespace", "cancelled"]).await;
    assert_eq!(world.requests("cancel").len(), 1);

    world.faults("[{match: {route: cancel}, reply: {status: 503}}]");
    world.enter("named", "");
    let job = world.get("ScrapeJob", "named").await;
    delete(&world, &["namespace", "named"]);
    until_gone(&world, &["namespace", "named"]).await;
    assert!(world.http("/metrics").await.contains("\nspideriq_operator_orphaned_jobs_total 1\n"));
    world.namespace = "default".to_owned();
    let told = world.events("named").await;
    let id = job["status"]["jobID"].as_str().unwrap();
    assert!(
        told.iter()
            .any(|(kind, reason, note)| kind == "Warning" && reason == "Orphaned" && note.contains(id)),
        "nothing can be created in a namespace that goes: {told:?}"
    );
    assert!(!world.logged().contains(TOKEN));
}

#[tokio::test]
async fn deleting_the_kind_cancels_nothing() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world = World::everywhere((*own).clone(), "hub", RULES).await;
    world.start();
    world.enter("team", "");
    world.account("default", "");
    for name in ["one", "two"] {
        world.site(name, "");
        world.until(name, "Processing").await;
    }
    delete(&world, &["crd", "scrapejobs.spideriq.ai"]);
    until_gone(&world, &["crd", "scrapejobs.spideriq.ai"]).await;
    assert!(world.requests("cancel").is_empty());
    let told = world.events("one").await;
    assert!(told.iter().any(|(_, reason, _)| reason == "LeftRunning"), "{told:?}");
    let running = world.service.jobs().iter().filter(|job| job.state == "processing").count();
    assert_eq!(running, 2);
}
