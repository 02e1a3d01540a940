//! The Leases of other releases: whether anybody holds them any more.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::{ClaimLease, ObjectName};
use crate::controller::context::Context;
use crate::health::waiting;
use crate::leader::claim::has_lapsed;
use crate::leader::{Record, look_at};

/// How often a Lease is looked at, while its release is in the way.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is known of the Leases of other releases.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<BTreeMap<(String, String), Looked>>);

#[derive(Debug)]
struct Looked {
    at: Instant,
    /// As it was found; none if there is none, or nobody could say.
    record: Option<Record>,
    /// Since when it is seen as it is.
    since: Instant,
    lapsed: bool,
}

impl Leases {
    /// Whether nobody holds a Lease any more, and when to look again. All who ask share a look.
    pub(super) async fn look(&self, context: &Context, lease: &ClaimLease) -> (bool, Duration) {
        let parsed = ObjectName::parse(&lease.namespace).ok().zip(ObjectName::parse(&lease.name).ok());
        let Some(named) = parsed else { return (false, Duration::from_secs(60)) };
        let key = (lease.namespace.clone(), lease.name.clone());
        let mut known = self.0.lock().await;
        let now = context.clock.instant();
        let before = known.remove(&key);
        if let Some(looked) = before.as_ref().filter(|looked| now.duration_since(looked.at) < LOOK_EVERY / 2)
        {
            let answer = (looked.lapsed, LOOK_EVERY);
            known.extend(before.map(|before| (key, before)));
            return answer;
        }
        let found = waiting(look_at(context.client.clone(), context.clock.clone(), named)).await;
        let now = context.clock.instant();
        let (record, lapsed_at_once) = match found {
            Ok(None) => (None, true),
            Ok(Some(record)) => (Some(record), false),
            Err(error) => {
                tracing::debug!(namespace = lease.namespace, name = lease.name, %error, "the Lease of another release cannot be read");
                (None, false)
            }
        };
        let same = before.filter(|before| before.record.is_some() && before.record == record);
        let since = same.map_or(now, |same| same.since);
        let unchanged_for = now.duration_since(since);
        let lapsed =
            lapsed_at_once || record.as_ref().is_some_and(|record| has_lapsed(record.lasts, unchanged_for));
        let lasts = record.as_ref().map_or(LOOK_EVERY, |record| record.lasts.max(Duration::from_secs(1)));
        known.insert(key, Looked { at: now, record, since, lapsed });
        (lapsed, lasts.min(LOOK_EVERY))
    }
}
