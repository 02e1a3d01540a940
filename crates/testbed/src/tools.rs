//! The programs: built once from the Go modules that `go/go.mod` pins, and kept by the hash of what they are made of.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::installed;

/// The version of Kubernetes that `go.mod` pins. The binaries are told it, because clients ask a server for it.
const KUBERNETES: &str = "1.37.2";
/// The version of Helm that `go.mod` pins.
const HELM: &str = "4.3.1";
/// How often a long build says that it goes on.
const PROGRESS: Duration = Duration::from_secs(15);

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
    /// The client.
    Kubectl,
    /// Garbage collection, namespace deletion, tokens.
    ControllerManager,
    /// The package manager.
    Helm,
    /// Prints what both kstatus libraries make of objects.
    Kstatus,
}

impl Tool {
    /// Every program, those that are always needed first.
    pub const ALL: [Self; 6] =
        [Self::Etcd, Self::Kubectl, Self::ApiServer, Self::ControllerManager, Self::Helm, Self::Kstatus];
    /// What a control plane needs.
    pub const BASE: [Self; 3] = [Self::Etcd, Self::Kubectl, Self::ApiServer];

    /// The name of its binary.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::Kubectl => "kubectl",
            Self::ControllerManager => "kube-controller-manager",
            Self::Helm => "helm",
            Self::Kstatus => "kstatus",
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::ApiServer => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Self::ControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::Helm => "helm.sh/helm/v4/cmd/helm",
            Self::Kstatus => "./kstatus",
        }
    }

    /// The name that go gives to its binary.
    const fn built_as(self) -> &'static str {
        match self {
            Self::Etcd => "server",
            Self::ApiServer | Self::Kubectl | Self::ControllerManager | Self::Helm | Self::Kstatus => {
                self.name()
            }
        }
    }

    /// About how long its first build takes on two cores, in seconds.
    const fn first_build(self) -> u32 {
        match self {
            Self::Etcd => 40,
            Self::ApiServer => 280,
            Self::Kubectl | Self::ControllerManager => 80,
            Self::Helm => 20,
            Self::Kstatus => 5,
        }
    }
}

/// The folder with the built programs.
#[derive(Clone, Debug)]
pub struct Tools {
    assets: Option<PathBuf>,
    installed: Vec<(Tool, PathBuf)>,
    cache: PathBuf,
    module: PathBuf,
}

impl Tools {
    /// Finds the folders: `KUBEBUILDER_ASSETS` is honoured first, the user's cache holds what was built.
    ///
    /// # Errors
    /// If there is no home for a cache, or the sources of this crate are gone.
    pub fn locate() -> anyhow::Result<Self> {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
        let mut hash = Sha256::new();
        for file in ["go.mod", "go.sum", "kstatus/main.go"] {
            let path = module.join(file);
            hash.update(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
        }
        let key: String = hex::encode(hash.finalize()).chars().take(16).collect();
        let home = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
            .context("no folder for a cache; set HOME or XDG_CACHE_HOME")?;
        let cache = home.join("spideriq-operator").join("testbed").join(key);
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        Ok(Self { assets, installed: Vec::new(), cache, module })
    }

    /// The same with kubectl and helm from the PATH, where they are new enough and would have to be built: not for
    /// tests, which have to know their versions.
    #[must_use]
    pub fn or_installed(mut self) -> Self {
        let clients = [(Tool::Kubectl, installed::KUBECTL, KUBERNETES), (Tool::Helm, installed::HELM, HELM)];
        for (tool, question, ours) in clients {
            if self.path(tool).is_file() {
                continue;
            }
            if let Some((path, version)) = installed::find(tool.name(), question, ours) {
                eprintln!("testbed: {} {version} is taken from the PATH", tool.name());
                self.installed.push((tool, path));
            }
        }
        self
    }

    /// Where a program is, or will be once it is built.
    pub fn path(&self, tool: Tool) -> PathBuf {
        let given = self.assets.as_ref().map(|assets| assets.join(tool.name())).filter(|path| path.is_file());
        let found = || self.installed.iter().find(|(found, _)| *found == tool).map(|(_, path)| path.clone());
        given.or_else(found).unwrap_or_else(|| self.cache.join(tool.name()))
    }

    /// Builds what is not there yet, and says so while it does.
    ///
    /// # Errors
    /// If Go is missing or too old, or a build fails.
    pub fn build(&self, tools: &[Tool]) -> anyhow::Result<()> {
        if tools.iter().all(|tool| self.path(*tool).is_file()) {
            return Ok(());
        }
        fs::create_dir_all(&self.cache).with_context(|| format!("cannot make {}", self.cache.display()))?;
        // Two test runs at once build only once.
        let lock = File::create(self.cache.join(".lock"))?;
        lock.lock()?;
        let missing: Vec<Tool> = tools.iter().copied().filter(|tool| !self.path(*tool).is_file()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.check_go()?;
        let estimate: u32 = missing.iter().map(|tool| tool.first_build()).sum();
        eprintln!(
            "testbed: building {} from Go modules; the first time takes about {} min on 2 cores, later it is kept",
            missing.iter().map(|tool| tool.name()).collect::<Vec<_>>().join(", "),
            estimate.div_ceil(60)
        );
        self.build_together(&missing)
    }

    /// All of them by one call: what they share is compiled once, and one is linked while another is compiled.
    fn build_together(&self, missing: &[Tool]) -> anyhow::Result<()> {
        let staged = tempfile::Builder::new().prefix("build-").tempdir_in(&self.cache)?;
        let version = format!(
            "-s -w -X k8s.io/component-base/version.gitVersion=v{KUBERNETES} \
             -X k8s.io/component-base/version.gitMajor={} -X k8s.io/component-base/version.gitMinor={} \
             -X k8s.io/component-base/version.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES}",
            KUBERNETES.split('.').next().unwrap_or_default(),
            KUBERNETES.split('.').nth(1).unwrap_or_default(),
        );
        let begun = now();
        let mut go = Command::new("go")
            // What the linker would strip is not made at all; and no C compiler is asked, as in the published programs.
            .args([
                "build",
                "-mod=readonly",
                "-trimpath",
                "-gcflags=all=-dwarf=false",
                "-ldflags",
                &version,
                "-o",
            ])
            .arg(staged.path())
            .args(missing.iter().map(|tool| tool.package()))
            .current_dir(&self.module)
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start go")?;
        let mut told = begun;
        let status = loop {
            if let Some(status) = go.try_wait()? {
                break status;
            }
            if told.elapsed() >= PROGRESS {
                told = now();
                eprintln!("testbed: building, {} s so far", begun.elapsed().as_secs());
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        if !status.success() {
            bail!("go could not build them; its own words are above");
        }
        for tool in missing {
            fs::rename(staged.path().join(tool.built_as()), self.cache.join(tool.name()))?;
        }
        eprintln!("testbed: built in {} s", begun.elapsed().as_secs());
        Ok(())
    }

    /// Go at the version that `go.mod` names, or one sentence that says what to install.
    fn check_go(&self) -> anyhow::Result<()> {
        let module = fs::read_to_string(self.module.join("go.mod"))?;
        let wanted =
            module.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or("1.26").trim().to_owned();
        let output = Command::new("go").args(["env", "GOVERSION"]).output();
        let found = match output {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            }
            Ok(_) | Err(_) => bail!(
                "Go is not installed; install Go {wanted} or newer, or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl"
            ),
        };
        let numbers = |version: &str| -> Vec<u32> {
            version.trim_start_matches("go").split('.').map_while(|part| part.parse().ok()).collect()
        };
        if numbers(&found) < numbers(&wanted) {
            bail!("Go {wanted} or newer is needed and {found} is installed; install a newer Go");
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a test tool measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_that_binaries_are_told_is_the_one_that_is_built() {
        let module = include_str!("../go/go.mod");
        assert!(module.contains(&format!("k8s.io/kubernetes v{}", super::KUBERNETES)));
        assert!(module.contains(&format!("helm.sh/helm/v4 v{}", super::HELM)));
    }
}
