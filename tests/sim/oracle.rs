//! What must hold after a run, whatever went wrong: the comparison with the run in which nothing did.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use emulator::JobView;
use emulator::journal::Event;
use serde::Serialize;
use serde_json::Value;

use super::fate::Plan;
use super::run::{Ended, run, run_interrupted};
use super::scenario::{Deed, Scenario, all, throttled};

/// What a run comes to.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Outcome {
    /// State and reason of each object that is left.
    objects: BTreeMap<String, String>,
    /// How many jobs were made at the service for each payload.
    made: BTreeMap<String, usize>,
    /// How each of them ended.
    jobs: BTreeMap<String, Vec<String>>,
    /// How many cancels were carried out for each payload.
    cancelled: BTreeMap<String, usize>,
}

fn is_over(job: &JobView) -> bool {
    ["completed", "failed", "cancelled"].contains(&job.state.as_str())
}

fn outcome(ended: &Ended) -> Outcome {
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

/// What a run cost: the operator's writes of the jobs, and its requests to the service beside looks at a running job.
#[derive(Clone, Copy, Debug)]
struct Cost {
    writes: u64,
    requests: u64,
}

fn cost(ended: &Ended) -> Cost {
    let writes =
        ended.api.store().writes.iter().filter(|(by, key)| by != "user" && key.kind == "ScrapeJob").count();
    let counts = |event: &Event| match event {
        Event::Request(request) => request.route != "whoami" && !request.path.ends_with("/status"),
        Event::Job(_) => false,
    };
    let requests = ended.service.journal(0).entries.iter().filter(|entry| counts(&entry.event)).count();
    Cost { writes: writes.try_into().unwrap(), requests: requests.try_into().unwrap() }
}

/// What a run cost too much, if it did: each thing that goes wrong may cost this much more than the calm run.
/// Two replicas without a lease correct what each other says of the service, and are not judged by it.
fn too_dear(least: Cost, ended: &Ended) -> Option<String> {
    let (found, hits) = (cost(ended), ended.fate.hits());
    let most = |least: u64| least + 3 * (1 + hits);
    let dear = found.writes > most(least.writes) || found.requests > most(least.requests);
    (dear && !ended.fate.plan().two).then(|| format!("{found:?} after {hits} faults, and {least:?} without"))
}

fn calm() -> Plan {
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
    object["status"]["message"]
        .as_str()
        .is_some_and(|message| message.contains("because another run was wanted"))
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

/// What is wrong, if something is.
fn judge(scenario: &Scenario, expected: &Outcome, ended: &Ended) -> Option<String> {
    let mut found = outcome(ended);
    for object in ended.api.store().list("ScrapeJob", None) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        // What a fault hid, and nobody can look up, or the user moved on from before it was settled, is held. Nor can a
        // replica know that the other one sent nothing.
        if (ended.fate.hides_an_answer() || ended.fate.plan().two)
            && (went_back_to_an_unknown_run(&object)
                || went_back_to_a_run_that_was_left(&object)
                || waits_for_a_person(&object))
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
    let honest = |note: &str| down || unlucky || !note.contains("could not be cancelled within");
    let unread = [
        "the list of jobs could not be read in time",
        "not known, and the annotation spideriq.ai/force-orphan",
    ];
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

fn fail(scenario: &Scenario, how: &str, why: &str, ended: &Ended) -> ! {
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

/// The oracle compares with the run in which nothing goes wrong; what that comes to is written down, for whoever changes
/// it. `make generate` writes it again.
#[test]
fn each_scenario_ends_as_it_is_written_down() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/outcomes.json");
    let found: BTreeMap<&str, Outcome> =
        all().iter().map(|scenario| (scenario.name, outcome(&run(scenario, 1, calm())))).collect();
    let found = serde_json::to_value(found).unwrap();
    let whole = std::env::var_os("SIM_SCENARIO").is_none();
    if whole && std::env::var_os("GENERATE").is_some() {
        return fs::write(&file, format!("{found:#}\n")).unwrap();
    }
    let written: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for (name, outcome) in found.as_object().unwrap() {
        assert_eq!(outcome, &written[name], "{name}");
    }
    assert!(!whole || found.as_object().unwrap().len() == written.as_object().unwrap().len(), "one is gone");
}

#[test]
fn the_same_seed_makes_the_same_trace() {
    for scenario in repeatable() {
        let plan = Plan { lost_api: 30, lost_service: 30, crashes: 5, until: 400, ..calm() };
        let (first, second) = (run(&scenario, 7, plan.clone()), run(&scenario, 7, plan));
        let (first, second) = (first.fate.trace(), second.fate.trace());
        let other = first.lines().zip(second.lines()).position(|(a, b)| a != b);
        if let Some(at) = other {
            let around =
                |trace: &str| trace.lines().skip(at.saturating_sub(3)).take(6).collect::<Vec<_>>().join("\n");
            panic!("{}: line {at}:\n{}\n--\n{}", scenario.name, around(&first), around(&second));
        }
        assert_eq!(first.len(), second.len(), "{}", scenario.name);
    }
}

/// Where several objects wait at once, kube's scheduler chooses by a hash that is new in each process: those
/// scenarios differ in their order from run to run, and are left out here.
fn repeatable() -> impl Iterator<Item = Scenario> {
    let objects = |scenario: &Scenario| {
        scenario.deeds.iter().filter(|(_, deed)| matches!(deed, Deed::Create(..))).count()
    };
    all().into_iter().filter(move |scenario| objects(scenario) == 1)
}

/// How many requests an unknown outcome may cost to be settled.
const RECOVERY: u64 = 3;

/// The process dies at each single message of each scenario: before it arrives, and before its answer does.
#[test]
fn a_crash_at_every_step_changes_nothing() {
    at_every_step("a crash", |step| Plan { crash_at: Some(step), ..calm() });
}

/// Each single message of each scenario is lost, and its sender finds the connection broken.
#[test]
fn a_loss_at_every_step_changes_nothing() {
    at_every_step("a loss", |step| Plan { lose_at: Some(step), ..calm() });
}

fn at_every_step(what: &str, plan: impl Fn(u64) -> Plan) {
    for scenario in all() {
        let begun = std::time::Instant::now();
        let undisturbed = run(&scenario, 1, calm());
        let expected = outcome(&undisturbed);
        let (steps, least) = (undisturbed.fate.steps(), cost(&undisturbed));
        let mut most = least;
        for step in 0..steps {
            let ended = run(&scenario, 1, plan(step));
            assert_eq!(ended.fate.hits(), 1, "{}: {what} at step {step}", scenario.name);
            if let Some(why) = judge(&scenario, &expected, &ended).or_else(|| too_dear(least, &ended)) {
                fail(&scenario, &format!("{what} at step {step} of {steps}"), &why, &ended);
            }
            let found = cost(&ended);
            most =
                Cost { writes: most.writes.max(found.writes), requests: most.requests.max(found.requests) };
        }
        println!(
            "{}, {what}: {steps} steps, {:?}; {least:?}, at most {most:?}",
            scenario.name,
            begun.elapsed()
        );
        // What comes at a moment of an outage depends on the moment.
        let outage = scenario.deeds.iter().any(|(_, deed)| matches!(deed, Deed::Faults(_)));
        assert!(outage || most.requests <= least.requests + RECOVERY, "{}: {most:?}", scenario.name);
    }
}

/// A wrong clock neither keeps a deleted object, nor leaves its job running, nor makes a pause longer.
#[test]
fn a_clock_that_is_an_hour_off_ends_what_it_should() {
    for scenario in all().iter().filter(|scenario| scenario.name.contains("the clock went")) {
        // Deleted at 40 s: 120 s are what it may wait, and 30 s what it is tried for at the least.
        let ended = run(&Scenario { lasts: 40 + 120 + 30, ..scenario.clone() }, 1, calm());
        let found = outcome(&ended);
        assert!(found.objects.is_empty(), "{}: {found:?}", scenario.name);
        let cancels = usize::from(!scenario.name.contains("service is down"));
        assert_eq!(found.cancelled.values().sum::<usize>(), cancels, "{}: {found:?}", scenario.name);
    }
    assert_eq!(outcome(&run(&throttled(), 1, calm())).objects["acme"], " Completed Completed");
}

/// What a late watch has not told yet is not decided on: where nobody else writes, no write finds another version.
#[test]
fn a_late_watch_costs_no_write() {
    for scenario in
        all().iter().filter(|scenario| ["one job", "a type that acts again"].contains(&scenario.name))
    {
        for seed in 0..20 {
            let late = Plan { watch_lag: Duration::from_secs(3), ..calm() };
            let ended = run(scenario, seed, late);
            let conflicts = ended.api.store().conflicts.iter().filter(|key| key.kind == "ScrapeJob").count();
            assert_eq!(conflicts, 0, "{}, seed {seed}:\n{}", scenario.name, ended.fate.trace());
        }
    }
}

/// A user comes between any two messages of a submit: replaces the object, makes it anew, edits its intent.
#[test]
fn what_a_user_does_between_any_two_steps_is_paid_for_once() {
    let Some(scenario) = all().into_iter().find(|scenario| scenario.name == "one job") else { return };
    let undisturbed = run(&scenario, 1, calm());
    let expected = outcome(&undisturbed);
    let intent = |words| Deed::Annotate("acme", "spideriq.ai/submission", words);
    for deed in [Deed::Replace("acme"), Deed::Recreate("acme"), intent("{{{"), intent("")] {
        for step in 0..undisturbed.fate.steps() {
            let ended = run_interrupted(&scenario, 1, calm(), Some((step, deed.clone())));
            // Who makes the intent unreadable before anything is sent is asked what was meant.
            let asked = [("acme".to_owned(), " Held SubmissionAmbiguous".to_owned())].into();
            let found = outcome(&ended);
            if matches!(deed, Deed::Annotate(..)) && found.objects == asked && found.made.is_empty() {
                continue;
            }
            if let Some(why) = judge(&scenario, &expected, &ended) {
                fail(&scenario, &format!("{deed:?} at step {step}"), &why, &ended);
            }
        }
    }
}

/// Random faults over many seeds: `SIM_SEEDS` says how many, from `SIM_FROM` on; `SIM_SEED` runs one and prints its trace.
#[test]
fn random_faults_change_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let from = number("SIM_SEED").or(number("SIM_FROM")).unwrap_or(0);
    let count = number("SIM_SEED").map_or(number("SIM_SEEDS").unwrap_or(100), |_| 1);
    let scenarios = all();
    let undisturbed = |scenario| {
        let ended = run(scenario, 1, calm());
        (outcome(&ended), cost(&ended))
    };
    let expected: Vec<(Outcome, Cost)> = scenarios.iter().map(undisturbed).collect();
    for seed in from..from + count {
        let at = usize::try_from(seed).unwrap() % scenarios.len();
        let (scenario, (expected, least)) = (&scenarios[at], &expected[at]);
        let mut random = fastrand::Rng::with_seed(seed);
        let plan = Plan {
            lost_api: random.u32(0..60),
            lost_service: random.u32(0..60),
            crashes: random.u32(0..15),
            latency: Duration::from_millis(random.u64(1..300)),
            watch_lag: Duration::from_millis(random.u64(1..2000)),
            until: random.u64(10..300),
            crash_at: None,
            lose_at: None,
            // A third of the runs have a second replica, and no lease.
            two: random.u32(0..3) == 0,
            broken_watches: random.u32(0..40),
            // Nor does every machine know what time it is.
            clock_ahead: if random.u32(0..4) == 0 { random.i64(-4000..4000) } else { 0 },
        };
        let ended = run(scenario, seed, plan.clone());
        if number("SIM_SEED").is_some() {
            println!("{plan:?}\n{}", ended.fate.trace());
        }
        if let Some(why) = judge(scenario, expected, &ended).or_else(|| too_dear(*least, &ended)) {
            fail(scenario, &format!("run it again with SIM_SEED={seed}"), &why, &ended);
        }
    }
}
