//! When the jobs of an account are counted: soon after a change, and for the status at most once a minute, or when
//! none is left.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Context;
use crate::account::{AccountKey, News};
use crate::api::{AccountJobs, ScrapeJobStatus, State};

/// How long after a change they are counted, so that many changes are one count.
const SOON: Duration = Duration::from_secs(1);
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
struct Tally {
    written: Option<AccountJobs>,
    /// When they were last written and were not zero.
    at: Option<Instant>,
    /// Whether they are counted soon.
    soon: bool,
    /// Whether they are counted when the minute is over.
    later: bool,
    /// Whether there was work at the last look at the account.
    works: bool,
    /// When its status was written last.
    status_at: Option<Instant>,
}

impl Tallies {
    fn lock(&self) -> MutexGuard<'_, HashMap<AccountKey, Tally>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, key: &AccountKey, with: impl FnOnce(&mut Tally) -> T) -> Option<T> {
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
    fn wait(&self, counted: AccountJobs, now: Instant) -> Option<Duration> {
        let left = WRITE_EVERY.saturating_sub(now.duration_since(self.at?));
        let other = self.written != Some(counted);
        (other && counted != AccountJobs::default() && !left.is_zero()).then_some(left)
    }
}

/// The jobs of an account as the cache has them.
pub(in crate::controller) fn count(context: &Context, key: &AccountKey) -> AccountJobs {
    let mut counts = AccountJobs::default();
    for job in context.jobs_of(key) {
        let unwritten = ScrapeJobStatus::default();
        let status = job.status.as_ref().unwrap_or(&unwritten);
        match (status.finished, status.job_id.is_some(), status.current_state()) {
            (true, _, _) | (_, _, State::Suspended | State::Held) => {}
            (false, true, _) => counts.active += 1,
            (false, false, _) => counts.waiting += 1,
        }
    }
    counts
}

/// A job of this account changed: the account is looked at as soon as its counts may be written, if they differ.
pub(in crate::controller) fn changed(context: &Arc<Context>, key: AccountKey) {
    // An account that was never looked at counts by itself when it is.
    if context.tallies.with(&key, |tally| mem::replace(&mut tally.soon, true)) != Some(false) {
        return;
    }
    let context = Arc::clone(context);
    tokio::spawn(async move {
        tokio::time::sleep(SOON).await;
        context.tallies.with(&key, |tally| tally.soon = false);
        let Some(left) = compare(&context, &key) else { return };
        if context.tallies.with(&key, |tally| mem::replace(&mut tally.later, true)) != Some(false) {
            return;
        }
        tokio::time::sleep(left).await;
        context.tallies.with(&key, |tally| tally.later = false);
        compare(&context, &key);
    });
}

/// Has the account looked at if its jobs are other ones than were written; says how long that has to wait.
fn compare(context: &Context, key: &AccountKey) -> Option<Duration> {
    let (counted, now) = (count(context, key), context.clock.instant());
    let (wait, other, works) = context
        .tallies
        .with(key, |tally| (tally.wait(counted, now), tally.written != Some(counted), tally.works))?;
    // One without work rests, and one with work does not.
    if (wait.is_none() && other) || context.has_work(key) != works {
        context.accounts.nudge(News::Account(key.clone()));
    }
    wait
}
