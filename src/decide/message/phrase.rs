//! Phrases that several messages have in common.

use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// What is likely wrong where an endpoint knows no address that it should.
pub(super) const ODD_ADDRESS: &str =
    " The likely cause: spec.endpoint of the account does not end in /api/v1.";

/// How the outcome of a submit that nobody knows is told.
pub(super) const NOT_KNOWN: &str = "It is not known whether the submit created a job";

/// What an intent tells of the submit that it speaks of.
pub(super) fn intent(f: &mut fmt::Formatter<'_>, job: Option<&str>) -> fmt::Result {
    match job {
        Some(job) => write!(f, "The annotation spideriq.ai/submission names job {job}"),
        None => f.write_str(
            "The annotation spideriq.ai/submission records a submit, which may have created a job",
        ),
    }
}

/// The words of somebody else, to stand inside a sentence of ours.
pub(super) fn quoted(words: &str) -> &str {
    words.trim().trim_end_matches('.')
}

/// A time for people, in minutes: never earlier than it is.
fn minute(time: Timestamp) -> String {
    let time = time.checked_add(SignedDuration::from_secs(59)).unwrap_or(time);
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// What to do for a fresh run, where the service answers an equal payload with its earlier job until then.
pub(super) fn fresh_run(from: Option<Timestamp>) -> String {
    let unchanged = from.map_or_else(
        || "24 hours after that job was created".to_owned(),
        |from| format!("from {} on", minute(from)),
    );
    format!("For a fresh run set a new spec.runID, with a changed payload at once, or unchanged {unchanged}.")
}

/// What an equal payload of another run comes to.
pub(super) const SAME_JOB: &str = "For 24 hours SpiderIQ may answer an equal payload with this job.";

/// How people have an object looked at now.
pub(super) const LOOK_NOW: &str =
    "set the annotation spideriq.ai/reconcile-requested-at of this object to the current time";
/// What it means to take the annotation of a submit off.
pub(super) const REMOVE_IT: &str = "remove the annotation to submit, which may cost twice";
