//! What came of a cancel, or of the look that confirms it.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Settling;
use crate::api::{CancelReason, Remote};
use crate::decide::facts::{RemoteJob, RemoteState, Trouble};
use crate::decide::meaning::end::by_reason;
use crate::decide::meaning::remote::is_gone;
use crate::decide::message::{Cancel, End, Unread};
use crate::decide::plan::{Again, CancelOutcome, Event, Standing};

/// How soon it is asked again whether it is known who else uses the job.
const ASKS_AGAIN: Duration = Duration::from_secs(2);
/// After so many looks that do not confirm a cancel, at first about half a minute, it is sent again.
const CONFIRMS: u32 = 4;

impl Settling<'_> {
    pub(super) fn status(&mut self, status: &Result<RemoteJob, Trouble>) {
        match status {
            Ok(job) => {
                self.memory.missing = false;
                self.fold(job);
                self.fresh = true;
                if job.state.is_terminal() && self.leaves_the_run() {
                    self.begin_run();
                } else if job.state.is_terminal() {
                    self.end_as(&job.state, Unread::Yet);
                } else {
                    self.retry();
                    // What was refused, or lost on the service's side, is asked for again.
                    self.memory.cancel_sent = !self.memory.tries.is_multiple_of(CONFIRMS);
                    self.standing = Some(Standing::Cancelling(Cancel::Sent.into()));
                }
            }
            Err(Trouble::NotFound(_)) => self.not_found(),
            Err(trouble) => self.cancel_trouble(trouble),
        }
    }

    pub(super) fn cancelled(&mut self, outcome: &CancelOutcome) {
        match outcome {
            // Nobody is left to be told otherwise, and a turn less for each of many deletions.
            CancelOutcome::Cancelled if self.o.job.deleted_at.is_some() => self.is_cancelled(),
            CancelOutcome::Sent | CancelOutcome::Cancelled | CancelOutcome::AlreadyOver => {
                self.memory.missing = false;
                self.memory.cancel_sent = true;
                // Where it is sent again, the pauses between the looks go on growing.
                if !self.memory.tries.is_multiple_of(CONFIRMS) {
                    self.memory.tries = 0;
                }
                self.standing = Some(Standing::Cancelling(Cancel::Sent.into()));
                self.leave(Again::After(Duration::ZERO));
            }
            // One such answer may be a fault of the service: the look that confirms a cancel has to say the same.
            CancelOutcome::NotFound => {
                self.memory.missing = true;
                self.memory.cancel_sent = true;
                self.leave(Again::After(Duration::ZERO));
            }
            CancelOutcome::Left(why) => {
                self.memory.left = Some(why.clone());
                self.leave(Again::After(Duration::ZERO));
            }
            CancelOutcome::Asking(whom) => {
                self.standing = Some(Standing::Cancelling(Cancel::Asking(whom.clone()).into()));
                self.leave(Again::After(ASKS_AGAIN));
            }
            CancelOutcome::Failed(trouble) => self.cancel_trouble(trouble),
        }
    }

    /// Records why the run is going to be cancelled; the service is told next.
    pub(super) fn latch(&mut self, reason: CancelReason) {
        self.record.cancel_reason = Some(reason);
        self.record.cancel_time = Some(Time(self.o.now));
        self.standing = Some(Standing::Cancelling(Cancel::Begins(reason).into()));
        self.leave(Again::After(Duration::ZERO));
    }

    /// Ends the run although something may still be running at the service, which people are told of.
    pub(super) fn abandon(&mut self, event: &Event) {
        let reason = self.record.cancel_reason.unwrap_or(CancelReason::CancelledAsRequested);
        self.standing = Some(by_reason(reason, event.note.clone()));
    }

    /// The service says of this very job that it is cancelled: the deletion is over, whatever becomes of the write.
    fn is_cancelled(&mut self) {
        self.memory.cancelled = true;
        let remote = self.record.remote.get_or_insert_with(Remote::default);
        remote.state = Some(RemoteState::Cancelled.word().to_owned());
        self.end_as(&RemoteState::Cancelled, Unread::Nothing);
    }

    /// The service does not know the job that should be cancelled. It may not know it yet: it is asked for long enough
    /// until there is nothing left to cancel.
    fn not_found(&mut self) {
        if !(self.o.memory.missing && is_gone(self.o.memory.missing_for)) {
            self.memory.missing = true;
            self.memory.cancel_sent = false;
            self.retry();
            self.standing = Some(Standing::Cancelling(Cancel::JobUnknown.into()));
            return;
        }
        if self.leaves_the_run() {
            return self.begin_run();
        }
        let reason = self.record.cancel_reason.unwrap_or(CancelReason::CancelledAsRequested);
        self.standing = Some(by_reason(reason, End::GoneBeforeCancel.into()));
    }

    /// Whether another run is wanted: the end of this one is history then, and never shown as the wanted one's.
    fn leaves_the_run(&self) -> bool {
        self.o.job.deleted_at.is_none() && self.o.recorded.run() != self.o.job.spec.run()
    }

    fn cancel_trouble(&mut self, trouble: &Trouble) {
        self.retry();
        let failed = Cancel::Failed(words(trouble).to_owned());
        self.standing = Some(Standing::Cancelling(failed.into()));
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
