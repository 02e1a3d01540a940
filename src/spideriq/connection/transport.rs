//! Brings a request to the service and its answer back: over the network, or, in a simulation, wherever that wants.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::{Client, Request, Response, redirect};

use super::Endpoint;
use super::roots::Roots;

/// Time to connect, for TLS included.
const CONNECT: Duration = Duration::from_secs(4);
/// The longest silence within an answer.
const SILENCE: Duration = Duration::from_secs(8);
/// The same within a stream of events: two and a half of its signs of life (contract section 8.2).
const SILENCE_OF_A_STREAM: Duration = Duration::from_secs(75);

/// Where requests go. Nothing is sent twice, no redirect is followed, and each request ends within its own timeout.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one request; the answer is there with its headers.
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, Failure>>;

    /// The same for a request whose answer goes on for ever: only a long silence ends it.
    fn open(&self, request: Request) -> BoxFuture<'static, Result<Response, Failure>> {
        self.send(request)
    }
}

/// Why there is no answer, in words without the request's address or headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not a byte was sent.
    NotSent(String),
    /// It took too long; something may have been sent.
    Timeout,
    /// The connection broke after something may have been sent.
    Broken(String),
}

/// The network.
#[derive(Debug)]
pub(in crate::spideriq) struct Network {
    encrypted: bool,
    /// With the roots that they were made with.
    clients: Mutex<(Roots, Clients)>,
}

/// What sends: requests, and those whose answers go on for ever.
#[derive(Clone, Debug)]
struct Clients {
    short: Client,
    endless: Client,
}

impl Network {
    /// Proxies and additional roots of trust come from the environment. What is not encrypted stays on the machine:
    /// a proxy of the environment would read the token.
    pub(in crate::spideriq) fn new(endpoint: &Endpoint) -> Result<Self, Failure> {
        let encrypted = endpoint.is_encrypted();
        Ok(Self { encrypted, clients: Mutex::new(Clients::with_roots(encrypted)?) })
    }

    /// The clients to send with: others once the files of the roots are others. Every request makes a connection of its
    /// own, so that nothing goes on with the old ones.
    fn clients(&self) -> Clients {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let roots = if self.encrypted { Roots::now() } else { clients.0.clone() };
        if roots != clients.0 {
            // A file that is half written is read again by the next request.
            match Clients::with_roots(self.encrypted) {
                Ok(anew) => *clients = anew,
                Err(error) => tracing::warn!(
                    ?error,
                    "the roots of trust have changed and cannot be read; going on with the old ones"
                ),
            }
        }
        clients.1.clone()
    }
}

impl Clients {
    /// With the roots as they are now.
    fn with_roots(encrypted: bool) -> Result<(Roots, Self), Failure> {
        let roots = if encrypted { Roots::checked().map_err(Failure::NotSent)? } else { Roots::now() };
        let short = build(encrypted, SILENCE, true)?;
        // A few compressed bytes could be many that are read.
        Ok((roots, Self { short, endless: build(encrypted, SILENCE_OF_A_STREAM, false)? }))
    }
}

fn build(encrypted: bool, silence: Duration, compressed: bool) -> Result<Client, Failure> {
    let builder = Client::builder();
    let builder = if encrypted { builder } else { builder.no_proxy() };
    let client = builder
        .user_agent(concat!("spideriq-operator/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .read_timeout(silence)
        .gzip(compressed)
        .retry(reqwest::retry::never())
        // A kept connection may be closed just as a request goes out, and then nobody knows whether it arrived.
        // Requests are few and paced, so that a fresh connection each costs less than one unknown submit.
        .pool_max_idle_per_host(0)
        .build();
    client.map_err(Failure::from)
}

impl Transport for Network {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, Failure>> {
        let answer = self.clients().short.execute(request);
        Box::pin(async { answer.await.map_err(Failure::from) })
    }

    fn open(&self, request: Request) -> BoxFuture<'static, Result<Response, Failure>> {
        let answer = self.clients().endless.execute(request);
        Box::pin(async { answer.await.map_err(Failure::from) })
    }
}

impl From<reqwest::Error> for Failure {
    /// reqwest reports an error as `is_connect` only while it makes the connection, which is always a fresh one here.
    fn from(error: reqwest::Error) -> Self {
        let (timeout, unsent) = (error.is_timeout(), error.is_connect() || error.is_builder());
        let error = error.without_url();
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            words = format!("{words}: {inner}");
            cause = inner.source();
        }
        match (unsent, timeout) {
            (true, _) => Self::NotSent(words),
            (false, true) => Self::Timeout,
            (false, false) => Self::Broken(words),
        }
    }
}
