//! Decides about an object that is being deleted.

use super::{Ending, Terms, left};
use crate::decide::facts::Observed;
use crate::decide::meaning::end::{orphaned, recorded_end};
use crate::decide::meaning::remote::terminal_state;
use crate::decide::meaning::submission::{Intended, adoptable, intended, unknown_submission};
use crate::decide::plan::{Event, Plan, Standing};

/// The next step of an object that is being deleted.
pub(in crate::decide::next) fn next(o: &Observed) -> Plan {
    let state = o.recorded.current_state();
    if !o.job.protected && state.is_terminal() && o.recorded.is_written() {
        // Somebody else's finalizer holds it; what is terminal stays so (R8).
        return Plan::Rest(recorded_end(o, state));
    }
    if !o.job.protected {
        return Plan::Rest(Standing::Cancelling(
            "the object is being deleted; nothing at the service holds it back".to_owned(),
        ));
    }
    if o.job.marks.force_orphan {
        return Plan::Release(abandoned(o));
    }
    if !state.is_terminal()
        && let Some(plan) = adoptable(o)
    {
        return plan;
    }
    if let Some(fault) = &o.job.faults.record
        && !state.is_terminal()
        && o.recorded.job_id.is_none()
        && o.job.spec.job_id.is_none()
        && unknown_submission(o).is_none()
    {
        return Plan::Release(Some(orphaned(&format!(
            "what the object has recorded cannot be read, so nobody knows whether it has a job: {fault}; look for it at the service"
        ))));
    }
    match super::next(o, &Terms { left: left(o), begun: o.job.deleted_at }) {
        Ending::Over(event) => Plan::Release(event),
        Ending::First(plan) => plan,
    }
}

/// What to tell when the object goes without a look at the service.
fn abandoned(o: &Observed) -> Option<Event> {
    let running = !o.recorded.current_state().is_terminal() && terminal_state(o).is_none();
    let why = "the annotation spideriq.ai/force-orphan had the object go at once";
    match o.recorded.job_id.as_deref().or(o.job.spec.job_id.as_deref()) {
        Some(job_id) if running => Some(orphaned(&format!("job {job_id} may still be running: {why}"))),
        Some(_) => None,
        None if unknown_submission(o).is_some() => Some(orphaned(&format!(
            "the outcome of its submit is not known, and {why}; look for it at the service"
        ))),
        None => match intended(o) {
            Intended::Nothing => None,
            Intended::Ours(intent) | Intended::Unclear(intent) | Intended::Unproven(intent) => {
                Some(orphaned(&format!("{}, and {why}; look for it at the service", super::told_of(intent))))
            }
        },
    }
}
