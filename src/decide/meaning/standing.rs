//! How a run stands that is not over, in the words that people read.

use super::remote::freshness;
use crate::api::{Reason, ScrapeJobStatus, State};
use crate::decide::facts::{AccountUse, Observed, RemoteState};
use crate::decide::message::{Follow, Hold, Message, Wait};
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
        Some(RemoteState::Queued) | None if reached == State::Queued => {
            Standing::Following(State::Queued, Reason::Queued, Follow::Queued.into())
        }
        Some(state) if state.is_terminal() => {
            Standing::Following(State::Processing, Reason::CollectingResults, Follow::Collecting.into())
        }
        Some(RemoteState::Other(_)) => {
            Standing::Following(State::Processing, Reason::Processing, Follow::StateUnknown.into())
        }
        Some(_) | None => Standing::Following(
            State::Processing,
            Reason::Processing,
            Follow::Processing(worker.map(str::to_owned)).into(),
        ),
    }
}

/// How a mirrored job stands that the service has not told anything of yet.
fn unseen(o: &Observed) -> Standing {
    let (reason, message) = match freshness(o) {
        Freshness::Stale(reason, message) => (reason, message),
        Freshness::Fresh | Freshness::Unchanged => (Reason::WaitingForController, Wait::FirstLook.into()),
    };
    Standing::Waiting(reason, message)
}

/// Whether this is the recorded reason.
pub(in crate::decide) fn is_recorded(o: &Observed, reason: Reason) -> bool {
    o.recorded.reason.as_deref() == Some(reason.as_str())
}

/// The service lets the account spend nothing more this month.
pub(in crate::decide) fn capped(o: &Observed) -> Message {
    Hold::SpendCap(o.account.usable().map(AccountUse::title).unwrap_or_default()).into()
}

/// The service cannot be reached, or fails: in the words that are told already, if any are.
pub(in crate::decide) fn unavailable(o: &Observed, words: &str) -> Standing {
    let told = o.recorded.message.clone().filter(|_| is_recorded(o, Reason::ServiceUnavailable));
    Standing::Waiting(
        Reason::ServiceUnavailable,
        told.map_or_else(|| Wait::service(words).into(), Message::Said),
    )
}

/// The service asked the account to wait.
pub(in crate::decide) fn rate_limited() -> Standing {
    Standing::Waiting(Reason::RateLimited, Wait::Pause.into())
}

/// It is others' turn.
pub(in crate::decide) fn waits_for_budget() -> Standing {
    Standing::Waiting(Reason::WaitingForBudget, Wait::Turn.into())
}
