//! What an answer means for the account and for the budget, and whether people have to be told of it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::budget::{Gate, Verdict, capped};
use crate::decide::account::{Answer, Asked};
use crate::spideriq::{Class, Error};

/// Two pauses that differ by less are one.
const SAME_PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// What people are shown of a client's budget.
#[derive(Debug)]
pub(super) struct Shown {
    asked: [Option<Timestamp>; 2],
    unavailable: Option<Arc<str>>,
}

impl Shown {
    pub(super) fn of(gate: &Gate) -> Self {
        let asked = [gate.service_pause(), gate.submits_pause()];
        Self { asked, unavailable: gate.unavailable() }
    }

    /// Whether there is something new to be told.
    pub(super) fn differs(&self, before: &Self) -> bool {
        let same = |(after, before): (&Option<Timestamp>, &Option<Timestamp>)| match (after, before) {
            (None, None) => true,
            (Some(after), Some(before)) => after.duration_since(*before).abs() <= SAME_PAUSE,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.unavailable != before.unavailable || !self.asked.iter().zip(&before.asked).all(same)
    }
}

/// What an answer, with whether it charges for a job, says of the account as a whole.
pub(super) fn for_account(result: &Result<bool, Error>) -> Answer {
    match result {
        Ok(_) => Answer::Done,
        Err(error @ (Error::Unauthorized { .. } | Error::Forbidden(_))) => {
            Answer::Rejected(error.to_string())
        }
        Err(Error::SpendCap(words)) => Answer::Capped(words.clone()),
        Err(error @ Error::Redirected(_)) => Answer::Redirected(error.to_string()),
        Err(Error::Throttled { .. } | Error::Server { .. }) => Answer::NotNow,
        Err(
            Error::NotFound(_)
            | Error::Invalid(_)
            | Error::Refused { .. }
            | Error::Malformed(_)
            | Error::TooLarge,
        ) => Answer::Refused,
        Err(Error::Connect(_) | Error::Timeout | Error::Interrupted(_)) => Answer::Nothing,
    }
}

/// What an answer means for the budget: a refusal is an answer like any other.
pub(super) fn for_budget(result: &Result<bool, Error>, asked: &Asked, now: Timestamp) -> Verdict {
    let words = || result.as_ref().err().map(ToString::to_string).unwrap_or_default().into();
    match result {
        Err(Error::SpendCap(_)) => return capped(now),
        Err(error) if *asked == Asked::First && error.is_no_address() => return Verdict::NotServed(words()),
        Ok(_) | Err(_) => {}
    }
    match result.as_ref().map_err(Error::class) {
        Ok(true) => Verdict::Spent,
        Ok(false) | Err(Class::Stall | Class::Gone) => Verdict::Answered,
        Err(Class::WaitUntil(until)) => Verdict::Throttled(until),
        Err(Class::Retry) => Verdict::Failed(words()),
    }
}
