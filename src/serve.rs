//! Probes and metrics over HTTP, from a thread of their own: they answer whatever the rest of the process does.
//!
//! Whoever can reach the port may send anything, or half of it. Connections are few, short, and close the oldest that has
//! not asked for anything yet, so that neither a probe nor the process's files are at anybody's mercy.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tower::ServiceExt;

use crate::health::Health;
use crate::telemetry::Page;

/// How long the head of a request may take.
const HEAD_WITHIN: Duration = Duration::from_secs(3);
/// How long a connection may take as a whole; it is for one request.
const ALL_WITHIN: Duration = Duration::from_secs(15);
/// How many connections there may be.
const CONNECTIONS: usize = 64;
/// How many pages of metrics are made at once.
const PAGES: usize = 2;

/// Listens, and answers from now on until the process ends. `not_ready` tells what keeps it from being ready.
///
/// # Errors
/// If the address cannot be listened on.
pub fn start(
    listen: SocketAddr,
    health: Health,
    not_ready: impl Fn() -> Vec<String> + Send + Sync + 'static,
    page: Page,
) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind(listen)
        .with_context(|| format!("cannot listen on {listen}; choose another address with --http-listen"))?;
    listener.set_nonblocking(true)?;
    // Few turns between two looks at the network: a probe is seen however many others come.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(8)
        .max_blocking_threads(PAGES)
        .build()?;
    let address = listener.local_addr()?;
    let routes = routes(health.clone(), not_ready, page);
    let serve = move || {
        runtime.block_on(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    tokio::join!(count(health), answer(listener, routes));
                }
                Err(error) => tracing::error!(%error, "the probes cannot be answered"),
            }
        });
    };
    std::thread::Builder::new().name("probes".to_owned()).spawn(serve).context("no thread for the probes")?;
    tracing::info!(%address, "serving /healthz, /readyz and /metrics");
    Ok(())
}

/// Counts the seconds by which the rest of the process is judged.
async fn count(health: Health) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        health.tick();
    }
}

fn routes(health: Health, not_ready: impl Fn() -> Vec<String> + Send + Sync + 'static, page: Page) -> Router {
    let (page, not_ready) = (Arc::new(page), Arc::new(not_ready));
    let failing = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why);
    let healthz = async move || match health.stuck() {
        None => (StatusCode::OK, "ok".to_owned()),
        Some(why) => failing(why),
    };
    let readyz = async move || {
        let reasons = not_ready();
        if reasons.is_empty() { (StatusCode::OK, "ok".to_owned()) } else { failing(reasons.join("\n")) }
    };
    let metrics = async move || {
        // It asks the rest of the process, which may be what is stuck.
        let page = tokio::task::spawn_blocking(move || page.text()).await;
        page.map(|text| ([(CONTENT_TYPE, Page::CONTENT_TYPE)], text))
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

/// Answers whoever connects.
async fn answer(listener: TcpListener, routes: Router) {
    let (mut open, mut running) = (Open::default(), JoinSet::new());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                while running.try_join_next().is_some() {}
                open.make_room();
                let asked = Arc::new(AtomicBool::new(false));
                let task = running.spawn(connection(stream, routes.clone(), Arc::clone(&asked)));
                open.0.push_back(Connection { task, asked });
                // Whoever has come gets a turn before the next does.
                tokio::task::yield_now().await;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the probes could not be taken");
                // No file is left for it, perhaps: then this frees one.
                open.close_one();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection: one request, and its answer.
async fn connection(stream: TcpStream, routes: Router, asked: Arc<AtomicBool>) {
    let service = routes.map_request(move |request: Request<_>| {
        asked.store(true, Ordering::Relaxed);
        request.map(axum::body::Body::new)
    });
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).keep_alive(false);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    // Whoever breaks off, asks for nothing that is served, or takes too long has only itself to blame.
    let _ = tokio::time::timeout(ALL_WITHIN, served).await;
}

/// The connections, the oldest first.
#[derive(Debug, Default)]
struct Open(VecDeque<Connection>);

#[derive(Debug)]
struct Connection {
    task: AbortHandle,
    /// Whether its request has come whole.
    asked: Arc<AtomicBool>,
}

impl Open {
    /// Forgets those that have ended, and closes one if there are too many.
    fn make_room(&mut self) {
        self.0.retain(|connection| !connection.task.is_finished());
        if self.0.len() >= CONNECTIONS {
            self.close_one();
        }
    }

    /// Closes the oldest that has not asked for anything yet, or the oldest of all.
    fn close_one(&mut self) {
        let asks = |connection: &Connection| connection.asked.load(Ordering::Relaxed);
        let at = self.0.iter().position(|connection| !asks(connection)).unwrap_or(0);
        if let Some(connection) = self.0.remove(at) {
            connection.task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::{CONNECTIONS, answer, routes};
    use crate::health::Health;
    use crate::telemetry::{Metrics, Page, Snapshot};

    async fn serving(health: &Health) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, page) = (health.clone(), Page::new(&Metrics::default(), Snapshot::default));
        tokio::spawn(answer(listener, routes(health.clone(), move || told.not_ready(), page)));
        address
    }

    /// The whole answer; empty where the connection was closed before.
    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    async fn half_a_request(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
        stream
    }

    /// Whether nobody closed it yet.
    async fn is_open(stream: &mut TcpStream) -> bool {
        let mut byte = [0];
        tokio::time::timeout(Duration::from_millis(1), stream.read(&mut byte)).await.is_err()
    }

    #[tokio::test]
    async fn two_hundred_who_ask_half_a_question_cost_no_probe() {
        let address = serving(&Health::default()).await;
        let mut attackers = Vec::new();
        for _ in 0..200 {
            attackers.push(half_a_request(address).await);
        }
        // And they come again and again.
        let again = tokio::spawn(async move {
            loop {
                let _ = half_a_request(address).await;
                tokio::task::yield_now().await;
            }
        });
        for n in 0..200 {
            let answer = ask(address, "/healthz").await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "probe {n}: {answer:?}");
        }
        again.abort();
        let mut open = 0;
        for attacker in &mut attackers {
            open += usize::from(is_open(attacker).await);
        }
        assert!(open <= CONNECTIONS, "{open} are still open");
    }

    #[tokio::test]
    async fn the_oldest_that_has_not_asked_is_closed_and_no_other() {
        let address = serving(&Health::default()).await;
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            streams.push(half_a_request(address).await);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(ask(address, "/readyz").await.ends_with("ok"));
        assert!(!is_open(&mut streams[0]).await, "the oldest made room");
        assert!(is_open(&mut streams[1]).await, "the next did not have to");
        // The rest of the head may still come.
        streams[1].write_all(b"Host: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        streams[1].read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        // And must not take for ever: this ends by itself.
        let mut answer = String::new();
        streams[2].read_to_string(&mut answer).await.unwrap();
        assert!(!answer.contains("200"), "{answer}");
    }

    #[tokio::test]
    async fn the_probes_say_why() {
        let health = Health::default();
        let address = serving(&health).await;
        health.report("caches", Some("the caches are not synced yet".to_owned()));
        health.report("crd", Some("a CRD drops fields".to_owned()));
        let answer = ask(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.ends_with("the caches are not synced yet\na CRD drops fields"), "{answer}");
        assert!(ask(address, "/healthz").await.ends_with("ok"));
        (0..40).for_each(|_| health.tick());
        let answer = ask(address, "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("not turned"), "{answer}");
        assert!(ask(address, "/metrics").await.contains("# EOF"));
        assert!(ask(address, "/elsewhere").await.starts_with("HTTP/1.1 404"));
    }
}
