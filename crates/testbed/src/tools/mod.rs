//! The programs: built once from Go modules, each of which pins what it is made of, and kept by the hash of what they are made of.

mod crds;
mod installed;
mod module;

pub use crds::{argo_cd_crds, flux_crds, monitoring_crds};

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use self::module::{HELM, KUBERNETES, Module};

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
    /// Runs the pods of a node.
    Kubelet,
    /// Finds a node for each pod.
    Scheduler,
    /// Gives Services their addresses.
    Proxy,
    /// Holds the namespaces of a pod.
    Pause,
    /// Runs containers.
    Containerd,
    /// Stands between containerd and runc.
    Shim,
    /// Loads images.
    Ctr,
    /// Joins pods to a bridge.
    Bridge,
    /// Hands out addresses.
    HostLocal,
    /// The loopback of a pod.
    Loopback,
    /// Tells names.
    CoreDns,
    /// Applies what Flux has fetched.
    KustomizeController,
    /// The controller of Argo CD's applications and its repo server, by the first argument.
    ArgoCd,
}

/// What a program is built from.
struct Made {
    /// The name of its binary.
    name: &'static str,
    package: &'static str,
    module: Module,
    /// About how long its first build takes on two cores, in seconds.
    first_build: u32,
}

impl Tool {
    /// The programs of a control plane and its users, those that are always needed first.
    pub const ALL: [Self; 6] =
        [Self::Etcd, Self::Kubectl, Self::ApiServer, Self::ControllerManager, Self::Helm, Self::Kstatus];
    /// What a control plane needs.
    pub const BASE: [Self; 3] = [Self::Etcd, Self::Kubectl, Self::ApiServer];
    /// What a node needs besides a control plane with its controller manager.
    pub const NODE: [Self; 11] = [
        Self::Kubelet,
        Self::Scheduler,
        Self::Proxy,
        Self::Pause,
        Self::Containerd,
        Self::Shim,
        Self::Ctr,
        Self::Bridge,
        Self::HostLocal,
        Self::Loopback,
        Self::CoreDns,
    ];
    /// The GitOps engines.
    pub const GITOPS: [Self; 2] = [Self::KustomizeController, Self::ArgoCd];

    const fn made(self) -> Made {
        const fn of(module: Module, name: &'static str, package: &'static str, first_build: u32) -> Made {
            Made { name, package, module, first_build }
        }
        use Module::{ArgoCd, Containerd, ControlPlane, CoreDns, Flux, Node};
        match self {
            Self::Etcd => of(ControlPlane, "etcd", "go.etcd.io/etcd/server/v3", 40),
            Self::ApiServer => {
                of(ControlPlane, "kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", 280)
            }
            Self::Kubectl => of(ControlPlane, "kubectl", "k8s.io/kubernetes/cmd/kubectl", 80),
            Self::ControllerManager => of(
                ControlPlane,
                "kube-controller-manager",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
                80,
            ),
            Self::Helm => of(ControlPlane, "helm", "helm.sh/helm/v4/cmd/helm", 20),
            Self::Kstatus => of(ControlPlane, "kstatus", "./kstatus", 5),
            Self::Kubelet => of(Node, "kubelet", "k8s.io/kubernetes/cmd/kubelet", 120),
            Self::Scheduler => of(Node, "kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", 20),
            Self::Proxy => of(Node, "kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", 20),
            Self::Pause => of(Node, "pause", "./pause", 1),
            Self::Containerd => {
                of(Containerd, "containerd", "github.com/containerd/containerd/v2/cmd/containerd", 60)
            }
            Self::Shim => of(
                Containerd,
                "containerd-shim-runc-v2",
                "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
                10,
            ),
            Self::Ctr => of(Containerd, "ctr", "github.com/containerd/containerd/v2/cmd/ctr", 10),
            Self::Bridge => {
                of(Containerd, "bridge", "github.com/containernetworking/plugins/plugins/main/bridge", 5)
            }
            Self::HostLocal => of(
                Containerd,
                "host-local",
                "github.com/containernetworking/plugins/plugins/ipam/host-local",
                5,
            ),
            Self::Loopback => {
                of(Containerd, "loopback", "github.com/containernetworking/plugins/plugins/main/loopback", 5)
            }
            Self::CoreDns => of(CoreDns, "coredns", ".", 40),
            Self::KustomizeController => {
                of(Flux, "kustomize-controller", "github.com/fluxcd/kustomize-controller", 270)
            }
            Self::ArgoCd => of(ArgoCd, "argo", ".", 240),
        }
    }

    /// The name of its binary.
    pub const fn name(self) -> &'static str {
        self.made().name
    }

    /// The name that go gives to its binary.
    const fn built_as(self) -> &'static str {
        if matches!(self, Self::Etcd) { "server" } else { self.name() }
    }
}

/// The folder with the built programs.
#[derive(Clone, Debug)]
pub struct Tools {
    assets: Option<PathBuf>,
    installed: Vec<(Tool, PathBuf)>,
    /// Where the programs of each module are.
    caches: [(Module, PathBuf); Module::ALL.len()],
}

impl Tools {
    /// Finds the folders: `KUBEBUILDER_ASSETS` is honoured first, the user's cache holds what was built.
    ///
    /// # Errors
    /// If there is no home for a cache, or the sources of this crate are gone.
    pub fn locate() -> anyhow::Result<Self> {
        let home = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
            .context("no folder for a cache; set HOME or XDG_CACHE_HOME")?;
        let kept = home.join("spideriq-operator").join("testbed");
        let mut caches = Module::ALL.map(|module| (module, PathBuf::new()));
        for (module, cache) in &mut caches {
            *cache = kept.join(module.key()?);
        }
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        Ok(Self { assets, installed: Vec::new(), caches })
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
        given.or_else(found).unwrap_or_else(|| self.cache(tool.made().module).join(tool.name()))
    }

    fn cache(&self, module: Module) -> &Path {
        let found = self.caches.iter().find(|(of, _)| *of == module);
        // There is one for each.
        found.map_or(Path::new("."), |(_, cache)| cache)
    }

    /// Builds what is not there yet, and says so while it does.
    ///
    /// # Errors
    /// If Go is missing or too old, or a build fails.
    pub fn build(&self, tools: &[Tool]) -> anyhow::Result<()> {
        for module in Module::ALL {
            let of_it: Vec<Tool> =
                tools.iter().copied().filter(|tool| tool.made().module == module).collect();
            self.build_of(module, &of_it)?;
        }
        Ok(())
    }

    fn build_of(&self, module: Module, tools: &[Tool]) -> anyhow::Result<()> {
        if tools.iter().all(|tool| self.path(*tool).is_file()) {
            return Ok(());
        }
        let cache = self.cache(module);
        fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
        // Two test runs at once build only once.
        let lock = File::create(cache.join(".lock"))?;
        lock.lock()?;
        let missing: Vec<Tool> = tools.iter().copied().filter(|tool| !self.path(*tool).is_file()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        check_go(module)?;
        let estimate: u32 = missing.iter().map(|tool| tool.made().first_build).sum();
        eprintln!(
            "testbed: building {} from Go modules; the first time takes about {} min on 2 cores, later it is kept",
            missing.iter().map(|tool| tool.name()).collect::<Vec<_>>().join(", "),
            estimate.div_ceil(60)
        );
        build_together(module, cache, &missing)
    }
}

/// All of them by one call: what they share is compiled once, and one is linked while another is compiled.
fn build_together(module: Module, cache: &Path, missing: &[Tool]) -> anyhow::Result<()> {
    let staged = tempfile::Builder::new().prefix("build-").tempdir_in(cache)?;
    let begun = now();
    let mut go = Command::new("go")
        // What the linker would strip is not made at all; and no C compiler is asked, as in the published programs.
        .args(["build", "-mod=readonly", "-trimpath", "-gcflags=all=-dwarf=false"])
        .args(["-tags", module.tags(), "-ldflags", &module.linker_flags(), "-o"])
        .arg(staged.path())
        .args(missing.iter().map(|tool| tool.made().package))
        .current_dir(module.folder())
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
        fs::rename(staged.path().join(tool.built_as()), cache.join(tool.name()))?;
    }
    eprintln!("testbed: built in {} s", begun.elapsed().as_secs());
    Ok(())
}

/// Go at the version that `go.mod` names, or one sentence that says what to install.
fn check_go(module: Module) -> anyhow::Result<()> {
    let module = fs::read_to_string(module.folder().join("go.mod"))?;
    let wanted = module.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or("1.26").trim().to_owned();
    let output = Command::new("go").args(["env", "GOVERSION"]).output();
    let found = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
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

#[expect(clippy::disallowed_methods, reason = "a test tool measures real time")]
fn now() -> Instant {
    Instant::now()
}
