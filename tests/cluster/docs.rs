//! The docs, tried for real: every command in a block `sh` is run, page by page, each in a namespace of its own; every
//! manifest is taken by the API server. `tests/docs.rs` looks at the rest.

#[path = "../docs/markdown.rs"]
#[expect(dead_code, reason = "tests/docs.rs uses more of it")]
mod markdown;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use emulator::rules::Rules;
use emulator::{Config, Emulator, JobSpec, Running};
use testbed::{Options, Own};

use self::markdown::{Block, Page, ROOT, pages};
use super::reach::elsewhere;
use super::support::TOKEN;

const RULES: &str = "jobs: [{match: {contains: slow}, queued: 0.1, end: processing}, {match: {contains: fails}, queued: 0.1, processing: 0.1, end: failed}, {queued: 0.1, processing: 0.1}]";
/// The job that the pages follow.
const FOLLOWED: &str = "550e8400-e29b-41d4-a716-446655440000";
/// The namespace and the name of the release that the pages install.
const HOME: &str = "spideriq-system";
const RELEASE: &str = "spideriq-operator";
/// What the pages have a reader put in the place of a token.
const PLACE: &str = "YOUR_TOKEN";

/// A reader with a cluster, the programs that the pages name, and a service that costs nothing.
struct Reader {
    bed: Own,
    folder: PathBuf,
    service: Running,
    operator: Option<Child>,
}

impl Reader {
    async fn new() -> Self {
        let bed = Own::start(Options { controller_manager: false }).unwrap();
        let folder = std::env::temp_dir().join(format!("docs-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("bin")).unwrap();
        for (name, program) in [
            ("kubectl", bed.program("kubectl")),
            ("helm", bed.program("helm")),
            ("spideriq-operator", env!("CARGO_BIN_EXE_spideriq-operator").into()),
        ] {
            symlink(program, folder.join("bin").join(name)).unwrap();
        }
        fs::copy(bed.kubeconfig(), folder.join("kubeconfig")).unwrap();
        let config = Config {
            tokens: vec![TOKEN.to_owned()],
            rules: Rules::parse(RULES).unwrap(),
            no_limits: true,
            ..Config::default()
        };
        let service = elsewhere().spawn(Emulator::start(config)).await.unwrap().unwrap();
        let followed = JobSpec { job_id: Some(FOLLOWED.to_owned()), ..JobSpec::default() };
        service.create_jobs(followed).unwrap();
        Self { bed, folder, service, operator: None }
    }

    /// Runs commands as a reader does, and returns what they printed.
    fn run(&self, commands: &str) -> Result<String, String> {
        let path = format!("{}:{}", self.folder.join("bin").display(), std::env::var("PATH").unwrap());
        let output = Command::new("timeout")
            .args(["--kill-after=5", "150", "bash", "-euo", "pipefail", "-c", commands])
            .current_dir(ROOT)
            .env("PATH", path)
            .env("HOME", &self.folder)
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout).unwrap());
        }
        Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// The same for what has to work.
    fn must(&self, commands: &str) -> String {
        self.run(commands).unwrap_or_else(|words| panic!("{commands}: {words}\n{}", self.logged()))
    }

    /// Makes an object, unless it is there; `apply` of a page then leaves alone what the page does not name.
    fn make(&self, manifest: &str) {
        let made = self.bed.run("kubectl", &["create", "--filename", "-"], manifest);
        assert!(made.is_ok() || format!("{made:?}").contains("AlreadyExists"), "{made:?}");
    }

    fn logged(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        log.lines().rev().take(30).collect::<Vec<_>>().join("\n")
    }

    /// The operator, in the place of the pods that no node runs: as the ServiceAccount of the release.
    fn start_operator(&mut self) {
        self.stop_operator();
        let kubeconfig = self.bed.kubeconfig_of(HOME, RELEASE).unwrap();
        let log = File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let operator = Command::new(env!("CARGO_BIN_EXE_spideriq-operator"))
            .args(["run", "--http-listen", "127.0.0.1:0", "--leader-elect=false"])
            .args(["--operator-namespace", HOME, "--allowed-endpoint", &self.service.base_url()])
            .args(["--client-requests-per-minute=6000", "--client-submits-per-minute=1200"])
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.operator = Some(operator.unwrap());
    }

    fn stop_operator(&mut self) {
        if let Some(mut operator) = self.operator.take() {
            let _ = operator.kill();
            let _ = operator.wait();
        }
    }

    /// An account at the emulated service, as the API server would have it from a reader who names that service.
    fn account(&self, kind: &str, namespace: &str) {
        self.make(&format!(
            "{{apiVersion: spideriq.ai/v1alpha1, kind: {kind}, metadata: {{name: default{namespace}}}, spec: {{secretRef: {{name: spideriq}}, endpoint: \"{}\", limits: {{requestsPerMinute: 6000, burst: 1000, submitsPerMinute: 1200}}}}}}",
            self.service.base_url()
        ));
    }

    /// A namespace for a page, with what the page takes for granted.
    fn open(&mut self, page: &Page, blocks: &[&Block]) {
        let all: String = blocks.iter().map(|block| block.text.as_str()).collect();
        if all.contains("helm install") {
            self.stop_operator();
            let _ = self.run(&format!("helm uninstall {RELEASE} --namespace {HOME}"));
        } else if self.operator.is_none() {
            self.must(&format!(
                "helm upgrade --install {RELEASE} charts/{RELEASE} --namespace {HOME} --create-namespace --set image.repository=x"
            ));
            self.start_operator();
        }
        let namespace = page.path.trim_end_matches(".md").replace('/', "-").to_lowercase();
        self.make(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"));
        self.must(&format!("kubectl config set-context --current --namespace {namespace}"));
        if self.operator.is_some() {
            self.furnish(&namespace, &all);
        }
    }

    /// The account, and the Secret and the job that the page does not make itself.
    fn furnish(&self, namespace: &str, all: &str) {
        self.account("ScrapeAccount", &format!(", namespace: {namespace}"));
        self.account("ClusterScrapeAccount", "");
        if !all.contains("create secret generic spideriq --from-literal") || all.contains("--dry-run=client")
        {
            self.must(&format!("kubectl create secret generic spideriq --from-literal=token={TOKEN}"));
        }
        if all.contains("site") && !all.contains("examples/site.yaml") {
            self.must("kubectl apply -f examples/site.yaml");
        }
    }

    /// Runs one block, and compares what it prints with the block behind it.
    fn follow(&mut self, page: &Page, block: &Block, output: Option<&Block>) -> Result<(), String> {
        let place = format!("{}:{}", page.path, block.line);
        let said = self
            .run(&block.text.replace(PLACE, TOKEN))
            .map_err(|words| format!("{place}: {words}\n{}", self.logged()))?;
        if let Some(output) = output
            && said.trim() != output.text.trim()
        {
            return Err(format!("{place}: it prints {said:?}"));
        }
        if block.text.contains("helm install") {
            self.start_operator();
            let namespace = self.must("kubectl config view --minify --output jsonpath={..namespace}");
            self.furnish(&namespace, &page.text);
        }
        if block.text.contains("helm uninstall") {
            self.stop_operator();
        }
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop_operator();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The pages for users, the one that removes everything last.
fn in_order() -> Vec<Page> {
    let mut pages: Vec<Page> = pages().into_iter().filter(Page::is_for_users).collect();
    pages.sort_by_key(|page| page.path.ends_with("uninstall.md"));
    pages
}

#[tokio::test]
async fn what_the_pages_say_to_run_works() {
    let mut reader = Reader::new().await;
    let (mut ran, mut faults) = (0, Vec::new());
    for page in in_order() {
        let blocks = page.blocks();
        let to_run: Vec<&Block> = blocks.iter().filter(|b| b.language == "sh" && b.mark.is_empty()).collect();
        if to_run.is_empty() {
            continue;
        }
        reader.open(&page, &to_run);
        for (at, block) in blocks.iter().enumerate() {
            if block.language == "sh" && block.mark.is_empty() {
                let output = blocks.get(at + 1).filter(|next| next.mark == "output");
                faults.extend(reader.follow(&page, block, output).err());
                ran += 1;
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert!(ran > 20, "{ran} blocks were run");
}

/// A document of YAML that is an object.
fn is_manifest(text: &str) -> bool {
    text.contains("\napiVersion: ") || text.starts_with("apiVersion: ")
}

#[test]
fn the_api_server_takes_every_manifest() {
    let bed = testbed::Testbed::attach().unwrap();
    let namespace = format!("manifests-{}", std::process::id());
    bed.kubectl(&["create", "namespace", &namespace]).unwrap();
    bed.kubectl(&["apply", "--server-side", "--filename", &format!("{ROOT}/crds")]).unwrap();
    bed.kubectl(&[
        "wait",
        super::support::ESTABLISHED,
        "--timeout=60s",
        "--filename",
        &format!("{ROOT}/crds"),
    ])
    .unwrap();
    let mut manifests = Vec::new();
    for page in in_order() {
        for block in page.blocks().into_iter().filter(|block| block.language == "yaml") {
            let place = format!("{}:{}", page.path, block.line);
            if is_manifest(&block.text) {
                manifests.push((place, block.text));
            } else if block.text.starts_with("jobs:") {
                Rules::parse(&block.text).unwrap_or_else(|error| panic!("{place}: {error}"));
            } else {
                let read: Result<serde_json::Value, _> = serde_saphyr::from_str(&block.text);
                assert!(read.is_ok(), "{place}: {read:?}");
            }
        }
    }
    for folder in ["examples", "examples/every-field", "examples/plan"] {
        for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
            let file = entry.unwrap().path();
            let text = if file.is_file() { fs::read_to_string(&file).unwrap() } else { String::new() };
            if is_manifest(&text) {
                manifests.push((file.display().to_string(), text));
            }
        }
    }
    assert!(manifests.len() > 12, "{} manifests", manifests.len());
    let mut faults = Vec::new();
    for (place, manifest) in manifests {
        let manifest = manifest.replace("namespace: team-a", &format!("namespace: {namespace}"));
        let taken = bed.run(
            "kubectl",
            &["apply", "--dry-run=server", "--validate=strict", "--namespace", &namespace, "--filename", "-"],
            &manifest,
        );
        faults.extend(taken.err().map(|error| format!("{place}: {error}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
