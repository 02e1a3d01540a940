//! Builds everything, runs it until a signal, and lets running effects finish.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::api::ListParams;
use kube::client::ClientBuilder;
use kube::runtime::reflector;
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tower::util::MapResponseLayer;

use crate::account::{Accounts, Channels, SecretWatches};
use crate::api::{ScrapeAccount, ScrapeJob};
use crate::clock::Clock;
use crate::controller::{self, Options};
use crate::serve;
use crate::telemetry::{Metrics, Page};

/// How long running effects may take after a signal: the chart's grace period is longer.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the API server may take to answer the first question.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Runs the operator.
///
/// # Errors
/// One sentence that says what to do: no kubeconfig, no API server, no CRDs, no rights.
pub async fn run(options: Options, listen: SocketAddr) -> anyhow::Result<()> {
    let mut config = kube::Config::infer().await.context(
        "no cluster to talk to: run inside of one, or set KUBECONFIG to a kubeconfig that names one",
    )?;
    // The client's own repeats last for minutes and obey the server without a bound; every write here is judged by
    // its first answer, and watches start again by themselves.
    config.default_retry = false;
    let client = ClientBuilder::try_from(config)
        .context("the kubeconfig cannot be used")?
        .with_layer(&MapResponseLayer::new(log_warnings))
        .build();
    check::<ScrapeJob>(&client, &options, "scrapejobs").await?;
    check::<ScrapeAccount>(&client, &options, "scrapeaccounts").await?;

    let clock = Clock::system();
    let (objects, keys) = mpsc::unbounded_channel();
    let (nudge, nudges) = mpsc::unbounded_channel();
    let metrics = Metrics::default();
    let channels = Channels { objects, accounts: nudge.clone() };
    let accounts = Arc::new(Accounts::new(clock.clone(), channels, metrics.clone()));
    let (stop, stopping) = watch::channel(false);
    let (cache, writer) = reflector::store();
    let (accounts_cache, accounts_writer) = reflector::store();
    let secrets = SecretWatches::new(nudge);
    let caches = (cache.clone(), accounts_cache.clone());
    let context = Arc::new(controller::Context::new(
        client,
        clock,
        accounts,
        secrets,
        (options, stopping, cache, metrics.clone()),
    ));

    let told = Arc::clone(&context);
    let page = Page::new(&metrics, move || told.snapshot());
    let ready = async move {
        let (jobs, accounts) = caches;
        jobs.wait_until_ready().await.is_ok() && accounts.wait_until_ready().await.is_ok()
    };
    let server = tokio::spawn(serve::run(listen, ready, page).await?);
    let accounts = tokio::spawn(controller::run_accounts(
        Arc::clone(&context),
        (accounts_cache, accounts_writer),
        nudges,
    ));
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
    let apis: Vec<Api<kube::core::PartialObjectMeta<K>>> = if options.namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        options.namespaces.iter().map(|name| Api::namespaced(client.clone(), name)).collect()
    };
    let one = ListParams::default().limit(1);
    for api in apis {
        let answer = tokio::time::timeout(ANSWER_WITHIN, api.list_metadata(&one))
            .await
            .context("the API server did not answer in time; check KUBECONFIG and the network")?;
        said(plural, answer)?;
    }
    Ok(())
}

/// What an answer to that means, in one sentence.
fn said<T>(plural: &str, answer: Result<T, kube::Error>) -> anyhow::Result<()> {
    match answer {
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

/// What the API server warns of is a fault of ours: a field that it drops, an API that it will drop.
fn log_warnings<B>(response: http::Response<B>) -> http::Response<B> {
    for warning in response.headers().get_all("warning") {
        tracing::warn!(warning = warning.to_str().unwrap_or("unreadable"), "the API server warns");
    }
    response
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
