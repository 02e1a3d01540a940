//! What rests: an object that is said to need no look is one that a look would leave as it is, whatever becomes of its
//! account and whatever the process remembers.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use spideriq_operator::api::ScrapeJob;
use spideriq_operator::cache::{CachedJob, rest};
use spideriq_operator::decide::{AccountFacts, Memory, Outcome, Watched, next, settle};
use spideriq_operator::offline::{Facts, observed, plan};
use spideriq_operator::status::compute;

use super::situation::{account, now};

/// Every object of `tests/plans`, and each as it is after one look after another.
static OBJECTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        let situation: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let facts = || serde_json::from_value::<Facts>(situation["facts"].clone()).unwrap();
        let mut job: ScrapeJob = serde_json::from_value(situation["job"].clone()).unwrap();
        objects.push(situation["job"].clone());
        let mut outcome = facts().outcome.unwrap_or(Outcome::Done);
        for _ in 0..3 {
            job = after(&job, &facts(), &outcome);
            outcome = Outcome::Done;
            objects.push(serde_json::to_value(&job).unwrap());
        }
    }
    objects
});

/// The object after a look, with the finalizer taken off where it is over.
fn after(job: &ScrapeJob, facts: &Facts, outcome: &Outcome) -> ScrapeJob {
    let o = observed(job, facts);
    let verdict = settle(&o, &next(&o), outcome);
    let mut job = job.clone();
    let written =
        compute(&verdict, &o.recorded, o.job.spec.ready_when.unwrap_or_default(), o.job.generation, o.now);
    job.status = written.or(job.status);
    if job.status.as_ref().is_some_and(|status| status.finished) {
        job.metadata.finalizers = None;
    }
    job
}

/// What somebody may have done to an object since.
fn edits() -> impl Strategy<Value = (&'static str, Value)> {
    prop::sample::select(vec![
        ("/spec/runID", json!("r-next")),
        ("/spec/cancel", json!(true)),
        ("/spec/suspend", json!(true)),
        ("/spec/type", json!("spiderMaps")),
        ("/spec/jobID", json!("job-77")),
        ("/spec/readyWhen", json!("Finished")),
        ("/spec/ttlSecondsAfterFinished", json!(0)),
        ("/spec/ttlSecondsAfterFinished", json!(90)),
        ("/spec/ttlPolicy", json!("Always")),
        ("/spec/activeDeadlineSeconds", json!(1)),
        ("/spec/accountRef", json!({"name": "other"})),
        ("/spec/accountRef", json!({"name": "?"})),
        ("/metadata/generation", json!(2)),
        ("/metadata/deletionTimestamp", json!("2026-01-01T11:59:00Z")),
        ("/metadata/finalizers", json!(["spideriq.ai/cancel"])),
        ("/metadata/labels", json!({"app.kubernetes.io/managed-by": "Helm"})),
        ("/metadata/annotations", json!({"spideriq.ai/paused": "true"})),
        ("/metadata/annotations", json!({"spideriq.ai/reconcile-requested-at": "now"})),
        ("/metadata/annotations", json!({"spideriq.ai/intent": "{"})),
        ("/status/owed", json!(["Details"])),
        ("/status/finished", json!(false)),
        ("/status/conditions", json!([])),
        ("/status/state", json!("Queued")),
        ("/status/state", json!("Tomorrow")),
        ("/status/message", json!("others' words")),
        ("/status/account", Value::Null),
        ("/status/submission", Value::Null),
        ("/status/jobID", Value::Null),
        ("/status/finishTime", Value::Null),
        ("/status/startTime", Value::Null),
        ("/status/observedGeneration", Value::Null),
        ("/status/type", Value::Null),
    ])
}

/// The object as it was stored, and as it is kept.
fn edited(object: &Value, edits: &[(&'static str, Value)]) -> Option<(ScrapeJob, CachedJob)> {
    let mut object = object.clone();
    for (path, value) in edits {
        let (parent, name) = path.rsplit_once('/').unwrap();
        if let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.insert(name.to_owned(), value.clone());
        }
    }
    let text = object.to_string();
    Some((serde_json::from_str(&text).ok()?, serde_json::from_str(&text).ok()?))
}

fn accounts() -> [AccountFacts; 5] {
    let facts = |value: Value| serde_json::from_value(value).unwrap();
    let other = spideriq_operator::decide::AccountUse { client_id: Some("cli_b".to_owned()), ..account() };
    let words = |reason: &str| json!({"reason": reason, "message": "no", "fingerprint": "f"});
    [
        facts(json!({"missing": {"kind": "ScrapeAccount", "name": "default"}})),
        facts(json!({ "unusable": words("CredentialsMissing") })),
        facts(json!({"rejected": {"since": now(), "message": "no", "fingerprint": "f"}})),
        AccountFacts::Usable(account()),
        AccountFacts::Usable(other),
    ]
}

/// What a look at this moment would do, where it would do anything.
fn done(job: &ScrapeJob, at: Timestamp, account: &AccountFacts) -> Option<String> {
    let memory =
        [Memory::default(), Memory { failed_reads: 9, missing: true, waits: 3, ..Memory::default() }];
    memory.into_iter().find_map(|memory| {
        let outcome = Some(Outcome::Done);
        let facts = Facts { now: at, account: account.clone(), watched: Watched::default(), memory, outcome };
        let planned = plan(job, &facts);
        let then = planned.then.as_ref().unwrap();
        let nothing = ["rest", "leave alone"].contains(&planned.plan.as_str());
        let quiet = then.writes.is_null() && then.events.is_empty();
        (!nothing || !quiet).then(|| format!("{planned:#?}"))
    })
}

#[test]
fn what_is_over_rests_and_nothing_else_does() {
    let jobs: Vec<CachedJob> = OBJECTS.iter().filter_map(|object| Some(edited(object, &[])?.1)).collect();
    let resting = jobs.iter().filter(|job| rest(job, now()).is_some()).count();
    assert!(resting > 60, "{resting} of {}", jobs.len());
    for job in &jobs {
        let finished = job.status.as_ref().is_some_and(|status| status.finished);
        assert!(finished || rest(job, now()).is_none(), "{job:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    /// Deciding on what rests changes nothing, until the time that it names.
    #[test]
    fn a_look_at_what_rests_changes_nothing(
        at in any::<prop::sample::Index>(),
        edits in prop::collection::vec(edits(), 0..3),
    ) {
        let Some((stored, job)) = edited(at.get(&OBJECTS), &edits) else { return Ok(()) };
        let Some(rest) = rest(&job, now()) else { return Ok(()) };
        let last = rest.until.unwrap_or(Duration::from_secs(400 * 86_400));
        for at in [now(), now() + last.saturating_sub(Duration::from_secs(1))] {
            for account in accounts() {
                let done = done(&stored, at, &account);
                prop_assert!(done.is_none(), "{:?}\n{:?}\n{}", edits, stored, done.unwrap_or_default());
            }
        }
    }
}
