//! The Go modules that programs are built from. Each pins its own libraries, because those of containerd and CoreDNS are
//! older than Kubernetes' own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

/// The version of Kubernetes that the modules pin. The binaries are told it, because clients ask a server for it.
pub(crate) const KUBERNETES: &str = "1.37.2";
/// The version of Helm that is pinned.
pub(crate) const HELM: &str = "4.3.1";
/// The version of containerd that is pinned. Its shim refuses to work with another.
const CONTAINERD: &str = "2.3.7";

/// A Go module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Module {
    /// etcd, the API server and their clients.
    ControlPlane,
    /// What a node runs of Kubernetes.
    Node,
    /// What runs containers, and gives them addresses.
    Containerd,
    /// What tells names.
    CoreDns,
    /// Flux's kustomize-controller.
    Flux,
    /// Argo CD.
    ArgoCd,
}

impl Module {
    pub(crate) const ALL: [Self; 6] =
        [Self::ControlPlane, Self::Node, Self::Containerd, Self::CoreDns, Self::Flux, Self::ArgoCd];

    /// Its folder.
    pub(crate) fn folder(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(match self {
            Self::ControlPlane => "go",
            Self::Node => "node/kubernetes",
            Self::Containerd => "node/containerd",
            Self::CoreDns => "node/coredns",
            Self::Flux => "gitops/flux",
            Self::ArgoCd => "gitops/argo",
        })
    }

    /// What all programs of it are made of.
    const fn files(self) -> &'static [&'static str] {
        match self {
            Self::ControlPlane => &["go.mod", "go.sum", "kstatus/main.go"],
            Self::Node => &["go.mod", "go.sum", "pause/main.go"],
            Self::Containerd | Self::Flux => &["go.mod", "go.sum"],
            Self::CoreDns | Self::ArgoCd => &["go.mod", "go.sum", "main.go"],
        }
    }

    /// A name for what is built from it as it is.
    ///
    /// # Errors
    /// If its files are gone.
    pub(crate) fn key(self) -> anyhow::Result<String> {
        let mut hash = Sha256::new();
        for file in self.files() {
            let path = self.folder().join(file);
            hash.update(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
        }
        Ok(hex::encode(hash.finalize()).chars().take(16).collect())
    }

    /// What the linker is told.
    pub(crate) fn linker_flags(self) -> String {
        match self {
            Self::ControlPlane | Self::Node => {
                let mut numbers = KUBERNETES.split('.');
                let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
                format!(
                    "-s -w -X k8s.io/component-base/version.gitVersion=v{KUBERNETES} \
                     -X k8s.io/component-base/version.gitMajor={major} -X k8s.io/component-base/version.gitMinor={minor} \
                     -X k8s.io/component-base/version.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES}"
                )
            }
            Self::Containerd => {
                format!("-s -w -X github.com/containerd/containerd/v2/version.Version=v{CONTAINERD}")
            }
            Self::CoreDns | Self::Flux | Self::ArgoCd => "-s -w".to_owned(),
        }
    }

    /// Which parts are left out: file systems that no test has.
    pub(crate) const fn tags(self) -> &'static str {
        match self {
            Self::Containerd => "no_btrfs,no_devmapper,no_zfs,no_aufs",
            Self::ControlPlane | Self::Node | Self::CoreDns | Self::Flux | Self::ArgoCd => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{CONTAINERD, HELM, KUBERNETES, Module};

    #[test]
    fn the_versions_that_binaries_are_told_are_those_that_are_built() {
        let pins = |module: Module, pin: &str| {
            let text = fs::read_to_string(module.folder().join("go.mod")).unwrap();
            assert!(text.contains(pin), "{module:?} pins no {pin}");
        };
        for module in [Module::ControlPlane, Module::Node] {
            pins(module, &format!("k8s.io/kubernetes v{KUBERNETES}"));
        }
        pins(Module::ControlPlane, &format!("helm.sh/helm/v4 v{HELM}"));
        let told = |module: Module, of: &str, page: &str| {
            let text = fs::read_to_string(module.folder().join("go.mod")).unwrap();
            let version = text.split_once(&format!("{of} v")).unwrap().1;
            let version = version.split_whitespace().next().unwrap();
            let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/how-to").join(page);
            assert!(fs::read_to_string(page).unwrap().contains(version), "{of} {version}");
        };
        told(Module::Flux, "github.com/fluxcd/kustomize-controller", "flux.md");
        told(Module::ArgoCd, "github.com/argoproj/argo-cd/v3", "argo-cd.md");
        pins(Module::Containerd, &format!("github.com/containerd/containerd/v2 v{CONTAINERD}"));
    }
}
