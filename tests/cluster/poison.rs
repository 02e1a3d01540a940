//! An object that a tenant nests as deep as the API server stores stops nobody else, and ends like any other.

use http::Request;
use serde_json::json;

use super::support::{TOKEN, World, job, site};
use testbed::Testbed;

/// Jobs run until they are told to end.
const ENDLESS: &str = "jobs: [{queued: 0.1, end: processing}]";
/// Deeper than the process reads, than serde's limit, and than a tree of which overflows a stack.
const DEPTHS: [usize; 4] = [65, 123, 130, 9_000];

fn nested(depth: usize) -> String {
    format!("{}1{}", r#"{"f:a":"#.repeat(depth), "}".repeat(depth))
}

/// Creates an object from its text, which kubectl would read first.
async fn create(world: &World, plural: &str, text: String) {
    let path = format!("/apis/spideriq.ai/v1alpha1/namespaces/{}/{plural}", world.namespace);
    let request =
        Request::post(path).header("content-type", "application/json").body(text.into_bytes()).unwrap();
    world.client().request_text(request).await.unwrap();
}

/// A job of that depth, with more of its metadata.
fn deep(name: &str, depth: usize, metadata: &str) -> String {
    format!(
        r#"{{"apiVersion":"spideriq.ai/v1alpha1","kind":"ScrapeJob","metadata":{{"name":"{name}"{metadata}}},"spec":{{"type":"spiderSite","payload":{{"url":"https://{name}.example","x":{}}}}}}}"#,
        nested(depth - 1)
    )
}

/// An object as text; empty if there is none.
fn text(world: &World, name: &str) -> String {
    let path = format!("/apis/spideriq.ai/v1alpha1/namespaces/{}/scrapejobs/{name}", world.namespace);
    world.kubectl(&["get", "--raw", &path]).unwrap_or_default()
}

/// Waits until the texts of these objects have all of this.
async fn until_text(world: &World, names: &[String], has: &[&str]) {
    world
        .until_true(&format!("{names:?} have {has:?}"), |world| {
            names.iter().all(|name| {
                let text = text(world, name);
                has.iter().all(|part| text.contains(part))
            })
        })
        .await;
}

/// A world of two namespaces with an account each, in the second one.
async fn two(name: &str) -> (World, String, String) {
    let mut world = World::on(Testbed::attach().unwrap(), name, &["neighbour"], ENDLESS).await;
    world.account("default", "");
    let (home, neighbour) = (world.namespace.clone(), format!("{}-neighbour", world.namespace));
    world.enter(&neighbour, "");
    world.account("default", "");
    (world, home, neighbour)
}

fn cancelled(world: &World) -> usize {
    world.service.jobs().iter().filter(|job| job.state == "cancelled").count()
}

#[tokio::test]
async fn deep_objects_of_one_tenant_stop_nobody_and_say_what_is_wrong() {
    let (mut world, home, neighbour) = two("poison").await;
    let names: Vec<String> = DEPTHS.iter().map(|depth| format!("deep-{depth}")).collect();
    world.start();
    world.site("before", "");
    world.until("before", "Processing").await;
    world.enter(&home, "");
    // By the watch, and by the answers to what the operator writes.
    for (name, depth) in names.iter().zip(DEPTHS) {
        create(&world, "scrapejobs", deep(name, depth, "")).await;
    }
    let managed = format!(
        r#","managedFields":[{{"manager":"m","operation":"Update","apiVersion":"spideriq.ai/v1alpha1","fieldsType":"FieldsV1","fieldsV1":{}}}]"#,
        nested(500)
    );
    create(&world, "scrapejobs", deep("managed", 3, &managed)).await;
    let account = format!(
        r#"{{"apiVersion":"spideriq.ai/v1alpha1","kind":"ScrapeAccount","metadata":{{"name":"managed"{managed}}},"spec":{{"secretRef":{{"name":"default"}}}}}}"#
    );
    create(&world, "scrapeaccounts", account).await;
    until_text(
        &world,
        &names,
        &["\"state\":\"Failed\"", "\"reason\":\"InvalidPayload\"", "64 levels are allowed"],
    )
    .await;
    until_text(&world, &["managed".to_owned()], &["\"state\":\"Processing\""]).await;
    world.enter(&neighbour, "");
    world.site("beside", "");
    world.until("beside", "Processing").await;
    // By the list at a start.
    world.kill();
    world.start();
    world.site("after", "");
    world.until("after", "Processing").await;
    // By the live list before a cancel.
    for name in ["before", "after"] {
        world.kubectl(&["delete", "scrapejob", name, "--timeout=60s"]).unwrap();
    }
    assert_eq!(cancelled(&world), 2);
    world.enter(&home, "");
    for name in &names {
        world.kubectl(&["delete", "scrapejob", name, "--timeout=60s"]).unwrap();
    }
    assert_eq!(world.made().len(), 4, "no deep payload was sent");
    assert!(!world.logged().contains("f:a"), "a body is in the log");
}

#[tokio::test]
async fn a_deep_object_is_a_sharer_like_any_other_and_its_finalizer_goes() {
    let (mut world, home, neighbour) = two("deepsharer").await;
    world.start();
    world.site("first", "");
    world.site("second", "");
    let first = world.until("first", "Processing").await;
    world.until("second", "Processing").await;
    assert!(world.stop().await);
    // What an earlier release, which sent payloads of that depth, left behind.
    world.enter(&home, "");
    create(&world, "scrapejobs", deep("deep", 123, r#","finalizers":["spideriq.ai/job"]"#)).await;
    create(&world, "scrapejobs", deep("unsent", 9_000, r#","finalizers":["spideriq.ai/job"]"#)).await;
    let mut status = json!({ "status": first["status"] });
    status["status"]["submission"]["bodyHash"] = "v1:00".into();
    let patch = ["patch", "scrapejob", "deep", "--subresource=status", "--type=merge", "--patch"];
    world.kubectl(&[patch.as_slice(), &[&status.to_string()]].concat()).unwrap();
    world.start();
    until_text(&world, &["deep".to_owned()], &["\"state\":\"Processing\"", "\"reason\":\"Processing\""])
        .await;
    world.enter(&neighbour, "");
    for name in ["first", "second"] {
        world.kubectl(&["delete", "scrapejob", name, "--timeout=60s"]).unwrap();
    }
    assert_eq!(cancelled(&world), 1, "the deep one uses the first");
    world.enter(&home, "");
    for name in ["deep", "unsent"] {
        world.kubectl(&["delete", "scrapejob", name, "--timeout=60s"]).unwrap();
    }
    assert_eq!(cancelled(&world), 2, "the last one that uses a job cancels it");
    assert_eq!(world.made().len(), 2);
}

#[tokio::test]
async fn a_secret_of_any_depth_is_used() {
    let mut world = World::without_operator("deepsecret", ENDLESS).await;
    let secret = format!(
        r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"default","managedFields":[{{"manager":"m","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{}}}]}},"stringData":{{"token":"{TOKEN}"}}}}"#,
        nested(500)
    );
    let path = format!("/api/v1/namespaces/{}/secrets", world.namespace);
    let request =
        Request::post(path).header("content-type", "application/json").body(secret.into_bytes()).unwrap();
    world.client().request_text(request).await.unwrap();
    world.account_alone("default", "");
    world.start();
    world.apply(&job("acme", &site("acme", "")));
    world.until("acme", "Processing").await;
}
