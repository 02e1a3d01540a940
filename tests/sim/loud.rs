//! A few that shout: what they cost the API server and the service, and that nobody else waits for them.

use std::time::Duration;

use emulator::journal::Event;
use serde_json::json;

use super::fate::Plan;
use super::run::{Ended, run};
use super::scenario::{Deed, Scenario, site};

fn ended(name: &'static str, mut deeds: Vec<(u64, Deed)>, lasts: u64) -> Ended {
    deeds.retain(|(second, _)| *second < lasts);
    deeds.sort_by_key(|(second, _)| *second);
    let rules = "jobs: [{queued: 2, end: processing}]";
    let scenario = Scenario { name, rules, deeds, lasts };
    run(&scenario, 1, Plan { latency: Duration::from_millis(5), ..Plan::default() })
}

/// How often all jobs were listed; the first is the watch's.
fn lists(ended: &Ended) -> usize {
    let list = |line: &&str| line.contains("api > GET ") && line.ends_with("/scrapejobs");
    ended.fate.trace().lines().filter(list).count()
}

fn requests(ended: &Ended, route: &str) -> usize {
    let entries = ended.service.journal(0).entries.into_iter();
    entries.filter(|entry| matches!(&entry.event, Event::Request(request) if request.route == route)).count()
}

/// Mirrors that are to be cancelled with a token that the service does not take.
#[test]
fn cancels_with_rejected_credentials_list_nothing_and_ask_more_and_more_seldom() {
    const MIRRORS: usize = 20;
    let id = |n: usize| &*format!("1c9b4f0e-0000-4000-8000-{n:012}").leak();
    let name = |n: usize| &*format!("mirror-{n}").leak();
    let page = |n: usize| &*format!("https://long-{n}.example").leak();
    let mut deeds: Vec<(u64, Deed)> = (0..MIRRORS).map(|n| (0, Deed::Theirs(id(n), page(n)))).collect();
    deeds.extend((0..MIRRORS).map(|n| (1, Deed::Create(name(n), json!({"jobID": id(n)})))));
    deeds.push((100, Deed::Faults("[{match: {path: /}, reply: {status: 401}}]")));
    deeds.extend((0..MIRRORS).map(|n| (160, Deed::Edit(name(n), json!({"cancel": true})))));
    let calm = lists(&ended("before", deeds.clone(), 159));
    let loud = ended("mirrors that shout", deeds.clone(), 400);
    // One try in five minutes finds out whether it is so still, with all that it takes.
    assert!(lists(&loud) - calm <= MIRRORS, "{} lists", lists(&loud) - calm);
    assert!(requests(&loud, "cancel") <= MIRRORS, "{} cancels", requests(&loud, "cancel"));
    // And when the token is good again, each is cancelled.
    deeds.push((420, Deed::Faults("[]")));
    let after = ended("mirrors that are heard", deeds, 1800);
    let running = after.service.jobs().iter().filter(|job| job.state != "cancelled").count();
    assert_eq!(running, 0, "{}", after.fate.trace());
}

/// An annotation that changes every second asks for one look in ten, and for the last one in any case.
#[test]
fn looks_that_are_asked_for_in_a_loop_are_taken_up_once_in_ten_seconds() {
    let mut deeds = vec![(1, Deed::Create("long", site("long")))];
    deeds.push((2, Deed::Edit("long", json!({"poll": {"intervalSeconds": 3600}}))));
    let wish = |second: u64| &*format!("wish-{second}").leak();
    let asked = 100..200;
    deeds.extend(
        asked.map(|second| {
            (second, Deed::Annotate("long", "spideriq.ai/reconcile-requested-at", wish(second)))
        }),
    );
    let calm = requests(&ended("before", deeds.clone(), 99), "status");
    let ended = ended("a loop of wishes", deeds, 260);
    let looks = requests(&ended, "status") - calm;
    assert!((5..=14).contains(&looks), "{looks}");
    let job = &ended.api.store().list("ScrapeJob", None)[0];
    assert_eq!(job["status"]["lastHandledReconcileAt"], "wish-199");
}
