//! The service as a client sees it over HTTP, held against its own page and the contract.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use emulator::rules::{JobRule, Rules};
use emulator::{Config, DEMO_TOKEN, Emulator, JobSpec, Running};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

/// The page's own example.
const ID: &str = "550e8400-e29b-41d4-a716-446655440000";

async fn service(rules: &str) -> Running {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config {
        rules: Rules::parse(rules).unwrap(),
        epoch: Some("2025-10-27T10:00:00Z".parse().unwrap()),
        ..Config::default()
    };
    Emulator::start(config).await.unwrap()
}

async fn ask(service: &Running, method: Method, path: &str, body: Option<Value>) -> Response {
    let mut request = Client::new()
        .request(method, format!("{}{path}", service.base_url()))
        .header("authorization", format!("Bearer {DEMO_TOKEN}"));
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    request.send().await.unwrap()
}

async fn get(service: &Running, path: &str) -> (u16, String) {
    let answer = ask(service, Method::GET, path, None).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn submit(service: &Running, kind: &str, body: Value) -> (u16, Value) {
    let answer = ask(service, Method::POST, &format!("/jobs/{kind}/submit"), Some(body)).await;
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn the_status_reads_byte_for_byte_as_on_the_page() {
    let service = service("{}").await;
    let rule: JobRule = serde_json::from_value(json!({
        "steps": [{"state": "queued", "for": 75}, {"state": "processing", "for": 90.5}, {"state": "completed"}],
        "result": {"pages_crawled": 12},
    }))
    .unwrap();
    let spec = JobSpec {
        job_id: Some(ID.to_owned()),
        kind: Some("spiderSite".to_owned()),
        priority: 5,
        rule: Some(rule),
        payload: Some(json!({"url": "https://example.com"})),
        created_at: Some("2025-10-27T10:00:00Z".to_owned()),
        ..JobSpec::default()
    };
    service.create_jobs(spec).unwrap();
    let json = |status: &str, updated: &str, worker: &str| {
        format!(
            r#"{{"success":true,"job_id":"{ID}","type":"spiderSite","status":"{status}","created_at":"2025-10-27T10:00:00Z","updated_at":"2025-10-27T{updated}Z","worker_id":{worker}}}"#
        )
    };
    let path = format!("/jobs/{ID}/status");
    assert_eq!(get(&service, &path).await, (200, json("queued", "10:00:00", "null")));
    service.advance(75.2);
    assert_eq!(get(&service, &path).await, (200, json("processing", "10:01:15", "\"spider-site-main-1\"")));
    service.advance(90.5);
    assert_eq!(get(&service, &path).await, (200, json("completed", "10:02:45", "\"spider-site-main-1\"")));
    let yaml = format!(
        "# GET /api/v1/jobs/{{id}}/status?format=yaml\njob_id: {ID}\ntype: spiderSite\nstatus: completed\npriority: 5\ncreated_at: '2025-10-27T10:00:00'\nstarted_at: '2025-10-27T10:01:15'\ncompleted_at: '2025-10-27T10:02:45'\nprocessing_time_seconds: 90.5\npages_crawled: 12\n"
    );
    let (code, found) = get(&service, &format!("{path}?format=yaml")).await;
    assert_eq!((code, found.as_str()), (200, yaml.as_str()));
    let markdown = format!(
        "## Job: {ID}\n**Type**: spiderSite | **Status**: completed | **Priority**: 5\n**Processing Time**: 90.50s\n**Pages Crawled**: 12\n"
    );
    let (code, found) = get(&service, &format!("{path}?format=md")).await;
    assert_eq!((code, found.as_str()), (200, markdown.as_str()));
    let unknown = get(&service, "/jobs/00000000-0000-4000-8000-000000000000/status").await;
    assert_eq!(unknown, (404, r#"{"detail":"Job not found"}"#.to_owned()));
}

#[tokio::test]
async fn equal_payloads_share_a_job_for_a_day_and_other_types_never_do() {
    let service = service("jobs: [{end: queued}]").await;
    let body = json!({"payload": {"url": "https://acme.example"}, "priority": 3});
    let (code, first) = submit(&service, "spiderSite", body.clone()).await;
    assert_eq!((code, &first["status"], &first["from_cache"]), (201, &json!("queued"), &json!(false)));
    let (_, again) =
        submit(&service, "spiderSite", json!({"payload": {"url": "https://acme.example"}, "priority": 9}))
            .await;
    assert_eq!((&again["job_id"], &again["from_cache"]), (&first["job_id"], &json!(true)));
    service.advance(24.0 * 3600.0 + 1.0);
    let (_, later) = submit(&service, "spiderSite", body).await;
    assert_ne!(later["job_id"], first["job_id"]);
    let mail = json!({"payload": {"action": "send", "from_email": "a@b.example", "to": ["c@d.example"], "body_text": "x"}});
    let ids =
        [submit(&service, "spiderMail", mail.clone()).await.1, submit(&service, "spiderMail", mail).await.1];
    assert_ne!(ids[0]["job_id"], ids[1]["job_id"]);
}

#[tokio::test]
async fn limits_are_told_in_headers_and_past_them_a_429_says_when_to_come_back() {
    // Too few in a minute for one to come back before the last is asked for.
    let service = service("limits: {requests: {per_minute: 1, burst: 3}}").await;
    let mut left = Vec::new();
    for _ in 0..3 {
        let answer = ask(&service, Method::GET, "/auth/whoami", None).await;
        left.push(answer.headers()["x-ratelimit-remaining"].to_str().unwrap().to_owned());
        assert!(
            answer.headers().contains_key("x-ratelimit-limit")
                && answer.headers().contains_key("x-ratelimit-reset")
        );
    }
    assert_eq!(left, ["2", "1", "0"]);
    let refused = ask(&service, Method::GET, "/auth/whoami", None).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn what_the_sources_disagree_on_is_behind_switches() {
    let service = service("jobs: [{end: queued}]").await;
    let (_, job) = submit(&service, "spiderSite", json!({"payload": {"url": "https://acme.example"}})).await;
    let status = format!("/jobs/{}/status", job["job_id"].as_str().unwrap());
    assert_eq!(get(&service, &format!("{status}?format=json")).await.0, 422);
    assert_eq!(submit(&service, "spiderSite", json!({"payload": {}})).await.0, 422);
    let set = |rules: &str| service.set_rules(Rules::parse(rules).unwrap()).unwrap();
    set(
        "switches: {format_json: true, error_shape: envelope, validation_code: 400, submit_body: minimal, cancel_ended_code: 409}",
    );
    assert_eq!(get(&service, &format!("{status}?format=json")).await.0, 200);
    let (code, refused) = submit(&service, "spiderSite", json!({"payload": {}})).await;
    assert_eq!((code, refused["error"]["code"].as_str()), (400, Some("SCHEMA_VALIDATION_FAILED")));
    let (_, minimal) =
        submit(&service, "spiderSite", json!({"payload": {"url": "https://two.example"}})).await;
    assert_eq!(minimal.as_object().unwrap().keys().collect::<Vec<_>>(), ["job_id", "status"]);
    let path = format!("/jobs/{}", job["job_id"].as_str().unwrap());
    assert_eq!(ask(&service, Method::DELETE, &path, None).await.status(), 200);
    assert_eq!(ask(&service, Method::DELETE, &path, None).await.status(), 409);
}

/// The list by the last change has a shorter way, where nothing is filtered.
#[tokio::test]
async fn what_changed_last_is_listed_alike_in_both_ways() {
    let rules = "jobs: [{queued: [0, 300], processing: [0, 300]}]\nlimits: {enabled: false}";
    let service = service(rules).await;
    let ids = service.create_jobs(JobSpec { count: Some(130), ..JobSpec::default() }).unwrap();
    let later = Some("2025-10-27T10:05:00Z".to_owned());
    service.create_jobs(JobSpec { created_at: later, ..JobSpec::default() }).unwrap();
    let mut seen = Vec::new();
    for by in [0.0, 100.0, 150.0, 10.0, 400.0] {
        service.advance(by);
        assert!(service.set_hidden(&ids[seen.len()], true));
        assert!(service.set_hidden(&ids[seen.len() / 2], false));
        service.set_state(&ids[50 + seen.len()], "failed", None, None);
        for page in 1..4 {
            let path = format!("/jobs/list?sort_by=updated_at&sort_order=desc&page={page}");
            // Jobs go on meanwhile: what is compared is what stays as it is for so long.
            let whole = loop {
                let (_, whole) = get(&service, &path).await;
                let (_, filtered) = get(&service, &format!("{path}&type_filter=spiderSite")).await;
                let (_, again) = get(&service, &path).await;
                if whole == again {
                    assert_eq!(whole, filtered, "page {page}");
                    break whole;
                }
            };
            seen.push(whole);
        }
    }
    seen.dedup();
    assert!(seen.len() > 12, "{} pages differ", seen.len());
}

#[tokio::test]
async fn what_lags_comes_to_stand_behind_what_changed_later() {
    let service =
        service("list: {lag: 30, lagging: slow.example}\nlimits: {enabled: false}\njobs: [{queued: 900}]")
            .await;
    let job = |url: &str| JobSpec { payload: Some(json!({ "url": url })), ..JobSpec::default() };
    let slow = service.create_jobs(job("https://slow.example")).unwrap();
    let quick = service.create_jobs(job("https://quick.example")).unwrap();
    service.advance(60.0);
    service.set_state(&slow[0], "completed", None, None);
    service.advance(5.0);
    service.set_state(&quick[0], "failed", None, None);
    let rows = async || {
        let (_, text) = get(&service, "/jobs/list?sort_by=updated_at&sort_order=desc").await;
        let list: Value = serde_json::from_str(&text).unwrap();
        let row = |row: &Value| format!("{} {}", row["status"], row["updated_at"]);
        list["jobs"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let before = rows().await;
    assert!(before[0].starts_with("\"failed\"") && !before[1].starts_with("\"completed\""), "{before:?}");
    service.advance(25.0);
    let after = rows().await;
    assert_eq!(after[0], before[0]);
    assert!(after[1].starts_with("\"completed\"") && after[1] < before[0], "{after:?}");
}

#[tokio::test]
async fn results_say_by_their_code_how_the_job_stands() {
    let service = service("{}").await;
    for (state, code) in
        [("queued", 202), ("processing", 202), ("completed", 200), ("failed", 410), ("cancelled", 410)]
    {
        let spec = JobSpec { state: Some(state.to_owned()), ..JobSpec::default() };
        let id = service.create_jobs(spec).unwrap().remove(0);
        let (found, body) = get(&service, &format!("/jobs/{id}/results")).await;
        assert_eq!(found, code, "{state}: {body}");
    }
}

#[tokio::test]
async fn the_admin_routes_do_what_the_library_does() {
    let service = service("{}").await;
    let admin = service.admin_url();
    let call = async |method: Method, path: &str, body: Value| {
        let answer = Client::new()
            .request(method, format!("{admin}{path}"))
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap())
    };
    let (code, wrong) = call(Method::PUT, "/rules", json!({"jbos": []})).await;
    assert!(code == 400 && wrong["error"].as_str().unwrap().contains("jbos"), "{wrong}");
    let (code, _) = call(
        Method::POST,
        "/faults",
        json!([{"name": "down", "match": {"route": "whoami"}, "reply": {"status": 503}}]),
    )
    .await;
    assert_eq!(code, 200);
    assert_eq!(get(&service, "/auth/whoami").await.0, 503);
    let (_, made) = call(Method::POST, "/jobs", json!({"state": "processing", "count": 2})).await;
    let id = made["job_ids"][1].as_str().unwrap();
    assert_eq!(
        call(Method::PUT, &format!("/jobs/{id}/state"), json!({"state": "failed", "error_message": "no"}))
            .await
            .0,
        200
    );
    assert!(get(&service, &format!("/jobs/{id}/results")).await.1.contains("\"error_message\":\"no\""));
    let (_, journal) = call(Method::GET, "/journal?since=0", Value::Null).await;
    let requests =
        journal["entries"].as_array().unwrap().iter().filter(|entry| entry.to_string().contains("whoami"));
    assert_eq!(requests.count(), 1, "{journal}");
    assert!(!journal.to_string().contains(DEMO_TOKEN), "a token is never shown");
}

#[tokio::test]
async fn a_dropped_reply_is_lost_after_the_job_was_made() {
    let service = service("faults: [{match: {route: submit}, drop: after}]").await;
    let request = Client::new()
        .post(format!("{}/jobs/spiderSite/submit", service.base_url()))
        .header("authorization", format!("Bearer {DEMO_TOKEN}"))
        .body(json!({"payload": {"url": "https://acme.example"}}).to_string());
    assert!(request.send().await.is_err());
    assert_eq!(service.jobs().len(), 1);
}
