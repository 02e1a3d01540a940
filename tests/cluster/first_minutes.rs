//! `make demo CLUSTER=current` on a cluster of somebody's: what it refuses, and what it leaves behind. Each test has a
//! control plane of its own, because the demo does nothing where the CRDs are.

mod person;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use self::person::{Person, id_of, nobody, processes, run_of, signal, writes};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const MARK: &str = "app.kubernetes.io/instance";

/// One row: what a person does before, what the sentence has in it, and what undoes it.
struct Row {
    name: &'static str,
    before: fn(&mut Person),
    words: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        name: "no kubectl on the PATH",
        before: |person| person.path = person.folder.join("tmp").display().to_string(),
        words: &["kubectl is not on the PATH; install it"],
    },
    Row {
        name: "no helm on the PATH",
        before: |person| {
            let folder = person.folder.join("kubectl-alone");
            fs::create_dir(&folder).unwrap();
            symlink(person.bed.program("kubectl"), folder.join("kubectl")).unwrap();
            person.path = folder.display().to_string();
        },
        words: &["helm is not on the PATH; install it"],
    },
    Row {
        name: "no kubeconfig",
        before: |person| person.kubeconfig = person.folder.join("none").display().to_string(),
        words: &["there is no context to use", "kubectl config use-context"],
    },
    Row {
        name: "no cluster",
        before: |person| {
            let text = fs::read_to_string(&person.kubeconfig).unwrap();
            let text =
                text.replace("\"testbed\"", "\"te\\u001b[31m st\"").replace("127.0.0.1:", "127.0.0.1:1/");
            person.kubeconfig = person.folder.join("closed").display().to_string();
            fs::write(&person.kubeconfig, text).unwrap();
        },
        words: &["no cluster answers at https://127.0.0.1:1/", r"context $'te\E[31m st'", "kubectl version"],
    },
    Row {
        name: "an API server that is older than the chart",
        before: |person| {
            let root = person.folder.join("older");
            fs::create_dir_all(root.join("tests")).unwrap();
            for script in ["tests/demo.sh", "tests/demo-current.sh"] {
                fs::copy(Path::new(ROOT).join(script), root.join(script)).unwrap();
            }
            let chart = root.join("charts/spideriq-operator");
            fs::create_dir_all(&chart).unwrap();
            let text =
                fs::read_to_string(Path::new(ROOT).join("charts/spideriq-operator/Chart.yaml")).unwrap();
            fs::write(chart.join("Chart.yaml"), text.replace(">=1.", ">=2.")).unwrap();
            person.script = root.join("tests/demo.sh");
        },
        words: &["the chart does not fit this cluster", "requires kubeVersion: >=2."],
    },
    Row {
        name: "few rights",
        before: |person| person.kubeconfig = nobody(&person.bed),
        words: &[
            "you lack rights",
            "namespaces create,delete",
            "customresourcedefinitions.apiextensions.k8s.io create",
            "serviceaccounts/token create",
            "scrapejobs/status.spideriq.ai patch",
        ],
    },
    Row {
        name: "nobody to ask",
        before: |_| (),
        words: &["there is no terminal to ask at; answer with YES=1"],
    },
    Row {
        name: "a Lease",
        before: |person| {
            person.apply(
            "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: prod-spideriq-operator, namespace: default}}",
        );
        },
        words: &["installed there already", "Lease default/prod-spideriq-operator"],
    },
    Row {
        name: "a CRD",
        before: |person| {
            person
                .bed
                .kubectl(&["delete", "lease", "prod-spideriq-operator", "--namespace", "default"])
                .unwrap();
            person.install_crds();
        },
        words: &["installed there already", "CRD scrapejobs.spideriq.ai"],
    },
    Row {
        name: "an account of the cluster",
        before: |person| {
            person.apply(
            "{apiVersion: spideriq.ai/v1alpha1, kind: ClusterScrapeAccount, metadata: {name: default}, spec: {secretRef: {name: spideriq}, namespaceSelector: {}}}",
        );
        },
        words: &["installed there already", "ClusterScrapeAccount default"],
    },
    Row {
        name: "what an earlier run left",
        before: |person| {
            person.bed.kubectl(&["delete", "clusterscrapeaccount", "default"]).unwrap();
            let mark = format!("{MARK}=spideriq-demo-0123abcd");
            person.bed.kubectl(&["label", "crd", "--all", &mark]).unwrap();
        },
        words: &["an earlier run of this demo was killed", "`make demo CLUSTER=current CLEAN=0123abcd`"],
    },
];

#[test]
fn it_refuses_with_a_sentence_before_it_writes_anything() {
    let mut person = Person::new("refuses", false);
    let (kubeconfig, path, script) = (person.kubeconfig.clone(), person.path.clone(), person.script.clone());
    for row in ROWS {
        (row.before)(&mut person);
        let (_, from) = person.bed.audit(0).unwrap();
        // Only who is asked says no to a run that could go on.
        let yes = if row.name == "nobody to ask" { "" } else { "1" };
        let ended = person.run(&[("YES", yes)]);
        assert_eq!(ended.code, Some(1), "{}: {}", row.name, ended.said);
        for words in row.words {
            assert!(ended.said.contains(words), "{}: no {words:?} in {}", row.name, ended.said);
        }
        assert_eq!(ended.said.matches("demo: ").count(), 1, "{}: {}", row.name, ended.said);
        let written: Vec<_> = person.bed.audit(from).unwrap().0.into_iter().filter(writes).collect();
        // The API server writes its own bookkeeping.
        let written: Vec<_> = written.iter().filter(|entry| entry.user != "system:apiserver").collect();
        assert!(written.is_empty(), "{}: {written:#?}", row.name);
        assert_eq!(fs::read_dir(person.folder.join("tmp")).unwrap().count(), 0, "{}", row.name);
        (person.kubeconfig, person.path, person.script) = (kubeconfig.clone(), path.clone(), script.clone());
    }
}

/// Files that a person's kubeconfig is made of: a context with an odd name in one, a user with a plugin beside it in
/// another.
fn kubeconfig_in_parts(person: &Person, of: &str) -> String {
    let whole: Value = serde_json::from_str(&fs::read_to_string(of).unwrap()).unwrap();
    let token = whole["users"][0]["user"]["token"].as_str().unwrap();
    let credential = serde_json::json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}});
    let home = person.folder.join("home of $(id)");
    fs::create_dir_all(home.join("bin")).unwrap();
    let plugin = home.join("bin/plugin");
    fs::write(&plugin, format!("#!/bin/sh\necho '{credential}'\n")).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o700)).unwrap();
    let (context, user) = ("arn:aws/'we\"ird\n$(touch x)", "some.body@example/x");
    let first = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": context, "clusters": whole["clusters"],
        "contexts": [{"name": context, "context": {"cluster": "testbed", "user": user, "namespace": "prod"}}],
    });
    let second = serde_json::json!({
        "apiVersion": "v1", "kind": "Config",
        "users": [{"name": user, "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./bin/plugin", "interactiveMode": "Never"}}}],
    });
    fs::write(home.join("first"), first.to_string()).unwrap();
    fs::write(home.join("second"), second.to_string()).unwrap();
    let home = home.display();
    format!("{home}/first:{home}/second:{home}/none")
}

/// Every file below a folder, with what is in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// The rights that a refusal names, as the rules of a role.
fn rules(said: &str) -> Value {
    let (_, rights) = said.trim().rsplit_once("in all namespaces: ").unwrap();
    let rule = |right: &str| {
        let (resource, verbs) = right.split_once(' ').unwrap();
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        serde_json::json!({"apiGroups": [group], "resources": [resource], "verbs": verbs.split(',').collect::<Vec<_>>()})
    };
    rights.split("; ").map(rule).collect()
}

#[test]
fn with_just_the_rights_that_it_names_it_runs_and_leaves_nothing() {
    let mut person = Person::new("whole", true);
    let token_file = nobody(&person.bed);
    person.kubeconfig = kubeconfig_in_parts(&person, &token_file);
    let home = person.folder.join("home of $(id)");
    let written = files(&home);
    let refused = person.run(&[("YES", "1")]);
    person.apply(
        &serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "named"}, "rules": rules(&refused.said)})
            .to_string(),
    );
    person
        .bed
        .kubectl(&[
            "create",
            "clusterrolebinding",
            "named",
            "--clusterrole=named",
            "--serviceaccount=default:nobody",
        ])
        .unwrap();
    // A cluster of others: Pod Security is enforced, and something is called as if it were ours.
    person.apply(
        "{apiVersion: v1, kind: Namespace, metadata: {name: spideriq-system, labels: {pod-security.kubernetes.io/enforce: restricted, app.kubernetes.io/name: spideriq-operator, app.kubernetes.io/instance: spideriq-demo}}}",
    );
    person.apply("{apiVersion: v1, kind: Secret, metadata: {name: spideriq, namespace: spideriq-system}}");
    let before = person.settled();
    let (_, from) = person.bed.audit(0).unwrap();
    // What of the person's settings would lead elsewhere.
    let settings =
        [("YES", "1"), ("HELM_KUBECONTEXT", "prod"), ("HELM_NAMESPACE", "prod"), ("HELM_DRIVER", "memory")];
    let ended = person.run(&settings);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(ended.said.contains("all four ended as they should"), "{}", ended.said);
    let own = run_of(&ended.said);
    assert_eq!(before, person.settled());
    assert_eq!(written, files(&home));
    person.bed.kubectl(&["delete", "namespace", "spideriq-system"]).unwrap();
    person.nothing_is_left(&ended.said);
    assert!(!Path::new(ROOT).join("x").exists());
    let token: Value = serde_json::from_str(&fs::read_to_string(&token_file).unwrap()).unwrap();
    let token = token["users"][0]["user"]["token"].as_str().unwrap();
    assert!(
        !ended.said.contains(token) && !ended.said.contains("eyJ") && !ended.said.contains("secret_demo")
    );
    // Who ran it wrote nowhere else, as the API server tells it.
    let entries = person.bed.audit(from).unwrap().0;
    let written: Vec<_> = entries.iter().filter(|e| e.user.ends_with(":nobody") && writes(e)).collect();
    assert!(written.len() > 20, "{written:#?}");
    for entry in written {
        let crd = entry.resource == "customresourcedefinitions"
            && (entry.name.is_empty() || entry.name.ends_with(".spideriq.ai"));
        assert!(crd || entry.namespace == own || entry.resource == "namespaces", "{entry:#?}");
    }
}

#[test]
fn a_signal_at_any_point_leaves_nothing() {
    let person = Person::new("signals", true);
    // The last one comes when a job has been sent, whose finalizer holds its namespace.
    for (name, code, words) in
        [("HUP", 129, "== the chart"), ("INT", 130, "== the operator"), ("TERM", 143, "Processing")]
    {
        let demo = person.until_said(words);
        signal(&demo, name);
        // An impatient one changes nothing.
        std::thread::sleep(Duration::from_millis(1500));
        signal(&demo, name);
        let ended = person.ended(demo);
        assert_eq!(ended.code, Some(code), "{name}: {}", ended.said);
        assert!(ended.said.contains("== removing what carries the mark"), "{}", ended.said);
        // The operator, and not force, ends the job that was sent.
        assert!(name != "TERM" || ended.said.contains("\"site\" deleted"), "{}", ended.said);
        assert!(!ended.said.contains("patched"), "{}", ended.said);
        person.nothing_is_left(&ended.said);
    }
}

#[test]
fn what_a_killed_run_left_is_removed_later_but_for_the_kinds_that_others_use() {
    let person = Person::new("killed", true);
    // From here on a job has the finalizer that nobody will take off.
    let mut demo = person.until_said("Processing");
    let id = id_of(&person.said());
    demo.kill().unwrap();
    demo.wait().unwrap();
    // The operator and the service end with it.
    let of_ours = || processes(&person.folder).into_iter().filter(|line| line.contains("debug/spideriq-"));
    for _ in 0..50 {
        if of_ours().count() == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(of_ours().collect::<Vec<_>>(), Vec::<String>::new());
    assert!(person.marked().contains(&format!("namespace/spideriq-demo-{id}")), "{}", person.marked());
    let again = person.run(&[("YES", "1")]);
    let words = format!("CLEAN={id}`");
    assert!(again.code == Some(1) && again.said.contains(&words), "{}", again.said);

    person.apply("{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeJob, metadata: {name: theirs, namespace: default}, spec: {type: spiderSite, payload: {url: 'https://a.example'}}}");
    let theirs = [
        "get",
        "scrapejob",
        "theirs",
        "--namespace",
        "default",
        "--output",
        "jsonpath={.metadata.uid} {.metadata.resourceVersion}",
    ];
    let before = person.bed.kubectl(&theirs).unwrap();
    let clean = [("YES", "1"), ("CLEAN", id.as_str())];
    let ended = person.run(&clean);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(
        ended.said.contains("The CRDs are left, because others need them: scrapejobs default/theirs"),
        "{}",
        ended.said
    );
    assert_eq!(person.bed.kubectl(&theirs).unwrap(), before);
    assert_eq!(person.marked().matches("namespace/").count(), 0, "{}", person.marked());
    assert_eq!(person.marked().matches("customresourcedefinition").count(), 3, "{}", person.marked());

    person.bed.kubectl(&["delete", "scrapejob", "theirs", "--namespace", "default"]).unwrap();
    // Nor where an operator has just been installed that has no objects yet.
    person.apply(
        "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: prod-spideriq-operator, namespace: default}}",
    );
    let ended = person.run(&clean);
    assert!(ended.said.contains("leases default/prod-spideriq-operator"), "{}", ended.said);
    assert_eq!(person.marked().matches("customresourcedefinition").count(), 3, "{}", person.marked());

    person.bed.kubectl(&["delete", "lease", "prod-spideriq-operator", "--namespace", "default"]).unwrap();
    let ended = person.run(&clean);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    person.nothing_is_left(&ended.said);
}
