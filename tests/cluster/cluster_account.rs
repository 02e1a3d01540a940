//! Accounts of the cluster: offered to the namespaces that they admit, with a Secret of the operator's namespace. They
//! need an operator that watches everything, and so a control plane that no other test uses.

use std::time::Duration;

use spideriq_operator::api::AccountKind;
use spideriq_operator::decide::message::{Account, Wait};
use testbed::{Options, Own};

use super::support::{TOKEN, World, condition};

const QUICK: &str = "jobs: [{queued: 0.1, processing: 0.1}]";
/// Another client of the service.
const OTHER: &str = "cli_other:sk_other:secret_other";
const OPEN: &str = "team: \"a\", spideriq: \"yes\"";

/// A `ClusterScrapeAccount` whose Secret has its name.
fn cluster_account(world: &World, name: &str, more: &str) {
    everywhere(
        world,
        &format!(
            "{{apiVersion: spideriq.ai/v1alpha1, kind: ClusterScrapeAccount, metadata: {{name: {name}}}, spec: {{secretRef: {{name: {name}}}, endpoint: \"{}\", limits: {{requestsPerMinute: 6000, burst: 1000, submitsPerMinute: 1200}}{more}}}}}",
            world.service.base_url()
        ),
    );
}

/// A Secret in a namespace of its own choice.
fn secret(world: &World, namespace: &str, name: &str, token: &str) {
    everywhere(
        world,
        &format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}, namespace: {namespace}}}, stringData: {{token: \"{token}\"}}}}"
        ),
    );
}

fn everywhere(world: &World, manifest: &str) {
    world.bed.run("kubectl", &["apply", "--filename", "-"], manifest).unwrap();
}

/// Kind and name of the account that a job recorded.
fn used(job: &serde_json::Value) -> (&str, &str) {
    let word = |key: &str| job["status"]["account"][key].as_str().unwrap_or_default();
    (word("kind"), word("name"))
}

#[tokio::test]
async fn a_cluster_account_serves_the_namespaces_that_it_admits() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world = World::everywhere((*own).clone(), "hub", QUICK).await;
    world.service.add_token(OTHER).unwrap();
    secret(&world, "hub", "default", TOKEN);
    cluster_account(&world, "default", ", namespaceSelector: {matchLabels: {spideriq: \"yes\"}}");
    world.start();
    for namespace in ["team-e", "team-f"] {
        world.enter(namespace, "");
        world.site(namespace, ", accountRef: {kind: ClusterScrapeAccount, name: closed}");
    }
    cluster_account(&world, "closed", ", namespaceSelector: {matchLabels: {spideriq: never}}");
    world
        .until_of("ClusterScrapeAccount", "closed", "counts over all namespaces", |account| {
            account["status"]["jobs"]["waiting"] == 2
        })
        .await;

    // Without an account of its own, a namespace uses the cluster's.
    world.enter("team-a", OPEN);
    world.site("acme", "");
    let job = world.until("acme", "Completed").await;
    assert_eq!(used(&job), ("ClusterScrapeAccount", "default"));
    assert_eq!(job["status"]["account"]["clientID"], "cli_test");

    // With one, it uses its own; whoever is to use the other says so.
    world.enter("team-b", OPEN);
    world.secret("default", OTHER);
    world.account_alone("default", "");
    world.site("own", "");
    world.site("named", ", accountRef: {kind: ClusterScrapeAccount, name: default}");
    let job = world.until("own", "Completed").await;
    assert_eq!(used(&job), ("ScrapeAccount", "default"));
    assert_eq!(job["status"]["account"]["clientID"], "cli_other");
    assert_eq!(used(&world.until("named", "Completed").await), ("ClusterScrapeAccount", "default"));

    // A namespace that it does not admit waits, and is told what for.
    let submits = world.requests("submit").len();
    for namespace in ["team-c", "team-d"] {
        world.enter(namespace, "team: \"c\"");
        world.site(namespace, "");
        world.job("mirror", "jobID: 550e8400-e29b-41d4-a716-446655440000, deletionPolicy: Cancel");
        for name in [namespace, "mirror"] {
            let job = world.until_because(name, "Pending", "NamespaceNotAllowed").await;
            assert_eq!((condition(&job, "Reconciling").0, condition(&job, "Stalled").0), ("True", ""));
            let message = job["status"]["message"].as_str().unwrap();
            assert!(message.contains("spideriq=yes. Label the namespace"), "{message}");
            assert_eq!(used(&job), ("", ""), "what is not used is not recorded");
        }
        world.kubectl(&["delete", "scrapejob", "mirror"]).unwrap();
    }
    // An account of its own frees it, or a label; either by itself.
    world.enter("team-d", "team: \"c\"");
    world.secret("default", OTHER);
    world.account_alone("default", "");
    assert_eq!(used(&world.until("team-d", "Completed").await), ("ScrapeAccount", "default"));
    world.enter("team-c", OPEN);
    assert_eq!(used(&world.until("team-c", "Completed").await), ("ClusterScrapeAccount", "default"));
    assert_eq!(world.requests("submit").len(), submits + 2);
    let strange = |path: &str| path.contains("550e8400");
    assert!(
        !world
            .requests("status")
            .iter()
            .chain(&world.requests("cancel"))
            .any(|request| strange(&request.path))
    );
}

#[tokio::test]
async fn its_secret_is_the_operators_and_what_it_began_it_ends() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let rules =
        "jobs: [{match: {contains: runs}, queued: 0.1, end: processing}, {queued: 0.1, processing: 0.1}]";
    let mut world = World::everywhere((*own).clone(), "hub", rules).await;
    // A Secret of the same name in the namespace of the job has a token that the service does not know.
    world.enter("team-a", OPEN);
    world.secret("shared", "cli_test:sk_test:secret_wrong");
    world.start();
    world.site("first", ", accountRef: {kind: ClusterScrapeAccount, name: shared}");
    let job = world.until_because("first", "Pending", "AccountNotFound").await;
    let missing = Wait::NoAccount { kind: AccountKind::ClusterScrapeAccount, name: "shared".to_owned() };
    assert_eq!(job["status"]["message"], missing.to_string());
    cluster_account(
        &world,
        "shared",
        ", namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a, b]}]}",
    );
    let job = world.until_because("first", "Pending", "CredentialsMissing").await;
    let (name, operator_namespace) = ("shared".to_owned(), Some("hub".to_owned()));
    assert_eq!(job["status"]["message"], Account::NoSecret { name, operator_namespace }.to_string());
    secret(&world, "hub", "shared", TOKEN);
    world.until("first", "Completed").await;
    assert!(world.requests("whoami").iter().all(|request| request.status == Some(200)));

    // The Secret of the operator's namespace is rotated; another one of that name helps nobody.
    assert!(world.service.expire_token(TOKEN));
    let next = "cli_test:sk_test:secret_next";
    world.service.add_token(next).unwrap();
    world.secret("shared", next);
    world.site("second", ", accountRef: {kind: ClusterScrapeAccount, name: shared}");
    world.until_because("second", "Pending", "CredentialsRejected").await;
    world
        .until_of("ClusterScrapeAccount", "shared", "rejected", |account| {
            condition(account, "Ready").1 == "CredentialsRejected"
        })
        .await;
    secret(&world, "hub", "shared", next);
    world.until("second", "Completed").await;

    // A label that goes takes nothing from what runs: it is followed, and cancelled when it is deleted.
    world.site("runs", ", accountRef: {kind: ClusterScrapeAccount, name: shared}");
    let runs = world.until("runs", "Processing").await;
    secret(&world, "hub", "other", next);
    cluster_account(&world, "other", ", namespaceSelector: {matchLabels: {team: z}}");
    world.site("tells", ", accountRef: {kind: ClusterScrapeAccount, name: other}");
    world.until_because("tells", "Pending", "NamespaceNotAllowed").await;
    world.enter("team-a", "team: \"z\"");
    // Labels and jobs are two watches: once this one is let in, the operator knows the new label.
    world.until("tells", "Completed").await;
    world.site("late", ", accountRef: {kind: ClusterScrapeAccount, name: shared}");
    world.until_because("late", "Pending", "NamespaceNotAllowed").await;
    let id = runs["status"]["jobID"].as_str().unwrap();
    let looks = || world.requests("status").iter().filter(|request| request.path.contains(id)).count();
    let before = looks();
    world.until_true("it is still followed", |_| looks() > before + 1).await;
    let runs = world.get("ScrapeJob", "runs").await;
    assert_eq!(condition(&runs, "Synced").0, "True", "{runs}");
    world.kubectl(&["delete", "scrapejob", "runs", "--wait=false"]).unwrap();
    world.until_of("ScrapeJob", "runs", "gone", serde_json::Value::is_null).await;
    assert_eq!(world.requests("cancel").len(), 1);
    // Left out or empty, the selector admits everybody.
    world
        .bed
        .kubectl(&[
            "patch",
            "csacct",
            "shared",
            "--type=merge",
            "--patch",
            "{\"spec\": {\"namespaceSelector\": {\"matchExpressions\": null}}}",
        ])
        .unwrap();
    world.until("late", "Completed").await;
    assert!(!world.logged().contains("secret_wrong") && !world.logged().contains("secret_canary"));
}

#[tokio::test]
async fn with_a_list_of_namespaces_it_is_off_and_says_so() {
    let mut world = World::without_operator("off", QUICK).await;
    let name = world.namespace.clone();
    secret(&world, &name, &name, TOKEN);
    cluster_account(&world, &name, "");
    world.start();
    world.site("acme", &format!(", accountRef: {{kind: ClusterScrapeAccount, name: {name}}}"));
    // It is left to a release that can see such accounts, and so its status is, too.
    let mut told = Vec::new();
    while told.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        told = world.events("acme").await;
    }
    assert!(told.len() == 1 && told[0].1 == "AccountNotReady", "{told:?}");
    assert!(told[0].2.contains("runs with --watch-namespace"), "{told:?}");
    let job = world.get("ScrapeJob", "acme").await;
    assert_eq!(job["status"]["reason"], "WaitingForController");
    assert!(world.logged().contains("cluster accounts are off"));
    // Whoever names no account is not given one that is off, either.
    world.site("default", "");
    world.until_because("default", "Pending", "AccountNotFound").await;
    assert!(world.requests("whoami").is_empty());
    world.bed.kubectl(&["delete", "csacct", &name]).unwrap();
}

#[tokio::test]
async fn a_selector_that_kubernetes_would_not_take_is_refused() {
    let world = World::without_operator("selectors", "{}").await;
    for expression in
        ["operator: In", "operator: In, values: []", "operator: Exists, values: [a]", "operator: Like"]
    {
        let manifest = format!(
            "{{apiVersion: spideriq.ai/v1alpha1, kind: ClusterScrapeAccount, metadata: {{name: wrong}}, spec: {{secretRef: {{name: x}}, namespaceSelector: {{matchExpressions: [{{key: team, {expression}}}]}}}}}}"
        );
        let error =
            world.bed.run("kubectl", &["apply", "--filename", "-"], &manifest).unwrap_err().to_string();
        assert!(
            error.contains("need values") || error.contains("Unsupported value"),
            "{expression}: {error}"
        );
    }
}
