//! The simulated API server (`tests/sim`) and the real one are asked the same, so that the simulation cannot drift from
//! the truth.

#[path = "../../sim/api_server.rs"]
#[expect(dead_code, reason = "the simulation uses more of it")]
mod api_server;
#[path = "../../sim/fate.rs"]
#[expect(dead_code, reason = "the simulation uses more of it")]
mod fate;
#[path = "../../sim/store.rs"]
#[expect(dead_code, reason = "the simulation uses more of it")]
mod store;

use api_server::ApiServer;
use fate::{Fate, Plan};
use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::support::World;

/// One request; `{uid}` and `{version}` in a body stand for those of the object as it was answered last.
type Asked = (&'static str, Method, &'static str, Value);

fn requests() -> Vec<Asked> {
    let patch = |what: &'static str, path, body| (what, Method::PATCH, path, body);
    let job = json!({
        "apiVersion": "spideriq.ai/v1alpha1",
        "kind": "ScrapeJob",
        "metadata": {"name": "acme"},
        "spec": {"type": "spiderSite", "payload": {"url": "https://acme.example"}},
    });
    let fenced = |metadata: Value| {
        let mut fence = json!({"uid": "{uid}", "resourceVersion": "{version}"});
        for (field, value) in metadata.as_object().unwrap() {
            fence[field] = value.clone();
        }
        json!({"metadata": fence})
    };
    let protected =
        json!({"finalizers": ["spideriq.ai/job"], "annotations": {"spideriq.ai/submission": "x"}});
    let status = |state: &str| {
        json!({
            "metadata": {"resourceVersion": "{version}"},
            "status": {"state": state, "reason": state, "observedGeneration": 1, "conditions": []},
        })
    };
    [
        ("read what is not there", Method::GET, "/acme", Value::Null),
        patch("patch what is not there", "/acme", fenced(json!({}))),
        ("create", Method::POST, "", job.clone()),
        ("create again", Method::POST, "", job.clone()),
        ("read: the default status", Method::GET, "/acme", Value::Null),
        patch(
            "fenced by an old version",
            "/acme",
            json!({"metadata": {"resourceVersion": "999999", "labels": {"a": "b"}}}),
        ),
        patch("fenced by another uid", "/acme", json!({"metadata": {"uid": "other", "labels": {"a": "b"}}})),
        patch("finalizer and intent", "/acme", fenced(protected.clone())),
        patch("the same again changes nothing", "/acme", fenced(protected)),
        patch("status", "/acme/status", status("Submitting")),
        patch(
            "status by an old version",
            "/acme/status",
            json!({"metadata": {"resourceVersion": "999999"}, "status": {"state": "Lost"}}),
        ),
        patch(
            "status by another uid",
            "/acme/status",
            json!({"metadata": {"uid": "other"}, "status": {"state": "Queued"}}),
        ),
        patch("the same status changes nothing", "/acme/status", json!({"status": {"state": "Queued"}})),
        patch(
            "a status leaves metadata and spec alone",
            "/acme/status",
            json!({"metadata": {"labels": {"a": "b"}}, "spec": {"suspend": true}, "status": {"state": "Processing"}}),
        ),
        patch(
            "spec leaves the status alone",
            "/acme",
            json!({"spec": {"suspend": true}, "status": {"state": "Lost"}}),
        ),
    ]
    .into_iter()
    .chain(strict_requests())
    .chain([
        patch("null removes", "/acme", json!({"spec": {"suspend": null}})),
        ("delete by another uid", Method::DELETE, "/acme", json!({"preconditions": {"uid": "other"}})),
        (
            "delete by an old version",
            Method::DELETE,
            "/acme",
            json!({"preconditions": {"resourceVersion": "999999"}}),
        ),
        ("delete what a finalizer holds", Method::DELETE, "/acme", json!({})),
        ("delete it again", Method::DELETE, "/acme", json!({})),
        patch(
            "a new finalizer while it goes",
            "/acme",
            json!({"metadata": {"finalizers": ["spideriq.ai/job", "a.example/b"]}}),
        ),
        patch("status while it goes", "/acme/status", status("Cancelled")),
        patch("the last finalizer", "/acme", fenced(json!({"finalizers": []}))),
        ("read what is gone", Method::GET, "/acme", Value::Null),
        ("create under the same name", Method::POST, "", job),
        patch(
            "fenced by the uid of the one before",
            "/acme",
            json!({"metadata": {"uid": "{first uid}", "labels": {"a": "b"}}}),
        ),
        ("delete what nothing holds", Method::DELETE, "/acme", json!({})),
        ("read what is gone again", Method::GET, "/acme", Value::Null),
    ])
    .collect()
}

/// Writes of a field that the CRD lacks, and writes that are only tried.
fn strict_requests() -> Vec<Asked> {
    let patch = |what: &'static str, path, body| (what, Method::PATCH, path, body);
    vec![
        patch(
            "strict: a field that the CRD lacks",
            "/acme/status?fieldValidation=Strict",
            json!({"status": {"state": "Lost", "notOurs": 1}}),
        ),
        patch(
            "strict, by an old version",
            "/acme/status?fieldValidation=Strict",
            json!({"metadata": {"resourceVersion": "999999"}, "status": {"notOurs": 1}}),
        ),
        patch(
            "strict, of the object, which does not take a status",
            "/acme?fieldValidation=Strict",
            json!({"metadata": {"labels": {"a": "b"}}, "status": {"notOurs": 1}}),
        ),
        patch("strict: null", "/acme/status?fieldValidation=Strict", json!({"status": {"notOurs": null}})),
        patch("not strict: dropped", "/acme/status", json!({"status": {"state": "Queued", "notOurs": 1}})),
        patch(
            "strict and dry",
            "/acme/status?fieldValidation=Strict&dryRun=All",
            json!({"status": {"notOurs": 1}}),
        ),
        patch("dry", "/acme/status?dryRun=All", json!({"status": {"state": "Lost"}})),
        ("read what was only tried", Method::GET, "/acme", Value::Null),
    ]
}

/// What counts of an answer: the code and, of an object, what the operator reads.
async fn answers(client: Client, base: &str) -> (Vec<String>, Vec<String>) {
    let (mut uid, mut version, mut first) = (String::new(), String::new(), String::new());
    let mut answers = Vec::new();
    let start = ask(&client, Method::GET, base, &Value::Null).await.1;
    for (what, method, path, body) in requests() {
        let body = body
            .to_string()
            .replace("{first uid}", &first)
            .replace("{uid}", &uid)
            .replace("{version}", &version);
        let body: Value = serde_json::from_str(&body).unwrap();
        let (code, object) = ask(&client, method, &format!("{base}{path}"), &body).await;
        let mut told = format!("{what}: {code}");
        let metadata = &object["metadata"];
        if code < 300 && object["kind"] == "ScrapeJob" {
            let found = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
            let changed = found("resourceVersion") != version;
            let same = found("uid") == uid;
            (uid, version) = (found("uid"), found("resourceVersion"));
            if first.is_empty() {
                first.clone_from(&uid);
            }
            told = format!(
                "{told}, changed {changed}, same {same}, generation {}, going {}, finalizers {}, labels {}, intent {}, suspend {}, state {}, observed {}",
                metadata["generation"],
                !metadata["deletionTimestamp"].is_null(),
                metadata["finalizers"],
                metadata["labels"],
                metadata["annotations"]["spideriq.ai/submission"],
                object["spec"]["suspend"],
                object["status"]["state"],
                object["status"]["observedGeneration"],
            );
        }
        if code == 422 {
            // What is judged: the field that it is about, and the words of a strict refusal.
            let message = object["message"].as_str().unwrap_or_default();
            let strict = message.rsplit_once("strict decoding error: ").map(|(_, words)| words);
            told = format!("{told}, {} {strict:?}", object["details"]["causes"][0]["field"]);
        }
        answers.push(told);
    }
    let from = start["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
    let watch = format!("{base}?watch=true&timeoutSeconds=2&resourceVersion={from}");
    (answers, changes(&client, &watch).await)
}

async fn ask(client: &Client, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(Body::from(body))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    let code = answer.status().as_u16();
    let body = answer.into_body().collect_bytes().await.unwrap();
    (code, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// What a watch from before the first request tells of it all.
async fn changes(client: &Client, path: &str) -> Vec<String> {
    let request = Request::builder().uri(path).body(Body::from(Vec::new())).unwrap();
    let told = client.send(request).await.unwrap().into_body().collect_bytes().await.unwrap();
    let told = String::from_utf8(told.to_vec()).unwrap();
    let lines = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| {
            let metadata = &line["object"]["metadata"];
            format!(
                "{} generation {} going {} finalizers {} state {}",
                line["type"],
                metadata["generation"],
                !metadata["deletionTimestamp"].is_null(),
                metadata["finalizers"],
                line["object"]["status"]["state"]
            )
        })
        .collect()
}

#[tokio::test]
async fn the_simulated_api_server_answers_like_the_real_one() {
    let world = World::without_operator("simulated", "{}").await;
    let base = format!("/apis/spideriq.ai/v1alpha1/namespaces/{}/scrapejobs", world.namespace);
    let (real, real_changes) = answers(world.client(), &base).await;
    let simulated = ApiServer::new("2026-01-01T00:00:00Z".parse().unwrap());
    simulated.with(|store, _| store.trim(&["notOurs"]));
    let life = Fate::new(1, Plan::default()).life();
    let (told, told_changes) = answers(simulated.client(&life), &base).await;
    let differ =
        |(real, told): (&String, &String)| (real != told).then(|| format!("real {real}\nsim  {told}"));
    let differences: Vec<String> = real.iter().zip(&told).filter_map(differ).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(told_changes, real_changes);
    assert!(real.len() == requests().len() && real_changes.len() > 5, "{real_changes:?}");
}
