//! What the stream of events does that it should not.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// What the stream of events does that it should not.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventLies {
    /// Share of events (0 to 1) that are never sent.
    pub lost: f64,
    /// Share that is sent twice.
    pub doubled: f64,
    /// Nothing is ever said, not even that the stream is open.
    pub silent: bool,
    /// The stream ends after so many events.
    pub ends_after: Option<u64>,
    /// Characters that each event carries beside its own.
    pub padding: usize,
    /// Before each event, that so many of the client's jobs have completed which have not.
    pub forged: usize,
}

impl EventLies {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let shares = [self.lost, self.doubled];
        ensure!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "events: a share is from 0 to 1");
        Ok(())
    }
}
