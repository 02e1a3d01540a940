//! Two accounts of one client, of which the service names one: for the other the name counts that its token carries.

use std::time::Duration;

use emulator::rules::Rules;
use emulator::{Config, Emulator, InProcess};
use jiff::Timestamp;
use serde_json::{Value, json};
use spideriq_operator::app::Operator;

use super::api_server::ApiServer;
use super::fate::{Fate, Plan};
use super::run::{ENDPOINT, base64, kind, seconds, simulate, start_operator};
use super::scenario::site;
use super::store::Key;

/// Whom the service names `cli_named`.
const NAMED: &str = "cli_sim:sk_named:secret_named";
/// Of the same client; of this one the service never says whose it is.
const SILENT: &str = "cli_sim:sk_silent:secret_silent";
const FAULTS: &str = r"
    - match: {route: whoami, token: sk_named}
      reply: {status: 200, body: {authenticated: true, client_id: cli_named}}
    - match: {route: whoami, token: sk_silent}
      reply: {status: 404}
";

struct World {
    api: ApiServer,
    service: InProcess,
    fate: Fate,
}

impl World {
    /// An account of each token, in a namespace of its name.
    fn new() -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let config = Config {
            tokens: [NAMED, SILENT].map(str::to_owned).to_vec(),
            rules: Rules::parse(&format!("jobs: [{{queued: 900, processing: 900}}]\nfaults: {FAULTS}"))
                .unwrap(),
            epoch: Some(start),
            seed: Some(1),
            ..Config::default()
        };
        let delays = Duration::from_millis(5);
        let plan = Plan { latency: delays, watch_lag: delays, ..Plan::default() };
        let world = Self {
            api: ApiServer::new(start),
            service: Emulator::in_process(config).unwrap(),
            fate: Fate::new(1, plan),
        };
        world.api.with(|store, now| store.create(&kind(), json!({"metadata": {}}), now)).unwrap();
        for (namespace, token) in [("named", NAMED), ("silent", SILENT)] {
            world.create("Secret", namespace, "default", json!({"data": {"token": base64(token)}}));
            let spec = json!({"secretRef": {"name": "default"}, "endpoint": ENDPOINT});
            world.create("ScrapeAccount", namespace, "default", json!({"spec": spec}));
        }
        world
    }

    fn create(&self, kind: &str, namespace: &str, name: &str, mut object: Value) {
        object["apiVersion"] = if kind == "Secret" { "v1" } else { "spideriq.ai/v1alpha1" }.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({});
        self.api.with(|store, now| store.create(&key(kind, namespace, name), object, now)).unwrap();
    }

    fn operator(&self) -> Operator {
        start_operator(&self.api, &self.service, &self.fate.life(), &[])
    }

    /// The one job of a namespace.
    fn job(&self, namespace: &str) -> Option<Value> {
        self.api.store().get(&key("ScrapeJob", namespace, "acme"))
    }

    fn delete(&self, namespace: &str) {
        let job = key("ScrapeJob", namespace, "acme");
        self.api.with(|store, now| store.delete(&job, &Value::Null, now)).unwrap();
    }

    fn cancelled(&self) -> bool {
        self.service.journal(0).entries.iter().any(|entry| {
            matches!(&entry.event, emulator::journal::Event::Request(request) if request.route == "cancel")
        })
    }
}

fn key(kind: &str, namespace: &str, name: &str) -> Key {
    Key { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

/// The object that submitted the job is deleted, while the other, which the service answered with it, uses it still.
async fn deleted_beside_the_other(first: &str, second: &str, restarts: bool) {
    let world = World::new();
    let mut operator = world.operator();
    for namespace in [first, second] {
        world.create("ScrapeJob", namespace, "acme", json!({"spec": site("acme")}));
        seconds(60).await;
    }
    let recorded = |namespace: &str| {
        let job = world.job(namespace).unwrap();
        (job["status"]["jobID"].clone(), job["status"]["submission"]["clientID"].clone())
    };
    let ((ours, by), (theirs, other)) = (recorded("named"), recorded("silent"));
    assert!(ours.is_string() && ours == theirs, "one job: {ours} {theirs}");
    assert_eq!((by, other), (json!("cli_named"), json!("cli_sim")));
    if restarts {
        drop(operator);
        world.delete(first);
        operator = world.operator();
    } else {
        world.delete(first);
    }
    seconds(300).await;
    assert!(!world.cancelled(), "{:?}", world.fate.violations());
    assert!(world.job(first).is_none(), "the deletion ends");
    assert_eq!(world.job(second).unwrap()["status"]["state"], "Queued");
    assert_eq!(world.fate.violations(), Vec::<String>::new());
    drop(operator);
}

#[test]
fn a_job_is_not_cancelled_while_another_name_of_its_client_uses_it() {
    for (first, second) in [("named", "silent"), ("silent", "named")] {
        for restarts in [false, true] {
            println!("{first} is deleted beside {second}, restart: {restarts}");
            simulate(1, deleted_beside_the_other(first, second, restarts));
        }
    }
}

/// The same where nobody else uses it.
#[test]
fn a_job_that_only_one_name_of_its_client_uses_is_cancelled() {
    for namespace in ["named", "silent"] {
        simulate(1, async {
            let world = World::new();
            let operator = world.operator();
            world.create("ScrapeJob", namespace, "acme", json!({"spec": site("acme")}));
            seconds(60).await;
            world.delete(namespace);
            seconds(60).await;
            assert!(world.cancelled() && world.job(namespace).is_none(), "{namespace}");
            assert_eq!(world.fate.violations(), Vec::<String>::new());
            drop(operator);
        });
    }
}
