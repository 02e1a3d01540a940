//! When the jobs of an account are counted: soon after a change, and for the status at most once a minute, or when
//! none is left.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crate::account::{AccountKey, News};
use crate::api::{AccountJobs, AccountKind};
use crate::controller::context::Context;

/// How long after a change they are counted, so that many changes are one count.
const SOON: Duration = Duration::from_secs(1);

/// The jobs of an account as the cache has them.
pub(in crate::controller) fn count(context: &Context, key: &AccountKey) -> AccountJobs {
    let tally = context.tally(key);
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    AccountJobs { active: count(tally.active), waiting: count(tally.waiting) }
}

/// All jobs that there are of a namespace, or of all, are known: what was counted before was a part of them.
pub(in crate::controller) fn listed(context: &Arc<Context>) {
    for kind in [AccountKind::ScrapeAccount, AccountKind::ClusterScrapeAccount] {
        let mut keys = context.known.of_kind(kind);
        keys.sort();
        for key in keys {
            changed(context, key);
        }
    }
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
