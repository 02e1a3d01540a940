//! One client of the service: one endpoint, one token, one connection pool.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, redirect};
use tokio::sync::mpsc;

use super::wire::{
    Accepted, CancelBody, Details, JobStatus, ListBody, ListRow, SubmitBody, Summary, SummaryState, Whoami,
    is_job_id, is_type, summarise, text,
};
use super::{Credentials, Endpoint, Error, Signals};
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// Time to connect, for TLS included.
const CONNECT: Duration = Duration::from_secs(4);
/// The longest silence within an answer.
const SILENCE: Duration = Duration::from_secs(8);
/// A request from its start to the end of its answer.
const TOTAL: Duration = Duration::from_secs(10);
/// The same for a submit: the bound that the protocol's waiting times are made from (`docs/adr/0003`).
const SUBMIT_TOTAL: Duration = Duration::from_secs(8);
/// The same for results, which may be many megabytes.
const RESULTS_TOTAL: Duration = Duration::from_secs(60);
/// Decoded bytes of an ordinary answer; statuses have under a kilobyte, a page of the list under 50.
const SMALL: usize = 1024 * 1024;
/// Decoded bytes of results.
const LARGE: u64 = 64 * 1024 * 1024;

/// A form of the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For machines: the default, made by naming no format.
    Json,
    /// For details.
    Yaml,
    /// For people.
    Markdown,
}

/// What came of a request, beside what the answer's headers said.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// What was asked for.
    pub result: Result<T, Error>,
    /// What the headers said.
    pub signals: Signals,
}

/// What came of a submit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitAnswer {
    /// There is a job.
    Accepted(Box<Accepted>),
    /// There is certainly none.
    Refused(Error),
    /// Nobody can tell.
    Unknown {
        /// What happened.
        why: Error,
        /// Whether it was a success without a usable id.
        without_id: bool,
    },
}

/// One client of the service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    credentials: Credentials,
    clock: Clock,
    metrics: Metrics,
}

impl Client {
    /// A client for this endpoint and token. Proxies and additional roots of trust come from the environment.
    ///
    /// # Errors
    /// If the platform's roots of trust cannot be loaded.
    pub fn new(
        endpoint: Endpoint,
        credentials: Credentials,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let setup =
            |error: &dyn std::fmt::Display| Error::Connect(text(&error.to_string(), credentials.expose()));
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", credentials.expose()))
            .map_err(|error| setup(&error))?;
        bearer.set_sensitive(true);
        let http = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
            .user_agent(concat!("spideriq-operator/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .timeout(TOTAL)
            .retry(reqwest::retry::never())
            // A kept connection may be closed just as a request goes out, and then nobody knows whether it arrived.
            // Requests are few and paced, so that a fresh connection each costs less than one unknown submit.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| setup(&error))?;
        Ok(Self { http, endpoint, credentials, clock, metrics })
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Submits a job. The body is sent as it is.
    pub async fn submit(&self, type_: &str, body: &str) -> Answer<SubmitAnswer> {
        if !is_type(type_) {
            let error = Error::Invalid("the job type is not one plain word".to_owned());
            return Answer { result: Ok(SubmitAnswer::Refused(error)), signals: Signals::default() };
        }
        let request = self
            .request(Method::POST, &["jobs", type_, "submit"], &[])
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_owned())
            .timeout(SUBMIT_TOTAL);
        let (response, mut signals) = match self.send("submit", request).await {
            Ok(sent) => sent,
            Err(error) => return Answer { result: Ok(self.unsent(error)), signals: Signals::default() },
        };
        let code = response.status().as_u16();
        let body = self.small(response).await;
        let answer = match (code, body) {
            (200..=299, Ok(body)) => match SubmitBody::read(&body, self.credentials.expose()) {
                Ok(accepted) => SubmitAnswer::Accepted(Box::new(accepted)),
                Err(why) => SubmitAnswer::Unknown { why: Error::Malformed(why), without_id: true },
            },
            // The status line alone says that it was refused, even if the words behind it were lost.
            (400 | 401 | 402 | 403 | 404 | 405 | 422 | 429, body) => {
                let error = self.error(code, &body.unwrap_or_default(), &signals);
                signals.retry_at = retry_at(&error).or(signals.retry_at);
                SubmitAnswer::Refused(error)
            }
            (_, Ok(body)) => {
                SubmitAnswer::Unknown { why: self.error(code, &body, &signals), without_id: false }
            }
            (_, Err(why)) => SubmitAnswer::Unknown { why, without_id: false },
        };
        Answer { result: Ok(answer), signals }
    }

    /// Whether a submit without an answer can be told not to have arrived: reqwest reports an error as `is_connect`
    /// only while it makes the connection, which for this client is always a fresh one.
    fn unsent(&self, error: reqwest::Error) -> SubmitAnswer {
        if error.is_connect() || error.is_builder() {
            SubmitAnswer::Refused(self.transport(error))
        } else {
            SubmitAnswer::Unknown { why: self.transport(error), without_id: false }
        }
    }

    /// Reads a job's status.
    pub async fn status(&self, id: &str) -> Answer<JobStatus> {
        self.read(id, &[], |body| JobStatus::read(body, id, self.credentials.expose())).await
    }

    /// Reads what only the status in YAML says.
    pub async fn details(&self, id: &str) -> Answer<Details> {
        let read = |body: &[u8]| {
            let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
            Details::read(text, self.credentials.expose())
        };
        self.read(id, &[("format", "yaml")], read).await
    }

    /// Reads a job's status in one of its forms, to be shown as it is.
    pub async fn status_text(&self, id: &str, format: Format) -> Answer<String> {
        let query: &[(&str, &str)] = match format {
            Format::Json => &[],
            Format::Yaml => &[("format", "yaml")],
            Format::Markdown => &[("format", "md")],
        };
        self.read(id, query, |body| {
            String::from_utf8(body.to_vec()).map_err(|_| "it is not UTF-8".to_owned())
        })
        .await
    }

    /// Reads a job's results as they stream by.
    pub async fn results(&self, id: &str) -> Answer<Summary> {
        let request = self.request(Method::GET, &["jobs", id, "results"], &[]).timeout(RESULTS_TOTAL);
        let (response, signals) = match self.checked("results", id, request).await {
            Ok(sent) => sent,
            Err(error) => return Answer { result: Err(error), signals: Signals::default() },
        };
        let state = match response.status() {
            StatusCode::OK => SummaryState::Ready,
            StatusCode::ACCEPTED => SummaryState::Pending,
            StatusCode::GONE => SummaryState::Gone,
            _ => return self.refused(response, signals).await,
        };
        Answer { result: self.stream(response, state).await, signals }
    }

    async fn stream(&self, mut response: Response, state: SummaryState) -> Result<Summary, Error> {
        let (sender, receiver) = mpsc::channel(4);
        let credentials = self.credentials.clone();
        let reader = tokio::task::spawn_blocking(move || summarise(receiver, state, credentials.expose()));
        let mut bytes = 0;
        let mut fault = None;
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    bytes += chunk.len() as u64;
                    if bytes > LARGE {
                        fault = Some(Error::TooLarge);
                        break;
                    }
                    if sender.send(chunk).await.is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    fault = Some(self.transport(error));
                    break;
                }
            }
        }
        drop(sender);
        let read = reader.await.map_err(|_| Error::Malformed("the reader stopped".to_owned()))?;
        match fault {
            Some(fault) => Err(fault),
            None => read.map_err(|why| Error::Malformed(text(&why, self.credentials.expose()))),
        }
    }

    /// Cancels a job.
    pub async fn cancel(&self, id: &str) -> Answer<()> {
        let request = self.request(Method::DELETE, &["jobs", id], &[]);
        let checked = self.checked("cancel", id, request).await;
        self.answer(checked, CancelBody::read).await
    }

    /// Reads the newest jobs of the client.
    pub async fn newest(&self) -> Answer<Vec<ListRow>> {
        let query = [("sort_by", "created_at"), ("sort_order", "desc"), ("page_size", "100")];
        let sent = self.send("list", self.request(Method::GET, &["jobs", "list"], &query)).await;
        let sent = sent.map_err(|error| self.transport(error));
        self.answer(sent, |body| ListBody::read(body, self.credentials.expose())).await
    }

    /// Asks who the credentials belong to.
    pub async fn whoami(&self) -> Answer<Whoami> {
        let sent = self.send("whoami", self.request(Method::GET, &["auth", "whoami"], &[])).await;
        let sent = sent.map_err(|error| self.transport(error));
        self.answer(sent, |body| serde_json::from_slice(body).map_err(|error| error.to_string())).await
    }

    async fn read<T>(
        &self,
        id: &str,
        query: &[(&str, &str)],
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Answer<T> {
        let request = self.request(Method::GET, &["jobs", id, "status"], query);
        let checked = self.checked("status", id, request).await;
        self.answer(checked, read).await
    }

    async fn answer<T>(
        &self,
        sent: Result<(Response, Signals), Error>,
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Answer<T> {
        let (response, signals) = match sent {
            Ok(sent) => sent,
            Err(error) => return Answer { result: Err(error), signals: Signals::default() },
        };
        if !response.status().is_success() {
            return self.refused(response, signals).await;
        }
        let result = self.small(response).await.and_then(|body| {
            read(&body).map_err(|why| Error::Malformed(text(&why, self.credentials.expose())))
        });
        Answer { result, signals }
    }

    async fn refused<T>(&self, response: Response, mut signals: Signals) -> Answer<T> {
        let code = response.status().as_u16();
        let body = self.small(response).await.unwrap_or_default();
        let error = self.error(code, &body, &signals);
        signals.retry_at = retry_at(&error).or(signals.retry_at);
        Answer { result: Err(error), signals }
    }

    fn request(&self, method: Method, segments: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        self.http
            .request(method, self.endpoint.route(segments, query))
            .header(ACCEPT, "application/json, */*;q=0.5")
    }

    async fn checked(
        &self,
        route: &'static str,
        id: &str,
        request: RequestBuilder,
    ) -> Result<(Response, Signals), Error> {
        if !is_job_id(id) {
            return Err(Error::Invalid("the job id is not one plain word".to_owned()));
        }
        self.send(route, request).await.map_err(|error| self.transport(error))
    }

    async fn send(
        &self,
        route: &'static str,
        request: RequestBuilder,
    ) -> Result<(Response, Signals), reqwest::Error> {
        let begun = self.clock.instant();
        let sent = request.send().await;
        let code = sent.as_ref().ok().map(|response| response.status().as_u16());
        self.metrics.requested(route, code, begun.elapsed());
        let response = sent?;
        let signals = Signals::read(response.status().as_u16(), response.headers(), self.clock.now());
        Ok((response, signals))
    }

    /// The body of an ordinary answer, decoded; more than a megabyte is refused while it comes.
    async fn small(&self, mut response: Response) -> Result<Bytes, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(error))? {
            if body.len() + chunk.len() > SMALL {
                return Err(Error::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    fn error(&self, code: u16, body: &[u8], signals: &Signals) -> Error {
        Error::of_answer(code, body, signals.retry_at, self.clock.now(), self.credentials.expose())
    }

    /// An error of the transport in words without the address, which is known, and with its causes, which help.
    fn transport(&self, error: reqwest::Error) -> Error {
        let (timeout, connect) = (error.is_timeout(), error.is_connect());
        let error = error.without_url();
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            words = format!("{words}: {inner}");
            cause = inner.source();
        }
        let words = text(&words, self.credentials.expose());
        match (connect, timeout) {
            (true, _) => Error::Connect(words),
            (false, true) => Error::Timeout,
            (false, false) => Error::Interrupted(words),
        }
    }
}

fn retry_at(error: &Error) -> Option<Timestamp> {
    match error.class() {
        super::Class::WaitUntil(until) => until,
        super::Class::Retry | super::Class::Stall | super::Class::Gone => None,
    }
}
