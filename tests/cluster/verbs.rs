//! What users ask for in the spec and in annotations: another run, a cancel, a deadline, an end of the object, a look.

use std::fs;

use serde_json::{Value, json};

use super::support::{World, condition};

const RULES: &str = "jobs: [{match: {contains: long}, queued: 0.1, end: processing}, {match: {contains: fails}, queued: 0.1, processing: 0.1, end: failed}, {queued: 0.1, processing: 0.1}]";

fn run(id: &str, url: &str) -> String {
    format!("type: spiderSite, runID: \"{id}\", payload: {{url: \"https://{url}.example\"}}")
}

async fn until_run(world: &World, name: &str, run: &str, state: &str) -> Value {
    let what = format!("run {run}, {state}");
    world
        .until_of("ScrapeJob", name, &what, |job| {
            job["status"]["runID"] == run && job["status"]["state"] == state
        })
        .await
}

fn edit(world: &World, name: &str, patch: &Value) {
    world.kubectl(&["patch", "scrapejob", name, "--type=merge", "--patch", &patch.to_string()]).unwrap();
}

#[tokio::test]
async fn a_run_is_paid_for_once_whatever_is_put_back() {
    let world = World::new("runs", RULES).await;
    world.job("acme", &run("1", "first"));
    let first = until_run(&world, "acme", "1", "Completed").await;
    world.job("acme", &run("2", "second"));
    let second = until_run(&world, "acme", "2", "Completed").await;
    assert_ne!(first["status"]["jobID"], second["status"]["jobID"]);
    assert_eq!(second["status"]["history"][0]["jobID"], first["status"]["jobID"]);

    world.job("acme", &run("1", "first"));
    let back = until_run(&world, "acme", "1", "Completed").await;
    assert_eq!(back["status"]["jobID"], first["status"]["jobID"]);
    assert_eq!(condition(&back, "Ready").0, "True");
    world.job("acme", &run("2", "first"));
    until_run(&world, "acme", "2", "Held").await;
    assert_eq!(world.requests("submit").len(), 2, "what is put back is not submitted again");

    let refused = world.try_apply(&super::support::job("acme", &run("2", "third"))).unwrap_err().to_string();
    assert!(refused.contains("payload may change only together with runID"), "{refused}");

    // A run that still runs is ended first.
    world.job("acme", &run("3", "long"));
    let third = until_run(&world, "acme", "3", "Processing").await;
    world.job("acme", &run("4", "fourth"));
    let fourth = until_run(&world, "acme", "4", "Completed").await;
    assert_eq!(fourth["status"]["history"][0]["outcome"], "Superseded");
    assert_eq!(fourth["status"]["history"][0]["jobID"], third["status"]["jobID"]);
    assert_eq!(world.requests("cancel").len(), 1);
    assert_eq!(world.made().len(), 4);
}

#[tokio::test]
async fn helm_rolls_a_failed_run_back_at_no_cost() {
    let world = World::new("rollback", RULES).await;
    let chart = std::env::temp_dir().join(format!("{}-chart", world.namespace));
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "{apiVersion: v2, name: jobs, version: 1.0.0}").unwrap();
    let manifest = super::support::job(
        "acme",
        "type: spiderSite, runID: {{ .Values.run | quote }}, payload: {url: {{ .Values.url | quote }}}",
    );
    fs::write(chart.join("templates/job.yaml"), manifest).unwrap();
    let helm = |what: &[&str], run: &str, url: &str| {
        let set = format!("run={run},url=https://{url}.example");
        let arguments =
            ["jobs", chart.to_str().unwrap(), "--namespace", &world.namespace, "--set-string", &set];
        world.bed.run("helm", &[what, &arguments, &["--wait", "--timeout", "90s"]].concat(), "")
    };
    helm(&["install"], "1", "first").unwrap();
    let failed = helm(&["upgrade", "--rollback-on-failure"], "2", "fails").unwrap_err().to_string();
    let job = until_run(&world, "acme", "1", "Completed").await;
    fs::remove_dir_all(&chart).unwrap();
    assert!(failed.contains("acme"), "Helm saw the run fail: {failed}");
    assert_eq!(job["spec"]["payload"]["url"], "https://first.example");
    assert_eq!(job["status"]["history"][0]["outcome"], "Failed");
    assert_eq!(world.requests("submit").len(), 2, "the rollback is not submitted");
}

#[tokio::test]
async fn a_cancel_keeps_the_object_and_spares_what_is_shared_or_over() {
    let world = World::new("cancel", RULES).await;
    world.site("long", "");
    let running = world.until("long", "Processing").await;
    edit(&world, "long", &json!({"spec": {"cancel": true}}));
    let cancelled = world.until_because("long", "Cancelled", "CancelledAsRequested").await;
    assert_eq!(cancelled["status"]["cancelReason"], "CancelledAsRequested");
    assert_eq!(world.requests("cancel")[0].job_id.as_deref(), running["status"]["jobID"].as_str());

    world.site("waits", ", suspend: true");
    world.until("waits", "Suspended").await;
    edit(&world, "waits", &json!({"spec": {"cancel": true, "suspend": false}}));
    world.until_because("waits", "Cancelled", "CancelledAsRequested").await;

    world.job("one", "type: spiderSite, payload: {url: \"https://long-shared.example\"}");
    world.until("one", "Processing").await;
    world.job("two", "type: spiderSite, payload: {url: \"https://long-shared.example\"}");
    world.until("two", "Processing").await;
    edit(&world, "one", &json!({"spec": {"cancel": true}}));
    world.until("one", "Cancelled").await;
    let told = world.events("one").await;
    assert!(told.iter().any(|(_, reason, _)| reason == "LeftRunning"), "{told:?}");
    assert_eq!(world.requests("cancel").len(), 1, "nobody cancels what another object uses");
    assert_eq!(world.requests("submit").len(), 3, "nothing is submitted to be cancelled");
}

#[tokio::test]
async fn a_deadline_ends_a_run_and_a_ttl_the_object() {
    let world = World::new("deadline", RULES).await;
    world.faults("[{match: {route: cancel}, reply: {status: 503}, when: {first: 2}}]");
    world.site("long", ", activeDeadlineSeconds: 3");
    world.until("long", "Cancelling").await;
    let late = world.until_because("long", "Failed", "DeadlineExceeded").await;
    assert_eq!(condition(&late, "Stalled").0, "True");

    // What this object did not submit goes on.
    let other = world.service.create_jobs(emulator::JobSpec {
        state: Some("processing".to_owned()),
        ..emulator::JobSpec::default()
    });
    let id = other.unwrap().remove(0);
    world.job("mirror", &format!("jobID: {id}, activeDeadlineSeconds: 3"));
    world.until_because("mirror", "Failed", "DeadlineExceeded").await;
    assert!(world.requests("cancel").iter().all(|request| request.job_id.as_deref() != Some(id.as_str())));

    world.site("brief", ", ttlSecondsAfterFinished: 1");
    world.apply(
        "{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeJob, metadata: {name: kept, labels: {kustomize.toolkit.fluxcd.io/name: apps}}, spec: {type: spiderSite, payload: {url: \"https://kept.example\"}, ttlSecondsAfterFinished: 1}}",
    );
    world.until("kept", "Completed").await;
    world.until_of("ScrapeJob", "brief", "gone", Value::is_null).await;
    // Its time is over as well, and so is that of the other.
    let kept = world.get("ScrapeJob", "kept").await;
    assert_eq!(kept["status"]["state"], "Completed");
    edit(&world, "kept", &json!({"spec": {"ttlPolicy": "Force"}}));
    world.until_of("ScrapeJob", "kept", "gone", Value::is_null).await;
    assert_eq!(world.requests("submit").len(), 3);
}

#[tokio::test]
async fn an_answer_from_the_cache_may_be_refused() {
    let world = World::new("cache", RULES).await;
    let spec = |choice: &str| {
        format!(
            "type: spiderSite, payload: {{url: \"https://long-cache.example\"}}, submission: {{onCacheHit: {choice}}}"
        )
    };
    world.job("first", &spec("Fail"));
    let first = world.until("first", "Processing").await;
    world.job("never", &spec("Fail"));
    world.job("unless", &spec("AcceptIfCompleted"));
    for name in ["never", "unless"] {
        let job = world.until_because(name, "Failed", "CachedFailure").await;
        assert_eq!(job["status"]["jobID"], first["status"]["jobID"], "it is said which job that is");
    }
    world.kubectl(&["delete", "scrapejob", "unless"]).unwrap();
    assert!(world.requests("cancel").is_empty());
    world.service.set_state(first["status"]["jobID"].as_str().unwrap(), "completed", None, None);
    world.until("first", "Completed").await;
    world.job("taken", &spec("AcceptIfCompleted"));
    world.until("taken", "Completed").await;

    // Who has refused a job, and is over, does not keep it from being cancelled.
    let spec = spec("Fail").replace("long-cache", "long-other");
    world.job("other", &spec);
    world.until("other", "Processing").await;
    world.job("refuses", &spec);
    world.until_because("refuses", "Failed", "CachedFailure").await;
    world.kubectl(&["delete", "scrapejob", "other", "--wait=false"]).unwrap();
    world.until_of("ScrapeJob", "other", "gone", Value::is_null).await;
    assert_eq!(world.requests("cancel").len(), 1);
}

#[tokio::test]
async fn annotations_have_an_object_looked_at_paused_and_let_go() {
    let world = World::new("annotated", RULES).await;
    let annotate = |name: &str, what: &str| {
        world.kubectl(&["annotate", "scrapejob", name, "--overwrite", what]).unwrap();
    };
    let asked = |job: &Value, when: &str| job["status"]["lastHandledReconcileAt"] == when;
    world.site("long", "");
    world.until("long", "Processing").await;
    annotate("long", "spideriq.ai/reconcile-requested-at=first");
    world.until_of("ScrapeJob", "long", "looked at", |job| asked(job, "first")).await;
    annotate("long", "spideriq.ai/reconcile-requested-at-");
    annotate("long", "reconcile.fluxcd.io/requestedAt=second");
    world.until_of("ScrapeJob", "long", "looked at again", |job| asked(job, "second")).await;

    // A held job is taken up again by a look, here after what held it is mended.
    world.faults("[{match: {route: submit, body: held.example}, reply: {status: 429, body: {code: MAX_CAMPAIGNS_PER_CLIENT, detail: no more}}, when: {first: 1}}]");
    world.site("held", "");
    world.until_because("held", "Held", "Refused").await;
    annotate("held", "spideriq.ai/reconcile-requested-at=mended");
    world.until("held", "Completed").await;

    annotate("long", "spideriq.ai/paused=true");
    edit(&world, "long", &json!({"spec": {"cancel": true}}));
    world.site("other", "");
    world.until("other", "Completed").await;
    assert_eq!(world.get("ScrapeJob", "long").await["status"]["state"], "Processing", "left alone");
    annotate("long", "spideriq.ai/paused-");
    world.until("long", "Cancelled").await;

    world.site("long-down", "");
    let down = world.until("long-down", "Processing").await;
    world.faults("[{match: {route: cancel}, reply: {status: 503}}]");
    world.kubectl(&["delete", "scrapejob", "long-down", "--wait=false"]).unwrap();
    world.until("long-down", "Cancelling").await;
    annotate("long-down", "spideriq.ai/force-orphan=true");
    world.until_of("ScrapeJob", "long-down", "gone", Value::is_null).await;
    let told = world.events("long-down").await;
    let id = down["status"]["jobID"].as_str().unwrap();
    assert!(told.iter().any(|(_, reason, note)| reason == "Orphaned" && note.contains(id)), "{told:?}");
}
