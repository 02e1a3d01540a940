//! Decides about an object that is being deleted. Nothing is ever submitted here.

use super::facts::Observed;
use super::follow::{believed, terminal_state};
use super::plan::{Event, LookUp, Plan, Standing};
use super::submit::unknown_submission;
use crate::api::{Origin, Reason};

/// The next step of an object that is being deleted.
pub(super) fn next(o: &Observed) -> Plan {
    if !o.job.protected {
        return Plan::Rest(Standing::Cancelling(
            "the object is being deleted; nothing at the service holds it back".to_owned(),
        ));
    }
    let late = o.job.cancel_bound().is_some_and(|bound| o.now >= bound);
    let Some(job_id) = o.recorded.job_id.clone().or_else(|| o.job.spec.job_id.clone()) else {
        return match unknown_submission(o) {
            None => Plan::Release(None),
            Some(_) if o.memory.candidates.is_some() => Plan::Release(Some(orphaned(&unsettled(o)))),
            Some(_) if late => Plan::Release(Some(orphaned(
                "the outcome of its submit is not known, and the list of jobs could not be read in time; look for it at the service",
            ))),
            Some(_) => Plan::LookUp(LookUp::ToRelease),
        };
    };
    let origin = o.recorded.submission.as_ref().and_then(|record| record.origin);
    if o.recorded.current_state().is_terminal() || terminal_state(o).is_some() {
        return Plan::Release(None);
    }
    if let Some(why) = left_running(o, origin) {
        let note = format!("job {job_id} is left running: {why}");
        return Plan::Release(Some(Event { warning: false, reason: Reason::LeftRunning, note }));
    }
    if late {
        return Plan::Release(Some(orphaned(&format!(
            "job {job_id} could not be cancelled within spec.cancelTimeoutSeconds and may still be running; cancel it at the service if it is not wanted"
        ))));
    }
    if !believed(o) {
        return Plan::Rest(Standing::Cancelling(
            "the account cannot be used to cancel the job; trying until spec.cancelTimeoutSeconds is over"
                .to_owned(),
        ));
    }
    if o.memory.cancel_sent { Plan::Confirm } else { Plan::Cancel }
}

/// Why the job is not cancelled, if it is not.
fn left_running(o: &Observed, origin: Option<Origin>) -> Option<String> {
    if o.job.cancels_on_delete(origin) {
        return o.memory.shared_with.as_ref().map(|other| format!("ScrapeJob {other} uses it, too"));
    }
    let why = if o.job.spec.deletion_policy.is_some() {
        "spec.deletionPolicy says so"
    } else {
        "this object did not submit it"
    };
    Some(why.to_owned())
}

/// What to tell about a submit whose outcome is not known when the object goes.
fn unsettled(o: &Observed) -> String {
    let candidates = o.memory.candidates.as_deref().unwrap_or_default();
    if candidates.is_empty() {
        return "the outcome of its submit is not known; the list of jobs names none that it could have made"
            .to_owned();
    }
    format!(
        "the outcome of its submit is not known; it may have made one of these jobs, which may still be running: {}",
        candidates.join(", ")
    )
}

/// The warning that names what nothing here follows any more.
pub(super) fn orphaned(note: &str) -> Event {
    Event { warning: true, reason: Reason::Orphaned, note: note.to_owned() }
}
