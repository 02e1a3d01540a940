//! The emulated service as a pod of its own, over TLS: a fault of the operator's pods leaves its memory alone.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::cluster::{apply, kubectl, raw};

/// Where the accounts find it.
pub const ENDPOINT: &str = "https://spideriq.service.svc/api/v1";
/// The token of the client.
pub const TOKEN: &str = "cli_e2e:sk_e2e:secret_e2e";
/// Each job takes its time, so that it is in flight while something happens.
const RULES: &str =
    "jobs: [{match: {contains: short}, queued: 1, processing: 1}, {queued: 2, processing: 20}]";

/// Starts it, and returns the certificate of its authority.
pub fn start() -> String {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let host = vec!["spideriq.service.svc".to_owned()];
    let certificate = CertificateParams::new(host).unwrap().signed_by(&key, &issuer).unwrap().pem();
    let arguments = [
        "--listen=[::]:8443",
        "--tls-certificate=/tls/tls.crt",
        "--tls-key=/tls/tls.key",
        "--rules=/rules/rules.yaml",
        "--no-limits",
        &format!("--token={TOKEN}"),
    ];
    let tls = json!({"tls.crt": certificate, "tls.key": key.serialize_pem()});
    let pod = json!({
        "containers": [{
            "name": "service",
            "image": concat!("docker.io/library/spideriq-emulator:", env!("CARGO_PKG_VERSION")),
            "imagePullPolicy": "Never",
            "args": arguments,
            "ports": [{"containerPort": 8443}],
            "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
            "volumeMounts": [{"name": "tls", "mountPath": "/tls"}, {"name": "rules", "mountPath": "/rules"}],
        }],
        "volumes": [
            {"name": "tls", "secret": {"secretName": "tls"}},
            {"name": "rules", "configMap": {"name": "rules"}},
        ],
    });
    let named = |name: &str| json!({"name": name, "namespace": "service"});
    let labels = json!({"app": "spideriq"});
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "service"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": named("tls"), "stringData": tls}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named("rules"), "data": {"rules.yaml": RULES}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": named("spideriq"), "spec": {
            "selector": labels, "ports": [{"name": "https", "port": 443, "targetPort": 8443}],
        }}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named("spideriq"), "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }}),
    ];
    for object in objects {
        apply(&object.to_string());
    }
    kubectl(&["rollout", "status", "--namespace=service", "--timeout=60s", "deployment/spideriq"]).unwrap();
    root
}

/// How many submits it acted on for each page.
pub fn submits(page: &str) -> usize {
    let path = "/api/v1/namespaces/service/services/https:spideriq:https/proxy/_admin/journal";
    let journal = raw(path);
    assert_eq!(journal["dropped"], 0);
    let of_it = |entry: &&Value| {
        entry["route"] == "submit" && entry["handled"] == true && entry["payload"]["url"] == page
    };
    journal["entries"].as_array().unwrap().iter().filter(of_it).count()
}

/// The longest that a job of this service takes, and be it sent late.
pub const OVER_WITHIN: Duration = Duration::from_secs(180);
