//! What the programs of a node are told: their files of settings and their arguments.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::family::Family;
use super::identity::NODE;
use crate::Tool;
use crate::control_plane::etcd;

/// Where containerd listens. `/run` is the node's own.
const CONTAINERD: &str = "/run/containerd/containerd.sock";
/// How ctr finds it, and what the kubelet knows of.
pub(super) const CTR: [&str; 4] = ["--address", CONTAINERD, "--namespace", "k8s.io"];
/// Loads an image from the archive that comes next.
pub(super) const IMPORT: [&str; 3] = ["images", "import", "--local"];
/// Where etcd listens, and its peers one further on.
const ETCD: u16 = 2379;
/// The image that holds the namespaces of pods; it is loaded from a file, as all images are.
const PAUSE: &str = "docker.io/library/pause:1";
pub(super) const PAUSE_ARCHIVE: &str = "pause.oci.tar";

/// Writes the files.
///
/// # Errors
/// If one cannot be written.
pub(super) fn write(folder: &Path, family: Family) -> anyhow::Result<()> {
    let at = |name: &str| folder.join(name).display().to_string();
    fs::create_dir_all(folder.join("cni"))?;
    fs::write(folder.join("cni/10-bridge.conflist"), network(family).to_string())?;
    fs::write(folder.join("containerd.toml"), containerd(&at))?;
    // JSON is YAML.
    fs::write(folder.join("kubelet.yaml"), kubelet(&at, family).to_string())?;
    fs::write(folder.join("proxy.yaml"), proxy(&at, family).to_string())?;
    fs::write(folder.join("names.yaml"), NAMES)?;
    fs::write(folder.join("resolv.conf"), format!("nameserver {}\n", family.node()))?;
    let names = format!(
        ".:53 {{\n  bind {}\n  errors\n  kubernetes cluster.local in-addr.arpa ip6.arpa {{\n    kubeconfig {}\n    pods insecure\n    ttl 5\n  }}\n}}\n",
        family.node(),
        at("dns.kubeconfig")
    );
    fs::write(folder.join("Corefile"), names)?;
    Ok(())
}

/// A program and its arguments.
pub(super) type Program = (Tool, Vec<String>);

/// The programs in the order in which they are started, up to the API server; and those after it.
pub(super) fn programs(folder: &Path, family: Family) -> [Vec<Program>; 2] {
    let at = |name: &str| folder.join(name).display().to_string();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let first = vec![
        (Tool::Etcd, etcd(&at("etcd"), ETCD, ETCD + 1)),
        (Tool::ApiServer, api_server(&at, family)),
        (Tool::Containerd, words(&["--config", &at("containerd.toml")])),
    ];
    let manager = [
        "--kubeconfig",
        &at("controller-manager.kubeconfig"),
        "--leader-elect=false",
        "--secure-port=0",
        "--service-account-private-key-file",
        &at("pki/service-account.key"),
        "--root-ca-file",
        &at("pki/ca.crt"),
        "--use-service-account-credentials",
        "--flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins",
        "--node-monitor-period=1s",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ];
    let scheduler = ["--kubeconfig", &at("scheduler.kubeconfig"), "--leader-elect=false", "--secure-port=0"];
    let kubelet = [
        "--config",
        &at("kubelet.yaml"),
        "--kubeconfig",
        &at("kubelet.kubeconfig"),
        "--hostname-override",
        NODE,
        "--node-ip",
        family.node(),
        "--root-dir=/var/lib/kubelet",
    ];
    let then = vec![
        (Tool::ControllerManager, words(&manager)),
        (Tool::Scheduler, words(&scheduler)),
        (Tool::CoreDns, words(&["-conf", &at("Corefile")])),
        (Tool::Kubelet, words(&kubelet)),
        (Tool::Proxy, words(&["--config", &at("proxy.yaml")])),
    ];
    [first, then]
}

fn api_server(at: &impl Fn(&str) -> String, family: Family) -> Vec<String> {
    vec![
        format!("--etcd-servers=http://127.0.0.1:{ETCD}"),
        format!("--bind-address={}", family.any()),
        "--secure-port=6443".to_owned(),
        format!("--advertise-address={}", family.node()),
        format!("--tls-cert-file={}", at("pki/apiserver.crt")),
        format!("--tls-private-key-file={}", at("pki/apiserver.key")),
        format!("--client-ca-file={}", at("pki/ca.crt")),
        format!("--kubelet-client-certificate={}", at("pki/kubelet-client.crt")),
        format!("--kubelet-client-key={}", at("pki/kubelet-client.key")),
        format!("--kubelet-certificate-authority={}", at("pki/ca.crt")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", at("pki/service-account.pub")),
        format!("--service-account-signing-key-file={}", at("pki/service-account.key")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        format!("--token-auth-file={}", at("tokens.csv")),
        format!("--service-cluster-ip-range={}", family.services()),
    ]
}

fn containerd(at: &impl Fn(&str) -> String) -> String {
    let (programs, networks) = (at("bin"), at("cni"));
    format!(
        r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{CONTAINERD}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '{PAUSE}'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['{programs}']
    conf_dir = '{networks}'
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = 'runc'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = 'io.containerd.runc.v2'
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        SystemdCgroup = false
"#
    )
}

/// How pods are joined: to a bridge, without masquerading, because nothing beyond is to be reached.
fn network(family: Family) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "node",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "hairpinMode": true,
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": "/var/lib/cni/networks",
                "ranges": [[{"subnet": family.pods()}]],
                "routes": [{"dst": family.everywhere()}],
            },
        }],
    })
}

fn kubelet(at: &impl Fn(&str) -> String, family: Family) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "protectKernelDefaults": true,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": at("pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": at("pki/kubelet.crt"),
        "tlsPrivateKeyFile": at("pki/kubelet.key"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "clusterDomain": "cluster.local",
        "clusterDNS": [family.node()],
        "resolvConf": at("resolv.conf"),
        "seccompDefault": true,
        "readOnlyPort": 0,
        "syncFrequency": "5s",
        "nodeStatusUpdateFrequency": "2s",
        // The only images are those that were loaded.
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
    })
}

fn proxy(at: &impl Fn(&str) -> String, family: Family) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": at("proxy.kubeconfig")},
        "hostnameOverride": NODE,
        "nodeIPOverride": [family.node()],
        "clusterCIDR": family.pods(),
        "healthzBindAddress": "",
        "metricsBindAddress": "",
        "conntrack": {"maxPerCore": 0, "min": 0},
        // A reply comes back through the node, whether or not its bridge shows what passes.
        "nftables": {"minSyncPeriod": "50ms", "masqueradeAll": true},
    })
}

/// What CoreDNS may read.
const NAMES: &str = r#"apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- {apiGroups: [""], resources: [services, namespaces, pods], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:coredns"}]
"#;
