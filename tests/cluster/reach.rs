//! How the API server and the operator's own port are reached, and where the service runs.

use std::sync::OnceLock;

use kube::config::{KubeConfigOptions, Kubeconfig};
use testbed::Testbed;
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
