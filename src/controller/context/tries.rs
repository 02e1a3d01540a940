//! When submits were tried for the objects of a namespace: the API server tells it in a line for each, so that nobody waits for
//! all that others store.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, Shared};
use futures::{AsyncReadExt, FutureExt};
use http::HeaderValue;
use http::header::ACCEPT;
use kube::api::ListParams;
use kube::core::{ListMeta, Request};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::Value;

use super::Replies;
use crate::api::{ScrapeJob, TRIED};
use crate::health::waiting;

/// In how many pages a namespace is read: in one with more objects everybody waits for the list of all.
const PAGES: usize = 8;
/// Lines in a page, and the most bytes that it may have: a message has up to 1 KiB, and beside a page of the list of all jobs
/// there is room for so much.
const LINES: u32 = 250;
const PAGE_MAX: usize = 448 * 1024;
/// Lines without the objects.
const AS_TABLE: HeaderValue = HeaderValue::from_static("application/json;as=Table;g=meta.k8s.io;v=v1");

/// How long ago each submit of a namespace was, whoever made it; nothing where it could not be read.
pub(in crate::controller) type TriesIn = Shared<BoxFuture<'static, Option<Arc<[Duration]>>>>;

/// What is read of each namespace, once, until all jobs are listed.
#[derive(Clone, Debug, Default)]
pub(in crate::controller) struct Tries(Arc<Mutex<HashMap<String, TriesIn>>>);

impl Tries {
    /// What is read of a namespace; it begins to be read, if it was not.
    pub(in crate::controller) fn of(&self, namespace: &str, client: &Client, replies: &Replies) -> TriesIn {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What could not be read is tried again.
        all.retain(|_, tries| tries.peek().is_none_or(Option::is_some));
        let begin = || {
            let (client, replies, namespace) = (client.clone(), replies.clone(), namespace.to_owned());
            let tries = async move { read(&client, &replies, &namespace).await }.boxed().shared();
            tokio::spawn(tries.clone());
            tries
        };
        all.entry(namespace.to_owned()).or_insert_with(begin).clone()
    }

    /// All jobs are listed: nobody asks any more.
    pub(in crate::controller) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A page of lines, as `kubectl get` shows them.
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

async fn read(client: &Client, replies: &Replies, namespace: &str) -> Option<Arc<[Duration]>> {
    let (mut ages, mut token) = (Vec::new(), None);
    for _ in 0..PAGES {
        let table = waiting(table(client, replies, (namespace, token.take()))).await?;
        let tried = table.column_definitions.iter().position(|column| column.name == TRIED)?;
        ages.extend(table.rows.iter().filter_map(|row| age(row.cells.get(tried)?)));
        token = table.metadata.continue_.filter(|token| !token.is_empty());
        if token.is_none() {
            return Some(ages.into());
        }
    }
    None
}

/// A page of the jobs of a namespace; nothing where it is not to be had.
async fn table(
    client: &Client,
    replies: &Replies,
    (namespace, token): (&str, Option<String>),
) -> Option<Table> {
    let _room = replies.room(PAGE_MAX).await;
    let jobs: Api<ScrapeJob> = Api::namespaced(client.clone(), namespace);
    let url = jobs.resource_url().to_owned();
    let params = ListParams { limit: Some(LINES), continue_token: token, ..ListParams::default() };
    let mut request = Request::new(url).list(&params).ok()?;
    // Else each line has all that is annotated on its object.
    *request.uri_mut() = format!("{}&includeObject=None", request.uri()).parse().ok()?;
    request.headers_mut().insert(ACCEPT, AS_TABLE);
    request.extensions_mut().insert("list");
    let answer = pin!(client.request_stream(request).await.ok()?);
    let mut text = Vec::new();
    let length = u64::try_from(PAGE_MAX).unwrap_or(u64::MAX);
    answer.take(length).read_to_end(&mut text).await.ok()?;
    serde_json::from_slice(&text).ok()
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
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::age;

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
