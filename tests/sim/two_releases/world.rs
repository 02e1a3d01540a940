//! Releases of the operator, their accounts and Leases, and what is counted of them.

use std::collections::BTreeMap;
use std::time::Duration;

use emulator::journal::Event;
use emulator::rules::Rules;
use emulator::{Config, Emulator, InProcess};
use jiff::Timestamp;
use serde_json::{Value, json};
use spideriq_operator::api::ClaimLease;
use spideriq_operator::app::Operator;
use spideriq_operator::leader::Release;

use crate::api_server::ApiServer;
use crate::fate::{Fate, Life, Plan};
use crate::run::{ENDPOINT, HOME, NAMESPACE, TOKEN, base64, key, seconds, start_release};
use crate::scenario::site;
use crate::store::{How, Key};

pub struct World {
    pub api: ApiServer,
    pub service: InProcess,
    pub fate: Fate,
}

/// A process of a release.
pub struct Process {
    pub life: Life,
    pub operator: Operator,
}

pub fn release(id: &str, lease: bool) -> Release {
    let lease = lease.then(|| ClaimLease { namespace: HOME.to_owned(), name: id.to_owned() });
    Release { id: id.to_owned(), lease }
}

pub fn lease(id: &str) -> Key {
    Key { kind: "Lease".to_owned(), namespace: HOME.to_owned(), name: id.to_owned() }
}

impl World {
    pub fn new(rules: &str) -> Self {
        let delays = Duration::from_millis(5);
        Self::under(rules, 1, Plan { latency: delays, watch_lag: delays, ..Plan::default() })
    }

    pub fn under(rules: &str, seed: u64, plan: Plan) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let config = Config {
            tokens: vec![TOKEN.to_owned()],
            rules: Rules::parse(rules).unwrap(),
            epoch: Some(start),
            seed: Some(1),
            ..Config::default()
        };
        let service = Emulator::in_process(config).unwrap();
        let world = Self { api: ApiServer::new(start), service, fate: Fate::new(seed, plan) };
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"token": base64(TOKEN)}});
        world.api.with(|store, now| store.create(&key("Secret", "default"), secret, now)).unwrap();
        world.account("default");
        world
    }

    pub fn account(&self, name: &str) {
        let account = json!({
            "apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeAccount", "metadata": {},
            "spec": {"secretRef": {"name": "default"}, "endpoint": ENDPOINT},
        });
        self.api.with(|store, now| store.create(&key("ScrapeAccount", name), account, now)).unwrap();
    }

    pub fn start(&self, release: Release) -> Process {
        self.start_in(&[NAMESPACE], release)
    }

    pub fn start_in(&self, namespaces: &[&str], release: Release) -> Process {
        let life = self.fate.life();
        let operator = start_release(&self.api, &self.service, &life, namespaces, release);
        Process { life, operator }
    }

    /// An account of the cluster for all namespaces, and none in the namespace.
    pub fn shared_account_only(&self) {
        let of = |kind: &str, namespace: &str, name: &str| Key {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"token": base64(TOKEN)}});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {}});
        let account = json!({
            "apiVersion": "spideriq.ai/v1alpha1", "kind": "ClusterScrapeAccount", "metadata": {},
            "spec": {"secretRef": {"name": "default"}, "endpoint": ENDPOINT},
        });
        self.api.with(|store, now| {
            store.delete(&key("ScrapeAccount", "default"), &Value::Null, now).unwrap();
            store.create(&of("Namespace", "", NAMESPACE), namespace, now).unwrap();
            store.create(&of("Secret", HOME, "default"), secret, now).unwrap();
            store.create(&of("ClusterScrapeAccount", "", "default"), account, now).unwrap();
        });
    }

    pub fn job(&self, name: &str) {
        let job = json!({
            "apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": {}, "spec": site(name),
        });
        self.api.with(|store, now| store.create(&key("ScrapeJob", name), job, now)).unwrap();
    }

    pub fn read(&self, kind: &str, name: &str) -> Value {
        self.api.store().get(&key(kind, name)).unwrap_or_default()
    }

    /// Waits until a job has this state, at most so many seconds; returns how many it took.
    pub async fn until(&self, name: &str, state: &str, most: u64) -> u64 {
        for second in 0..=most {
            if self.read("ScrapeJob", name)["status"]["state"] == state {
                return second;
            }
            seconds(1).await;
        }
        panic!("{name} is not {state} after {most} s: {}", self.read("ScrapeJob", name));
    }

    pub fn holder(&self) -> Value {
        self.read("ScrapeAccount", "default")["status"]["operator"]["id"].clone()
    }

    /// How often the status of an account was written so far.
    pub fn account_writes(&self) -> usize {
        let store = self.api.store();
        let of = |(by, key): &&(String, Key)| by != "user" && key.kind == "ScrapeAccount";
        store.writes.iter().filter(of).count()
    }

    /// How often people were told that another release works, and whom that is about.
    pub fn told(&self) -> Vec<String> {
        let events = self.api.store().list("Event", None);
        let told = events.iter().filter(|event| event["reason"] == "AnotherOperator");
        told.map(|event| event["note"].as_str().unwrap().to_owned()).collect()
    }

    pub fn requests(&self) -> usize {
        let entries = self.service.journal(0).entries.into_iter();
        entries.filter(|entry| matches!(entry.event, Event::Request(_))).count()
    }

    /// Nothing was submitted twice.
    pub fn none_twice(&self) {
        let mut submits: BTreeMap<String, usize> = BTreeMap::new();
        for entry in self.service.journal(0).entries {
            if let Event::Request(request) = entry.event
                && request.route == "submit"
                && request.status == Some(201)
            {
                *submits.entry(request.payload.unwrap()["url"].to_string()).or_default() += 1;
            }
        }
        assert!(submits.values().all(|count| *count == 1), "{submits:?}");
    }

    /// The Lease of a release, as somebody renews it.
    pub fn renew(&self, id: &str, n: u64) {
        let spec = json!({"holderIdentity": "a pod", "leaseDurationSeconds": 15, "leaseTransitions": n});
        self.api.with(|store, now| {
            let new = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {}, "spec": spec});
            if store.create(&lease(id), new, now).is_err() {
                store.patch(&lease(id), How::default(), &json!({"spec": spec}), "user").unwrap();
            }
        });
    }
}

impl Process {
    /// Ends as a crash would.
    pub fn kill(self) {
        self.life.end();
        drop(self.operator);
    }

    pub async fn stop(self) {
        assert!(self.operator.until(std::future::ready(())).await.unwrap());
    }
}
