//! How long what was not carried out, or failed, is left alone: longer with each time in a row.

use std::time::Duration;

use crate::controller::context::Context;
use crate::controller::observe::Seen;
use crate::decide::{Again, CancelOutcome, Outcome, Plan};

/// The first pause before a write that was lost is decided on anew; each further one in a row is twice as long.
const RETRY: Duration = Duration::from_millis(200);
/// The longest such pause: a full or absent API server is not asked more often for each object.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The same where the API server refuses the writes.
const LONGEST_REFUSED: Duration = Duration::from_secs(300);
/// The longest that what failed is left alone whatever else happens.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// How long what failed is left alone.
pub(super) fn rest_after(outcome: &Outcome, again: Again) -> Option<Duration> {
    let failed = matches!(
        outcome,
        Outcome::Cancel(CancelOutcome::Failed(_))
            | Outcome::Status(Err(_))
            | Outcome::Candidates(Err(_))
            | Outcome::Details(Err(_))
            | Outcome::Summary(Err(_))
            | Outcome::Unready
    );
    let Again::After(pause) = again else { return None };
    failed.then_some(pause.min(LONGEST_REST))
}

/// How long this plan still rests, because it failed and nothing is new that it may hang on.
pub(super) fn rests(context: &Context, seen: &Seen, plan: &Plan) -> Option<Duration> {
    let again = matches!(plan, Plan::Cancel | Plan::Confirm | Plan::LookUp(_) | Plan::Look | Plan::Read(_));
    let (hoped, until) = context.memories.get(&seen.observed.job.uid).rest.filter(|_| again)?;
    let left = until.saturating_duration_since(context.clock.instant());
    (hoped == hope(seen) && !left.is_zero()).then_some(left)
}

/// What the next try of something that failed may hang on.
pub(super) fn hope(seen: &Seen) -> String {
    let job = &seen.observed.job;
    let (deleted, wish) = (job.deleted_at.is_some(), &job.marks.requested);
    format!("{}/{}/{deleted}/{wish:?}", seen.observed.account.fingerprint(), job.generation)
}

/// The pause after so many writes or reads in a row that were not carried out; longer where they are refused.
pub(super) fn retry(context: &Context, uid: &str, failures: u32) -> Duration {
    let remembered = context.memories.get(uid);
    let refused = remembered.refusals > 0 || remembered.status_refusals > 0;
    let longest = if refused { LONGEST_REFUSED } else { LONGEST_RETRY };
    RETRY.saturating_mul(1 << failures.min(11)).min(longest)
}
