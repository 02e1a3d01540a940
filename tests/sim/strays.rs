//! A service that does not de-duplicate what it says it does: the one job more that a repeat then makes is named.

use std::time::Duration;

use super::fate::Plan;
use super::run::run;
use super::scenario::{Deed, Scenario, site};

#[test]
fn the_job_of_an_earlier_attempt_is_named_where_the_repeat_made_another() {
    let deeds = vec![
        (0, Deed::Faults("[{match: {route: submit}, when: {first: 1}, drop: after}]")),
        (1, Deed::Create("acme", site("acme"))),
    ];
    let rules = "deduplication: {window_hours: 0}\njobs: [{queued: 2, end: processing}]";
    let scenario = Scenario { name: "no de-duplication", rules, deeds, lasts: 200 };
    let ended = run(&scenario, 1, Plan { latency: Duration::from_millis(5), ..Plan::default() });
    let followed = ended.api.store().list("ScrapeJob", None)[0]["status"]["jobID"].clone();
    let jobs = ended.service.jobs();
    let stray = jobs.iter().find(|job| followed != job.job_id.as_str()).unwrap();
    let named = ended.api.store().list("Event", None).iter().any(|event| {
        event["reason"] == "Orphaned" && event["note"].as_str().unwrap().contains(&stray.job_id)
    });
    assert!(jobs.len() == 2 && named, "{}", ended.fate.trace());
}
