//! What stops the queue but turns, and for how long. Pure: time is an argument.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// So many failures in a row, whosever, and the service is called unavailable.
const FAILURES: u32 = 3;
/// Words about an outage are changed no more often, and for so long after its end it is not taken for over.
const MINUTE: Duration = Duration::from_secs(60);

/// Why a place in line has no turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Others go first, or the budget is used up.
    Turn,
    /// The same, and less than a minute ago it was an outage.
    Recovering,
    /// The service asked to wait; until when, if that is to come.
    Asked(Option<Timestamp>),
    /// The service is not available; why, in words.
    Failing(Arc<str>),
    /// The service knows no address for submits of this type, since then; its words.
    NotServed(Timestamp, Arc<str>),
}

/// Whether the service answers at all.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reach {
    /// Failures in a row, whosever.
    failures: u32,
    /// The words of an outage, and since when they are told.
    told: Option<(Arc<str>, Timestamp)>,
    /// The last failure, or the end of what it led to.
    troubled: Option<Timestamp>,
}

impl Reach {
    pub(super) fn failed(&mut self, why: &Arc<str>, now: Timestamp) {
        self.troubled = Some(now);
        self.failures = self.failures.saturating_add(1);
        let due = self.told.as_ref().is_none_or(|(_, since)| is_past(*since, MINUTE, now));
        if self.failures >= FAILURES && due {
            self.told = Some((Arc::clone(why), now));
        }
    }

    /// It answered; `healed` where that ended a pause.
    pub(super) fn answered(&mut self, healed: bool, now: Timestamp) {
        let troubled = if healed { Some(now) } else { self.troubled };
        *self = Self { troubled, ..Self::default() };
    }

    /// Why a place in line has no turn although nothing stops it.
    pub(super) fn stop(&self, now: Timestamp) -> Stop {
        let lately = self.troubled.is_some_and(|at| !is_past(at, MINUTE, now));
        if lately { Stop::Recovering } else { Stop::Turn }
    }

    /// Why the service is not available, where it has not answered for a while.
    pub(super) fn unavailable(&self) -> Option<Arc<str>> {
        self.told.as_ref().map(|(why, _)| Arc::clone(why))
    }
}

fn is_past(since: Timestamp, length: Duration, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|past| past >= length)
}

/// The time in which the service did not answer, or asked to wait, added up: what a deletion waits for then is not its
/// turn.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outage {
    total: Duration,
    /// Since when, or from when on, it lasts.
    since: Option<Timestamp>,
}

impl Outage {
    /// Takes over whether cancels pause now; from then on, if a pause was just begun or made longer.
    pub(super) fn note(&mut self, pauses: bool, now: Timestamp, from: Option<Timestamp>) {
        match (pauses, from) {
            (true, Some(from)) => self.lasts_from(from),
            (true, None) => {}
            (false, _) => self.ends(now),
        }
    }

    /// It lasts from then on; one that lasts already goes on.
    fn lasts_from(&mut self, from: Timestamp) {
        self.since = Some(self.since.map_or(from, |since| since.min(from)));
    }

    /// It is over.
    fn ends(&mut self, now: Timestamp) {
        self.total = self.length(now);
        self.since = None;
    }

    /// All of it until now.
    pub(super) fn length(&self, now: Timestamp) -> Duration {
        let lasting = self.since.map(|since| Duration::try_from(now.duration_since(since)));
        self.total.saturating_add(lasting.and_then(Result::ok).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::Outage;

    #[test]
    fn what_lasts_is_added_up_and_what_lies_ahead_counts_from_its_beginning() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut outage = Outage::default();
        outage.lasts_from(at(10));
        outage.lasts_from(at(15));
        assert_eq!(outage.length(at(20)), Duration::from_secs(10));
        outage.ends(at(30));
        assert_eq!(outage.length(at(99)), Duration::from_secs(20));
        outage.lasts_from(at(160));
        assert_eq!(outage.length(at(130)), Duration::from_secs(20));
        outage.ends(at(140));
        assert_eq!(outage.length(at(200)), Duration::from_secs(20));
    }
}
