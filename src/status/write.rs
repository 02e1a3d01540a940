//! The only writer of a job: its status, and the metadata around a submit. Every write is preconditioned on the
//! resourceVersion that its decision was made on, so that a stale cache or a second replica loses.

use std::time::Duration;

use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::api::{ObjectName, ScrapeAccountStatus, ScrapeJob, ScrapeJobStatus};
use crate::health::waiting;
use crate::kubernetes::{said_of, said_of_status};

/// Longer than any healthy answer; a write without one is settled by a live read.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why a write did not happen, or may not have.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object changed or went: look again, live, and decide anew.
    #[error("the object changed meanwhile: {0}")]
    Lost(String),
    /// Nobody knows whether it was carried out.
    #[error("no answer from the API server: {0}")]
    Unanswered(String),
    /// The operator may not write it.
    #[error("the API server refused the write: {0}")]
    Forbidden(String),
}

/// Writes the status where it differs, in one request.
///
/// # Errors
/// See [`WriteError`]; only `Lost` and `Forbidden` say for certain that nothing was written.
pub async fn patch_status(
    jobs: &Api<ScrapeJob>,
    name: &str,
    resource_version: &str,
    recorded: &ScrapeJobStatus,
    status: &ScrapeJobStatus,
) -> Result<ScrapeJob, WriteError> {
    let patch = json!({
        "metadata": {"resourceVersion": resource_version},
        "status": difference(recorded, status),
    });
    let (name, params) = (named(name)?, PatchParams::default());
    answered(jobs.patch_status(name.as_str(), &params, &Patch::Merge(&patch))).await
}

/// Writes the status of an account, of either kind.
///
/// # Errors
/// See [`WriteError`].
pub async fn patch_account_status<K: DeserializeOwned>(
    accounts: &Api<K>,
    name: &str,
    resource_version: &str,
    recorded: &ScrapeAccountStatus,
    status: &ScrapeAccountStatus,
) -> Result<K, WriteError> {
    let written = recorded.observed_generation.is_some_and(|generation| generation >= 0);
    let before = if written { to_value(recorded) } else { json!({}) };
    let patch = json!({
        "metadata": {"resourceVersion": resource_version},
        "status": merge_patch(&before, &to_value(status)),
    });
    let (name, params) = (named(name)?, PatchParams::default());
    answered(accounts.patch_status(name.as_str(), &params, &Patch::Merge(&patch))).await
}

/// Writes part of the metadata: the caller's merge patch, fenced by uid and resourceVersion.
///
/// # Errors
/// See [`WriteError`].
pub async fn patch_metadata(
    jobs: &Api<ScrapeJob>,
    name: &str,
    (uid, resource_version): (&str, &str),
    mut metadata: Map<String, Value>,
) -> Result<ScrapeJob, WriteError> {
    metadata.insert("uid".to_owned(), uid.into());
    metadata.insert("resourceVersion".to_owned(), resource_version.into());
    let (name, patch) = (named(name)?, json!({"metadata": metadata}));
    answered(jobs.patch(name.as_str(), &PatchParams::default(), &Patch::Merge(&patch))).await
}

/// Deletes a job, fenced by uid and resourceVersion.
///
/// # Errors
/// See [`WriteError`].
pub async fn delete(
    jobs: &Api<ScrapeJob>,
    name: &str,
    (uid, resource_version): (&str, &str),
) -> Result<(), WriteError> {
    let preconditions =
        Preconditions { uid: Some(uid.to_owned()), resource_version: Some(resource_version.to_owned()) };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    answered(jobs.delete(named(name)?.as_str(), &params)).await.map(|_| ())
}

/// The name as it may become part of an address. The API server gives no other to an object.
fn named(name: &str) -> Result<ObjectName, WriteError> {
    ObjectName::parse(name).map_err(|error| WriteError::Forbidden(error.to_string()))
}

/// What the API server answers to a request, within a time.
///
/// # Errors
/// See [`WriteError`].
pub async fn answered<K>(request: impl Future<Output = Result<K, kube::Error>>) -> Result<K, WriteError> {
    match waiting(tokio::time::timeout(ANSWER_WITHIN, request)).await {
        Ok(Ok(written)) => Ok(written),
        Ok(Err(kube::Error::Api(status))) => Err(match status.code {
            404 | 409 | 422 => WriteError::Lost(said_of_status(&status)),
            401 | 403 => WriteError::Forbidden(said_of_status(&status)),
            _ => WriteError::Unanswered(said_of_status(&status)),
        }),
        Ok(Err(error)) => Err(WriteError::Unanswered(said_of(&error))),
        Err(_) => Err(WriteError::Unanswered("it took too long".to_owned())),
    }
}

/// Whether two statuses tell the same: a change of worker or page count alone, or of the service's stamps, is none
/// (R12); such news are written with the next that counts.
pub fn same_meaning(first: &ScrapeJobStatus, second: &ScrapeJobStatus) -> bool {
    let both_processing = [first, second]
        .iter()
        .all(|status| status.reason.as_deref() == Some("Processing") && !status.finished);
    let essence = |status: &ScrapeJobStatus| {
        let mut status = status.clone();
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

/// Our own types always serialise; were that to fail, an empty patch would be refused, not stored.
fn to_value(status: &impl Serialize) -> Value {
    serde_json::to_value(status).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{merge_patch, same_meaning};
    use crate::api::{Remote, ScrapeJobStatus};

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
