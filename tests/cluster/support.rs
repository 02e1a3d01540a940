//! One namespace with a chart of its own, an operator process that runs as the chart's ServiceAccount, and a service.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use emulator::rules::Rules;
use emulator::{Config, Emulator, Running};
use kube::Api;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;
use testbed::Testbed;

pub use super::manifest::{condition, job, site, state_of};
pub use super::reach::{admin, http};
use super::reach::{elsewhere, events, install};

/// The token of every test; it must never be seen anywhere but in a Secret.
pub const TOKEN: &str = "cli_test:sk_test:secret_canary";
/// How long something may take to come true. Nothing asserts how long it took.
const PATIENCE: Duration = Duration::from_secs(150);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What kubectl waits for until a kind is served. `--for=condition` fails where a kind has no conditions yet.
pub const ESTABLISHED: &str = r#"--for=jsonpath={.status.conditions[?(@.type=="Established")].status}=True"#;

/// Everything that a test needs; it ends with it.
pub struct World {
    pub bed: Testbed,
    pub namespace: String,
    /// Where the chart is installed: the operator's own namespace.
    pub home: String,
    pub service: Running,
    /// Where the account finds the service.
    pub endpoint: String,
    pub log: PathBuf,
    /// Namespaces that are watched; none means all.
    watched: Vec<String>,
    /// The operator to run: the one that was built with the tests.
    pub program: PathBuf,
    /// What each client may send: much, because the emulated service has no limits here.
    pub limits: Vec<&'static str>,
    /// More arguments for it.
    pub arguments: Vec<String>,
    /// More of its environment.
    pub variables: Vec<(&'static str, String)>,
    kubeconfig: PathBuf,
    operator: Option<Child>,
    client: kube::Client,
}

impl World {
    /// A namespace with the chart, an account that the service knows, and a running operator.
    pub async fn new(name: &str, rules: &str) -> Self {
        let mut world = Self::without_operator(name, rules).await;
        world.account("default", "");
        world.start();
        world
    }

    /// The same without account and operator.
    pub async fn without_operator(name: &str, rules: &str) -> Self {
        Self::on(Testbed::attach().unwrap(), name, &[], rules).await
    }

    /// The same on this control plane, with more namespaces to watch.
    pub async fn on(bed: Testbed, name: &str, others: &[&str], rules: &str) -> Self {
        let namespace = format!("{name}-{}", std::process::id());
        let others: Vec<String> = others.iter().map(|other| format!("{namespace}-{other}")).collect();
        for other in &others {
            bed.kubectl(&["create", "namespace", other]).unwrap();
        }
        let watched = [std::slice::from_ref(&namespace), &others].concat();
        Self::watching(bed, namespace, watched, rules).await
    }

    /// The same with an operator that watches every namespace: on a control plane that no other test uses.
    pub async fn everywhere(bed: Testbed, name: &str, rules: &str) -> Self {
        Self::watching(bed, name.to_owned(), Vec::new(), rules).await
    }

    async fn watching(bed: Testbed, namespace: String, watched: Vec<String>, rules: &str) -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        bed.kubectl(&["apply", "--server-side", "--filename", &format!("{root}/crds")]).unwrap();
        bed.kubectl(&[
            "wait",
            ESTABLISHED,
            "--timeout=60s",
            "crd/scrapejobs.spideriq.ai",
            "crd/scrapeaccounts.spideriq.ai",
            "crd/clusterscrapeaccounts.spideriq.ai",
        ])
        .unwrap();
        let kubeconfig = install(&bed, &namespace, &watched);
        let config = Config {
            tokens: vec![TOKEN.to_owned()],
            rules: Rules::parse(rules).unwrap(),
            no_limits: true,
            ..Config::default()
        };
        let service = elsewhere().spawn(Emulator::start(config)).await.unwrap().unwrap();
        let endpoint = service.base_url();
        let client = admin(&bed).await;
        let program = env!("CARGO_BIN_EXE_spideriq-operator").into();
        let log = std::env::temp_dir().join(format!("{namespace}-{}.log", std::process::id()));
        let home = namespace.clone();
        let (arguments, variables) = (Vec::new(), Vec::new());
        Self {
            bed,
            namespace,
            home,
            service,
            endpoint,
            log,
            watched,
            program,
            limits: vec!["--client-requests-per-minute=6000", "--client-submits-per-minute=1200"],
            arguments,
            variables,
            kubeconfig,
            operator: None,
            client,
        }
    }

    /// Lets the operator find the API server and the service there: at proxies in front of them.
    pub fn by_way_of(&mut self, api: SocketAddr, service: SocketAddr) {
        let kubeconfig = fs::read_to_string(&self.kubeconfig).unwrap();
        let kubeconfig = kubeconfig.replace(&self.api_server().to_string(), &api.to_string());
        fs::write(&self.kubeconfig, kubeconfig).unwrap();
        self.endpoint = format!("http://{service}/api/v1");
    }

    /// Where the API server listens.
    pub fn api_server(&self) -> SocketAddr {
        let view = ["config", "view", "--output", "jsonpath={.clusters[0].cluster.server}"];
        self.bed.kubectl(&view).unwrap().trim_start_matches("https://").parse().unwrap()
    }

    /// Where the service listens.
    pub fn service_address(&self) -> SocketAddr {
        let url = self.service.base_url();
        url.trim_start_matches("http://").split('/').next().unwrap().parse().unwrap()
    }

    /// Goes on in a namespace with these labels, made where there is none.
    pub fn enter(&mut self, namespace: &str, labels: &str) {
        namespace.clone_into(&mut self.namespace);
        self.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}, labels: {{{labels}}}}}}}"
        ));
    }

    /// An account with its Secret; its limits let a test go fast, because the emulated service has none here.
    pub fn account(&self, name: &str, more: &str) {
        self.secret(name, TOKEN);
        self.account_alone(name, more);
    }

    /// The account without its Secret.
    pub fn account_alone(&self, name: &str, more: &str) {
        self.apply(&format!(
            "{{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeAccount, metadata: {{name: {name}}}, spec: {{secretRef: {{name: {name}}}, endpoint: \"{}\", limits: {{requestsPerMinute: 6000, burst: 1000, submitsPerMinute: 1200}}{more}}}}}",
            self.endpoint
        ));
    }

    /// A Secret with a token.
    pub fn secret(&self, name: &str, token: &str) {
        self.apply(&format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}}}, stringData: {{token: \"{token}\"}}}}"
        ));
    }

    /// A job with this spec.
    pub fn job(&self, name: &str, spec: &str) {
        self.apply(&job(name, spec));
    }

    /// A spiderSite job for `https://NAME.example`, with more of a spec.
    pub fn site(&self, name: &str, more: &str) {
        self.job(name, &site(name, more));
    }

    /// Applies a manifest as the admin.
    pub fn apply(&self, manifest: &str) {
        self.try_apply(manifest).unwrap();
    }

    /// The same, where it may be refused.
    pub fn try_apply(&self, manifest: &str) -> anyhow::Result<String> {
        self.bed.run("kubectl", &["apply", "--namespace", &self.namespace, "--filename", "-"], manifest)
    }

    /// Runs kubectl in the namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.bed.kubectl(&[&["--namespace", self.namespace.as_str()], arguments].concat())
    }

    /// Starts the operator as the chart's ServiceAccount.
    pub fn start(&mut self) {
        self.operator = Some(self.replica(&self.log));
    }

    /// Starts one more of it, which logs there and lives as long as its test lets it.
    pub fn replica(&self, log: &Path) -> Child {
        let log = File::options().create(true).append(true).open(log).unwrap();
        Command::new(&self.program)
            .args(["run", "--http-listen", "127.0.0.1:0"])
            .args(self.watched.iter().map(|watched| format!("--watch-namespace={watched}")))
            .args(["--allowed-endpoint", &self.endpoint])
            .args(&self.limits)
            .args(["--operator-namespace", &self.home, "--lease-name", &self.lease()])
            .args(&self.arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("RUST_LOG", "info,spideriq_operator=debug")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// A command of the operator about this installation, with its rights.
    pub fn asking(&self, name: &str, more: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(name)
            .args(self.watched.iter().map(|watched| format!("--watch-namespace={watched}")))
            .args(["--operator-namespace", &self.home])
            .args(more)
            .env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Runs it: whether it went well, and what it said.
    pub fn command(&self, name: &str, more: &[&str]) -> (bool, String) {
        let Output { status, stdout, stderr } = self.asking(name, more).output().unwrap();
        (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
    }

    /// Installs the chart anew.
    pub fn reinstall(&mut self) {
        self.bed.run("helm", &["uninstall", &self.home, "--namespace", &self.home], "").unwrap();
        self.kubeconfig = install(&self.bed, &self.home, &self.watched);
    }

    /// The kubeconfig of the chart's ServiceAccount.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The name of the lease, as the chart gives it.
    pub fn lease(&self) -> String {
        format!("{}-spideriq-operator", self.home)
    }

    /// The process of the operator.
    pub fn pid(&self) -> u32 {
        self.operator.as_ref().unwrap().id()
    }

    /// Ends the operator as a crash would.
    pub fn kill(&mut self) {
        let mut operator = self.operator.take().unwrap();
        operator.kill().unwrap();
        operator.wait().unwrap();
    }

    /// What the operator answers on a path of its own port; empty while it does not listen.
    pub async fn http(&self, path: &str) -> String {
        http(&self.logged(), path).await
    }

    /// Asks the operator to end, and returns whether it ended well.
    pub async fn stop(&mut self) -> bool {
        Command::new("kill").arg(self.pid().to_string()).status().unwrap();
        let mut operator = self.operator.take().unwrap();
        for _ in 0..150 {
            if let Some(status) = operator.try_wait().unwrap() {
                return status.success();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        operator.kill().unwrap();
        false
    }

    /// An object as it is now; null if there is none.
    pub async fn get(&self, kind: &str, name: &str) -> Value {
        let object = self.api(kind).get_opt(name).await.unwrap();
        object.map_or(Value::Null, |object| serde_json::to_value(object).unwrap())
    }

    /// Waits until something holds for an object, and returns it.
    pub async fn until_of(
        &self,
        kind: &str,
        name: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut seen = Value::Null;
        for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
            seen = self.get(kind, name).await;
            if holds(&seen) {
                return seen;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("{name} never came to: {what}; it is {}", serde_json::to_string_pretty(&seen).unwrap());
    }

    /// Waits until a job has this state, and all that is to be read of it was.
    pub async fn until(&self, name: &str, state: &str) -> Value {
        self.until_of("ScrapeJob", name, state, |job| {
            state_of(job) == state && job["status"]["owed"].is_null()
        })
        .await
    }

    /// Waits until a job has this state and reason.
    pub async fn until_because(&self, name: &str, state: &str, reason: &str) -> Value {
        let what = format!("{state}, {reason}");
        self.until_of("ScrapeJob", name, &what, |job| {
            state_of(job) == state && job["status"]["reason"] == reason
        })
        .await
    }

    /// Waits until something holds that is no object.
    pub async fn until_true(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
            if holds(self) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("never: {what}");
    }

    /// The events of an object: type, reason and note.
    pub async fn events(&self, name: &str) -> Vec<(String, String, String)> {
        events(self.client.clone(), &self.namespace, name).await
    }

    /// A client of the admin.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Who the operator is to the API server.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:operator", self.home)
    }

    /// The operator's own log.
    pub fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The objects of a kind in the namespace, or in the cluster, as the admin.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("spideriq.ai", "v1alpha1", kind));
        if kind.starts_with("Cluster") {
            return Api::all_with(self.client.clone(), &resource);
        }
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut operator) = self.operator.take() {
            let _ = operator.kill();
            let _ = operator.wait();
        }
        if std::thread::panicking() {
            let log = self.logged();
            let lines: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!(
                "--- the operator's last words:\n{}",
                lines.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
        let _ = fs::remove_file(&self.log);
    }
}
