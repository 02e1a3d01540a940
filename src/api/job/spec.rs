//! `ScrapeJob`: what a user writes.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Payload, ScrapeJobStatus};
use crate::api::{AccountKind, schema};

/// What to run. Give either type and payload (submit a job), or jobID (follow an existing one).
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "spideriq.ai",
    version = "v1alpha1",
    kind = "ScrapeJob",
    namespaced,
    doc = "ScrapeJob is one job at SpiderIQ, submitted by this cluster or mirrored.",
    status = "ScrapeJobStatus",
    derive = "PartialEq",
    shortname = "sj",
    category = "scraping",
    selectable = ".status.type",
    selectable = ".spec.suspend",
    selectable = ".status.state",
    selectable = ".status.reason",
    selectable = ".status.jobID",
    selectable = ".status.finished",
    selectable = ".status.account.name",
    printcolumn(
        name = "Type",
        type_ = "string",
        json_path = ".status.type",
        description = "Job type of the service."
    ),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = ".status.state",
        description = "Where the job is."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.reason",
        description = "Why it is there."
    ),
    printcolumn(
        name = "Results",
        type_ = "integer",
        json_path = ".status.results.count",
        description = "Number of result records."
    ),
    printcolumn(
        name = "Finished",
        type_ = "date",
        json_path = ".status.finishTime",
        description = "How long ago the run ended."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Age of the object."
    ),
    printcolumn(
        name = "Job-ID",
        type_ = "string",
        json_path = ".status.jobID",
        priority = 1,
        description = "The job's id at the service."
    ),
    printcolumn(
        name = "Account",
        type_ = "string",
        json_path = ".status.account.name",
        priority = 1,
        description = "The account that is used."
    ),
    printcolumn(
        name = "Run",
        type_ = "string",
        json_path = ".status.runID",
        priority = 1,
        description = "The run that the status speaks of."
    ),
    printcolumn(
        name = "Tried",
        type_ = "date",
        json_path = ".status.triedAt",
        priority = 1,
        description = "How long ago a submit was tried last."
    ),
    printcolumn(
        name = "Worker",
        type_ = "string",
        json_path = ".status.remote.workerID",
        priority = 1,
        description = "The service's worker."
    ),
    printcolumn(
        name = "Pages",
        type_ = "integer",
        json_path = ".status.remote.pagesCrawled",
        priority = 1,
        description = "Pages that were crawled."
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.message",
        priority = 1,
        description = "Why, in words."
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ScrapeJobSpec {
    /// Follow this existing job of the service; it is never submitted by the operator. Left out, the object submits a job of its own. Immutable.
    #[schemars(length(max = 128), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"))]
    #[serde(rename = "jobID", default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,

    /// Job type of the service, for example spiderSite or spiderMaps. An open set: a type that the service adds works at once. Left out, jobID names a job. Immutable.
    #[schemars(length(max = 63), regex(pattern = r"^[A-Za-z][A-Za-z0-9]{0,62}$"))]
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,

    /// The service's submit payload, passed through unchanged. Fields that are not listed here are allowed. At most 256 KiB, and 64 levels deep. Left out, jobID names a job.
    #[schemars(schema_with = "schema::payload")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,

    /// Priority at the service, higher first. Left out, none is sent and the service's own default holds.
    #[schemars(range(min = 0, max = 10))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,

    /// Account to use. Left out, the ScrapeAccount named default of this namespace is used; where there is none, the ClusterScrapeAccount named default. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_ref: Option<AccountRef>,

    /// Names the run. Change it to run again in place: the run before is ended first, and payload and priority may change with it. A runID is paid for once: one that was used before is never submitted again, so that a rollback costs nothing. Left out, the run has no name.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"))]
    #[serde(rename = "runID", default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,

    /// Hold back the next submit. A job that the service has accepted is paid for and continues. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,

    /// Cancel the job at the service and keep the object, unless another object shares the job. Once the cancel is under way, setting this back stops nothing. Where nothing was submitted yet, nothing will be. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<bool>,

    /// Longest time in seconds from acceptance to the end of the job. After it the job is cancelled and the run has failed. A job that this object did not submit is not cancelled: only the object ends. Left out, there is no such bound.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,

    /// Delete this object that many seconds after it finished, counted from status.finishTime. Left out, it stays.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<i32>,

    // What `kubectl explain` shows is the description of the type.
    #[allow(missing_docs, reason = "the type says it")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_policy: Option<TtlPolicy>,

    // What `kubectl explain` shows is the description of the type.
    #[allow(missing_docs, reason = "the type says it")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// Longest time in seconds that deletion waits for the service. After it the object goes and a Warning event Orphaned names the job. Default 120.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_timeout_seconds: Option<i32>,

    // What `kubectl explain` shows is the description of the type.
    #[allow(missing_docs, reason = "the type says it")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_when: Option<ReadyWhen>,

    /// How a submit is made. Left out, its fields have their defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<Submission>,

    /// How a job is followed. Left out, its fields have their defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
}

/// Names an account.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct AccountRef {
    // What `kubectl explain` shows is the description of the type.
    #[allow(missing_docs, reason = "the type says it")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<AccountKind>,
    /// Name of the account.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}

/// What deletion of this object does to a job that is still running. Cancel: it is cancelled, unless another object shares it. Orphan: it is left running. Left out, a job that this object submitted is cancelled and any other is left running.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum DeletionPolicy {
    /// Cancel it, unless another object shares it.
    Cancel,
    /// Leave it running.
    Orphan,
}

/// What counts as healthy for Helm, Flux and Argo CD. Completed (default): only success. Finished: any end. Accepted: the service took the job.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ReadyWhen {
    /// Only a success.
    #[default]
    Completed,
    /// Any end of the run.
    Finished,
    /// The service accepted the job.
    Accepted,
}

/// How a submit is made.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Submission {
    // What `kubectl explain` shows is the description of the type.
    #[allow(missing_docs, reason = "the type says it")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_ambiguous: Option<OnAmbiguous>,

    // What `kubectl explain` shows is the description of the type.
    #[allow(missing_docs, reason = "the type says it")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_cache_hit: Option<OnCacheHit>,
}

/// What to do if the service answers a first submit with its earlier job of an equal payload, which it does for 24 hours. Accept (default): take it as it is. AcceptIfCompleted: take it only if it is completed. Fail: never take it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnCacheHit {
    /// Take it as it is.
    #[default]
    Accept,
    /// Take it only if it is completed.
    AcceptIfCompleted,
    /// Never take it.
    Fail,
}

/// Whether ttlSecondsAfterFinished holds for an object that Argo CD, Flux, Helm, Fleet, Config Sync, kapp, Sveltos or kluctl applies. RespectGitOps (default): it is never deleted, because they would create it, and pay for it, again. Force: it is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum TtlPolicy {
    /// Such an object is never deleted.
    #[default]
    RespectGitOps,
    /// Such an object is deleted like any other.
    Force,
}

/// What to do if the outcome of a submit is unknown. Auto (default): repeat it where the service de-duplicates, else hold. Adopt: take the only matching job. Hold: wait for a person. Resubmit: submit once more, and perhaps pay twice.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnAmbiguous {
    /// Repeat where the service de-duplicates, else hold.
    #[default]
    Auto,
    /// Take the only job that matches.
    Adopt,
    /// Wait for a person.
    Hold,
    /// Submit once more, whatever the type.
    Resubmit,
}

/// How a job is followed.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Poll {
    /// Seconds between two looks at a job that runs. Default 3.
    #[schemars(range(min = 3))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<i32>,
}

/// Whether a text can be the id of a job, as the schema has it: one plain word, which no address can be made of.
pub fn is_job_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=128).contains(&text.len())
        && text.bytes().all(plain)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

impl ScrapeJobSpec {
    /// What to do about an unknown outcome, with the default applied.
    pub fn on_ambiguous(&self) -> OnAmbiguous {
        self.submission.as_ref().and_then(|submission| submission.on_ambiguous).unwrap_or_default()
    }

    /// What to do about an answer from the service's cache, with the default applied.
    pub fn on_cache_hit(&self) -> OnCacheHit {
        self.submission.as_ref().and_then(|submission| submission.on_cache_hit).unwrap_or_default()
    }

    /// The run that is wanted; a left-out runID is the run "".
    pub fn run(&self) -> &str {
        self.run_id.as_deref().unwrap_or_default()
    }

    /// Whether the next submit is held back.
    pub fn suspended(&self) -> bool {
        self.suspend == Some(true)
    }
}
