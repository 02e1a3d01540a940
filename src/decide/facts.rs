//! What a decision may look at, in words of its own: no JSON, no HTTP, no clock.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::plan::Details;
use super::{Body, Intent};
use crate::api::{
    AccountKind, Credential, DEFAULT_ACCOUNT, DEFAULT_ENDPOINT, DeletionPolicy, Origin, Reason,
    ScrapeJobSpec, ScrapeJobStatus, SubmissionRecord, TtlPolicy,
};

/// Everything that is known about one object at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observed {
    /// The moment.
    pub now: Timestamp,
    /// The object.
    pub job: JobFacts,
    /// The status as it is stored.
    pub recorded: ScrapeJobStatus,
    /// The intent annotation.
    pub intent: IntentFacts,
    /// The account that the job uses.
    pub account: AccountFacts,
    /// What polling knows of the remote job.
    pub watched: Watched,
    /// What this process alone remembers.
    pub memory: Memory,
    /// A random word for the next attempt; an input, so that decisions stay pure.
    pub nonce: String,
}

/// The object, apart from its status.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobFacts {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Identity across deletion and re-creation under one name.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// When deletion was asked for.
    pub deleted_at: Option<Timestamp>,
    /// Whether our finalizer is on.
    pub protected: bool,
    /// The spec.
    pub spec: ScrapeJobSpec,
    /// The request body that the spec makes; absent for a mirrored job.
    pub body: Option<Body>,
    /// What its annotations and labels say.
    pub marks: Marks,
}

/// What the annotations and labels of an object say.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Marks {
    /// Value of the annotation that asks for a look now.
    pub requested: Option<String>,
    /// Whether an annotation has the object left alone until it is deleted.
    pub paused: bool,
    /// Whether an annotation has its deletion wait for nothing.
    pub force_orphan: bool,
    /// Whether Argo CD, Flux or Helm owns the object: they would create it again.
    pub gitops: bool,
}

impl JobFacts {
    /// Whether deletion cancels the running job: as written, else only a job that this object's submit made.
    pub fn cancels_on_delete(&self, origin: Option<Origin>) -> bool {
        match self.spec.deletion_policy {
            Some(DeletionPolicy::Cancel) => true,
            Some(DeletionPolicy::Orphan) => false,
            None => origin == Some(Origin::Submitted),
        }
    }

    /// When the object is to be deleted, if it finished then.
    pub fn expires(&self, finished: Option<Timestamp>) -> Option<Timestamp> {
        let seconds = self.spec.ttl_seconds_after_finished?.max(0).unsigned_abs();
        let kept = self.marks.gitops && self.spec.ttl_policy.unwrap_or_default() == TtlPolicy::RespectGitOps;
        finished.filter(|_| !kept)?.checked_add(Duration::from_secs(seconds.into())).ok()
    }
}

impl Observed {
    /// The look that was asked for and is still owed.
    pub fn owed_look(&self) -> Option<&str> {
        let handled = self.recorded.last_handled_reconcile_at.as_deref();
        self.job.marks.requested.as_deref().filter(|requested| Some(*requested) != handled)
    }

    /// How long the end of a run, begun then, goes on waiting for the service: nothing once it waits no longer. The
    /// clock that began it may not be ours, so that our own count bounds it, too, and a bound that seems to be over at
    /// the first look leaves time to try.
    pub fn end_waits(&self, begun: Timestamp) -> Duration {
        let seconds = self.job.spec.cancel_timeout_seconds.unwrap_or(CANCEL_TIMEOUT_SECONDS).max(0);
        let bound = Duration::from_secs(seconds.unsigned_abs().into());
        let seen = self.memory.ending_seen_for;
        let by_clock = begun.saturating_add(bound).unwrap_or(begun).duration_since(self.now);
        let by_clock = Duration::try_from(by_clock).unwrap_or_default();
        by_clock.max(bound.min(TRIED_FOR).saturating_sub(seen)).min(bound.saturating_sub(seen))
    }
}

/// How long an end is tried in any case, whatever the clocks say.
const TRIED_FOR: Duration = Duration::from_secs(30);

/// The default of `spec.cancelTimeoutSeconds`.
const CANCEL_TIMEOUT_SECONDS: i32 = 120;

/// The intent annotation, as found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum IntentFacts {
    /// There is none.
    None,
    /// There is one that this release cannot read.
    Unreadable,
    /// There is one.
    Found(Box<Intent>),
}

/// The account of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AccountFacts {
    /// It does not exist.
    Missing {
        /// The kind that was looked for.
        kind: AccountKind,
        /// The name that was looked for.
        name: String,
    },
    /// It exists, and nothing can be sent with it for this job.
    Unusable {
        /// Why.
        reason: Reason,
        /// Why, in words.
        message: String,
        /// Changes whenever the account or its Secret does.
        fingerprint: String,
    },
    /// Requests can be sent with it.
    Usable(AccountUse),
}

/// An account that requests can be sent with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AccountUse {
    /// Its kind.
    pub kind: AccountKind,
    /// Its name.
    pub name: String,
    /// Base address of the service.
    pub endpoint: String,
    /// The client at the service, where it is known.
    #[serde(rename = "clientID")]
    pub client_id: Option<String>,
    /// The Secret in use.
    pub credential: Credential,
    /// Whether submits are held back for the whole account.
    pub suspended: bool,
    /// Why this job may not be submitted with it, if it may not: what was begun with it goes on all the same.
    pub barred: Option<(Reason, String)>,
    /// Since when the service rejects the credentials, and its words.
    pub rejected: Option<(Timestamp, String)>,
    /// Whether the monthly spend cap is reached.
    pub spend_cap: bool,
    /// Changes whenever the account or its Secret does.
    pub fingerprint: String,
}

impl Default for AccountUse {
    /// An account of that name at the service's own endpoint, of which nothing else is known.
    fn default() -> Self {
        Self {
            kind: AccountKind::ScrapeAccount,
            name: DEFAULT_ACCOUNT.to_owned(),
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            client_id: None,
            credential: Credential { uid: String::new(), resource_version: String::new() },
            barred: None,
            suspended: false,
            rejected: None,
            spend_cap: false,
            fingerprint: String::new(),
        }
    }
}

impl AccountFacts {
    /// The account, if requests can be sent with it.
    pub fn usable(&self) -> Option<&AccountUse> {
        match self {
            Self::Usable(account) => Some(account),
            Self::Missing { .. } | Self::Unusable { .. } => None,
        }
    }

    /// What a held job compares to see that something changed.
    pub fn fingerprint(&self) -> &str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Unusable { fingerprint, .. } => fingerprint,
            Self::Usable(account) => &account.fingerprint,
        }
    }
}

impl AccountUse {
    /// Kind and name, for people.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind.as_str(), self.name)
    }

    /// Whether these credentials are proven to be of the client that made this submission:
    /// the same client at the same endpoint, or, where one of the two is not known, the very Secret that was used then.
    pub fn proves(&self, submission: &SubmissionRecord) -> bool {
        let same_endpoint = submission.endpoint.as_deref() == Some(self.endpoint.as_str());
        let same_client = match (&submission.client_id, &self.client_id) {
            (Some(theirs), Some(ours)) => theirs == ours,
            (None, _) | (_, None) => submission.credential.as_ref() == Some(&self.credential),
        };
        same_endpoint && same_client
    }
}

/// What polling knows of the remote job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Watched {
    /// The newest good look.
    pub latest: Option<RemoteJob>,
    /// When that was.
    pub read_at: Option<Timestamp>,
    /// When the service said for the first and for the last time, without a good look between, that it does not know the job.
    pub missing: Option<(Timestamp, Timestamp)>,
    /// What went wrong since the newest good look.
    pub trouble: Option<Trouble>,
}

/// A job as the service tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoteJob {
    /// Its state.
    pub state: RemoteState,
    /// Its type.
    #[serde(rename = "type")]
    pub type_: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When its state last changed; whole seconds, so that ties are common.
    pub updated_at: Option<Timestamp>,
    /// The worker that has it.
    pub worker_id: Option<String>,
    /// The service's words on a failure.
    pub error_message: Option<String>,
}

/// The service's states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RemoteState {
    /// Waiting for a worker.
    Queued,
    /// A worker has it.
    Processing,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended by a cancel.
    Cancelled,
    /// A word that this release does not know; never terminal.
    Other(String),
}

impl RemoteState {
    /// The service's own word.
    pub fn word(&self) -> &str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Other(word) => word,
        }
    }

    /// The state that a word stands for.
    pub fn parse(word: &str) -> Self {
        match word {
            "queued" => Self::Queued,
            "processing" => Self::Processing,
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Whether the job is over.
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// What went wrong with a request, as far as decisions differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trouble {
    /// 401 or 403.
    Rejected(String),
    /// 402.
    SpendCap(String),
    /// The service asks to wait; until when, if it says.
    Throttled(Option<Timestamp>, String),
    /// The service does not know the job.
    NotFound(String),
    /// Everything else that time may heal: no connection, 5xx, an answer that cannot be read.
    Unavailable(String),
    /// It is not this request's turn yet.
    NoBudget(Waiting),
}

/// A place in the queue for the account's budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Waiting {
    /// Since when.
    pub since: Timestamp,
    /// When its turn may come.
    pub estimate: Option<Timestamp>,
    /// Whether the service itself asked the account to wait, and until when.
    pub paused_until: Option<Timestamp>,
}

/// What this process remembers of an object. A restart forgets it, and every decision must bear that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact")]
pub struct Memory {
    /// How long this process has seen the recorded nonce without a job id, by its monotonic clock; in seconds where it
    /// is written.
    #[serde(with = "seconds")]
    pub nonce_seen_for: Duration,
    /// How long this process has seen that the run should end, because its object is deleted or another run is wanted.
    #[serde(with = "seconds")]
    pub ending_seen_for: Duration,
    /// Whether this process itself ended the request of the recorded nonce.
    pub ended_here: bool,
    /// Whether this process itself wrote the recorded nonce, and never sent a request with it.
    pub unsent: bool,
    /// How many submits in a row were answered with success but no usable id.
    pub unusable_answers: u32,
    /// When the last attempt of a submit ended.
    pub attempted_at: Option<Timestamp>,
    /// The details of a job that is over, once they are read.
    pub details: Option<Details>,
    /// How many reads at the end of the job failed.
    pub failed_reads: u32,
    /// How long this process has seen that the job is over, with its run still open, by its monotonic clock.
    #[serde(with = "seconds")]
    pub over_seen_for: Duration,
    /// Whether the service took a cancel.
    pub cancel_sent: bool,
    /// Why the job is left running, where that was found when it should have been cancelled.
    pub left: Option<String>,
    /// Jobs that the submit may have made, named once they were looked for during deletion.
    pub candidates: Option<Vec<String>>,
    /// Whether there may be more of them.
    pub listed_partly: bool,
    /// How many tries of the step at hand failed.
    pub tries: u32,
    /// How often in a row there was nothing to do but to wait.
    pub waits: u32,
}

/// A duration as whole seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(duration.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}
