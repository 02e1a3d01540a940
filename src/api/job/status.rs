//! `ScrapeJob`: what the operator says.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::owed::Owed;
use crate::api::{AccountKind, Condition, schema};

/// What the operator saw.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScrapeJobStatus {
    /// Generation of the spec that this status was computed for; -1 before the first look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The installation of the operator that wrote this status.
    #[schemars(length(max = 320))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Where the job is: Pending, Submitting, Queued, Processing, Completed, Failed, Cancelled, Suspended, Cancelling or Held.
    #[schemars(length(max = 32))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it is there, as one word of a closed list.
    #[schemars(length(max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it is there, in words.
    #[schemars(length(max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether the run is over, whatever the outcome.
    pub finished: bool,
    /// Job type, from the spec, or for a mirrored job from the service.
    #[schemars(length(max = 63))]
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// The account that this run uses, for the life of the run.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    pub account: Option<JobAccount>,
    /// The job's id at the service.
    #[schemars(length(max = 128))]
    #[serde(rename = "jobID", skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// The run that this status speaks of; absent for the run without a runID.
    #[schemars(length(max = 63))]
    #[serde(rename = "runID", skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    // What `kubectl explain` shows is the description of the type.
    #[allow(missing_docs, reason = "the type says it")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<CancelReason>,
    /// When that was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_time: Option<Time>,
    /// Seconds that deletion has waited for the service, without its waits for turns in the account's budget: what spec.cancelTimeoutSeconds bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_wait_seconds: Option<i32>,
    /// The submit, written before it is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission: Option<SubmissionRecord>,
    /// What the service itself says of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
    /// Summary of the results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<Results>,
    /// What is still to be read of a finished run. It is empty once that was read, or given up; the message says which.
    #[schemars(length(max = 2), extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<Owed>,
    /// When the operator first looked at the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the last submit was recorded, right before it was sent: what a new process counts against the client's limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<Time>,
    /// When the service accepted the job, as the operator saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submit_time: Option<Time>,
    /// When the run ended for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<Time>,
    /// When something that waits will be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Time>,
    /// Fingerprint of what a held job waits to see changed: the Secret, the account, submission.onAmbiguous, a requested look.
    #[schemars(length(max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_on: Option<String>,
    /// Value of the annotation spideriq.ai/reconcile-requested-at (or Flux's reconcile.fluxcd.io/requestedAt) that was last obeyed.
    #[schemars(length(max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Earlier runs, the newest first; at most 10.
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Run>,
    /// Short hashes of the last 100 runIDs that were used, the newest first: none of them is submitted again.
    #[schemars(schema_with = "schema::used_run_ids")]
    #[serde(rename = "usedRunIDs", skip_serializing_if = "Vec::is_empty")]
    pub used_run_ids: Vec<String>,
    /// Conditions, one of each type.
    #[schemars(schema_with = "schema::conditions")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Why the run is being cancelled: written before the service is told, and the first one wins. CancelledAsRequested: spec.cancel. DeadlineExceeded: spec.activeDeadlineSeconds. Superseded: another spec.runID.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum CancelReason {
    /// `spec.cancel` asks for it.
    CancelledAsRequested,
    /// `spec.activeDeadlineSeconds` are over.
    DeadlineExceeded,
    /// Another run is wanted.
    Superseded,
}

/// An earlier run.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Run {
    /// Its runID; absent for the run without one.
    #[schemars(length(max = 63))]
    #[serde(rename = "runID", skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The job's id at the service, where one was accepted.
    #[schemars(length(max = 128))]
    #[serde(rename = "jobID", skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Version and SHA-256 of the canonical request body.
    #[schemars(length(max = 80))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_hash: Option<String>,
    /// How it ended: Completed, Failed, Cancelled, Superseded (another run was wanted before it ended) or Unknown (nobody knows what came of its submit).
    #[schemars(length(max = 32))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why, as one word of a closed list.
    #[schemars(length(max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the service accepted the job, as the operator saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submit_time: Option<Time>,
    /// When the run ended for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<Time>,
}

/// The account of a run.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobAccount {
    /// Kind of the account.
    pub kind: AccountKind,
    /// Name of the account.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// The client at the service, where it is known.
    #[schemars(length(max = 128))]
    #[serde(rename = "clientID", default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// The submit of a run: written before the request that costs money, so that a crash cannot hide it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SubmissionRecord {
    // What `kubectl explain` shows is the description of the type.
    #[allow(missing_docs, reason = "the type says it")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Version and SHA-256 of the canonical request body.
    #[schemars(length(max = 80))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_hash: Option<String>,
    /// Version and SHA-256 of the canonical request body without priority, by which the service does not compare.
    #[schemars(length(max = 80))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_hash: Option<String>,
    /// Names one attempt; present while its outcome is unknown, and after acceptance.
    #[schemars(length(max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// How many times the request was sent.
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// When the first attempt began; never renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the last attempt was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<Time>,
    /// Endpoint that the request went to.
    #[schemars(length(max = 512))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The client at the service that sent it, where it was known.
    #[schemars(length(max = 128))]
    #[serde(rename = "clientID", skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Whether spec.submission.onAmbiguous: Resubmit has been used up for this submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resubmitted: Option<bool>,
    /// The Secret that the credentials came from. Never any part of its content.
    #[serde(deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
}

/// What an older CRD has left a part of is nothing, so that the rest of the object can be read.
fn whole<'de, D: serde::Deserializer<'de>, T: serde::de::DeserializeOwned>(
    from: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).ok())
}

/// A Secret at one version.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// The Secret's uid.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The Secret's resourceVersion.
    #[schemars(length(max = 64))]
    pub resource_version: String,
}

/// How the job came to be ours; absent until a job is accepted. Submitted: this object's submit made it. Cached: the service answered with its earlier job of an equal payload. Adopted: it was found after a restore or a lost answer. Mirrored: the spec names it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Origin {
    /// Our submit made it.
    Submitted,
    /// The service answered our submit with an earlier job.
    Cached,
    /// It was found after a restore or a lost answer.
    Adopted,
    /// The spec names it.
    Mirrored,
}

/// What the service itself says of the job.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Remote {
    /// The service's own state word.
    #[schemars(length(max = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The worker that has the job.
    #[schemars(length(max = 128))]
    #[serde(rename = "workerID", skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// When the job was made at the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// When a worker began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the state last changed at the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
    /// When the job ended at the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// Processing time in seconds, as a decimal.
    #[schemars(length(max = 32))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing_time_seconds: Option<String>,
    /// Pages that were crawled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages_crawled: Option<i64>,
    /// The priority that the service gave the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The service's words on a failure. Shown, and never a reason for a decision.
    #[schemars(length(max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// Summary of the results.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Results {
    /// Number of result records, where the service says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Size of the results in bytes, decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
}

/// The states of a `ScrapeJob`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum State {
    /// Nothing was sent yet.
    Pending,
    /// Held back by the spec.
    Suspended,
    /// A submit is under way, or its outcome is being settled.
    Submitting,
    /// Accepted, waiting for a worker.
    Queued,
    /// A worker has it.
    Processing,
    /// A cancel is under way.
    Cancelling,
    /// Waits for a person.
    Held,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended by a cancel.
    Cancelled,
}

impl State {
    /// Every state, in the order in which docs and metrics list them.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Suspended,
        Self::Submitting,
        Self::Queued,
        Self::Processing,
        Self::Cancelling,
        Self::Held,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word as it stands in `.status.state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Suspended => "Suspended",
            Self::Submitting => "Submitting",
            Self::Queued => "Queued",
            Self::Processing => "Processing",
            Self::Cancelling => "Cancelling",
            Self::Held => "Held",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// The state that a recorded word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a run in this state is over.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl ScrapeJobStatus {
    /// Whether the operator has written this status; the schema's default has generation -1. Where the generation is
    /// gone, because an older CRD dropped it, what nobody else writes tells.
    pub fn is_written(&self) -> bool {
        self.observed_generation
            .map_or_else(|| self.submission.is_some() || self.job_id.is_some(), |generation| generation >= 0)
    }

    /// The run that the status speaks of; a left-out runID is the run "".
    pub fn run(&self) -> &str {
        self.run_id.as_deref().unwrap_or_default()
    }

    /// How long deletion has waited, as it is stored.
    pub fn cancel_wait(&self) -> Option<Duration> {
        self.cancel_wait_seconds.map(|seconds| Duration::from_secs(seconds.max(0).unsigned_abs().into()))
    }

    /// The recorded state; Pending before the first look.
    pub fn current_state(&self) -> State {
        self.state.as_deref().and_then(State::parse).unwrap_or(State::Pending)
    }
}
