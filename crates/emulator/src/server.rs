//! Listens, accepts, and ends: the emulator as a running thing.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tower::ServiceExt;

use crate::clock::Clock;
use crate::rules::{Limits, Rules};
use crate::service::tokens::{Token, Tokens};
use crate::service::{Control, World};
use crate::{admin, api};

/// The token that the service knows when it is given none.
pub const DEMO_TOKEN: &str = "cli_demo:sk_demo:secret_demo";

/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long open requests may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(1);

/// How to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Known tokens, each a triple or a PAT; [`DEMO_TOKEN`] when empty.
    pub tokens: Vec<String>,
    /// Job seconds per real second, at least 1. Rate limits are not scaled.
    pub speed: f64,
    /// What jobs do and what goes wrong.
    pub rules: Rules,
    /// Makes job ids and drawn times repeatable.
    pub seed: Option<u64>,
    /// Both clocks start here (RFC 3339) instead of now.
    pub epoch: Option<jiff::Timestamp>,
    /// Turns off rate limits, whatever the rules say.
    pub no_limits: bool,
    /// Most entries that the journal keeps.
    pub journal_cap: usize,
    /// Serves HTTPS with these instead of HTTP.
    pub tls: Option<Tls>,
}

/// Files in PEM to serve HTTPS with.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate, and those between it and a root.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Tls {
    fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let named = |path: &PathBuf| format!("cannot read {}", path.display());
        let certificates = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| named(&self.certificate))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).with_context(|| named(&self.key))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        Ok(Arc::new(config).into())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tokens: Vec::new(),
            speed: 1.0,
            rules: Rules::default(),
            seed: None,
            epoch: None,
            no_limits: false,
            journal_cap: 200_000,
            tls: None,
        }
    }
}

/// The emulator.
#[derive(Debug)]
pub struct Emulator;

/// A running emulator. Dropping it ends it at once, with all its connections.
#[derive(Debug)]
pub struct Running {
    control: Control,
    addr: SocketAddr,
    scheme: &'static str,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Emulator {
    /// Starts on the caller's tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound, a token or a file cannot be read, the speed is below 1, or the rules make no sense.
    pub async fn start(config: Config) -> anyhow::Result<Running> {
        let listen = config.listen;
        let tls = config.tls.as_ref().map(Tls::acceptor).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let control = Self::control(config)?;
        let listener = TcpListener::bind(listen).await.context("cannot listen")?;
        let addr = listener.local_addr()?;
        let router = admin::router().fallback(api::serve).with_state(control.clone());
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(accept(listener, (router, tls), stopped));
        Ok(Running { control, addr, scheme, stop: Some(stop), server })
    }

    /// The service without a network, for simulations; its time is tokio's, which they may pause.
    ///
    /// # Errors
    /// As [`Emulator::start`], but for the address.
    pub fn in_process(config: Config) -> anyhow::Result<InProcess> {
        Ok(InProcess { control: Self::control(config)? })
    }

    fn control(config: Config) -> anyhow::Result<Control> {
        ensure!(config.speed >= 1.0 && config.speed.is_finite(), "speed must be at least 1");
        config.rules.check().context("rules")?;
        let mut tokens = Tokens::default();
        if config.tokens.is_empty() {
            tokens.add(Token::parse(DEMO_TOKEN)?);
        }
        for token in &config.tokens {
            tokens.add(Token::parse(token)?);
        }
        let epoch = config.epoch.map(jiff::Timestamp::as_microsecond);
        let mut world = World::new(Clock::new(config.speed, epoch), tokens, config.journal_cap, config.seed);
        world.set_rules(config.rules);
        if config.no_limits {
            world.limits = Limits::off();
        }
        Ok(Control::new(world))
    }
}

/// The service without a network. Cheap to clone.
#[derive(Clone, Debug)]
pub struct InProcess {
    control: Control,
}

impl InProcess {
    /// Answers one request as over HTTP; `None` where the connection would be closed without a byte.
    pub async fn call(&self, request: Request) -> Option<axum::response::Response> {
        let response = api::serve(axum::extract::State(self.control.clone()), request).await;
        response.extensions().get::<api::Severed>().is_none().then_some(response)
    }
}

impl Deref for InProcess {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}

impl Running {
    /// `http://127.0.0.1:PORT/api/v1`, to be used as the service's base URL.
    pub fn base_url(&self) -> String {
        format!("{}://{}/api/v1", self.scheme, self.addr)
    }

    /// `http://127.0.0.1:PORT/_admin`.
    pub fn admin_url(&self) -> String {
        format!("{}://{}/_admin", self.scheme, self.addr)
    }

    /// A handle that can be shared; using it after the end is harmless.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Ends after open requests had a second to finish.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.server).await;
    }
}

impl Deref for Running {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Accepts until told to stop. The connections are its own: they end when it does.
async fn accept(
    listener: TcpListener,
    (router, tls): (Router, Option<TlsAcceptor>),
    mut stopped: oneshot::Receiver<()>,
) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let watcher = graceful.watcher();
                    connections.spawn(connection((stream, tls.clone()), router.clone(), watcher));
                }
                // Out of file descriptors, most likely: give the others time to end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

async fn connection((stream, tls): (TcpStream, Option<TlsAcceptor>), router: Router, watcher: Watcher) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return serve(stream, router, watcher).await };
    // Who cannot agree, or takes too long, has only itself to blame.
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        serve(stream, router, watcher).await;
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    watcher: Watcher,
) {
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let request: Request = request.map(Body::new);
            let Ok(response) = router.oneshot(request).await;
            // An error makes hyper close the connection without a byte.
            if response.extensions().get::<api::Severed>().is_some() { Err("severed") } else { Ok(response) }
        }
    });
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    let _ = watcher.watch(connection).await;
}
