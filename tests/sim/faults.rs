//! Each scenario without faults, with one at every step, with many, and with a user who comes between.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::clocks::{jumps_while_unknown, throttled};
use super::fate::Plan;
use super::oracle::{Cost, Outcome, calm, cost, fail, judge, outcome, too_dear};
use super::run::{run, run_interrupted};
use super::scenario::{Deed, Scenario, all, site};

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

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
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

/// `SIM_EVERY=5` leaves four of five steps out.
fn at_every_step(what: &str, plan: impl Fn(u64) -> Plan) {
    let every = number("SIM_EVERY").map_or(1, |every| usize::try_from(every.max(1)).unwrap());
    for scenario in all() {
        let begun = std::time::Instant::now();
        let undisturbed = run(&scenario, 1, calm());
        let expected = outcome(&undisturbed);
        let (steps, least) = (undisturbed.fate.steps(), cost(&undisturbed));
        let mut most = least;
        for step in (0..steps).step_by(every) {
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

/// An account that is deleted at any moment while it is opened is gone: nothing is sent with its token any more.
#[test]
fn an_account_that_goes_while_it_is_opened_does_not_come_back() {
    let deeds = vec![(60, Deed::Create("late", site("late")))];
    let scenario = Scenario { name: "an account goes while it is opened", rules: "{}", deeds, lasts: 300 };
    // The account is ready after fewer messages.
    for step in 0..25 {
        let ended = run_interrupted(&scenario, 1, calm(), Some((step, Deed::DeleteAccount)));
        assert_eq!(outcome(&ended).objects["late"], " Pending AccountNotFound", "at step {step}");
        assert!(ended.service.jobs().is_empty(), "at step {step}");
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

/// What this process did itself it reckons by a clock that never jumps: nothing is held, and the job is its own.
#[test]
fn a_clock_that_jumps_while_an_outcome_is_unknown_holds_nothing() {
    for scenario in jumps_while_unknown() {
        let ended = run(&scenario, 1, calm());
        assert_eq!(outcome(&ended).objects["acme"], " Completed Completed", "{}", scenario.name);
        let jobs = ended.api.store().list("ScrapeJob", None);
        assert_eq!(jobs[0]["status"]["submission"]["origin"], "Submitted", "{}: {}", scenario.name, jobs[0]);
    }
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
/// `SIM_HARDER=3` makes them three times as frequent; what fails then has to be judged (`docs/adr/0005`).
#[test]
fn random_faults_change_nothing() {
    let from = number("SIM_SEED").or(number("SIM_FROM")).unwrap_or(0);
    let count = number("SIM_SEED").map_or(number("SIM_SEEDS").unwrap_or(100), |_| 1);
    let harder = number("SIM_HARDER").map_or(1, |times| u32::try_from(times.clamp(1, 10)).unwrap());
    let longer =
        |scenario: Scenario| Scenario { lasts: scenario.lasts + 3000 * u64::from(harder - 1), ..scenario };
    let scenarios: Vec<Scenario> = all().into_iter().map(longer).collect();
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
            lost_api: random.u32(0..60 * harder),
            lost_service: random.u32(0..60 * harder),
            crashes: random.u32(0..15 * harder),
            latency: Duration::from_millis(random.u64(1..300)),
            watch_lag: Duration::from_millis(random.u64(1..2000)),
            until: random.u64(10..300 * u64::from(harder)),
            crash_at: None,
            lose_at: None,
            // A third of the runs have a second replica, and no lease.
            two: random.u32(0..3) == 0,
            broken_watches: random.u32(0..40 * harder),
            // Nor does every machine know what time it is.
            clock_ahead: if random.u32(0..4) == 0 { random.i64(-4000..4000) } else { 0 },
        };
        let ended = run(scenario, seed, plan.clone());
        if number("SIM_SEED").is_some() {
            println!("{plan:?}\n{}", ended.fate.trace());
        }
        if let Some(why) = judge(scenario, expected, &ended).or_else(|| too_dear(*least, &ended)) {
            // All that the seed alone does not say.
            let only = std::env::var("SIM_SCENARIO")
                .map(|name| format!(" SIM_SCENARIO='{name}'"))
                .unwrap_or_default();
            let again = format!("run it again with SIM_SEED={seed} SIM_HARDER={harder}{only}");
            fail(scenario, &again, &why, &ended);
        }
    }
}
