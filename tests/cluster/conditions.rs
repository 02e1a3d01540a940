//! What kubectl, Helm, Flux and Argo CD make of the conditions: the real libraries are asked.

use serde_json::Value;

use super::support::World;

const TYPES: [&str; 8] =
    ["Ready", "Queued", "Processing", "Completed", "Failed", "Cancelled", "Finished", "Suspended"];

#[tokio::test]
async fn every_tool_reads_every_situation_rightly() {
    let rules = "jobs: [{match: {contains: stay-queued}, end: queued}, {match: {contains: stay-processing}, queued: 0.1, end: processing}, \
        {match: {contains: fail}, queued: 0.1, processing: 0.1, end: failed}, {queued: 0.1, processing: 0.1}]";
    let mut world = World::without_operator("truth", rules).await;
    world.account("default", "");
    world.site("not-looked-at", "");
    judge(&world, "not-looked-at", "InProgress", &[]).await;
    world.kubectl(&["delete", "scrapejob", "not-looked-at"]).unwrap();
    world.start();
    world.faults("[{match: {route: submit, body: refused.example}, reply: {status: 422}}, {match: {route: submit, body: held.example}, reply: {status: 429, body: {code: MAX_CAMPAIGNS_PER_CLIENT, detail: no more}}}, {match: {route: submit, body: unknown.example}, drop: before}, {match: {route: cancel}, reply: {status: 503}}]");

    // name, more of the spec, state, what kstatus says, which waits are met
    let rows: [(&str, &str, &str, &str, &[&str]); 15] = [
        ("no-account", ", accountRef: {name: none}", "Pending", "InProgress", &[]),
        ("suspended", ", suspend: true", "Suspended", "Current", &["Ready", "Suspended"]),
        ("stay-queued", "", "Queued", "InProgress", &["Queued"]),
        ("stay-processing", "", "Processing", "InProgress", &["Processing"]),
        ("stay-queued-accepted", ", readyWhen: Accepted", "Queued", "Current", &["Ready", "Queued"]),
        (
            "stay-processing-accepted",
            ", readyWhen: Accepted",
            "Processing",
            "Current",
            &["Ready", "Processing"],
        ),
        ("completed", "", "Completed", "Current", &["Ready", "Completed", "Finished"]),
        ("fails", "", "Failed", "Failed", &["Failed", "Finished"]),
        ("fails-finished", ", readyWhen: Finished", "Failed", "Current", &["Ready", "Failed", "Finished"]),
        ("fails-accepted", ", readyWhen: Accepted", "Failed", "Current", &["Ready", "Failed", "Finished"]),
        (
            "cancelled",
            ", suspend: true, cancel: true",
            "Cancelled",
            "Current",
            &["Ready", "Cancelled", "Finished"],
        ),
        // It is seen at work before its time is over; the cancel that follows is refused for now.
        ("stay-processing-late", ", activeDeadlineSeconds: 20", "Cancelling", "InProgress", &["Processing"]),
        ("unknown", ", submission: {onAmbiguous: Auto}", "Submitting", "InProgress", &[]),
        ("held", "", "Held", "Failed", &[]),
        ("refused", "", "Failed", "Failed", &["Failed", "Finished"]),
    ];
    for (name, more, ..) in rows {
        world.site(name, more);
    }
    for (name, _, state, kstatus, met) in rows {
        world.until(name, state).await;
        judge(&world, name, kstatus, met).await;
    }

    world.service.clear_faults(None);
    world.until_because("stay-processing-late", "Failed", "DeadlineExceeded").await;
    judge(&world, "stay-processing-late", "Failed", &["Failed", "Finished"]).await;
    world.until("unknown", "Completed").await;

    let id = world.get("ScrapeJob", "stay-processing").await["status"]["jobID"].as_str().unwrap().to_owned();
    world.faults("[{match: {route: cancel}, reply: {status: 503}}]");
    world.kubectl(&["delete", "scrapejob", "stay-queued", "--wait=false"]).unwrap();
    judge(&world, "stay-queued", "Terminating", &[]).await;
    world.service.set_state(&id, "cancelled", None, None);
    world.until_because("stay-processing", "Cancelled", "CancelledRemotely").await;
    judge(&world, "stay-processing", "Failed", &["Cancelled", "Finished"]).await;
    // Nobody has looked at the edit yet.
    world.kill();
    let longer = "{\"spec\": {\"cancelTimeoutSeconds\": 60}}";
    world.kubectl(&["patch", "scrapejob", "suspended", "--type=merge", "--patch", longer]).unwrap();
    judge(&world, "suspended", "InProgress", &[]).await;
    world.start();
    let observed = |job: &Value| job["status"]["observedGeneration"] == 2;
    world.until_of("ScrapeJob", "suspended", "looked at", observed).await;
    judge(&world, "suspended", "Current", &["Ready", "Suspended"]).await;
}

/// Asks both kstatus libraries, and `kubectl wait` for each condition.
async fn judge(world: &World, name: &str, kstatus: &str, met: &[&str]) {
    let object: Value = world.get("ScrapeJob", name).await;
    let said = world.bed.kstatus(&object.to_string()).unwrap().remove(0);
    assert_eq!((said.1.as_str(), said.2.as_str()), (kstatus, kstatus), "{name}: {object:#}");
    if kstatus == "Terminating" {
        return;
    }
    for condition in TYPES {
        let wait = format!("--for=condition={condition}");
        let waited = world.kubectl(&["wait", &wait, "--timeout=0", "scrapejob", name]);
        assert_eq!(waited.is_ok(), met.contains(&condition), "{name}: wait for {condition}: {object:#}");
    }
}
