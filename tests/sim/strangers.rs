//! Many accounts of strangers beside those of people who work: what they may cost, and what they may send.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use emulator::journal::{Event, RequestEvent};
use emulator::rules::Rules;
use emulator::{Config, Emulator, InProcess};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::api_server::ApiServer;
use super::fate::{Fate, Plan};
use super::run::{ENDPOINT, NAMESPACE, TOKEN, base64, seconds, simulate, start_operator};
use super::scenario::site;
use super::store::Key;

const STRANGE: &str = "strange";
/// Names the client of somebody else, whose secret is not known.
const FORGED: &str = "cli_sim:sk_strange:secret_strange";

struct World {
    api: ApiServer,
    service: InProcess,
    fate: Fate,
}

impl World {
    fn new(faults: &str) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let config = Config {
            tokens: vec![TOKEN.to_owned()],
            rules: Rules::parse("jobs: [{queued: 2, processing: 3}]").unwrap(),
            epoch: Some(start),
            seed: Some(1),
            ..Config::default()
        };
        let service = Emulator::in_process(config).unwrap();
        let rules = Rules::parse(&format!("faults: {faults}")).unwrap();
        service.add_faults(rules.faults.unwrap_or_default()).unwrap();
        let delays = Duration::from_millis(5);
        let plan = Plan { latency: delays, watch_lag: delays, ..Plan::default() };
        Self { api: ApiServer::new(start), service, fate: Fate::new(1, plan) }
    }

    fn create(&self, kind: &str, namespace: &str, name: &str, mut object: Value) {
        object["apiVersion"] = if kind == "Secret" { "v1" } else { "spideriq.ai/v1alpha1" }.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({});
        let key = Key { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
        self.api.with(|store, now| store.create(&key, object, now)).unwrap();
    }

    fn account(&self, namespace: &str, name: &str, token: &str, limits: &Value) {
        self.create("Secret", namespace, name, json!({"data": {"token": base64(token)}}));
        let spec = json!({"secretRef": {"name": name}, "endpoint": ENDPOINT, "limits": limits});
        self.create("ScrapeAccount", namespace, name, json!({"spec": spec}));
    }

    fn job(&self, namespace: &str, name: &str, account: &str) {
        let mut spec = site(&format!("{namespace}-{name}"));
        spec["accountRef"] = json!({"name": account});
        self.create("ScrapeJob", namespace, name, json!({"spec": spec}));
    }

    /// The requests so far, each at its second.
    fn requests(&self) -> Vec<(f64, RequestEvent)> {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let entries = self.service.journal(0).entries.into_iter();
        entries
            .filter_map(|entry| match entry.event {
                Event::Request(request) => {
                    let at = entry.at.parse::<Timestamp>().unwrap();
                    Some((at.duration_since(start).as_secs_f64(), request))
                }
                Event::Job(_) => None,
            })
            .collect()
    }

    fn read(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let key = Key { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
        self.api.store().get(&key).unwrap()
    }
}

/// The second at which a new tenant's first job is submitted, a minute after so many strangers came, of whom some work.
async fn first_submit(strangers: usize, faults: &str) -> f64 {
    const COMES: u64 = 60;
    let world = World::new(faults);
    let operator = start_operator(&world.api, &world.service, &world.fate.life(), &[]);
    for n in 0..strangers {
        let name = format!("stranger-{n}");
        world.account(STRANGE, &name, &format!("{FORGED}{n}"), &json!({}));
        if n % 2 == 0 {
            world.job(STRANGE, &name, &name);
        }
    }
    seconds(COMES).await;
    world.account(NAMESPACE, "default", TOKEN, &json!({}));
    world.job(NAMESPACE, "acme", "default");
    seconds(60).await;
    drop(operator);
    let requests = world.requests();
    let strange: Vec<f64> =
        requests.iter().filter(|(_, request)| request.client.is_none()).map(|(at, _)| *at).collect();
    let busiest = strange
        .iter()
        .map(|from| strange.iter().filter(|at| *at >= from && **at < from + 60.0).count())
        .max();
    assert!(busiest.unwrap_or(0) <= 20, "{busiest:?} requests of strangers in a minute");
    assert!(strangers == 0 || !strange.is_empty(), "strangers are asked about, too");
    let submit = requests.iter().find(|(_, request)| request.route == "submit");
    submit.unwrap_or_else(|| panic!("nothing was submitted beside {strangers} strangers")).0
}

#[test]
fn hundreds_of_strangers_change_a_new_tenants_first_job_by_less_than_a_second() {
    let alone = simulate(1, first_submit(0, "[]"));
    for faults in ["[]", "[{match: {token: secret_strange}, hang: before}]"] {
        let beside = simulate(1, first_submit(300, faults));
        println!("first submit at {alone} s alone, at {beside} s beside 300 strangers ({faults})");
        assert!(beside < alone + 1.0, "{beside} instead of {alone}, {faults}");
    }
}

/// An account that names somebody else's client, with the smallest limits that there are.
#[test]
fn a_forged_client_takes_nothing_from_the_client_that_it_names() {
    simulate(1, async {
        let world = World::new("[]");
        let operator = start_operator(&world.api, &world.service, &world.fate.life(), &[]);
        let least = json!({"requestsPerMinute": 2, "burst": 1, "submitsPerMinute": 0});
        world.account(STRANGE, "default", FORGED, &least);
        world.job(STRANGE, "forged", "default");
        seconds(30).await;
        world.account(NAMESPACE, "default", TOKEN, &json!({}));
        (0..20).for_each(|n| world.job(NAMESPACE, &format!("job-{n}"), "default"));
        seconds(300).await;
        drop(operator);
        for n in 0..20 {
            let job = world.read("ScrapeJob", NAMESPACE, &format!("job-{n}"));
            assert_eq!(job["status"]["state"], "Completed", "{job}");
        }
        let forged = world.read("ScrapeJob", STRANGE, "forged");
        assert_eq!(forged["status"]["reason"], "CredentialsRejected");
        assert!(
            forged["status"]["submission"].is_null() && forged["status"]["account"].is_null(),
            "{forged}"
        );
        let account = world.read("ScrapeAccount", STRANGE, "default");
        assert!(account["status"]["clientID"].is_null(), "{account}");
        let asked: BTreeSet<&str> =
            world.requests().iter().filter(|(_, r)| r.client.is_none()).map(|(_, r)| r.route).collect();
        assert_eq!(asked, BTreeSet::from(["whoami"]));
    });
}

/// An account whose token the service accepts, and whose limits bind it alone, while it is there and afterwards.
#[test]
fn the_limits_of_one_account_bind_no_other_of_the_same_client() {
    simulate(1, async {
        let world = World::new("[]");
        let operator = start_operator(&world.api, &world.service, &world.fate.life(), &[]);
        let least = json!({"requestsPerMinute": 2, "burst": 1, "submitsPerMinute": 0});
        world.account(STRANGE, "default", TOKEN, &least);
        world.job(STRANGE, "held", "default");
        seconds(60).await;
        let held = world.read("ScrapeJob", STRANGE, "held");
        assert!(held["status"]["message"].as_str().unwrap().contains("submitsPerMinute"), "{held}");
        let account = world.read("ScrapeAccount", STRANGE, "default");
        assert!(
            account.to_string().contains("submitsPerMinute is 0, which holds back every submit"),
            "{account}"
        );
        world.account(NAMESPACE, "default", TOKEN, &json!({}));
        (0..20).for_each(|n| world.job(NAMESPACE, &format!("job-{n}"), "default"));
        seconds(300).await;
        drop(operator);
        let mut submits: BTreeMap<String, usize> = BTreeMap::new();
        let requests = world.requests();
        for (_, request) in requests.iter().filter(|(_, request)| request.route == "submit") {
            *submits.entry(request.payload.as_ref().unwrap()["url"].to_string()).or_default() += 1;
        }
        assert_eq!(submits.len(), 20, "{submits:?}");
        assert!(submits.keys().all(|url| url.contains(NAMESPACE)), "{submits:?}");
        let times: Vec<f64> = requests.iter().map(|(at, _)| *at).collect();
        let within = |from: f64| times.iter().filter(|at| **at >= from && **at < from + 60.0).count();
        assert!(times.iter().all(|from| within(*from) <= 100), "S8");
    });
}

/// What has to be proven by the list, where whoami says nothing, and what is not proven by anything.
#[test]
fn nothing_is_submitted_before_the_service_has_accepted_the_token() {
    for (faults, proven) in [
        ("[{match: {route: whoami}, reply: {status: 404}}]", true),
        ("[{match: {route: whoami}, reply: {status: 200, body: {}}}]", true),
        (
            "[{match: {route: whoami}, reply: {status: 200, body: {authenticated: false, client_id: cli_x}}}]",
            true,
        ),
        ("[{match: {route: whoami}, hang: before}]", true),
        (
            "[{match: {route: whoami}, reply: {status: 500}}, {match: {route: list}, reply: {status: 500}}]",
            false,
        ),
        (
            "[{match: {route: whoami}, reply: {status: 404}}, {match: {route: list}, reply: {status: 200, body: {}}}]",
            false,
        ),
        ("[{match: {route: whoami}, drop: before}, {match: {route: list}, drop: after}]", false),
    ] {
        simulate(1, async {
            let world = World::new(faults);
            let operator = start_operator(&world.api, &world.service, &world.fate.life(), &[]);
            world.account(NAMESPACE, "default", TOKEN, &json!({}));
            world.job(NAMESPACE, "acme", "default");
            seconds(120).await;
            drop(operator);
            let routes: BTreeSet<&str> = world.requests().iter().map(|(_, request)| request.route).collect();
            assert_eq!(routes.contains("submit"), proven, "{faults}: {routes:?}");
            let job = world.read("ScrapeJob", NAMESPACE, "acme");
            let (state, client) = (&job["status"]["state"], &job["status"]["submission"]["clientID"]);
            if proven {
                assert_eq!((state, client), (&json!("Completed"), &json!("cli_sim")), "{faults}: {job}");
            } else {
                assert_eq!(job["status"]["reason"], "ServiceUnavailable", "{faults}: {job}");
                assert!(job["status"]["submission"].is_null(), "{job}");
            }
        });
    }
}
