//! Two releases of the operator over one namespace, for real: one works, and the other goes on when it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::replica::Replica;
use super::support::World;

/// How often people were told on the account that another release works, and in which words.
async fn told(world: &World) -> Vec<String> {
    let events = world.events("default").await;
    events.into_iter().filter(|(_, reason, _)| reason == "AnotherOperator").map(|(_, _, note)| note).collect()
}

async fn holder(world: &World) -> String {
    let account = world.get("ScrapeAccount", "default").await;
    account["status"]["operator"]["id"].as_str().unwrap_or_default().to_owned()
}

async fn submitted(world: &World, name: &str) {
    let accepted = |job: &serde_json::Value| job["status"]["jobID"].is_string();
    world.until_of("ScrapeJob", name, "accepted", accepted).await;
}

/// Nothing was submitted twice, whoever did.
fn none_twice(world: &World) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for request in world.requests("submit") {
        *counts.entry(request.payload.unwrap_or_default()["url"].to_string()).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}

#[tokio::test]
async fn one_works_the_other_says_so_once_and_goes_on_when_it_ends() {
    let mut world = World::without_operator("releases", "jobs: [{queued: 0.2, end: processing}]").await;
    world.account("default", "");
    // The account has something else to say all the time.
    world.faults("[{match: {route: status}, reply: {status: 429, headers: {retry-after: '2'}}}]");
    let mut first = Replica::start(&world, "first");
    first.until(&world, "leading").await;
    world.site("one", "");
    submitted(&world, "one").await;
    let own = format!("{}/{}", world.home, world.lease());
    assert_eq!(holder(&world).await, own);

    world.arguments = vec!["--operator-id=second".to_owned(), "--leader-elect=false".to_owned()];
    let mut second = Replica::start(&world, "second");
    second.until(&world, "AnotherOperator").await;
    world.site("two", "");
    submitted(&world, "two").await;
    let (_, from) = world.bed.audit(0).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let asked = world.bed.audit(from).unwrap().0.into_iter();
    let writes = asked.filter(|entry| {
        entry.user == world.user() && entry.verb == "patch" && entry.resource.starts_with("scrapeaccounts")
    });
    // One in 5 s at most, and a renewal with the dry run before it.
    let writes: Vec<_> = writes.collect();
    assert!(writes.len() <= 15, "{writes:#?}");
    let notes = told(&world).await;
    assert!(notes.len() == 1 && notes[0].contains(&own) && notes[0].contains("second"), "{notes:?}");
    let two = world.get("ScrapeJob", "two").await;
    assert_eq!((two["status"]["operator"].as_str(), holder(&world).await), (Some(own.as_str()), own.clone()));
    assert!(!second.logged().contains("submitting"), "{}", second.logged());

    // Its Lease runs out.
    first.kill();
    world.site("three", "");
    submitted(&world, "three").await;
    assert_eq!(holder(&world).await, "second");

    // It takes its claim off, and whoever comes goes on at once.
    second.signal("TERM");
    assert!(second.ended().await.success(), "{}", second.logged());
    assert_eq!(holder(&world).await, "");
    world.arguments = vec!["--operator-id=third".to_owned(), "--leader-elect=false".to_owned()];
    let third = Replica::start(&world, "third");
    world.site("four", "");
    submitted(&world, "four").await;
    assert_eq!(holder(&world).await, "third");
    assert!(!third.logged().contains("AnotherOperator"), "{}", third.logged());
    none_twice(&world);
}
