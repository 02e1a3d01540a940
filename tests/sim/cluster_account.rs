//! Accounts of the cluster where watches lag: which account a job gets that names none, and what a label does.

use std::time::Duration;

use emulator::{Config, Emulator, InProcess};
use jiff::Timestamp;
use serde_json::{Value, json};
use spideriq_operator::app::Operator;

use super::api_server::ApiServer;
use super::fate::{Fate, Plan};
use super::run::{ENDPOINT, HOME, NAMESPACE, TOKEN, base64, seconds, simulate, start_operator};
use super::store::{How, Key};

/// An API server with a default account of the cluster, and a service that knows it.
struct World {
    api: ApiServer,
    service: InProcess,
    fate: Fate,
}

impl World {
    fn new(seed: u64, selector: Value) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let config =
            Config { tokens: vec![TOKEN.to_owned()], epoch: Some(start), seed: Some(1), ..Config::default() };
        let lags = Plan {
            latency: Duration::from_millis(100),
            watch_lag: Duration::from_millis(2000),
            ..Plan::default()
        };
        let world = Self {
            api: ApiServer::new(start),
            service: Emulator::in_process(config).unwrap(),
            fate: Fate::new(seed, lags),
        };
        let mut shared = account();
        shared["spec"]["namespaceSelector"] = selector;
        world.create(("Namespace", "", NAMESPACE), json!({}));
        world.create(("Secret", HOME, "default"), secret());
        world.create(("ClusterScrapeAccount", "", "default"), shared);
        world
    }

    /// An operator that watches every namespace.
    fn operator(&self) -> Operator {
        start_operator(&self.api, &self.service, &self.fate.life(), &[])
    }

    fn create(&self, (kind, namespace, name): (&str, &str, &str), mut object: Value) {
        let ours = kind.contains("Scrape");
        object["apiVersion"] = if ours { "spideriq.ai/v1alpha1" } else { "v1" }.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({});
        self.api.with(|store, now| store.create(&key(kind, namespace, name), object, now)).unwrap();
    }

    fn job(&self) {
        let payload = json!({"url": "https://acme.example"});
        self.create(
            ("ScrapeJob", NAMESPACE, "acme"),
            json!({"spec": {"type": "spiderSite", "payload": payload}}),
        );
    }

    /// A word of the job's status.
    fn status(&self, path: &str) -> String {
        let job = self.api.store().get(&key("ScrapeJob", NAMESPACE, "acme")).unwrap();
        job["status"].pointer(path).and_then(Value::as_str).unwrap_or("none").to_owned()
    }
}

fn key(kind: &str, namespace: &str, name: &str) -> Key {
    Key { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

fn secret() -> Value {
    json!({"data": {"token": base64(TOKEN)}})
}

fn account() -> Value {
    json!({"spec": {"secretRef": {"name": "default"}, "endpoint": ENDPOINT}})
}

/// The kind of the account that a job gets. The namespace gets one of its own together with the job, if it is to,
/// before the operator starts or while it runs.
async fn used(seed: u64, own: bool, before: bool) -> String {
    let world = World::new(seed, json!({}));
    let apply = || {
        if own {
            world.create(("Secret", NAMESPACE, "default"), secret());
            world.create(("ScrapeAccount", NAMESPACE, "default"), account());
        }
        world.job();
    };
    if before {
        apply();
    }
    let operator = world.operator();
    seconds(30).await;
    if !before {
        apply();
    }
    seconds(90).await;
    drop(operator);
    world.status("/account/kind")
}

#[test]
fn an_account_that_comes_together_with_a_job_is_the_jobs() {
    for seed in 0..20 {
        for before in [true, false] {
            let kind = simulate(seed, used(seed, true, before));
            assert_eq!(kind, "ScrapeAccount", "seed {seed}, before: {before}");
        }
    }
    for before in [true, false] {
        assert_eq!(simulate(1, used(1, false, before)), "ClusterScrapeAccount");
    }
}

/// After an hour a job that waits is looked at every ten minutes, so that within one only a change can wake it.
#[test]
fn a_label_takes_effect_by_itself() {
    for seed in 0..10 {
        simulate(seed, async {
            let world = World::new(seed, json!({"matchLabels": {"team": "a"}}));
            let operator = world.operator();
            world.job();
            seconds(3600 + 60 * (seed % 10)).await;
            assert_eq!(world.status("/reason"), "NamespaceNotAllowed");
            let label = json!({"metadata": {"labels": {"team": "a"}}});
            let namespace = key("Namespace", "", NAMESPACE);
            world.api.with(|store, _| store.patch(&namespace, How::default(), &label, "user")).unwrap();
            seconds(60).await;
            assert_eq!(world.status("/account/kind"), "ClusterScrapeAccount", "seed {seed}");
            drop(operator);
        });
    }
}
