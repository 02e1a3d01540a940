//! What people and their tools do to objects behind the operator's back: nothing of it is paid for twice.

use std::process::Command;

use serde_json::{Value, json};

use super::support::{TOKEN, World, job, site, state_of};

const QUICK: &str = "jobs: [{queued: 0.1, processing: 0.1}]";
/// Jobs run until they are told to end.
const ENDLESS: &str = "jobs: [{queued: 0.1, end: processing}]";
const INTENT: &str = "spideriq.ai/submission";

/// Merges this into an object.
fn patch(world: &World, name: &str, patch: &Value) {
    world.kubectl(&["patch", "scrapejob", name, "--type=merge", "--patch", &patch.to_string()]).unwrap();
}

/// Merges this into its status.
fn patch_status(world: &World, name: &str, status: &Value) {
    let patch = json!({ "status": status }).to_string();
    let how = ["--subresource=status", "--type=merge", "--patch"];
    world.kubectl(&[&["patch", "scrapejob", name], how.as_slice(), &[patch.as_str()]].concat()).unwrap();
}

fn annotate(world: &World, name: &str, intent: &str) {
    patch(world, name, &json!({"metadata": {"annotations": {INTENT: intent}}}));
}

/// The intent as it is recorded.
fn intent(object: &Value) -> Value {
    serde_json::from_str(object["metadata"]["annotations"][INTENT].as_str().unwrap()).unwrap()
}

/// Ends the one job of a page, or of all.
fn complete(world: &World, page: &str) {
    for made in world.service.jobs() {
        if made.payload["url"].as_str().unwrap().contains(page) {
            assert!(world.service.set_state(&made.job_id, "completed", None, None));
        }
    }
}

/// What is done to an intent.
type Edit = fn(&mut Value);

/// A job of this name for another page.
fn job_of(name: &str, page: &str) -> String {
    job(name, &site(page, ""))
}

/// Puts a manifest in the place of an object, as `kubectl replace` does: without what the operator has written.
fn replace(world: &World, how: &[&str], manifest: &str) {
    let arguments = [&["replace", "--namespace", &world.namespace, "--filename", "-"], how].concat();
    world.bed.run("kubectl", &arguments, manifest).unwrap();
}

#[tokio::test]
async fn an_intent_edited_while_its_job_runs_changes_nothing() {
    let world = World::new("edited", ENDLESS).await;
    let edits: [(&str, Edit); 4] = [
        ("garbage", |intent| *intent = "{{{".into()),
        ("foreign", |intent| intent["bodyHash"] = "v1:0000".into()),
        ("future", |intent| intent["time"] = "2099-01-01T00:00:00Z".into()),
        ("nonce", |intent| intent["nonce"] = "another".into()),
    ];
    for (name, _) in edits {
        world.site(name, "");
    }
    for (name, edit) in edits {
        let object = world.until(name, "Processing").await;
        let mut edited = intent(&object);
        edit(&mut edited);
        annotate(&world, name, &edited.to_string());
        // It is looked at with that.
        patch(&world, name, &json!({"spec": {"poll": {"intervalSeconds": 5}}}));
        world
            .until_of("ScrapeJob", name, "looked at", |job| {
                job["status"]["observedGeneration"] == job["metadata"]["generation"]
            })
            .await;
    }
    complete(&world, "");
    for (name, _) in edits {
        world.until(name, "Completed").await;
    }
    assert_eq!(world.requests("submit").len(), edits.len());
}

#[tokio::test]
async fn an_unknown_outcome_is_held_where_its_time_was_edited() {
    let world = World::new("future", ENDLESS).await;
    world.faults("[{match: {route: submit}, when: {first: 1}, drop: after}]");
    world.site("acme", "");
    let job = world.until_because("acme", "Submitting", "SubmissionAmbiguous").await;
    let mut later = intent(&job);
    later["time"] = "2099-01-01T00:00:00Z".into();
    annotate(&world, "acme", &later.to_string());
    // A time that cannot be true says nothing of how long the service still remembers.
    world.until_because("acme", "Held", "SubmissionAmbiguous").await;
    // What the payload was must stay known until then, and the API server sees to that.
    let changed = world.try_apply(&job_of("acme", "changed")).unwrap_err().to_string();
    assert!(changed.contains("runID"), "{changed}");
    assert_eq!(world.requests("submit").len(), 1);
    patch(&world, "acme", &json!({"spec": {"submission": {"onAmbiguous": "Adopt"}}}));
    world.until("acme", "Processing").await;
    assert_eq!((world.requests("submit").len(), world.made().len()), (1, 1));
}

#[tokio::test]
async fn a_status_edited_or_removed_by_hand_is_mended_and_costs_nothing() {
    let world = World::new("status", ENDLESS).await;
    for name in ["lowered", "words", "removed", "over"] {
        world.site(name, "");
    }
    for name in ["lowered", "words", "removed", "over"] {
        world.until(name, "Processing").await;
    }
    complete(&world, "over");
    let over = world.until("over", "Completed").await;
    world.until_of("ScrapeJob", "over", "released", |job| job["metadata"]["finalizers"].is_null()).await;

    patch_status(&world, "lowered", &json!({"state": "Queued", "reason": "Queued"}));
    patch_status(&world, "words", &json!({"message": "nonsense", "conditions": [], "finished": true}));
    patch_status(&world, "removed", &Value::Null);
    patch_status(&world, "over", &Value::Null);
    // What is over was recorded beside the status when it was let go: it is found again, not submitted.
    let again = world.until("over", "Completed").await;
    assert_eq!(again["status"]["jobID"], over["status"]["jobID"]);
    assert_eq!(again["status"]["submission"]["origin"], "Adopted");
    for name in ["lowered", "words", "removed"] {
        complete(&world, name);
        let job = world.until(name, "Completed").await;
        assert_eq!(super::support::condition(&job, "Completed").0, "True", "{job}");
    }
    // Only the one whose record was removed while it ran is asked for again, and the service finds its job.
    assert_eq!((world.requests("submit").len(), world.made().len()), (5, 4));
}

#[tokio::test]
async fn a_finalizer_taken_off_by_hand_is_put_back_with_the_intent() {
    let world = World::new("finalizer", ENDLESS).await;
    world.site("acme", "");
    let job = world.until("acme", "Processing").await;
    let before = intent(&job);
    patch(&world, "acme", &json!({"metadata": {"finalizers": null, "annotations": null}}));
    let back = world
        .until_of("ScrapeJob", "acme", "protected", |job| job["metadata"]["finalizers"].is_array())
        .await;
    let after = intent(&back);
    for field in ["object", "uid", "type", "bodyHash", "nonce", "clientID", "endpoint"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    world.kubectl(&["delete", "scrapejob", "acme", "--wait=false"]).unwrap();
    world.until_of("ScrapeJob", "acme", "gone", Value::is_null).await;
    assert_eq!(world.service.jobs()[0].state, "cancelled");
    assert_eq!(world.requests("submit").len(), 1);
}

#[tokio::test]
async fn replaced_between_the_writes_of_a_submit_and_recreated_under_its_name() {
    let mut world = World::without_operator("replaced", QUICK).await;
    world.account("default", "");
    // It stands still for a while, and would come to an end if it lost a lease by that.
    world.arguments = vec!["--leader-elect=false".to_owned()];
    world.start();
    // Replaced while its request is under way: intent and finalizer are gone when the answer comes.
    world.faults("[{match: {route: submit, body: replaced.example}, delay_reply: 3}]");
    world.site("replaced", "");
    world.until("replaced", "Submitting").await;
    world.until_true("it is under way", |world| world.made().len() == 1).await;
    replace(&world, &[], &job_of("replaced", "replaced"));
    let done = world.until("replaced", "Completed").await;
    assert_eq!(done["status"]["submission"]["origin"], "Submitted", "{done}");
    assert_eq!(world.requests("submit").len(), 1);

    // Deleted and made again at once, which a watch shows as two events in a row; then with another page.
    replace(&world, &["--force"], &job_of("replaced", "replaced"));
    let again = world.until("replaced", "Completed").await;
    assert_ne!(again["metadata"]["uid"], done["metadata"]["uid"]);
    assert_eq!(again["status"]["jobID"], done["status"]["jobID"], "an equal payload finds the job");
    // Let go of before its operator stands still, or the API server keeps it until that goes on.
    world.until_of("ScrapeJob", "replaced", "released", |job| job["metadata"]["finalizers"].is_null()).await;
    Command::new("kill").args(["-s", "STOP", &world.pid().to_string()]).status().unwrap();
    replace(&world, &["--force"], &job_of("replaced", "another"));
    Command::new("kill").args(["-s", "CONT", &world.pid().to_string()]).status().unwrap();
    let other = world.until("replaced", "Completed").await;
    assert_ne!(other["status"]["jobID"], done["status"]["jobID"]);
    assert_eq!(world.made().len(), 2);
}

#[tokio::test]
async fn a_job_id_may_be_mirrored_twice_and_never_from_another_client() {
    let world = World::new("mirrors", "{}").await;
    let foreign = "cli_other:sk_other:secret_other";
    world.service.add_token(foreign).unwrap();
    let create =
        |spec: Value| world.service.create_jobs(serde_json::from_value(spec).unwrap()).unwrap().remove(0);
    let ours = create(json!({"state": "processing", "client": "cli_test"}));
    let theirs = create(json!({"state": "processing", "client": "cli_other"}));
    world.job("one", &format!("jobID: {ours}"));
    world.job("two", &format!("jobID: {ours}"));
    world.job("theirs", &format!("jobID: {theirs}"));
    world.until("one", "Processing").await;
    world.until("two", "Processing").await;
    let held = world.until_because("theirs", "Held", "JobNotFound").await;
    assert!(held["status"]["message"].as_str().unwrap().contains("another client"), "{held}");
    for name in ["one", "theirs"] {
        world.kubectl(&["delete", "scrapejob", name]).unwrap();
    }
    assert!(world.service.set_state(&ours, "completed", None, None));
    world.until("two", "Completed").await;
    assert!(world.requests("cancel").is_empty() && world.requests("submit").is_empty());
}

#[tokio::test]
async fn a_backup_without_its_status_finds_its_jobs_again() {
    let mut world = World::new("restore", ENDLESS).await;
    for name in ["over", "runs"] {
        world.site(name, "");
    }
    world.until("runs", "Processing").await;
    world.until("over", "Processing").await;
    complete(&world, "over");
    world.until("over", "Completed").await;
    world.until_of("ScrapeJob", "over", "released", |job| job["metadata"]["finalizers"].is_null()).await;
    world.kill();
    let ids: Vec<(&str, Value)> = {
        let mut ids = Vec::new();
        for name in ["over", "runs"] {
            let mut object = world.get("ScrapeJob", name).await;
            ids.push((name, object["status"]["jobID"].take()));
            // The cluster is lost, and what a backup has of it comes back.
            patch(&world, name, &json!({"metadata": {"finalizers": null}}));
            world.kubectl(&["delete", "scrapejob", name]).unwrap();
            let fields = object.as_object_mut().unwrap();
            fields.remove("status");
            let metadata = fields["metadata"].as_object_mut().unwrap();
            metadata.retain(|field, _| {
                ["name", "namespace", "annotations", "finalizers"].contains(&field.as_str())
            });
            world.bed.run("kubectl", &["create", "--filename", "-"], &object.to_string()).unwrap();
        }
        ids
    };
    world.start();
    world.until("over", "Completed").await;
    world.until("runs", "Processing").await;
    for (name, id) in ids {
        assert_eq!(world.get("ScrapeJob", name).await["status"]["jobID"], id, "{name}");
    }
    assert_eq!(world.made().len(), 2);
    // What was over needs no request; what ran is asked for again, and found.
    assert_eq!(world.requests("submit").len(), 3);
}

#[tokio::test]
async fn credentials_of_another_client_settle_and_end_nothing() {
    let world = World::new("tenant", ENDLESS).await;
    let foreign = "cli_other:sk_other:secret_other";
    world.service.add_token(foreign).unwrap();
    world.site("runs", "");
    let runs = world.until("runs", "Processing").await;
    // The repeats get no answer either, or one might settle it before the other credentials are in use.
    world.faults("[{match: {route: submit, body: unknown.example}, drop: after}]");
    world.site("unknown", "");
    world.until_because("unknown", "Submitting", "SubmissionAmbiguous").await;
    world.secret("default", foreign);
    world.until_because("unknown", "Held", "TenantChanged").await;
    let held = world
        .until_of("ScrapeJob", "runs", "says so", |job| job["status"].to_string().contains("TenantChanged"))
        .await;
    assert_eq!(held["status"]["jobID"], runs["status"]["jobID"]);
    // Their 404 is not believed: it says nothing of our job.
    assert_ne!(state_of(&held), "Failed", "{held}");
    world.service.clear_faults(None);
    world.secret("default", TOKEN);
    world.until("unknown", "Processing").await;
    complete(&world, "");
    for name in ["runs", "unknown"] {
        world.until(name, "Completed").await;
    }
    let clients: Vec<_> = world.requests("submit").into_iter().map(|request| request.client).collect();
    assert!(clients.iter().all(|client| client.as_deref() == Some("cli_test")), "{clients:?}");
    assert_eq!((world.made().len(), world.requests("cancel").len()), (2, 0));
}
