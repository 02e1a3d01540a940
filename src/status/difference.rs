//! What a write of a status carries, and what of it the API server kept. Pure.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::{ScrapeAccountStatus, ScrapeJobStatus};
use crate::decide::WAIT_STORED_EVERY;

/// What of a status a submit, a cancel or the next run hangs on: every write of a job carries all of it.
const RECORD: [&str; 10] = [
    "state",
    "finished",
    "account",
    "submission",
    "jobID",
    "runID",
    "cancelReason",
    "cancelTime",
    "history",
    "usedRunIDs",
];

/// A status that is written.
pub trait Written: Serialize {
    /// Fields that are written by themselves: what is known of them here may be older than that.
    const APART: &'static [&'static str];

    /// Whether it was ever written.
    fn was_written(&self) -> bool;

    /// What every write carries, whether it changes or not.
    fn carried(&self) -> Value;
}

impl Written for ScrapeJobStatus {
    const APART: &'static [&'static str] = &[];

    fn was_written(&self) -> bool {
        self.is_written()
    }

    /// The record.
    fn carried(&self) -> Value {
        let mut record = to_value(self);
        if let Value::Object(fields) = &mut record {
            fields.retain(|field, _| RECORD.contains(&field.as_str()));
        }
        record
    }
}

impl Written for ScrapeAccountStatus {
    const APART: &'static [&'static str] = &["operator"];

    fn was_written(&self) -> bool {
        self.is_written()
    }

    fn carried(&self) -> Value {
        to_value(self)
    }
}

/// Whether two statuses tell the same: some seconds more of a wait, a change of worker or page count alone, or of the service's stamps, is none
/// (R12); such news are written with the next that counts.
pub fn same_meaning(first: &ScrapeJobStatus, second: &ScrapeJobStatus) -> bool {
    let both_processing = [first, second]
        .iter()
        .all(|status| status.reason.as_deref() == Some("Processing") && !status.finished);
    let essence = |status: &ScrapeJobStatus| {
        let mut status = status.clone();
        status.operator = None;
        let parts = status.cancel_wait_seconds.map(|seconds| seconds / WAIT_STORED_EVERY);
        status.cancel_wait_seconds = parts.filter(|parts| *parts > 0);
        if let Some(remote) = &mut status.remote {
            remote.worker_id = None;
            remote.pages_crawled = None;
            remote.created_at = None;
            remote.updated_at = None;
        }
        if both_processing {
            status.message = None;
            for condition in status.conditions.iter_mut().filter(|condition| condition.type_ != "Synced") {
                condition.message.clear();
            }
        }
        status
    };
    essence(first) == essence(second)
}

/// What is written to turn the recorded status into the other.
pub fn difference<S: Written>(recorded: &S, status: &S) -> Value {
    // A status that is only the schema's default is not stored: against it everything has to be written.
    let before = if recorded.was_written() { to_value(recorded) } else { json!({}) };
    merge_patch(&before, &to_value(status))
}

/// The same with what every write carries, and without what is written by itself.
pub(super) fn change<S: Written>(recorded: &S, status: &S) -> Value {
    let mut change = difference(recorded, status);
    fill(&mut change, &status.carried());
    if let Value::Object(change) = &mut change {
        change.retain(|field, _| !S::APART.contains(&field.as_str()));
    }
    change
}

/// The merge patch that turns one value into the other: what is gone becomes null.
fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return after.clone() };
    let mut patch = Map::new();
    for (key, value) in after {
        match before.get(key) {
            Some(old) if old == value => {}
            Some(old @ Value::Object(_)) if value.is_object() => {
                patch.insert(key.clone(), merge_patch(old, value));
            }
            Some(_) | None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// Adds to a merge patch what it leaves as it is.
fn fill(patch: &mut Value, whole: &Value) {
    let (Value::Object(patch), Value::Object(whole)) = (patch, whole) else { return };
    for (field, value) in whole {
        match patch.get_mut(field) {
            Some(part) => fill(part, value),
            None => {
                patch.insert(field.clone(), value.clone());
            }
        }
    }
}

/// The paths of what was sent and is not stored.
pub(super) fn lacking(sent: &Value, stored: &Value, at: &str) -> Vec<String> {
    match (sent, stored) {
        // Sent to be removed.
        (Value::Null, _) => Vec::new(),
        (Value::Object(sent), Value::Object(stored)) => sent
            .iter()
            .flat_map(|(field, value)| {
                lacking(value, stored.get(field).unwrap_or(&Value::Null), &format!("{at}.{field}"))
            })
            .collect(),
        (Value::Object(sent), Value::Null) if sent.values().all(Value::is_null) => Vec::new(),
        (Value::Array(sent), Value::Array(stored)) if sent.len() == stored.len() => sent
            .iter()
            .zip(stored)
            .enumerate()
            .flat_map(|(n, (sent, stored))| lacking(sent, stored, &format!("{at}[{n}]")))
            .collect(),
        (sent, stored) if sent == stored => Vec::new(),
        _ => vec![at.to_owned()],
    }
}

/// Our own types always serialise; were that to fail, an empty patch would be refused, not stored.
pub(super) fn to_value(status: &impl Serialize) -> Value {
    serde_json::to_value(status).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Written, fill, lacking, merge_patch, same_meaning};
    use crate::api::{Remote, ScrapeJobStatus, full_status};

    #[test]
    fn a_difference_names_what_changed_and_nulls_what_is_gone() {
        let cases = [
            (json!({}), json!({"a": 1}), json!({"a": 1})),
            (json!({"a": 1, "b": 2}), json!({"a": 1}), json!({"b": null})),
            (
                json!({"a": {"x": 1, "y": 2}}),
                json!({"a": {"x": 1, "z": 3}}),
                json!({"a": {"y": null, "z": 3}}),
            ),
            (json!({"a": [1, 2]}), json!({"a": [1, 3]}), json!({"a": [1, 3]})),
            (json!({"a": 1}), json!({"a": 1}), json!({})),
        ];
        for (before, after, expected) in cases {
            assert_eq!(merge_patch(&before, &after), expected, "{before} to {after}");
        }
    }

    #[test]
    fn a_reply_that_lacks_any_field_of_the_record_is_seen() {
        let status: ScrapeJobStatus =
            serde_json::from_value(full_status("ScrapeJob").unwrap().clone()).unwrap();
        let record = status.carried();
        assert!(lacking(&record, &record, "status").is_empty());
        let (mut paths, mut left) = (Vec::new(), vec![(String::new(), "status".to_owned(), record.clone())]);
        while let Some((pointer, path, value)) = left.pop() {
            match value {
                Value::Object(fields) => left.extend(
                    fields
                        .into_iter()
                        .map(|(name, of)| (format!("{pointer}/{name}"), format!("{path}.{name}"), of)),
                ),
                Value::Array(items) => left.extend(
                    items
                        .into_iter()
                        .enumerate()
                        .map(|(n, of)| (format!("{pointer}/{n}"), format!("{path}[{n}]"), of)),
                ),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    paths.push((pointer, path));
                }
            }
        }
        assert!(paths.len() > 20, "{paths:?}");
        for (pointer, path) in paths {
            let mut stored = record.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match stored.pointer_mut(parent).unwrap() {
                Value::Object(fields) => drop(fields.remove(name)),
                Value::Array(items) => items.clear(),
                other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                    panic!("{other}")
                }
            }
            let found = lacking(&record, &stored, "status");
            assert!(found.len() == 1 && path.starts_with(&found[0]), "{path}: {found:?}");
            // Nor is another value taken for what was sent.
            let mut other = record.clone();
            *other.pointer_mut(&pointer).unwrap() = json!("another");
            assert_eq!(lacking(&record, &other, "status"), [path]);
        }
    }

    #[test]
    fn a_patch_carries_what_it_does_not_change() {
        let mut patch = json!({"message": "new", "submission": {"nonce": null, "try": 2}});
        fill(&mut patch, &json!({"jobID": "j", "submission": {"try": 2, "bodyHash": "h"}, "history": [1]}));
        let whole = json!({
            "message": "new", "jobID": "j", "history": [1],
            "submission": {"nonce": null, "try": 2, "bodyHash": "h"},
        });
        assert_eq!(patch, whole);
        assert!(lacking(&json!({"submission": {"nonce": null}}), &json!({}), "status").is_empty());
    }

    #[test]
    fn every_write_carries_the_record_so_that_nothing_of_it_is_dropped_unseen() {
        let status: ScrapeJobStatus =
            serde_json::from_value(full_status("ScrapeJob").unwrap().clone()).unwrap();
        let next = ScrapeJobStatus { message: Some("new".to_owned()), ..status.clone() };
        let change = super::change(&status, &next);
        assert_eq!(change["message"], "new");
        assert!(lacking(&status.carried(), &change, "status").is_empty(), "{change}");
    }

    #[test]
    fn r12_a_worker_or_a_page_count_alone_is_no_change() {
        let status = |worker: &str, state: &str| ScrapeJobStatus {
            state: Some("Processing".to_owned()),
            reason: Some("Processing".to_owned()),
            message: Some(format!("picked up by {worker}")),
            remote: Some(Remote {
                state: Some(state.to_owned()),
                worker_id: Some(worker.to_owned()),
                ..Remote::default()
            }),
            ..ScrapeJobStatus::default()
        };
        assert!(same_meaning(&status("one", "processing"), &status("two", "processing")));
        assert!(!same_meaning(&status("one", "processing"), &status("one", "queued")));
    }
}
