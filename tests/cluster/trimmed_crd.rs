//! CRDs that are not those of the release: nothing is paid for that could not be recorded, and it goes on by itself. A CRD
//! is one for all, and so each test has a control plane of its own.

use kube::api::{Patch, PatchParams, ValidationDirective};
use serde_json::json;
use spideriq_operator::api::full_status;
use testbed::{Options, Own};

use super::support::World;

const RULES: &str = "jobs: [{queued: 0.1, end: processing}]";
const JOBS: &str = "scrapejobs.spideriq.ai";
const ACCOUNTS: &str = "scrapeaccounts.spideriq.ai";

/// Takes a field out of the schema of a status, as an older release has it.
fn trim(world: &World, crd: &str, field: &str) {
    let at = format!("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/{field}");
    let removal = json!([{"op": "remove", "path": at}]).to_string();
    world.bed.kubectl(&["patch", "crd", crd, "--type=json", "--patch", &removal]).unwrap();
}

/// Installs the CRDs of this release, as the message says.
fn mend(world: &World) {
    let crds = format!("{}/crds", env!("CARGO_MANIFEST_DIR"));
    world.bed.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &crds]).unwrap();
}

/// Waits until the port of the operator that was started last says this.
async fn until_says(world: &World, path: &str, words: &str) {
    for _ in 0..600 {
        if world.http(path).await.contains(words) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("{path} never said {words}: {}", world.http(path).await);
}

fn mail(world: &World, name: &str) {
    world.job(name, &format!("type: spiderMail, payload: {{url: \"https://{name}.example\"}}"));
}

#[tokio::test]
async fn without_the_record_nothing_is_submitted_and_a_crash_pays_for_nothing_twice() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world = World::on((*own).clone(), "trimmed", &[], RULES).await;
    world.arguments = vec!["--leader-elect=false".to_owned()];
    world.account("default", "");
    trim(&world, JOBS, "submission");
    mail(&world, "acme");
    let (drained, said) = world.command("drain", &["--lease-name", &world.lease()]);
    assert!(!drained && said.contains("drops status.submission"), "{said}");
    for _ in 0..2 {
        world.start();
        until_says(&world, "/readyz", "status.submission of a ScrapeJob").await;
        let told = world.events("acme").await;
        assert!(told.iter().any(|(kind, reason, note)| kind == "Warning"
            && reason == "CRDOutdated"
            && note.contains("spideriq-operator crds | kubectl apply")));
        until_says(&world, "/metrics", "\nspideriq_operator_unkept_fields{kind=\"ScrapeJob\"} 1.0\n").await;
        assert!(
            world.get("ScrapeJob", "acme").await["metadata"]["finalizers"].is_null(),
            "nothing is written"
        );
        world.kill();
        std::fs::remove_file(&world.log).unwrap();
    }
    assert!(world.requests("submit").is_empty());

    // Mended, it goes on by itself; the answer comes late, and the CRD is an older one again before it does.
    world.start();
    until_says(&world, "/readyz", "status.submission of a ScrapeJob").await;
    world.faults("[{match: {route: submit}, delay_reply: 15}]");
    mend(&world);
    world.until_true("it is submitted", |world| world.made().len() == 1).await;
    trim(&world, JOBS, "submission");
    world.kill();
    std::fs::remove_file(&world.log).unwrap();
    world.start();
    until_says(&world, "/readyz", "status.submission of a ScrapeJob").await;
    mail(&world, "other");
    until_says(&world, "/readyz", "status.submission of a ScrapeJob").await;
    assert_eq!(world.requests("submit").len(), 1);
    world.service.clear_faults(None);
    mend(&world);
    until_says(&world, "/readyz", "ok").await;
    // What nobody knows is asked of a person; what waited is submitted.
    let held = world.until_because("acme", "Held", "SubmissionAmbiguous").await;
    assert!(held["status"]["submission"]["nonce"].is_string(), "{held}");
    world.until("other", "Processing").await;
    assert_eq!(world.made().len(), 2);
}

#[tokio::test]
async fn a_field_that_goes_from_under_a_running_operator_stops_it_and_deletions_go_on() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world = World::on((*own).clone(), "under", &[], RULES).await;
    world.arguments = vec!["--leader-elect=false".to_owned()];
    world.account("default", "");
    world.start();
    mail(&world, "runs");
    mail(&world, "goes");
    world.until("runs", "Processing").await;
    world.until("goes", "Processing").await;
    let before = world.get("ScrapeJob", "runs").await;
    for (crd, field, of) in
        [(JOBS, "usedRunIDs", "ScrapeJob"), (ACCOUNTS, "spendCapRetryTime", "ScrapeAccount")]
    {
        trim(&world, crd, field);
        until_says(&world, "/readyz", &format!("status.{field} of a {of}")).await;
        mail(&world, &format!("late-{}", of.to_lowercase()));
        if crd == JOBS {
            world.kubectl(&["delete", "scrapejob", "goes"]).unwrap();
            assert!(world.service.jobs().iter().any(|job| job.state == "cancelled"));
            let after = world.get("ScrapeJob", "runs").await;
            assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
        }
        assert_eq!(world.requests("submit").len(), if crd == JOBS { 2 } else { 3 });
        mend(&world);
        until_says(&world, "/readyz", "ok").await;
        world.until(&format!("late-{}", of.to_lowercase()), "Processing").await;
    }
    assert_eq!(world.made().len(), 4);
}

/// A policy that refuses the operator every change of an object in its namespace.
#[tokio::test]
async fn where_a_policy_hides_it_the_published_schema_tells() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world = World::on((*own).clone(), "hidden", &[], RULES).await;
    world.arguments = vec!["--leader-elect=false".to_owned()];
    world.account("default", "");
    mail(&world, "acme");
    super::refused::deny(&world, "[\"scrapejobs\", \"scrapejobs/status\"]", "false", "acme").await;
    trim(&world, JOBS, "history/items/properties/runID");
    world.start();
    until_says(&world, "/readyz", "status.history[0].runID of a ScrapeJob").await;
    super::refused::allow(&world);
    mend(&world);
    world.until("acme", "Processing").await;
    assert_eq!(world.requests("submit").len(), 1);
}

/// The sample that proves it: the API server takes all of it, and misses each single field that it does not know.
#[tokio::test]
async fn a_full_status_is_taken_whole_by_the_shipped_crds_and_by_no_other() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let world = World::on((*own).clone(), "sample", &[], RULES).await;
    mail(&world, "acme");
    world.account("default", "");
    let tried = async |kind: &str, name: &str| {
        let strict = Some(ValidationDirective::Strict);
        let params = PatchParams { dry_run: true, field_validation: strict, ..PatchParams::default() };
        let full = full_status(kind).unwrap();
        let patch = Patch::Merge(json!({"status": full}));
        world
            .api(kind)
            .patch_status(name, &params, &patch)
            .await
            .map(|taken| (taken.data["status"].clone(), full))
    };
    for (kind, name) in [("ScrapeJob", "acme"), ("ScrapeAccount", "default")] {
        let (taken, full) = tried(kind, name).await.unwrap();
        assert_eq!(&taken, full);
    }
    let full = full_status("ScrapeJob").unwrap();
    let fields = full.as_object().unwrap().keys().map(|field| (field.clone(), format!("status.{field}")));
    let record = full["submission"].as_object().unwrap().keys();
    let record =
        record.map(|field| (format!("submission/properties/{field}"), format!("status.submission.{field}")));
    for (field, path) in record.chain(fields) {
        // The default of a status names some of them, and some can be selected by: no CRD is taken without these.
        let stays =
            ["observedGeneration", "state", "reason", "finished", "conditions", "type", "jobID", "account"];
        if stays.contains(&field.as_str()) {
            continue;
        }
        trim(&world, JOBS, &field);
        let named = format!("unknown field \"{path}");
        let mut last = String::new();
        for _ in 0..100 {
            last = tried("ScrapeJob", "acme").await.err().map(|error| error.to_string()).unwrap_or_default();
            if last.contains(&named) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(last.contains(&named), "{field}: {last}");
        mend(&world);
    }
}
