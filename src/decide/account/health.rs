//! What the service lately said of an account as a whole.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

/// How often an account that cannot be used, or is rejected, is looked at again where nothing tells that it changed.
pub(super) const RETRY_REJECTED: Duration = Duration::from_secs(300);

/// What was asked of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Asked {
    /// Whose credentials these are, and the answer.
    Who(Option<String>),
    /// What has changed of all jobs: that it is told does not tell whether anything else is refused.
    List,
    /// Anything about a job.
    Work,
    /// A first submit.
    First,
}

impl Asked {
    /// Whether it is about the credentials alone.
    const fn is_who(&self) -> bool {
        match self {
            Self::Who(_) => true,
            Self::List | Self::Work | Self::First => false,
        }
    }

    /// Whether it is about a job: only that shows whether such work is rejected.
    const fn is_work(&self) -> bool {
        match self {
            Self::Who(_) | Self::List => false,
            Self::Work | Self::First => true,
        }
    }
}

/// What an answer says of the account as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Answer {
    /// It did what was asked.
    Done,
    /// It rejects the credentials, in these words.
    Rejected(String),
    /// The spend cap is reached, in these words.
    Capped(String),
    /// It redirects, in these words.
    Redirected(String),
    /// It refused the request, or said what cannot be read.
    Refused,
    /// It cannot now, or asks to wait.
    NotNow,
    /// It gave none.
    Nothing,
}

/// What the service lately said of the account as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Since when it rejects the credentials, and its words.
    pub rejected: Option<(Timestamp, String)>,
    /// What it said of the spend cap.
    pub spend_cap: Option<String>,
    /// Since when it redirects: the endpoint is wrong.
    pub redirected: Option<(Timestamp, String)>,
    /// Since when it accepts the credentials.
    pub accepted: Option<Timestamp>,
    /// Whether it told whose credentials these are, or that it never will.
    pub told: bool,
    /// Whose it said that they are, since they are in use.
    pub named: Option<String>,
    /// Where it rejected work, or does not tell whether it accepts the credentials: when work is tried again, by the clock
    /// that never jumps.
    pub tried_again_at: Option<Timestamp>,
}

impl Health {
    /// The same after an answer; `steady` is the clock that never jumps.
    #[must_use]
    pub fn after(&self, answer: &Answer, asked: &Asked, now: Timestamp, steady: Timestamp) -> Self {
        let mut health = self.clone();
        let later = || steady.checked_add(RETRY_REJECTED).ok();
        match answer {
            Answer::Done => {
                health.accepted.get_or_insert(now);
                health.told |= asked.is_who();
                if let Asked::Who(Some(named)) = asked {
                    health.named = Some(named.clone());
                }
                health.redirected = None;
                // Good credentials are no proof that the work is not rejected.
                if asked.is_work() || health.tried_again_at.is_none() {
                    health.rejected = None;
                    health.tried_again_at = None;
                }
            }
            Answer::Rejected(words) => {
                health.accepted = None;
                health.rejected.get_or_insert_with(|| (now, words.clone()));
                if asked.is_work() && self.tries_rejected_work(steady) {
                    health.tried_again_at = later();
                }
            }
            Answer::Capped(words) => {
                health.accepted.get_or_insert(now);
                health.spend_cap = Some(words.clone());
            }
            Answer::Redirected(words) => {
                // Not accepted any more, so that the next look at the account asks again.
                health.accepted = None;
                health.redirected.get_or_insert_with(|| (now, words.clone()));
            }
            Answer::Refused | Answer::NotNow => {
                health.redirected = None;
                let never = asked.is_who() && *answer == Answer::Refused;
                health.told |= never;
                // A service that does not tell who somebody is leaves it to the work to find out.
                if never && health.rejected.is_some() && health.tried_again_at.is_none() {
                    health.tried_again_at = later();
                }
            }
            Answer::Nothing => {}
        }
        health
    }

    fn tries_rejected_work(&self, steady: Timestamp) -> bool {
        self.tried_again_at.is_none_or(|until| steady >= until)
    }

    /// Since when the credentials are rejected, and the service's words, while nothing is to be tried with them.
    pub fn rejects(&self, steady: Timestamp) -> Option<(Timestamp, String)> {
        let tries = self.tried_again_at.is_some_and(|until| steady >= until);
        self.rejected.clone().filter(|_| !tries)
    }
}
