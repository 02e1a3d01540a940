//! The run is over, or another one was.

use std::fmt;

use k8s_openapi::jiff::Timestamp;

use super::phrase::{SAME_JOB, fresh_run, quoted};
use crate::api::{CancelReason, PAYLOAD_MAX};

/// How the run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// As the service told it.
    AsTold {
        /// How.
        how: Told,
        /// What of its details and results is not read.
        unread: Unread,
        /// Whether the spec only names the job: then there is no run to set anew.
        mirrored: bool,
    },
    /// With an earlier job that had failed or was cancelled.
    EarlierFailed {
        /// What the service says of that job's state.
        state: String,
        /// The service's words on it, if any.
        words: Option<String>,
        /// From when on an equal payload runs afresh.
        fresh_from: Option<Timestamp>,
    },
    /// With an earlier job that the spec does not accept.
    EarlierNotAccepted {
        /// The id.
        job_id: String,
        /// Its state.
        state: String,
        /// From when on an equal payload runs afresh.
        fresh_from: Option<Timestamp>,
    },
    /// The service no longer knows the job.
    Vanished {
        /// Whether the spec only names the job: then there is no run to set anew.
        mirrored: bool,
    },
    /// The service refused the payload; its words.
    PayloadRefused(String),
    /// The payload can never be sent; why, with what to do.
    Unfit(String),
    /// The payload is too large; its bytes.
    PayloadTooLarge(usize),
    /// The annotations leave no room for the intent; their bytes, and how many Kubernetes allows.
    AnnotationsTooLarge(usize, usize),
    /// Cancelled, for this reason.
    Cancelled(CancelReason),
    /// Cancelled with its object.
    Deleted,
    /// Cancelled before anything was submitted.
    NothingSubmitted,
    /// Over before the cancel could be sent.
    OverBeforeCancel,
    /// Gone from the service while it was cancelled.
    GoneBeforeCancel,
    /// Past its deadline, and the job goes on, because it is not this object's.
    DeadlineOfOthers,
}

/// What of a job's details and results is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Nothing that is to be read.
    Nothing,
    /// They are still being read.
    Yet,
    /// They could not be read in time.
    GivenUp,
}

/// How the service says that a job ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Completed; with so many results, if the service says so.
    Completed(Option<i64>),
    /// Failed; the service's words, if any.
    Failed(Option<String>),
    /// Cancelled, and nobody here asked for it; the service's words, if any.
    Cancelled(Option<String>),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsTold { how, unread, mirrored } => as_told(f, how, *unread, *mirrored),
            Self::EarlierFailed { state, words, fresh_from: from } => {
                let ended = if state == "failed" { "failed" } else { "was cancelled" };
                let words = words.as_deref().map_or("SpiderIQ gives no reason", quoted);
                write!(
                    f,
                    "SpiderIQ returned its earlier job for the same payload, and that job {ended}: {words}. {}",
                    fresh_run(*from)
                )
            }
            Self::EarlierNotAccepted { job_id, state, fresh_from: from } => write!(
                f,
                "SpiderIQ returned its earlier job {job_id} for the same payload, which is {state}. spec.submission.onCacheHit does not accept that. {}",
                fresh_run(*from)
            ),
            Self::Vanished { mirrored: true } => f.write_str("SpiderIQ no longer knows the job."),
            Self::Vanished { mirrored: false } => f.write_str(
                "SpiderIQ no longer knows the job. It is not submitted again by itself. Set a new spec.runID to run it again.",
            ),
            Self::PayloadRefused(words) => write!(
                f,
                "SpiderIQ refused the payload: {}. Set a new spec.runID with a corrected payload, or create another ScrapeJob.",
                quoted(words)
            ),
            Self::Unfit(why) => f.write_str(why),
            Self::PayloadTooLarge(bytes) => write!(
                f,
                "The payload has {bytes} bytes, and {PAYLOAD_MAX} (256 KiB) are allowed. Set a new spec.runID with a smaller payload, or create another ScrapeJob."
            ),
            Self::AnnotationsTooLarge(bytes, allowed) => write!(
                f,
                "The annotations have {bytes} of the {allowed} bytes (256 KiB) that Kubernetes allows, which leaves no room for the operator's own. kubectl apply keeps a copy of the payload in one. Create another ScrapeJob, with a smaller payload or with kubectl apply --server-side."
            ),
            Self::Cancelled(reason) => cancelled(f, *reason),
            Self::Deleted => f.write_str("The job was cancelled, because its object was deleted."),
            Self::NothingSubmitted => f.write_str("The run was cancelled before anything was submitted."),
            Self::OverBeforeCancel => f.write_str("The job was over before it could be cancelled."),
            Self::GoneBeforeCancel => {
                f.write_str("SpiderIQ no longer knows the job, so there is nothing left to cancel.")
            }
            Self::DeadlineOfOthers => f.write_str(
                "spec.activeDeadlineSeconds have passed. The job keeps running, because this object did not submit it. Cancel it at SpiderIQ if it is not wanted.",
            ),
        }
    }
}

fn as_told(f: &mut fmt::Formatter<'_>, how: &Told, unread: Unread, mirrored: bool) -> fmt::Result {
    if (how, unread) == (&Told::Failed(None), Unread::Yet) {
        return f.write_str("The job failed at SpiderIQ. The operator is still reading why.");
    }
    write!(f, "{how}")?;
    f.write_str(match unread {
        Unread::Nothing => "",
        Unread::Yet => " The operator is still reading the summary of its results.",
        Unread::GivenUp => " Its details or results could not be read in time.",
    })?;
    if mirrored { Ok(()) } else { how.again(f) }
}

/// The job was cancelled from here.
fn cancelled(f: &mut fmt::Formatter<'_>, reason: CancelReason) -> fmt::Result {
    match reason {
        CancelReason::CancelledAsRequested => {
            f.write_str("The job was cancelled, because spec.cancel asked for it.")
        }
        CancelReason::DeadlineExceeded => write!(
            f,
            "The job was cancelled, because it ran longer than spec.activeDeadlineSeconds. Set a new spec.runID to run it again, and raise spec.activeDeadlineSeconds. {SAME_JOB}"
        ),
        CancelReason::Superseded => f.write_str("The job was cancelled, because another run was wanted."),
    }
}

impl Told {
    /// How to run it again, where it did not end well.
    fn again(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(_) | Self::Cancelled(_) => {
                write!(f, " Set a new spec.runID to run it again. {SAME_JOB}")
            }
            Self::Completed(_) => Ok(()),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed(None) => f.write_str("The job completed."),
            Self::Completed(Some(1)) => f.write_str("The job completed with 1 result."),
            Self::Completed(Some(count)) => write!(f, "The job completed with {count} results."),
            Self::Failed(Some(words)) => write!(f, "The job failed at SpiderIQ: {}.", quoted(words)),
            Self::Failed(None) => f.write_str("The job failed at SpiderIQ, which gives no reason."),
            Self::Cancelled(Some(words)) => {
                write!(f, "The job was cancelled at SpiderIQ: {}.", quoted(words))
            }
            Self::Cancelled(None) => {
                f.write_str("The job was cancelled at SpiderIQ. Nobody here asked for it.")
            }
        }
    }
}

/// What is said of a run and its runID.
#[derive(Clone, Debug, PartialEq)]
pub enum RunWord {
    /// It begins.
    Begins(Named),
    /// It was used before, and nobody can say that it was for this payload.
    Reused(Named),
    /// It was used before, and another version made what it would be compared by.
    OfAnotherRelease(Named),
    /// It ended earlier, and is shown again.
    Recalled {
        /// The run.
        run: Named,
        /// Whether it ended because another run was wanted.
        superseded: bool,
    },
}

/// A run by its runID, which may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named(pub String);

/// As it stands at the beginning of a sentence.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("The run without a runID") } else { write!(f, "Run {:?}", self.0) }
    }
}

impl fmt::Display for RunWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins(run) => write!(f, "{run} begins."),
            Self::Reused(run) => write!(
                f,
                "{run} was used before, with another payload or with an outcome that is no longer known. Set spec.runID to one that was never used."
            ),
            Self::OfAnotherRelease(run) => write!(
                f,
                "{run} was used before, and this version of the operator cannot compare its payload with that of another version. Set spec.runID to one that was never used."
            ),
            Self::Recalled { run, superseded: true } => write!(
                f,
                "{run} ended earlier, because another run was wanted, and is not submitted again. Set spec.runID to one that was never used to run, and pay, again."
            ),
            Self::Recalled { run, superseded: false } => {
                write!(
                    f,
                    "{run} finished earlier and is not submitted again. Set spec.runID to one that was never used to run, and pay, again."
                )
            }
        }
    }
}
