//! What probes and scrapes see of the process, before and while an operator runs.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use super::{LOOK_EVERY, Operator};
use crate::controller;
use crate::health::{Health, Role};
use crate::kubernetes::News;
use crate::leader::Standing;
use crate::telemetry::Snapshot;

/// For how long nothing may be heard of the API server.
const NEWS_WITHIN: Duration = Duration::from_secs(6 * 60);

/// What probes and scrapes see of the process, before and while an operator runs.
pub(super) struct Seen {
    pub(super) health: Health,
    pub(super) news: News,
    pub(super) context: Arc<OnceLock<Arc<controller::Context>>>,
}

impl Seen {
    /// What keeps the process from being ready: what was reported, and that nothing is heard of the API server.
    pub(super) fn not_ready(&self) -> impl Fn() -> Vec<String> + Send + Sync + use<> {
        let (health, news) = (self.health.clone(), self.news.clone());
        move || {
            let resource = match health.role() {
                Role::Starting => None,
                // It watches nothing but the lease.
                Role::StandingBy => Some("leases"),
                Role::Working => Some("scrapejobs"),
            };
            let silent = resource.filter(|resource| news.age(resource).is_some_and(|age| age >= NEWS_WITHIN));
            let silence = silent.map(|resource| {
                format!("the API server has told nothing of {resource} for {} s", NEWS_WITHIN.as_secs())
            });
            [health.not_ready(), silence.into_iter().collect()].concat()
        }
    }

    pub(super) fn snapshot(&self) -> impl Fn() -> Snapshot + Send + Sync + use<> {
        let (context, news) = (Arc::clone(&self.context), self.news.clone());
        move || {
            let mut snapshot = context.get().map(|context| context.snapshot()).unwrap_or_default();
            let heard = news.ages().into_iter();
            snapshot.news = heard
                .map(|((of, namespace), age)| ((namespace.unwrap_or_default(), of), age.as_secs_f64()))
                .collect();
            snapshot
        }
    }

    pub(super) fn operator(&self, operator: &mut Operator) {
        // There is one operator in the life of a process.
        let _ = self.context.set(Arc::clone(&operator.context));
        let (mut synced, health) = (operator.ready(), self.health.clone());
        tokio::spawn(async move {
            // A cache wakes only the last who asked, and that may be its controller: so it is asked again.
            loop {
                match tokio::time::timeout(LOOK_EVERY, &mut synced).await {
                    Ok(true) => return health.report("caches", None),
                    Ok(false) => return,
                    Err(_) => {}
                }
            }
        });
    }

    pub(super) fn follower(&self, mut standing: watch::Receiver<Standing>) {
        let health = self.health.clone();
        tokio::spawn(async move {
            if standing.wait_for(|standing| *standing == Standing::Following).await.is_ok() {
                health.take(Role::StandingBy);
                health.report("caches", None);
            }
        });
    }
}
