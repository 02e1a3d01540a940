//! `spideriq-operator doctor`, as `helm test` runs it: with the rights of the chart's ServiceAccount.

use std::process::{Command, Output};

use super::support::{World, condition};

/// Asks in a world, with the rights of its operator.
fn ask(world: &World, more: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_spideriq-operator"))
        .arg("doctor")
        .args(world.watched().iter().map(|watched| format!("--watch-namespace={watched}")))
        .args(["--operator-namespace", &world.home])
        .args(more)
        .env("KUBECONFIG", world.kubeconfig())
        .output()
        .unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
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
    let proven = |account: &serde_json::Value| condition(account, "Ready").0 == "True";
    world.until_of("ScrapeAccount", "default", "Ready", proven).await;
    let refused = |account: &serde_json::Value| condition(account, "Ready").1 == "CredentialsMissing";
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

    // What it needs is what the chart grants, and nothing of it may be missing.
    let role = format!("role/{lease}");
    let rules = world.kubectl(&["get", &role, "--output=json"]).unwrap();
    let rules: serde_json::Value = serde_json::from_str(&rules).unwrap();
    for (n, rule) in rules["rules"].as_array().unwrap().iter().enumerate() {
        let all = rule["verbs"].as_array().unwrap();
        for without in all {
            let mut less: Vec<&str> = all.iter().filter_map(|verb| verb.as_str()).collect();
            less.retain(|verb| verb != without);
            // A rule without a verb is none.
            less.push("proxy");
            let patch =
                serde_json::json!([{"op": "replace", "path": format!("/rules/{n}/verbs"), "value": less}]);
            world.kubectl(&["patch", &role, "--type=json", "--patch", &patch.to_string()]).unwrap();
            let resource = rule["resources"][0].as_str().unwrap();
            let told = match resource {
                // Only whether each may be read is asked, by the name that its account gives.
                "secrets" if without == "get" => "may not read the Secret",
                // Those of the namespace that is its home, too, another role lets it read.
                "secrets" | "leases" => continue,
                _ => "WRONG  no right to",
            };
            world
                .until_true(&format!("{resource} without {without}"), |world| {
                    ask(world, &asked).1.contains(told)
                })
                .await;
        }
        let patch = serde_json::json!([{"op": "replace", "path": format!("/rules/{n}/verbs"), "value": all}]);
        world.kubectl(&["patch", &role, "--type=json", "--patch", &patch.to_string()]).unwrap();
        world.until_true("all rights again", |world| ask(world, &asked).0).await;
    }
    world.kubectl(&["delete", "clusterrolebinding", &format!("{lease}-crd")]).unwrap();
    let note = "note   no right to get the CRD of ScrapeJob: if somebody deletes it";
    world.until_true("no look at the CRD", |world| ask(world, &asked).1.contains(note)).await;
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
