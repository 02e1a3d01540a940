//! Builds everything, runs it until a signal, and lets running effects finish.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::client::ClientBuilder;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector;
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tower::util::MapResponseLayer;

use crate::account::{Accounts, Channels, SecretWatches};
use crate::api::{ClusterScrapeAccount, ScrapeAccount, ScrapeJob};
use crate::clock::Clock;
use crate::controller::{self, Options};
use crate::serve;
use crate::spideriq::Transport;
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
    check::<ScrapeJob>(&client, &options, "scrapejobs.spideriq.ai").await?;
    check::<ScrapeAccount>(&client, &options, "scrapeaccounts.spideriq.ai").await?;
    if options.namespaces.is_empty() {
        ask(
            Api::<PartialObjectMeta<ClusterScrapeAccount>>::all(client.clone()),
            "clusterscrapeaccounts.spideriq.ai",
        )
        .await?;
        ask(Api::<PartialObjectMeta<Namespace>>::all(client.clone()), "namespaces").await?;
    }

    let mut operator = Operator::start(Parts { client, clock: Clock::system(), transport: None, options });
    let server = tokio::spawn(serve::run(listen, operator.ready(), operator.page()).await?);
    let ended = operator.until(signal()).await;
    server.abort();
    ended
}

/// What an operator is made of.
pub struct Parts {
    /// The API server.
    pub client: Client,
    /// Time.
    pub clock: Clock,
    /// Where requests to the service go; `None` for the network.
    pub transport: Option<Arc<dyn Transport>>,
    /// What was told on the command line.
    pub options: Options,
}

/// A running operator: its controllers, and what a scrape or a probe asks it.
pub struct Operator {
    context: Arc<controller::Context>,
    metrics: Metrics,
    stop: watch::Sender<bool>,
    controllers: [JoinHandle<()>; 2],
    synced: BoxFuture<'static, bool>,
}

impl Operator {
    /// Starts the controllers.
    pub fn start(parts: Parts) -> Self {
        let Parts { client, clock, transport, options } = parts;
        let (objects, keys) = mpsc::unbounded_channel();
        let (nudge, nudges) = mpsc::unbounded_channel();
        let metrics = Metrics::default();
        let channels = Channels { objects, accounts: nudge.clone() };
        let accounts = Arc::new(Accounts::new(clock.clone(), channels, metrics.clone(), transport));
        let (stop, stopping) = watch::channel(false);
        let (jobs, jobs_writer) = reflector::store();
        let (known, account_writers) = controller::account_caches(&options.namespaces);
        if !known.cluster_accounts() {
            tracing::info!("cluster accounts are off, because of --watch-namespace");
        }
        let caches = (jobs.clone(), known.clone());
        let secrets = SecretWatches::new(nudge);
        let told = (options, stopping, metrics.clone());
        let caches_of = (jobs, known);
        let context = Arc::new(controller::Context::new(client, clock, (accounts, secrets), told, caches_of));
        let accounts = controller::run_accounts(Arc::clone(&context), account_writers, nudges);
        let jobs = controller::run_jobs(Arc::clone(&context), jobs_writer, keys);
        let controllers = [tokio::spawn(accounts), tokio::spawn(jobs)];
        let synced = async move {
            let (jobs, known) = caches;
            known.synced().await;
            // A store wakes only one of those who wait for it, and the controller does, too.
            loop {
                if let Ok(ready) = tokio::time::timeout(Duration::from_secs(1), jobs.wait_until_ready()).await
                {
                    break ready.is_ok();
                }
            }
        };
        Self { context, metrics, stop, controllers, synced: synced.boxed() }
    }

    /// Ends with true once the caches are synced.
    pub fn ready(&mut self) -> BoxFuture<'static, bool> {
        std::mem::replace(&mut self.synced, std::future::ready(false).boxed())
    }

    /// The page of a scrape.
    pub fn page(&self) -> Page {
        let context = Arc::clone(&self.context);
        Page::new(&self.metrics, move || context.snapshot())
    }

    /// Runs until `signal` ends; then no new submit or cancel begins, and running ones have a bounded time to finish.
    ///
    /// # Errors
    /// If a controller ends by itself.
    pub async fn until(mut self, signal: impl Future<Output = ()>) -> anyhow::Result<()> {
        let [accounts, jobs] = &mut self.controllers;
        tokio::select! {
            () = signal => tracing::info!("stopping: no new submit or cancel begins, running ones finish"),
            ended = accounts => bail!("the controller of accounts ended by itself: {ended:?}"),
            ended = jobs => bail!("the controller of jobs ended by itself: {ended:?}"),
        }
        // The receivers live as long as the controllers do.
        let _ = self.stop.send(true);
        let [accounts, jobs] = &mut self.controllers;
        if tokio::time::timeout(DRAIN, async { tokio::join!(accounts, jobs) }).await.is_err() {
            tracing::warn!(
                "something was still under way after {DRAIN:?}; what it was is settled after the next start"
            );
        }
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.controllers.iter().for_each(JoinHandle::abort);
    }
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
    let apis: Vec<Api<PartialObjectMeta<K>>> = if options.namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        options.namespaces.iter().map(|name| Api::namespaced(client.clone(), name)).collect()
    };
    for api in apis {
        ask(api, plural).await?;
    }
    Ok(())
}

async fn ask<K>(api: Api<PartialObjectMeta<K>>, plural: &str) -> anyhow::Result<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let answer = tokio::time::timeout(ANSWER_WITHIN, api.list_metadata(&ListParams::default().limit(1)))
        .await
        .context("the API server did not answer in time; check KUBECONFIG and the network")?;
    said(plural, answer)
}

/// What an answer to that means, in one sentence.
fn said<T>(plural: &str, answer: Result<T, kube::Error>) -> anyhow::Result<()> {
    match answer {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            bail!(
                "the API server does not know {plural}: install the CRDs with `spideriq-operator crds | kubectl apply --server-side -f -`"
            )
        }
        Err(kube::Error::Api(status)) if status.code == 403 || status.code == 401 => {
            bail!(
                "no right to list {plural} ({}): grant the rules of the chart's ClusterRole",
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
