//! Every answer that the service may give to a submit or a look, and what becomes of the job.

use super::support::{World, condition, state_of};

#[tokio::test]
async fn refusals_that_waiting_does_not_help_end_or_hold_the_job_after_one_submit() {
    let world = World::new("refused", "{}").await;
    let rows = [
        ("bad", 400, "Failed", "InvalidPayload"),
        ("invalid", 422, "Failed", "InvalidPayload"),
        ("bound", 429, "Held", "Refused"),
    ];
    for (name, code, ..) in rows {
        world.faults(&format!("[{{match: {{route: submit, body: {name}.example}}, reply: {{status: {code}, body: {{code: MAX_CAMPAIGNS_PER_CLIENT, detail: no such thing as {name}}}}}}}]"));
        world.site(name, "");
    }
    for (name, _, state, reason) in rows {
        let job = world.until_because(name, state, reason).await;
        assert!(
            job["status"]["message"].as_str().unwrap().contains(&format!("no such thing as {name}")),
            "{job}"
        );
        assert_eq!(condition(&job, "Stalled").0, "True");
        assert_eq!(condition(&job, "Ready").0, "False");
    }
    assert_eq!(world.requests("submit").len(), rows.len());
}

#[tokio::test]
async fn a_reached_spend_cap_holds_what_is_not_accepted() {
    let mut world = World::new("spendcap", "faults: [{match: {route: submit}, reply: {status: 402}}]").await;
    world.site("acme", "");
    world.until_because("acme", "Held", "SpendCapReached").await;
    world
        .until_of("ScrapeAccount", "default", "stalled", |account| {
            condition(account, "Stalled").1 == "SpendCapReached"
        })
        .await;
    world.site("second", "");
    world.until_because("second", "Held", "SpendCapReached").await;
    // An operator that begins anew reads in the account's status that the hour is not over.
    world.kill();
    world.start();
    world.site("third", "");
    world.until_because("third", "Held", "SpendCapReached").await;
    assert_eq!(world.requests("submit").len(), 1);
    // Somebody asks for a look, and one submit of them finds that it is still reached.
    ask(&world, "second", "early").await;
    world.until_true("one more submit", |world| world.requests("submit").len() == 2).await;
    // The cap is raised, and a touch of the Secret says so before the hour is over.
    world.service.clear_faults(None);
    world.kubectl(&["label", "secret", "default", "cap=raised"]).unwrap();
    for name in ["acme", "second", "third"] {
        world.until(name, "Completed").await;
    }
    assert_eq!(world.requests("submit").len(), 5);
}

#[tokio::test]
async fn a_look_that_is_asked_for_finds_a_raised_spend_cap_for_everybody() {
    let world = World::new("raised", "faults: [{match: {route: submit}, reply: {status: 402}}]").await;
    // The cap is the client's, whichever of its accounts meets it.
    world.account("other", "");
    let jobs = [("one", ""), ("two", ""), ("three", ", accountRef: {name: other}")];
    for (name, account) in jobs {
        world.site(name, account);
        world.until_because(name, "Held", "SpendCapReached").await;
    }
    assert_eq!(world.requests("submit").len(), 1);
    world.service.clear_faults(None);
    ask(&world, "three", "raised").await;
    for (name, _) in jobs {
        world.until(name, "Completed").await;
    }
    assert_eq!(world.requests("submit").len(), 4);
}

/// Asks for a look, and waits until it is said to be made.
async fn ask(world: &World, name: &str, asked: &str) {
    let annotation = format!("spideriq.ai/reconcile-requested-at={asked}");
    world.kubectl(&["annotate", "scrapejob", name, &annotation]).unwrap();
    world
        .until_of("ScrapeJob", name, "looked at", |job| job["status"]["lastHandledReconcileAt"] == asked)
        .await;
}

#[tokio::test]
async fn throttling_is_waited_out_and_never_stalls() {
    let world = World::new("throttled", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.faults("[{match: {route: submit}, when: {nth: 1}, reply: {status: 429, headers: {retry-after: '8'}}}, {match: {route: submit}, when: {nth: 2}, reply: {status: 429}}]");
    world.site("acme", "");
    let waiting = world.until_because("acme", "Pending", "RateLimited").await;
    assert_eq!(condition(&waiting, "Reconciling").0, "True");
    assert_eq!(condition(&waiting, "Stalled").0, "");
    world.until("acme", "Completed").await;
    assert_eq!(world.requests("submit").len(), 3);
}

/// The reply is lost, broken or senseless after the service took the job: it is found again and not paid twice.
#[tokio::test]
async fn an_unknown_outcome_is_settled_without_a_second_job() {
    let world = World::new("unknown", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    let faults = [
        ("dropped", "drop: after"),
        ("error", "reply: {status: 500, handled: true}"),
        ("html", "reply: {status: 200, body: '<html>maintenance</html>', handled: true}"),
        ("cut", "cut: 20"),
        ("typed", "reply: {status: 201, body: {job_id: [1]}, handled: true}"),
        ("slash", "reply: {status: 201, body: {job_id: ../../etc}, handled: true}"),
        ("redirect", "reply: {status: 307, headers: {location: 'https://elsewhere.example'}, handled: true}"),
        ("hang", "hang: after"),
    ];
    for (name, fault) in faults {
        world.faults(&format!(
            "[{{match: {{route: submit, body: {name}.example}}, when: {{first: 1}}, {fault}}}]"
        ));
        world.site(name, "");
        world.until(name, "Completed").await;
    }
    let mut made: Vec<String> = world.made().into_iter().map(|job| job.job_id).collect();
    made.dedup();
    assert_eq!(made.len(), faults.len(), "one job each");
    assert!(world.service.jobs().iter().all(|job| job.state == "completed"));
}

#[tokio::test]
async fn an_outage_lowers_nothing_and_is_over_when_it_is_over() {
    let world = World::new("outage", "jobs: [{queued: 0.1, end: processing}]").await;
    world.site("acme", "");
    world.until("acme", "Processing").await;
    let body = "'{\"job_id\": 7, \"status\": []}'";
    world.faults(&format!("[{{name: out, match: {{route: status}}, when: {{first: 4}}, reply: {{status: 503}}}}, {{name: typed, match: {{route: status}}, when: {{after: 4, first: 1}}, reply: {{status: 200, body: {body}}}}}]"));
    world
        .until_true("the outage was met", |world| world.service.faults()[0]["fired"].as_u64() > Some(1))
        .await;
    let job = world.get("ScrapeJob", "acme").await;
    assert_eq!(state_of(&job), "Processing");
    assert_eq!(condition(&job, "Stalled").0, "");
    let id = job["status"]["jobID"].as_str().unwrap();
    assert!(world.service.set_state(id, "completed", None, None));
    world.until("acme", "Completed").await;
}
