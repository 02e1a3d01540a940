//! What must hold after a run, whatever went wrong: the comparison with the run in which nothing did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use emulator::JobView;
use emulator::journal::Event;
use serde::Serialize;
use serde_json::Value;
use spideriq_operator::decide::message::{IntentLost, Lost, NOT_CANCELLED, Named, Note, RunWord};

use super::fate::Plan;
use super::run::Ended;
use super::scenario::{Deed, Scenario};

/// What a run comes to.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// State and reason of each object that is left.
    pub objects: BTreeMap<String, String>,
    /// How many jobs were made at the service for each payload.
    pub made: BTreeMap<String, usize>,
    /// How each of them ended.
    pub jobs: BTreeMap<String, Vec<String>>,
    /// How many cancels were carried out for each payload.
    pub cancelled: BTreeMap<String, usize>,
}

fn is_over(job: &JobView) -> bool {
    ["completed", "failed", "cancelled"].contains(&job.state.as_str())
}

pub fn outcome(ended: &Ended) -> Outcome {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let objects = ended.api.store().list("ScrapeJob", None);
    let objects = objects
        .iter()
        .map(|job| {
            (
                word(&job["metadata"]["name"]),
                ["runID", "state", "reason"].map(|field| word(&job["status"][field])).join(" "),
            )
        })
        .collect();
    let (mut made, mut jobs, mut payloads) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for job in ended.service.jobs() {
        let payload = job.payload["url"].to_string();
        *made.entry(payload.clone()).or_default() += 1;
        let state = if is_over(&job) { job.state.clone() } else { "not over".to_owned() };
        jobs.entry(payload.clone()).or_insert_with(Vec::new).push(state);
        payloads.insert(job.job_id.clone(), payload);
    }
    let mut cancelled = BTreeMap::new();
    for entry in ended.service.journal(0).entries {
        if let Event::Job(change) = entry.event
            && change.to == "cancelled"
        {
            *cancelled.entry(payloads[&change.job_id].clone()).or_default() += 1;
        }
    }
    Outcome { objects, made, jobs, cancelled }
}

/// What a run cost: the operator's writes of the jobs, and its requests to the service beside looks at running jobs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub writes: u64,
    pub requests: u64,
}

pub fn cost(ended: &Ended) -> Cost {
    let writes =
        ended.api.store().writes.iter().filter(|(by, key)| by != "user" && key.kind == "ScrapeJob").count();
    let counts = |event: &Event| match event {
        Event::Request(request) => {
            let looks = request.path.ends_with("/status") || request.path.contains("sort_by=updated_at");
            request.route != "whoami" && !looks
        }
        Event::Job(_) => false,
    };
    let requests = ended.service.journal(0).entries.iter().filter(|entry| counts(&entry.event)).count();
    Cost { writes: writes.try_into().unwrap(), requests: requests.try_into().unwrap() }
}

/// What a run cost too much, if it did: each thing that goes wrong may cost this much more than the calm run. A crash finds
/// the submits of several objects under way, since they go at once.
/// Two replicas without a lease correct what each other says of the service, and are not judged by it.
pub fn too_dear(least: Cost, ended: &Ended) -> Option<String> {
    let (found, hits) = (cost(ended), ended.fate.hits());
    let most = |least: u64, each: u64| least + each * (1 + hits);
    let dear = found.writes > most(least.writes, 4) || found.requests > most(least.requests, 3);
    (dear && !ended.fate.plan().two).then(|| format!("{found:?} after {hits} faults, and {least:?} without"))
}

pub fn calm() -> Plan {
    Plan { latency: Duration::from_millis(5), watch_lag: Duration::from_millis(5), ..Plan::default() }
}

/// Whether the wanted run was left while nobody knew what came of its submit.
fn went_back_to_an_unknown_run(object: &Value) -> bool {
    let status = &object["status"];
    let unknown = |run: &Value| run["runID"] == status["runID"] && run["outcome"] == "Unknown";
    status["reason"] == "RunIDReused" && status["history"].as_array().into_iter().flatten().any(unknown)
}

/// Whether the wanted run was left before it was over: what goes wrong may have made it that late.
fn went_back_to_a_run_that_was_left(object: &Value) -> bool {
    object["status"]["message"].as_str().is_some_and(|message| {
        let run = object["status"]["runID"].as_str().unwrap_or_default().to_owned();
        message == RunWord::Recalled { run: Named(run), superseded: true }.to_string()
    })
}

/// Whether nobody knows what came of a submit that must not be repeated.
fn waits_for_a_person(object: &Value) -> bool {
    let held = object["status"]["state"] == "Held" && object["status"]["reason"] == "SubmissionAmbiguous";
    held && object["spec"]["type"] == "spiderMail"
}

/// Whether somebody else made a job, which an object then mirrors.
fn is_theirs(scenario: &Scenario, job_id: &str) -> bool {
    scenario.deeds.iter().any(|(_, deed)| matches!(deed, Deed::Theirs(id, _) if *id == job_id))
}

/// A token that something was submitted with although no request with it was answered well before.
fn submitted_unproven(ended: &Ended) -> Option<String> {
    let mut accepted = BTreeSet::new();
    ended.service.journal(0).entries.into_iter().find_map(|entry| {
        let Event::Request(request) = entry.event else { return None };
        let token = request.token?;
        if request.route == "submit" && !accepted.contains(&token) {
            return Some(token);
        }
        if request.status.is_some_and(|status| (200..300).contains(&status)) {
            accepted.insert(token);
        }
        None
    })
}

/// What is wrong, if something is.
pub fn judge(scenario: &Scenario, expected: &Outcome, ended: &Ended) -> Option<String> {
    let mut found = outcome(ended);
    for object in ended.api.store().list("ScrapeJob", None) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        // What a fault hid, and nobody can look up, or the user moved on from before it was settled, is held. Nor can a
        // replica know that the other one sent nothing.
        let hidden = ended.fate.hides_an_answer();
        let left = went_back_to_an_unknown_run(&object) || went_back_to_a_run_that_was_left(&object);
        let asked = waits_for_a_person(&object) && (hidden || ended.fate.plan().two);
        if ((hidden && left) || asked)
            && let Some(expected) = expected.objects.get(name)
        {
            found.objects.insert(name.to_owned(), expected.clone());
        }
    }
    if found.objects != expected.objects {
        return Some(format!("objects: expected {:#?}, found {:#?}", expected.objects, found.objects));
    }
    for (payload, made) in &found.made {
        if expected.made.get(payload).is_none_or(|expected| made > expected) {
            return Some(format!("S1: {payload} was paid for {made} times"));
        }
    }
    // What is deleted, cancelled or replaced early enough need not have been submitted.
    if !scenario.is_fickle() && found.made != expected.made {
        return Some(format!("L1: expected {:?}, found {:?}", expected.made, found.made));
    }
    // Whatever was made is ended as it would have been, unless nobody could know that it was made.
    let known = !ended.fate.hides_an_answer() && !scenario.is_shared();
    if known && found.made == expected.made && found.jobs != expected.jobs {
        return Some(format!("expected {:?}, found {:?}", expected.jobs, found.jobs));
    }
    if let Some(token) = submitted_unproven(ended) {
        return Some(format!("the token {token} was not accepted before something was submitted with it"));
    }
    if let Some(violation) = ended.fate.violations().first() {
        return Some(violation.clone());
    }
    if found.cancelled.values().any(|count| *count > 1) {
        return Some(format!("cancelled more than once: {:?}", found.cancelled));
    }
    let store = ended.api.store();
    if let Some(object) = store
        .list("ScrapeJob", None)
        .iter()
        .find(|object| object["metadata"]["deletionTimestamp"].is_string())
    {
        return Some(format!("L2: {} is still being deleted", object["metadata"]["name"]));
    }
    if let Some((by, key)) = store.empty.iter().find(|(by, _)| by != "user") {
        return Some(format!("S7: a write of {key:?} by {by} that changed nothing"));
    }
    let (objects, events) = (store.list("ScrapeJob", None), store.list("Event", None));
    // Where the service is down for as long as a deletion may wait, or the token gone, nobody can cancel the job, or know
    // its name.
    let down = scenario.deeds.iter().any(|(_, deed)| matches!(deed, Deed::Faults(_) | Deed::DeleteSecret));
    // By a clock that is ahead a deletion is over its bound at once, and tried five times in the 30 s that are left.
    let unlucky = ended.fate.hits() >= 5
        && (ended.fate.plan().clock_ahead > 0
            || scenario.deeds.iter().any(|(_, deed)| matches!(deed, Deed::Clock(1..))));
    let honest = |note: &str| down || unlucky || !note.contains(NOT_CANCELLED);
    let unread = [
        Note::SubmitLost(Lost::ListUnread),
        Note::SubmitLost(Lost::Forced),
        Note::IntentLost { job_id: None, why: IntentLost::Forced },
        Note::StraysUnread,
    ]
    .map(|note| note.to_string());
    let unreadable = |note: &str| down && unread.iter().any(|words| note.contains(words));
    // What others made is theirs to know.
    for job in ended.service.jobs().into_iter().filter(|job| !is_theirs(scenario, &job.job_id)) {
        let id = job.job_id.as_str();
        let named = |object: &Value| {
            let history = object["status"]["history"].as_array().into_iter().flatten();
            object["status"]["jobID"] == id || history.into_iter().any(|run| run["jobID"] == id)
        };
        let asked = |object: &Value| {
            waits_for_a_person(object) && object["spec"]["payload"]["url"] == job.payload["url"]
        };
        let followed = objects.iter().any(|object| named(object) || asked(object));
        let left = events.iter().any(|event| {
            ["Orphaned", "LeftRunning"].contains(&event["reason"].as_str().unwrap_or_default())
                && event["note"]
                    .as_str()
                    .is_some_and(|note| (note.contains(id) && honest(note)) || unreadable(note))
        });
        if !is_over(&job) && !followed && !left {
            return Some(format!("S2: job {id} runs, and neither an object nor an event names it"));
        }
    }
    None
}

pub fn fail(scenario: &Scenario, how: &str, why: &str, ended: &Ended) -> ! {
    let trace = ended.fate.trace();
    let lines: Vec<&str> = trace.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(400)..).unwrap_or_default().join("\n");
    let events: Vec<String> = ended
        .api
        .store()
        .list("Event", None)
        .iter()
        .map(|event| format!("{} {}: {}", event["eventTime"], event["reason"], event["note"]))
        .collect();
    panic!("{}, {how}: {why}\n{tail}\n{}", scenario.name, events.join("\n"));
}
