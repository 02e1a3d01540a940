//! Starting where something is missing, upgrading and uninstalling: on a control plane of its own.

use std::process::Command;
use std::time::Duration;

use testbed::{Options, Own, Testbed};

use super::support::{ESTABLISHED, World};

/// Runs the operator until it gives up, and returns its last words.
fn refusal(kubeconfig: &std::path::Path, namespace: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_spideriq-operator"))
        .args(["run", "--http-listen", "127.0.0.1:0", "--watch-namespace", namespace])
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    words.lines().filter(|line| line.starts_with("error: ")).collect()
}

#[tokio::test]
async fn what_is_missing_is_said_in_one_sentence_and_what_cannot_be_read_stops_nobody_else() {
    let own = Own::start(Options { controller_manager: true }).unwrap();
    let root = env!("CARGO_MANIFEST_DIR");

    let without_crds = refusal(&own.kubeconfig(), "default");
    assert!(
        without_crds.contains("install the CRDs with `spideriq-operator crds | kubectl apply"),
        "{without_crds}"
    );

    own.kubectl(&["apply", "--server-side", "--filename", &format!("{root}/crds")]).unwrap();
    own.kubectl(&["create", "serviceaccount", "nobody"]).unwrap();
    let nobody = own.kubeconfig_of("default", "nobody").unwrap();
    let without_rights = refusal(&nobody, "default");
    assert!(without_rights.contains("no right to list scrapejobs.spideriq.ai"), "{without_rights}");
    assert!(without_rights.contains("grant the rules of the chart's ClusterRole"), "{without_rights}");

    // An older or newer schema lets through what this release cannot read.
    let relax = r#"[{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec", "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"suspend": {"type": "boolean"}}}}]"#;
    let mut world = World::on((*own).clone(), "odd", &[], "jobs: [{queued: 0.1, processing: 0.1}]").await;
    own.kubectl(&["patch", "crd", "scrapejobs.spideriq.ai", "--type=json", "--patch", relax]).unwrap();
    world
        .until_true("the relaxed schema holds", |world| {
            world.try_apply(&super::support::job("odd", "type: [1]")).is_ok()
        })
        .await;
    world.account("default", "");
    world.start();
    world.site("good", "");
    world.until("good", "Completed").await;
    assert!(world.logged().contains("cannot be read whole"));
    assert!(world.http("/metrics").await.contains("undecodable_objects"), "{}", world.http("/metrics").await);
    // It may be mended, and then goes on.
    world.job("odd", "type: spiderSite, payload: {url: \"https://odd.example\"}");
    world.until("odd", "Completed").await;
}

/// What the API server says a moment later.
async fn soon<T>(look: impl Fn() -> Option<T>) -> T {
    for _ in 0..150 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("it never came");
}

/// Values that the chart's schema does not know, or that mean nothing.
fn wrong_values_are_refused(bed: &Testbed, chart: &[&str]) {
    bed.run("helm", &[&["lint", "--strict"], chart].concat(), "").unwrap();
    for (wrong, words) in [
        ("replicaCount=9", "replicaCount"),
        ("allowedEndpoints={}", "allowedEndpoints"),
        ("logFormat=xml", "logFormat"),
        ("unknown=1", "unknown"),
    ] {
        let error = bed.run("helm", &[&["template", "x"], chart, &["--set", wrong]].concat(), "");
        let error = error.unwrap_err().to_string();
        assert!(error.contains(words), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn the_chart_grants_what_it_says_upgrades_its_crds_and_keeps_them() {
    let own = Own::start(Options { controller_manager: true }).unwrap();
    let chart = format!("{}/charts/spideriq-operator", env!("CARGO_MANIFEST_DIR"));
    let helm = |arguments: &[&str]| own.run("helm", arguments, "");
    let image = ["--set", "image.repository=registry.example/spideriq-operator"];
    wrong_values_are_refused(&own, &[chart.as_str(), image[0], image[1]]);
    let install = ["--namespace", "spideriq-system", "--create-namespace", "--set", "replicaCount=0"];
    helm(&[&["install", "spideriq-operator", &chart], &install[..]].concat()).unwrap();
    own.kubectl(&["wait", ESTABLISHED, "--timeout=60s", "crd/scrapejobs.spideriq.ai"]).unwrap();
    // What runs by default is taken by the API server, too, though nothing here runs pods.
    let template = ["template", "spideriq-operator", &chart, "--namespace", "spideriq-system"];
    let whole = helm(&[&template[..], &image[..]].concat()).unwrap();
    assert!(whole.contains("replicas: 2") && whole.contains("kind: PodDisruptionBudget"), "{whole}");
    let apply = ["apply", "--dry-run=server", "--server-side", "--force-conflicts", "--filename", "-"];
    own.run("kubectl", &apply, &whole).unwrap();
    let explained = soon(|| own.kubectl(&["explain", "sj.spec.readyWhen"]).ok()).await;
    assert!(explained.contains("What counts as healthy for Helm, Flux and Argo CD"), "{explained}");

    // Exactly these rights, and no others.
    let may = |user: &str, verb: &str, what: &str, namespace: &str| {
        let (what, part) = what.split_once('/').unwrap_or((what, ""));
        let part = format!("--subresource={part}");
        own.kubectl(&["auth", "can-i", verb, what, &part, "--namespace", namespace, "--as", user]).is_ok()
    };
    let operator = "system:serviceaccount:spideriq-system:spideriq-operator";
    own.kubectl(&["create", "rolebinding", "joe", "--clusterrole=edit", "--user=joe"]).unwrap();
    own.kubectl(&["create", "rolebinding", "ann", "--clusterrole=view", "--user=ann"]).unwrap();
    for (user, verb, what, allowed) in [
        (operator, "patch", "scrapejobs.spideriq.ai", true),
        (operator, "patch", "scrapejobs.spideriq.ai/status", true),
        (operator, "patch", "scrapeaccounts.spideriq.ai/status", true),
        (operator, "patch", "scrapeaccounts.spideriq.ai", false),
        (operator, "watch", "clusterscrapeaccounts.spideriq.ai", true),
        (operator, "patch", "clusterscrapeaccounts.spideriq.ai/status", true),
        (operator, "patch", "clusterscrapeaccounts.spideriq.ai", false),
        (operator, "watch", "namespaces", true),
        (operator, "patch", "namespaces", false),
        (operator, "create", "scrapejobs.spideriq.ai", false),
        (operator, "delete", "scrapejobs.spideriq.ai", true),
        (operator, "deletecollection", "scrapejobs.spideriq.ai", false),
        (operator, "delete", "scrapeaccounts.spideriq.ai", false),
        (operator, "update", "secrets", false),
        (operator, "create", "events.events.k8s.io", true),
        (operator, "patch", "events.events.k8s.io", false),
        (operator, "get", "pods", false),
        (operator, "get", "configmaps", false),
    ] {
        assert_eq!(may(user, verb, what, "default"), allowed, "{user} {verb} {what}");
    }
    for (verb, what, namespace, allowed) in [
        ("create", "leases.coordination.k8s.io", "spideriq-system", true),
        ("update", "leases.coordination.k8s.io/spideriq-operator", "spideriq-system", true),
        ("watch", "leases.coordination.k8s.io/spideriq-operator", "spideriq-system", true),
        ("update", "leases.coordination.k8s.io/another", "spideriq-system", false),
        ("list", "leases.coordination.k8s.io", "spideriq-system", false),
        ("delete", "leases.coordination.k8s.io/spideriq-operator", "spideriq-system", false),
        ("create", "leases.coordination.k8s.io", "default", false),
    ] {
        let asked = ["auth", "can-i", verb, what, "--namespace", namespace, "--as", operator];
        assert_eq!(own.kubectl(&asked).is_ok(), allowed, "{verb} {what} in {namespace}");
    }
    // The controller manager joins the aggregated roles a moment later.
    let joined = || {
        let edits = may("joe", "create", "scrapejobs.spideriq.ai", "default");
        (edits && may("ann", "get", "scrapejobs.spideriq.ai", "default")).then_some(())
    };
    soon(joined).await;
    for (user, verb, what) in [
        ("joe", "patch", "scrapejobs.spideriq.ai/status"),
        ("ann", "create", "scrapejobs.spideriq.ai"),
        ("joe", "create", "clusterscrapeaccounts.spideriq.ai"),
        ("joe", "create", "scrapejobs.spideriq.ai"),
    ] {
        let there = if (user, verb, what) == ("joe", "create", "scrapejobs.spideriq.ai") {
            "kube-system"
        } else {
            "default"
        };
        assert!(!may(user, verb, what, there), "{user} {verb} {what}");
    }

    // An upgrade brings the CRDs along, and an uninstall leaves them and the objects.
    let crd = "crd/scrapejobs.spideriq.ai";
    let drop = r#"[{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns/0"}]"#;
    own.kubectl(&["patch", crd, "--type=json", "--patch", drop]).unwrap();
    helm(
        &[&["upgrade", "spideriq-operator", &chart, "--force-conflicts"], &install[..2], &install[3..]]
            .concat(),
    )
    .unwrap();
    let names = own
        .kubectl(&["get", crd, "--output", "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}"])
        .unwrap();
    assert!(names.starts_with("Type State Reason"), "{names}");
    let job = super::support::job("kept", &super::support::site("kept", ""));
    own.run("kubectl", &["apply", "--filename", "-"], &job).unwrap();
    helm(&["uninstall", "spideriq-operator", "--namespace", "spideriq-system"]).unwrap();
    assert!(own.kubectl(&["get", "scrapejob", "kept"]).is_ok());
    // The authorizer hears of it a moment later.
    soon(|| (!may(operator, "get", "secrets", "default")).then_some(())).await;
    taken_over_by_another_release(&own, &chart);
}

/// A release of another name takes over what was kept, if it is told to, as the notes of the first one said.
fn taken_over_by_another_release(own: &Own, chart: &str) {
    let helm = |arguments: &[&str]| own.run("helm", arguments, "");
    let other = ["install", "other", chart, "--namespace", "elsewhere", "--create-namespace"];
    let other = [&other[..], &["--set", "replicaCount=0"]].concat();
    let error = helm(&other).unwrap_err().to_string();
    assert!(error.contains("invalid ownership metadata"), "{error}");
    let said = helm(&[&other[..], &["--take-ownership"]].concat()).unwrap();
    assert!(said.contains("--take-ownership") && said.contains("CRDs are kept"), "{said}");
    assert!(own.kubectl(&["get", "scrapejob", "kept"]).is_ok());
}
