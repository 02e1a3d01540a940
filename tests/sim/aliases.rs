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
/// Another client's, which the service names `cli_forger`, although its token carries the name of the first.
const FORGED: &str = "cli_sim:sk_forged:secret_forged";
/// The one whose name that is: the service gives it, too.
const FORGED_OF: &str = "cli_sim:sk_victim:secret_victim";
const FAULTS: &str = r"
    - match: {route: whoami, token: sk_named}
      reply: {status: 200, body: {authenticated: true, client_id: cli_named}}
    - match: {route: whoami, token: sk_silent}
      reply: {status: 404}
    - match: {route: whoami, token: sk_forged}
      reply: {status: 200, body: {authenticated: true, client_id: cli_forger}}
";

const TWO_NAMES: [(&str, &str); 2] = [("named", NAMED), ("silent", SILENT)];

/// Two namespaces, each with an account.
pub struct World {
    pub api: ApiServer,
    pub service: InProcess,
    pub fate: Fate,
}

impl World {
    /// An account of each token, in a namespace of its name; the forger's submits nothing, so that its jobs wait for ever.
    fn new(accounts: [(&str, &str); 2]) -> Self {
        Self::with(accounts, FAULTS)
    }

    pub fn with(accounts: [(&str, &str); 2], faults: &str) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let config = Config {
            tokens: accounts.map(|(_, token)| token.to_owned()).to_vec(),
            rules: Rules::parse(&format!("jobs: [{{queued: 900, processing: 900}}]\nfaults: {faults}"))
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
        for (namespace, token) in accounts {
            world.create("Secret", namespace, "default", json!({"data": {"token": base64(token)}}));
            let mut spec = json!({"secretRef": {"name": "default"}, "endpoint": ENDPOINT});
            if token == FORGED {
                spec["limits"] = json!({"submitsPerMinute": 0});
            }
            world.create("ScrapeAccount", namespace, "default", json!({"spec": spec}));
        }
        world
    }

    pub fn create(&self, kind: &str, namespace: &str, name: &str, mut object: Value) {
        object["apiVersion"] = if kind == "Secret" { "v1" } else { "spideriq.ai/v1alpha1" }.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({});
        self.api.with(|store, now| store.create(&key(kind, namespace, name), object, now)).unwrap();
    }

    pub fn operator(&self) -> Operator {
        start_operator(&self.api, &self.service, &self.fate.life(), &[])
    }

    /// The one job of a namespace.
    fn job(&self, namespace: &str) -> Option<Value> {
        self.api.store().get(&key("ScrapeJob", namespace, "acme"))
    }

    pub fn delete(&self, namespace: &str) {
        let job = key("ScrapeJob", namespace, "acme");
        self.api.with(|store, now| store.delete(&job, &Value::Null, now)).unwrap();
    }

    /// An operator that has seen a job of each namespace, made one after the other with equal payloads.
    async fn begun(&self, namespaces: [&str; 2]) -> Operator {
        let operator = self.operator();
        for namespace in namespaces {
            self.create("ScrapeJob", namespace, "acme", json!({"spec": site("acme")}));
            seconds(60).await;
        }
        operator
    }

    /// Deletes the job of a namespace, while the operator runs or just before another one starts, and lets it end.
    async fn deleted(&self, namespace: &str, mut operator: Operator, restarts: bool) -> Operator {
        if restarts {
            drop(operator);
            self.delete(namespace);
            operator = self.operator();
        } else {
            self.delete(namespace);
        }
        seconds(300).await;
        operator
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
    let world = World::new(TWO_NAMES);
    let operator = world.begun([first, second]).await;
    let recorded = |namespace: &str| {
        let job = world.job(namespace).unwrap();
        (job["status"]["jobID"].clone(), job["status"]["submission"]["clientID"].clone())
    };
    let ((ours, by), (theirs, other)) = (recorded("named"), recorded("silent"));
    assert!(ours.is_string() && ours == theirs, "one job: {ours} {theirs}");
    assert_eq!((by, other), (json!("cli_named"), json!("cli_sim")));
    let operator = world.deleted(first, operator, restarts).await;
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
            let world = World::new(TWO_NAMES);
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

/// The other client's job asks for an equal payload, and its token claims the name of the first: the service tells the two
/// apart, before a restart and after it.
#[test]
fn a_job_is_cancelled_although_another_clients_token_claims_its_clients_name() {
    for restarts in [false, true] {
        println!("restart: {restarts}");
        simulate(1, async {
            let world = World::new([("victim", FORGED_OF), ("forger", FORGED)]);
            let operator = world.begun(["victim", "forger"]).await;
            assert_eq!(world.job("forger").unwrap()["status"]["jobID"], Value::Null, "it waits for ever");
            let operator = world.deleted("victim", operator, restarts).await;
            assert!(world.cancelled() && world.job("victim").is_none());
            // To the oracle every object is of one client, so it sees a job that the forger's may receive.
            let others = world.fate.violations().into_iter().filter(|words| !words.starts_with("S5: "));
            assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new());
            drop(operator);
        });
    }
}

/// Of two namespaces with one client, the jobs of one cannot be listed for a while after a restart, while the other looks for
/// the job that a lost answer may have made: it takes none that the first has recorded, and is not held for the wait.
#[test]
fn what_was_not_listed_yet_is_nobodys_and_is_not_taken() {
    // A load that is shed, rights that are being replaced, and one after the other.
    for phases in [&[(503, 600)][..], &[(403, 100)], &[(404, 100)], &[(403, 60), (503, 300)]] {
        simulate(1, async {
            const LOST: &str = "[{match: {route: submit, token: sk_a}, when: {first: 1}, hang: before}]";
            let accounts = [("a", "cli_sim:sk_a:secret_a"), ("b", "cli_sim:sk_b:secret_b")];
            let world = World::with(accounts, LOST);
            let start = || start_operator(&world.api, &world.service, &world.fate.life(), &["a", "b"]);
            let operator = start();
            let mail = json!({
                "type": "spiderMail", "payload": {"url": "https://acme.example"}, "submission": {"onAmbiguous": "Adopt"},
            });
            world.create("ScrapeJob", "a", "acme", json!({"spec": mail}));
            seconds(2).await;
            world.create("ScrapeJob", "b", "acme", json!({"spec": mail}));
            seconds(3).await;
            let id = |namespace: &str| world.job(namespace).unwrap()["status"]["jobID"].clone();
            assert!(id("a").is_null() && id("b").is_string());
            drop(operator);
            let unlisted = |code: Option<u16>| {
                world.api.with(|store, _| store.unlisted = code.map(|code| ("b".to_owned(), code)));
            };
            unlisted(Some(phases[0].0));
            let operator = start();
            for (code, lasts) in phases {
                unlisted(Some(*code));
                for _ in 0..lasts / 10 {
                    seconds(10).await;
                    assert!(id("a").is_null(), "{phases:?}: it took {} of b", id("b"));
                    let job = world.job("a").unwrap();
                    assert_ne!(job["status"]["state"], "Held", "{phases:?}: {job}");
                }
            }
            unlisted(None);
            seconds(600).await;
            assert!(id("a").is_null(), "{phases:?}: it took {} of b", id("b"));
            // Now it was looked for, and there is none.
            let held = world.job("a").unwrap();
            assert_eq!(held["status"]["reason"], "SubmissionAmbiguous", "{phases:?}: {held}");
            drop(operator);
        });
    }
}

/// Rights that go while it works: what was last known of a namespace that may not be read any more still keeps its jobs.
#[test]
fn a_job_is_left_running_that_a_namespace_shares_which_may_not_be_read_any_more() {
    for shared in [true, false] {
        simulate(1, async {
            let accounts = [("a", "cli_sim:sk_a:secret_a"), ("b", "cli_sim:sk_b:secret_b")];
            let world = World::with(accounts, "[]");
            let operator = start_operator(&world.api, &world.service, &world.fate.life(), &["a", "b"]);
            world.create("ScrapeJob", "a", "acme", json!({"spec": site("acme")}));
            seconds(30).await;
            let page = if shared { "acme" } else { "other" };
            world.create("ScrapeJob", "b", "acme", json!({"spec": site(page)}));
            seconds(30).await;
            let id = |namespace: &str| world.job(namespace).unwrap()["status"]["jobID"].clone();
            assert_eq!(id("a") == id("b"), shared);
            world.api.with(|store, _| store.unlisted = Some(("b".to_owned(), 403)));
            world.delete("a");
            seconds(120).await;
            assert!(world.job("a").is_none(), "shared: {shared}");
            assert_eq!(world.cancelled(), !shared, "shared: {shared}");
            assert_eq!(world.fate.violations(), Vec::<String>::new());
            drop(operator);
        });
    }
}

/// An equal payload with an account that the service never answers: nobody knows its client, and a cancel waits no longer for
/// it than for a moment.
#[test]
fn a_payload_whose_account_hangs_keeps_nobody_elses_job_running() {
    simulate(1, async {
        const HANGS: &str = "[{match: {token: sk_s}, hang: before}]";
        let accounts = [("victim", "cli_v:sk_v:secret_v"), ("stranger", "cli_s:sk_s:secret_s")];
        let world = World::with(accounts, HANGS);
        let operator = world.operator();
        world.create("ScrapeJob", "victim", "acme", json!({"spec": site("acme")}));
        seconds(20).await;
        world.create("ScrapeJob", "stranger", "acme", json!({"spec": site("acme")}));
        seconds(20).await;
        assert_eq!(
            world.job("stranger").unwrap()["status"]["jobID"],
            Value::Null,
            "nobody has accepted its token"
        );
        world.delete("victim");
        seconds(30).await;
        assert!(world.cancelled() && world.job("victim").is_none(), "{:?}", world.job("victim"));
        // To the oracle every object is of one client, so it sees a job that the stranger's may receive.
        let others = world.fate.violations().into_iter().filter(|words| !words.starts_with("S5: "));
        assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new());
        drop(operator);
    });
}
