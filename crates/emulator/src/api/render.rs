//! Bodies in JSON, YAML and Markdown (contract section 5).
//!
//! The status bodies are, byte for byte, those of the service's own page; the shapes of lists and results in YAML and
//! Markdown are guesses, as no sample of them is known.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::reply::{Refusal, Reply};
use super::route::Call;
use crate::clock::{naive, zulu};
use crate::jobs::payload::problem;
use crate::jobs::{Job, results};
use crate::rules::Switches;

/// The `format` parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Format {
    Json,
    Yaml,
    Markdown,
}

impl Format {
    pub(super) fn read(call: &Call, switches: &Switches) -> Result<Self, Refusal> {
        match call.query.get("format").map(String::as_str) {
            None => Ok(Self::Json),
            Some("yaml") => Ok(Self::Yaml),
            Some("md") => Ok(Self::Markdown),
            Some("json" | "llm") if switches.format_json => Ok(Self::Json),
            Some(_) => {
                let text = "String should match pattern '^(yaml|md)$'";
                Err(Refusal::invalid(422, "query", &[problem("format", text)]))
            }
        }
    }
}

/// Status in JSON; the order of the fields is that of the page.
#[derive(Serialize)]
pub(super) struct StatusBody<'a> {
    success: bool,
    job_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    status: &'a str,
    created_at: String,
    updated_at: String,
    worker_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

impl<'a> StatusBody<'a> {
    pub(super) fn of(job: &'a Job, with_error: bool) -> Self {
        let (status, at) = job.latest();
        Self {
            success: true,
            job_id: &job.id,
            kind: &job.kind,
            status,
            created_at: zulu(job.created_at),
            updated_at: zulu(at),
            worker_id: job.worker(),
            error_message: job.error_message().filter(|_| with_error && status == "failed"),
        }
    }
}

/// Status in YAML, with the page's caption. What has no value yet is left out: the page shows completed jobs only.
pub(super) fn status_yaml(job: &Job) -> String {
    let mut out = String::from("# GET /api/v1/jobs/{id}/status?format=yaml\n");
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(out, "{name}: {value}");
        }
    };
    let time = |at| format!("'{}'", naive(at));
    line("job_id", Some(job.id.clone()));
    line("type", Some(scalar(&job.kind)));
    line("status", Some(scalar(job.state())));
    line("priority", Some(job.priority.to_string()));
    line("created_at", Some(time(job.created_at)));
    line("started_at", job.worker().and(job.started_at).map(time));
    line("completed_at", job.ended_at.map(time));
    line("processing_time_seconds", job.processing_seconds().map(|s| format!("{s:?}")));
    line("pages_crawled", pages(job).map(|n| n.to_string()));
    out
}

/// Status in Markdown.
pub(super) fn status_markdown(job: &Job) -> String {
    let (id, kind, state, priority) = (&job.id, &job.kind, job.state(), job.priority);
    let mut out =
        format!("## Job: {id}\n**Type**: {kind} | **Status**: {state} | **Priority**: {priority}\n");
    if let Some(time) = job.processing_seconds() {
        let _ = writeln!(out, "**Processing Time**: {time:.2}s");
    }
    if let Some(pages) = pages(job) {
        let _ = writeln!(out, "**Pages Crawled**: {pages}");
    }
    out
}

fn pages(job: &Job) -> Option<u64> {
    results::pages_crawled(job).filter(|_| ["completed", "partial"].contains(&job.state()))
}

/// A text as a YAML scalar: plain where that is safe.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

/// The results envelope (contract section 2.1, J4).
#[derive(Serialize)]
pub(super) struct ResultsBody<'a> {
    success: bool,
    job_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    status: &'a str,
    processing_time_seconds: Option<f64>,
    worker_id: Option<String>,
    completed_at: Option<String>,
    message: &'static str,
    data: Value,
    error_message: Option<String>,
}

impl<'a> ResultsBody<'a> {
    pub(super) fn of(job: &'a Job, data: Value) -> Self {
        let error_message = job.error_message();
        Self {
            success: job.state() == "completed" && error_message.is_none(),
            job_id: &job.id,
            kind: &job.kind,
            status: job.state(),
            processing_time_seconds: job.processing_seconds(),
            worker_id: job.worker(),
            completed_at: job.ended_at.map(zulu),
            message: "Job results",
            data,
            error_message,
        }
    }
}

pub(super) fn results(format: Format, body: &ResultsBody<'_>) -> Reply {
    match format {
        Format::Json => Reply::json(200, body),
        Format::Yaml => Reply::yaml(200, serde_saphyr::to_string(body).unwrap_or_default()),
        Format::Markdown => {
            let data = serde_json::to_string_pretty(&body.data).unwrap_or_default();
            let (id, kind, status) = (body.job_id, body.kind, body.status);
            let text =
                format!("## Job: {id}\n**Type**: {kind} | **Status**: {status}\n```json\n{data}\n```\n");
            Reply::markdown(200, text)
        }
    }
}
