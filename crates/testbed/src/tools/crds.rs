//! The CRDs of the Prometheus Operator, from its Go module: they come with its source, and nothing is built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::Deserialize;

const MODULE: &str = "github.com/prometheus-operator/prometheus-operator";
/// The kinds that the chart knows.
const KINDS: [&str; 2] = ["podmonitors", "prometheusrules"];

/// What go says of a module.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    dir: PathBuf,
}

/// The files with the CRDs of PodMonitors and PrometheusRules, at the version that `monitoring/go.mod` pins. The first call
/// downloads 4 MB.
///
/// # Errors
/// If Go is missing, or the module cannot be had.
pub fn monitoring_crds() -> anyhow::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring");
    let output = Command::new("go")
        .args(["mod", "download", "-json", MODULE])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context("cannot start go")?;
    if !output.status.success() {
        bail!("go could not get {MODULE}: {}", String::from_utf8_lossy(&output.stdout).trim());
    }
    let Downloaded { dir } = serde_json::from_slice(&output.stdout).context("go said something else")?;
    let crds = dir.join("example/prometheus-operator-crd");
    Ok(KINDS.map(|kind| crds.join(format!("monitoring.coreos.com_{kind}.yaml"))).to_vec())
}
