//! Builds everything, runs it until a signal, and lets running effects finish.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::api::ListParams;
use kube::runtime::reflector;
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};

use crate::account::{Accounts, Channels, SecretWatches};
use crate::api::{ScrapeAccount, ScrapeJob};
use crate::clock::Clock;
use crate::controller::{self, Options};
use crate::serve;

/// How long running effects may take after a signal: the chart's grace period is longer.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the operator.
///
/// # Errors
/// One sentence that says what to do: no kubeconfig, no API server, no CRDs, no rights.
pub async fn run(options: Options, listen: SocketAddr) -> anyhow::Result<()> {
    let config = kube::Config::infer().await.context(
        "no cluster to talk to: run inside of one, or set KUBECONFIG to a kubeconfig that names one",
    )?;
    let client = Client::try_from(config).context("the kubeconfig cannot be used")?;
    check::<ScrapeJob>(&client, &options, "scrapejobs").await?;
    check::<ScrapeAccount>(&client, &options, "scrapeaccounts").await?;

    let clock = Clock::system();
    let (objects, keys) = mpsc::unbounded_channel();
    let (nudge, nudges) = mpsc::unbounded_channel();
    let accounts = Arc::new(Accounts::new(clock.clone(), Channels { objects, accounts: nudge.clone() }));
    let (stop, stopping) = watch::channel(false);
    let (cache, writer) = reflector::store();
    let secrets = SecretWatches::new(nudge);
    let ready = cache.clone();
    let context =
        Arc::new(controller::Context::new(client, clock, accounts, secrets, (options, stopping, cache)));

    let server =
        tokio::spawn(serve::run(listen, async move { ready.wait_until_ready().await.is_ok() }).await?);
    let accounts = tokio::spawn(controller::run_accounts(Arc::clone(&context), nudges));
    let jobs = tokio::spawn(controller::run_jobs(context, writer, keys));
    let aborts = [accounts.abort_handle(), jobs.abort_handle()];
    let mut controllers = tokio::spawn(async { tokio::join!(accounts, jobs) });

    tokio::select! {
        () = signal() => tracing::info!("stopping: no new submit or cancel begins, running ones finish"),
        ended = &mut controllers => bail!("a controller ended by itself: {ended:?}"),
    }
    // The receivers live as long as the controllers do.
    let _ = stop.send(true);
    if tokio::time::timeout(DRAIN, controllers).await.is_err() {
        tracing::warn!(
            "something was still under way after {DRAIN:?}; what it was is settled after the next start"
        );
    }
    aborts.iter().for_each(tokio::task::AbortHandle::abort);
    server.abort();
    Ok(())
}

/// Asks for one object of a kind, so that what is missing is said in one sentence instead of a stream of errors.
async fn check<K>(client: &Client, options: &Options, plural: &str) -> anyhow::Result<()>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let api: Api<kube::core::PartialObjectMeta<K>> = match options.namespaces.first() {
        None => Api::all(client.clone()),
        Some(namespace) => Api::namespaced(client.clone(), namespace),
    };
    match api.list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            bail!(
                "the API server does not know {plural}.spideriq.ai: install the CRDs with `spideriq-operator crds | kubectl apply --server-side -f -`"
            )
        }
        Err(kube::Error::Api(status)) if status.code == 403 || status.code == 401 => {
            bail!(
                "no right to list {plural}.spideriq.ai ({}): grant the rules of the chart's ClusterRole",
                status.message
            )
        }
        Err(error) => {
            Err(error).context("the API server cannot be reached; check KUBECONFIG and the network")
        }
    }
}

/// Waits for SIGTERM or SIGINT.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => {
                terminated.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be listened for");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
