//! Objects as they are written, and as they are read.

use serde_json::Value;

/// A `ScrapeJob` as YAML.
pub fn job(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeJob, metadata: {{name: {name}}}, spec: {{{spec}}}}}"
    )
}

/// The spec of a spiderSite job for `https://NAME.example`.
pub fn site(name: &str, more: &str) -> String {
    format!("type: spiderSite, payload: {{url: \"https://{name}.example\"}}{more}")
}

/// The recorded state of a job, or the empty word.
pub fn state_of(job: &Value) -> &str {
    job["status"]["state"].as_str().unwrap_or_default()
}

/// A condition's status, reason and message; empty words where there is none.
pub fn condition<'a>(object: &'a Value, name: &str) -> (&'a str, &'a str, &'a str) {
    let found = object["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == name);
    let word = |key: &str| found.and_then(|c| c[key].as_str()).unwrap_or_default();
    (word("status"), word("reason"), word("message"))
}
