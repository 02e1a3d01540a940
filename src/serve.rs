//! Probes and metrics over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

use crate::telemetry::Page;

/// Listens, and returns what serves until it is dropped. `ready` ends with true once the caches are synced; while there is
/// a `complaint`, the process is not ready.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn run(
    listen: SocketAddr,
    ready: impl Future<Output = bool> + Send + 'static,
    complaint: impl Fn() -> Option<String> + Send + Sync + 'static,
    page: Page,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another address with --http-listen"))?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz, /readyz and /metrics");
    let synced = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&synced);
    let page = Arc::new(page);
    let complaint = Arc::new(complaint);
    let readyz = async move || {
        if !synced.load(Ordering::Relaxed) {
            return (StatusCode::SERVICE_UNAVAILABLE, "the caches are not synced yet".to_owned());
        }
        match complaint() {
            None => (StatusCode::OK, "ok".to_owned()),
            Some(words) => (StatusCode::SERVICE_UNAVAILABLE, words),
        }
    };
    let metrics = async move || ([(CONTENT_TYPE, Page::CONTENT_TYPE)], page.text());
    let router = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics));
    Ok(async move {
        let waiting = async {
            told.store(ready.await, Ordering::Relaxed);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = waiting => {}
            ended = axum::serve(listener, router).into_future() => tracing::error!(?ended, "the probes ended"),
        }
    })
}
