//! The intent of a submit, as it stands in an annotation: it survives a backup that drops the status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::body::is_known_to_all;
use crate::api::{ScrapeJobStatus, SubmissionRecord, is_job_id};

/// The same form around a body hash that an earlier release would take for one of another payload, and submit anew: what
/// it cannot read, it holds.
const NOT_FOR_ALL: u32 = 2;

/// Longest annotation that is read, in bytes; ours have under 1 KiB.
const LONGEST: usize = 4096;
/// Longest hash and nonce: what the status, which takes them over, has room for.
const LONGEST_HASH: usize = 80;
const LONGEST_NONCE: usize = 64;

/// What was about to be submitted, by whom, and from the release of the finalizer on what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Intent {
    /// Version of this form.
    pub v: u32,
    /// `namespace/name` of the object, so that a copy under another name is seen to be one.
    pub object: String,
    /// Its uid.
    pub uid: String,
    /// Job type.
    #[serde(rename = "type")]
    pub type_: String,
    /// The run; empty where the spec names none.
    pub run: String,
    /// Hash of the canonical body.
    pub body_hash: String,
    /// Names the attempt.
    pub nonce: String,
    /// When the intent was written.
    pub time: Timestamp,
    /// Name of the account.
    pub account: String,
    /// Endpoint of the service.
    pub endpoint: String,
    /// The client at the service, where it was known.
    #[serde(rename = "clientID", default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The job that came of it.
    #[serde(rename = "jobID", default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

impl Intent {
    /// Version of the annotation's form. An unknown one is never guessed at: the job is held.
    pub(in crate::decide) const VERSION: u32 = 1;

    /// The same of a body of this hash, in the form that goes with it.
    #[must_use]
    pub fn of_body(self, hash: &str) -> Self {
        let v = if is_known_to_all(hash) { Self::VERSION } else { NOT_FOR_ALL };
        Self { v, body_hash: hash.to_owned(), ..self }
    }

    /// Reads an annotation. Nobody but the operator is meant to write it, so anything odd is unreadable.
    pub fn read(annotation: Option<&str>) -> IntentFacts {
        let Some(text) = annotation else { return IntentFacts::None };
        if text.len() > LONGEST {
            return IntentFacts::Unreadable;
        }
        match serde_json::from_str::<Self>(text) {
            Ok(intent) if intent.is_of_a_known_form() => IntentFacts::Found(Box::new(intent)),
            Ok(_) | Err(_) => IntentFacts::Unreadable,
        }
    }

    fn is_of_a_known_form(&self) -> bool {
        [Self::VERSION, NOT_FOR_ALL].contains(&self.v)
            && self.body_hash.len() <= LONGEST_HASH
            && self.nonce.len() <= LONGEST_NONCE
            && self.job_id.as_deref().is_none_or(is_job_id)
    }

    /// The same with what came of the run that the status speaks of, which may be an earlier one that was gone back to;
    /// none of a run that submitted nothing.
    #[must_use]
    pub fn of_what_is_over(self, status: &ScrapeJobStatus) -> Option<Self> {
        let submission = status.submission.clone()?;
        let intent = match &submission.body_hash {
            Some(hash) => self.of_body(hash),
            None => self,
        };
        Some(Self {
            run: status.run().to_owned(),
            client_id: submission.client_id.or(intent.client_id),
            job_id: status.job_id.clone(),
            outcome: status.state.clone(),
            ..intent
        })
    }

    /// The submission that it tells of.
    pub(in crate::decide) fn record(&self) -> SubmissionRecord {
        SubmissionRecord {
            origin: None,
            body_hash: Some(self.body_hash.clone()),
            payload_hash: None,
            nonce: Some(self.nonce.clone()),
            attempt: Some(1),
            started_at: Some(Time(self.time)),
            tried_at: None,
            endpoint: Some(self.endpoint.clone()),
            client_id: self.client_id.clone(),
            credential: None,
            resubmitted: None,
        }
    }
}

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
