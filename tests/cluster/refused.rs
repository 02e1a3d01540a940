//! Writes that the API server will not have: a policy that refuses the operator, no room for its annotation. The object says
//! so, nothing is paid for that could not be recorded, and it goes on by itself.

use super::support::World;

const RULES: &str = "jobs: [{queued: 0.1, end: processing}]";
const WORDS: &str = "not on Fridays";

/// Has a policy refuse the operator every change of these resources in its namespace after which this does not hold, and
/// waits until it does so.
pub async fn deny(world: &World, resources: &str, holds: &str, job: &str) {
    let (name, user) = (&world.namespace, world.user());
    world.apply(&format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: "{name}"}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{{apiGroups: [spideriq.ai], apiVersions: ["*"], operations: [UPDATE], resources: {resources}}}]
  matchConditions: [{{name: operator, expression: "request.userInfo.username in ['{user}', 'tester']"}}]
  validations: [{{expression: "{holds}", message: "{WORDS}"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: "{name}"}}
spec:
  policyName: "{name}"
  validationActions: [Deny]
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: "{name}"}}}}}}
"#
    ));
    let subresource = if resources.contains("\"scrapejobs\"") { "" } else { "--subresource=status" };
    // The operator may patch a status and not get one, which kubectl does first: so somebody else tries.
    let patch = ["patch", "scrapejob", job, "--type=merge", "--dry-run=server"];
    let patch = [&patch[..], &["--as=tester", "--as-group=system:masters"]].concat();
    let patch = [&patch[..], &["--patch", r#"{"status":{"jobID":"tried"},"metadata":{"labels":{"a":"b"}}}"#]]
        .concat();
    let patch = if subresource.is_empty() { patch } else { [&patch[..], &[subresource]].concat() };
    world
        .until_true("the policy is in force", |world| {
            world.kubectl(&patch).is_err_and(|error| format!("{error:#}").contains(WORDS))
        })
        .await;
}

/// Takes the policy away again.
pub fn allow(world: &World) {
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        world.bed.kubectl(&["delete", kind, &world.namespace]).unwrap();
    }
}

/// Waits until an event of this object has all these words, and says how many have.
async fn until_told(world: &World, name: &str, reason: &str, words: &[&str]) -> usize {
    for _ in 0..600 {
        let told = world.events(name).await;
        let fits = |(_, why, note): &&(String, String, String)| {
            why == reason && words.iter().all(|words| note.contains(words))
        };
        let count = told.iter().filter(fits).count();
        if count > 0 {
            return count;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("no event {reason} of {name} says {words:?}: {:?}", world.events(name).await);
}

#[tokio::test]
async fn a_payload_that_leaves_no_room_for_the_annotation_is_refused_before_it_waits() {
    let world = World::new("room", RULES).await;
    let big = format!(", x: \"{}\"", "x".repeat(261_600));
    world.job("big", &format!("type: spiderSite, payload: {{url: \"https://big.example\"{big}}}"));
    let failed = world.until_because("big", "Failed", "InvalidPayload").await;
    assert!(failed["status"]["message"].as_str().unwrap().contains("--server-side"), "{}", failed["status"]);
    // Without the copy there is room.
    let manifest = super::support::job(
        "whole",
        &format!("type: spiderSite, payload: {{url: \"https://whole.example\"{big}}}"),
    );
    world
        .bed
        .run(
            "kubectl",
            &["apply", "--server-side", "--namespace", &world.namespace, "--filename", "-"],
            &manifest,
        )
        .unwrap();
    world.until("whole", "Processing").await;
    assert_eq!(world.requests("submit").len(), 1);
}

#[tokio::test]
async fn an_object_that_the_operator_may_not_change_says_so_before_the_submit_and_at_its_deletion() {
    let world = World::new("policy", RULES).await;
    world.site("acme", ", suspend: true");
    world.until("acme", "Suspended").await;
    deny(&world, "[\"scrapejobs\"]", "false", "acme").await;
    world.site("acme", ", suspend: false");
    let refused = world.until_because("acme", "Pending", "WriteRefused").await;
    assert!(refused["status"]["message"].as_str().unwrap().contains(WORDS), "{}", refused["status"]);
    assert_eq!(until_told(&world, "acme", "WriteRefused", &[WORDS]).await, 1);
    assert!(world.requests("submit").is_empty());
    allow(&world);
    world.until("acme", "Processing").await;

    deny(&world, "[\"scrapejobs\", \"scrapejobs/status\"]", "false", "acme").await;
    world.kubectl(&["delete", "scrapejob", "acme", "--wait=false"]).unwrap();
    world.until_true("it is cancelled", |world| world.service.jobs()[0].state == "cancelled").await;
    until_told(&world, "acme", "WriteRefused", &[WORDS]).await;
    allow(&world);
    world.until_of("ScrapeJob", "acme", "gone", serde_json::Value::is_null).await;
    let told = world.events("acme").await;
    assert!(!told.iter().any(|(_, reason, _)| reason == "Orphaned"), "{told:?}");
    assert_eq!((world.requests("submit").len(), world.requests("cancel").len()), (1, 1));
}

#[tokio::test]
async fn an_accepted_job_whose_record_is_refused_is_named_and_recorded_once_it_is_allowed() {
    let world = World::new("unrecorded", RULES).await;
    world.site("other", ", suspend: true");
    world.until("other", "Suspended").await;
    deny(&world, "[\"scrapejobs/status\"]", "!has(object.status.jobID)", "other").await;
    world.job("acme", "type: spiderMail, payload: {url: \"https://acme.example\"}");
    world.until_true("it is made", |world| world.made().len() == 1).await;
    let id = world.service.jobs()[0].job_id.clone();
    assert_eq!(until_told(&world, "acme", "WriteRefused", &[&id, WORDS]).await, 1);
    assert!(world.http("/metrics").await.contains("\nspideriq_operator_unrecorded_jobs 1.0\n"));
    allow(&world);
    let job = world.until("acme", "Processing").await;
    assert_eq!(job["status"]["jobID"], id.as_str());
    // A page is made once in a second.
    let mut page = String::new();
    for _ in 0..50 {
        page = world.http("/metrics").await;
        if page.contains("\nspideriq_operator_unrecorded_jobs 0.0\n") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(page.contains("\nspideriq_operator_unrecorded_jobs 0.0\n"), "{page}");
    assert_eq!(world.made().len(), 1);
}
