//! The spend cap of a client: a pause of its submits that one submit an hour tries.

use std::time::Duration;

use jiff::Timestamp;

use super::brake::Brake;
use super::{Budget, Lane};

/// How often a reached spend cap is tried again.
pub const SPEND_CAP_PROBE: Duration = Duration::from_secs(3600);
/// How long a spend cap that may be tried waits for somebody to come and try it.
pub const UNTRIED: Duration = Duration::from_secs(60);

/// What is known of a client's spend cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SpendCap {
    #[default]
    Unknown,
    Open,
    /// As an earlier process knew it: what this one sends is newer.
    Restored,
    Reached,
}

impl Budget {
    /// Lets a single submit out at once, where submits pause.
    pub fn probe_submits(&mut self, now: Timestamp) {
        if self.spend_cap == SpendCap::Unknown {
            // What an earlier process knew is not put back any more.
            self.spend_cap = SpendCap::Open;
        }
        self.lanes.entry(Lane::Submit).or_default().ends(now);
    }

    /// When a submit tries the spend cap again, where that is reached; a time in the past is now.
    pub fn spend_cap(&self) -> Option<Timestamp> {
        let until = self.lanes.get(&Lane::Submit).and_then(|brake| brake.until);
        until.filter(|_| matches!(self.spend_cap, SpendCap::Restored | SpendCap::Reached))
    }

    /// Takes over from an earlier process that the spend cap is reached, and when it is to be tried again.
    pub fn restore_spend_cap(&mut self, now: Timestamp, until: Timestamp) {
        if self.spend_cap == SpendCap::Unknown {
            self.lanes.entry(Lane::Submit).or_default().pause_until(until.clamp(now, now + SPEND_CAP_PROBE));
            self.spend_cap = SpendCap::Restored;
        }
    }

    /// Forgets a spend cap that might have been tried for a minute and that nobody is there to try; says whether there
    /// was one.
    pub fn forget_untried_cap(&mut self, now: Timestamp) -> bool {
        let opens = self.lanes.get(&Lane::Submit).and_then(Brake::opens);
        let untried = opens.is_some_and(|opens| now >= opens.saturating_add(UNTRIED).unwrap_or(opens));
        let forgotten = self.spend_cap().is_some() && untried && self.queue.waiting(Lane::Submit) == 0;
        if forgotten {
            self.spend_cap = SpendCap::Unknown;
        }
        forgotten
    }
}
