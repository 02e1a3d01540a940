//! `spideriq-operator doctor`, as `helm test` runs it: with the rights of the chart's ServiceAccount.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use super::support::{World, condition};

/// Asks in a world, with the rights of its operator.
fn ask(world: &World, more: &[&str]) -> (bool, String) {
    world.command("doctor", more)
}

#[tokio::test]
async fn an_installation_that_works_is_told_from_one_that_cannot() {
    let mut world = World::without_operator("doctor", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    let lease = world.lease();
    let asked = ["--lease-name", &lease];
    let (well, said) = ask(&world, &asked);
    assert!(
        !well && said.contains(&format!("WRONG  no replica holds the lease {}/{lease}", world.home)),
        "{said}"
    );

    world.account("default", "");
    world.account_alone("empty", "");
    world.apply("{apiVersion: v1, kind: Secret, metadata: {name: empty}}");
    world.start();
    let proven = |account: &Value| condition(account, "Ready").0 == "True";
    world.until_of("ScrapeAccount", "default", "Ready", proven).await;
    let refused = |account: &Value| condition(account, "Ready").1 == "CredentialsMissing";
    world.until_of("ScrapeAccount", "empty", "without credentials", refused).await;
    let (well, said) = ask(&world, &asked);
    assert!(well, "{said}");
    for words in [
        "fine   the API server answers: Kubernetes v1.",
        "fine   the CRD of ScrapeJob keeps every field of this release",
        "rights are granted",
        "holds the lease",
        &format!("note   ScrapeAccount {}/empty cannot be used: CredentialsMissing", world.namespace),
        "fine   1 of 2 ScrapeAccounts can be used",
    ] {
        assert!(said.contains(words), "no {words}: {said}");
    }
    for words in ["WRONG", "ClusterScrapeAccount", "the CRD of ScrapeJob:"] {
        assert!(!said.contains(words), "{words}: {said}");
    }

    // One right less is named.
    let role = format!("role/{lease}");
    let rules = world.kubectl(&["get", &role, "--output=json"]).unwrap();
    let rules: Value = serde_json::from_str(&rules).unwrap();
    let set = |n: usize, verbs: &Value| {
        let patch = json!([{"op": "replace", "path": format!("/rules/{n}/verbs"), "value": verbs}]);
        world.kubectl(&["patch", &role, "--type=json", "--patch", &patch.to_string()]).unwrap();
    };
    for (n, rule) in rules["rules"].as_array().unwrap().iter().enumerate() {
        for without in rule["verbs"].as_array().unwrap() {
            let mut less = rule["verbs"].as_array().unwrap().clone();
            less.retain(|verb| verb != without);
            // A rule without a verb is none.
            less.push("proxy".into());
            set(n, &less.into());
            let without = without.as_str().unwrap();
            for resource in rule["resources"].as_array().unwrap() {
                let told = match resource.as_str().unwrap() {
                    "secrets" => format!("the operator may not {without} the Secret {}/", world.namespace),
                    // Those of the namespace that is its home, too, another role lets it read.
                    "leases" => continue,
                    resource => {
                        format!("WRONG  no right to {without} {resource} in namespace {}", world.namespace)
                    }
                };
                world.until_true(&told, |world| ask(world, &asked).1.contains(&told)).await;
            }
        }
        set(n, &rule["verbs"]);
        world
            .until_true("all rights again", |world| ask(world, &asked).1.contains("rights are granted"))
            .await;
    }
    world.kubectl(&["delete", "clusterrolebinding", &format!("{lease}-crd")]).unwrap();
    let note = "note   no right to get the CRD of ScrapeJob: if somebody deletes it";
    world.until_true("no look at the CRD", |world| ask(world, &asked).1.contains(note)).await;
}

/// What it asks for is what the chart grants: nothing more, and nothing less.
#[tokio::test]
async fn every_right_of_the_chart_is_asked_for_and_no_other() {
    let world = World::without_operator("doctor-rights", "{}").await;
    world.kubectl(&["create", "serviceaccount", "nobody"]).unwrap();
    let nobody = world.bed.kubeconfig_of(&world.namespace, "nobody").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_spideriq-operator"))
        .args(["doctor", "--operator-namespace", &world.home, "--lease-name", "x-spideriq-operator"])
        .env("KUBECONFIG", nobody)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let asked: BTreeSet<String> = said
        .lines()
        .filter_map(|line| {
            line.strip_prefix("WRONG  no right to ")?.split_once(" in ").map(|(what, _)| what.to_owned())
        })
        .collect();
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/spideriq-operator");
    let template = ["template", "x", chart, "--set", "replicaCount=0,crds.install=false"];
    let whole = world.bed.run("helm", &template, "").unwrap();
    let roles = serde_saphyr::from_multiple::<Value>(&whole).unwrap().into_iter().filter(|object| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        object["rules"].is_array() && ["x-spideriq-operator", "x-spideriq-operator-lease"].contains(&name)
    });
    let words = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut granted = BTreeSet::new();
    for rule in roles.flat_map(|role| role["rules"].as_array().unwrap().clone()) {
        for resource in words(&rule["resources"]) {
            // Secrets are asked for by the names that accounts give; the CRD's comes to a note.
            if !["secrets", "customresourcedefinitions"].contains(&resource.as_str()) {
                granted.extend(words(&rule["verbs"]).into_iter().map(|verb| format!("{verb} {resource}")));
            }
        }
    }
    assert!(granted.len() > 20, "{granted:?}");
    assert_eq!(asked, granted, "{said}");
}

#[tokio::test]
async fn an_api_server_that_is_away_is_named() {
    let world = World::without_operator("doctor-away", "{}").await;
    let kubeconfig = std::fs::read_to_string(world.kubeconfig()).unwrap();
    let away = world.kubeconfig().with_extension("away");
    std::fs::write(&away, kubeconfig.replace(&world.api_server().to_string(), "127.0.0.1:1")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_spideriq-operator"))
        .args(["doctor"])
        .env("KUBECONFIG", away)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && said.contains("WRONG  the API server cannot be reached"), "{said}");
}
