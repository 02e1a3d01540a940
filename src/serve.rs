//! Probes over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

/// Listens, and returns what serves until it is dropped. `ready` ends with true once the caches are synced.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn run(
    listen: SocketAddr,
    ready: impl Future<Output = bool> + Send + 'static,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another address with --http-listen"))?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz and /readyz");
    let synced = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&synced);
    let router = Router::new().route("/healthz", get(async || "ok")).route(
        "/readyz",
        get(async move || {
            if synced.load(Ordering::Relaxed) {
                (StatusCode::OK, "ok")
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, "the caches are not synced yet")
            }
        }),
    );
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
