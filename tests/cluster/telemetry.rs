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
        format!("spideriq_operator_stalled_jobs{{namespace=\"{namespace}\"}} 1"),
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
        "spideriq_operator_finished_jobs_total{outcome=\"Completed\"} 1".to_owned(),
        "spideriq_operator_job_duration_seconds_count{outcome=\"Completed\"} 1".to_owned(),
        "spideriq_operator_job_queue_seconds_count 1".to_owned(),
        "spideriq_operator_kubernetes_requests_total{verb=\"patch\",resource=\"scrapejobs/status\",code=\"200\"}".to_owned(),
        "spideriq_operator_kubernetes_requests_total{verb=\"watch\",resource=\"scrapejobs\",code=\"200\"} 1".to_owned(),
        "spideriq_operator_looks{stage=\"waiting\"} 0".to_owned(),
        "process_open_fds ".to_owned(),
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

/// What a person asks at night: what becomes of this job, and what does its account wait for?
#[tokio::test]
async fn the_process_tells_what_it_decided_about_a_job() {
    let world = World::new("state", "jobs: [{queued: 0.1, end: processing}]").await;
    world.site("acme", "");
    let job = world.until("acme", "Processing").await;
    let asked = format!("/debug/state?job={}/acme", world.namespace);
    let mut told = serde_json::Value::Null;
    for _ in 0..TRIES {
        told = serde_json::from_str(&world.http(&asked).await).unwrap();
        if told["job"]["state"] == "Processing" {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert_eq!((&told["leading"], &told["jobsKnown"]), (&true.into(), &true.into()), "{told}");
    assert_eq!(told["job"]["jobID"], job["status"]["jobID"], "{told}");
    assert_eq!(told["job"]["uid"], job["metadata"]["uid"], "{told}");
    assert!(
        told["job"]["decided"]["plan"].is_string() && told["job"]["decided"]["again"].is_string(),
        "{told}"
    );
    assert_eq!(told["accounts"][0]["name"], "default", "{told}");
    assert!(told["accounts"][0]["waiting"]["submit"].is_number(), "{told}");
    assert!(!told.to_string().contains("canary"));
    let none: serde_json::Value = serde_json::from_str(&world.http("/debug/state?job=a/b").await).unwrap();
    assert!(none["job"].is_null() && none["accounts"].is_array(), "{none}");
}

#[tokio::test]
async fn each_line_of_a_look_is_a_flat_object_that_says_of_which_object() {
    let mut world = World::without_operator("flat", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.account("default", "");
    world.arguments = vec!["--log-format=json".to_owned()];
    world.start();
    world.site("acme", "");
    let job = world.until("acme", "Completed").await;
    let lines: Vec<serde_json::Value> =
        world.logged().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(
            line.as_object().unwrap().values().all(|value| !value.is_object() && !value.is_array()),
            "{line}"
        );
    }
    let accepted = lines.iter().find(|line| line["message"] == "accepted").unwrap();
    assert_eq!(accepted["kind"], "ScrapeJob", "{accepted}");
    assert_eq!(accepted["namespace"], world.namespace.as_str(), "{accepted}");
    assert_eq!(accepted["name"], "acme", "{accepted}");
    assert_eq!(accepted["uid"], job["metadata"]["uid"], "{accepted}");
    assert_eq!(accepted["job_id"], job["status"]["jobID"], "{accepted}");
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
