//! Decides about an object that is being deleted.

use super::{Ending, Terms, left};
use crate::decide::facts::Observed;
use crate::decide::meaning::end::recorded_end;
use crate::decide::meaning::remote::terminal_state;
use crate::decide::meaning::submission::{Intended, adoptable, intended, unknown_submission};
use crate::decide::message::{Cancel, Gone, IntentLost, Lost, Note};
use crate::decide::plan::{Event, Plan, Standing};

/// The next step of an object that is being deleted.
pub(in crate::decide::next) fn next(o: &Observed) -> Plan {
    let state = o.recorded.current_state();
    if !o.job.protected && state.is_terminal() && o.recorded.is_written() {
        // Somebody else's finalizer holds it; what is terminal stays so (R8).
        return Plan::Rest(recorded_end(o, state));
    }
    if !o.job.protected {
        return Plan::Rest(Standing::Cancelling(Cancel::NothingLeft.into()));
    }
    if o.job.marks.force_orphan {
        return Plan::Release(abandoned(o));
    }
    if !state.is_terminal()
        && let Some(job_id) = adoptable(o)
    {
        return Plan::Adopt(job_id);
    }
    if let Some(fault) = &o.job.faults.record
        && !state.is_terminal()
        && o.recorded.job_id.is_none()
        && o.job.spec.job_id.is_none()
        && unknown_submission(o).is_none()
    {
        return Plan::Release(Some(Event::orphaned(Note::RecordUnread(fault.clone()))));
    }
    match super::next(o, &Terms { left: left(o), begun: o.job.deleted_at }) {
        Ending::Over(event) => Plan::Release(event),
        Ending::First(plan) => plan,
    }
}

/// What to tell when the object goes without a look at the service.
fn abandoned(o: &Observed) -> Option<Event> {
    let running = !o.recorded.current_state().is_terminal() && terminal_state(o).is_none();
    match o.recorded.job_id.as_ref().or(o.job.spec.job_id.as_ref()) {
        Some(job_id) if running => {
            Some(Event::orphaned(Note::Orphaned { job_id: job_id.clone(), why: Gone::Forced }))
        }
        Some(_) => None,
        None if unknown_submission(o).is_some() => Some(Event::orphaned(Note::SubmitLost(Lost::Forced))),
        None => match intended(o) {
            Intended::Nothing => None,
            Intended::Ours(intent) | Intended::Unclear(intent) | Intended::Unproven(intent) => {
                let (job_id, why) = (intent.job_id.clone(), IntentLost::Forced);
                Some(Event::orphaned(Note::IntentLost { job_id, why }))
            }
        },
    }
}
