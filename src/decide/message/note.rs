//! What an event says that no condition does: what was accepted, and what is left behind at the service.

use std::fmt;

use super::phrase::{NOT_KNOWN, intent, quoted};

/// How many jobs an event names: more would be cut off.
const NAMED: usize = 20;

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// The service accepted this job.
    Accepted(String),
    /// The service answered with this earlier job.
    FromCache(String),
    /// This job, which is known to be ours, was taken over.
    TakenOver(String),
    /// This job is left running.
    LeftRunning {
        /// The id.
        job_id: String,
        /// Why.
        why: Left,
    },
    /// This job may still be running, and nothing here follows it any more.
    Orphaned {
        /// The id.
        job_id: String,
        /// Why.
        why: Gone,
    },
    /// It is not known whether its submit created a job, and nothing here looks it up any more.
    SubmitLost(Lost),
    /// Only an intent tells of a submit, and nothing here looks it up any more.
    IntentLost {
        /// The job that it names, if it names one.
        job_id: Option<String>,
        /// Why.
        why: IntentLost,
    },
    /// The record cannot be read, so that nobody knows whether it has a job; what cannot be read.
    RecordUnread(String),
    /// An earlier attempt of the submit may have created this job, too.
    Stray(String),
    /// An earlier attempt may have created a job, too, and the list of jobs could not be read.
    StraysUnread,
}

/// Why a job is left running.
#[derive(Clone, Debug, PartialEq)]
pub enum Left {
    /// `spec.deletionPolicy` says so.
    Policy,
    /// This object did not submit it.
    NotOurs,
    /// With an account of the cluster it may be another namespace's.
    OfOthers,
    /// The next run has an equal payload, and gets this job.
    NextRun,
    /// The next run may have an equal payload.
    PerhapsNextRun,
    /// In the words of what found it out.
    Said(String),
}

/// Why nothing follows a job any more that may still be running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The record of whose submit it was is lost.
    RecordLost,
    /// It could not be cancelled in time.
    NotCancelled,
    /// The service did not know it in time.
    NotKnown,
    /// An annotation had the object go at once.
    Forced,
}

/// Why the outcome of a submit is not looked up any more.
#[derive(Clone, Debug, PartialEq)]
pub enum Lost {
    /// The list of jobs was read.
    Listed {
        /// Jobs that the submit may have created.
        jobs: Vec<String>,
        /// Whether the list is longer than was read.
        partly: bool,
    },
    /// The account is of another client.
    TenantChanged,
    /// The list of jobs could not be read in time.
    ListUnread,
    /// An annotation had the object go at once.
    Forced,
}

/// Why the submit that only an intent tells of is not looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentLost {
    /// With an account of the cluster it proves nothing.
    Unproven,
    /// Nobody can tell whether it is of this client and this payload.
    NotComparable,
    /// The account could not be used in time.
    NoAccount,
    /// An annotation had the object go at once.
    Forced,
}

/// What to do about what may still be running.
const CANCEL_IT: &str = "Cancel it at SpiderIQ if it is not wanted.";
const LOOK_FOR_IT: &str = "Look for the job at SpiderIQ, and cancel it if it is not wanted.";
const FORCED: &str = "the annotation spideriq.ai/force-orphan let the object go at once";
/// What an event says of a job that could not be cancelled in time.
pub const NOT_CANCELLED: &str = "could not be cancelled within spec.cancelTimeoutSeconds";

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(job_id) => write!(f, "SpiderIQ accepted job {job_id}."),
            Self::FromCache(job_id) => {
                write!(
                    f,
                    "SpiderIQ created no new job, because job {job_id} exists for the same payload. This object follows that job."
                )
            }
            Self::TakenOver(job_id) => write!(f, "The operator took over job {job_id}."),
            Self::LeftRunning { job_id, why } => write!(f, "Job {job_id} is left running: {why}."),
            Self::Orphaned { job_id, why } => {
                write!(f, "Job {job_id} may still be running: {why}. {CANCEL_IT}")
            }
            Self::SubmitLost(why) => why.fmt(f),
            Self::IntentLost { job_id, why } => {
                intent(f, job_id.as_deref())?;
                write!(f, ". It is not looked up: {why}. {LOOK_FOR_IT}")
            }
            Self::RecordUnread(fault) => write!(
                f,
                "The record of the object cannot be read, so nobody knows whether it has a job: {}. {LOOK_FOR_IT}",
                quoted(fault)
            ),
            Self::Stray(job_id) => write!(
                f,
                "An earlier attempt of this submit may have created job {job_id}, which nothing here follows. {CANCEL_IT}"
            ),
            Self::StraysUnread => write!(
                f,
                "An earlier attempt of this submit may have created a job, too, and the list of jobs could not be read in time. {LOOK_FOR_IT}"
            ),
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "spec.deletionPolicy says so",
            Self::NotOurs => "this object did not submit it",
            Self::OfOthers => {
                "this object did not submit it, and with a ClusterScrapeAccount it may be another namespace's"
            }
            Self::NextRun => "the next run has the same payload, and SpiderIQ answers it with this job",
            Self::PerhapsNextRun => {
                "the next run may have the same payload, and another version of the operator submitted this job"
            }
            Self::Said(words) => words,
        })
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecordLost => f.write_str("the record of who submitted it is lost"),
            Self::NotCancelled => write!(f, "it {NOT_CANCELLED}"),
            Self::NotKnown => {
                write!(f, "it {NOT_CANCELLED}, because SpiderIQ does not know it, or not yet")
            }
            Self::Forced => f.write_str(FORCED),
        }
    }
}

impl fmt::Display for IntentLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unproven => "with a ClusterScrapeAccount the annotation alone proves nothing",
            Self::NotComparable => "it cannot be compared with this account's client and this payload",
            Self::NoAccount => "the account could not be used before the object had to go",
            Self::Forced => FORCED,
        })
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed { jobs, partly } if jobs.is_empty() => {
                let found = if *partly {
                    "the list of jobs is longer than was read"
                } else {
                    "the list of jobs has none that it could have created"
                };
                write!(f, "{NOT_KNOWN}: {found}. {LOOK_FOR_IT}")
            }
            Self::Listed { jobs, partly } => {
                let more = *partly || jobs.len() > NAMED;
                let named = jobs.get(..NAMED).unwrap_or(jobs).join(", ");
                write!(f, "{NOT_KNOWN}. One of these may be it, and may still be running: {named}.")?;
                if more {
                    f.write_str(" There may be more than are named.")?;
                }
                write!(f, " {CANCEL_IT}")
            }
            Self::TenantChanged => write!(
                f,
                "{NOT_KNOWN}, and the account's credentials are not of the client that submitted. {LOOK_FOR_IT}"
            ),
            Self::ListUnread => {
                write!(f, "{NOT_KNOWN}, and the list of jobs could not be read in time. {LOOK_FOR_IT}")
            }
            Self::Forced => write!(f, "{NOT_KNOWN}, and {FORCED}. {LOOK_FOR_IT}"),
        }
    }
}
