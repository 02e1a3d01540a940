//! What should happen next with one object, and what is true after it was tried.
//!
//! It may know the published API and nothing else: no client, no clock, no randomness, and no JSON but that of the body and of
//! the intent, which it owns.
//! It must never act; everything it says is data that can be printed, compared and tested.

mod ending;
mod facts;
mod follow;
mod plan;
mod record;
mod sendable;
mod settle;
mod submit;

pub use ending::sharing::{Party, Share, share};
pub use facts::{
    AccountFacts, AccountUse, Faults, IntentFacts, JobFacts, Marks, Memory, Named, Observed, RemoteJob,
    RemoteState, Stop, Trouble, WAIT_STORED_EVERY, Waiting, Watched, likely_cause, since,
};
pub use plan::{
    Accepted, Again, Attempt, CancelOutcome, Candidate, Details, Event, Freshness, Listed, LookUp, Outcome,
    Plan, Refusal, Standing, SubmitAnswer, SubmitOutcome, Summary, Verdict,
};
pub use record::{Body, Intent, KeptBody, as_stored, equality, restored, was_sent};
pub use settle::{REJECTED_GRACE, settle};

use crate::api::{Reason, State};

/// What should happen next.
pub fn next(o: &Observed) -> Plan {
    if o.job.deleted_at.is_some() {
        return ending::delete::next(o);
    }
    // Of a status that cannot be read whole nobody knows what to write over it.
    if o.job.marks.paused || o.job.faults.record.is_some() {
        return Plan::Leave;
    }
    if let Some(fault) = &o.job.faults.spec {
        return by_half_a_spec(o, fault);
    }
    if let Some(plan) = ending::run::next(o) {
        return plan;
    }
    let state = o.recorded.current_state();
    if state.is_terminal() && o.recorded.is_written() {
        return finished(o, state);
    }
    // Before anything that could take it for a job that was never submitted.
    if let Some(plan) = submit::adoptable(o) {
        return plan;
    }
    if let Some(plan) = ending::cancel::next(o) {
        return plan;
    }
    if o.recorded.job_id.is_some() || o.job.spec.job_id.is_some() {
        return follow::next(o);
    }
    submit::next(o)
}

/// The next step of an object whose spec cannot be read whole: what was accepted is followed, and nothing is begun or
/// ended that the spec may not mean.
fn by_half_a_spec(o: &Observed, fault: &str) -> Plan {
    let state = o.recorded.current_state();
    if state.is_terminal() && o.recorded.is_written() {
        return Plan::Rest(follow::recorded_end(o, state));
    }
    if o.recorded.cancel_reason.is_some()
        && let Some(plan) = ending::cancel::next(o)
    {
        return plan;
    }
    if o.recorded.job_id.is_some() {
        return follow::next(o);
    }
    let message = format!("this release of the operator cannot read the spec: {fault}");
    Plan::Rest(match submit::unknown_submission(o) {
        Some(_) => Standing::Unknown(format!("the outcome of a submit is not known, and {message}")),
        None => Standing::Waiting(Reason::Unreadable, message),
    })
}

/// The next step of an object whose run is over: let go of it, and delete it when its time has come.
fn finished(o: &Observed, state: State) -> Plan {
    if o.job.protected {
        return Plan::Release(None);
    }
    let finished = o.recorded.finish_time.as_ref().map(|time| time.0);
    if o.job.expires(finished).is_some_and(|at| o.now >= at) {
        return Plan::Expire;
    }
    Plan::Rest(follow::recorded_end(o, state))
}

/// How often the poller should look at this job, if it should be followed at all.
pub fn poll_interval(o: &Observed) -> std::time::Duration {
    follow::poll_interval(o)
}
