//! The job is being cancelled, or its object is being deleted.

use std::fmt;

use super::phrase::{NOT_KNOWN, intent, quoted};
use super::wait::Wait;
use crate::api::CancelReason;

/// How far the cancel is.
#[derive(Clone, Debug, PartialEq)]
pub enum Cancel {
    /// It begins, for this reason.
    Begins(CancelReason),
    /// The service took it and has not confirmed it.
    Sent,
    /// The service does not know the job, or not yet.
    JobUnknown,
    /// It failed; why.
    Failed(String),
    /// Who else uses the job is being asked; about whom.
    Asking(String),
    /// The account cannot be used; why, with what to do.
    NoAccount(String),
    /// It waits.
    Waits(CancelWaits),
    /// The object goes, and nothing at the service holds it back.
    NothingLeft,
    /// The outcome of a submit is not known, and a request may still be under way.
    Settling,
    /// The outcome of a submit is not known, and the credentials are of another client.
    TenantChanged,
    /// The outcome of a submit is not known, and the list of jobs cannot be read.
    ListUnread,
    /// Only an intent tells of a submit; the job that it names, if it names one.
    IntentAlone(Option<String>),
    /// The object cannot be written; what the API server said.
    WriteRefused(Wait),
}

/// What a cancel waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum CancelWaits {
    /// For the service, which is not available; its words.
    Service(String),
    /// For the end of a pause that the service asked for; how many others wait.
    Pause(usize),
    /// For its turn; how many others wait.
    Turn(usize),
}

impl fmt::Display for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins(reason) => {
                let why = match reason {
                    CancelReason::CancelledAsRequested => "spec.cancel asks for it",
                    CancelReason::DeadlineExceeded => "it ran longer than spec.activeDeadlineSeconds",
                    CancelReason::Superseded => "spec.runID names another run",
                };
                write!(f, "The job is being cancelled, because {why}.")
            }
            Self::Sent => f.write_str(
                "SpiderIQ accepted the cancel and has not confirmed it yet. The operator checks until SpiderIQ confirms it.",
            ),
            Self::JobUnknown => {
                f.write_str("SpiderIQ does not know the job, or not yet. The operator cancels it again.")
            }
            Self::Failed(why) => {
                write!(f, "The job could not be cancelled yet: {}. The operator tries again.", quoted(why))
            }
            Self::Asking(whom) => write!(f, "The job is not cancelled yet: {}.", quoted(whom)),
            Self::NoAccount(why) => write!(f, "The job is not cancelled yet and may still run. {why}"),
            Self::Waits(waits) => waits.fmt(f),
            Self::NothingLeft => {
                f.write_str("The object is being deleted. Nothing at SpiderIQ holds it back.")
            }
            Self::Settling => {
                write!(f, "{NOT_KNOWN}. The operator looks for the job as soon as the request must be over.")
            }
            Self::TenantChanged => write!(
                f,
                "{NOT_KNOWN}, and the account's credentials are not of the client that submitted. Put back credentials of that client."
            ),
            Self::ListUnread => {
                write!(f, "{NOT_KNOWN}, and the list of jobs cannot be read yet. The operator tries again.")
            }
            Self::IntentAlone(job) => {
                intent(f, job.as_deref())?;
                f.write_str(
                    ". The operator waits until its account can be used. Mend the account, or delete the object with the annotation spideriq.ai/force-orphan set to \"true\".",
                )
            }
            Self::WriteRefused(why) => why.fmt(f),
        }
    }
}

impl CancelWaits {
    /// What the cancel waits for, without what changes meanwhile: by this a message is known again.
    pub fn opening(&self) -> &'static str {
        match self {
            Self::Service(_) => {
                "The cancel is not sent yet: SpiderIQ is not available. The job is cancelled when it answers."
            }
            Self::Pause(_) => {
                "The cancel is not sent yet: SpiderIQ asked the account to wait. The job is cancelled when the pause is over."
            }
            Self::Turn(_) => "The cancel waits for its turn in the account's request budget.",
        }
    }
}

impl fmt::Display for CancelWaits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.opening())?;
        match self {
            Self::Service(words) => write!(f, " The last answer: {}.", quoted(words)),
            Self::Pause(0) | Self::Turn(0) => Ok(()),
            Self::Pause(1) | Self::Turn(1) => f.write_str(" 1 other cancel waits, too."),
            Self::Pause(others) | Self::Turn(others) => write!(f, " {others} other cancels wait, too."),
        }
    }
}
