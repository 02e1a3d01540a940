//! One client of the service: one endpoint, one token, one connection pool.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Response, StatusCode};
use tokio::sync::mpsc;

use super::connection::{Failure, Network, Transport};
use super::wire::{
    Accepted, CancelBody, Details, JobStatus, SubmitBody, Summary, SummaryState, Whoami, clean, is_job_id,
    is_type, lines, summarise, text,
};
use super::{Credentials, Endpoint, Error, Signals};
use crate::clock::Clock;
use crate::health::waiting;
use crate::telemetry::Metrics;

/// A request from its start to the end of its answer.
pub(super) const TOTAL: Duration = Duration::from_secs(10);
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
    transport: Arc<dyn Transport>,
    endpoint: Endpoint,
    pub(super) credentials: Credentials,
    bearer: HeaderValue,
    pub(super) clock: Clock,
    metrics: Metrics,
}

impl Client {
    /// A client for this endpoint and token, over the network.
    ///
    /// # Errors
    /// If the platform's roots of trust cannot be loaded.
    pub fn new(
        endpoint: Endpoint,
        credentials: Credentials,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        Self::over(Self::network(&endpoint)?, endpoint, credentials, (clock, metrics))
    }

    /// The network as it is used for an endpoint: one will do for all that are encrypted, and one for all others.
    ///
    /// # Errors
    /// If the platform's roots of trust cannot be loaded.
    pub fn network(endpoint: &Endpoint) -> Result<Arc<dyn Transport>, Error> {
        let network = Network::new(endpoint).map_err(|failure| transport_error(failure, ""))?;
        Ok(Arc::new(network))
    }

    /// The same over another transport.
    ///
    /// # Errors
    /// If the token cannot be a header, which [`Credentials`] rules out.
    pub fn over(
        transport: Arc<dyn Transport>,
        endpoint: Endpoint,
        credentials: Credentials,
        (clock, metrics): (Clock, Metrics),
    ) -> Result<Self, Error> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", credentials.expose()))
            .map_err(|_| Error::Connect("the token cannot be a header".to_owned()))?;
        bearer.set_sensitive(true);
        Ok(Self { transport, endpoint, credentials, bearer, clock, metrics })
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
        let mut request = self.request(Method::POST, &["jobs", type_, "submit"], &[], SUBMIT_TOTAL);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.to_owned().into());
        let (response, mut signals) = match self.send("submit", request).await {
            Ok(sent) => sent,
            Err(error) => return Answer { result: Ok(self.unsent(error)), signals: Signals::default() },
        };
        let code = response.status().as_u16();
        let body = self.small(response).await;
        let answer = match (code, body) {
            (200..=299, Ok(body)) => match SubmitBody::read(&clean(&body), self.credentials.expose()) {
                Ok(accepted) => SubmitAnswer::Accepted(Box::new(accepted)),
                Err(why) => SubmitAnswer::Unknown { why: self.malformed(&why), without_id: true },
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

    /// What a submit without an answer means: it was certainly not sent, or nobody can tell.
    fn unsent(&self, failure: Failure) -> SubmitAnswer {
        match failure {
            Failure::NotSent(_) => SubmitAnswer::Refused(self.failed(failure)),
            Failure::Timeout | Failure::Broken(_) => {
                SubmitAnswer::Unknown { why: self.failed(failure), without_id: false }
            }
        }
    }

    /// Reads a job's status.
    pub async fn status(&self, id: &str) -> Answer<JobStatus> {
        self.read(id, &[], |body| JobStatus::read(&clean(body), id, self.credentials.expose())).await
    }

    /// Reads what only the status in YAML says.
    pub async fn details(&self, id: &str) -> Answer<Details> {
        self.read(id, &[("format", "yaml")], |body| Details::read(body, self.credentials.expose())).await
    }

    /// Reads a job's status in one of its forms, to be shown to people.
    pub async fn status_text(&self, id: &str, format: Format) -> Answer<String> {
        let query: &[(&str, &str)] = match format {
            Format::Json => &[],
            Format::Yaml => &[("format", "yaml")],
            Format::Markdown => &[("format", "md")],
        };
        self.read(id, query, |body| Ok(lines(&String::from_utf8_lossy(body), self.credentials.expose())))
            .await
    }

    /// Reads a job's results as they stream by; tells when the answer has begun.
    pub async fn results(&self, id: &str, begins: impl FnOnce()) -> Answer<Summary> {
        let request = self.request(Method::GET, &["jobs", id, "results"], &[], RESULTS_TOTAL);
        let (response, signals) = match self.checked("results", id, request).await {
            Ok(sent) => sent,
            Err(error) => return Answer { result: Err(error), signals: Signals::default() },
        };
        begins();
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
                    fault = Some(self.failed(error.into()));
                    break;
                }
            }
        }
        drop(sender);
        let read = reader.await.map_err(|_| Error::Malformed("the reader stopped".to_owned()))?;
        match fault {
            Some(fault) => Err(fault),
            None => read.map_err(|why| self.malformed(&why)),
        }
    }

    /// Cancels a job; says whether the answer, a 200, tells of this very job that it is cancelled.
    pub async fn cancel(&self, id: &str) -> Answer<bool> {
        let request = self.request(Method::DELETE, &["jobs", id], &[], TOTAL);
        let checked = self.checked("cancel", id, request).await;
        let done = checked.as_ref().is_ok_and(|(response, _)| response.status() == StatusCode::OK);
        self.answer(checked, |body| CancelBody::read(&clean(body), id).map(|cancelled| cancelled && done))
            .await
    }

    /// Asks who the credentials belong to.
    pub async fn whoami(&self) -> Answer<Whoami> {
        let sent = self.send("whoami", self.request(Method::GET, &["auth", "whoami"], &[], TOTAL)).await;
        let sent = sent.map_err(|failure| self.failed(failure));
        self.answer(sent, |body| Whoami::read(&clean(body), self.credentials.expose())).await
    }

    async fn read<T>(
        &self,
        id: &str,
        query: &[(&str, &str)],
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Answer<T> {
        let request = self.request(Method::GET, &["jobs", id, "status"], query, TOTAL);
        let checked = self.checked("status", id, request).await;
        self.answer(checked, read).await
    }

    /// What could not be read may have been the token itself.
    fn malformed(&self, why: &str) -> Error {
        Error::Malformed(text(why, self.credentials.expose()))
    }

    pub(super) async fn answer<T>(
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
        let result =
            self.small(response).await.and_then(|body| read(&body).map_err(|why| self.malformed(&why)));
        Answer { result, signals }
    }

    pub(super) async fn refused<T>(&self, response: Response, mut signals: Signals) -> Answer<T> {
        let code = response.status().as_u16();
        let body = self.small(response).await.unwrap_or_default();
        let error = self.error(code, &body, &signals);
        signals.retry_at = retry_at(&error).or(signals.retry_at);
        Answer { result: Err(error), signals }
    }

    pub(super) fn request(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        timeout: Duration,
    ) -> Request {
        let mut request = Request::new(method, self.endpoint.route(segments, query));
        request.headers_mut().insert(AUTHORIZATION, self.bearer.clone());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        *request.timeout_mut() = Some(timeout);
        request
    }

    async fn checked(
        &self,
        route: &'static str,
        id: &str,
        request: Request,
    ) -> Result<(Response, Signals), Error> {
        if !is_job_id(id) {
            return Err(Error::Invalid("the job id is not one plain word".to_owned()));
        }
        self.send(route, request).await.map_err(|failure| self.failed(failure))
    }

    pub(super) async fn send(
        &self,
        route: &'static str,
        request: Request,
    ) -> Result<(Response, Signals), Failure> {
        self.sent(route, self.transport.send(request)).await
    }

    /// The same, for an answer that goes on for ever.
    pub(super) async fn open(
        &self,
        route: &'static str,
        request: Request,
    ) -> Result<(Response, Signals), Failure> {
        self.sent(route, self.transport.open(request)).await
    }

    async fn sent(
        &self,
        route: &'static str,
        sent: BoxFuture<'static, Result<Response, Failure>>,
    ) -> Result<(Response, Signals), Failure> {
        let begun = self.clock.instant();
        let sent = waiting(sent).await;
        let code = sent.as_ref().ok().map(|response| response.status().as_u16());
        self.metrics.requested(route, code, begun.elapsed());
        let response = sent?;
        let signals = Signals::read(response.status().as_u16(), response.headers(), self.clock.now());
        Ok((response, signals))
    }

    /// The body of an ordinary answer, decoded; more than a megabyte is refused while it comes.
    async fn small(&self, mut response: Response) -> Result<Bytes, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error.into()))? {
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

    pub(super) fn failed(&self, failure: Failure) -> Error {
        transport_error(failure, self.credentials.expose())
    }
}

fn transport_error(failure: Failure, secret: &str) -> Error {
    match failure {
        Failure::NotSent(words) => Error::Connect(text(&words, secret)),
        Failure::Timeout => Error::Timeout,
        Failure::Broken(words) => Error::Interrupted(text(&words, secret)),
    }
}

fn retry_at(error: &Error) -> Option<Timestamp> {
    match error.class() {
        super::Class::WaitUntil(until) => until,
        super::Class::Retry | super::Class::Stall | super::Class::Gone => None,
    }
}
