//! A service that is not there, fails, asks to wait for a day, or knows no address: what people read, and who tries it.

use serde_json::Value;

use super::support::{World, condition, state_of};

const DAY: &str = "status: 429, headers: {retry-after: '86400'}, body: {detail: enough for today}";

fn message(object: &Value) -> &str {
    object["status"]["message"].as_str().unwrap_or_default()
}

fn is_unavailable(account: &Value, words: &str) -> bool {
    let (ready, reason, said) = condition(account, "Ready");
    ready != "True" && reason == "ServiceUnavailable" && said.contains(words)
}

/// An account that was never reached is not ready, and says why; so does everything that waits for it.
#[tokio::test]
async fn a_closed_port_is_named_by_the_account_and_by_every_job() {
    let mut world = World::without_operator("closed", "{}").await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.endpoint = format!("http://{closed}/api/v1");
    world.account("default", "");
    world.start();
    let names = ["a", "b", "c", "d"];
    for name in &names {
        world.site(name, "");
    }
    for name in names {
        let job = world.until_because(name, "Pending", "ServiceUnavailable").await;
        assert!(message(&job).contains("no connection"), "{job}");
        assert_eq!(condition(&job, "Stalled").0, "", "{job}");
    }
    world
        .until_of("ScrapeAccount", "default", "unavailable", |account| {
            is_unavailable(account, "no connection")
        })
        .await;
}

/// 404 to everything: the path is missing from the endpoint.
#[tokio::test]
async fn an_endpoint_without_its_path_is_named_as_the_likely_cause() {
    let mut world = World::without_operator("pathless", "{}").await;
    world.endpoint = world.endpoint.trim_end_matches("/api/v1").to_owned();
    world.account("default", "");
    world.start();
    world.site("acme", "");
    let cause = "spec.endpoint of the account";
    let job = world.until_because("acme", "Pending", "ServiceUnavailable").await;
    assert!(message(&job).contains(cause), "{job}");
    world.until_of("ScrapeAccount", "default", "the cause", |account| is_unavailable(account, cause)).await;
    assert!(world.requests("submit").is_empty());
}

/// A service that goes away while jobs wait: each says so once, the account does, and all go on when it is back.
#[tokio::test]
async fn an_outage_is_told_once_by_each_job_and_by_the_account() {
    let world = World::new("outage", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world
        .until_of("ScrapeAccount", "default", "ready", |account| condition(account, "Ready").0 == "True")
        .await;
    world.faults("[{reply: {status: 503}}]");
    let names: Vec<String> = (0..12).map(|n| format!("job-{n}")).collect();
    for name in &names {
        world.site(name, "");
    }
    let account = world
        .until_of("ScrapeAccount", "default", "unavailable", |account| is_unavailable(account, "503"))
        .await;
    assert_eq!(condition(&account, "Reconciling").0, "True");
    let mut waiting = Vec::new();
    for name in &names {
        let job = world
            .until_of("ScrapeJob", name, "told", |job| {
                ["ServiceUnavailable", "SubmissionAmbiguous"]
                    .contains(&job["status"]["reason"].as_str().unwrap_or(""))
            })
            .await;
        if job["status"]["reason"] == "ServiceUnavailable" {
            assert!(message(&job).contains("503"), "{job}");
            waiting.push((name, job["metadata"]["resourceVersion"].clone()));
        }
    }
    assert!(!waiting.is_empty(), "only a burst of submits goes out before it is known");
    let tried = world.requests("submit").len();
    world.until_true("the outage goes on", |world| world.requests("submit").len() > tried).await;
    let mut same = 0;
    for (name, version) in waiting {
        let now = world.get("ScrapeJob", name).await;
        // One of them may have been the one that tried.
        same += usize::from(now["metadata"]["resourceVersion"] == version);
    }
    assert!(same > 0, "told once");
    world.service.clear_faults(None);
    // Somebody knows that it is over, and has it tried.
    world
        .kubectl(&["annotate", "scrapeaccount", "default", "spideriq.ai/reconcile-requested-at=mended"])
        .unwrap();
    for name in &names {
        world.until(name, "Completed").await;
    }
    assert_eq!(world.made().len(), names.len());
    world
        .until_of("ScrapeAccount", "default", "ready", |account| condition(account, "Ready").0 == "True")
        .await;
}

/// A ceiling of submits: what runs is followed, and a wish tries at once, also after a restart.
#[tokio::test]
async fn a_days_pause_of_submits_stops_nothing_else_and_is_tried_on_request() {
    let mut world = World::new("ceiling", "jobs: [{queued: 1, processing: 4}]").await;
    world.site("running", "");
    world.until("running", "Queued").await;
    world.faults(&format!("[{{match: {{route: submit}}, when: {{first: 2}}, reply: {{{DAY}}}}}]"));
    world.site("first", "");
    world.until_because("first", "Pending", "RateLimited").await;
    let paused = |account: &Value| {
        condition(account, "Throttled").0 == "True"
            && account["status"]["submitsRetryAfter"].is_string()
            && account["status"]["retryAfter"].is_null()
    };
    world.until_of("ScrapeAccount", "default", "submits pause", paused).await;
    world.until("running", "Completed").await;
    world.kill();
    world.start();
    world.site("second", "");
    let second = world.until_because("second", "Pending", "RateLimited").await;
    assert!(second["status"]["retryAfter"].is_string(), "{second}");
    assert_eq!(world.requests("submit").len(), 2, "a restart tries nothing");
    let wish = |wish: &str| {
        let annotation = format!("spideriq.ai/reconcile-requested-at={wish}");
        world.kubectl(&["annotate", "--overwrite", "sj", "second", &annotation]).unwrap();
    };
    wish("now");
    world.until_true("a try", |world| world.requests("submit").len() == 3).await;
    // Not at once again, and not lost.
    wish("later");
    for name in ["first", "second"] {
        world.until(name, "Completed").await;
    }
    world
        .until_of("ScrapeAccount", "default", "no pause", |account| {
            condition(account, "Throttled").0 == "False" && account["status"]["submitsRetryAfter"].is_null()
        })
        .await;
    assert_eq!(world.made().len(), 3);
}

/// A day that a read was told: a new process asks a read at once, and a wish on the account lets a submit try.
#[tokio::test]
async fn a_days_pause_of_reads_is_tried_by_a_read_after_a_restart_and_on_request() {
    let mut world = World::new("reads", "jobs: [{queued: 1, processing: 4}]").await;
    world.site("running", "");
    world.until("running", "Queued").await;
    world.faults(&format!("[{{match: {{route: status}}, when: {{first: 1}}, reply: {{{DAY}}}}}]"));
    let paused = |account: &Value| account["status"]["retryAfter"].is_string();
    world.until_of("ScrapeAccount", "default", "everything pauses", paused).await;
    world.site("waiting", "");
    world.until_because("waiting", "Pending", "RateLimited").await;
    let asked = world.requests("status").len();
    world.kill();
    world.start();
    world.until("running", "Completed").await;
    assert!(world.requests("status").len() > asked);
    // The status may be of a release that wrote down a pause of submits like this.
    let waiting = world.get("ScrapeJob", "waiting").await;
    assert_eq!((state_of(&waiting), world.requests("submit").len()), ("Pending", 1), "{waiting}");
    world
        .kubectl(&["annotate", "scrapeaccount", "default", "spideriq.ai/reconcile-requested-at=now"])
        .unwrap();
    world.until("waiting", "Completed").await;
    world
        .until_of("ScrapeAccount", "default", "obeyed", |account| {
            account["status"]["lastHandledReconcileAt"] == "now" && account["status"]["retryAfter"].is_null()
        })
        .await;
}

/// A type that is served nowhere: one of its jobs asks, and other types go on.
#[tokio::test]
async fn an_address_that_is_not_known_is_tried_by_one_job_of_the_type() {
    let world = World::new("nowhere", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.faults(
        "[{match: {route: submit, type: spiderMail}, reply: {status: 404, body: {detail: no such spider}}}]",
    );
    let names: Vec<String> = (0..8).map(|n| format!("mail-{n}")).collect();
    for name in &names {
        world.job(name, &format!("type: spiderMail, payload: {{url: \"https://{name}.example\"}}"));
    }
    for name in &names {
        let job = world.until_because(name, "Pending", "ServiceUnavailable").await;
        assert!(message(&job).contains("no such spider"), "{job}");
        assert_eq!(condition(&job, "Stalled").0, "", "{job}");
    }
    world.site("acme", "");
    world.until("acme", "Completed").await;
    // A handful may have gone out before the first answer.
    let tried = world.requests("submit").len() - 1;
    assert!(tried < 3 * names.len(), "{tried}");
    world.service.clear_faults(None);
    for name in &names {
        world.until(name, "Completed").await;
    }
    assert_eq!(world.made().len(), names.len() + 1);
}
