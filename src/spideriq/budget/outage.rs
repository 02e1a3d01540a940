//! How long nobody could cancel anything, whosever turn it was. Pure: time is an argument.

use std::time::Duration;

use jiff::Timestamp;

/// The time in which the service did not answer, or asked to wait, added up: what a deletion waits for then is not its
/// turn.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outage {
    total: Duration,
    /// Since when, or from when on, it lasts.
    since: Option<Timestamp>,
}

impl Outage {
    /// It lasts from then on; one that lasts already goes on.
    pub(super) fn lasts_from(&mut self, from: Timestamp) {
        self.since = Some(self.since.map_or(from, |since| since.min(from)));
    }

    /// It is over.
    pub(super) fn ends(&mut self, now: Timestamp) {
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
