//! The service asks to wait for a day, or knows no address: who tries it, how often, and what it costs.

use std::time::Duration;

use emulator::journal::Event;
use serde_json::json;

use super::fate::Plan;
use super::run::{Ended, NEXT_TOKEN, run};
use super::scenario::{Deed, Scenario, site};

const MINUTE: u64 = 60;
const RULES: &str = "jobs: [{queued: 2, end: processing}]";
/// The first jobs are under way by then.
const LATER: u64 = 30;

fn ended(name: &'static str, deeds: Vec<(u64, Deed)>, lasts: u64, plan: Plan) -> Ended {
    run(&Scenario { name, rules: RULES, deeds, lasts }, 1, plan)
}

fn requests(ended: &Ended, route: &str) -> usize {
    let entries = ended.service.journal(0).entries.into_iter();
    entries.filter(|entry| matches!(&entry.event, Event::Request(request) if request.route == route)).count()
}

fn state(ended: &Ended, name: &str) -> String {
    let jobs = ended.api.store().list("ScrapeJob", None);
    let job = jobs.iter().find(|job| job["metadata"]["name"] == name);
    let word =
        |field: &str| job.map_or("gone", |job| job["status"][field].as_str().unwrap_or_default()).to_owned();
    format!("{} {}", word("state"), word("reason"))
}

/// One faulty answer of a day on a route, then a healthy service.
fn day(route: &str) -> Deed {
    let rule = format!(
        "[{{match: {{route: {route}}}, when: {{first: 1}}, reply: {{status: 429, headers: {{retry-after: '86400'}}}}}}]"
    );
    Deed::Faults(rule.leak())
}

#[test]
fn a_day_that_the_list_was_told_is_over_with_the_list_a_quarter_of_an_hour_later() {
    let deeds = |then: Vec<(u64, Deed)>| {
        [vec![(1, Deed::Create("long", site("long"))), (LATER, day("list"))], then].concat()
    };
    let create = vec![(LATER + 20, Deed::Create("acme", site("acme")))];
    let during = ended("a day of lists", deeds(create.clone()), LATER + 10 * MINUTE, Plan::default());
    assert_eq!(state(&during, "acme"), "Pending RateLimited");
    let after = ended("a day of lists", deeds(create), LATER + 18 * MINUTE, Plan::default());
    assert_eq!(state(&after, "acme"), "Processing Processing");
    assert_eq!((requests(&after, "submit"), requests(&after, "whoami")), (2, 1), "the list tried it");
}

/// Whoever changes the account or its Secret means to mend it, and need not wait for the quarter of an hour.
#[test]
fn a_day_is_tried_at_once_with_another_token_or_another_account() {
    let limits = json!({"limits": {"requestsPerMinute": 90}});
    for mended in [Deed::Token(NEXT_TOKEN), Deed::Account(limits)] {
        let deeds = vec![
            (1, Deed::Create("long", site("long"))),
            (LATER, day("list")),
            (LATER + 20, Deed::Create("acme", site("acme"))),
            (LATER + 2 * MINUTE, mended.clone()),
        ];
        let before = ended("a day", deeds.clone(), LATER + 2 * MINUTE - 10, Plan::default());
        assert_eq!(state(&before, "acme"), "Pending RateLimited", "{mended:?}");
        let after = ended("a day", deeds, LATER + 4 * MINUTE, Plan::default());
        assert_eq!(state(&after, "acme"), "Processing Processing", "{mended:?}");
        assert_eq!(requests(&after, "submit"), 2, "{mended:?}");
    }
}

/// What was told of the day is gone: only a submit waits, and may not try.
#[test]
fn a_day_that_nothing_reads_through_is_tried_by_whoami() {
    let deeds = vec![
        (0, Deed::Account(json!({"sync": {"list": "Off"}}))),
        (1, Deed::Create("long", site("long"))),
        (LATER, day("cancel")),
        (LATER + 1, Deed::Delete("long")),
        (LATER + 20, Deed::Create("acme", site("acme"))),
    ];
    let after = ended("a day of cancels", deeds, LATER + 20 * MINUTE, Plan::default());
    assert_eq!(
        (state(&after, "long").as_str(), state(&after, "acme").as_str()),
        ("gone gone", "Processing Processing")
    );
    assert_eq!((requests(&after, "submit"), requests(&after, "whoami")), (2, 2));
}

/// The service means it: each hour one submit asks, and nothing is written for it but that it was tried.
#[test]
fn a_ceiling_of_submits_costs_one_submit_an_hour() {
    const JOBS: usize = 30;
    const HOURS: u64 = 6;
    let rule = "[{match: {route: submit}, reply: {status: 429, headers: {retry-after: '80000'}}}]";
    let mut deeds = vec![(0, Deed::Faults(rule))];
    deeds.extend((0..JOBS).map(|n| {
        let name: &'static str = format!("job-{n}").leak();
        (1, Deed::Create(name, site(name)))
    }));
    for plan in [Plan::default(), Plan { two: true, ..Plan::default() }] {
        let replicas = 1 + usize::from(plan.two);
        let after = ended("a ceiling of submits", deeds.clone(), HOURS * 60 * MINUTE, plan);
        let submits = requests(&after, "submit");
        // A handful was under way before the first answer.
        let most = usize::try_from(HOURS).unwrap() * replicas + 10 * replicas;
        assert!((5..=most).contains(&submits), "{submits} submits");
        assert!((0..JOBS).all(|n| state(&after, &format!("job-{n}")) == "Pending RateLimited"));
        let writes = after.api.store().writes.iter().filter(|(_, key)| key.kind == "ScrapeJob").count();
        assert!(writes < JOBS * 3 + submits * 6, "{writes} writes");
    }
}

/// An address that nobody knows is waited for, then held, and all go on by themselves when it is known again.
#[test]
fn a_type_that_is_served_nowhere_is_held_after_ten_minutes_and_goes_on_by_itself() {
    const JOBS: usize = 20;
    let nowhere = "[{match: {route: submit, type: Mail}, reply: {status: 404}}]";
    let mut deeds = vec![(0, Deed::Faults(nowhere))];
    let names: Vec<&'static str> = (0..JOBS).map(|n| &*format!("job-{n}").leak()).collect();
    let mail =
        |name: &str| json!({"type": "spiderMail", "payload": {"url": format!("https://{name}.example")}});
    deeds.extend(names.iter().map(|name| (1, Deed::Create(name, mail(name)))));
    let at = |lasts: u64, more: Vec<(u64, Deed)>, plan: Plan| {
        ended("served nowhere", [deeds.clone(), more].concat(), lasts, plan)
    };
    let early = at(5 * MINUTE, Vec::new(), Plan::default());
    assert!(
        names.iter().all(|name| state(&early, name) == "Pending ServiceUnavailable"),
        "{}",
        state(&early, "job-0")
    );
    let crash = |second: u64| vec![(second, Deed::Crash)];
    let held = at(40 * MINUTE, crash(25 * MINUTE), Plan::default());
    let states: Vec<String> = names.iter().map(|name| state(&held, name)).collect();
    assert!(states.iter().all(|state| state == "Held NotServed"), "{states:?}");
    let submits = requests(&held, "submit");
    assert!(submits < 40, "{submits} submits in 40 minutes");
    let mended = [crash(25 * MINUTE), vec![(30 * MINUTE, Deed::Faults("[]"))]].concat();
    let after = at(50 * MINUTE, mended, Plan { latency: Duration::from_millis(5), ..Plan::default() });
    let states: Vec<String> = names.iter().map(|name| state(&after, name)).collect();
    assert!(states.iter().all(|state| state == "Processing Processing"), "{states:?}");
    assert_eq!(after.service.jobs().len(), JOBS);
}
