//! What probes and scrapes see of the process, before and while an operator runs.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use super::operator::Operator;
use crate::controller;
use crate::health::{Health, Role};
use crate::kubernetes::News;
use crate::leader::Standing;
use crate::telemetry::Snapshot;

/// How often the caches are asked whether they are synced, until they are.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// For how long nothing may be heard of the API server.
const NEWS_WITHIN: Duration = Duration::from_secs(6 * 60);

/// Who stands by watches nothing but this, and who works writes it and does not watch it.
const LEASES: &str = "leases";

/// What probes and scrapes see of the process, before and while an operator runs.
pub(super) struct Seen {
    pub(super) health: Health,
    pub(super) news: News,
    pub(super) context: Arc<OnceLock<Arc<controller::Context>>>,
}

impl Seen {
    /// What keeps the process from being ready: what was reported, that nothing is heard of the API server, and that it
    /// would not keep what is written.
    pub(super) fn not_ready(&self) -> impl Fn() -> Vec<String> + Send + Sync + use<> {
        let (health, news, context) = (self.health.clone(), self.news.clone(), Arc::clone(&self.context));
        move || {
            let complaint = context.get().and_then(|context| context.complaint());
            let resource = match health.role() {
                Role::Starting => None,
                Role::StandingBy => Some(LEASES),
                Role::Working => Some("scrapejobs"),
            };
            let silent = resource.filter(|resource| news.age(resource).is_some_and(|age| age >= NEWS_WITHIN));
            let silence = silent.map(|resource| {
                format!("the API server has told nothing of {resource} for {} s", NEWS_WITHIN.as_secs())
            });
            [health.not_ready(), silence.into_iter().chain(complaint).collect()].concat()
        }
    }

    pub(super) fn snapshot(&self) -> impl Fn() -> Snapshot + Send + Sync + use<> {
        let (context, news) = (Arc::clone(&self.context), self.news.clone());
        let health = self.health.clone();
        move || {
            let mut snapshot = context.get().map(|context| context.snapshot()).unwrap_or_default();
            let heard = news.ages().into_iter().filter(|((of, _), _)| match health.role() {
                Role::Starting => false,
                Role::StandingBy => *of == LEASES,
                Role::Working => *of != LEASES,
            });
            snapshot.news = heard
                .map(|((of, namespace), age)| ((namespace.unwrap_or_default(), of), age.as_secs_f64()))
                .collect();
            snapshot
        }
    }

    /// How the process stands, for a person, as JSON.
    pub(super) fn state(&self) -> impl Fn(Option<&str>) -> String + Send + Sync + use<> {
        let context = Arc::clone(&self.context);
        move |job| {
            let standing_by = || serde_json::json!({"leading": false});
            context.get().map_or_else(standing_by, |context| context.debug(job)).to_string()
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
            let stands_by = |standing: &Standing| matches!(standing, Standing::Following | Standing::Drained);
            if standing.wait_for(stands_by).await.is_ok() {
                health.take(Role::StandingBy);
                health.report("caches", None);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{LEASES, NEWS_WITHIN, Seen};
    use crate::clock::Clock;
    use crate::health::{Health, Role};
    use crate::kubernetes::News;

    #[tokio::test(start_paused = true)]
    async fn a_silence_of_six_minutes_from_every_namespace_is_not_ready_and_nothing_to_be_ended_for() {
        let seen =
            Seen { health: Health::default(), news: News::new(Clock::system()), context: Arc::default() };
        let (health, news, not_ready) = (seen.health.clone(), seen.news.clone(), seen.not_ready());
        let hear = |of: &'static str, namespace: Option<&str>| news.hear(&(of, namespace.map(str::to_owned)));
        let pass = async |time: Duration| {
            tokio::time::advance(time).await;
            for _ in 0..time.as_secs() {
                health.tick();
                health.turn();
            }
        };
        news.expect(&["a".parse().unwrap(), "b".parse().unwrap()]);
        assert!(not_ready().is_empty(), "it begins");
        hear(LEASES, Some("home"));
        health.take(Role::StandingBy);
        pass(NEWS_WITHIN.saturating_sub(Duration::from_secs(1))).await;
        assert!(not_ready().is_empty());
        assert!(seen.snapshot()().news.keys().all(|(_, of)| *of == LEASES), "it hears of nothing else");
        pass(Duration::from_secs(1)).await;
        assert_eq!(not_ready(), ["the API server has told nothing of leases for 360 s"]);
        hear(LEASES, Some("home"));
        assert!(not_ready().is_empty());

        health.take(Role::Working);
        hear("scrapejobs", Some("a"));
        pass(Duration::from_secs(350)).await;
        // Renewals are answered, accounts are heard of, and jobs are not.
        hear("scrapeaccounts", Some("a"));
        pass(Duration::from_secs(10)).await;
        assert_eq!(not_ready(), ["the API server has told nothing of scrapejobs for 360 s"]);
        assert_eq!(health.stuck(), None, "another process would hear as little");
        let told = seen.snapshot()().news;
        assert!(
            told.iter().any(|((namespace, of), age)| namespace == "b" && *of == "scrapejobs" && *age > 700.0)
        );
        assert!(told.keys().all(|(_, of)| *of != LEASES));
        hear("scrapejobs", Some("a"));
        assert!(not_ready().is_empty(), "one namespace of several is enough");
        health.report("crd", Some("a CRD drops fields".to_owned()));
        assert_eq!(not_ready(), ["a CRD drops fields"]);
    }
}
