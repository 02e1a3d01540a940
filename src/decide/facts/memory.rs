//! What this process alone remembers of an object.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::remote::Details;

/// What this process remembers of an object. A restart forgets it, and every decision must bear that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact")]
pub struct Memory {
    /// How long this process has seen the recorded nonce without a job id, by its monotonic clock; in seconds where it
    /// is written.
    #[serde(with = "seconds")]
    pub nonce_seen_for: Duration,
    /// How long this process has seen that the run should end, because its object is deleted or another run is wanted;
    /// without the time in which its cancel waited for nothing but its turn.
    #[serde(with = "seconds")]
    pub ending_seen_for: Duration,
    /// How long it should have ended already when this process saw it first; by the wall clock where that is not kept.
    #[serde(skip)]
    pub ending_before: Option<Duration>,
    /// Whether the service did not know the job that is to end when it was last asked to cancel or to show it.
    pub missing: bool,
    /// How long it has said so, by this process's monotonic clock.
    #[serde(with = "seconds")]
    pub missing_for: Duration,
    /// Whether this process itself ended the request of the recorded nonce.
    pub ended_here: bool,
    /// Whether this process itself wrote the recorded nonce, and never sent a request with it.
    pub unsent: bool,
    /// How many submits in a row were answered with success but no usable id.
    pub unusable_answers: u32,
    /// When the last attempt of a submit ended, by the clock that never jumps.
    pub attempted_at: Option<Timestamp>,
    /// When the first attempt began, as it is recorded, and when that was by the clock that never jumps.
    pub begun: Option<(Timestamp, Timestamp)>,
    /// The details of a job that is over, once they are read.
    pub details: Option<Details>,
    /// How many reads at the end of the job failed.
    pub failed_reads: u32,
    /// Since when reads at the end fail, or the account cannot make them, by the clock that never jumps.
    pub unreadable_since: Option<Timestamp>,
    /// How long this process has seen that the job is over, with its run still open or something of it owed, by its monotonic
    /// clock.
    #[serde(with = "seconds")]
    pub over_seen_for: Duration,
    /// Whether the service took a cancel.
    pub cancel_sent: bool,
    /// Whether it answered that the job is cancelled.
    pub cancelled: bool,
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
