//! A release from its install to its uninstall, with jobs in flight while its pods, its node and it itself are disturbed.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::cluster::{apply, get, helm, kubectl, told, until};
use super::operator::{self, NAMESPACE, leader, one_process, pods, process, resident, tell};
use super::service::{self, ENDPOINT, OVER_WITHIN, TOKEN, submits};

/// Jobs in flight while something happens.
const JOBS: usize = 20;
/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(30);
/// How long another replica may take until it works: the lease of one that was killed lasts 15 s.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(60);

/// A tenant's namespace with an account.
fn tenant() {
    let named = |name: &str| json!({"name": name, "namespace": "team"});
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": named("spideriq"), "stringData": {"token": TOKEN}}),
        json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeAccount", "metadata": named("default"), "spec": {
            "secretRef": {"name": "spideriq"},
            "endpoint": ENDPOINT,
            "limits": {"requestsPerMinute": 6000, "submitsPerMinute": 600},
        }}),
    ];
    for object in objects {
        apply(&object.to_string());
    }
}

fn page(name: &str) -> String {
    format!("https://{name}.example")
}

fn create(name: &str) {
    let spec = json!({"type": "spiderSite", "payload": {"url": page(name)}});
    let metadata = json!({"name": name, "namespace": "team"});
    apply(&json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": metadata, "spec": spec}).to_string());
}

fn states(prefix: &str) -> Vec<String> {
    let jobs = get(&["scrapejobs", "--namespace=team"]);
    let of_it = |job: &&Value| job["metadata"]["name"].as_str().unwrap().starts_with(prefix);
    let jobs = jobs["items"].as_array().unwrap().iter().filter(of_it);
    jobs.map(|job| job["status"]["state"].as_str().unwrap_or("-").to_owned()).collect()
}

/// Does something while jobs are in flight; afterwards each of them is over, and was paid for once.
fn with_jobs_in_flight(what: &str, does: impl FnOnce()) {
    let name = what.replace(' ', "-");
    let names: Vec<String> = (0..JOBS).map(|n| format!("{name}-{n}")).collect();
    for name in &names {
        create(name);
    }
    until("a job in flight", Duration::from_secs(30), || {
        let states = states(&name);
        if states.iter().any(|state| state == "Queued" || state == "Processing") {
            Ok(())
        } else {
            Err(states.join(" "))
        }
    });
    told(what, does);
    until("the end of all jobs", OVER_WITHIN, || {
        let states = states(&name);
        if states.iter().all(|state| state == "Completed") { Ok(()) } else { Err(states.join(" ")) }
    });
    for name in names {
        assert_eq!(submits(&page(&name)), 1, "S1: {name}");
    }
}

/// Until another pod than this one works.
fn followed(by_another_than: &str) {
    let took = until("another leader", FOLLOWED_WITHIN, || match leader() {
        Some(pod) if pod != by_another_than => Ok(()),
        other => Err(format!("{other:?}")),
    });
    println!("  another pod works after {:.1} s", took.as_secs_f32());
}

/// Tells the node's API server something.
fn tell_api_server(signal: Signal) {
    let folder = std::env::var("TESTBED_NODE").unwrap();
    let is_it = |line: &[u8]| line.starts_with(format!("{folder}/bin/kube-apiserver\0").as_bytes());
    tell(one_process(|line, _| is_it(line)), signal);
}

fn uninstall() {
    told("helm uninstall", || {
        helm(&["uninstall", "spideriq-operator", "--namespace", NAMESPACE, "--wait"]).unwrap()
    });
}

fn install() {
    let authority = told("the service", service::start);
    operator::prepare(&authority);
    told("helm install --wait", || operator::install(&[]));
    tenant();
    create("short");
    told("a first job", || {
        kubectl(&[
            "wait",
            "--namespace=team",
            "--for=condition=Completed",
            "--timeout=60s",
            "scrapejob/short",
        ])
        .unwrap();
    });
    assert_eq!(submits(&page("short")), 1);
    let said = told("helm test", || {
        let test = ["test", "spideriq-operator", "--namespace", NAMESPACE, "--logs", "--timeout=60s"];
        helm(&test).unwrap()
    });
    assert!(
        said.contains("fine   all ") && said.contains("fine   1 of 1 ScrapeAccounts can be used"),
        "{said}"
    );
}

#[test]
fn a_release_from_its_install_to_its_uninstall() {
    install();
    for pod in pods() {
        let what = if leader().as_ref() == Some(&pod) { "leading" } else { "following" };
        println!("  {:.1} MiB {what}", resident(process(&pod)));
    }
    with_jobs_in_flight("leader deleted", || {
        let pod = leader().unwrap();
        kubectl(&["delete", "pod", &pod, "--namespace", NAMESPACE, "--wait=false"]).unwrap();
        followed(&pod);
    });
    with_jobs_in_flight("leader killed", || {
        let pod = leader().unwrap();
        tell(process(&pod), Signal::KILL);
        followed(&pod);
    });
    with_jobs_in_flight("api server away", || {
        tell_api_server(Signal::STOP);
        std::thread::sleep(AWAY);
        tell_api_server(Signal::CONT);
        until("the API server", FOLLOWED_WITHIN, || kubectl(&["get", "--raw", "/readyz"]).map(drop));
    });
    with_jobs_in_flight("upgrade", || operator::install(&["--set=podAnnotations.changed=yes"]));
    with_jobs_in_flight("rollback", || {
        helm(&["rollback", "spideriq-operator", "--namespace", NAMESPACE, "--wait", "--timeout=120s"])
            .unwrap();
    });
    with_jobs_in_flight("uninstalled with drain and installed again", || {
        operator::install(&["--set=drainBeforeUninstall=true"]);
        uninstall();
        let jobs = get(&["scrapejobs", "--namespace=team"]);
        let held: Vec<&Value> = jobs["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| &job["metadata"]["finalizers"])
            .filter(|held| !held.is_null())
            .collect();
        assert!(held.is_empty(), "{held:?}");
        operator::install(&[]);
    });
    uninstall();
    // What people have written stays, and so do the CRDs.
    assert_eq!(states("").len(), 6 * JOBS + 1);
    assert_eq!(get(&["deployments", "--namespace", NAMESPACE])["items"], json!([]));
}

#[test]
fn pods_on_an_ipv6_only_network_find_and_are_found() {
    install();
    let pod = get(&["pods", "--namespace", NAMESPACE])["items"][0]["status"]["podIP"].clone();
    assert!(pod.as_str().unwrap().contains(':'), "{pod}");
}
