//! Many objects that fail together: what they cost, and that none of them waits for the others.

use std::collections::BTreeMap;
use std::time::Duration;

use emulator::journal::{Event, RequestEvent};
use jiff::Timestamp;

use super::fate::Plan;
use super::run::{Ended, run};
use super::scenario::{Deed, Scenario, site};

const CROWD: usize = 1000;
/// When the service fails, and when it is back.
const OUTAGE: std::ops::Range<u64> = 5..1805;

/// The requests that the service saw, each at its second.
fn requests(ended: &Ended) -> Vec<(i64, RequestEvent)> {
    let entries = ended.service.journal(0).entries.into_iter();
    entries
        .filter_map(|entry| match entry.event {
            Event::Request(request) => Some((entry.at.parse::<Timestamp>().unwrap().as_second(), request)),
            Event::Job(_) => None,
        })
        .collect()
}

#[test]
fn a_thousand_objects_that_fail_together_stay_within_the_budget_and_write_no_more_than_they_change() {
    let mut deeds = vec![(OUTAGE.start, Deed::Faults("[{match: {path: /}, reply: {status: 503}}]"))];
    let name = |n: usize| &*format!("job-{n}").leak();
    deeds.extend((0..CROWD).map(|n| (OUTAGE.start + 1, Deed::Create(name(n), site(name(n))))));
    deeds.push((OUTAGE.end, Deed::Faults("[]")));
    let rules = "jobs: [{queued: 2, processing: 3}]";
    let scenario = Scenario { name: "a crowd in an outage", rules, deeds, lasts: 14_400 };
    let delays = Duration::from_millis(20);
    let ended = run(&scenario, 1, Plan { latency: delays, watch_lag: delays, ..Plan::default() });

    let jobs = ended.api.store().list("ScrapeJob", None);
    let completed = jobs.iter().filter(|job| job["status"]["state"] == "Completed").count();
    assert_eq!((completed, ended.service.jobs().len()), (CROWD, CROWD));

    let requests = requests(&ended);
    let seconds: Vec<i64> = requests.iter().map(|(second, _)| *second).collect();
    let busiest =
        seconds.iter().map(|from| seconds.iter().filter(|at| (*from..from + 60).contains(at)).count()).max();
    assert!(busiest <= Some(100), "S8: {busiest:?} requests in 60 s");
    assert!(requests.iter().all(|(_, request)| request.status != Some(429)), "the service had to say no");
    let probes = requests.iter().filter(|(_, request)| request.status == Some(503)).count();
    // One after the other, with growing pauses: as many as one object would make.
    assert!(probes <= 40, "{probes} probes in {OUTAGE:?}");

    let mut writes: BTreeMap<String, usize> = BTreeMap::new();
    for (_, key) in
        ended.api.store().writes.iter().filter(|(by, key)| by != "user" && key.kind == "ScrapeJob")
    {
        *writes.entry(key.name.clone()).or_default() += 1;
    }
    let all: usize = writes.values().sum();
    println!(
        "{CROWD} objects: {all} writes, at most {:?} of one; {probes} probes, busiest minute {busiest:?}",
        writes.values().max()
    );
    // Waiting, intent, Submitting, Queued, Processing, Completed, released; a probe that failed says so, and tries again.
    // While it waits it says once that the service is not available, and once that it is its turn again (ADR 18).
    assert!(all <= CROWD * (7 + 2) + probes * 3, "{all} writes");
}

/// Under a spend cap one object an hour pays for the question whether it still is reached; the others wait for nothing.
#[test]
fn a_thousand_objects_under_a_spend_cap_cost_one_try_an_hour() {
    const HOURS: u64 = 6;
    let mut deeds = vec![(0, Deed::Faults("[{match: {route: submit}, reply: {status: 402}}]"))];
    let name = |n: usize| &*format!("job-{n}").leak();
    deeds.extend((0..CROWD).map(|n| (1, Deed::Create(name(n), site(name(n))))));
    let scenario = Scenario { name: "a crowd under a cap", rules: "{}", deeds, lasts: HOURS * 3600 };
    let ended = run(&scenario, 1, Plan { latency: Duration::from_millis(5), ..Plan::default() });

    let jobs = ended.api.store().list("ScrapeJob", None);
    let held = jobs.iter().filter(|job| job["status"]["reason"] == "SpendCapReached").count();
    assert_eq!(held, CROWD);
    let tries = requests(&ended).iter().filter(|(_, request)| request.route == "submit").count();
    assert!(tries <= usize::try_from(HOURS).unwrap(), "{tries} submits in {HOURS} hours");
    let store = ended.api.store();
    let writes = store.writes.iter().filter(|(by, key)| by != "user" && key.kind == "ScrapeJob").count();
    println!("{CROWD} objects under a cap: {writes} writes and {tries} submits in {HOURS} hours");
    // Waiting and Held; intent, Submitting and Held again for each that tries.
    assert!(writes <= CROWD * 2 + tries * 3, "{writes} writes");
}

/// A service that takes requests and answers none holds each deletion for its bound, not for the sum of all.
#[test]
fn many_deletions_beside_a_service_that_hangs_end_each_within_its_bound() {
    const DELETED: u64 = 240;
    let name = |n: usize| &*format!("long-{n}").leak();
    let mut deeds: Vec<(u64, Deed)> = (0..20).map(|n| (1, Deed::Create(name(n), site(name(n))))).collect();
    deeds.push((DELETED - 1, Deed::Faults("[{match: {path: /}, delay_reply: 600}]")));
    deeds.extend((0..20).map(|n| (DELETED, Deed::Delete(name(n)))));
    let rules = "jobs: [{queued: 2, end: processing}]";
    // 120 s are what a deletion waits; a request that is under way then is not waited for longer than its own time.
    let scenario = Scenario { name: "deletions beside a hang", rules, deeds, lasts: DELETED + 120 + 45 };
    let ended = run(&scenario, 1, Plan { latency: Duration::from_millis(5), ..Plan::default() });
    let left = ended.api.store().list("ScrapeJob", None).len();
    assert_eq!((ended.service.jobs().len(), left), (20, 0), "{}", ended.fate.trace());
}
