//! The only writer of a job: its status, and the metadata around a submit. Every write is preconditioned on the
//! resourceVersion that its decision was made on, so that a stale cache or a second replica loses.
//!
//! No field may be lost on the way (`docs/adr/0012`): the API server is told to refuse what it would drop, every write of
//! a job carries the whole record, and every reply is compared with what was sent.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions, ValidationDirective};
use kube::core::Request;
use kube::core::object::HasStatus;
use kube::{Client, Resource};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::refusal::refused;
use crate::api::{ObjectName, OperatorClaim, ScrapeAccountStatus, ScrapeJobStatus, Stored};
use crate::decide::WAIT_STORED_EVERY;
use crate::health::waiting;
use crate::kubernetes::said_of;

/// Longer than any healthy answer; a write without one is settled by a live read.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

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

/// Why a write did not happen, or may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The object changed or went: look again, live, and decide anew.
    #[error("the object changed meanwhile: {0}")]
    Lost(String),
    /// Nobody knows whether it was carried out.
    #[error("no answer from the API server: {0}")]
    Unanswered(String),
    /// The API server will not have it: a policy, a missing right, no room. Nothing was written.
    #[error("the API server refused the write: {0}")]
    Refused(String),
    /// It would have dropped these fields, and so refused the whole write. Nothing was written.
    #[error("the API server does not know the fields {}", .0.join(", "))]
    UnknownFields(Vec<String>),
    /// It took the write and dropped these fields.
    #[error("the API server did not keep the fields {}", .0.join(", "))]
    Dropped(Vec<String>),
}

impl WriteError {
    /// The fields that the API server does not keep, where that is what it says.
    pub fn not_kept(&self) -> Option<&[String]> {
        match self {
            Self::UnknownFields(fields) | Self::Dropped(fields) => Some(fields),
            Self::Lost(_) | Self::Unanswered(_) | Self::Refused(_) => None,
        }
    }
}

/// What the API server answers to a write.
pub trait Reply {
    /// The status as it is stored.
    fn stored(&self) -> Value;
}

impl<K: HasStatus<Status: Serialize>> Reply for Stored<K> {
    fn stored(&self) -> Value {
        stored(self.read.as_ref().ok().and_then(K::status))
    }
}

/// A status as a value.
pub fn stored(status: Option<&impl Serialize>) -> Value {
    status.map_or(Value::Null, to_value)
}

/// Writes the status where it differs, in one request.
///
/// # Errors
/// See [`WriteError`].
pub async fn patch_status<K: DeserializeOwned + Reply>(
    jobs: &Api<K>,
    name: &str,
    resource_version: &str,
    recorded: &ScrapeJobStatus,
    status: &ScrapeJobStatus,
) -> Result<K, WriteError> {
    let mut change = difference(recorded, status);
    fill(&mut change, &record_of(status));
    let patch = json!({"metadata": {"resourceVersion": resource_version}, "status": change});
    let written =
        answered(jobs.patch_status(named(name)?.as_str(), &strict(), &Patch::Merge(&patch))).await?;
    kept(written, &change)
}

/// Writes the status of an account, of either kind.
///
/// # Errors
/// See [`WriteError`].
pub async fn patch_account_status<K: DeserializeOwned + Reply>(
    accounts: &Api<K>,
    name: &str,
    resource_version: &str,
    recorded: &ScrapeAccountStatus,
    status: &ScrapeAccountStatus,
) -> Result<K, WriteError> {
    let written = recorded.observed_generation.is_some_and(|generation| generation >= 0);
    let before = if written { to_value(recorded) } else { json!({}) };
    let mut change = merge_patch(&before, &to_value(status));
    fill(&mut change, &to_value(status));
    if let Value::Object(change) = &mut change {
        // A claim is written by itself; what is known of it here may be older than that.
        change.remove("operator");
    }
    let patch = json!({"metadata": {"resourceVersion": resource_version}, "status": change});
    let written =
        answered(accounts.patch_status(named(name)?.as_str(), &strict(), &Patch::Merge(&patch))).await?;
    kept(written, &change)
}

/// Writes the claim of a release onto an account, or takes it off; the rest of the status stays as it was recorded.
///
/// # Errors
/// See [`WriteError`].
pub async fn patch_claim<K: DeserializeOwned + Reply>(
    accounts: &Api<K>,
    name: &str,
    resource_version: &str,
    (recorded, claim): (&ScrapeAccountStatus, Option<&OperatorClaim>),
) -> Result<K, WriteError> {
    let mut status = to_value(&ScrapeAccountStatus { operator: None, ..recorded.clone() });
    let mut claim = claim.map_or(Value::Null, to_value);
    if let Value::Object(fields) = &mut claim {
        // Of the claim before nothing is left.
        fields.entry("lease").or_insert(Value::Null);
    }
    if let Value::Object(fields) = &mut status {
        fields.insert("operator".to_owned(), claim);
    }
    let patch = json!({"metadata": {"resourceVersion": resource_version}, "status": status});
    let written =
        answered(accounts.patch_status(named(name)?.as_str(), &strict(), &Patch::Merge(&patch))).await?;
    kept(written, &status)
}

/// Writes part of the metadata: the caller's merge patch, fenced by uid and resourceVersion. The status goes along to be
/// checked only: the API server does not take it from here.
///
/// # Errors
/// See [`WriteError`].
pub async fn patch_metadata<K: Resource + Clone + DeserializeOwned + Debug + Reply>(
    jobs: &Api<K>,
    name: &str,
    (uid, resource_version): (&str, &str),
    (mut metadata, recorded): (Map<String, Value>, Option<&ScrapeJobStatus>),
) -> Result<K, WriteError> {
    metadata.insert("uid".to_owned(), uid.into());
    metadata.insert("resourceVersion".to_owned(), resource_version.into());
    let record = recorded.filter(|status| status.is_written()).map_or(json!({}), record_of);
    let patch = json!({"metadata": metadata, "status": record});
    let written = answered(jobs.patch(named(name)?.as_str(), &strict(), &Patch::Merge(&patch))).await?;
    kept(written, &record)
}

/// Has the API server say what it would make of a status with every field, without writing it.
///
/// # Errors
/// `UnknownFields` and `Dropped` name what it would not keep; of the others only `Unanswered` says nothing about the object.
pub async fn try_status(client: &Client, url: &str, name: &str, status: &Value) -> Result<(), WriteError> {
    /// What else is in the reply is skipped, at any depth.
    #[derive(Deserialize)]
    struct Reply {
        #[serde(default)]
        status: Value,
    }
    let patch = json!({"status": status});
    let params = PatchParams { dry_run: true, ..strict() };
    let request = Request::new(url)
        .patch_subresource("status", named(name)?.as_str(), &params, &Patch::Merge(&patch))
        .map_err(|error| WriteError::Unanswered(said_of(&kube::Error::BuildRequest(error))))?;
    let reply: Reply = answered(client.request(request)).await?;
    none_lacks(lacking(status, &reply.status, "status"))
}

/// Deletes a job, fenced by uid and resourceVersion.
///
/// # Errors
/// See [`WriteError`].
pub async fn delete<K: Resource + Clone>(
    jobs: &Api<K>,
    name: &str,
    (uid, resource_version): (&str, &str),
) -> Result<(), WriteError> {
    let preconditions =
        Preconditions { uid: Some(uid.to_owned()), resource_version: Some(resource_version.to_owned()) };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    let (name, client) = (named(name)?, jobs.clone().into_client());
    answered(async {
        let request = Request::new(jobs.resource_url())
            .delete(name.as_str(), &params)
            .map_err(kube::Error::BuildRequest)?;
        // The answer may hold the object, whose depth is a tenant's.
        client.request::<IgnoredAny>(request).await
    })
    .await
    .map(|_| ())
}

/// The name as it may become part of an address. The API server gives no other to an object.
fn named(name: &str) -> Result<ObjectName, WriteError> {
    ObjectName::parse(name).map_err(|error| WriteError::Refused(error.to_string()))
}

/// What the API server answers to a request, within a time.
///
/// # Errors
/// See [`WriteError`].
pub async fn answered<K>(request: impl Future<Output = Result<K, kube::Error>>) -> Result<K, WriteError> {
    match waiting(tokio::time::timeout(ANSWER_WITHIN, request)).await {
        Ok(Ok(written)) => Ok(written),
        Ok(Err(kube::Error::Api(status))) => Err(refused(&status)),
        Ok(Err(error)) => Err(WriteError::Unanswered(said_of(&error))),
        Err(_) => Err(WriteError::Unanswered("it took too long".to_owned())),
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
pub fn difference(recorded: &ScrapeJobStatus, status: &ScrapeJobStatus) -> Value {
    // A status that is only the schema's default is not stored: against it everything has to be written.
    let before = if recorded.is_written() { to_value(recorded) } else { json!({}) };
    merge_patch(&before, &to_value(status))
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

/// Has the API server refuse a write of which it would drop a field.
fn strict() -> PatchParams {
    PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::default() }
}

/// The record in a status.
fn record_of(status: &ScrapeJobStatus) -> Value {
    let mut record = to_value(status);
    if let Value::Object(fields) = &mut record {
        fields.retain(|field, _| RECORD.contains(&field.as_str()));
    }
    record
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

/// The reply to a write, if it has all that was sent.
fn kept<K: Reply>(reply: K, sent: &Value) -> Result<K, WriteError> {
    none_lacks(lacking(sent, &reply.stored(), "status")).map(|()| reply)
}

fn none_lacks(fields: Vec<String>) -> Result<(), WriteError> {
    if fields.is_empty() { Ok(()) } else { Err(WriteError::Dropped(fields)) }
}

/// The paths of what was sent and is not stored.
fn lacking(sent: &Value, stored: &Value, at: &str) -> Vec<String> {
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
fn to_value(status: &impl Serialize) -> Value {
    serde_json::to_value(status).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{fill, lacking, merge_patch, record_of, same_meaning};
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
        let record = record_of(&status);
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
