//! Many running jobs deleted at once, under the limits that the service documents: every one is cancelled.

use std::time::Duration;

use emulator::journal::{Event, RequestEvent};
use jiff::Timestamp;
use serde_json::json;

use super::fate::Plan;
use super::run::{Ended, run};
use super::scenario::{Deed, Scenario, site};

/// More than three minutes of requests.
const JOBS: usize = 230;
const DELETED: u64 = 600;
/// Each is cancelled with one request, at the pace of the budget: none waits longer than for those before it, and then
/// for its bound.
const WITHIN: u64 = 180 + 120;

/// Mirrors of jobs of others, which cancel them when they go; and what happens between their deletion and the end.
fn ended(name: &'static str, more: Vec<(u64, Deed)>) -> Ended {
    let id = |n: usize| &*format!("1c9b4f0e-0000-4000-8000-{n:012}").leak();
    let object = |n: usize| &*format!("mirror-{n}").leak();
    let page = |n: usize| &*format!("https://long-{n}.example").leak();
    let mirror = |n: usize| json!({"jobID": id(n), "deletionPolicy": "Cancel"});
    let mut deeds: Vec<(u64, Deed)> = (0..JOBS).map(|n| (0, Deed::Theirs(id(n), page(n)))).collect();
    deeds.extend((0..JOBS).map(|n| (1, Deed::Create(object(n), mirror(n)))));
    deeds.extend((0..JOBS).map(|n| (DELETED, Deed::Delete(object(n)))));
    deeds.extend(more);
    deeds.sort_by_key(|(second, _)| *second);
    let rules = "jobs: [{queued: 2, end: processing}]";
    let scenario = Scenario { name, rules, deeds, lasts: DELETED + WITHIN };
    run(&scenario, 1, Plan { latency: Duration::from_millis(5), ..Plan::default() })
}

/// The requests of a route since the deletion, and those of every route in the busiest minute.
fn requests(ended: &Ended, route: &str) -> (Vec<RequestEvent>, usize) {
    let entries = ended.service.journal(0).entries.into_iter().filter_map(|entry| match entry.event {
        Event::Request(request) => Some((entry.at.parse::<Timestamp>().unwrap().as_second(), request)),
        Event::Job(_) => None,
    });
    let all: Vec<(i64, RequestEvent)> = entries.collect();
    let busy = |from: &i64| all.iter().filter(|(at, _)| (*from..from + 60).contains(at)).count();
    let busiest = all.iter().map(|(at, _)| busy(at)).max().unwrap();
    let of_route = all.iter().filter(|(_, request)| request.route == route);
    (of_route.map(|(_, request)| request.clone()).collect(), busiest)
}

fn reasons(ended: &Ended) -> Vec<String> {
    let events = ended.api.store().list("Event", None);
    events.iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect()
}

fn running(ended: &Ended) -> usize {
    ended.service.jobs().iter().filter(|job| job.state != "cancelled").count()
}

fn expect_all_cancelled(ended: &Ended) {
    let left = ended.api.store().list("ScrapeJob", None).len();
    assert_eq!((running(ended), left), (0, 0), "jobs that run on, objects that are left");
    let reasons = reasons(ended);
    assert!(!reasons.iter().any(|reason| reason == "Orphaned"), "{reasons:?}");
}

#[test]
fn every_job_is_cancelled_with_one_request_however_long_the_turns_take() {
    let ended = ended("many go at once", Vec::new());
    expect_all_cancelled(&ended);
    let (cancels, busiest) = requests(&ended, "cancel");
    assert_eq!(cancels.len(), JOBS);
    assert!(busiest <= 100, "S8: {busiest}");
}

/// What each has waited is stored, and the turns that it waits for do not count in the next process either.
#[test]
fn a_restart_in_the_middle_leaves_no_job_running() {
    let crashes = [30, 75, 130].map(|after| (DELETED + after, Deed::Crash));
    expect_all_cancelled(&ended("many go at once, and the operator restarts", crashes.to_vec()));
}

/// A service that is down ends each deletion at its bound, counted through restarts, and the turns do not make it longer.
#[test]
fn a_service_that_is_down_holds_nobody_longer_than_the_bound_whatever_the_operator_does() {
    let mut deeds = vec![(DELETED - 1, Deed::Faults("[{match: {path: /}, reply: {status: 503}}]"))];
    deeds.extend([40, 80].map(|after| (DELETED + after, Deed::Crash)));
    let rules = "jobs: [{queued: 2, end: processing}]";
    let name = |n: usize| &*format!("long-{n}").leak();
    deeds.extend((0..20).map(|n| (1, Deed::Create(name(n), site(name(n))))));
    deeds.extend((0..20).map(|n| (DELETED, Deed::Delete(name(n)))));
    deeds.sort_by_key(|(second, _)| *second);
    // The bound, and for each restart what was not stored yet.
    let lasts = DELETED + 120 + 2 * 30 + 15;
    let scenario = Scenario { name: "deletions in an outage", rules, deeds, lasts };
    let ended = run(&scenario, 1, Plan { latency: Duration::from_millis(5), ..Plan::default() });
    assert_eq!(ended.api.store().list("ScrapeJob", None).len(), 0, "{}", ended.fate.trace());
    let told = reasons(&ended).iter().filter(|reason| *reason == "Orphaned").count();
    assert_eq!((told, running(&ended)), (20, 20));
}

/// A service whose reads lag: for 25 s it does not know the job that it has just made.
#[test]
fn a_job_that_the_service_does_not_know_yet_is_cancelled_when_it_does() {
    let lags =
        "[{match: {route: status}, reply: {status: 404}}, {match: {route: cancel}, reply: {status: 404}}]";
    let deeds = vec![
        (0, Deed::Faults(lags)),
        (10, Deed::Create("long", site("long"))),
        (20, Deed::Delete("long")),
        (35, Deed::Faults("[]")),
    ];
    let rules = "jobs: [{queued: 2, end: processing}]";
    let scenario = Scenario { name: "a service that lags", rules, deeds, lasts: 200 };
    let ended = run(&scenario, 1, Plan::default());
    assert_eq!((ended.service.jobs().len(), running(&ended)), (1, 0), "{}", ended.fate.trace());
    assert_eq!(ended.api.store().list("ScrapeJob", None).len(), 0, "{}", ended.fate.trace());
}

/// One that never tells goes with a word of what may be left.
#[test]
fn a_job_that_the_service_never_knows_is_gone_after_a_minute() {
    let deeds = vec![
        (1, Deed::Create("long", site("long"))),
        (
            29,
            Deed::Faults(
                "[{match: {route: status}, reply: {status: 404}}, {match: {route: cancel}, reply: {status: 404}}]",
            ),
        ),
        (30, Deed::Delete("long")),
    ];
    let rules = "jobs: [{queued: 2, end: processing}]";
    let scenario = Scenario { name: "a job that is gone", rules, deeds, lasts: 110 };
    let ended = run(&scenario, 1, Plan::default());
    let (looks, _) = requests(&ended, "cancel");
    assert!((3..=8).contains(&looks.len()), "{}", looks.len());
    assert_eq!(ended.api.store().list("ScrapeJob", None).len(), 0, "{}", ended.fate.trace());
}
