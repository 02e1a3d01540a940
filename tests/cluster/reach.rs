//! How the API server and the operator's own port are reached and what they tell, and where the service runs.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use testbed::Testbed;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// A thread of the service's own: it has to answer while a test waits for kubectl.
pub fn elsewhere() -> &'static Runtime {
    // Never dropped, because that is not allowed where other tasks run.
    static ELSEWHERE: OnceLock<Runtime> = OnceLock::new();
    ELSEWHERE.get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}

/// What the operator of this log answers on a path of its own port; empty while it does not listen.
pub async fn http(log: &str, path: &str) -> String {
    let Some((_, address)) = log.rsplit_once("/readyz and /metrics address=") else {
        return String::new();
    };
    let address = address.split_whitespace().next().unwrap();
    match reqwest::get(format!("http://{address}{path}")).await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// A client of the admin.
pub async fn admin(bed: &Testbed) -> kube::Client {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(bed.kubeconfig()).unwrap();
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

/// An address that takes connections and never says a word.
pub struct Silent {
    pub address: SocketAddr,
    heard: Arc<AtomicUsize>,
}

impl Silent {
    pub async fn start() -> Self {
        let listen = async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let heard = Arc::new(AtomicUsize::new(0));
            tokio::spawn(keep_quiet(listener, Arc::clone(&heard)));
            Self { address, heard }
        };
        elsewhere().spawn(listen).await.unwrap()
    }

    /// As an account names it.
    pub fn endpoint(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// How many connections were made to it.
    pub fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }
}

async fn keep_quiet(listener: TcpListener, heard: Arc<AtomicUsize>) {
    // More than a test needs, and fewer than its process may have open.
    const KEPT: usize = 200;
    let mut kept = VecDeque::new();
    while let Ok((connection, _)) = listener.accept().await {
        heard.fetch_add(1, Ordering::Relaxed);
        kept.push_back(connection);
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }
}

/// The events of an object: type, reason and note.
pub async fn events(client: kube::Client, namespace: &str, name: &str) -> Vec<(String, String, String)> {
    let api: Api<Event> = Api::namespaced(client, namespace);
    let mut events = api.list(&kube::api::ListParams::default()).await.unwrap().items;
    events.retain(|event| event.regarding.as_ref().and_then(|about| about.name.as_deref()) == Some(name));
    events.sort_by_key(|event| event.event_time.clone());
    events
        .into_iter()
        .map(|event| {
            (
                event.type_.unwrap_or_default(),
                event.reason.unwrap_or_default(),
                event.note.unwrap_or_default(),
            )
        })
        .collect()
}

/// Installs the chart without a pod; the kubeconfig of its ServiceAccount.
pub fn install(bed: &Testbed, namespace: &str, watched: &[String]) -> PathBuf {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/spideriq-operator");
    let values = json!({
        "replicaCount": 0,
        "crds": {"install": false},
        "serviceAccount": {"name": "operator"},
        "rbac": {"secretNames": ["*"]},
        "watchNamespaces": watched,
    });
    let install = ["install", namespace, chart, "--namespace", namespace, "--create-namespace"];
    bed.run("helm", &[&install[..], &["--values", "-"]].concat(), &values.to_string()).unwrap();
    bed.kubeconfig_of(namespace, "operator").unwrap()
}
