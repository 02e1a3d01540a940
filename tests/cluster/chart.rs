//! The chart as it is packed, taken up by another chart, and installed by who has few rights.

use std::fs;
use std::path::{Path, PathBuf};

use testbed::Testbed;

use super::support::World;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/spideriq-operator");
/// An image that could be pulled.
const IMAGE: &str = "image.repository=registry.example/spideriq-operator";

/// A folder of this test alone.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let into = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &into);
        } else {
            fs::copy(entry.path(), into).unwrap();
        }
    }
}

/// The chart with this version of a build.
fn packed(folder: &Path, version: &str) -> String {
    copy(Path::new(CHART), folder);
    let file = folder.join("Chart.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("version: 0.1.0", &format!("version: {version}"));
    fs::write(file, text.replace("appVersion: 0.1.0", &format!("appVersion: {version}"))).unwrap();
    folder.to_string_lossy().into_owned()
}

#[tokio::test]
async fn a_version_with_a_build_is_taken_by_the_api_server() {
    let bed = Testbed::attach().unwrap();
    // Another test may make the CRDs meanwhile.
    let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename", "-"];
    let long = format!("0.1.0-rc.1+{}", "5f3a1c2.".repeat(12));
    for version in ["0.1.0+5f3a1c2", "0.1.0-rc.1+build.7", long.trim_end_matches('.')] {
        let chart = packed(&folder("chart-version"), version);
        let template =
            ["template", "version", &chart, "--namespace", "default", "--no-hooks", "--set", IMAGE];
        let whole = bed.run("helm", &template, "").unwrap();
        bed.run("kubectl", &apply, &whole).unwrap();
        let tag = whole.lines().find(|line| line.trim_start().starts_with("image:")).unwrap();
        assert!(tag.contains(":0.1.0") && !tag.contains('+'), "{tag}");
    }
}

#[tokio::test]
async fn another_chart_takes_it_up_and_leaves_it_out() {
    let bed = Testbed::attach().unwrap();
    let parent = folder("chart-parent");
    copy(Path::new(CHART), &parent.join("charts/spideriq-operator"));
    let dependency =
        "dependencies: [{name: spideriq-operator, version: '*', condition: spideriq-operator.enabled}]";
    fs::write(
        parent.join("Chart.yaml"),
        format!("apiVersion: v2\nname: parent\nversion: 1.0.0\n{dependency}\n"),
    )
    .unwrap();
    let values = "global: {imageRegistry: x, proxy: {http: y}}\nspideriq-operator: {enabled: true, replicaCount: 1, image: {repository: x}}\n";
    fs::write(parent.join("values.yaml"), values).unwrap();
    let parent = parent.to_string_lossy().into_owned();
    let helm = |more: &[&str]| bed.run("helm", &[&["template", "p", &parent], more].concat(), "").unwrap();
    assert!(helm(&[]).contains("name: \"p-spideriq-operator\""));
    assert!(!helm(&["--set", "spideriq-operator.enabled=false"]).contains("kind: Deployment"));
    let error =
        bed.run("helm", &["template", "p", &parent, "--set", "spideriq-operator.enabled=perhaps"], "");
    assert!(error.unwrap_err().to_string().contains("enabled"));
}

#[tokio::test]
async fn no_user_is_fixed_and_every_family_of_addresses_is_served() {
    let bed = Testbed::attach().unwrap();
    let whole = bed.run("helm", &["template", "x", CHART, "--set", IMAGE], "").unwrap();
    assert!(
        whole.contains("runAsNonRoot: true") && !whole.contains("runAsUser") && !whole.contains("runAsGroup")
    );
    assert!(whole.contains("--http-listen=[::]:8080"), "{whole}");
}

#[tokio::test]
async fn without_a_repository_of_an_image_it_says_how_to_get_one() {
    let bed = Testbed::attach().unwrap();
    let template = |set: &str| bed.run("helm", &["template", "x", CHART, "--set", set], "");
    let error = template("image.tag=x").unwrap_err().to_string();
    assert!(error.contains("make one with `make image`, and name the repository"), "{error}");
    // Everything but the operator itself needs none.
    assert!(template("replicaCount=0").unwrap().contains("replicas: 0"));
    let digest = format!("{IMAGE},image.digest=sha256:{}", "0".repeat(64));
    assert!(template(&digest).unwrap().contains("image: \"registry.example/spideriq-operator@sha256:0000"));
}

/// Who administers two namespaces, and nothing of the cluster, installs the operator for them.
#[tokio::test]
async fn the_namespaced_form_needs_no_rights_of_the_cluster() {
    let bed = Testbed::attach().unwrap();
    let [home, other] = ["chart-home", "chart-other"].map(|name| format!("{name}-{}", std::process::id()));
    for namespace in [&home, &other] {
        bed.kubectl(&["create", "namespace", namespace]).unwrap();
        let role = format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: all, namespace: {namespace}}}\nrules: [{{apiGroups: ['*'], resources: ['*'], verbs: ['*']}}]\n"
        );
        bed.run("kubectl", &["apply", "--filename", "-"], &role).unwrap();
        let grant = ["create", "rolebinding", "ned", "--role=all", "--user=ned", "--namespace", namespace];
        bed.kubectl(&grant).unwrap();
    }
    let watch = format!("watchNamespaces={{{home},{other}}}");
    let set = ["--set", &watch, "--set", "crds.install=false,clusterRoles=false,replicaCount=0"];
    let install = |release: &'static str, set: &[&str]| {
        let install = ["install", release, CHART, "--namespace", &home, "--kube-as-user", "ned"];
        bed.run("helm", &[&install, set].concat(), "")
    };
    install("named", &set).unwrap();
    let rights = ["auth", "can-i", "patch", "scrapejobs.spideriq.ai", "--namespace", &other];
    let operator = format!("--as=system:serviceaccount:{home}:named-spideriq-operator");
    assert!(bed.kubectl(&[&rights[..], &[&operator]].concat()).is_ok());
    bed.kubectl(&["get", "role", "named-spideriq-operator-edit", "--namespace", &other]).unwrap();
    // What it would take of the cluster is refused, so that the test shows something.
    let refused = install("wide", &[set[0], set[1], "--set", IMAGE]).unwrap_err().to_string();
    assert!(refused.contains("forbidden"), "{refused}");
    let error = bed.run("helm", &["template", "x", CHART, "--set", "clusterRoles=false,replicaCount=0"], "");
    assert!(error.unwrap_err().to_string().contains("watchNamespaces"));
}

/// With the chart's defaults the operator reads Secrets of one name, and says which value lets it read another.
#[tokio::test]
async fn by_default_only_secrets_named_spideriq_are_read() {
    let mut world = World::without_operator("secret-names", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    let home = world.namespace.clone();
    let upgrade = ["upgrade", &home, CHART, "--namespace", &home];
    let one = ["--reuse-values", "--set", "rbac.secretNames={spideriq}"];
    world.bed.run("helm", &[upgrade.as_slice(), one.as_slice()].concat(), "").unwrap();
    let user = world.user();
    let may = |arguments: &[&str]| {
        let asked = [&["auth", "can-i", "--as", &user], arguments].concat();
        world.kubectl(&asked).is_ok_and(|said| said.trim() == "yes")
    };
    assert!(may(&["get", "secret/spideriq"]) && !may(&["get", "secret/other"]) && !may(&["list", "secrets"]));
    world.account("other", "");
    world.account("spideriq", "");
    world.start();
    for name in ["other", "spideriq"] {
        world.site(name, &format!(", accountRef: {{name: {name}}}"));
    }
    world.until("spideriq", "Completed").await;
    let other = world.until_because("other", "Pending", "CredentialsMissing").await;
    let message = other["status"]["message"].as_str().unwrap();
    assert!(message.contains("rbac.secretNames"), "{message}");
    // A rotated Secret is noticed by a watch of the one name.
    let next = "cli_test:sk_test:secret_next";
    world.service.add_token(next).unwrap();
    world.site("running", ", accountRef: {name: spideriq}");
    world.secret("spideriq", next);
    world.until("running", "Completed").await;
    let every = ["--reuse-values", "--set", "rbac.secretNames={*}"];
    world.bed.run("helm", &[upgrade.as_slice(), every.as_slice()].concat(), "").unwrap();
    world.until("other", "Completed").await;
}
