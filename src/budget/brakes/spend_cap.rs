//! A reached spend cap: what ends it, and who tries whether it still stands (`docs/adr/0018`).

use std::time::Duration;

use jiff::Timestamp;

use super::brake::{Brake, SUBMITS_PROBE};
use crate::budget::request::{Lane, Ticket, Verdict};

/// How long a spend cap that may be tried waits for somebody to come and try it.
pub const UNTRIED: Duration = Duration::from_secs(60);

/// What is known of a client's spend cap; the brake is that of its submits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SpendCap {
    #[default]
    Unknown,
    Open,
    /// As an earlier process knew it: what this one sends is newer.
    Restored,
    Reached,
}

/// What a refusal for the spend cap means: nothing is submitted until then, and then a single submit tries.
pub fn capped(now: Timestamp) -> Verdict {
    Verdict::Capped(now + SUBMITS_PROBE)
}

impl SpendCap {
    /// A request of this lane was answered; `charged` where it was a submit that was carried out.
    pub(super) fn answered(
        &mut self,
        (lane, ticket): (Lane, Ticket),
        charged: bool,
        brake: &mut Brake,
        now: Timestamp,
    ) {
        // That a reached cap is raised is told by nothing but a charge.
        match (lane, *self, charged) {
            (Lane::Submit, Self::Restored, true) => *brake = Brake::default(),
            (Lane::Submit, Self::Restored | Self::Reached, false) => {}
            _ => brake.answered(ticket, now),
        }
        if charged && brake.until.is_none() {
            *self = Self::Open;
        }
    }

    /// It is reached, and tried again then.
    pub(super) fn reached(&mut self, brake: &mut Brake, now: Timestamp, until: Timestamp) {
        brake.hold(now, until);
        *self = Self::Reached;
    }

    /// When a submit tries it again, where it is reached; a time in the past is now.
    pub(super) fn tried_at(self, brake: &Brake) -> Option<Timestamp> {
        brake.until.filter(|_| matches!(self, Self::Restored | Self::Reached))
    }

    /// Takes over from an earlier process that it is reached, and when it is to be tried again.
    pub(super) fn restore(&mut self, brake: &mut Brake, now: Timestamp, until: Timestamp) {
        if *self == Self::Unknown {
            brake.pause_until(until.clamp(now, now + SUBMITS_PROBE));
            *self = Self::Restored;
        }
    }

    /// Takes over that people want everything tried: what an earlier process knew is not put back any more.
    pub(super) fn wished(&mut self) {
        if *self == Self::Unknown {
            *self = Self::Open;
        }
    }

    /// Forgets it where it might have been tried for a minute and nobody waits to try it; says whether there was one.
    pub(super) fn forget_untried(&mut self, brake: &Brake, waits: bool, now: Timestamp) -> bool {
        let untried =
            brake.opens().is_some_and(|opens| now >= opens.saturating_add(UNTRIED).unwrap_or(opens));
        let forgotten = self.tried_at(brake).is_some() && untried && !waits;
        if forgotten {
            *self = Self::Unknown;
        }
        forgotten
    }
}
