//! How a run stands that is not over, in the words that people read.

use super::remote::freshness;
use crate::api::{Reason, ScrapeJobStatus, State};
use crate::decide::facts::{AccountUse, Observed, RemoteState};
use crate::decide::plan::{Freshness, Standing};

/// How an accepted job stands, from what is recorded and what was seen.
pub(in crate::decide) fn standing(o: &Observed, record: &ScrapeJobStatus) -> Standing {
    let state = record.remote.as_ref().and_then(|remote| remote.state.as_deref()).map(RemoteState::parse);
    if state.is_none() && o.job.spec.job_id.is_some() {
        return unseen(o);
    }
    let worker = record.remote.as_ref().and_then(|remote| remote.worker_id.as_deref());
    let reached =
        if o.recorded.current_state() == State::Processing { State::Processing } else { State::Queued };
    match state {
        Some(RemoteState::Queued) | None if reached == State::Queued => Standing::Following(
            State::Queued,
            Reason::Queued,
            "waiting for a worker of the service".to_owned(),
        ),
        Some(state) if state.is_terminal() => Standing::Following(
            State::Processing,
            Reason::CollectingResults,
            "the job is over at the service; its details and results are being read".to_owned(),
        ),
        Some(RemoteState::Other(_)) => Standing::Following(
            State::Processing,
            Reason::Processing,
            "the service names a state that this release does not know; see status.remote.state".to_owned(),
        ),
        Some(_) | None => Standing::Following(
            State::Processing,
            Reason::Processing,
            worker.map_or_else(|| "in progress".to_owned(), |worker| format!("picked up by {worker}")),
        ),
    }
}

/// How a mirrored job stands that the service has not told anything of yet.
fn unseen(o: &Observed) -> Standing {
    let (reason, message) = match freshness(o) {
        Freshness::Stale(reason, message) => (reason, message),
        Freshness::Fresh | Freshness::Unchanged => {
            (Reason::WaitingForController, "waiting for the first look at the job".to_owned())
        }
    };
    Standing::Waiting(reason, message)
}

/// Whether this is the recorded reason.
pub(in crate::decide) fn is_recorded(o: &Observed, reason: Reason) -> bool {
    o.recorded.reason.as_deref() == Some(reason.as_str())
}

/// The service lets the account spend nothing more this month.
pub(in crate::decide) fn capped(o: &Observed) -> String {
    let account = o.account.usable().map(AccountUse::title).unwrap_or_default();
    format!("{account} has reached its monthly spend cap; raise the cap, and the job goes on within the hour")
}

/// The service cannot be reached, or fails: in the words that are told already, if any are.
pub(in crate::decide) fn unavailable(o: &Observed, words: &str) -> Standing {
    let told = o.recorded.message.clone().filter(|_| is_recorded(o, Reason::ServiceUnavailable));
    let message = told.unwrap_or_else(|| format!("the service is not available: {words}"));
    Standing::Waiting(Reason::ServiceUnavailable, message)
}

/// The service asked the account to wait.
pub(in crate::decide) fn rate_limited() -> Standing {
    let message = "the service asked the account to wait; the job goes on when the pause is over".to_owned();
    Standing::Waiting(Reason::RateLimited, message)
}

/// It is others' turn.
pub(in crate::decide) fn waits_for_budget() -> Standing {
    let message = "waiting for its turn in the account's request budget".to_owned();
    Standing::Waiting(Reason::WaitingForBudget, message)
}
