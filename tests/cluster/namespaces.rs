//! Several namespaces, one of which cannot be read.

use super::support::{World, http};

fn lose_the_rights(world: &World, namespace: &str) -> String {
    let binding = format!("rolebinding/{}", world.lease());
    let how = ["--namespace", namespace];
    let rights = world.bed.kubectl(&[&["get", &binding, "--output", "yaml"], &how[..]].concat()).unwrap();
    world.bed.kubectl(&[&["delete", &binding], &how[..]].concat()).unwrap();
    let kept = rights.lines().filter(|line| !line.contains("resourceVersion: ") && !line.contains("uid: "));
    kept.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_namespace_that_cannot_be_read_stops_no_other_and_is_taken_up_when_it_can() {
    let bed = testbed::Testbed::attach().unwrap();
    let rules =
        "jobs: [{match: {contains: slow}, queued: 0.1, end: processing}, {queued: 0.1, processing: 0.1}]";
    let mut world = World::on(bed, "partly", &["more"], rules).await;
    let more = format!("{}-more", world.namespace);
    world.account("default", "");
    world.site("slow", "");
    let here = world.namespace.clone();
    world.namespace.clone_from(&more);
    world.account("default", "");
    world.site("there", "");
    world.namespace.clone_from(&here);
    let rights = lose_the_rights(&world, &more);
    let may =
        ["auth", "can-i", "list", "scrapejobs.spideriq.ai", "--namespace", &more, "--as", &world.user()];
    world.until_true("the rights are gone", |world| world.bed.kubectl(&may).is_err()).await;

    world.start();
    let id = world.until("slow", "Processing").await["status"]["jobID"].as_str().unwrap().to_owned();
    while http(&world.logged(), "/readyz").await != "ok" {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let warned = "a namespace cannot be read; going on with the others";
    assert!(world.logged().contains(warned) && world.logged().contains(&more), "{}", world.logged());
    // Who shares the job in the other one cannot be asked: what was last known of it counts.
    world.kubectl(&["delete", "scrapejob", "slow"]).unwrap();
    assert!(world.service.jobs().iter().any(|job| job.job_id == id && job.state == "cancelled"));

    world.bed.run("kubectl", &["apply", "--filename", "-"], &rights).unwrap();
    world.namespace.clone_from(&more);
    world.until("there", "Completed").await;
    world.namespace.clone_from(&here);
    world.site("again", "");
    world.until("again", "Completed").await;
}
