//! A CRD that lacks fields of the record, and a policy that refuses what the operator writes: nothing is paid for twice,
//! nothing is sent while a field is missing, and all goes on by itself once that is mended.

use std::collections::BTreeMap;

use emulator::journal::Event;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::fate::Plan;
use super::oracle::{calm, outcome};
use super::run::{Ended, run, run_interrupted};
use super::scenario::{Deed, Scenario, mail, site};

/// Each single field of the record, and what holds them.
const FIELDS: [&[&str]; 32] = [
    &["submission"],
    &["submission/origin"],
    &["submission/bodyHash"],
    &["submission/nonce"],
    &["submission/try"],
    &["submission/startedAt"],
    &["submission/endpoint"],
    &["submission/clientID"],
    &["submission/resubmitted"],
    &["submission/credential"],
    &["submission/credential/uid"],
    &["submission/credential/resourceVersion"],
    &["jobID"],
    &["runID"],
    &["state"],
    &["finished"],
    &["reason"],
    &["observedGeneration"],
    &["account"],
    &["account/kind"],
    &["account/clientID"],
    &["cancelReason"],
    &["cancelTime"],
    &["history"],
    &["history/*/runID"],
    &["history/*/jobID"],
    &["history/*/bodyHash"],
    &["history/*/outcome"],
    &["usedRunIDs"],
    &["heldOn"],
    &["conditions"],
    &["submission", "jobID", "runID", "state", "history", "usedRunIDs"],
];
/// When the CRD is mended, in seconds.
const MENDED: u64 = 200;

/// The step of the first message like this.
fn step(ended: &Ended, message: &str) -> u64 {
    let trace = ended.fate.trace();
    let line =
        trace.lines().find(|line| line.contains(message)).unwrap_or_else(|| panic!("{message}: {trace}"));
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() - 1
}

/// How often each payload was sent, and how many of these requests came in a time.
fn sent(ended: &Ended) -> BTreeMap<String, Vec<Timestamp>> {
    let mut sent: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    for entry in ended.service.journal(0).entries {
        if let Event::Request(request) = entry.event
            && request.route == "submit"
        {
            let page = request.payload.map(|payload| payload["url"].to_string()).unwrap_or_default();
            sent.entry(page).or_default().push(entry.at.parse().unwrap());
        }
    }
    sent
}

fn second(n: u64) -> Timestamp {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    start + std::time::Duration::from_secs(n)
}

fn with_run(spec: Value) -> Value {
    let mut spec = spec;
    spec["runID"] = "r1".into();
    spec
}

/// A job of a type that acts again, one of a type that does not, and one that comes while the CRD is another one.
fn scenario(more: Vec<(u64, Deed)>) -> Scenario {
    let mut deeds = vec![
        (1, Deed::Create("mail", with_run(mail("mail")))),
        (60, Deed::Create("late", site("late"))),
        (MENDED, Deed::Crd(&[])),
    ];
    deeds.extend(more);
    deeds.sort_by_key(|(second, _)| *second);
    let rules = "jobs: [{match: {contains: long}, queued: 2, end: processing}, {queued: 2, processing: 60}]";
    Scenario { name: "a trimmed CRD", rules, deeds, lasts: 900 }
}

/// What must hold whatever was lost.
fn check(ended: &Ended, fields: &[&str], how: &str) {
    let found = outcome(ended);
    let trace = || ended.fate.trace();
    for (payload, made) in &found.made {
        assert!(*made <= 1, "{fields:?}, {how}: {payload} was paid for {made} times\n{}", trace());
    }
    let late = &sent(ended)["\"https://late.example\""];
    assert!(late.iter().all(|at| *at >= second(MENDED)), "{fields:?}, {how}: {late:?}\n{}", trace());
    assert_eq!(found.objects["late"], " Completed Completed", "{fields:?}, {how}\n{}", trace());
    for (payload, times) in sent(ended) {
        let early = times.iter().filter(|at| **at > second(30) && **at < second(MENDED)).count();
        assert_eq!(early, 0, "{fields:?}, {how}: {payload} was sent at {times:?}\n{}", trace());
    }
}

/// The process dies between a request and its answer, while its record is dropped; then the CRD is mended. Also where
/// somebody else's write has made the loss final before.
#[test]
fn a_crash_while_any_field_of_the_record_is_dropped_pays_for_nothing_twice() {
    let calmly = run(&scenario(Vec::new()), 1, calm());
    let answered = step(&calmly, "service < POST /api/v1/jobs");
    let recorded = answered + 2;
    for fields in FIELDS {
        for (at, when) in [(answered, "before the answer"), (recorded, "once it is recorded")] {
            for touched in [false, true] {
                let label = Deed::Annotate("mail", "example.com/touched", "yes");
                let scenario = scenario(if touched { vec![(100, label)] } else { Vec::new() });
                let plan = Plan { crash_at: Some(at), ..calm() };
                let ended = run_interrupted(&scenario, 1, plan, Some((at, Deed::Crd(fields))));
                check(&ended, fields, &format!("a crash {when}, touched {touched}"));
                let mail = &outcome(&ended).objects["mail"];
                let known = mail.contains("Completed") || mail.contains("SubmissionAmbiguous");
                assert!(touched || known, "{fields:?}, {when}: {mail}\n{}", ended.fate.trace());
            }
        }
    }
}

/// The CRD is trimmed under a running process: no crash, and nothing is sent either.
#[test]
fn a_field_that_is_dropped_from_under_a_running_process_stops_every_submit() {
    for fields in FIELDS {
        let ended = run(&scenario(vec![(20, Deed::Crd(fields))]), 1, calm());
        check(&ended, fields, "no crash");
        assert_eq!(outcome(&ended).objects["mail"], "r1 Completed Completed", "{fields:?}");
        let events = ended.api.store().list("Event", None);
        assert!(events.iter().any(|event| event["reason"] == "CRDOutdated"), "{fields:?}: {events:?}");
        let writes = ended.api.store().writes.iter().filter(|(by, _)| by != "user").count();
        assert!(writes < 60, "{fields:?}: {writes} writes");
    }
}

/// A run that was paid for is not paid for again by way of another one, whatever was lost meanwhile.
#[test]
fn a_rollback_after_the_list_of_runs_was_lost_pays_for_nothing_twice() {
    let page =
        |id: &str, name: &str| json!({"runID": id, "payload": {"url": format!("https://{name}.example")}});
    for fields in FIELDS.iter().filter(|fields| fields[0] != "submission") {
        let deeds = vec![
            (1, Deed::Create("again", with_run(mail("first")))),
            (100, Deed::Edit("again", page("r2", "second"))),
            (200, Deed::Crd(fields)),
            (210, Deed::Annotate("again", "example.com/touched", "yes")),
            (220, Deed::Crd(&[])),
            (300, Deed::Edit("again", page("r1", "first"))),
        ];
        let rules = "jobs: [{queued: 2, processing: 3}]";
        let ended = run(&Scenario { name: "a rollback", rules, deeds, lasts: 600 }, 1, calm());
        let made = outcome(&ended).made;
        assert!(
            made.values().all(|made| *made == 1) && made.len() == 2,
            "{fields:?}: {made:?}\n{}",
            ended.fate.trace()
        );
    }
}

/// A deletion goes on by what is known, and is over within its bound.
#[test]
fn what_is_deleted_while_fields_are_dropped_goes_within_its_bound() {
    for fields in FIELDS {
        let deeds = vec![
            (1, Deed::Create("long", with_run(mail("long")))),
            (30, Deed::Crd(fields)),
            (40, Deed::Delete("long")),
        ];
        let rules = "jobs: [{match: {contains: long}, queued: 2, end: processing}]";
        let ended = run(&Scenario { name: "deleted", rules, deeds, lasts: 40 + 180 }, 1, calm());
        let found = outcome(&ended);
        assert!(found.objects.is_empty(), "{fields:?}: {found:?}\n{}", ended.fate.trace());
        let job = &ended.service.jobs()[0];
        let events = ended.api.store().list("Event", None);
        let named = events.iter().any(|event| {
            event["reason"] == "Orphaned" && event["note"].as_str().unwrap().contains(&job.job_id)
        });
        assert!(job.state == "cancelled" || named, "{fields:?}: {}\n{}", job.state, ended.fate.trace());
    }
}

/// A policy refuses the writes: the object says so where it can, nothing is sent, and it goes on by itself.
#[test]
fn what_a_policy_refuses_is_told_and_goes_on_once_it_is_allowed() {
    for (object, status) in [(true, false), (false, true), (true, true)] {
        let deeds = vec![
            (0, Deed::Policy(object, status)),
            (1, Deed::Create("acme", mail("acme"))),
            (400, Deed::Policy(false, false)),
        ];
        let rules = "jobs: [{queued: 2, processing: 3}]";
        let ended = run(&Scenario { name: "a policy", rules, deeds, lasts: 1200 }, 1, calm());
        let times = &sent(&ended)["\"https://acme.example\""];
        assert!(times.len() == 1 && times[0] > second(400), "{times:?}\n{}", ended.fate.trace());
        assert_eq!(outcome(&ended).objects["acme"], " Completed Completed", "{}", ended.fate.trace());
        let events = ended.api.store().list("Event", None);
        let told: Vec<&Value> = events.iter().filter(|event| event["reason"] == "WriteRefused").collect();
        assert!(!told.is_empty() && told.len() <= 2, "{object} {status}: {told:?}");
        assert!(told[0]["note"].as_str().unwrap().contains("not on Fridays"), "{told:?}");
        let writes = ended.api.store().writes.iter().filter(|(by, _)| by != "user").count();
        assert!(writes < 30, "{object} {status}: {writes} writes");
    }
}

/// An accepted job that cannot be recorded is named at once, keeps no place for work, and is recorded when it can be.
#[test]
fn an_accepted_job_whose_record_is_refused_keeps_nobody_from_work() {
    let scenario = |ends: Deed| {
        let deeds = vec![
            (1, Deed::Create("held", mail("held"))),
            (300, ends),
            (310, Deed::Create("other", mail("other"))),
        ];
        let rules = "jobs: [{queued: 2, processing: 3}]";
        Scenario { name: "accepted", rules, deeds, lasts: 1200 }
    };
    let answered = step(&run(&scenario(Deed::Crd(&[])), 1, calm()), "service < POST /api/v1/jobs");
    for (begins, ends) in
        [(Deed::Policy(false, true), Deed::Policy(false, false)), (Deed::Crd(&["jobID"]), Deed::Crd(&[]))]
    {
        let ended = run_interrupted(&scenario(ends), 1, calm(), Some((answered, begins)));
        let found = outcome(&ended);
        assert_eq!(found.objects["held"], " Completed Completed", "{}", ended.fate.trace());
        assert_eq!(found.objects["other"], " Completed Completed", "{}", ended.fate.trace());
        assert!(found.made.values().all(|made| *made == 1), "{found:?}");
        let id = ended.service.jobs()[0].job_id.clone();
        let events = ended.api.store().list("Event", None);
        let named = |event: &&Value| {
            event["reason"] == "WriteRefused" && event["note"].as_str().unwrap().contains(&id)
        };
        assert_eq!(events.iter().filter(named).count(), 1, "{events:?}");
    }
}
