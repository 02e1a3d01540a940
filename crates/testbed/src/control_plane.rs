//! etcd and kube-apiserver, and on request the controller manager, on loopback.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::process::Running;
use crate::{Tool, Tools};

/// How often, and how long, the API server is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(100);
const READY_WITHIN: u32 = 600;
/// How often it is started with other ports, where one is taken.
const TRIES: u32 = 3;

/// Which programs to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Garbage collection, namespace deletion and service-account tokens.
    pub controller_manager: bool,
}

/// A program of the control plane that can be stopped and started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
}

/// A running control plane; it ends, and its folder goes, when this is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    // The order matters: an API server whose store is gone never ends when asked.
    controller_manager: Option<Running>,
    api_server: Option<Running>,
    etcd: Option<Running>,
    folder: TempDir,
    tools: Tools,
    ports: Ports,
}

#[derive(Debug)]
struct Ports {
    etcd: u16,
    peer: u16,
    api: u16,
}

impl ControlPlane {
    /// Builds what is missing, starts it, and waits until it is ready.
    ///
    /// # Errors
    /// If something cannot be built or started; the message names the log.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        Self::with(options, &Tools::locate()?, &[])
    }

    /// The same with these programs, of which more than a control plane needs are offered.
    ///
    /// # Errors
    /// As above.
    pub fn with(options: Options, tools: &Tools, more: &[Tool]) -> anyhow::Result<Self> {
        let manager: &[Tool] = if options.controller_manager { &[Tool::ControllerManager] } else { &[] };
        tools.build(&[&Tool::BASE, manager, more].concat())?;
        sweep();
        let mut tries = 1;
        loop {
            let mut plane = Self::prepared(tools.clone())?;
            match plane.begin(options) {
                Ok(()) => return Ok(plane),
                Err(error) if tries < TRIES && plane.lacks_a_port() => {
                    tries += 1;
                    eprintln!("testbed: starting again with other ports: {error:#}");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One that does not run yet, in a folder of its own.
    fn prepared(tools: Tools) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        fs::write(folder.path().join("owner.pid"), std::process::id().to_string())?;
        let ports = Ports::free()?;
        let plane = Self { controller_manager: None, api_server: None, etcd: None, folder, tools, ports };
        plane.prepare()?;
        Ok(plane)
    }

    fn begin(&mut self, options: Options) -> anyhow::Result<()> {
        self.start_part(Part::Etcd)?;
        self.start_part(Part::ApiServer)?;
        self.wait_until_ready()?;
        if options.controller_manager {
            self.controller_manager = Some(self.start_controller_manager()?);
        }
        Ok(())
    }

    /// Whether somebody took a port between the look for a free one and its use.
    fn lacks_a_port(&self) -> bool {
        ["etcd.log", "kube-apiserver.log"].iter().any(|name| {
            let text = fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
            text.contains("address already in use")
        })
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// The audit log: one JSON object a line for each request.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    /// The folder with everything; it goes when this is dropped.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The programs.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Keys, a token for the admin, the audit policy, and a kubeconfig that trusts the server's own certificate.
    fn prepare(&self) -> anyhow::Result<()> {
        let folder = self.folder.path();
        fs::create_dir_all(folder.join("bin"))?;
        for tool in Tool::ALL.into_iter().chain(Tool::GITOPS) {
            std::os::unix::fs::symlink(self.tools.path(tool), folder.join("bin").join(tool.name()))?;
        }
        let key = rcgen::KeyPair::generate()?;
        fs::write(folder.join("service-account.key"), key.serialize_pem())?;
        fs::write(folder.join("service-account.pub"), key.public_key_pem())?;
        let token = token()?;
        fs::write(folder.join("tokens.csv"), format!("{token},admin,1,\"system:masters\"\n"))?;
        fs::write(folder.join("audit-policy.yaml"), AUDIT_POLICY)?;
        fs::write(self.kubeconfig(), kubeconfig(&self.server(), folder, &token)?)?;
        Ok(())
    }

    fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api)
    }

    /// Starts a stopped part again.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_part(&mut self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Etcd => {
                let arguments = etcd(&self.path("etcd"), self.ports.etcd, self.ports.peer);
                self.etcd = Some(self.run(Tool::Etcd, &arguments)?);
            }
            Part::ApiServer => self.api_server = Some(self.run(Tool::ApiServer, &self.api_arguments())?),
        }
        Ok(())
    }

    /// Ends a part at once, as a crash would.
    pub fn kill_part(&mut self, part: Part) {
        let running = match part {
            Part::Etcd => &mut self.etcd,
            Part::ApiServer => &mut self.api_server,
        };
        if let Some(mut running) = running.take() {
            running.kill();
        }
    }

    fn run(&self, tool: Tool, arguments: &[String]) -> anyhow::Result<Running> {
        let log = self.folder.path().join(format!("{}.log", tool.name()));
        Running::start(&self.tools.path(tool), arguments, &log)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn api_arguments(&self) -> Vec<String> {
        vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd),
            format!("--cert-dir={}", self.path("certificates")),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.ports.api),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", self.path("service-account.pub")),
            format!("--service-account-signing-key-file={}", self.path("service-account.key")),
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={}", self.path("tokens.csv")),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            format!("--audit-policy-file={}", self.path("audit-policy.yaml")),
            format!("--audit-log-path={}", self.path("audit.log")),
            // One file, however long: those who read it go on at an offset.
            "--audit-log-maxsize=0".to_owned(),
        ]
    }

    fn start_controller_manager(&self) -> anyhow::Result<Running> {
        let arguments = [
            format!("--kubeconfig={}", self.path("kubeconfig")),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            format!("--service-account-private-key-file={}", self.path("service-account.key")),
            format!("--root-ca-file={}", self.path("certificates/apiserver.crt")),
            // It makes one, and its own would be the machine's.
            format!("--flex-volume-plugin-dir={}", self.path("volume-plugins")),
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
            "--controllers=*,-node-ipam-controller,-node-lifecycle-controller".to_owned(),
        ];
        self.run(Tool::ControllerManager, &arguments)
    }

    /// Waits until the API server is ready and has made the four namespaces.
    ///
    /// # Errors
    /// If it ends, or is not ready within a minute.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        for _ in 0..READY_WITHIN {
            let running =
                [self.etcd.as_mut(), self.api_server.as_mut()].into_iter().flatten().all(Running::is_running);
            if !running {
                bail!("the control plane ended while it started: {}", self.last_words());
            }
            let ready = self.kubectl(&["get", "--raw", "/readyz"]).is_ok()
                && self
                    .kubectl(&[
                        "get",
                        "namespace",
                        "default",
                        "kube-system",
                        "kube-public",
                        "kube-node-lease",
                    ])
                    .is_ok();
            if ready {
                return Ok(());
            }
            std::thread::sleep(ASK_EVERY);
        }
        bail!("the API server was not ready within a minute: {}", self.last_words())
    }

    fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = Command::new(self.tools.path(Tool::Kubectl))
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .output()
            .context("cannot start kubectl")?;
        if output.status.success() { Ok(()) } else { bail!("{}", String::from_utf8_lossy(&output.stderr)) }
    }

    fn last_words(&self) -> String {
        let tail = |name: &str| {
            let text = fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
            text.lines().rev().take(3).map(str::to_owned).collect::<Vec<_>>().join(" | ")
        };
        format!("etcd: {}; kube-apiserver: {}", tail("etcd.log"), tail("kube-apiserver.log"))
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        for running in [&mut self.controller_manager, &mut self.api_server].into_iter().flatten() {
            running.stop(Duration::from_secs(2));
        }
        if let Some(etcd) = &mut self.etcd {
            etcd.stop(Duration::from_secs(2));
        }
    }
}

impl Ports {
    /// Three ports that are free now.
    fn free() -> anyhow::Result<Self> {
        let listeners = [
            TcpListener::bind("127.0.0.1:0")?,
            TcpListener::bind("127.0.0.1:0")?,
            TcpListener::bind("127.0.0.1:0")?,
        ];
        let [etcd, peer, api] = listeners;
        Ok(Self {
            etcd: etcd.local_addr()?.port(),
            peer: peer.local_addr()?.port(),
            api: api.local_addr()?.port(),
        })
    }
}

/// What the names of the folders begin with.
const PREFIX: &str = "spideriq-testbed-";

/// Removes the folders of control planes whose owner was killed before it could.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let owner = fs::read_to_string(entry.path().join("owner.pid")).unwrap_or_default();
        let gone = owner.parse::<u32>().is_ok_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
        if gone {
            // Somebody else may be sweeping, too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A kubeconfig with this token that trusts the certificate which the server made for itself, and nothing else.
pub(crate) fn kubeconfig(server: &str, folder: &Path, token: &str) -> anyhow::Result<String> {
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {
            "server": server,
            "certificate-authority": folder.join("certificates").join("apiserver.crt"),
        }}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "user"}}],
        "current-context": "testbed",
    });
    Ok(serde_json::to_string_pretty(&config)?)
}

/// The arguments of an etcd of its own, with its data in a folder and on these ports of loopback.
pub(crate) fn etcd(data: &str, clients: u16, peers: u16) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
    vec![
        format!("--data-dir={data}"),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=error".to_owned(),
    ]
}

/// A random token.
pub(crate) fn token() -> anyhow::Result<String> {
    use std::io::Read;
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// One line for each request, when it is over.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
";
