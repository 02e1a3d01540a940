//! What somebody may do to others who holds nothing but the chart's edit role, and Secrets, in one namespace: accounts
//! that name others' clients, others' Secrets, slow services, and very many of all.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use emulator::journal::Event;

use super::support::{TOKEN, World, condition, job, site};

const QUICK: &str = "jobs: [{queued: 0.1, processing: 0.1}]";
/// Names the client of somebody else, whose secret is not known.
const FORGED: &str = "cli_test:sk_strange:secret_strange";

/// A world whose operator watches the stranger's namespace, too.
struct Beside {
    world: World,
    strange: String,
    /// How the stranger is known to the API server.
    kubeconfig: PathBuf,
}

impl Beside {
    async fn new(name: &str, rules: &str) -> Self {
        let bed = testbed::Testbed::attach().unwrap();
        let world = World::on(bed, name, &["strange"], rules).await;
        let strange = format!("{}-strange", world.namespace);
        let role = |of: &str| format!("--clusterrole={}-spideriq-operator-{of}", world.home);
        let may = |role: &[&str]| {
            world.bed.kubectl(&[&["--namespace", strange.as_str(), "create"], role].concat()).unwrap();
        };
        may(&["serviceaccount", "stranger"]);
        may(&["role", "secrets", "--verb=*", "--resource=secrets"]);
        let whom = format!("--serviceaccount={strange}:stranger");
        may(&["rolebinding", "edit", &role("edit"), &whom]);
        may(&["rolebinding", "view", &role("view"), &whom]);
        may(&["rolebinding", "secrets", "--role=secrets", &whom]);
        let kubeconfig = world.bed.kubeconfig_of(&strange, "stranger").unwrap();
        Self { world, strange, kubeconfig }
    }

    /// Applies a manifest as the stranger, in the stranger's namespace.
    fn apply(&self, manifest: &str) {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig.display());
        let arguments =
            [&kubeconfig, "--namespace", &self.strange, "apply", "--server-side", "--filename", "-"];
        self.world.bed.run("kubectl", &arguments, manifest).unwrap();
    }

    /// Looks at the stranger's namespace.
    fn enter(&mut self) {
        self.world.namespace.clone_from(&self.strange);
    }

    /// Routes that were asked with tokens that the service does not know.
    fn asked_by_nobody(&self) -> BTreeSet<&'static str> {
        let entries = self.world.service.journal(0).entries.into_iter();
        entries
            .filter_map(|entry| match entry.event {
                Event::Request(request) => (request.client.is_none()).then_some(request.route),
                Event::Job(_) => None,
            })
            .collect()
    }
}

fn secret(name: &str, token: &str, more: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}}}, stringData: {{token: \"{token}\"}}{more}}}"
    )
}

fn account(name: &str, endpoint: &str, more: &str) -> String {
    format!(
        "{{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeAccount, metadata: {{name: {name}}}, spec: {{secretRef: {{name: {name}}}, endpoint: \"{endpoint}\"{more}}}}}"
    )
}

#[tokio::test]
async fn somebody_elses_client_id_takes_nothing_from_its_owner() {
    let mut beside = Beside::new("forged", QUICK).await;
    beside.world.account("default", "");
    beside.world.start();
    let least = ", limits: {requestsPerMinute: 2, burst: 1, submitsPerMinute: 0}";
    let endpoint = beside.world.endpoint.clone();
    beside.apply(
        &[
            secret("default", FORGED, ""),
            account("default", &endpoint, least),
            job("forged", &site("forged", "")),
        ]
        .join("\n---\n"),
    );
    let home = beside.world.namespace.clone();
    beside.enter();
    beside.world.until_because("forged", "Pending", "CredentialsRejected").await;
    let found = beside.world.get("ScrapeAccount", "default").await;
    assert!(found["status"]["clientID"].is_null(), "{found}");
    beside.world.namespace.clone_from(&home);
    (0..20).for_each(|n| beside.world.site(&format!("acme-{n}"), ""));
    for n in 0..20 {
        beside.world.until(&format!("acme-{n}"), "Completed").await;
    }
    assert_eq!(beside.asked_by_nobody(), BTreeSet::from(["whoami"]));

    // With the client's own token the stranger is bound by these limits, and nobody else is.
    beside.apply(&secret("default", TOKEN, ""));
    beside.enter();
    let held = beside
        .world
        .until_of("ScrapeJob", "forged", "held by its own account's limits", |job| {
            job["status"]["message"].as_str().is_some_and(|words| words.contains("submitsPerMinute"))
        })
        .await;
    assert_eq!(held["status"]["reason"], "AccountNotReady");
    // Its status is written once in five seconds at the most.
    let says = |account: &serde_json::Value| condition(account, "Ready").2.contains("submitsPerMinute is 0");
    beside.world.until_of("ScrapeAccount", "default", "held by its own limits", says).await;
    beside.world.namespace = home;
    (20..40).for_each(|n| beside.world.site(&format!("acme-{n}"), ""));
    for n in 20..40 {
        beside.world.until(&format!("acme-{n}"), "Completed").await;
    }
    assert_eq!(beside.world.requests("submit").len(), 40);
}

#[tokio::test]
async fn the_clusters_own_secrets_and_other_services_tokens_are_never_sent() {
    const OTHERS: &str = "ghp_canary0123456789";
    let mut beside = Beside::new("types", QUICK).await;
    beside.world.start();
    let endpoint = beside.world.endpoint.clone();
    let of_the_cluster = [
        ("token-of-a-pod", ", type: kubernetes.io/service-account-token"),
        ("basic", ", type: kubernetes.io/basic-auth"),
        ("boot", ", type: bootstrap.kubernetes.io/token"),
    ];
    for (name, more) in of_the_cluster {
        let mut manifest = secret(name, TOKEN, more);
        if more.contains("service-account-token") {
            let annotated = "annotations: {kubernetes.io/service-account.name: stranger}, name:";
            manifest = manifest.replacen("name:", annotated, 1);
        }
        if more.contains("basic-auth") {
            manifest = manifest.replace("stringData: {", "stringData: {username: u, password: p, ");
        }
        beside.apply(&manifest);
        beside.apply(&account(name, &endpoint, ""));
        beside.apply(&job(name, &site(name, &format!(", accountRef: {{name: {name}}}"))));
    }
    beside.apply(&secret("foreign", OTHERS, ""));
    beside.apply(&account("foreign", &endpoint, ""));
    beside.apply(&job("foreign", &site("foreign", ", accountRef: {name: foreign}")));
    beside.enter();
    for (name, words) in [
        ("token-of-a-pod", "belongs to the cluster"),
        ("basic", "belongs to the cluster"),
        ("boot", "belongs to the cluster"),
        ("foreign", "spideriq.ai/credentials"),
    ] {
        let job = beside.world.until_because(name, "Pending", "CredentialsMissing").await;
        assert!(job["status"]["message"].as_str().unwrap().contains(words), "{job}");
        let found = beside.world.get("ScrapeAccount", name).await;
        assert_eq!(condition(&found, "Stalled").0, "", "which Helm would roll back for: {found}");
    }
    assert!(beside.world.service.journal(0).entries.is_empty(), "something was sent");
    // Whoever may change the Secret gives its token to the service.
    let labelled = "labels: {spideriq.ai/credentials: \"true\"}, name:";
    beside.apply(&secret("foreign", OTHERS, "").replacen("name:", labelled, 1));
    beside.world.until_because("foreign", "Pending", "CredentialsRejected").await;
    assert_eq!(beside.asked_by_nobody(), BTreeSet::from(["whoami"]));
    assert!(!beside.world.logged().contains("canary"));
}

/// A release before did not ask for the label: what it was accepted with goes on, and says what comes.
#[tokio::test]
async fn a_token_of_another_form_that_was_accepted_before_goes_on_until_its_secret_changes() {
    let mut world = World::without_operator("exempt", QUICK).await;
    // The emulated service knows no such token: these are the answers of one that does.
    let body = "job_id: 550e8400-e29b-41d4-a716-446655440000, status: processing";
    let reply = |route: &str, code: u16| {
        format!("{{match: {{route: {route}}}, reply: {{status: {code}, body: {{{body}}}}}}}")
    };
    world.faults(&format!("[{}, {}]", reply("submit", 201), reply("status", 200)));
    world.account("default", "");
    world.secret("default", "token-of-another-form");
    let version = ["get", "secret", "default", "--output=jsonpath={.metadata.resourceVersion}"];
    let version = world.kubectl(&version).unwrap();
    let condition_of = |kind: &str, reason: &str| {
        format!(
            r#"{{"type": "{kind}", "status": "True", "reason": "{reason}", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}}"#
        )
    };
    let status = format!(
        r#"{{"status": {{"observedGeneration": 1, "clientID": "cli_test", "credential": {{"resourceVersion": "{}"}}, "conditions": [{}, {}]}}}}"#,
        version.trim(),
        condition_of("Authenticated", "Authenticated"),
        condition_of("Ready", "Available")
    );
    let patch =
        ["patch", "scrapeaccount", "default", "--subresource=status", "--type=merge", "--patch", &status];
    world.kubectl(&patch).unwrap();
    world.start();
    world.site("acme", "");
    world.until("acme", "Processing").await;
    let warned = |account: &serde_json::Value| {
        let (status, _, words) = condition(account, "Ready");
        status == "True" && words.contains("spideriq.ai/credentials")
    };
    world.until_of("ScrapeAccount", "default", "warned", warned).await;
    let warnings = world.events("default").await;
    assert_eq!(
        warnings.iter().filter(|(_, reason, _)| reason == "CredentialsMissing").count(),
        1,
        "{warnings:?}"
    );
    world.kubectl(&["annotate", "secret", "default", "touched=yes"]).unwrap();
    world.site("second", "");
    let second = world.until_because("second", "Pending", "CredentialsMissing").await;
    assert!(second["status"]["message"].as_str().unwrap().contains("spideriq.ai/credentials"), "{second}");
    assert_eq!(world.requests("submit").len(), 1);
    // What was begun is followed with what was accepted.
    let looked = world.requests("status").len();
    world.until_true("it is followed", |world| world.requests("status").len() > looked).await;
}

/// How long a new tenant's first job takes until it is submitted.
async fn first_job(world: &World, name: &str) -> f64 {
    let before = world.requests("submit").len();
    let begun = Instant::now();
    world.secret(name, TOKEN);
    world.account_alone(name, "");
    world.site(name, &format!(", accountRef: {{name: {name}}}"));
    world.until_true("it is submitted", |world| world.requests("submit").len() > before).await;
    let took = begun.elapsed().as_secs_f64();
    world.until(name, "Completed").await;
    took
}

/// Descriptors that the operator has open.
fn open_files(world: &World) -> usize {
    fs::read_dir(format!("/proc/{}/fd", world.pid())).unwrap().count()
}

#[tokio::test]
async fn hundreds_of_accounts_behind_a_service_that_hangs_keep_nobody_waiting() {
    const STRANGERS: usize = 300;
    let mut beside =
        Beside::new("many", &format!("{QUICK}\nfaults: [{{match: {{token: strange}}, hang: before}}]")).await;
    beside.world.start();
    // The namespaces have each a connection for their watches by then.
    let alone = first_job(&beside.world, "first").await;
    let (files, endpoint) = (open_files(&beside.world), beside.world.endpoint.clone());
    for part in 0..6 {
        let manifests: Vec<String> = (part * 50..part * 50 + 50)
            .flat_map(|n| {
                let name = format!("stranger-{n}");
                [
                    secret(&name, &format!("{FORGED}{n}"), ""),
                    account(&name, &endpoint, ""),
                    job(&name, &site(&name, &format!(", accountRef: {{name: {name}}}"))),
                ]
            })
            .collect();
        beside.apply(&manifests.join("\n---\n"));
    }
    let (beside_all, open) = (first_job(&beside.world, "second").await, open_files(&beside.world));
    println!(
        "a first job after {alone:.2} s alone, {beside_all:.2} s beside {STRANGERS} accounts that hang; {files} and {open} open files"
    );
    assert!(open < files + 60, "{open} open files instead of {files}");
    // A Secret that is rotated meanwhile is used at once.
    let next = "cli_test:sk_test:secret_next";
    beside.world.service.add_token(next).unwrap();
    beside.world.secret("second", next);
    beside.world.site("rotated", ", accountRef: {name: second}");
    beside.world.until("rotated", "Completed").await;
    let secrets =
        beside.world.kubectl(&["get", "secret", "second", "--output=jsonpath={.metadata.resourceVersion}"]);
    let rotated = beside.world.get("ScrapeJob", "rotated").await;
    assert_eq!(rotated["status"]["submission"]["credential"]["resourceVersion"], secrets.unwrap());
    // Where whoami hangs for long enough, the shortest page of the list is asked for.
    let asked = beside.asked_by_nobody();
    assert!(asked.is_subset(&BTreeSet::from(["whoami", "list"])), "{asked:?}");
    beside.enter();
    beside.world.until_because("stranger-0", "Pending", "ServiceUnavailable").await;
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised_at_the_start() {
    let mut world = World::without_operator("files", QUICK).await;
    let script = std::env::temp_dir().join(format!("{}-few-files.sh", world.namespace));
    fs::write(&script, format!("#!/bin/sh\nulimit -Sn 64\nexec {} \"$@\"\n", world.program.display()))
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    world.program.clone_from(&script);
    world.account("default", "");
    world.start();
    world.site("acme", "");
    world.until("acme", "Completed").await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", world.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let values: Vec<&str> = files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(values[0], values[1], "{files}");
    fs::remove_file(script).unwrap();
}
