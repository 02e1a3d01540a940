//! What came of a cancel, or of the look that confirms it.

use std::time::Duration;

use super::super::facts::{RemoteJob, Trouble};
use super::super::follow;
use super::super::plan::{Again, CancelOutcome, Standing};
use super::Settling;
use crate::api::{Reason, State};

impl Settling<'_> {
    pub(super) fn status(&mut self, status: &Result<RemoteJob, Trouble>) {
        match status {
            Ok(job) => {
                self.fold(job);
                self.fresh = true;
                self.memory.tries = 0;
                if job.state.is_terminal() {
                    self.standing = Some(follow::ended(self.o, &job.state, &self.record, false));
                } else {
                    self.retry();
                    self.standing = Some(Standing::Cancelling(
                        "the service took the cancel and has not confirmed it yet".to_owned(),
                    ));
                }
            }
            Err(Trouble::NotFound(_)) => self.gone(),
            Err(trouble) => self.cancel_trouble(trouble),
        }
    }

    pub(super) fn cancelled(&mut self, outcome: &CancelOutcome) {
        match outcome {
            CancelOutcome::Sent | CancelOutcome::AlreadyOver => {
                self.memory.cancel_sent = true;
                self.memory.tries = 0;
                self.standing = Some(Standing::Cancelling(
                    "the service took the cancel and has not confirmed it yet".to_owned(),
                ));
                self.leave(Again::After(Duration::ZERO));
            }
            CancelOutcome::NotFound => self.gone(),
            CancelOutcome::Shared(other) => {
                self.memory.shared_with = Some(other.clone());
                self.leave(Again::After(Duration::ZERO));
            }
            CancelOutcome::Failed(trouble) => self.cancel_trouble(trouble),
        }
    }

    /// The service does not know the job that should be cancelled: there is nothing left to cancel.
    fn gone(&mut self) {
        self.standing = Some(Standing::Ended(
            State::Cancelled,
            Reason::CancelledAsRequested,
            "the service no longer knows the job, so there is nothing left to cancel".to_owned(),
        ));
    }

    fn cancel_trouble(&mut self, trouble: &Trouble) {
        self.retry();
        self.standing = Some(Standing::Cancelling(format!(
            "the job could not be cancelled yet ({}); trying until spec.cancelTimeoutSeconds is over",
            words(trouble)
        )));
    }
}

/// What went wrong, for people.
pub(super) fn words(trouble: &Trouble) -> &str {
    match trouble {
        Trouble::Rejected(words)
        | Trouble::SpendCap(words)
        | Trouble::Throttled(_, words)
        | Trouble::NotFound(words)
        | Trouble::Unavailable(words) => words,
        Trouble::NoBudget(_) => "the account's request budget is used up",
    }
}
