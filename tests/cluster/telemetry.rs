//! What people see from outside: the page of metrics, the probes, the counts and events of accounts.

use std::time::Duration;

use super::support::{World, condition, state_of};

/// How often, and how many times, something is looked for that comes a moment later.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const TRIES: u32 = 300;

#[tokio::test]
async fn the_page_of_metrics_tells_what_was_asked_submitted_and_is_held() {
    let world = World::new("metrics", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.faults("[{match: {route: submit, body: held.example}, reply: {status: 429, body: {code: MAX_CAMPAIGNS_PER_CLIENT, detail: no more}}}]");
    world.site("good", "");
    world.site("held", "");
    world.until("good", "Completed").await;
    world.until("held", "Held").await;
    assert_eq!(world.http("/healthz").await, "ok");
    assert_eq!(world.http("/readyz").await, "ok");
    let namespace = &world.namespace;
    let account = format!("namespace=\"{namespace}\",account=\"default\"");
    let jobs = [
        format!("spideriq_operator_jobs{{namespace=\"{namespace}\",state=\"Completed\"}} 1"),
        format!("spideriq_operator_held_jobs{{namespace=\"{namespace}\",reason=\"Refused\"}} 1"),
    ];
    let tells = |page: &str, line: &String| format!("\n{page}").contains(&format!("\n{line}"));
    // Jobs are counted as the operator's cache has them, which hears of its writes a moment later.
    let mut page = String::new();
    for _ in 0..TRIES {
        page = world.http("/metrics").await;
        if jobs.iter().all(|line| tells(&page, line)) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let others = [
        "spideriq_operator_requests_total{route=\"submit\",code=\"201\"} 1".to_owned(),
        "spideriq_operator_requests_total{route=\"submit\",code=\"429\"} 1".to_owned(),
        "spideriq_operator_requests_total{route=\"results\",code=\"200\"} 1".to_owned(),
        "spideriq_operator_submits_total{outcome=\"accepted\"} 1".to_owned(),
        "spideriq_operator_submits_total{outcome=\"refused\"} 1".to_owned(),
        format!("spideriq_operator_budget_waiting{{{account},lane=\"submit\"}} 0"),
        format!("spideriq_operator_account_pause_seconds{{{account}}} 0.0"),
        "# TYPE spideriq_operator_budget_wait_seconds histogram".to_owned(),
        "spideriq_operator_reconciles_total{kind=\"ScrapeJob\",result=\"written\"}".to_owned(),
    ];
    for line in jobs.iter().chain(&others) {
        assert!(tells(&page, line), "{line} is not in\n{page}");
    }
    assert!(page.ends_with("# EOF\n") && !page.contains("canary"));
}

#[tokio::test]
async fn an_account_counts_its_jobs_and_says_what_becomes_of_it() {
    let world = World::new(
        "counts",
        "jobs: [{match: {contains: slow}, queued: 0.1, end: processing}, {queued: 0.1, processing: 0.1}]",
    )
    .await;
    let counts = |account: &serde_json::Value| account["status"]["jobs"].clone();
    world.site("slow", "");
    let active = serde_json::json!({"active": 1, "waiting": 0});
    world.until_of("ScrapeAccount", "default", "one active", |account| counts(account) == active).await;
    let id = world.until("slow", "Processing").await["status"]["jobID"].as_str().unwrap().to_owned();
    assert!(world.service.set_state(&id, "completed", None, None));
    world.until("slow", "Completed").await;
    let none = serde_json::json!({"active": 0, "waiting": 0});
    world.until_of("ScrapeAccount", "default", "none left", |account| counts(account) == none).await;
    // An account without work rests, and whose Secret changes is asked about when it has some.
    world.site("slow-again", "");
    world.until("slow-again", "Processing").await;
    world.secret("default", "cli_test:sk_test:secret_wrong");
    world
        .until_of("ScrapeAccount", "default", "rejected", |account| {
            condition(account, "Ready").1 == "CredentialsRejected"
        })
        .await;
    // It is told right after it is written.
    let mut told = Vec::new();
    for _ in 0..TRIES {
        told = world.events("default").await;
        if told.len() >= 2 {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let told: Vec<(&str, &str)> =
        told.iter().map(|(kind, reason, _)| (kind.as_str(), reason.as_str())).collect();
    assert_eq!(told, [("Normal", "Available"), ("Warning", "CredentialsRejected")]);
}

#[tokio::test]
async fn several_namespaces_are_watched_side_by_side() {
    let bed = testbed::Testbed::attach().unwrap();
    let mut world = World::on(bed, "several", &["more"], "jobs: [{queued: 0.1, processing: 0.1}]").await;
    let more = format!("{}-more", world.namespace);
    world.account("default", "");
    world.site("here", "");
    let manifests = world
        .kubectl(&["get", "secret/default", "scrapeaccount/default", "scrapejob/here", "--output", "yaml"])
        .unwrap()
        .replace(&format!("namespace: {}", world.namespace), &format!("namespace: {more}"))
        .replace("here", "there");
    world.bed.run("kubectl", &["create", "--namespace", &more, "--filename", "-"], &manifests).unwrap();
    world.start();
    world.until("here", "Completed").await;
    let arguments =
        ["wait", "--for=condition=Completed", "--timeout=120s", "scrapejob", "there", "--namespace", &more];
    world.bed.kubectl(&arguments).unwrap();
    assert_eq!(world.made().len(), 2);
}

#[tokio::test]
async fn an_endpoint_that_redirects_is_not_followed_and_stalls_the_account() {
    let mut world = World::without_operator("redirect", "{}").await;
    world.faults(
        "[{name: moved, match: {path: /}, reply: {status: 307, headers: {location: 'http://127.0.0.1:1/'}}}]",
    );
    world.account("default", "");
    world.start();
    world
        .until_of("ScrapeAccount", "default", "stalled", |account| {
            condition(account, "Stalled").1 == "EndpointNotAllowed"
        })
        .await;
    world.site("acme", "");
    let job = world.until_because("acme", "Pending", "AccountNotReady").await;
    assert_eq!(condition(&job, "Stalled").0, "", "{}", state_of(&job));
    assert!(world.requests("submit").is_empty());
    world.service.clear_faults(None);
    // Another version of the Secret is tried at once.
    world.kubectl(&["annotate", "secret", "default", "look=again"]).unwrap();
    world.until("acme", "Completed").await;
}
