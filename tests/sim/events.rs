//! The service's events: changes show at once, and whatever they say, nothing else comes out than without them.

use emulator::journal::Event;
use serde_json::{Value, json};

use super::fate::Plan;
use super::lists::{between, shown};
use super::run::{Ended, key, run};
use super::scenario::{Deed, Scenario};

/// Half of them end.
const JOBS: usize = 40;
const LASTS: u64 = 300;

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// Mirrors of jobs that begin to run after a minute or two, and of which those of group 1 end after three; an account that
/// listens to events or not, and what the stream does.
fn listening(events: &str, says: &str) -> Ended {
    let rules = format!(
        "jobs: [{{match: {{contains: group-1.}}, queued: [60, 120], processing: [60, 120]}}, {{queued: [60, 120], end: processing}}]\nevents: {says}"
    );
    let mut deeds: Vec<(u64, Deed)> = (0..JOBS)
        .flat_map(|n| {
            let id = leaked(format!("550e8400-e29b-41d4-a716-{n:012}"));
            let page = leaked(format!("https://group-{}.example/{n}", n % 2));
            [
                (0, Deed::Theirs(id, page)),
                (1, Deed::Create(leaked(format!("mirror-{n}")), json!({"jobID": id}))),
            ]
        })
        .collect();
    deeds.push((0, Deed::Account(json!({"sync": {"events": events}}))));
    deeds.sort_by_key(|(at, _)| *at);
    run(&Scenario { name: "events", rules: leaked(rules), deeds, lasts: LASTS }, 1, Plan::default())
}

fn requests(ended: &Ended, route: &str) -> usize {
    requests_between(ended, (0, u64::MAX), route)
}

fn requests_between(ended: &Ended, (from, to): (u64, u64), route: &str) -> usize {
    let events = between(ended, from, to);
    events.iter().filter(|event| matches!(event, Event::Request(request) if request.route == route)).count()
}

/// What all objects say in the end, but for when.
fn outcome(ended: &Ended) -> Vec<Value> {
    let jobs = ended.api.store().list("ScrapeJob", None).into_iter();
    jobs.map(|job| json!([job["metadata"]["name"], job["status"]["state"], job["status"]["reason"]]))
        .collect()
}

fn sync(ended: &Ended) -> Value {
    ended.api.store().get(&key("ScrapeAccount", "default")).unwrap()["status"]["sync"].clone()
}

#[test]
fn events_show_changes_at_once_for_a_few_pages_of_the_list() {
    let (with, without) = (listening("Auto", "{}"), listening("Off", "{}"));
    assert_eq!(outcome(&with), outcome(&without));
    let (seen, missing) = shown(&with);
    assert_eq!((seen.len(), missing), (JOBS / 2, 0));
    // Two that end together are shown by two pages.
    assert!(seen.last() <= Some(&2), "{seen:?}");
    assert!(seen.iter().filter(|after| **after == 0).count() * 2 > seen.len(), "{seen:?}");
    assert!(requests(&with, "list") * 2 < requests(&without, "list"), "{}", requests(&with, "list"));
    assert_eq!((requests(&with, "events"), requests(&without, "events")), (1, 0));
    assert_eq!(sync(&with), json!({"mode": "List", "events": "Used"}));
}

/// An event is a hint: lost, doubled, forged or padded, it changes nothing but how soon something shows.
#[test]
fn whatever_events_say_the_end_is_that_without_them() {
    let calm = listening("Off", "{}");
    for says in [
        "{lost: 0.3}",
        "{lost: 1}",
        "{doubled: 1}",
        "{forged: 10}",
        "{padding: 1000}",
        "{padding: 100000}",
        "{silent: true}",
        "{ends_after: 1}",
        "{ends_after: 0}",
    ] {
        let ended = listening("Auto", says);
        assert_eq!(outcome(&ended), outcome(&calm), "{says}");
        let (seen, missing) = shown(&ended);
        assert_eq!((seen.len(), missing), (JOBS / 2, 0), "{says}");
        assert!(seen.last() <= Some(&16), "{says}: {seen:?}");
        let (looks, opened) = (requests(&ended, "status"), requests(&ended, "events"));
        assert!(looks <= requests(&calm, "status") + 4 * JOBS, "{says}: {looks} looks");
        assert!(opened <= 40, "{says}: opened {opened} times");
    }
}

/// A stream that cannot be opened costs a try now and then, and the account nothing.
#[test]
fn a_stream_that_is_refused_costs_nothing() {
    for fault in [
        "reply: {status: 401}",
        "reply: {status: 403}",
        "reply: {status: 404}",
        "reply: {status: 500}",
        "reply: {status: 302, headers: {location: 'https://elsewhere.example/'}}",
        "reply: {status: 200, body: '<html>'}",
        "hang: before",
        "drop: before",
    ] {
        let rules = leaked(format!("{{}}\nfaults: [{{match: {{route: events}}, {fault}}}]"));
        let ended = listening("Auto", rules);
        assert_eq!(outcome(&ended), outcome(&listening("Off", "{}")), "{fault}");
        let (seen, missing) = shown(&ended);
        assert_eq!((seen.len(), missing), (JOBS / 2, 0), "{fault}");
        assert!(seen.last() <= Some(&4), "{fault}: {seen:?}");
        assert!(requests(&ended, "events") <= 20, "{fault}: {}", requests(&ended, "events"));
        let account = ended.api.store().get(&key("ScrapeAccount", "default")).unwrap();
        let ready = account["status"]["conditions"].as_array().unwrap();
        let ready = ready.iter().find(|condition| condition["type"] == "Ready").unwrap();
        assert_eq!(ready["status"], "True", "{fault}");
    }
}

/// A stream is open while something is followed, and no longer.
#[test]
fn a_stream_is_open_while_something_is_followed() {
    let site =
        |name: &str| json!({"type": "spiderSite", "payload": {"url": format!("https://{name}.example")}});
    let mut deeds = vec![(0, Deed::Account(json!({"sync": {"events": "Auto"}})))];
    for (at, name) in [(5, "first"), (20, "second"), (1_000, "third")] {
        deeds.push((at, Deed::Create(name, site(name))));
    }
    let rules = "jobs: [{queued: 5, processing: 20}]";
    let ended = run(&Scenario { name: "events", rules, deeds, lasts: 1_200 }, 1, Plan::default());
    assert_eq!(requests_between(&ended, (0, 900), "events"), 1, "the second job needs no other");
    assert_eq!(requests_between(&ended, (900, 1_200), "events"), 1, "it was closed meanwhile");
    let (seen, missing) = shown(&ended);
    assert_eq!((seen.len(), missing), (3, 0));
    assert!(seen.last() <= Some(&1), "{seen:?}");
    // Nothing is asked while nothing is followed.
    assert_eq!(requests_between(&ended, (100, 990), "list"), 0);
}
