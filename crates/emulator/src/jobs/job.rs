//! A job: what it is, and how it moves along its course.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::clock::{Micros, zulu};
use crate::rules::{Outcome, Step};

/// States that a job never leaves by itself (contract section 3).
const ENDED: [&str; 4] = ["completed", "failed", "cancelled", "partial"];

/// Types of contract section 6 that have a submit route, with their default priority.
const KINDS: [(&str, i64); 14] = [
    ("spiderSite", 0),
    ("spiderMaps", 0),
    ("spiderMapsEnrich", 5),
    ("spiderVerify", 0),
    ("spiderPeople", 0),
    ("spiderPublicLinkedin", 0),
    ("spiderCompanyData", 5),
    ("spiderSocial", 0),
    ("spiderLanding", 0),
    ("spiderVideo", 5),
    ("spiderPR", 5),
    ("spiderMail", 0),
    ("spiderConvert", 0),
    ("spiderVayapin", 0),
];

/// Default priority of a type (contract section 2.1, J1); `None` for a type that does not exist.
pub(crate) fn default_priority(kind: &str) -> Option<i64> {
    KINDS.iter().find(|(name, _)| *name == kind).map(|(_, priority)| *priority)
}

/// A job as the service keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) client: String,
    pub(crate) kind: String,
    pub(crate) payload: Arc<Value>,
    pub(crate) priority: i64,
    pub(crate) created_at: Micros,
    /// Start of the latest attempt, shown or not.
    pub(crate) started_at: Option<Micros>,
    pub(crate) ended_at: Option<Micros>,
    pub(crate) outcome: Outcome,
    /// Whether the job is missing from everything but de-duplication.
    pub(crate) hidden: bool,
    /// States with the time each was entered; never empty.
    changes: Vec<Change>,
    pub(super) course: Vec<Step>,
    /// Grows when the course is given up, so that what was due of it no longer counts.
    pub(super) course_number: u64,
}

/// A state and when it was entered.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) at: Micros,
    pub(crate) state: String,
}

/// A job as the admin route shows it.
#[derive(Clone, Debug, Serialize)]
pub struct JobView {
    /// The job's id.
    pub job_id: String,
    /// Its client.
    pub client: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its state now.
    pub state: String,
    /// Its priority.
    pub priority: i64,
    /// When it was made (`…Z`).
    pub created_at: String,
    /// When it entered its state (`…Z`).
    pub updated_at: String,
    /// Whether it is hidden from its client.
    pub hidden: bool,
    /// Its payload with defaults.
    pub payload: Value,
}

/// What a new job is made from.
#[derive(Debug)]
pub(crate) struct NewJob {
    pub(crate) id: String,
    pub(crate) client: String,
    pub(crate) kind: String,
    pub(crate) payload: Value,
    pub(crate) priority: i64,
    pub(crate) created_at: Micros,
    pub(crate) course: Vec<Step>,
    pub(crate) outcome: Outcome,
}

impl Job {
    pub(super) fn new(new: NewJob) -> Self {
        let state = new.course.first().map_or_else(|| "queued".to_owned(), |step| step.state.clone());
        let mut job = Self {
            id: new.id,
            client: new.client,
            kind: new.kind,
            payload: Arc::new(new.payload),
            priority: new.priority,
            created_at: new.created_at,
            started_at: None,
            ended_at: None,
            outcome: new.outcome,
            hidden: false,
            changes: Vec::new(),
            course: new.course,
            course_number: 0,
        };
        job.enter(&state, new.created_at, true);
        job
    }

    /// The newest state and its time.
    pub(crate) fn latest(&self) -> (&str, Micros) {
        self.changes.last().map_or(("queued", self.created_at), |c| (c.state.as_str(), c.at))
    }

    pub(crate) fn state(&self) -> &str {
        self.latest().0
    }

    /// The state as it was at a time; `None` before the job was made.
    pub(crate) fn seen_at(&self, at: Micros) -> Option<(&str, Micros)> {
        self.changes.iter().rev().find(|c| c.at <= at).map(|c| (c.state.as_str(), c.at))
    }

    pub(crate) fn ended(&self) -> bool {
        ENDED.contains(&self.state())
    }

    /// Notes a state; true when the shown one changed.
    pub(super) fn enter(&mut self, state: &str, at: Micros, shown: bool) -> bool {
        if state == "processing" {
            self.started_at = Some(at);
        }
        if !shown || self.changes.last().is_some_and(|c| c.state == state) {
            return false;
        }
        self.ended_at = ENDED.contains(&state).then_some(at);
        self.changes.push(Change { at, state: state.to_owned() });
        true
    }

    /// The worker's name, once there is one: `spider-site-main-1` for `spiderSite`.
    pub(crate) fn worker(&self) -> Option<String> {
        let shown = self.state() != "queued" && self.started_at.is_some();
        let dashed = |name: &str| {
            let mut out = String::new();
            let mut last_lower = false;
            for c in name.chars() {
                if c.is_uppercase() && last_lower {
                    out.push('-');
                }
                last_lower = c.is_lowercase();
                out.extend(c.to_lowercase());
            }
            out
        };
        shown.then(|| format!("{}-main-1", dashed(&self.kind)))
    }

    /// Seconds between the last start and the end.
    pub(crate) fn processing_seconds(&self) -> Option<f64> {
        let span = self.ended_at?.checked_sub(self.started_at?)?;
        Some(std::time::Duration::from_micros(u64::try_from(span).ok()?).as_secs_f64())
    }

    /// The text of a failure: that of the script once the job has ended, or a default for failed jobs.
    pub(crate) fn error_message(&self) -> Option<String> {
        let given = self.outcome.error_message.clone().filter(|_| self.ended());
        given.or_else(|| (self.state() == "failed").then(|| "Worker failed after 3 attempts".to_owned()))
    }

    pub(crate) fn view(&self) -> JobView {
        let (state, at) = self.latest();
        JobView {
            job_id: self.id.clone(),
            client: self.client.clone(),
            kind: self.kind.clone(),
            state: state.to_owned(),
            priority: self.priority,
            created_at: zulu(self.created_at),
            updated_at: zulu(at),
            hidden: self.hidden,
            payload: Value::clone(&self.payload),
        }
    }
}
