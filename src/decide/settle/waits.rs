//! What becomes of an effect whose turn has not come, and the words for it.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{LONGEST_PAUSE, Settling};
use crate::api::Reason;
use crate::decide::facts::{AccountUse, Observed, Stop, Waiting};
use crate::decide::meaning::standing::{
    capped, is_recorded, rate_limited, standing, unavailable, waits_for_budget,
};
use crate::decide::message::{Cancel, CancelWaits, Hold, Message, Unknown, Wait};
use crate::decide::plan::{Again, Attempt, Plan, Standing};

/// A wait for budget is told only after this long, so that a short one writes nothing (R12).
const TELL_WAIT_AFTER: Duration = Duration::from_secs(5);
/// The same for a job that is held until one submit finds that it need not be: a process that begins anew may find the
/// same with its first.
const TELL_END_OF_HOLD_AFTER: Duration = Duration::from_secs(30);

/// How long an address that the service does not know is waited for, before the job is held.
const HELD_AFTER: SignedDuration = SignedDuration::from_mins(10);

impl Settling<'_> {
    /// It is not its turn: told once, after a while, and never as more than a wait.
    pub(super) fn not_yet(&mut self, plan: &Plan, waiting: &Waiting) {
        if matches!(plan, Plan::Read(_)) {
            return self.unread(Again::OnChange);
        }
        if let Plan::Submit(attempt) = plan
            && attempt.capped
        {
            return self.waits_for_cap(attempt);
        }
        let recorded = |reason| is_recorded(self.o, reason);
        let held = recorded(Reason::SpendCapReached) || recorded(Reason::NotServed);
        let after = if held { TELL_END_OF_HOLD_AFTER } else { TELL_WAIT_AFTER };
        let told_at = waiting.since + after;
        if self.o.now < told_at {
            let left = Duration::try_from(told_at.duration_since(self.o.now)).unwrap_or(after);
            return self.leave(Again::After(left));
        }
        self.again = Some(Again::After(Duration::from_secs(60)));
        self.standing = Some(match plan {
            Plan::Submit(attempt) if attempt.number() == 1 => {
                self.note_tried(attempt);
                self.stopped(waiting)
            }
            // That its outcome is not known, and why, has been told.
            Plan::Submit(_) | Plan::LookUp(_) => return,
            Plan::Cancel | Plan::Confirm => Standing::Cancelling(waits_to_cancel(self.o, waiting)),
            Plan::Look
            | Plan::Read(_)
            | Plan::Rest(_)
            | Plan::Leave
            | Plan::Adopt(_)
            | Plan::Protect(_)
            | Plan::Latch(_)
            | Plan::Abandon(_)
            | Plan::Begin(_)
            | Plan::Expire
            | Plan::Release(_) => standing(self.o, &self.record),
        });
    }

    /// Where somebody asked, what pauses was tried, or is within the minute.
    fn note_tried(&mut self, attempt: &Attempt) {
        if attempt.asked {
            self.record.last_handled_reconcile_at.clone_from(&self.o.job.marks.requested);
        }
    }

    /// What stops the queue of submits, told once for each outage.
    fn stopped(&mut self, waiting: &Waiting) -> Standing {
        let asked = if let Stop::Asked(until) = &waiting.stop { *until } else { None };
        let news = asked.is_some() && !is_recorded(self.o, Reason::RateLimited);
        if self.o.recorded.retry_after.is_none() || news {
            self.record.retry_after = asked.or(waiting.estimate).map(Time);
        }
        match &waiting.stop {
            Stop::Failing(words) => unavailable(self.o, words),
            Stop::NotServed { since, words } => self.not_served(*since, words),
            Stop::Asked(_) => rate_limited(),
            // A pause that ends and begins again is told once.
            Stop::Turn | Stop::Recovering if is_recorded(self.o, Reason::RateLimited) => rate_limited(),
            Stop::Recovering if is_recorded(self.o, Reason::ServiceUnavailable) => unavailable(self.o, ""),
            Stop::Turn | Stop::Recovering => waits_for_budget(),
        }
    }

    /// The service knows no address for submits of this type, since then: held after a while, and in line all the time,
    /// because one of those in line goes on trying.
    pub(super) fn not_served(&self, since: Timestamp, words: &str) -> Standing {
        let held = is_recorded(self.o, Reason::NotServed);
        if !held && self.o.now.duration_since(since) < HELD_AFTER {
            let wait = Wait::Service { words: words.to_owned(), odd_address: self.has_odd_address() };
            return Standing::Waiting(Reason::ServiceUnavailable, wait.into());
        }
        let not_served = Hold::NotServed {
            type_: self.o.job.spec.type_.clone().unwrap_or_default(),
            words: words.to_owned(),
            odd_address: self.has_odd_address(),
        };
        Standing::Held(Reason::NotServed, not_served.into())
    }

    fn has_odd_address(&self) -> bool {
        self.o.account.usable().is_some_and(AccountUse::has_odd_address)
    }

    /// The API server does not let the operator write the object: said in the status, where that can still be written.
    pub(super) fn write_refused(&mut self, plan: &Plan, words: &str) {
        let refused = || Wait::WriteRefused(words.to_owned());
        self.standing = match plan {
            Plan::Submit(attempt) if attempt.number() == 1 => {
                Some(Standing::Waiting(Reason::WriteRefused, refused().into()))
            }
            Plan::Submit(_) => Some(Standing::Unknown(Unknown::blocked(&refused()).into())),
            // What is over stays so (R8).
            Plan::Release(_)
                if self.o.job.deleted_at.is_some() && !self.o.recorded.current_state().is_terminal() =>
            {
                Some(Standing::Cancelling(Cancel::WriteRefused(refused()).into()))
            }
            Plan::Release(_)
            | Plan::LookUp(_)
            | Plan::Cancel
            | Plan::Confirm
            | Plan::Look
            | Plan::Read(_)
            | Plan::Rest(_)
            | Plan::Leave
            | Plan::Adopt(_)
            | Plan::Protect(_)
            | Plan::Latch(_)
            | Plan::Abandon(_)
            | Plan::Begin(_)
            | Plan::Expire => None,
        };
        self.retry();
    }

    /// Waits in line until one submit of the account has found the cap raised.
    fn waits_for_cap(&mut self, attempt: &Attempt) {
        let message = capped(self.o);
        self.standing = Some(if attempt.number() == 1 {
            Standing::Held(Reason::SpendCapReached, message)
        } else {
            Standing::Unknown(Unknown::blocked(&message).into())
        });
        self.note_tried(attempt);
        // Its turn is told; should it miss that, it takes its place again.
        self.again = Some(Again::After(LONGEST_PAUSE));
    }
}

/// What stops the cancel; told once for each outage, and how many wait once: a number that falls is a metric.
fn waits_to_cancel(o: &Observed, waiting: &Waiting) -> Message {
    let waits = match &waiting.stop {
        Stop::Failing(words) | Stop::NotServed { words, .. } => CancelWaits::Service(words.clone()),
        Stop::Asked(_) => CancelWaits::Pause(waiting.others),
        Stop::Turn | Stop::Recovering => CancelWaits::Turn(waiting.others),
    };
    let told = o.recorded.message.clone().filter(|told| told.starts_with(waits.opening()));
    told.map_or_else(|| Cancel::Waits(waits).into(), Message::Said)
}
