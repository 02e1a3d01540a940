//! Jobs that are over: what they cost a process that begins anew, and how they wake.

use emulator::journal::Event;
use serde_json::{Value, json};

use super::fate::Plan;
use super::run::{Ended, key, run};
use super::scenario::{Deed, Scenario, site, with};

/// Jobs that are over when the process begins anew.
const OVER: usize = 30;
/// When that is, in seconds.
const RESTART: u64 = 900;

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// All of them are over long before the process dies; what else there is to do comes then.
fn over(more: Vec<(u64, Deed)>) -> Ended {
    let made = (0..OVER).map(|n| {
        let name = leaked(format!("over-{n}"));
        (1, Deed::Create(name, site(name)))
    });
    let mut deeds: Vec<(u64, Deed)> = made.chain([(RESTART, Deed::Crash)]).chain(more).collect();
    deeds.sort_by_key(|(at, _)| *at);
    let rules = "jobs: [{queued: 2, processing: 3}]";
    run(&Scenario { name: "what is over", rules, deeds, lasts: RESTART + 600 }, 1, Plan::default())
}

/// What was asked of the API server for single jobs since the process began anew.
fn asked(ended: &Ended) -> Vec<String> {
    let trace = ended.fate.trace();
    let (_, after) = trace.split_once("starts again").unwrap();
    let job = |line: &&str| line.contains("api > ") && line.contains("/scrapejobs/");
    after.lines().filter(job).map(str::to_owned).collect()
}

fn requests(ended: &Ended) -> usize {
    let entries = ended.service.journal(0).entries;
    entries.iter().filter(|entry| matches!(entry.event, Event::Request(_))).count()
}

fn state(ended: &Ended, name: &str) -> Option<Value> {
    ended.api.store().get(&key("ScrapeJob", name)).map(|job| job["status"]["state"].clone())
}

#[test]
fn a_start_asks_nothing_for_what_is_over() {
    let ended = over(Vec::new());
    let completed = |job: &Value| job["status"]["state"] == "Completed";
    assert_eq!(ended.api.store().list("ScrapeJob", None).iter().filter(|job| completed(job)).count(), OVER);
    assert_eq!(asked(&ended), Vec::<String>::new());
    let before = requests(&ended);
    let again = over(vec![(RESTART + 60, Deed::Crash), (RESTART + 120, Deed::Crash)]);
    assert_eq!(requests(&again), before, "nothing is asked of the service, either");
}

#[test]
fn what_is_over_wakes_when_somebody_wants_something_of_it_and_no_other_does() {
    let after = RESTART + 60;
    let run = json!({"runID": "r2", "payload": {"url": "https://again.example"}});
    let ended = over(vec![
        (after, Deed::Edit("over-1", run)),
        (after, Deed::Annotate("over-2", "spideriq.ai/reconcile-requested-at", "now")),
        (after, Deed::Delete("over-3")),
        (after, Deed::Annotate("over-4", "others", "x")),
        (after, Deed::Edit("over-5", json!({"ttlSecondsAfterFinished": RESTART + 300}))),
    ]);
    let store = ended.api.store();
    let status = |name: &str| store.get(&key("ScrapeJob", name)).unwrap()["status"].clone();
    let again = status("over-1");
    assert_eq!((&again["state"], &again["runID"]), (&json!("Completed"), &json!("r2")));
    assert_eq!(status("over-2")["lastHandledReconcileAt"], "now");
    drop(store);
    assert_eq!((state(&ended, "over-3"), state(&ended, "over-5")), (None, None));
    let quiet = |name: &str| !asked(&ended).iter().any(|line| line.contains(&format!("/{name}:")));
    assert!(quiet("over-4") && quiet("over-6"), "{:?}", asked(&ended));
}

/// A time to live runs out at its second, whoever has seen it begin, and costs a read, a proof that the CRD is whole, and a
/// deletion.
#[test]
fn a_time_to_live_runs_out_also_where_the_process_began_anew_meanwhile() {
    let ttl = json!({"ttlSecondsAfterFinished": RESTART + 100});
    let kept = json!({"ttlSecondsAfterFinished": RESTART * 3});
    let ended = over(vec![
        (1, Deed::Create("short", with("short", &ttl))),
        (1, Deed::Create("long", with("long", &kept))),
    ]);
    assert_eq!((state(&ended, "short"), state(&ended, "long")), (None, Some(json!("Completed"))));
    let asked = asked(&ended);
    let verbs: Vec<&str> = asked.iter().filter_map(|line| line.split_whitespace().nth(3)).collect();
    assert_eq!(verbs, ["GET", "PATCH", "DELETE"], "{asked:?}");
    assert!(asked.iter().all(|line| line.contains("/short")), "{asked:?}");
}
