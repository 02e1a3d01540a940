//! Decides about an object that wants another run than the one that its status speaks of.

use super::{Ending, Terms, left};
use crate::api::CancelReason;
use crate::decide::facts::Observed;
use crate::decide::meaning::remote::terminal_state;
use crate::decide::meaning::submission::{Submission, repeatable, unknown_submission};
use crate::decide::message::Left;
use crate::decide::plan::Plan;

/// The next step towards the wanted run; `None` while the status speaks of it. The run before is ended first, exactly
/// as deletion would end it.
pub(in crate::decide::next) fn next(o: &Observed) -> Option<Plan> {
    if !o.recorded.is_written() || o.job.spec.job_id.is_some() || o.recorded.run() == o.job.spec.run() {
        return None;
    }
    let over = o.recorded.current_state().is_terminal() || terminal_state(o).is_some();
    let running = o.recorded.job_id.is_some() && !over;
    let left = left(o).or_else(|| taken_over(o));
    if running && left.is_none() && o.recorded.cancel_reason.is_none() {
        return Some(Plan::Latch(CancelReason::Superseded));
    }
    // Without a job there is nothing to latch: then it counts from when this process saw it.
    let seen = o.now.saturating_sub(o.memory.ending_seen_for).unwrap_or(o.now);
    let begun = o.recorded.cancel_time.as_ref().map_or(seen, |time| time.0);
    Some(match super::next(o, &Terms { left, begun: Some(begun) }) {
        Ending::Over(event) => Plan::Begin(event),
        Ending::First(plan) => plan,
    })
}

/// Whether the service would answer the wanted run's submit with this very job: then cancelling it would spoil both. A
/// payload that nobody can compare any more counts as equal.
fn taken_over(o: &Observed) -> Option<Left> {
    let record = Submission::of(&o.recorded).record()?;
    let equal = o.job.body.as_ref()?.has_payload_of(record.body_hash.as_deref()?);
    let begins = !o.job.spec.suspended() && o.job.spec.cancel != Some(true);
    let left = match equal {
        Some(true) => Left::NextRun,
        Some(false) => return None,
        None => Left::PerhapsNextRun,
    };
    (begins && unknown_submission(o).is_none() && repeatable(o, record)).then_some(left)
}
