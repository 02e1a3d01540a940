//! The service's events over a real network: changes show at once, and the token that stands in an address is nowhere else.

use serde_json::{Value, json};

use super::support::{TOKEN, World};

async fn listening(name: &str, allowed: bool) -> World {
    let mut world = World::without_operator(
        name,
        "jobs: [{match: {contains: lasting}, queued: 1, end: processing}, {queued: 4, processing: 4}]",
    )
    .await;
    world.account("default", ", sync: {events: Auto}");
    if allowed {
        world.arguments.push("--allow-events".to_owned());
    }
    // What libraries would say of an address.
    world.variables.push(("RUST_LOG", "trace,hyper=trace,reqwest=trace,h2=trace,rustls=trace".to_owned()));
    world.start();
    // While an account has a job it says how it follows it.
    world.site("lasting", "");
    world
}

fn streams(world: &World) -> usize {
    world.requests("events").len()
}

/// How the account says that it follows its jobs: it does so while it has some.
async fn sync(world: &World) -> Value {
    let says = |account: &Value| account["status"]["sync"].is_object();
    world.until_of("ScrapeAccount", "default", "says how it follows", says).await["status"]["sync"].clone()
}

#[tokio::test]
async fn events_are_heard_where_the_chart_and_the_account_agree_and_the_token_is_in_no_log() {
    let world = listening("events", true).await;
    // One that is refused first: errors have addresses in them.
    world.faults("[{match: {route: events}, when: {first: 1}, drop: before}]");
    for n in 0..4 {
        world.site(&format!("site-{n}"), "");
    }
    assert_eq!(sync(&world).await, json!({"mode": "List", "events": "Used"}));
    for n in 0..4 {
        let job = world.until(&format!("site-{n}"), "Completed").await;
        assert_eq!(job["status"]["reason"], "Completed", "{job}");
    }
    assert!((2..=4).contains(&streams(&world)), "{} streams", streams(&world));
    let log = world.logged();
    assert!(!log.contains(TOKEN) && !log.contains("secret_canary"), "the token is in the log");
    assert!(!log.contains("token="), "an address is in the log");
    assert!(!world.http("/metrics").await.contains("secret_canary"));
}

#[tokio::test]
async fn what_the_chart_does_not_allow_no_account_gets() {
    let world = listening("no-events", false).await;
    assert_eq!(sync(&world).await, json!({"mode": "List", "events": "NotAllowed"}));
    assert_eq!(streams(&world), 0);
}
