//! Who keeps a job of another namespace from being cancelled, or gets at it: nobody who could not have it.

use serde_json::Value;
use testbed::{Options, Own};

use super::support::{TOKEN, World};

const RUNS: &str = "jobs: [{queued: 0.1, end: processing}]";
const OPEN: &str = "spideriq: \"yes\"";
/// Another client of the service.
const OTHER: &str = "cli_other:sk_other:secret_other";

/// A service, an operator that watches everything, and an account of the cluster for the namespaces that it admits.
async fn hub(own: &Own, more: &str) -> World {
    let mut world = World::everywhere((**own).clone(), "hub", RUNS).await;
    world.service.add_token(OTHER).unwrap();
    world.secret("default", TOKEN);
    let account = format!(
        "{{apiVersion: spideriq.ai/v1alpha1, kind: ClusterScrapeAccount, metadata: {{name: default}}, spec: {{secretRef: {{name: default}}, endpoint: \"{}\", limits: {{requestsPerMinute: 6000, burst: 1000, submitsPerMinute: 1200}}, namespaceSelector: {{matchLabels: {{spideriq: \"yes\"}}}}{more}}}}}",
        world.service.base_url()
    );
    world.bed.run("kubectl", &["apply", "--filename", "-"], &account).unwrap();
    world.start();
    world
}

fn id_of(job: &Value) -> String {
    job["status"]["jobID"].as_str().unwrap().to_owned()
}

async fn deleted(world: &World, name: &str) {
    world.kubectl(&["delete", "scrapejob", name, "--wait=false"]).unwrap();
    world.until_of("ScrapeJob", name, "gone", Value::is_null).await;
}

fn cancelled(world: &World) -> Vec<String> {
    let jobs = world.service.jobs().into_iter();
    jobs.filter(|job| job.state == "cancelled").map(|job| job.job_id).collect()
}

/// Twins and mirrors of strangers: in a namespace that the account does not admit, with an account of another client, with
/// a token that the service does not know, with one that is suspended, with none.
#[tokio::test]
async fn whoever_could_not_have_a_job_does_not_keep_it_running() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world = hub(&own, "").await;
    world.enter("team-a", OPEN);
    world.site("shared", "");
    let id = id_of(&world.until("shared", "Processing").await);
    let strangers: [(&str, Option<&str>, &str); 5] = [
        ("barred", None, ""),
        ("other-client", Some(OTHER), ""),
        ("wrong-token", Some("cli_test:sk_test:secret_wrong"), ""),
        ("suspended", Some(TOKEN), ", suspend: true"),
        ("none", None, ""),
    ];
    for (name, token, more) in strangers {
        let namespace = format!("strange-{name}");
        world.enter(&namespace, "");
        if let Some(token) = token {
            world.secret("default", token);
            world.account_alone("default", more);
        }
        let account = if name == "none" { ", accountRef: {name: missing}" } else { "" };
        world.site("shared", account);
        // What follows the job already goes on counting, whatever its account is now.
        if name != "suspended" {
            world.job("mirror", &format!("jobID: {id}{account}"));
        }
        world.until_of("ScrapeJob", "shared", "seen", |job| job["status"]["state"].is_string()).await;
    }
    world.enter("team-a", OPEN);
    deleted(&world, "shared").await;
    assert_eq!(cancelled(&world), [id], "{:?}", world.events("shared").await);
}

#[tokio::test]
async fn with_an_account_of_the_cluster_nobody_follows_or_cancels_the_job_of_another_namespace() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world = hub(&own, ", allowMirror: true").await;
    world.enter("team-a", OPEN);
    world.site("acme", "");
    let id = id_of(&world.until("acme", "Processing").await);

    world.enter("team-b", OPEN);
    let unknown = "550e8400-e29b-41d4-a716-446655440000";
    let looks = |world: &World, id: &str| {
        let seen =
            |route| world.requests(route).into_iter().filter(|request| request.path.contains(id)).count();
        (seen("status"), seen("cancel"))
    };
    world.job("spy", &format!("jobID: {id}, deletionPolicy: Cancel"));
    world.job("lost", &format!("jobID: {unknown}, deletionPolicy: Cancel"));
    let spy = world.until_because("spy", "Held", "JobNotFound").await;
    let lost = world.until_because("lost", "Held", "JobNotFound").await;
    let told = |job: &Value, id: &str| job["status"]["message"].as_str().unwrap().replace(id, "ID");
    assert_eq!(told(&spy, &id), told(&lost, unknown), "it reads as one that nobody knows");
    assert_eq!(spy["status"]["remote"], Value::Null);

    // One that nobody recorded is followed, because the account allows it, and still not cancelled.
    let theirs = "1c9b4f0e-0000-4000-8000-000000000001";
    let job = format!(r#"{{"job_id": "{theirs}", "payload": {{"url": "https://theirs.example"}}}}"#);
    world.service.create_jobs(serde_json::from_str(&job).unwrap()).unwrap();
    world.job("mirror", &format!("jobID: {theirs}, deletionPolicy: Cancel"));
    world.until("mirror", "Processing").await;

    for name in ["spy", "lost", "mirror"] {
        deleted(&world, name).await;
        assert!(!world.events(name).await.iter().any(|(_, _, note)| note.contains("team-a")));
    }
    assert_eq!(cancelled(&world), Vec::<String>::new());
    assert_eq!(looks(&world, unknown).1, 0);

    // What shares the payload has the job from the cache, and leaves it running; who submitted it cancels it.
    world.site("acme", "");
    let cached = world.until("acme", "Processing").await;
    assert_eq!(
        (id_of(&cached), cached["status"]["submission"]["origin"].as_str()),
        (id.clone(), Some("Cached"))
    );
    world
        .kubectl(&["patch", "scrapejob", "acme", "--type=merge", "--patch", r#"{"spec": {"cancel": true}}"#])
        .unwrap();
    let left = world.until("acme", "Cancelled").await;
    let message = left["status"]["message"].as_str().unwrap();
    assert!(message.contains("left running") && !message.contains("team-a"), "{message}");
    assert_eq!(cancelled(&world), Vec::<String>::new());
    // One that names it all the while, and could never have it, does not keep it running.
    world.job("waits", &format!("jobID: {id}"));
    world.until_because("waits", "Held", "JobNotFound").await;
    world.enter("team-a", OPEN);
    deleted(&world, "acme").await;
    assert_eq!(cancelled(&world), [id]);
}

#[tokio::test]
async fn without_its_leave_an_account_of_the_cluster_shows_nobody_a_job_by_its_id() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world = hub(&own, "").await;
    let theirs = "1c9b4f0e-0000-4000-8000-000000000001";
    let job = format!(r#"{{"job_id": "{theirs}", "payload": {{"url": "https://theirs.example"}}}}"#);
    world.service.create_jobs(serde_json::from_str(&job).unwrap()).unwrap();
    world.enter("team-b", OPEN);
    world.job("mirror", &format!("jobID: {theirs}"));
    let held = world.until_because("mirror", "Held", "JobNotFound").await;
    assert!(held["status"]["message"].as_str().unwrap().contains("allowMirror"), "{held}");
    assert!(world.requests("status").is_empty());
    let allow = r#"{"spec": {"allowMirror": true}}"#;
    world
        .bed
        .kubectl(&["patch", "clusterscrapeaccount", "default", "--type=merge", "--patch", allow])
        .unwrap();
    world.until("mirror", "Processing").await;
}

/// What a tenant writes into an object of its own says nothing of the jobs of others.
#[tokio::test]
async fn an_intent_written_by_hand_gets_at_no_job_of_a_cluster_account() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world = hub(&own, ", allowMirror: true").await;
    world.enter("team-a", OPEN);
    world.site("acme", "");
    let theirs = world.until("acme", "Processing").await;
    let id = id_of(&theirs);
    let written = theirs["metadata"]["annotations"]["spideriq.ai/submission"].as_str().unwrap();

    world.enter("team-b", OPEN);
    for (name, job_id) in [("copied", Value::Null), ("named", Value::from(id.clone()))] {
        // As if it were a backup of this very object.
        let mut intent: Value = serde_json::from_str(written).unwrap();
        intent["object"] = Value::from(format!("team-b/{name}"));
        if job_id.is_string() {
            intent["jobID"] = job_id;
        }
        let annotation = serde_json::to_string(&intent.to_string()).unwrap();
        let object = format!(
            "{{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeJob, metadata: {{name: {name}, namespace: team-b, annotations: {{spideriq.ai/submission: {annotation}}}}}, spec: {{type: spiderSite, payload: {{url: \"https://acme.example\"}}}}}}"
        );
        world.bed.run("kubectl", &["apply", "--filename", "-"], &object).unwrap();
        let held = world.until_because(name, "Held", "SubmissionAmbiguous").await;
        assert_eq!(held["status"]["jobID"], Value::Null);
        assert!(!held["status"].to_string().contains(&id), "{held}");
    }
    assert_eq!(world.made().len(), 1);
    for name in ["copied", "named"] {
        deleted(&world, name).await;
        assert!(!world.events(name).await.iter().any(|(_, _, note)| note.contains(&id)));
    }
    assert!(world.requests("cancel").is_empty() && cancelled(&world).is_empty());
}

/// Of the jobs of others as few are named as can be: those that were made while the submit was tried.
#[tokio::test]
async fn with_an_account_of_the_cluster_only_jobs_of_the_time_of_a_submit_are_named_for_it() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world = hub(&own, "").await;
    let now = jiff::Timestamp::now();
    let minutes = |minutes: i64| now + jiff::SignedDuration::from_mins(minutes);
    let mut others = Vec::new();
    for (kind, payload, made) in [
        ("spiderPR", "{title: News}", minutes(-10)),
        ("spiderPR", "{title: News}", minutes(10)),
        // One that has an address, and one of another type.
        ("spiderPR", "{url: \"https://theirs.example\"}", minutes(0)),
        ("spiderMail", "{title: News}", minutes(0)),
    ] {
        let job = format!("{{type: {kind}, payload: {payload}, created_at: \"{made}\", state: processing}}");
        let job = serde_saphyr::from_str(&job).unwrap();
        others.extend(world.service.create_jobs(job).unwrap());
    }
    world.faults("[{match: {route: submit, type: spiderPR}, drop: after}]");
    world.enter("team-a", OPEN);
    world.job("unknown", "type: spiderPR, payload: {title: News, body: Something happened}");
    let held = world.until_because("unknown", "Held", "SubmissionAmbiguous").await;
    let ours = world.made().into_iter().map(|job| job.job_id).find(|id| !others.contains(id)).unwrap();
    deleted(&world, "unknown").await;
    let mut told: Vec<String> = world.events("unknown").await.into_iter().map(|(_, _, note)| note).collect();
    told.push(held["status"]["message"].to_string());
    assert!(told.iter().any(|note| note.contains(&ours)), "{told:?}");
    assert!(!told.iter().any(|note| others.iter().any(|id| note.contains(id))), "{told:?}");
}
