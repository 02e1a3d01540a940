//! Switches: one for each point on which the contract's sources disagree, and what else a service may do differently.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// De-duplication of submits (contract section 3).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deduplication {
    /// Length of the window in hours of job time, from the first job on. Zero turns it off.
    pub window_hours: f64,
    /// Types whose submits always make a new job.
    pub never: Vec<String>,
    /// Whether a cancelled job is given again.
    pub cancelled: bool,
    /// Whether the priority belongs to the key.
    pub priority_in_key: bool,
}

impl Default for Deduplication {
    fn default() -> Self {
        let never = ["spiderMail", "spiderSocial", "spiderPR"].map(str::to_owned).to_vec();
        Self { window_hours: 24.0, never, cancelled: true, priority_in_key: false }
    }
}

/// One switch for each contradiction of contract section 9 that changes what a client does.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Row 1: whether `format=json` (and `llm`) is accepted.
    pub format_json: bool,
    /// Row 2: shape of error bodies.
    pub error_shape: ErrorShape,
    /// Row 3: code for a body that breaks the schema: 422 or 400.
    pub validation_code: u16,
    /// Row 4: when a running job reads `processing`.
    pub engine: Engine,
    /// Row 5: code for the cancel of a job that has ended; 200 answers as for a cancel that did something.
    pub cancel_ended_code: u16,
    /// Row 11: form of `created_at` in the reply to a submit.
    pub submit_time: SubmitTime,
    /// Row 12: fields of the reply to a submit.
    pub submit_body: SubmitBody,
    /// Row 16: code for a job id that is no UUID: 404 or 422.
    pub invalid_uuid_code: u16,
    /// Section 2.1, J3: whether a failed job's status in JSON has an `error_message`.
    pub status_error_message: bool,
    /// Section 10: what happens to payload keys that the type does not have.
    pub unknown_keys: UnknownKeys,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            format_json: false,
            error_shape: ErrorShape::Detail,
            validation_code: 422,
            engine: Engine::Documented,
            cancel_ended_code: 400,
            submit_time: SubmitTime::Zulu,
            submit_body: SubmitBody::Current,
            invalid_uuid_code: 404,
            status_error_message: false,
            unknown_keys: UnknownKeys::Drop,
        }
    }
}

impl Switches {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let codes = [self.validation_code, self.cancel_ended_code, self.invalid_uuid_code];
        ensure!(codes.iter().all(|c| (200..=599).contains(c)), "switches: a code must be from 200 to 599");
        Ok(())
    }
}

/// Shape of error bodies (contract section 7).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorShape {
    /// `{"detail": …}`: a string, an object for the 401 of a PAT, a list for schema errors.
    Detail,
    /// `{"detail": "…"}`, always a string.
    Plain,
    /// `{"error": {"code", "message", …}}`.
    Envelope,
}

/// When a running job reads `processing` (contract section 3).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// From its first attempt on.
    Documented,
    /// From its second attempt on; the first one still reads `queued`.
    Retries,
}

/// Form of `created_at` in the reply to a submit.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SubmitTime {
    /// `2025-10-27T10:00:00Z`.
    Zulu,
    /// `2026-01-18T12:31:37.073080`.
    Naive,
}

/// Fields of the reply to a submit.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SubmitBody {
    /// `job_id, type, status, created_at, from_cache, message`.
    Current,
    /// `success, job_id, type, status, message`.
    Old,
    /// `job_id, status`.
    Minimal,
}

/// What happens to payload keys that the type does not have.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownKeys {
    /// They vanish before the de-duplication key is made.
    Drop,
    /// They stay and belong to the key.
    Keep,
    /// They are an error.
    Reject,
}

/// What the list shows that is not so.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListLies {
    /// Seconds of job time by which a change shows in the list later than in the status.
    pub lag: f64,
    /// Only jobs whose payload has this text in it lag: their changes come to stand behind later ones of others.
    pub lagging: Option<String>,
    /// Added to `total`, never below zero; `total_pages` follows.
    pub total_off_by: i64,
    /// Whether pages past the end repeat the last page.
    pub endless: bool,
    /// Jobs whose payload has this text in it keep the time at which they were made as that of their last change.
    pub frozen: Option<String>,
    /// In which order those come of which the sort says nothing.
    pub ties: Ties,
}

/// In which order rows come that tie.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ties {
    /// As they were made, or the reverse of it.
    #[default]
    Stable,
    /// Otherwise each time; times are compared by whole seconds then.
    Shuffled,
}
