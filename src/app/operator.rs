//! One operator: its controllers, what they are made of, and how they end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures::FutureExt;
use futures::future::BoxFuture;
use kube::Client;
use kube::runtime::reflector;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::account::{Accounts, Channels, Network, SecretWatches};
use crate::clock::Clock;
use crate::controller::{self, Options, Stopping};
use crate::health::Health;
use crate::leader::{Claims, Leadership, Notes};
use crate::spideriq::Transport;
use crate::telemetry::Metrics;

/// How long running effects may take after a signal: the chart's grace period is longer.
const DRAIN: Duration = Duration::from_secs(10);

/// How long a process that leads no more may stay for what its submits came to; whoever leads does everything else.
const RECORDS_WITHIN: Duration = Duration::from_secs(10 * 60);

/// How often it tries what the API server has refused.
const RECORDS_EVERY: Duration = Duration::from_secs(1);

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
    /// Whether the process is stuck, and what keeps it from being ready.
    pub health: Health,
    /// Whether effects may begin.
    pub leadership: Leadership,
    /// What an earlier process has left, and what this one leaves.
    pub notes: Notes,
}

/// A running operator: its controllers, and what a scrape or a probe asks it.
pub struct Operator {
    pub(super) context: Arc<controller::Context>,
    stop: watch::Sender<Option<Instant>>,
    controllers: [JoinHandle<()>; 2],
    synced: BoxFuture<'static, bool>,
}

impl Operator {
    /// Starts the controllers.
    pub fn start(parts: Parts) -> Self {
        let Parts { client, clock, transport, options, metrics, health, leadership, notes } = parts;
        let (objects, keys) = mpsc::unbounded_channel();
        let (nudge, nudges) = mpsc::unbounded_channel();
        let channels = Channels { objects, accounts: nudge.clone() };
        let (claims, wanted) = Claims::new(clock.clone(), options.release.clone());
        let network = Network { transport, limits: options.limits, claims: claims.clone(), notes };
        let accounts = Arc::new(Accounts::new(clock.clone(), channels, metrics.clone(), network));
        accounts.tell_what_is_sent();
        let (stop, stopping) = watch::channel(None);
        let (jobs, jobs_writer) = reflector::store();
        let (jobs, waking) = controller::Jobs::new(jobs, options.namespaces.len().max(1));
        let jobs = Arc::new(jobs);
        let (known, account_writers) = controller::account_caches(&options.namespaces);
        if !known.cluster_accounts() {
            tracing::info!("cluster accounts are off, because of --watch-namespace");
        }
        let caches = (Arc::clone(&jobs), known.clone());
        let secrets = SecretWatches::new(nudge);
        let stopping = Stopping { told: stopping, leadership, claims };
        let told = (options, stopping, metrics.clone(), health);
        let caches_of = (jobs, known);
        let context = Arc::new(controller::Context::new(client, clock, (accounts, secrets), told, caches_of));
        let accounts = controller::run_accounts(Arc::clone(&context), account_writers, (nudges, wanted));
        let jobs = controller::run_jobs(Arc::clone(&context), (jobs_writer, waking), keys);
        let controllers = [tokio::spawn(accounts), tokio::spawn(jobs)];
        let synced = async move {
            let (jobs, known) = caches;
            known.synced().await;
            jobs.begun().await;
            true
        };
        Self { context, stop, controllers, synced: synced.boxed() }
    }

    /// Ends with true once the caches are synced.
    pub fn ready(&mut self) -> BoxFuture<'static, bool> {
        std::mem::replace(&mut self.synced, std::future::ready(false).boxed())
    }

    /// Runs until `signal` ends; then no new submit or cancel begins, and running ones have a bounded time to finish: a
    /// longer one, if the lease was lost, for what submits came to. Returns whether they did.
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
        if self.context.leads() {
            // They are the release's: one that has lost its lease leaves them to whoever leads now.
            self.context.withdraw_claims().await;
        } else {
            records(&self.context).await;
        }
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

/// Waits for what submits came to, in a process that leads no more and does nothing else: their ids stand nowhere else.
async fn records(context: &Arc<controller::Context>) {
    let written = async {
        while context.has_unwritten() {
            tokio::time::sleep(RECORDS_EVERY).await;
            Box::pin(context.record_again()).await;
        }
    };
    if context.has_unwritten() {
        tracing::warn!("staying until what came of each submit is written, for {RECORDS_WITHIN:?} at most");
    }
    let told_to_end = async {
        signal().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = told_to_end => {}
        _ = tokio::time::timeout(RECORDS_WITHIN, written) => {}
    }
}

/// Waits for SIGTERM or SIGINT.
pub(super) async fn signal() {
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
