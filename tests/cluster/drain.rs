//! `spideriq-operator drain`, with the rights of the chart's ServiceAccount, beside operators that work.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::replica::Replica;
use super::support::World;

const RULES: &str = "jobs: [{queued: 0.1, end: processing}]";
const FINALIZER: &str = "spideriq.ai/job";
/// What the leader before may have left to do is over by then.
const LEASE: Duration = Duration::from_secs(15);

fn drain(world: &World, more: &[&str]) -> (bool, String) {
    let lease = world.lease();
    world.command("drain", &[&["--lease-name", &lease], more].concat())
}

fn drained(world: &World) -> String {
    let (well, said) = drain(world, &[]);
    assert!(well, "{said}");
    said
}

/// A world in which three jobs run, one of an object on which somebody else has a finalizer, too.
async fn running(name: &str) -> (World, Replica) {
    let world = World::without_operator(name, RULES).await;
    world.account("default", "");
    let first = Replica::start(&world, "first");
    first.until(&world, "leading").await;
    for name in ["a", "b", "c"] {
        world.site(name, "");
    }
    for name in ["a", "b", "c"] {
        world.until(name, "Processing").await;
    }
    let more = json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/theirs"}]);
    world.kubectl(&["patch", "scrapejob/c", "--type=json", "--patch", &more.to_string()]).unwrap();
    (world, first)
}

fn finalizers(job: &Value) -> Vec<&str> {
    job["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

async fn free(world: &World) -> bool {
    let (a, b, c) = (world.get("ScrapeJob", "a"), world.get("ScrapeJob", "b"), world.get("ScrapeJob", "c"));
    finalizers(&a.await).is_empty()
        && finalizers(&b.await).is_empty()
        && finalizers(&c.await) == ["example.com/theirs"]
}

#[tokio::test]
async fn a_drained_operator_leaves_everything_and_goes_on_with_it_when_that_is_taken_back() {
    let (world, mut first) = running("drain").await;
    let second = Replica::start(&world, "second");
    second.until(&world, "following").await;

    let said = drained(&world);
    assert!(said.contains("3 ScrapeJobs are let go") && said.contains("waiting 15 s"), "{said}");
    assert!(free(&world).await);
    assert!(!first.ended().await.success());
    first.until(&world, "the operator was drained").await;
    second.until(&world, "drained: no replica works").await;
    let (well, said) = world.command("doctor", &["--lease-name", &world.lease()]);
    assert!(!well && said.contains("WRONG  the operator is drained since 20"), "{said}");
    assert!(said.contains("drain --undo"), "{said}");

    // It is so for whoever comes later, too, and nothing waits for anybody in order to go.
    let third = Replica::start(&world, "third");
    third.until(&world, "drained: no replica works").await;
    world.site("new", "");
    world.kubectl(&["delete", "scrapejob", "a", "--timeout=30s"]).unwrap();
    tokio::time::sleep(LEASE).await;
    assert_eq!(world.requests("submit").len(), 3);
    assert!(world.requests("cancel").is_empty());
    let left = world.get("ScrapeJob", "b").await;
    assert!(left["status"]["jobID"].is_string() && left["status"]["submission"]["nonce"].is_string());

    // Once more it says that there is nothing left.
    assert!(drained(&world).contains("0 ScrapeJobs are let go"));

    let (well, said) = drain(&world, &["--undo"]);
    assert!(well && said.contains("taken back"), "{said}");
    world.until("new", "Processing").await;
    let protected = |job: &Value| finalizers(job).contains(&FINALIZER);
    world.until_of("ScrapeJob", "b", "protected", protected).await;
    world.until_of("ScrapeJob", "c", "protected", protected).await;
    assert_eq!(world.requests("submit").len(), 4, "one for each object");
    assert!(drain(&world, &["--undo"]).1.contains("nothing was done"));
}

/// A leader that is frozen meanwhile knows nothing of it: by the time that it goes on it may not act.
#[tokio::test]
async fn a_leader_that_was_frozen_puts_nothing_back() {
    let (world, mut first) = running("drain-frozen").await;
    first.signal("STOP");
    drained(&world);
    assert!(free(&world).await);
    first.signal("CONT");
    assert!(!first.ended().await.success());
    assert!(free(&world).await, "{}", first.logged());
}

/// One that was being deleted when nobody could cancel its job goes, and people are told which job that is.
#[tokio::test]
async fn what_is_being_deleted_goes_and_its_job_is_named() {
    let (world, mut first) = running("drain-deleted").await;
    first.kill();
    let id = world.get("ScrapeJob", "b").await["status"]["jobID"].as_str().unwrap().to_owned();
    world.kubectl(&["delete", "scrapejob", "b", "--wait=false"]).unwrap();
    let said = drained(&world);
    let line = format!("{}/b was being deleted and is let go; job {id} may go on running", world.namespace);
    assert!(said.contains(&line), "{said}");
    assert!(world.get("ScrapeJob", "b").await.is_null());
    assert!(world.requests("cancel").is_empty());
    let told = world.events("b").await;
    assert!(
        told.iter()
            .any(|(kind, reason, note)| kind == "Warning" && reason == "Orphaned" && note.contains(&id)),
        "{told:?}"
    );
}

/// Whoever names another lease than the operator's marks none, and does not take finalizers off under it.
#[tokio::test]
async fn where_there_is_no_lease_nothing_is_done_unless_the_operator_does_not_run() {
    let (world, mut first) = running("drain-stopped").await;
    let (well, said) = world.command("drain", &["--lease-name", "another"]);
    assert!(!well && said.contains("there is no lease") && said.contains("--stopped"), "{said}");
    assert!(!free(&world).await);
    assert!(world.kubectl(&["get", "lease", "another"]).is_err());
    first.kill();
    let (well, said) = drain(&world, &["--stopped"]);
    assert!(well && said.contains("3 ScrapeJobs are let go") && !said.contains("waiting"), "{said}");
    assert!(free(&world).await);
}

/// Their objects are left to those who claim an account, and what bears the name of one that is gone is not.
#[tokio::test]
async fn what_another_installation_works_with_is_left_to_it() {
    let (world, mut first) = running("drain-others").await;
    first.kill();
    let patch = |object: &str, status: &str| {
        let status = format!("{{\"status\": {status}}}");
        world
            .kubectl(&["patch", object, "--subresource=status", "--type=merge", "--patch", &status])
            .unwrap();
    };
    patch("scrapejob/a", r#"{"operator": "elsewhere/gone"}"#);
    patch("scrapejob/b", r#"{"operator": "elsewhere/theirs"}"#);
    patch(
        "scrapeaccount/default",
        r#"{"operator": {"id": "elsewhere/theirs", "renewals": 1, "renewTime": "2026-01-01T00:00:00Z", "lease": null}}"#,
    );
    let said = drained(&world);
    assert!(said.contains("2 ScrapeJobs are let go") && said.contains("1 more are those of"), "{said}");
    assert_eq!(finalizers(&world.get("ScrapeJob", "b").await), [FINALIZER]);
}

/// A submit whose answer was lost may have made a job that nobody will look for any more.
#[tokio::test]
async fn a_submit_of_unknown_outcome_is_told_of() {
    let world = World::without_operator("drain-unknown", RULES).await;
    world.account("default", "");
    let mut first = Replica::start(&world, "first");
    first.until(&world, "leading").await;
    world.faults("[{match: {route: submit}, hang: after}]");
    world.site("lost", "");
    world.until_of("ScrapeJob", "lost", "submitting", |job| job["status"]["state"] == "Submitting").await;
    first.kill();
    world.kubectl(&["delete", "scrapejob", "lost", "--wait=false"]).unwrap();
    let said = drained(&world);
    assert!(
        said.contains("a job that a submit of unknown outcome may have made may go on running"),
        "{said}"
    );
    let told = world.events("lost").await;
    assert!(
        told.iter().any(|(_, reason, note)| reason == "Orphaned" && note.contains("unknown outcome")),
        "{told:?}"
    );
}

/// The operator works again by the time that finalizers would be taken off, and so they stay.
#[tokio::test]
async fn a_mark_that_is_taken_back_meanwhile_ends_it() {
    let (world, _first) = running("drain-undone").await;
    let lease = world.lease();
    let mut asking = world.asking("drain", &["--lease-name", &lease]);
    let draining = asking.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let marked = |world: &World| {
        let shown = world.kubectl(&["get", "lease", &world.lease(), "--output=json"]).unwrap();
        shown.contains("spideriq.ai/drained")
    };
    world.until_true("marked", marked).await;
    let (well, said) = drain(&world, &["--undo"]);
    assert!(well, "{said}");
    let ended = draining.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success() && said.contains("somebody took the mark off"), "{said}");
    assert!(!free(&world).await);
}

/// The chart's hook before an uninstallation: whoever still runs works no more, and a new installation does.
#[tokio::test]
async fn after_an_uninstallation_a_new_one_works() {
    let (mut world, mut first) = running("drain-again").await;
    let (well, said) = drain(&world, &["--for-uninstall"]);
    assert!(well, "{said}");
    assert!(!first.ended().await.success());
    let again = Replica::start(&world, "again");
    again.until(&world, "drained: no replica works").await;
    world.reinstall();
    world.site("new", "");
    let anew = Replica::start(&world, "anew");
    anew.until(&world, "leading").await;
    world.until("new", "Processing").await;
    assert_eq!(world.requests("submit").len(), 4);
    let lease = world.kubectl(&["get", "lease", &world.lease(), "--output=json"]).unwrap();
    assert!(!lease.contains("spideriq.ai/drained"), "{lease}");
}
