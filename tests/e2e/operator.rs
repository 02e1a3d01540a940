//! The operator as its chart installs it, in a namespace that allows nothing but restricted pods.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::cluster::{apply, get, helm, kubectl};
use super::service::ENDPOINT;

pub const NAMESPACE: &str = "spideriq-system";
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/spideriq-operator");

/// Makes its namespace, with the authority that it is to trust.
pub fn prepare(authority: &str) {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    apply(
        &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
            .to_string(),
    );
    let named = json!({"name": "authority", "namespace": NAMESPACE});
    apply(
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"ca.crt": authority}})
            .to_string(),
    );
}

/// Installs or upgrades the release, and waits until it is ready.
pub fn install(more: &[&str]) {
    let endpoint = format!("allowedEndpoints={{{ENDPOINT}}}");
    let image = concat!("image.tag=", env!("CARGO_PKG_VERSION"));
    let arguments = [
        "upgrade",
        "--install",
        "spideriq-operator",
        CHART,
        "--namespace",
        NAMESPACE,
        "--wait",
        "--timeout=120s",
        "--set=image.repository=docker.io/library/spideriq-operator,image.pullPolicy=Never,caConfigMap=authority",
        "--set=clientLimits.requestsPerMinute=6000,clientLimits.submitsPerMinute=600",
        "--set",
        image,
        "--set",
        &endpoint,
    ];
    helm(&[&arguments[..], more].concat()).unwrap();
}

/// The pods that are ready.
pub fn pods() -> Vec<String> {
    let pods = get(&["pods", "--namespace", NAMESPACE]);
    let ready = |pod: &&serde_json::Value| {
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        pod["metadata"]["deletionTimestamp"].is_null()
            && conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    let items = pods["items"].as_array().unwrap();
    items.iter().filter(ready).map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// The pod that works; none while nobody does.
pub fn leader() -> Option<String> {
    let lease = kubectl(&[
        "get",
        "lease",
        "spideriq-operator",
        "--namespace",
        NAMESPACE,
        "--output=jsonpath={.spec.holderIdentity}",
    ])
    .ok()?;
    pods().into_iter().find(|pod| lease.starts_with(pod.as_str()))
}

/// The process of a pod, by its pid on this machine.
pub fn process(pod: &str) -> u32 {
    let named = format!("HOSTNAME={pod}");
    one_process(|line, environment| {
        line.starts_with(b"/usr/local/bin/spideriq-operator\0")
            && environment.split(|byte| *byte == 0).any(|variable| variable == named.as_bytes())
    })
}

/// The one process with such a command line and environment.
pub fn one_process(is_it: impl Fn(&[u8], &[u8]) -> bool) -> u32 {
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let read = |pid: &u32, file: &str| {
        fs::read(Path::new("/proc").join(pid.to_string()).join(file)).unwrap_or_default()
    };
    let found: Vec<u32> = pids.filter(|pid| is_it(&read(pid, "cmdline"), &read(pid, "environ"))).collect();
    assert_eq!(found.len(), 1, "processes: {found:?}");
    found[0]
}

/// Sends a signal to a process of the node.
pub fn tell(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// Its resident memory, in MiB.
pub fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
