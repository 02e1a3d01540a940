//! The job is not accepted and waits, or is accepted and not over: nobody has to do anything, or only about its account.

use std::fmt;

use super::phrase::{ODD_ADDRESS, REMOVE_IT, quoted};
use crate::api::AccountKind;

/// What a job waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    /// For its first look.
    Begins,
    /// For `spec.suspend` to be false.
    Suspended,
    /// For the answer to its submit.
    Submitting,
    /// For the first look at a job that it names.
    FirstLook,
    /// For its turn in the budget.
    Turn,
    /// For the end of a pause that the service asked for.
    Pause,
    /// For the service, which failed with these words.
    Service {
        /// The words.
        words: String,
        /// Whether the address of the account is a likely cause.
        odd_address: bool,
    },
    /// For an account.
    NoAccount {
        /// The kind.
        kind: AccountKind,
        /// The name.
        name: String,
    },
    /// For an account that is suspended; its kind and name.
    AccountSuspended(String),
    /// For the service to say whose account it is: an intent names this client.
    ClientUnknown {
        /// The client that the intent names.
        client: String,
        /// Kind and name of the account.
        account: String,
    },
    /// For a token that the service accepts; its words on this one.
    Rejected(String),
    /// For the next start of the operator.
    Stops,
    /// For the right to write the object; what the API server said.
    WriteRefused(String),
    /// For a version that can read the spec; what cannot be read.
    Unreadable(String),
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins => f.write_str("The operator has not looked at the job yet."),
            Self::Suspended => f.write_str("spec.suspend holds back the submit. Set it to false to go on."),
            Self::Submitting => f.write_str("The operator is submitting the job."),
            Self::FirstLook => f.write_str("The operator has not looked at the job at SpiderIQ yet."),
            Self::Turn => f.write_str("The job waits for its turn in the account's request budget."),
            Self::Pause => {
                f.write_str("SpiderIQ asked the account to wait. The job goes on when the pause is over.")
            }
            Self::Service { words, odd_address } => {
                write!(
                    f,
                    "SpiderIQ is not available: {}. The operator tries again by itself.",
                    quoted(words)
                )?;
                if *odd_address { f.write_str(ODD_ADDRESS) } else { Ok(()) }
            }
            Self::NoAccount { kind, name } => {
                let place = match kind {
                    AccountKind::ScrapeAccount => " in this namespace",
                    AccountKind::ClusterScrapeAccount => "",
                };
                write!(f, "{} {name} does not exist{place}. Create it.", kind.as_str())
            }
            Self::AccountSuspended(account) => {
                write!(f, "{account} is suspended. Set its spec.suspend to false to go on.")
            }
            Self::ClientUnknown { client, account } => write!(
                f,
                "The annotation spideriq.ai/submission records an earlier submit by client {client}. SpiderIQ has not confirmed yet that {account} belongs to it. Wait, or {REMOVE_IT}."
            ),
            Self::Rejected(words) => {
                write!(
                    f,
                    "{}. Put a token that SpiderIQ accepts into the Secret of the account.",
                    quoted(words)
                )
            }
            Self::Stops => {
                f.write_str("The operator is shutting down. It submits the job after its next start.")
            }
            Self::WriteRefused(words) => write!(
                f,
                "The operator cannot update this object: {}. Allow the operator's ServiceAccount to change it. The operator then goes on by itself.",
                quoted(words)
            ),
            Self::Unreadable(fault) => write!(
                f,
                "This version of the operator cannot read the spec: {}. Run the version that the CRDs are of, or correct the field.",
                quoted(fault)
            ),
        }
    }
}

impl Wait {
    /// The service failed with these words.
    pub fn service(words: &str) -> Self {
        Self::Service { words: words.to_owned(), odd_address: false }
    }
}

/// What the job does, and why what is shown of it may be old.
#[derive(Clone, Debug, PartialEq)]
pub enum Follow {
    /// What is shown of it is fresh.
    Synced,
    /// It has left a state.
    Left,
    /// It waits for a worker.
    Queued,
    /// A worker has it; which one, if the service names it.
    Processing(Option<String>),
    /// It is in a state that this version does not know.
    StateUnknown,
    /// It is over, and the reads at its end are under way.
    Collecting,
    /// The account is of another client; its kind and name.
    TenantChanged(String),
    /// The spec is not what was submitted.
    PayloadChanged,
}

impl fmt::Display for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Synced => f.write_str("The newest look at the job succeeded."),
            Self::Left => f.write_str("The job has left this state."),
            Self::Queued => f.write_str("The job waits for a worker of SpiderIQ."),
            Self::Processing(None) => f.write_str("A worker of SpiderIQ runs the job."),
            Self::Processing(Some(worker)) => write!(f, "Worker {worker} runs the job."),
            Self::StateUnknown => f.write_str(
                "SpiderIQ names a state that this version of the operator does not know. See status.remote.state.",
            ),
            Self::Collecting => {
                f.write_str("The job is over at SpiderIQ. The operator reads its details and results.")
            }
            Self::TenantChanged(account) => write!(
                f,
                "The credentials of {account} are not of the client that the job belongs to. Put back credentials of that client."
            ),
            Self::PayloadChanged => f.write_str(
                "spec.payload or spec.priority differ from what was submitted, and spec.runID is the same. Put them back, or set a new spec.runID to start and pay for a new run.",
            ),
        }
    }
}
