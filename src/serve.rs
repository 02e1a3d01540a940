//! Probes and metrics over HTTP, from a thread of their own: they answer whatever the rest of the process does.
//!
//! Whoever can reach the port may send anything, or half of it. Connections are few, short, and close the oldest that has
//! not asked for anything yet, so that neither a probe nor the process's files are at anybody's mercy.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::get;
use axum::{Extension, Router};
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
/// What a proxy adds that passes a request on.
const FORWARDED: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];
/// How many pages of metrics are made at once.
const PAGES: usize = 2;

/// Tells how the process stands, and what it knows of the job with this namespace and name, as JSON.
type State = Box<dyn Fn(Option<&str>) -> String + Send + Sync>;

/// What is asked for.
pub struct Sources {
    /// What keeps the process from being ready.
    pub not_ready: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The page of metrics.
    pub page: Page,
    /// How it stands, told to whoever asks from the same machine, or pod, alone.
    pub state: State,
}

/// Listens, and answers from now on until the process ends.
///
/// # Errors
/// If the address cannot be listened on.
pub fn start(listen: SocketAddr, health: Health, sources: Sources) -> anyhow::Result<()> {
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
    let routes = routes(health.clone(), sources);
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

fn routes(health: Health, sources: Sources) -> Router {
    let sources = Arc::new(sources);
    let (ready, counted) = (Arc::clone(&sources), Arc::clone(&sources));
    let failing = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why);
    let alive = health.clone();
    let healthz = async move || match alive.stuck() {
        None => (StatusCode::OK, "ok".to_owned()),
        Some(why) => failing(why),
    };
    let readyz = async move || {
        let reasons = (ready.not_ready)();
        if reasons.is_empty() { (StatusCode::OK, "ok".to_owned()) } else { failing(reasons.join("\n")) }
    };
    let latest = Arc::new(Latest::default());
    let metrics = async move || {
        // It asks the rest of the process, which may be what is stuck.
        let page = tokio::task::spawn_blocking(move || latest.page(health.seconds(), &counted.page)).await;
        page.map(|text| ([(CONTENT_TYPE, Page::CONTENT_TYPE)], text.to_string()))
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    };
    let state = async move |Extension(Peer(peer)): Extension<Peer>, headers: HeaderMap, uri: Uri| {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let passed_on = FORWARDED.iter().any(|name| headers.contains_key(*name));
        if passed_on || !is_of_this_machine(peer.ip()) || !names_this_machine(host) {
            return Err(StatusCode::NOT_FOUND);
        }
        let job = uri.query().and_then(|query| query.strip_prefix("job=")).map(str::to_owned);
        let text = tokio::task::spawn_blocking(move || (sources.state)(job.as_deref())).await;
        text.map(|text| ([(CONTENT_TYPE, "application/json")], text))
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    };
    Router::new()
        .route("/debug/state", get(state))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

/// The page of metrics, made once in a second: it costs the more the more jobs there are, and whoever reaches the port may ask.
#[derive(Default)]
struct Latest(Mutex<Option<(u64, Arc<str>)>>);

impl Latest {
    /// The page of this second.
    fn page(&self, second: u64, page: &Page) -> Arc<str> {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some((made, text)) if *made == second => Arc::clone(text),
            Some(_) | None => {
                let text: Arc<str> = page.text().into();
                *latest = Some((second, Arc::clone(&text)));
                text
            }
        }
    }
}

/// Who asks.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

/// Whether an address is that of this machine, or pod, itself. Proxies beside a pod pass on what comes from elsewhere from
/// other addresses of the loopback network.
fn is_of_this_machine(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address == Ipv4Addr::LOCALHOST,
        IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST,
    }
}

/// Whether a request means this machine: a page in somebody's browser can send any here, but not choose this.
fn names_this_machine(host: &str) -> bool {
    let without_port =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = without_port.map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Answers whoever connects.
async fn answer(listener: TcpListener, routes: Router) {
    let (mut open, mut running) = (Open::default(), JoinSet::new());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                while running.try_join_next().is_some() {}
                open.make_room();
                let asked = Arc::new(AtomicBool::new(false));
                let task =
                    running.spawn(connection((stream, Peer(peer)), routes.clone(), Arc::clone(&asked)));
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
async fn connection((stream, peer): (TcpStream, Peer), routes: Router, asked: Arc<AtomicBool>) {
    let service = routes.map_request(move |mut request: Request<_>| {
        asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(peer);
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::Instant;

    use super::{CONNECTIONS, HEAD_WITHIN, Sources, answer, is_of_this_machine, names_this_machine, routes};
    use crate::health::Health;
    use crate::telemetry::{Metrics, Page, Snapshot};

    async fn serving(health: &Health) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let told = health.clone();
        let sources = Sources {
            not_ready: Box::new(move || told.not_ready()),
            page: Page::new(&Metrics::default(), Snapshot::default),
            state: Box::new(|job| format!("{{\"job\":{job:?}}}")),
        };
        tokio::spawn(answer(listener, routes(health.clone(), sources)));
        address
    }

    /// The whole answer; empty where the connection was closed before.
    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:8080\r\n\r\n");
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

    /// In the time of the test, which is paused: it goes on to the next timer once nobody has anything to do.
    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "the time of a test, which is paused")]
    async fn whoever_says_nothing_or_half_is_let_go_after_three_seconds() {
        let address = serving(&Health::default()).await;
        for said in ["", "G", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"] {
            let begun = Instant::now();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer).await;
            assert!(begun.elapsed() < HEAD_WITHIN * 2, "{said:?}: {:?}", begun.elapsed());
            assert!(begun.elapsed() >= HEAD_WITHIN, "{said:?}: {:?}", begun.elapsed());
        }
    }

    #[tokio::test]
    async fn the_state_is_told_to_whoever_asks_from_here_alone() {
        let address = serving(&Health::default()).await;
        assert!(ask(address, "/debug/state").await.ends_with("{\"job\":None}"));
        assert!(ask(address, "/debug/state?job=a/b").await.ends_with("{\"job\":Some(\"a/b\")}"));
        for forwarded in ["X-Forwarded-For: 10.0.0.7", "Forwarded: for=10.0.0.7", "via: 1.1 proxy"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET /debug/state HTTP/1.1\r\nHost: localhost\r\n{forwarded}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 404"), "{forwarded}: {answer}");
        }
        for (address, here) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            // What a mesh's proxy passes on into the pod.
            ("127.0.0.6", false),
            ("::ffff:127.0.0.6", false),
            ("10.0.0.7", false),
            ("::ffff:10.0.0.7", false),
            ("fd00::7", false),
        ] {
            assert_eq!(is_of_this_machine(address.parse().unwrap()), here, "{address}");
        }
        for (host, here) in [
            ("localhost", true),
            ("localhost:9000", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(names_this_machine(host), here, "{host}");
        }
    }

    #[tokio::test]
    async fn however_many_ask_for_metrics_a_page_is_made_once_in_a_second() {
        let (health, made) = (Health::default(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&made);
        let now = move || {
            count.fetch_add(1, Ordering::Relaxed);
            Snapshot::default()
        };
        let sources = Sources {
            not_ready: Box::new(Vec::new),
            page: Page::new(&Metrics::default(), now),
            state: Box::new(|_| String::new()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(answer(listener, routes(health.clone(), sources)));
        for seconds in 1..=3 {
            for _ in 0..50 {
                assert!(ask(address, "/metrics").await.ends_with("# EOF\n"));
            }
            assert_eq!(made.load(Ordering::Relaxed), seconds);
            health.tick();
        }
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
