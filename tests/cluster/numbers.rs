//! Numbers and odd bytes on their whole way: manifest, API server, operator, service, and back into the status.

use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spideriq_operator::decide::Message;
use spideriq_operator::decide::message::{End, Told, Unread};

use super::support::World;

const ID: &str = "550e8400-e29b-41d4-a716-446655440000";

/// Written by hand; what the API server makes of each is up to it.
const PAYLOAD: &str = "url: https://numbers.example, a: 1.5777777777770001, b: 117.63331139400017, c: 0.9215686321258545, \
    d: -1.8134499788284302, list: [52.520008, -114.35932276721135, {deep: -4.199010356643058e-19}], whole: 1.0, \
    exponent: 1e3, octal: 0777, zero: -0.0, beyond53: 9007199254740993, beyond63: 9223372036854775808, \
    beyond64: 123456789012345680000, large: 1.0591109319140219e+22, small: 5e-324";

/// `kubectl get --output json` says what is sent, and `plan` reads the file as the API server did.
#[tokio::test]
async fn what_is_sent_means_the_doubles_that_the_api_server_shows() {
    let world = World::new("numbers", "jobs: [{queued: 0, processing: 300}]").await;
    let manifest = format!(
        "---\napiVersion: spideriq.ai/v1alpha1\nkind: ScrapeJob\nmetadata: {{name: exact}}\nspec: {{type: spiderSite, priority: 5.0, payload: {{{PAYLOAD}}}}}\n"
    );
    world.apply(&format!("{manifest}---\n"));
    let job = world.until("exact", "Processing").await;
    let shown = world.kubectl(&["get", "scrapejob", "exact", "--output", "json"]).unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let [sent] = &world.requests("submit")[..] else { panic!("one submit") };
    // The doubles of the text that is shown, in the fewest digits that mean them, and in no other way.
    let exact = format!(r#"{{"payload":{},"priority":5}}"#, shown["spec"]["payload"]);
    assert_eq!(sent.body_sha256, hex::encode(Sha256::digest(&exact)), "{exact}");
    for kept in
        ["1.5777777777770001", "117.63331139400017", "\"whole\":1,", "\"exponent\":1000,", "\"octal\":511,"]
    {
        assert!(exact.contains(kept), "{kept} in {exact}");
    }
    // The hash is that of the very bytes, of a version that no older release takes for its own.
    let hash = job["status"]["submission"]["bodyHash"].as_str().unwrap();
    assert_eq!(hash, format!("v2:{}", sent.body_sha256));
    let intent: Value =
        serde_json::from_str(job["metadata"]["annotations"]["spideriq.ai/submission"].as_str().unwrap())
            .unwrap();
    assert_eq!((&intent["v"], &intent["bodyHash"]), (&json!(2), &json!(hash)));

    let folder = std::env::temp_dir().join(format!("numbers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let plan = |manifest: &str| {
        let (file, facts) = (folder.join("job.yaml"), folder.join("facts.yaml"));
        let live = manifest.replace(
            "{name: exact}",
            &format!("{{name: exact, namespace: {}, finalizers: [spideriq.ai/job]}}", world.namespace),
        );
        std::fs::write(&file, format!("{live}status: {}\n---\n", job["status"])).unwrap();
        std::fs::write(&facts, "now: 2026-01-01T12:00:00Z\n---\n").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_spideriq-operator"));
        let output =
            command.arg("plan").arg("--filename").arg(file).arg("--facts").arg(facts).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = plan(&manifest);
    assert!(!said.contains("PayloadChangedWithoutRunID"), "{said}");
    for (written, other) in [("0777", "777"), ("1e3", "1001"), ("0.9215686321258545", "0.9215686321258544")] {
        let said = plan(&manifest.replace(written, other));
        assert!(said.contains("PayloadChangedWithoutRunID"), "{written} and not {other}: {said}");
    }
}

/// A record of the release before: the repeat that settles it sends that release's bytes, and pays for nothing.
#[tokio::test]
async fn a_submit_of_the_release_before_is_repeated_in_its_bytes() {
    let mut world = World::without_operator("repeated", "jobs: [{queued: 0, processing: 300}]").await;
    world.account("default", "");
    let before = r#"{"payload":{"lat":117.63331139400016,"url":"https://repeated.example"}}"#;
    world.job(
        "repeated",
        "type: spiderSite, payload: {url: \"https://repeated.example\", lat: 117.63331139400017}",
    );
    // It reached the service, and nobody saw the answer.
    let endpoint = world.endpoint.clone();
    let made = submit(&endpoint, before).await;
    let hash = format!("v1:{}", world.requests("submit")[0].body_sha256);
    let now = jiff::Timestamp::now();
    let status = json!({"status": {
        "observedGeneration": 1, "state": "Submitting", "reason": "Submitting", "message": "the submit is being sent",
        "type": "spiderSite", "startTime": now,
        "submission": {"bodyHash": hash, "nonce": "nonce-before", "try": 1, "startedAt": now, "endpoint": endpoint, "clientID": "cli_test"},
    }});
    let patch = ["patch", "scrapejob", "repeated", "--subresource=status", "--type=merge", "--patch"];
    world.kubectl(&[&patch[..], &[&status.to_string()]].concat()).unwrap();
    world.start();
    let job = world.until("repeated", "Processing").await;
    assert_eq!(job["status"]["jobID"], json!(made), "{job}");
    let submits = world.requests("submit");
    let bodies: Vec<&str> = submits.iter().map(|request| request.body_sha256.as_str()).collect();
    assert!(bodies.len() > 1 && bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!(world.made().len(), 1, "nothing was made, and paid for, anew");
}

/// Submits as another process would, and says which job it made.
async fn submit(endpoint: &str, body: &str) -> String {
    let answer = reqwest::Client::new()
        .post(format!("{endpoint}/jobs/spiderSite/submit"))
        .bearer_auth(super::support::TOKEN)
        .header("content-type", "application/json")
        .body(body.to_owned())
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    answer["job_id"].as_str().unwrap().to_owned()
}

/// The answers of a report: an accepted job, its end and its words are read, whatever stands beside them.
#[tokio::test]
async fn odd_bytes_in_answers_cost_no_job_no_end_and_no_words() {
    let world = World::new("oddbytes", "{}").await;
    let answers = [
        ("submit", 201, "half-a-surrogate-in-a-submit.json"),
        ("status", 200, "half-a-surrogate-in-a-status.json"),
        ("results", 410, "turned-text.json"),
    ];
    let faults: Vec<String> = answers
        .iter()
        .map(|(route, code, file)| {
            let path = format!("{}/tests/corpus/answers/{file}", env!("CARGO_MANIFEST_DIR"));
            let body = base64(&std::fs::read(path).unwrap());
            format!("{{match: {{route: {route}}}, reply: {{status: {code}, body_base64: \"{body}\"}}}}")
        })
        .collect();
    world.faults(&format!("[{}]", faults.join(", ")));
    world.site("odd", "");
    let job = world.until("odd", "Failed").await;
    assert_eq!(job["status"]["jobID"], json!(ID), "{job}");
    let words = job["status"]["remote"]["errorMessage"].as_str().unwrap();
    // The status has half a surrogate, the results have turned text; either may be the last word.
    assert!(["x \u{fffd} y", "abcd ef"].contains(&words), "{words:?}");
    let hidden = ['\u{202e}', '\u{2066}', '\u{200b}', '\u{2028}', '\u{feff}'];
    let told = format!("{job}{:?}{}", world.events("odd").await, world.logged());
    assert!(!told.contains(hidden), "{told}");
    assert_eq!(world.requests("submit").len(), 1);
}

fn base64(bytes: &[u8]) -> String {
    const WORDS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let word = |bits: u32| char::from(WORDS[(bits & 63) as usize]);
    let four = |three: &[u8]| {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let all = byte(0) << 16 | byte(1) << 8 | byte(2);
        let mut four: Vec<char> = [18, 12, 6, 0].map(|shift| word(all >> shift)).to_vec();
        four.splice(three.len() + 1.., std::iter::repeat_n('=', 3 - three.len()));
        four.into_iter().collect::<String>()
    };
    bytes.chunks(3).map(four).collect()
}

/// What would come back after its deletion stays, and says for whom.
#[tokio::test]
async fn a_time_to_live_that_is_held_back_is_told_on_the_object() {
    let world = World::new("keptttl", "jobs: [{queued: 0, processing: 0}]").await;
    for (name, marks) in [
        ("kapp", "labels: {kapp.k14s.io/app: \"1557433075084066000\"}"),
        ("csync", "annotations: {configmanagement.gke.io/managed: enabled}"),
    ] {
        world.apply(&format!(
            "{{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeJob, metadata: {{name: {name}, {marks}}}, spec: {{{}}}}}",
            super::support::site(name, ", ttlSecondsAfterFinished: 0")
        ));
    }
    for (name, program) in [("kapp", "kapp"), ("csync", "Config Sync")] {
        let job = world.until(name, "Completed").await;
        let done = Message::End(End::AsTold {
            how: Told::Completed(None),
            unread: Unread::Nothing,
            mirrored: false,
        });
        let said = job["status"]["message"].as_str().unwrap();
        let (_, kept) = said.split_once('.').unwrap();
        let meant = done.kept_for(Some(program)).to_string();
        assert!(meant.ends_with(kept) && !kept.is_empty(), "{said}");
    }
    world
        .kubectl(&[
            "patch",
            "scrapejob",
            "kapp",
            "--type=merge",
            "--patch",
            r#"{"spec": {"ttlPolicy": "Force"}}"#,
        ])
        .unwrap();
    world.until_true("it goes", |world| world.kubectl(&["get", "scrapejob", "kapp"]).is_err()).await;
    world.kubectl(&["get", "scrapejob", "csync"]).unwrap();
}
