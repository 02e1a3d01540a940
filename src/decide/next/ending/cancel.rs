//! Decides about a run that the spec cancels, or whose time is over. The reason is latched in the status before the
//! service is told, and the first one wins.

use super::{Ending, Terms};
use crate::api::{CancelReason, Origin, Reason, State};
use crate::decide::facts::Observed;
use crate::decide::meaning::end::{by_reason, deadline, origin};
use crate::decide::meaning::remote::terminal_state;
use crate::decide::meaning::submission::{Intended, intended, unknown_submission};
use crate::decide::message::End;
use crate::decide::plan::{Plan, Standing};

/// The next step of a run that is to be cancelled; `None` for one that is not, or that is over at the service, which
/// then says how it ended.
pub(in crate::decide::next) fn next(o: &Observed) -> Option<Plan> {
    let reason = o.recorded.cancel_reason.or_else(|| asked(o))?;
    if terminal_state(o).is_some() {
        return None;
    }
    let has_job = o.recorded.job_id.is_some() || o.job.spec.job_id.is_some();
    let told = matches!(intended(o), Intended::Unclear(_) | Intended::Unproven(_));
    if !has_job && unknown_submission(o).is_none() && !told {
        let message = End::NothingSubmitted.into();
        return Some(Plan::Rest(Standing::Ended(State::Cancelled, Reason::CancelledAsRequested, message)));
    }
    if reason == CancelReason::DeadlineExceeded && origin(o) != Some(Origin::Submitted) {
        return Some(Plan::Rest(by_reason(reason, End::DeadlineOfOthers.into())));
    }
    if o.recorded.cancel_reason.is_none() {
        return Some(Plan::Latch(reason));
    }
    Some(match super::next(o, &Terms { left: super::of_others(o), begun: None }) {
        Ending::Over(Some(event)) => Plan::Abandon(event),
        Ending::Over(None) => Plan::Rest(by_reason(reason, End::OverBeforeCancel.into())),
        Ending::First(plan) => plan,
    })
}

/// Why the run should be cancelled now, if it should.
fn asked(o: &Observed) -> Option<CancelReason> {
    if o.job.spec.cancel == Some(true) {
        return Some(CancelReason::CancelledAsRequested);
    }
    deadline(o, &o.recorded).filter(|at| o.now >= *at).map(|_| CancelReason::DeadlineExceeded)
}
