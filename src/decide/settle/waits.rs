//! What becomes of an effect whose turn has not come, and the words for it.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{LONGEST_PAUSE, Settling};
use crate::api::Reason;
use crate::decide::facts::{AccountUse, Observed, Waiting};
use crate::decide::follow;
use crate::decide::plan::{Again, Attempt, Cap, Plan, Standing};

/// A wait for budget is told only after this long, so that a short one writes nothing (R12).
const TELL_WAIT_AFTER: Duration = Duration::from_secs(5);
/// The same for a job that the spend cap held: a process that begins anew may find it reached with its first submit.
const TELL_END_OF_CAP_AFTER: Duration = Duration::from_secs(30);

impl Settling<'_> {
    /// It is not its turn: told once, after a while, and never as more than a wait.
    pub(super) fn not_yet(&mut self, plan: &Plan, waiting: &Waiting) {
        if let Plan::Submit(attempt) = plan
            && attempt.cap != Cap::Open
        {
            return self.waits_for_cap(attempt);
        }
        let capped = follow::is_recorded(self.o, Reason::SpendCapReached);
        let after = if capped { TELL_END_OF_CAP_AFTER } else { TELL_WAIT_AFTER };
        let told_at = waiting.since + after;
        if self.o.now < told_at {
            let left = Duration::try_from(told_at.duration_since(self.o.now)).unwrap_or(after);
            return self.leave(Again::After(left));
        }
        self.again = Some(Again::After(Duration::from_secs(60)));
        self.standing = Some(match plan {
            Plan::Submit(attempt) if attempt.number() == 1 => {
                if self.o.recorded.retry_after.is_none() {
                    self.record.retry_after = waiting.paused_until.or(waiting.estimate).map(Time);
                }
                // A pause that ends and begins again is told once.
                let paused =
                    waiting.paused_until.is_some() || follow::is_recorded(self.o, Reason::RateLimited);
                if paused { rate_limited() } else { waits_for_budget() }
            }
            // That its outcome is not known, and why, has been told.
            Plan::Submit(_) | Plan::LookUp(_) => return,
            Plan::Cancel | Plan::Confirm => Standing::Cancelling(waits_to_cancel(self.o, waiting)),
            Plan::Look
            | Plan::Detail
            | Plan::Collect
            | Plan::Rest(_)
            | Plan::Leave
            | Plan::Adopt(_)
            | Plan::Protect(_)
            | Plan::Latch(_)
            | Plan::Abandon(_)
            | Plan::Begin(_)
            | Plan::Expire
            | Plan::Release(_) => follow::standing(self.o, &self.record),
        });
    }

    /// The API server does not let the operator write the object: said in the status, where that can still be written.
    pub(super) fn write_refused(&mut self, plan: &Plan, words: &str) {
        let message = format!(
            "the API server refuses what the operator writes to this object: {words}; let the operator's ServiceAccount change it, and it goes on by itself"
        );
        self.standing = match plan {
            Plan::Submit(attempt) if attempt.number() == 1 => {
                Some(Standing::Waiting(Reason::WriteRefused, message))
            }
            Plan::Submit(_) => Some(Standing::Unknown(format!(
                "the outcome of a submit is not known and cannot be settled yet: {message}"
            ))),
            // What is over stays so (R8).
            Plan::Release(_)
                if self.o.job.deleted_at.is_some() && !self.o.recorded.current_state().is_terminal() =>
            {
                Some(Standing::Cancelling(message))
            }
            Plan::Release(_)
            | Plan::LookUp(_)
            | Plan::Cancel
            | Plan::Confirm
            | Plan::Look
            | Plan::Detail
            | Plan::Collect
            | Plan::Rest(_)
            | Plan::Leave
            | Plan::Adopt(_)
            | Plan::Protect(_)
            | Plan::Latch(_)
            | Plan::Abandon(_)
            | Plan::Begin(_)
            | Plan::Expire => None,
        };
        self.retry();
    }

    /// Waits in line until one submit of the account has found the cap raised; where somebody asked, one was let out.
    fn waits_for_cap(&mut self, attempt: &Attempt) {
        let message = capped(self.o);
        self.standing = Some(if attempt.number() == 1 {
            Standing::Held(Reason::SpendCapReached, message)
        } else {
            Standing::Unknown(format!(
                "the outcome of a submit is not known and cannot be settled yet: {message}"
            ))
        });
        if attempt.cap == Cap::Tried {
            self.record.last_handled_reconcile_at.clone_from(&self.o.job.marks.requested);
        }
        // Its turn is told; should it miss that, it takes its place again.
        self.again = Some(Again::After(LONGEST_PAUSE));
    }
}

/// How many wait is told once: a number that falls is a metric.
fn waits_to_cancel(o: &Observed, waiting: &Waiting) -> String {
    let words = "waiting for its turn in the account's request budget to cancel the job";
    let told = o.recorded.message.clone().filter(|told| told.starts_with(words));
    told.unwrap_or_else(|| match waiting.others {
        0 => words.to_owned(),
        others => format!("{words}; {others} others wait to cancel theirs"),
    })
}

/// The service lets the account spend nothing more this month.
pub(super) fn capped(o: &Observed) -> String {
    let account = o.account.usable().map(AccountUse::title).unwrap_or_default();
    format!("{account} has reached its monthly spend cap; raise the cap, and the job goes on within the hour")
}

/// The service asked the account to wait.
pub(super) fn rate_limited() -> Standing {
    let message = "the service asked the account to wait; the job goes on when the pause is over".to_owned();
    Standing::Waiting(Reason::RateLimited, message)
}

/// It is others' turn.
pub(super) fn waits_for_budget() -> Standing {
    let message = "waiting for its turn in the account's request budget".to_owned();
    Standing::Waiting(Reason::WaitingForBudget, message)
}
