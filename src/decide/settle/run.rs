//! Leaves one run and begins the next: the history, the used runIDs, and what a known runID shows.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Settling;
use crate::api::{CancelReason, Reason, Run, ScrapeJobStatus, State};
use crate::decide::facts::{Memory, Observed, RemoteState};
use crate::decide::meaning::runs::{reused, short_hash, was_used};
use crate::decide::meaning::submission::Submission;
use crate::decide::message::{Named, RunWord};
use crate::decide::plan::{Again, Standing};
use crate::decide::record::Recorded;

/// Earlier runs that are kept.
const HISTORY: usize = 10;
/// Used runIDs that are kept: as many rollbacks deep nothing is paid for twice.
const USED: usize = 100;
/// The outcome of a run that ended because another was wanted.
const SUPERSEDED: &str = "Superseded";
/// The outcome of a run whose submit nobody knows the outcome of.
const UNKNOWN: &str = "Unknown";

impl Settling<'_> {
    /// Puts the run that the status speaks of into the history, and begins the wanted one: afresh, or, where its runID
    /// is known, with its recorded outcome.
    pub(super) fn begin_run(&mut self) {
        let mut before = std::mem::take(&mut self.record);
        let (mut history, mut used) =
            (std::mem::take(&mut before.history), std::mem::take(&mut before.used_run_ids));
        if is_known(&before) {
            history.retain(|run| run.run_id != before.run_id);
            history.insert(0, run_of(&before, self.o));
            history.truncate(HISTORY);
            let hash = short_hash(before.run());
            used.retain(|known| *known != hash);
            used.insert(0, hash);
            used.truncate(USED);
        }
        let wanted = self.o.job.spec.run_id.clone();
        self.record = ScrapeJobStatus {
            type_: before.type_,
            run_id: wanted.clone(),
            start_time: Some(Time(self.o.now)),
            tried_at: before.tried_at,
            last_handled_reconcile_at: before.last_handled_reconcile_at,
            history,
            used_run_ids: used,
            ..ScrapeJobStatus::default()
        };
        self.memory = Memory::default();
        let run = self.o.job.spec.run();
        if !was_used(&self.record, run) {
            let begins = RunWord::Begins(Named(run.to_owned()));
            self.standing = Some(Standing::Waiting(Reason::WaitingForController, begins.into()));
            return self.leave(Again::After(Duration::ZERO));
        }
        let known = self.record.history.iter().find(|known| known.run_id == wanted).cloned();
        let hash = known.as_ref().and_then(|known| known.body_hash.as_deref());
        let recorded = hash.zip(self.o.job.body.as_ref()).map(|(hash, body)| body.recorded(hash));
        self.standing = Some(match (recorded, known) {
            (Some(Recorded::Same), Some(known)) => self.recall(known).unwrap_or_else(|| reused(run)),
            (Some(Recorded::Unclear), _) => {
                Standing::Held(Reason::RunIDReused, RunWord::OfAnotherRelease(Named(run.to_owned())).into())
            }
            (Some(Recorded::Same | Recorded::Other) | None, _) => reused(run),
        });
    }

    /// Shows how a known run ended; it is never submitted again.
    fn recall(&mut self, known: Run) -> Option<Standing> {
        let outcome = known.outcome.as_deref()?;
        let (state, usual) = match State::parse(outcome) {
            Some(State::Completed) => (State::Completed, Reason::Completed),
            Some(State::Failed) => (State::Failed, Reason::RemoteFailed),
            Some(State::Cancelled) => (State::Cancelled, Reason::CancelledAsRequested),
            None if outcome == SUPERSEDED => (State::Cancelled, Reason::CancelledAsRequested),
            Some(_) | None => return None,
        };
        let reason = known.reason.as_deref().and_then(Reason::parse).unwrap_or(usual);
        let run = Named(known.run_id.clone().unwrap_or_default());
        let superseded = state == State::Cancelled && outcome == SUPERSEDED;
        let message = RunWord::Recalled { run, superseded }.into();
        self.record.job_id = known.job_id;
        self.record.submit_time = known.submit_time;
        self.record.submission = known.body_hash.map(|hash| crate::api::SubmissionRecord {
            body_hash: Some(hash),
            ..crate::api::SubmissionRecord::default()
        });
        Some(Standing::Ended(state, reason, message))
    }
}

/// Whether anything was sent for a run: only then is its runID used up. What the service refused has left its hash.
fn is_known(status: &ScrapeJobStatus) -> bool {
    Submission::of(status) != Submission::Nothing
}

/// The run that a status speaks of, as the history keeps it.
fn run_of(status: &ScrapeJobStatus, o: &Observed) -> Run {
    let state = status.current_state();
    let remote = status.remote.as_ref().and_then(|remote| remote.state.as_deref()).map(RemoteState::parse);
    let superseded = status.cancel_reason == Some(CancelReason::Superseded) && state == State::Cancelled;
    let (outcome, reason) = match remote {
        _ if state.is_terminal() && !superseded => (state.as_str(), status.reason.clone()),
        Some(RemoteState::Completed) => (State::Completed.as_str(), None),
        Some(RemoteState::Failed) => (State::Failed.as_str(), None),
        Some(_) | None if status.job_id.is_some() || superseded => (SUPERSEDED, None),
        Some(_) | None => (UNKNOWN, Some(Reason::SubmissionAmbiguous.as_str().to_owned())),
    };
    Run {
        run_id: status.run_id.clone(),
        job_id: status.job_id.clone(),
        body_hash: status.submission.as_ref().and_then(|record| record.body_hash.clone()),
        outcome: Some(outcome.to_owned()),
        reason,
        submit_time: status.submit_time.clone(),
        finish_time: Some(status.finish_time.clone().unwrap_or(Time(o.now))),
    }
}
