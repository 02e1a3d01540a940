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

use super::difference::{Written, change, lacking, to_value};
use super::error::WriteError;
use super::refusal::refused;
use crate::api::{ObjectName, OperatorClaim, ScrapeAccountStatus, ScrapeJobStatus, Stored};
use crate::health::waiting;
use crate::kubernetes::said_of;

/// Longer than any healthy answer; a write without one is settled by a live read.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

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

/// Writes a status of either kind where it differs, in one request.
///
/// # Errors
/// See [`WriteError`].
pub async fn patch_status<K: DeserializeOwned + Reply, S: Written>(
    objects: &Api<K>,
    name: &str,
    resource_version: &str,
    recorded: &S,
    status: &S,
) -> Result<K, WriteError> {
    write(objects, name, resource_version, &change(recorded, status)).await
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
    write(accounts, name, resource_version, &status).await
}

/// Writes this change of a status.
async fn write<K: DeserializeOwned + Reply>(
    objects: &Api<K>,
    name: &str,
    resource_version: &str,
    change: &Value,
) -> Result<K, WriteError> {
    let patch = json!({"metadata": {"resourceVersion": resource_version}, "status": change});
    let written =
        answered(objects.patch_status(named(name)?.as_str(), &strict(), &Patch::Merge(&patch))).await?;
    kept(written, change)
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
    let record = recorded.filter(|status| status.was_written()).map_or(json!({}), Written::carried);
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

/// Has the API server refuse a write of which it would drop a field.
fn strict() -> PatchParams {
    PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::default() }
}

/// The reply to a write, if it has all that was sent.
fn kept<K: Reply>(reply: K, sent: &Value) -> Result<K, WriteError> {
    none_lacks(lacking(sent, &reply.stored(), "status")).map(|()| reply)
}

fn none_lacks(fields: Vec<String>) -> Result<(), WriteError> {
    if fields.is_empty() { Ok(()) } else { Err(WriteError::Dropped(fields)) }
}
