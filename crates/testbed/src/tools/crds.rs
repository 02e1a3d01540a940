//! CRDs of others, from their Go modules: they come with the source, and nothing is built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::Deserialize;

/// A folder with a `go.mod`, the module that it pins, a folder of that module, and files there.
type Crds = (&'static str, &'static str, &'static str, &'static [&'static str]);

const MONITORING: Crds = (
    "monitoring",
    "github.com/prometheus-operator/prometheus-operator",
    "example/prometheus-operator-crd",
    &["monitoring.coreos.com_podmonitors.yaml", "monitoring.coreos.com_prometheusrules.yaml"],
);
const FLUX: [Crds; 2] = [
    (
        "gitops/flux",
        "github.com/fluxcd/kustomize-controller",
        "config/crd/bases",
        &["kustomize.toolkit.fluxcd.io_kustomizations.yaml"],
    ),
    (
        "gitops/crds",
        "github.com/fluxcd/source-controller",
        "config/crd/bases",
        // The controller watches all of them.
        &[
            "source.toolkit.fluxcd.io_gitrepositories.yaml",
            "source.toolkit.fluxcd.io_ocirepositories.yaml",
            "source.toolkit.fluxcd.io_buckets.yaml",
        ],
    ),
];
const ARGO_CD: Crds = (
    "gitops/argo",
    "github.com/argoproj/argo-cd/v3",
    "manifests/crds",
    &["application-crd.yaml", "appproject-crd.yaml"],
);

/// What go says of a module.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    dir: PathBuf,
}

/// The files with the CRDs of PodMonitors and PrometheusRules. The first call downloads 4 MB.
///
/// # Errors
/// If Go is missing, or the module cannot be had.
pub fn monitoring_crds() -> anyhow::Result<Vec<PathBuf>> {
    files(MONITORING)
}

/// The files with the CRDs that Flux's kustomize-controller works with.
///
/// # Errors
/// If Go is missing, or a module cannot be had.
pub fn flux_crds() -> anyhow::Result<Vec<PathBuf>> {
    Ok(FLUX.map(files).into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat())
}

/// The files with the CRDs that Argo CD's application controller works with.
///
/// # Errors
/// If Go is missing, or the module cannot be had.
pub fn argo_cd_crds() -> anyhow::Result<Vec<PathBuf>> {
    files(ARGO_CD)
}

/// Files of a module at the version that is pinned.
fn files((pins, module, folder, names): Crds) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", module])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(pins))
        .stdin(Stdio::null())
        .output()
        .context("cannot start go")?;
    if !output.status.success() {
        bail!("go could not get {module}: {}", String::from_utf8_lossy(&output.stdout).trim());
    }
    let Downloaded { dir } = serde_json::from_slice(&output.stdout).context("go said something else")?;
    Ok(names.iter().map(|name| dir.join(folder).join(name)).collect())
}
