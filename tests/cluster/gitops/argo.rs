//! Argo CD: its application controller and repo server, on a repository of files.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use testbed::argo_cd_crds;

use super::super::support::{World, state_of};
use super::{Engine, Folder, RULES, install, manifest, run, submits, until_other};

const APPLICATION: &str = "applications.argoproj.io";
/// As people give it to Argo CD's Helm chart.
const VALUES: &str = include_str!("../../../examples/argocd/values.yaml");

/// A repository in a folder.
struct Repository(PathBuf);

impl Repository {
    fn new(folder: &Folder, name: &str) -> Self {
        let path = folder.0.join(name);
        fs::create_dir_all(&path).unwrap();
        let repository = Self(path);
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    fn git(&self, arguments: &[&str]) {
        let who = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        run(Command::new("git")
            .args(who)
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .current_dir(&self.0));
    }

    fn commit(&self, files: &[(&str, String)]) {
        for (file, text) in files {
            fs::write(self.0.join(file), text).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "jobs"]);
    }
}

/// Ports that nobody has at this moment.
fn ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|held| held.local_addr().unwrap().port())
}

/// What the installation of Argo CD makes: its settings, with ours, and a project that allows everything.
fn settings(world: &World) {
    let values: Value = serde_saphyr::from_str(VALUES).unwrap();
    let labels = json!({"app.kubernetes.io/part-of": "argocd"});
    let metadata = |name: &str| json!({"name": name, "namespace": world.namespace, "labels": labels});
    let map = |name: &str, data: &Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "data": data});
    let project = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": metadata("default"),
        "spec": {"sourceRepos": ["*"], "destinations": [{"namespace": "*", "server": "*"}]},
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata("argocd-secret"),
        "stringData": {"server.secretkey": "only-of-this-test"},
    });
    let empty = json!({});
    let maps = ["argocd-rbac-cm", "argocd-cmd-params-cm", "argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm"];
    let mut objects: Vec<Value> = maps.iter().map(|name| map(name, &empty)).collect();
    objects.extend([map("argocd-cm", &values["configs"]["cm"]), secret, project]);
    for object in objects {
        world.apply(&object.to_string());
    }
}

/// Redis, the repo server and the controller.
fn engines(world: &World, folder: &Folder) -> [Engine; 3] {
    let [redis, repos, metrics, more] = ports();
    let local = |port: u16| format!("127.0.0.1:{port}");
    let mut store = Command::new("redis-server");
    store
        .args(["--bind", "127.0.0.1", "--port", &redis.to_string(), "--save", "", "--appendonly", "no"])
        .current_dir(&folder.0);
    let argo = |command: &str, arguments: &[&str]| {
        let mut argo = Command::new(world.bed.program("argo"));
        argo.arg(command)
            .args(arguments)
            .args(["--redis", &local(redis)])
            .current_dir(&folder.0)
            .env("KUBECONFIG", world.bed.kubeconfig())
            .env("ARGOCD_FAKE_IN_CLUSTER", "true")
            .env("ARGOCD_GPG_ENABLED", "false")
            .env("HOME", &folder.0)
            .env("TMPDIR", &folder.0);
        for data in ["ARGOCD_SSH_DATA_PATH", "ARGOCD_TLS_DATA_PATH"] {
            argo.env(data, &folder.0);
        }
        argo
    };
    let server = argo(
        "argocd-repo-server",
        &[
            "--address=127.0.0.1",
            &format!("--port={repos}"),
            "--disable-tls",
            "--metrics-address=127.0.0.1",
            &format!("--metrics-port={metrics}"),
        ],
    );
    let controller = argo(
        "argocd-application-controller",
        &[
            "--namespace",
            &world.namespace,
            "--repo-server",
            &local(repos),
            "--repo-server-plaintext",
            &format!("--metrics-port={more}"),
            "--app-resync=5",
            "--app-resync-jitter=0",
            "--kubeconfig",
            world.bed.kubeconfig().to_str().unwrap(),
        ],
    );
    [
        Engine::start("redis", &store, &folder.0),
        Engine::start("repo-server", &server, &folder.0),
        Engine::start("application-controller", &controller, &folder.0),
    ]
}

/// Has Argo CD keep a repository applied, and not try a bad commit for ever.
fn application(world: &World, name: &str, repository: &Repository) {
    let application = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "namespace": world.namespace},
        "spec": {
            "project": "default",
            "source": {"repoURL": format!("file://{}", repository.0.display()), "path": ".", "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": world.namespace},
            "syncPolicy": {"automated": {"prune": true}, "retry": {"limit": 1, "backoff": {"duration": "2s"}}},
        },
    });
    world.apply(&application.to_string());
}

/// Waits until an application is in sync and of this health.
async fn shows(world: &World, name: &str, health: &str) -> Value {
    let shown = |seen: &Value| {
        seen["status"]["sync"]["status"] == "Synced" && seen["status"]["health"]["status"] == health
    };
    until_other(world, (APPLICATION, name), &format!("Synced and {health}"), shown).await
}

/// Has it look at Git now.
fn refresh(world: &World, name: &str) {
    let ask = ["annotate", APPLICATION, name, "argocd.argoproj.io/refresh=normal", "--overwrite"];
    world.kubectl(&ask).unwrap();
}

#[tokio::test]
#[ignore = "it needs Argo CD and Redis: `make gitops` runs it"]
async fn argo_cd_shows_jobs_as_they_are_and_pays_for_a_run_once() {
    let world = World::new("argo", RULES).await;
    install(&world, &argo_cd_crds().unwrap()).await;
    settings(&world);
    let folder = Folder::new("argo");
    let _engines = engines(&world, &folder);

    // Healthy after the job, Progressing before.
    let (good, failing) = (Repository::new(&folder, "good"), Repository::new(&folder, "failing"));
    good.commit(&[("job.yaml", manifest(&world, "site", "one", ""))]);
    failing.commit(&[("job.yaml", manifest(&world, "failing", "fails", ""))]);
    application(&world, "good", &good);
    application(&world, "failing", &failing);
    shows(&world, "good", "Progressing").await;
    shows(&world, "good", "Healthy").await;
    assert_eq!(state_of(&world.get("ScrapeJob", "site").await), "Completed");
    shows(&world, "failing", "Degraded").await;

    // A second run: the payload and its runID in one commit.
    good.commit(&[("job.yaml", manifest(&world, "site", "two", "  runID: second\n"))]);
    refresh(&world, "good");
    world.until_of("ScrapeJob", "site", "the second run", |job| job["status"]["runID"] == "second").await;
    world.until("site", "Completed").await;
    shows(&world, "good", "Healthy").await;
    assert_eq!((submits(&world, "one"), submits(&world, "two")), (1, 1));

    // Another payload alone is refused, in our words, and the job stays as it is. The next good commit goes on.
    good.commit(&[("job.yaml", manifest(&world, "site", "three", "  runID: second\n"))]);
    refresh(&world, "good");
    let refused = |seen: &Value| {
        let operation = &seen["status"]["operationState"];
        operation["phase"] == "Failed" && operation.to_string().contains("set a new runID")
    };
    until_other(&world, (APPLICATION, "good"), "refused", refused).await;
    assert_eq!(submits(&world, "three"), 0);
    let kept = "  runID: third\n  ttlSecondsAfterFinished: 0\n";
    good.commit(&[("job.yaml", manifest(&world, "site", "three", kept))]);
    refresh(&world, "good");
    world.until_of("ScrapeJob", "site", "the third run", |job| job["status"]["runID"] == "third").await;
    shows(&world, "good", "Healthy").await;

    // What Argo CD keeps is not deleted by its time to live, and says so.
    let says = |job: &Value| job["status"]["message"].as_str().is_some_and(|words| words.contains("Argo CD"));
    world.until_of("ScrapeJob", "site", "held back", says).await;

    // What is gone from Git is cancelled, and gone.
    good.commit(&[("job.yaml", manifest(&world, "running", "long", ""))]);
    refresh(&world, "good");
    world.until_of("ScrapeJob", "site", "gone", Value::is_null).await;
    let id = world.until("running", "Processing").await["status"]["jobID"].clone();
    good.commit(&[("job.yaml", manifest(&world, "site", "four", ""))]);
    refresh(&world, "good");
    world.until_of("ScrapeJob", "running", "gone", Value::is_null).await;
    let job = world.service.jobs().into_iter().find(|job| id == *job.job_id).unwrap();
    assert_eq!(job.state, "cancelled");
    shows(&world, "good", "Healthy").await;
    for page in ["one", "two", "three", "four", "long", "fails"] {
        assert_eq!(submits(&world, page), 1, "{page}");
    }
}
