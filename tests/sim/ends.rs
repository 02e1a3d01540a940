//! Ends in numbers, and what else waits beside them and beside deletions: how soon each is shown, and sent.

use std::collections::BTreeMap;
use std::time::Duration;

use emulator::journal::{Event, JobEvent};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::fate::Plan;
use super::run::{Ended, run};
use super::scenario::{Deed, Scenario, site};

/// Jobs that others made, and their mirrors.
const MIRRORED: usize = 200;
/// Groups of them that end one after the other.
const RULES: &str = r"
    jobs:
    - match: {contains: group-0.}
      queued: 5
      processing: 40
    - match: {contains: group-1.}
      queued: 5
      processing: 70
    - match: {contains: group-2.}
      queued: 5
      processing: 100
      end: failed
    - match: {contains: group-3.}
      queued: 5
      processing: 130
    - queued: 5
      end: processing
";

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn mirrored(more: &Value) -> Vec<(u64, Deed)> {
    let deeds = (0..MIRRORED).flat_map(|n| {
        let id = leaked(format!("550e8400-e29b-41d4-a716-{n:012}"));
        let page = leaked(format!("https://group-{}.example/{n}", n % 5));
        let mut spec = json!({"jobID": id});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        [(0, Deed::Theirs(id, page)), (1, Deed::Create(leaked(format!("mirror-{n}")), spec))]
    });
    deeds.collect()
}

fn quick() -> Plan {
    let delays = Duration::from_millis(20);
    Plan { latency: delays, watch_lag: delays, ..Plan::default() }
}

/// What happened at the service, each at its second.
fn journal(ended: &Ended) -> Vec<(i64, Event)> {
    let entries = ended.service.journal(0).entries.into_iter();
    entries.map(|entry| (entry.at.parse::<Timestamp>().unwrap().as_second(), entry.event)).collect()
}

fn second(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<Timestamp>().unwrap().as_second()
}

/// When each job was over.
fn over(journal: &[(i64, Event)]) -> BTreeMap<String, i64> {
    let end = |(at, event): &(i64, Event)| match event {
        Event::Job(JobEvent { job_id, to, .. }) if ["completed", "failed"].contains(&to.as_str()) => {
            Some((job_id.clone(), *at))
        }
        Event::Job(_) | Event::Request(_) => None,
    };
    journal.iter().filter_map(end).collect()
}

/// Most requests in any 60 seconds.
fn busiest(journal: &[(i64, Event)]) -> usize {
    let sent: Vec<i64> =
        journal.iter().filter(|(_, event)| matches!(event, Event::Request(_))).map(|(at, _)| *at).collect();
    sent.iter()
        .map(|from| sent.iter().filter(|at| (*from..from + 60).contains(at)).count())
        .max()
        .unwrap_or(0)
}

/// Ends come faster than their reads have turns: each is shown all the same, and in the end all is read.
#[test]
fn an_end_is_shown_within_seconds_whatever_its_reads_wait_for() {
    let scenario =
        Scenario { name: "ends in numbers", rules: RULES, deeds: mirrored(&json!({})), lasts: 1800 };
    let ended = run(&scenario, 1, quick());
    let journal = journal(&ended);
    let over = over(&journal);
    let mut slowest = 0;
    for job in ended.api.store().list("ScrapeJob", None) {
        let status = &job["status"];
        let id = status["jobID"].as_str().unwrap();
        let Some(over) = over.get(id) else {
            assert_ne!(status["finished"], true, "{id}");
            continue;
        };
        let shown = second(&status["finishTime"]) - over;
        // A failed one waits for the words on it.
        let most = if status["state"] == "Failed" { 9 } else { 4 };
        assert!(shown <= most, "{id} was shown {shown} s after its end");
        slowest = slowest.max(shown);
        assert_eq!(status["owed"], Value::Null, "{id}: all is read in the end");
        if status["state"] == "Completed" {
            assert!(status["results"]["count"].is_number(), "{id}: {status}");
        } else {
            assert!(status["remote"]["errorMessage"].is_string(), "{id}: {status}");
        }
    }
    assert_eq!(over.len(), MIRRORED * 4 / 5);
    assert!(busiest(&journal) <= 100, "S8: {}", busiest(&journal));
    println!("{} ends, shown at most {slowest} s after they came", over.len());
}

/// Beside deletions in numbers a new job is submitted as soon as its own limits let it.
#[test]
fn a_submit_waits_for_seconds_beside_deletions_in_numbers() {
    const DELETED: u64 = 300;
    let mut deeds = mirrored(&json!({"deletionPolicy": "Cancel"}));
    deeds.extend((0..MIRRORED).map(|n| (DELETED, Deed::Delete(leaked(format!("mirror-{n}"))))));
    let new: Vec<(u64, &str)> = (0..3).map(|n| (DELETED + 5 + n * 30, leaked(format!("new-{n}")))).collect();
    deeds.extend(new.iter().map(|(at, name)| (*at, Deed::Create(name, site(name)))));
    deeds.sort_by_key(|(at, _)| *at);
    let rules = "jobs: [{queued: 5, end: processing}]";
    let scenario = Scenario { name: "submits beside deletions", rules, deeds, lasts: 900 };
    let ended = run(&scenario, 1, quick());
    let journal = journal(&ended);
    let start = "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second();
    for (at, name) in new {
        let submitted = journal.iter().find_map(|(second, event)| match event {
            Event::Request(request) if request.route == "submit" => {
                let url = request.payload.as_ref().and_then(|payload| payload["url"].as_str());
                url.is_some_and(|url| url.contains(name)).then_some(*second)
            }
            Event::Request(_) | Event::Job(_) => None,
        });
        let waited = submitted.unwrap() - start - i64::try_from(at).unwrap();
        assert!(waited <= 10, "{name} was submitted after {waited} s");
    }
    let cancels =
        |(_, event): &&(i64, Event)| matches!(event, Event::Request(request) if request.route == "cancel");
    assert_eq!(journal.iter().filter(cancels).count(), MIRRORED, "and every job is cancelled");
    assert!(busiest(&journal) <= 100, "S8: {}", busiest(&journal));
}

/// When each submit went out, in seconds since the start.
fn submits(ended: &Ended) -> Vec<i64> {
    let start = "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second();
    let submit = |(at, event): (i64, Event)| match event {
        Event::Request(request) if request.route == "submit" => Some(at - start),
        Event::Request(_) | Event::Job(_) => None,
    };
    journal(ended).into_iter().filter_map(submit).collect()
}

/// Ten go at once, also by a process that has just begun, and no more than ten in a minute whoever sends them: what a process
/// has sent its successor reads off the objects, also where the service refused it.
#[test]
fn ten_submits_go_at_once_and_a_new_process_knows_what_the_last_one_sent() {
    let name = |n: usize| leaked(format!("job-{n}"));
    let many =
        |at: u64, from: usize| (from..from + 10).map(move |n| (at, Deed::Create(name(n), site(name(n)))));
    for (refused, restart) in [(false, 35), (true, 35), (false, 200)] {
        let mut deeds: Vec<(u64, Deed)> = vec![(restart, Deed::Crash)];
        deeds.extend(many(30, 0));
        deeds.extend(many(restart + 5, 10));
        if refused {
            deeds.push((0, Deed::Faults("[{match: {route: submit}, reply: {status: 503}}]")));
            deeds.push((restart + 1, Deed::Faults("[]")));
        }
        deeds.sort_by_key(|(at, _)| *at);
        let scenario = Scenario { name: "ten at once", rules: "{}", deeds, lasts: 600 };
        let ended = run(&scenario, 1, quick());
        let sent = submits(&ended);
        let at_once = |from: i64| sent.iter().filter(|at| (from..from + 4).contains(*at)).count();
        let restart = i64::try_from(restart).unwrap();
        let busiest =
            sent.iter().map(|from| sent.iter().filter(|at| (*from..from + 60).contains(at)).count()).max();
        assert!(busiest <= Some(10), "{busiest:?} submits in a minute: {sent:?}");
        if !refused {
            assert_eq!(at_once(30), 10, "{sent:?}");
        }
        // Where the last minute saw none, the new process begins at once.
        assert_eq!(at_once(restart + 5) == 10, restart == 200, "{sent:?}");
        let completed = |job: &Value| job["status"]["state"] == "Completed";
        assert_eq!(ended.api.store().list("ScrapeJob", None).iter().filter(|job| completed(job)).count(), 20);
    }
}
