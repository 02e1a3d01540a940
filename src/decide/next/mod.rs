//! Makes a plan of what is known: the next step of one object.

mod ending;
mod follow;
mod submit;

use crate::api::{Reason, State};
use crate::decide::facts::Observed;
use crate::decide::meaning::end::recorded_end;
use crate::decide::meaning::remote::{next_read, reads_end_in};
use crate::decide::meaning::submission::{adoptable, unknown_submission};
use crate::decide::message::{Unknown, Wait};
use crate::decide::plan::{Plan, Standing};

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
    if let Some(job_id) = adoptable(o) {
        return Plan::Adopt(job_id);
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
        return Plan::Rest(recorded_end(o, state));
    }
    if o.recorded.cancel_reason.is_some()
        && let Some(plan) = ending::cancel::next(o)
    {
        return plan;
    }
    if o.recorded.job_id.is_some() {
        return follow::next(o);
    }
    let unreadable = Wait::Unreadable(fault.to_owned());
    Plan::Rest(match unknown_submission(o) {
        Some(_) => Standing::Unknown(Unknown::blocked(&unreadable).into()),
        None => Standing::Waiting(Reason::Unreadable, unreadable.into()),
    })
}

/// The next step of an object whose run is over: let go of it, read what is owed, and delete it when its time has come.
fn finished(o: &Observed, state: State) -> Plan {
    if o.job.protected {
        return Plan::Release(None);
    }
    if let Some(read) = next_read(o, &o.recorded.owed) {
        return Plan::Read(read);
    }
    let finished = o.recorded.finish_time.as_ref().map(|time| time.0);
    let owes = !o.recorded.owed.is_empty() && !reads_end_in(o).is_zero();
    if !owes && o.job.expires(finished).is_some_and(|at| o.now >= at) {
        return Plan::Expire;
    }
    Plan::Rest(recorded_end(o, state))
}
