//! How old what is known of the followed jobs is.

use std::sync::Arc;
use std::time::Duration;

use super::{Poller, Shared};

/// An interval up to this is no reason for what is known to be old.
const SHORT: Duration = Duration::from_secs(60);

/// What is known of the jobs of a poller, to be asked without holding up whoever follows more.
pub struct Truths(Arc<Shared>);

impl Poller {
    /// What is known of its jobs.
    pub fn truths(&self) -> Truths {
        Truths(Arc::clone(&self.shared))
    }
}

impl Truths {
    /// How long ago that running job was confirmed of which it is longest ago, without its own interval where that is long;
    /// `None` where none runs.
    pub fn age(&self) -> Option<Duration> {
        let Shared { tail, name, clock, .. } = &*self.0;
        let running: Vec<_> = {
            let state = self.0.lock();
            let running = state.jobs.iter().filter(|(_, tracked)| !tracked.is_over());
            let told = running.map(|(key, tracked)| {
                let good = tracked.observation.trouble.is_none();
                let job = (tracked.followed.job_id.clone(), key.clone());
                (job, good, tracked.observation.read_at, tracked.since, tracked.followed.interval)
            });
            told.collect()
        };
        let listed = tail.all_known_at(name, running.iter().map(|((job_id, key), ..)| (job_id, key)));
        let (now, instant) = (clock.steady(), clock.instant());
        let ages = running.iter().zip(listed).map(|((_, good, read_at, since, interval), listed)| {
            // After a look that failed nothing but another look tells.
            let known = (*read_at).max(listed.filter(|_| *good));
            // Of one that was never read nothing is known since it is followed.
            let age = known.map_or_else(
                || instant.saturating_duration_since(*since),
                |known| Duration::try_from(now.duration_since(known)).unwrap_or_default(),
            );
            if *interval > SHORT { age.saturating_sub(*interval) } else { age }
        });
        ages.max()
    }
}
