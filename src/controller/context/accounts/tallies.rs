//! What is known of the counts in the statuses of accounts, and how often those may change.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::account::AccountKey;
use crate::api::AccountJobs;

/// How often the counts in a status may change.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// How often the status of an account may change, whatever flaps; what is true then is written.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// What is known of the counts in the statuses of accounts.
#[derive(Debug, Default)]
pub(in crate::controller) struct Tallies {
    of: Mutex<HashMap<AccountKey, Tally>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(in crate::controller) struct Tally {
    pub(in crate::controller) written: Option<AccountJobs>,
    /// When they were last written and were not zero.
    at: Option<Instant>,
    /// Whether they are counted soon.
    pub(in crate::controller) soon: bool,
    /// Whether they are counted when the minute is over.
    pub(in crate::controller) later: bool,
    /// Whether there was work at the last look at the account.
    pub(in crate::controller) works: bool,
    /// When its status was written last.
    status_at: Option<Instant>,
}

impl Tallies {
    fn lock(&self) -> MutexGuard<'_, HashMap<AccountKey, Tally>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::controller) fn with<T>(
        &self,
        key: &AccountKey,
        with: impl FnOnce(&mut Tally) -> T,
    ) -> Option<T> {
        self.lock().get_mut(key).map(with)
    }

    /// Forgets an account that is gone.
    pub(in crate::controller) fn forget(&self, key: &AccountKey) {
        self.lock().remove(key);
    }

    /// The account is looked at, and has work or not.
    pub(in crate::controller) fn looked(&self, key: &AccountKey, works: bool) {
        self.lock().entry(key.clone()).or_default().works = works;
    }

    /// How long the status of an account has to stay as it is; nothing where it may be written.
    pub(in crate::controller) fn rests(&self, key: &AccountKey, now: Instant) -> Option<Duration> {
        let written = self.lock().get(key).and_then(|tally| tally.status_at)?;
        let left = STATUS_EVERY.saturating_sub(now.duration_since(written));
        (!left.is_zero()).then_some(left)
    }

    /// The status of an account was written.
    pub(in crate::controller) fn wrote(&self, key: &AccountKey, now: Instant) {
        self.with(key, |tally| tally.status_at = Some(now));
    }

    /// The counts to put into the status: the counted ones where they may be written now, else the recorded ones.
    pub(in crate::controller) fn due(
        &self,
        key: &AccountKey,
        recorded: Option<AccountJobs>,
        counted: AccountJobs,
        now: Instant,
    ) -> AccountJobs {
        let mut tallies = self.lock();
        let tally = tallies.entry(key.clone()).or_default();
        match recorded {
            Some(recorded) if tally.wait(counted, now).is_some() => recorded,
            Some(_) | None => {
                if tally.written != Some(counted) && counted != AccountJobs::default() {
                    tally.at = Some(now);
                }
                tally.written = Some(counted);
                counted
            }
        }
    }
}

impl Tally {
    /// How long these counts have to wait until they are written; `None` for not at all.
    pub(in crate::controller) fn wait(&self, counted: AccountJobs, now: Instant) -> Option<Duration> {
        let left = WRITE_EVERY.saturating_sub(now.duration_since(self.at?));
        let other = self.written != Some(counted);
        (other && counted != AccountJobs::default() && !left.is_zero()).then_some(left)
    }
}
