//! The records against a scan of the objects.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::record::Id;
use super::records::{Keep, Name, Records, Tally};
use crate::api::State;
use crate::cache::{CachedJob, is_at_rest};
use crate::controller::context::accounts::Uses;

/// An object in one of few namespaces, with one of few names, of one of few jobs and accounts.
fn objects() -> impl Strategy<Value = Value> {
    let phases = prop::sample::select(vec!["Held", "Queued", "Completed", "Submitting"]);
    let ids = || {
        prop::option::of(prop::sample::select(vec!["job-1", "job-2", "0f8fad5b-d9cb-469f-a165-70867728950e"]))
    };
    let parts = (0..3usize, 0..4usize, phases, ids(), ids(), prop::bool::ANY, 1..9u32);
    parts.prop_map(|(namespace, name, state, job, earlier, named, version)| {
        let history: Vec<Value> = earlier.iter().map(|id| json!({"jobID": id})).collect();
        let mut status = json!({
            "observedGeneration": 1, "state": state, "finished": state == "Completed", "history": history,
            "jobID": job, "triedAt": format!("2026-01-01T00:00:0{version}Z"),
            "submission": {"clientID": format!("client-{namespace}"), "endpoint": "https://a.example"},
        });
        if named {
            status["account"] = json!({"kind": "ScrapeAccount", "name": "team"});
        }
        json!({
            "metadata": {
                "namespace": format!("ns-{namespace}"), "name": format!("job-{name}"),
                "uid": format!("{namespace}-{name}-{version}"), "resourceVersion": version.to_string(),
            },
            "spec": {"type": "spiderSite"}, "status": status,
        })
    })
}

#[derive(Clone, Debug)]
enum Change {
    Put(Value, bool),
    Take(Name),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let name = (0..3usize, 0..4usize).prop_map(|(of, name)| (format!("ns-{of}"), format!("job-{name}")));
    let put = (objects(), prop::bool::ANY).prop_map(|(job, awake)| Change::Put(job, awake));
    vec(prop_oneof![3 => put, 1 => name.prop_map(Change::Take)], 0..40)
}

fn parsed(job: &Value) -> CachedJob {
    serde_json::from_str(&job.to_string()).unwrap()
}

/// What a scan of all objects comes to.
fn tally(jobs: &BTreeMap<Name, CachedJob>, uses: &Uses) -> Tally {
    let mut tally = Tally::default();
    for job in jobs.values().filter(|job| Uses::of(job) == *uses) {
        let status = job.status.as_ref().unwrap();
        let (has, held) = (status.job_id.is_some(), status.current_state() == State::Held);
        tally.jobs += 1;
        tally.works += usize::from(!is_at_rest(job));
        tally.active += usize::from(has && !held && !status.finished);
        tally.waiting += usize::from(!has && !held && !status.finished);
    }
    tally
}

#[test]
fn what_was_read_is_taken_only_where_the_watch_has_told_nothing_newer() {
    let known = |version: u64, awake: bool| super::Known {
        uid: "uid-1".to_owned(),
        bytes: 100,
        version: Some(version),
        awake,
        uses: Uses::Default("shop".to_owned()),
    };
    let read = |known: super::Known, uid: &str| known.wakes_as(Some(uid), Some(7));
    assert!(read(known(6, false), "uid-1") && read(known(7, false), "uid-1"));
    assert!(!read(known(8, false), "uid-1"), "it has changed meanwhile");
    assert!(!read(known(7, true), "uid-1"), "it is awake as the watch told it");
    assert!(!read(known(7, false), "uid-2"), "it was made again");
}

/// The API server may take a second for a large object, and everybody waits for the first.
#[test]
fn the_first_is_a_small_one_where_there_is_any() {
    let mut records = Records::default();
    let mut put = |name: &str, bytes: usize| {
        let job = json!({
            "metadata": {"namespace": "a", "name": name, "uid": name},
            "spec": {"payload": {"filler": "x".repeat(bytes)}},
        });
        records.put(&parsed(&job), Keep::Awake);
        records.first(None).unwrap().1
    };
    assert_eq!(put("b-large", 1_000_000), "b-large");
    assert_eq!(put("a-large", 40_000), "a-large");
    assert_eq!(put("d-small", 100), "d-small");
    assert_eq!(put("c-small", 30_000), "c-small");
    assert_eq!(put("a-small", 30_000), "a-small");
}

proptest! {
    /// Whatever comes, goes and changes, the counts and indexes say what a scan of all objects would.
    #[test]
    fn records_say_what_the_objects_do(changes in changes()) {
        let (mut records, mut jobs) = (Records::default(), BTreeMap::new());
        for change in changes {
            match change {
                Change::Put(job, awake) => {
                    let job = parsed(&job);
                    let name = (job.metadata.namespace.clone().unwrap(), job.metadata.name.clone().unwrap());
                    let keep = if awake { Keep::Awake } else { Keep::Resting(None) };
                    let before = records.put(&job, keep).map(|known| known.uid);
                    let known = records.get(&name.0, &name.1).unwrap();
                    prop_assert_eq!((known.awake, Some(&known.uid)), (awake, job.metadata.uid.as_ref()));
                    let replaced: Option<CachedJob> = jobs.insert(name, job);
                    prop_assert_eq!(before, replaced.and_then(|job| job.metadata.uid.clone()));
                }
                Change::Take(name) => {
                    let gone = records.take(&name.0, &name.1).map(|known| known.uid);
                    prop_assert_eq!(gone, jobs.remove(&name).and_then(|job| job.metadata.uid.clone()));
                }
            }
            prop_assert_eq!(records.names(|_| true), jobs.keys().cloned().collect::<Vec<_>>());
            prop_assert_eq!(records.len(), jobs.len());
        }
        let mut classes = BTreeMap::new();
        for ((namespace, _), job) in &jobs {
            let state = job.status.as_ref().unwrap().current_state();
            *classes.entry((namespace.clone(), state)).or_insert(0) += 1;
            let uses = Uses::of(job);
            prop_assert_eq!(records.accounts.counted(&uses).copied(), Some(tally(&jobs, &uses)));
        }
        let counted = records.namespaces.all().flat_map(|(namespace, classes)| {
            classes.iter().map(|(class, count)| ((namespace.clone(), class.state), *count))
        });
        prop_assert_eq!(counted.collect::<BTreeMap<_, _>>(), classes);
        prop_assert_eq!(records.accounts.all().count(), jobs.values().map(|job| Uses::of(job)).collect::<std::collections::BTreeSet<_>>().len());
        for id in ["job-1", "job-2", "0f8fad5b-d9cb-469f-a165-70867728950e", "another"] {
            let has = |job: &CachedJob| {
                let status = job.status.as_ref().unwrap();
                let earlier = status.history.iter().any(|run| run.job_id.as_deref() == Some(id));
                (earlier || status.job_id.as_deref() == Some(id)).then(|| (job.metadata.uid.clone().unwrap(), earlier))
            };
            let mut expected: Vec<_> = jobs.values().filter_map(has).collect();
            let id = Id::new(id);
            let mut found: Vec<_> =
                records.holders(&id).map(|holder| (holder.record.uid.to_string(), holder.earlier)).collect();
            expected.sort();
            found.sort();
            prop_assert_eq!(found, expected);
        }
        let late = jobs.values().filter(|job| {
            job.status.as_ref().unwrap().tried_at.as_ref().unwrap().0.as_second() >= 1_767_225_605
        });
        prop_assert_eq!(records.tried_since(Timestamp::from_second(1_767_225_605).unwrap()).len(), late.count());
    }
}
