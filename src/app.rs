//! Builds everything, runs it until a signal, and lets running effects finish.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
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
use tokio::time::Instant;
use tower::util::MapResponseLayer;

use crate::account::{Accounts, Channels, Network, SecretWatches};
use crate::api::{ClusterScrapeAccount, ScrapeAccount, ScrapeJob};
use crate::clock::Clock;
use crate::controller::{self, Options, Stopping};
use crate::leader::{Candidate, Election, Leadership, Standing};
use crate::serve;
use crate::spideriq::Transport;
use crate::telemetry::{Metrics, Page, Snapshot};

/// How long running effects may take after a signal: the chart's grace period is longer.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the API server may take to answer the first question.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How often the caches are asked whether they are synced, until they are.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the operator: at once, or as one of several that stand in an election.
///
/// # Errors
/// One sentence that says what to do: no kubeconfig, no API server, no CRDs, no rights; or that the lease was lost.
pub async fn run(options: Options, listen: SocketAddr, election: Option<Election>) -> anyhow::Result<()> {
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

    let metrics = Metrics::default();
    let seen = Seen::default();
    let page = Page::new(&metrics, seen.snapshot());
    let server = tokio::spawn(serve::run(listen, seen.ready(), page).await?);
    let leadership = Leadership::without_election();
    let parts = Parts { client, clock: Clock::system(), transport: None, options, metrics, leadership };
    let ended = match election {
        None => operate(parts, &seen, signal()).await.map(drop),
        Some(election) => contend(parts, &seen, election).await,
    };
    server.abort();
    ended
}

/// Runs an operator until `signal` ends. Returns whether everything that was under way has ended, too.
async fn operate(parts: Parts, seen: &Seen, signal: impl Future<Output = ()>) -> anyhow::Result<bool> {
    let mut operator = Operator::start(parts);
    seen.operator(&mut operator);
    operator.until(signal).await
}

/// Waits for the lease, and runs an operator for as long as it is held: it lets the next begin at the end, or ends
/// the process because it was lost.
async fn contend(parts: Parts, seen: &Seen, election: Election) -> anyhow::Result<()> {
    let mut signal = pin!(signal());
    let mut candidate = Candidate::start(parts.client.clone(), parts.clock.clone(), election);
    seen.follower(candidate.standing());
    tokio::select! {
        () = &mut signal => {
            candidate.retire().await;
            return Ok(());
        }
        won = candidate.won() => won?,
    }
    let leadership = candidate.leadership();
    let mut lost = None;
    let stop = async {
        tokio::select! {
            () = signal => {}
            why = candidate.lost() => lost = Some(why),
        }
    };
    let drained = operate(Parts { leadership, ..parts }, seen, stop).await?;
    if let Some(why) = lost {
        return Err(why.into());
    }
    if drained {
        candidate.retire().await;
    }
    Ok(())
}

/// What probes and scrapes see of the process, before and while an operator runs.
#[derive(Default)]
struct Seen {
    context: Arc<OnceLock<Arc<controller::Context>>>,
    ready: watch::Sender<bool>,
}

impl Seen {
    /// Ends with true once the caches are synced, or another process works and this one could take over.
    fn ready(&self) -> impl Future<Output = bool> + Send + use<> {
        let mut ready = self.ready.subscribe();
        async move { ready.wait_for(|ready| *ready).await.is_ok() }
    }

    fn snapshot(&self) -> impl Fn() -> Snapshot + Send + Sync + use<> {
        let context = Arc::clone(&self.context);
        move || context.get().map(|context| context.snapshot()).unwrap_or_default()
    }

    fn operator(&self, operator: &mut Operator) {
        // There is one operator in the life of a process.
        let _ = self.context.set(Arc::clone(&operator.context));
        let (mut synced, ready) = (operator.ready(), self.ready.clone());
        tokio::spawn(async move {
            // A cache wakes only the last who asked, and that may be its controller: so it is asked again.
            loop {
                if let Ok(synced) = tokio::time::timeout(LOOK_EVERY, &mut synced).await {
                    ready.send_if_modified(|ready| !std::mem::replace(ready, *ready || synced));
                    return;
                }
            }
        });
    }

    fn follower(&self, mut standing: watch::Receiver<Standing>) {
        let ready = self.ready.clone();
        tokio::spawn(async move {
            if standing.wait_for(|standing| *standing == Standing::Following).await.is_ok() {
                ready.send_replace(true);
            }
        });
    }
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
    /// What is counted.
    pub metrics: Metrics,
    /// Whether effects may begin.
    pub leadership: Leadership,
}

/// A running operator: its controllers, and what a scrape or a probe asks it.
pub struct Operator {
    context: Arc<controller::Context>,
    stop: watch::Sender<Option<Instant>>,
    controllers: [JoinHandle<()>; 2],
    synced: BoxFuture<'static, bool>,
}

impl Operator {
    /// Starts the controllers.
    pub fn start(parts: Parts) -> Self {
        let Parts { client, clock, transport, options, metrics, leadership } = parts;
        let (objects, keys) = mpsc::unbounded_channel();
        let (nudge, nudges) = mpsc::unbounded_channel();
        let channels = Channels { objects, accounts: nudge.clone() };
        let network = Network { transport, limits: options.limits };
        let accounts = Arc::new(Accounts::new(clock.clone(), channels, metrics.clone(), network));
        let (stop, stopping) = watch::channel(None);
        let (jobs, jobs_writer) = reflector::store();
        let (known, account_writers) = controller::account_caches(&options.namespaces);
        if !known.cluster_accounts() {
            tracing::info!("cluster accounts are off, because of --watch-namespace");
        }
        let caches = (jobs.clone(), known.clone());
        let secrets = SecretWatches::new(nudge);
        let stopping = Stopping { told: stopping, leadership };
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
        Self { context, stop, controllers, synced: synced.boxed() }
    }

    /// Ends with true once the caches are synced.
    pub fn ready(&mut self) -> BoxFuture<'static, bool> {
        std::mem::replace(&mut self.synced, std::future::ready(false).boxed())
    }

    /// Runs until `signal` ends; then no new submit or cancel begins, and running ones have a bounded time to finish.
    /// Returns whether they did.
    ///
    /// # Errors
    /// If a controller ends by itself.
    pub async fn until(mut self, signal: impl Future<Output = ()>) -> anyhow::Result<bool> {
        let [accounts, jobs] = &mut self.controllers;
        tokio::select! {
            () = signal => tracing::info!("stopping: no new submit or cancel begins, running ones finish"),
            ended = accounts => bail!("the controller of accounts ended by itself: {ended:?}"),
            ended = jobs => bail!("the controller of jobs ended by itself: {ended:?}"),
        }
        // The receivers live as long as the controllers do.
        let _ = self.stop.send(Some(self.context.clock.instant() + DRAIN));
        let [accounts, jobs] = &mut self.controllers;
        let drained = tokio::time::timeout(DRAIN, async { tokio::join!(accounts, jobs) }).await.is_ok();
        if !drained {
            tracing::warn!(
                "something was still under way after {DRAIN:?}; what it was is settled after the next start"
            );
        }
        Ok(drained)
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
