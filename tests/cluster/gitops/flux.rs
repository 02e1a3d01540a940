//! Flux: its kustomize-controller applies what a GitRepository names, waits for it, and says how it went.

use std::fs;
use std::process::Command;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testbed::flux_crds;
use tokio::net::TcpListener;

use super::super::support::{World, condition, state_of};
use super::{Engine, Folder, RULES, install, manifest, run, submits, until_other};

const KUSTOMIZATION: &str = "kustomizations.kustomize.toolkit.fluxcd.io";
/// What a person may write in place of `wait: true`.
const EXPRESSIONS: &str = include_str!("../../../examples/flux/kustomization.yaml");

/// Git as Flux sees it: an archive for each revision, which this serves in place of source-controller.
struct Source<'a> {
    world: &'a World,
    folder: Folder,
    address: String,
}

impl<'a> Source<'a> {
    async fn serve(world: &'a World) -> Self {
        let folder = Folder::new(&format!("{}-source", world.namespace));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/{name}", get(archive)).with_state(folder.0.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { world, folder, address }
    }

    /// A commit with these files: what source-controller writes once it has fetched it.
    fn commit(&self, repository: &str, revision: u32, files: &[(&str, String)]) {
        let name = format!("{repository}-{revision}");
        let tree = self.folder.0.join(&name);
        fs::create_dir_all(&tree).unwrap();
        for (file, text) in files {
            fs::write(tree.join(file), text).unwrap();
        }
        let archive = self.folder.0.join(format!("{name}.tar.gz"));
        run(Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&tree).arg("."));
        let bytes = fs::read(&archive).unwrap();
        let artifact = json!({
            "url": format!("{}/{name}.tar.gz", self.address), "path": format!("{name}.tar.gz"),
            "revision": format!("main@sha1:{revision:040}"),
            "digest": format!("sha256:{}", hex::encode(Sha256::digest(&bytes))),
            "size": bytes.len(), "lastUpdateTime": "2026-01-01T00:00:00Z",
        });
        let spec = format!(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: {repository}, namespace: {}}}\nspec: {{interval: 1h, url: \"https://git.example/jobs\"}}\n",
            self.world.namespace
        );
        self.world.apply(&spec);
        let status = json!({"status": {
            "artifact": artifact, "observedGeneration": 1,
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
            }],
        }});
        let patch = status.to_string();
        let to =
            ["patch", "gitrepository", repository, "--subresource=status", "--type=merge", "--patch", &patch];
        self.world.kubectl(&to).unwrap();
    }

    /// Has Flux apply a repository; `more` is how it waits.
    fn apply(&self, repository: &str, more: &str) {
        self.world.apply(&format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {repository}, namespace: {}}}\nspec:\n  interval: 1h\n  retryInterval: 5s\n  timeout: 2m\n  prune: true\n  path: ./\n  sourceRef: {{kind: GitRepository, name: {repository}}}\n{more}",
            self.world.namespace
        ));
    }

    /// Waits until Flux is done with a revision.
    async fn applied(&self, repository: &str, revision: u32) -> Value {
        let revision = format!("main@sha1:{revision:040}");
        let done = |seen: &Value| {
            ready(seen).0 == "True" && seen["status"]["lastAppliedRevision"] == revision.as_str()
        };
        until_other(self.world, (KUSTOMIZATION, repository), &format!("ready at {revision}"), done).await
    }
}

async fn archive(
    State(folder): State<std::path::PathBuf>,
    Path(name): Path<String>,
) -> Result<Vec<u8>, StatusCode> {
    fs::read(folder.join(name)).map_err(|_| StatusCode::NOT_FOUND)
}

/// The status, reason and message of the condition Ready.
fn ready(seen: &Value) -> (&str, &str, &str) {
    condition(seen, "Ready")
}

/// A namespace with our operator, and Flux beside it.
async fn beside_flux(name: &str) -> (World, Folder, Engine) {
    let world = World::new(name, RULES).await;
    install(&world, &flux_crds().unwrap()).await;
    let folder = Folder::new(name);
    let controller = controller(&world, &folder);
    (world, folder, controller)
}

fn controller(world: &World, folder: &Folder) -> Engine {
    let mut command = Command::new(world.bed.program("kustomize-controller"));
    command
        .args(["--metrics-addr=0", "--health-addr=0", "--requeue-dependency=2s", "--log-level=info"])
        .arg("--watch-all-namespaces=false")
        .env("KUBECONFIG", world.bed.kubeconfig())
        .env("RUNTIME_NAMESPACE", &world.namespace)
        .env("TMPDIR", &folder.0);
    Engine::start("kustomize-controller", &command, &folder.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it needs Flux: `make gitops` runs it"]
async fn flux_waits_for_jobs_and_pays_for_a_run_once() {
    let (world, _folder, _controller) = beside_flux("flux").await;
    let source = Source::serve(&world).await;

    // Ready after the job, and not before.
    source.commit("jobs", 1, &[("job.yaml", manifest(&world, "site", "one", ""))]);
    source.apply("jobs", "  wait: true\n");
    source.applied("jobs", 1).await;
    assert_eq!(state_of(&world.get("ScrapeJob", "site").await), "Completed");
    assert_eq!(submits(&world, "one"), 1);

    // One that fails is told long before the two minutes are over.
    source.commit("failing", 1, &[("job.yaml", manifest(&world, "failing", "fails", ""))]);
    source.apply("failing", "  wait: true\n");
    let failed = until_other(&world, (KUSTOMIZATION, "failing"), "failed", |seen| {
        ready(seen).1 == "HealthCheckFailed"
    })
    .await;
    let (status, _, message) = ready(&failed);
    assert_eq!(status, "False", "{message}");
    assert!(message.contains("ScrapeJob") && !message.contains("timeout"), "{message}");

    // A second run: the payload and its runID in one commit.
    source.commit("jobs", 2, &[("job.yaml", manifest(&world, "site", "two", "  runID: second\n"))]);
    source.applied("jobs", 2).await;
    let job = world.get("ScrapeJob", "site").await;
    assert_eq!((state_of(&job), &job["status"]["runID"]), ("Completed", &json!("second")));
    assert_eq!((submits(&world, "one"), submits(&world, "two")), (1, 1));

    // What Flux keeps is not deleted by its time to live, and says so.
    let kept = manifest(&world, "site", "two", "  runID: second\n  ttlSecondsAfterFinished: 0\n");
    source.commit("jobs", 3, &[("job.yaml", kept)]);
    source.applied("jobs", 3).await;
    let says = |job: &Value| job["status"]["message"].as_str().is_some_and(|words| words.contains("Flux"));
    world.until_of("ScrapeJob", "site", "held back", says).await;

    // What is gone from Git is cancelled, and gone.
    source.commit("jobs", 4, &[("job.yaml", manifest(&world, "running", "long", "  readyWhen: Accepted\n"))]);
    source.applied("jobs", 4).await;
    world.until_of("ScrapeJob", "site", "gone", Value::is_null).await;
    let id = world.until("running", "Processing").await["status"]["jobID"].clone();
    source.commit("jobs", 5, &[("job.yaml", manifest(&world, "site", "three", ""))]);
    source.applied("jobs", 5).await;
    world.until_of("ScrapeJob", "running", "gone", Value::is_null).await;
    let job = world.service.jobs().into_iter().find(|job| id == *job.job_id).unwrap();
    assert_eq!(job.state, "cancelled");
    for page in ["one", "two", "three", "long", "fails"] {
        assert_eq!(submits(&world, page), 1, "{page}");
    }
}

/// The same by expressions, as `examples/flux` has them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it needs Flux: `make gitops` runs it"]
async fn flux_reads_a_job_by_the_expressions_of_the_example() {
    let (world, _folder, _controller) = beside_flux("flux-cel").await;
    let source = Source::serve(&world).await;
    let checks = EXPRESSIONS.split_once("  healthCheckExprs:\n").unwrap().1;
    for (repository, page) in [("good", "one"), ("bad", "fails")] {
        source.commit(repository, 1, &[("job.yaml", manifest(&world, repository, page, ""))]);
        let health = format!(
            "  healthChecks: [{{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeJob, name: {repository}, namespace: {}}}]\n  healthCheckExprs:\n{checks}",
            world.namespace
        );
        source.apply(repository, &health);
    }
    source.applied("good", 1).await;
    assert_eq!(state_of(&world.get("ScrapeJob", "good").await), "Completed");
    let failed =
        until_other(&world, (KUSTOMIZATION, "bad"), "failed", |seen| ready(seen).1 == "HealthCheckFailed")
            .await;
    let (status, _, message) = ready(&failed);
    assert_eq!(status, "False", "{message}");
    assert!(message.contains("ScrapeJob") && !message.contains("timeout"), "{message}");
}
