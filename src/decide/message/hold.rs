//! The outcome of a submit is not known, or a person has to do something before the job goes on.

use std::fmt;

use super::phrase::{LOOK_NOW, NOT_KNOWN, ODD_ADDRESS, REMOVE_IT, quoted};
use crate::api::OnAmbiguous;

/// Why a job is held.
#[derive(Clone, Debug, PartialEq)]
pub enum Hold {
    /// The intent cannot be read.
    IntentUnreadable,
    /// The intent proves nothing with an account of the cluster.
    IntentUnproven,
    /// The intent is of another version.
    IntentOfAnotherRelease,
    /// The intent names no client to compare with that of this account.
    IntentOfNobody(String),
    /// There is nothing to submit.
    NoPayload,
    /// The service refused the submit, and waiting does not help; its words.
    Refused(String),
    /// The account may spend no more; its kind and name.
    SpendCap(String),
    /// The service has no address for submits of this type.
    NotServed {
        /// The type.
        type_: String,
        /// The service's words.
        words: String,
        /// Whether the address of the account is a likely cause.
        odd_address: bool,
    },
    /// The outcome of a submit is not known, and it is not looked up any more.
    Unsettled(Unsettled),
    /// The service does not know the job that the spec names.
    JobUnknown {
        /// The id.
        id: String,
        /// Whether the address of the account is a likely cause.
        odd_address: bool,
    },
    /// The job that the spec names is of nobody in this namespace; kind and name of the account.
    MirrorNotAllowed(String),
}

/// Why the outcome of a submit stays unknown.
#[derive(Clone, Debug, PartialEq)]
pub enum Unsettled {
    /// A person decides what becomes of it.
    Ambiguous(Ambiguous),
    /// The service refused the repeat that would tell; its words.
    RepeatRefused(String),
    /// This version cannot repeat the submit of another one.
    RepeatOfAnotherRelease,
    /// The spec is not what was submitted.
    PayloadChanged,
    /// The credentials are of another client; kind and name of the account.
    TenantChanged(String),
}

/// What the list of jobs names after a submit whose outcome is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Ambiguous {
    /// The first jobs that it may have created.
    pub named: Vec<String>,
    /// Whether there are, or may be, more.
    pub more: bool,
    /// What the spec asks for.
    pub on_ambiguous: OnAmbiguous,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IntentUnreadable => write!(
                f,
                "The annotation spideriq.ai/submission cannot be read, so there may have been an earlier submit. Restore it, or {REMOVE_IT}."
            ),
            Self::IntentUnproven => write!(
                f,
                "The annotation spideriq.ai/submission records a submit that the status does not know. With a ClusterScrapeAccount the annotation alone is not trusted. After a backup, restore the status, too. Otherwise {REMOVE_IT}."
            ),
            Self::IntentOfAnotherRelease => write!(
                f,
                "The annotation spideriq.ai/submission was written by another version of the operator, and this one cannot check it. Run that version, or {REMOVE_IT}."
            ),
            Self::IntentOfNobody(account) => write!(
                f,
                "The annotation spideriq.ai/submission does not say which client submitted, so it cannot be checked against {account}. Restore the status, or {REMOVE_IT}."
            ),
            Self::NoPayload => f.write_str(
                "The spec has nothing to submit. Create another ScrapeJob with spec.type and spec.payload.",
            ),
            Self::Refused(words) => write!(
                f,
                "SpiderIQ refused the submit and created no job: {}. Waiting does not help. Correct the cause and {LOOK_NOW}, or create another ScrapeJob.",
                quoted(words)
            ),
            Self::SpendCap(account) => write!(
                f,
                "The client of {account} has reached its monthly spend cap. Raise the cap, and the job goes on within the hour."
            ),
            Self::NotServed { type_, words, odd_address } => {
                write!(
                    f,
                    "SpiderIQ has no address for jobs of type {type_}: {}. If the type is wrong, create another ScrapeJob. Otherwise check spec.endpoint of the account. The job then goes on by itself.",
                    quoted(words)
                )?;
                if *odd_address { f.write_str(ODD_ADDRESS) } else { Ok(()) }
            }
            Self::JobUnknown { id, odd_address } => {
                write!(
                    f,
                    "SpiderIQ does not know job {id}, or it belongs to another client. If the id is wrong, create another ScrapeJob. If the client is wrong, put a token of the job's client into the account's Secret."
                )?;
                if *odd_address { f.write_str(ODD_ADDRESS) } else { Ok(()) }
            }
            Self::MirrorNotAllowed(account) => write!(
                f,
                "No ScrapeJob in this namespace recorded this job, and {account} does not allow following it. Have spec.allowMirror of the account set to true. Or create a ScrapeAccount in this namespace, and another ScrapeJob that uses it."
            ),
            Self::Unsettled(why) => why.fmt(f),
        }
    }
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambiguous(ambiguous) => ambiguous.fmt(f),
            Self::RepeatRefused(words) => write!(
                f,
                "{NOT_KNOWN}. SpiderIQ refused the repeat that would tell: {}. Set spec.submission.onAmbiguous to Adopt to take over the only candidate, or to Resubmit, which may cost twice.",
                quoted(words)
            ),
            Self::RepeatOfAnotherRelease => write!(
                f,
                "{NOT_KNOWN}. Another version of the operator sent the submit, and this one cannot repeat it exactly. Run that version, then {LOOK_NOW}. Or set spec.submission.onAmbiguous to Adopt to take over the only candidate."
            ),
            Self::PayloadChanged => write!(
                f,
                "{NOT_KNOWN}, and spec.payload or spec.priority differ from what was submitted. Put them back. A new spec.runID instead may leave a paid job running."
            ),
            Self::TenantChanged(account) => write!(
                f,
                "{NOT_KNOWN}. The credentials of {account} are not proven to be of the client that submitted. Put back credentials of that client."
            ),
        }
    }
}

impl From<Unsettled> for Hold {
    fn from(why: Unsettled) -> Self {
        Self::Unsettled(why)
    }
}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NOT_KNOWN}. ")?;
        match (self.named.as_slice(), self.more) {
            ([], true) => f.write_str("The list of jobs could not be read to its end. ")?,
            ([], false) => f.write_str("The list of jobs has none that it could have created. ")?,
            (named, more) => {
                let named = named.join(" or ");
                write!(f, "It may be {named}{}. ", if more { " or another one" } else { "" })?;
            }
        }
        write!(f, "To have the list read again, {LOOK_NOW}. ")?;
        f.write_str(match self.on_ambiguous {
            OnAmbiguous::Auto | OnAmbiguous::Hold => {
                "Set spec.submission.onAmbiguous to Adopt to take over the only candidate, or to Resubmit to submit again, which may cost twice."
            }
            OnAmbiguous::Resubmit => {
                "Set spec.submission.onAmbiguous to Adopt to take over the only candidate."
            }
            OnAmbiguous::Adopt => {
                "Set spec.submission.onAmbiguous to Resubmit to submit again, which may cost twice."
            }
        })
    }
}

/// How far the look-up is.
#[derive(Clone, Debug, PartialEq)]
pub enum Unknown {
    /// What went wrong with the request; in words.
    Failed(String),
    /// A request may still be under way.
    Settling,
    /// The next look-up is due after a pause.
    Paused,
    /// `spec.suspend` holds back the request that would tell.
    Suspended,
    /// The list of jobs cannot be read.
    ListUnread,
    /// The operator stops.
    Stops,
    /// Something else comes first.
    Blocked(String),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => {
                write!(f, "{NOT_KNOWN}: {}. The operator looks for the job.", quoted(why))
            }
            Self::Settling => {
                write!(f, "{NOT_KNOWN}. The operator looks for the job as soon as the request must be over.")
            }
            Self::Paused => {
                write!(f, "{NOT_KNOWN}. The operator looks for the job again, after growing pauses.")
            }
            Self::Suspended => write!(
                f,
                "{NOT_KNOWN}, and spec.suspend holds back the request that would tell. Set it to false to go on."
            ),
            Self::ListUnread => {
                write!(f, "{NOT_KNOWN}, and the list of jobs cannot be read yet. The operator tries again.")
            }
            Self::Stops => {
                write!(
                    f,
                    "{NOT_KNOWN}. The operator is shutting down, and looks for the job after its next start."
                )
            }
            Self::Blocked(by) => write!(f, "{NOT_KNOWN}, and the operator cannot look for the job yet. {by}"),
        }
    }
}

impl Unknown {
    /// What comes first.
    pub fn blocked(by: &impl fmt::Display) -> Self {
        Self::Blocked(by.to_string())
    }
}
