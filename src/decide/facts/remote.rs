//! The job at the service, as decisions see it.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What polling knows of the remote job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Watched {
    /// The newest good look.
    pub latest: Option<RemoteJob>,
    /// When that was, by the clock that never jumps.
    pub read_at: Option<Timestamp>,
    /// When the service said for the first and for the last time, without a good look between, that it does not know the job;
    /// by the clock that never jumps.
    pub missing: Option<(Timestamp, Timestamp)>,
    /// What went wrong since the newest good look.
    pub trouble: Option<Trouble>,
    /// Whether it is told when something changes, and when it is no longer told.
    pub listed: bool,
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
    /// What keeps it from its turn.
    pub stop: Stop,
    /// How many others wait for a turn of this kind.
    #[serde(default)]
    pub others: usize,
}

/// What keeps a place in the queue from its turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Stop {
    /// Others go first, or the budget is used up.
    Turn,
    /// The same, and an outage was over less than a minute ago.
    Recovering,
    /// The service asked to wait; until when, if that is to come.
    Asked(Option<Timestamp>),
    /// The service is not available; why, in words.
    Failing(String),
    /// The service knows no address for submits of this type.
    NotServed {
        /// Since when.
        since: Timestamp,
        /// Its words.
        words: String,
    },
}

/// What only the status in YAML says (contract section 5.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Details {
    /// When a worker began.
    pub started_at: Option<Timestamp>,
    /// When the job ended.
    pub completed_at: Option<Timestamp>,
    /// Seconds, as a decimal.
    pub processing_time_seconds: Option<String>,
    /// Pages that were crawled.
    pub pages_crawled: Option<i64>,
    /// Priority at the service.
    pub priority: Option<i32>,
}

/// The summary of the results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Summary {
    /// Number of records, if the service says one.
    pub count: Option<i64>,
    /// Size in bytes; absent where there are no results.
    pub bytes: Option<i64>,
    /// The service's words on a failure.
    pub error_message: Option<String>,
}
