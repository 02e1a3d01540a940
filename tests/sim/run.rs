//! Runs one scenario under one fate: the operator lives, dies and lives again, until everything has come to rest.

use std::sync::Arc;
use std::time::Duration;

use emulator::rules::Rules;
use emulator::{Config, Emulator, InProcess};
use jiff::Timestamp;
use serde_json::{Value, json};
use spideriq_operator::app::{Operator, Parts};
use spideriq_operator::budget::Limits;
use spideriq_operator::controller::Options;
use spideriq_operator::health::Health;
use spideriq_operator::leader::{Before, Leadership, Notes, Release};
use spideriq_operator::spideriq::Endpoint;
use spideriq_operator::telemetry::Metrics;

use super::api_server::ApiServer;
use super::fate::{Fate, Life, Plan};
use super::scenario::{Deed, Scenario};
use super::service::Way;
use super::store::{How, Key};

pub const NAMESPACE: &str = "team-a";
/// The operator's own namespace.
pub const HOME: &str = "spideriq-system";
pub const ENDPOINT: &str = "http://127.0.0.1:8080/api/v1";
pub const TOKEN: &str = "cli_sim:sk_sim:secret_sim";
pub const NEXT_TOKEN: &str = "cli_sim:sk_sim:secret_next";
/// One of the same client that does not name it.
pub const OPAQUE_TOKEN: &str = "spideriq_pat_agent_secret";
/// One of another client.
pub const OTHER_TOKEN: &str = "cli_other:sk_other:secret_other";

/// What is left after a run.
pub struct Ended {
    pub api: ApiServer,
    pub service: InProcess,
    pub fate: Fate,
}

pub fn key(kind: &str, name: &str) -> Key {
    Key { kind: kind.to_owned(), namespace: NAMESPACE.to_owned(), name: name.to_owned() }
}

/// The CRD of jobs.
pub fn kind() -> Key {
    let name = "scrapejobs.spideriq.ai".to_owned();
    Key { kind: "CustomResourceDefinition".to_owned(), namespace: String::new(), name }
}

/// Runs something on a runtime of its own, whose time is paused.
pub fn simulate<T>(seed: u64, run: impl Future<Output = T>) -> T {
    // Before anything draws a number.
    fastrand::seed(seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(run)
}

pub async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Runs a scenario on paused time.
pub fn run(scenario: &Scenario, seed: u64, plan: Plan) -> Ended {
    run_interrupted(scenario, seed, plan, None)
}

/// The same, with something that a user does at the very moment of a step.
pub fn run_interrupted(scenario: &Scenario, seed: u64, plan: Plan, meanwhile: Option<(u64, Deed)>) -> Ended {
    simulate(seed, live(scenario, Fate::new(seed, plan), meanwhile))
}

async fn live(scenario: &Scenario, fate: Fate, meanwhile: Option<(u64, Deed)>) -> Ended {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let api = ApiServer::new(start);
    let clock = api.clock.clone();
    api.operators_clock.jump(fate.plan().clock_ahead);
    let config = Config {
        tokens: [TOKEN, NEXT_TOKEN, &format!("{OPAQUE_TOKEN}=cli_sim"), OTHER_TOKEN]
            .map(str::to_owned)
            .to_vec(),
        rules: Rules::parse(scenario.rules).unwrap(),
        epoch: Some(start),
        seed: Some(1),
        // Of a day beside many jobs of others all is judged, too.
        journal_cap: 1_000_000,
        ..Config::default()
    };
    let service = Emulator::in_process(config).unwrap();
    account(&api);
    if let Some((step, deed)) = meanwhile {
        let (api, service, fate) = (api.clone(), service.clone(), fate.clone());
        fate.clone().interrupt(step, move || {
            fate.note(&format!("user, meanwhile: {deed:?}"));
            carry_out(&api, &service, &deed);
        });
    }
    let mut deeds = scenario.deeds.iter();
    let mut next = deeds.next();
    let begun = clock.instant();
    let end = begun + Duration::from_secs(scenario.lasts);
    // A Lease carries the notes of one process to the next.
    let mut notes = Notes::default();
    let replica = |notes: &Notes| {
        let life = fate.life();
        let release = Release { id: format!("{HOME}/sim"), lease: None };
        let operator = start_with(&api, &service, &life, &[NAMESPACE], (release, notes.clone()));
        (life, operator)
    };
    let mut replicas: Vec<_> = (0..=usize::from(fate.plan().two)).map(|_| replica(&notes)).collect();
    loop {
        let deed_at = next.map_or(end, |(second, _)| begun + Duration::from_secs(*second));
        let crash = |(life, _): &(Life, Operator)| {
            let crash = Arc::clone(&life.crash);
            Box::pin(async move { crash.notified().await })
        };
        let deaths: Vec<_> = replicas.iter().map(crash).collect();
        tokio::select! {
            biased;
            ((), dead, _) = futures::future::select_all(deaths) => {
                let (life, operator) = replicas.remove(dead);
                life.end();
                drop(operator);
                fate.note("the operator died and starts again");
                tokio::time::sleep(Duration::from_millis(500)).await;
                notes = Notes::of(notes.all(), Before::Lost);
                replicas.push(replica(&notes));
            }
            () = tokio::time::sleep_until(deed_at) => match next {
                Some((_, deed)) => {
                    fate.note(&format!("user: {deed:?}"));
                    if let Deed::Crash = deed {
                        for (life, _) in &replicas {
                            life.crash.notify_one();
                        }
                    }
                    carry_out(&api, &service, deed);
                    next = deeds.next();
                }
                None => break,
            },
        }
    }
    for (life, operator) in replicas {
        life.end();
        drop(operator);
    }
    // What nobody asked for has come about by now, too.
    service.jobs();
    Ended { api, service, fate }
}

/// Starts the operator for some namespaces, or all.
pub fn start_operator(api: &ApiServer, service: &InProcess, life: &Life, namespaces: &[&str]) -> Operator {
    start_release(api, service, life, namespaces, Release { id: format!("{HOME}/sim"), lease: None })
}

/// Starts the operator of a release.
pub fn start_release(
    api: &ApiServer,
    service: &InProcess,
    life: &Life,
    namespaces: &[&str],
    release: Release,
) -> Operator {
    start_with(api, service, life, namespaces, (release, Notes::default()))
}

fn start_with(
    api: &ApiServer,
    service: &InProcess,
    life: &Life,
    namespaces: &[&str],
    (release, notes): (Release, Notes),
) -> Operator {
    Operator::start(Parts {
        client: api.client(life),
        clock: api.operators_clock.clone(),
        transport: Some(Arc::new(Way { service: service.clone(), life: life.clone(), api: api.clone() })),
        options: Options {
            allowed_endpoints: vec![Endpoint::parse(ENDPOINT).unwrap()],
            namespaces: namespaces.iter().map(|name| name.parse().unwrap()).collect(),
            limits: Limits::default(),
            // The account asks for them in the scenarios of events alone.
            events: true,
            release,
            operator_namespace: HOME.parse().unwrap(),
        },
        metrics: Metrics::default(),
        health: Health::default(),
        leadership: Leadership::without_election(),
        notes,
    })
}

fn account(api: &ApiServer) {
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"token": base64(TOKEN)}});
    let account = json!({
        "apiVersion": "spideriq.ai/v1alpha1",
        "kind": "ScrapeAccount",
        "metadata": {},
        "spec": {"secretRef": {"name": "default"}, "endpoint": ENDPOINT},
    });
    // Something holds it while it goes, as the API server's own finalizer does.
    let crd = json!({"metadata": {"finalizers": ["customresourcecleanup.apiextensions.k8s.io"]}});
    api.with(|store, now| {
        store.create(&kind(), crd, now).unwrap();
        store.create(&key("Secret", "default"), secret, now).unwrap();
        store.create(&key("ScrapeAccount", "default"), account, now).unwrap();
    });
}

fn carry_out(api: &ApiServer, service: &InProcess, deed: &Deed) {
    api.with(|store, now| match deed {
        Deed::Create(name, spec) => {
            let job = json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": {}, "spec": spec});
            store.create(&key("ScrapeJob", name), job, now).unwrap();
        }
        Deed::Edit(name, spec) => {
            // As the real one does, it notes when.
            let edited = json!({
                "manager": "kubectl", "operation": "Update", "time": now.to_string(),
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}},
            });
            let edit = json!({"spec": spec, "metadata": {"managedFields": [edited]}});
            // What is gone is not edited.
            let _ = store.patch(&key("ScrapeJob", name), How::default(), &edit, "user");
        }
        Deed::Annotate(name, annotation, value) => {
            let annotations = json!({"metadata": {"annotations": {*annotation: value}}});
            let _ = store.patch(&key("ScrapeJob", name), How::default(), &annotations, "user");
        }
        Deed::Delete(name) => {
            let _ = store.delete(&key("ScrapeJob", name), &Value::Null, now);
        }
        Deed::DeleteKind => {
            store.delete(&kind(), &Value::Null, now).unwrap();
            for job in store.list("ScrapeJob", None) {
                let name = job["metadata"]["name"].as_str().unwrap();
                store.delete(&key("ScrapeJob", name), &Value::Null, now).unwrap();
            }
        }
        Deed::Replace(name) => {
            let _ = store.replace(&key("ScrapeJob", name));
        }
        Deed::Recreate(name) => {
            let job = key("ScrapeJob", name);
            if let Some(object) = store.get(&job) {
                let spec = object["spec"].clone();
                let _ = store.patch(&job, How::default(), &json!({"metadata": {"finalizers": null}}), "user");
                let _ = store.delete(&job, &Value::Null, now);
                let again = json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": {}, "spec": spec});
                store.create(&job, again, now).unwrap();
            }
        }
        Deed::Restore(name) => {
            let job = key("ScrapeJob", name);
            if let Some(mut object) = store.get(&job) {
                let metadata = ["annotations", "finalizers"].map(|field| (field, object["metadata"][field].take()));
                object["metadata"] = metadata.into_iter().collect();
                object.as_object_mut().unwrap().remove("status");
                let _ = store.patch(&job, How::default(), &json!({"metadata": {"finalizers": null}}), "user");
                let _ = store.delete(&job, &Value::Null, now);
                store.create(&job, object, now).unwrap();
            }
        }
        // Not a matter of what is stored.
        Deed::Crash => {}
        Deed::Clock(ahead) => api.operators_clock.jump(*ahead),
        Deed::Events(taken) => store.no_events = !taken,
        Deed::Crd(fields) => store.trim(fields),
        Deed::Policy(object, status) => store.refused = (*object, *status),
        Deed::DeleteAccount => {
            store.delete(&key("ScrapeAccount", "default"), &Value::Null, now).unwrap();
        }
        Deed::DeleteSecret => {
            store.delete(&key("Secret", "default"), &Value::Null, now).unwrap();
        }
        Deed::Account(spec) => {
            store.patch(&key("ScrapeAccount", "default"), How::default(), &json!({"spec": spec}), "user").unwrap();
        }
        Deed::Token(token) => {
            let data = json!({"data": {"token": base64(token)}});
            store.patch(&key("Secret", "default"), How::default(), &data, "user").unwrap();
        }
        Deed::Others(count) => {
            let spec = json!({"type": "spiderMail", "state": "completed", "payload": {"url": "https://others.example"}, "count": count});
            service.create_jobs(serde_json::from_value(spec).unwrap()).unwrap();
        }
        Deed::Pages(lasts) => store.slow_pages = Some(Duration::from_secs(*lasts)),
        Deed::Busy(count, within) => {
            let half = [0, within / 2];
            let spec = json!({"type": "spiderMail", "payload": {"url": "https://others.example"}, "count": count,
                "rule": {"queued": half, "processing": half}});
            service.create_jobs(serde_json::from_value(spec).unwrap()).unwrap();
        }
        Deed::Theirs(id, page) => {
            let spec = json!({"job_id": id, "payload": {"url": page}});
            service.create_jobs(serde_json::from_value(spec).unwrap()).unwrap();
        }
        Deed::Faults(faults) => {
            service.clear_faults(None);
            let rules = Rules::parse(&format!("faults: {faults}")).unwrap();
            service.add_faults(rules.faults.unwrap_or_default()).unwrap();
        }
    });
}

pub fn base64(text: &str) -> Value {
    serde_json::to_value(k8s_openapi::ByteString(text.as_bytes().to_vec())).unwrap()
}
