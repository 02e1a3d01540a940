//! What the API server tells of the jobs of a namespace in a row for each, without the objects: nobody waits for all that
//! others store.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, Shared};
use futures::{AsyncReadExt, FutureExt};
use http::HeaderValue;
use http::header::ACCEPT;
use kube::api::{GetParams, ListParams};
use kube::core::{ListMeta, Request};
use kube::{Api, Client};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::Replies;
use crate::api::{JOB_ID, STATE, ScrapeJob, State, TRIED};
use crate::cache::CachedJob;
use crate::clock::Clock;
use crate::health::waiting;

/// In how many pages a namespace is read: in one with more objects everybody waits for the list of all.
const PAGES: usize = 8;
/// Rows in a page, and the most bytes that it may have: a message has up to 1 KiB, and beside a page of the list of all jobs
/// there is room for so much.
const ROWS: u32 = 250;
const PAGE_MAX: usize = 448 * 1024;
/// The most bytes of a job that is read alone: a larger one waits for the list.
const JOB_MAX: usize = 128 * 1024;
/// How often one request is sent whose answer is lost.
const TRIES: u32 = 3;
/// Rows without the objects.
const AS_TABLE: HeaderValue = HeaderValue::from_static("application/json;as=Table;g=meta.k8s.io;v=v1");
/// How long the API server may take for one answer: whoever waits for it keeps room from others.
const WITHIN: Duration = Duration::from_secs(10);

/// What is told of the jobs of a namespace.
#[derive(Debug)]
pub(in crate::controller) struct Rows {
    /// How long ago each submit was then, whoever made it; nothing where not all could be read.
    pub(in crate::controller) tried: Option<Vec<Duration>>,
    /// The names of those that nobody has begun, as far as they were read.
    pub(in crate::controller) unbegun: Vec<String>,
    pub(in crate::controller) read_at: Instant,
}

/// The rows of a namespace, as they are read.
pub(in crate::controller) type RowsIn = Shared<BoxFuture<'static, Arc<Rows>>>;

/// What is read of each namespace, once, until all jobs are listed.
#[derive(Clone, Debug, Default)]
pub(in crate::controller) struct AllRows(Arc<Mutex<HashMap<String, RowsIn>>>);

impl AllRows {
    /// What is read of a namespace; it begins to be read, if it was not.
    pub(in crate::controller) fn of(
        &self,
        namespace: &str,
        (client, replies, clock): (&Client, &Replies, &Clock),
    ) -> RowsIn {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What could not be read is tried again.
        all.retain(|_, rows| rows.peek().is_none_or(|rows| rows.tried.is_some()));
        let begin = || {
            let (client, replies, clock) = (client.clone(), replies.clone(), clock.clone());
            let namespace = namespace.to_owned();
            let rows = async move { Arc::new(rows(&client, &replies, &clock, &namespace).await) };
            let rows = rows.boxed().shared();
            tokio::spawn(rows.clone());
            rows
        };
        all.entry(namespace.to_owned()).or_insert_with(begin).clone()
    }

    /// All jobs are listed: nobody asks any more.
    pub(in crate::controller) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

async fn rows(client: &Client, replies: &Replies, clock: &Clock, namespace: &str) -> Rows {
    let mut rows = Rows { tried: None, unbegun: Vec::new(), read_at: clock.instant() };
    let (mut ages, mut token) = (Vec::new(), None);
    for _ in 0..PAGES {
        let Some(page) = waiting(table(client, replies, (namespace, token.take()))).await else { break };
        let Some(columns) = Columns::of(&page) else { break };
        for row in &page.rows {
            ages.extend(columns.age(row));
            rows.unbegun.extend(columns.unbegun(row).map(str::to_owned));
        }
        token = page.metadata.continue_.filter(|token| !token.is_empty());
        if token.is_none() {
            rows.tried = Some(ages);
            break;
        }
    }
    // The latest that it can have been: what is thought older than it is would be counted too short.
    rows.read_at = clock.instant();
    rows
}

/// A job; nothing where it is large, gone or not to be had: the list will show it.
pub(super) async fn job(
    client: &Client,
    replies: &Replies,
    (namespace, name): (&str, &str),
) -> Option<CachedJob> {
    let mut request = jobs_in(client, namespace).get(name, &GetParams::default()).ok()?;
    request.extensions_mut().insert("get");
    waiting(read(client, replies, request, JOB_MAX)).await
}

/// A page of rows, as `kubectl get` shows them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    metadata: ListMeta,
    #[serde(default)]
    column_definitions: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

#[derive(Deserialize)]
struct Row {
    cells: Vec<Value>,
}

/// Where the cells are that tell something.
struct Columns {
    name: usize,
    state: usize,
    job_id: usize,
    tried: usize,
}

impl Columns {
    /// Nothing where one is missing: an older CRD is there.
    fn of(page: &Table) -> Option<Self> {
        let at = |name| page.column_definitions.iter().position(|column| column.name == name);
        Some(Self { name: at("Name")?, state: at(STATE)?, job_id: at(JOB_ID)?, tried: at(TRIED)? })
    }

    /// How long ago a submit was tried.
    fn age(&self, row: &Row) -> Option<Duration> {
        age(row.cells.get(self.tried)?)
    }

    /// The name of a job of which nothing says that anybody has begun it.
    fn unbegun<'a>(&self, row: &'a Row) -> Option<&'a str> {
        let text = |at: usize| row.cells.get(at).and_then(Value::as_str).filter(|text| !text.is_empty());
        let waits = text(self.state).is_none_or(|state| state == State::Pending.as_str());
        let untouched = text(self.job_id).is_none() && text(self.tried).is_none();
        text(self.name).filter(|_| waits && untouched)
    }
}

/// A page of the jobs of a namespace; nothing where it is not to be had.
async fn table(
    client: &Client,
    replies: &Replies,
    (namespace, token): (&str, Option<String>),
) -> Option<Table> {
    let params = ListParams { limit: Some(ROWS), continue_token: token, ..ListParams::default() };
    let mut request = jobs_in(client, namespace).list(&params).ok()?;
    // Else each row has all that is annotated on its object.
    *request.uri_mut() = format!("{}&includeObject=None", request.uri()).parse().ok()?;
    request.headers_mut().insert(ACCEPT, AS_TABLE);
    request.extensions_mut().insert("list");
    read(client, replies, request, PAGE_MAX).await
}

fn jobs_in(client: &Client, namespace: &str) -> Request {
    Request::new(Api::<ScrapeJob>::namespaced(client.clone(), namespace).resource_url())
}

/// What the API server answers, if it has at most so many bytes. What is lost on its way is asked for again at once.
async fn read<T: DeserializeOwned>(
    client: &Client,
    replies: &Replies,
    request: http::Request<Vec<u8>>,
    most: usize,
) -> Option<T> {
    for _ in 0..TRIES {
        let _room = replies.room(most).await;
        match timeout(WITHIN, text(client, request.clone(), most)).await {
            Ok(Ok(text)) => return serde_json::from_slice(&text).ok(),
            Err(_) | Ok(Err(kube::Error::Api(_))) => return None,
            Ok(Err(_)) => {}
        }
    }
    None
}

async fn text(client: &Client, request: http::Request<Vec<u8>>, most: usize) -> kube::Result<Vec<u8>> {
    let answer = pin!(client.request_stream(request).await?);
    let mut text = Vec::new();
    let length = u64::try_from(most).unwrap_or(u64::MAX);
    answer.take(length).read_to_end(&mut text).await.map_err(kube::Error::ReadEvents)?;
    Ok(text)
}

/// How long ago a submit was tried, as the API server tells it: in seconds up to two minutes, and what is in the future or no
/// time as just now; nothing where none was, or so long ago that it counts no more.
fn age(cell: &Value) -> Option<Duration> {
    let told = cell.as_str()?;
    if told.starts_with('<') {
        return Some(Duration::ZERO);
    }
    told.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::time::Duration;

    use futures::FutureExt;
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};
    use tokio::time::timeout;

    use super::{AllRows, WITHIN, age, job};
    use crate::clock::Clock;
    use crate::controller::context::Replies;

    /// Else neither a list nor anything large would be read any more.
    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_hangs_keeps_no_room_for_its_answer() {
        let hangs = |_: http::Request<Body>| pending::<Result<http::Response<Body>, Infallible>>();
        let client = Client::new(tower::service_fn(hangs), "a");
        let (replies, clock) =
            (Replies::default(), Clock::simulated("2026-01-01T00:00:00Z".parse().unwrap()));
        let all = AllRows::default();
        let several = (0..4).map(|n| all.of(&format!("team-{n}"), (&client, &replies, &clock)));
        let read = timeout(WITHIN * 2, futures::future::join_all(several)).await;
        for rows in read.unwrap() {
            assert!(rows.tried.is_none() && rows.unbegun.is_empty());
        }
        let read = timeout(WITHIN * 2, job(&client, &replies, ("team", "acme"))).await;
        assert!(read.unwrap().is_none());
        assert!(replies.room(usize::MAX).now_or_never().flatten().is_some(), "all of it");
    }

    /// What was told of at the beginning of a long reading was so old at its end at the least.
    #[tokio::test(start_paused = true)]
    async fn ages_are_those_of_the_end_of_a_reading() {
        let slow = |_: http::Request<Body>| async {
            tokio::time::sleep(WITHIN / 2).await;
            let columns = ["Name", "State", "Job-ID", "Tried"].map(|name| json!({ "name": name }));
            let rows =
                [json!({"cells": ["new", null, null, null]}), json!({"cells": ["old", "Queued", "a", "3s"]})];
            let table = json!({"metadata": {}, "columnDefinitions": columns, "rows": rows});
            Ok::<_, Infallible>(http::Response::new(Body::from(table.to_string().into_bytes())))
        };
        let client = Client::new(tower::service_fn(slow), "a");
        let (replies, clock) =
            (Replies::default(), Clock::simulated("2026-01-01T00:00:00Z".parse().unwrap()));
        let begun = clock.instant();
        let rows = AllRows::default().of("team", (&client, &replies, &clock)).await;
        assert_eq!(rows.tried, Some(vec![Duration::from_secs(3)]));
        assert_eq!(rows.unbegun, ["new"]);
        assert!(rows.read_at.duration_since(begun) >= WITHIN / 2);
    }

    #[test]
    fn an_age_is_read_as_kubectl_shows_it() {
        let rows: [(Value, Option<u64>); 9] = [
            (json!("0s"), Some(0)),
            (json!("119s"), Some(119)),
            (json!("<invalid>"), Some(0)),
            (json!("<unknown>"), Some(0)),
            (json!("2m"), None),
            (json!("2m10s"), None),
            (json!("3h"), None),
            (json!(7), None),
            (Value::Null, None),
        ];
        for (cell, seconds) in rows {
            assert_eq!(age(&cell), seconds.map(Duration::from_secs), "{cell}");
        }
    }
}
