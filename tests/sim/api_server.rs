//! The simulated API server: what kube's client asks it over HTTP, answered from a store.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use jiff::Timestamp;
use kube::client::Body as KubeBody;
use serde_json::{Value, json};
use spideriq_operator::clock::Clock;
use tokio::sync::Notify;

use super::fate::Life;
use super::store::{Change, How, Key, Refusal, Store};

/// The one API server of a run.
#[derive(Clone, Debug)]
pub struct ApiServer {
    store: Arc<Mutex<Store>>,
    /// Wakes watches, always in the same order.
    changed: Arc<Notify>,
    pub clock: Clock,
    /// The clock of the operator's machines, which may be wrong.
    pub operators_clock: Clock,
}

/// The API server as one life of the operator reaches it.
#[derive(Clone)]
pub struct Reached {
    server: ApiServer,
    life: Life,
}

/// A request, taken apart.
struct Asked {
    method: Method,
    kind: &'static str,
    namespace: Option<String>,
    name: Option<String>,
    status: bool,
    query: Vec<(String, String)>,
    metadata_only: bool,
    table: bool,
    body: Value,
}

impl ApiServer {
    pub fn new(start: Timestamp) -> Self {
        let [clock, operators_clock] = [(); 2].map(|()| Clock::simulated(start));
        Self { store: Arc::default(), changed: Arc::default(), clock, operators_clock }
    }

    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    /// Does something as a user would: at once, and never lost.
    pub fn with<T>(&self, act: impl FnOnce(&mut Store, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let result = act(&mut self.store(), now);
        self.changed.notify_waiters();
        result
    }

    /// A client of one life of the operator.
    pub fn client(&self, life: &Life) -> kube::Client {
        kube::Client::new(Reached { server: self.clone(), life: life.clone() }, "default")
    }
}

impl tower::Service<Request<KubeBody>> for Reached {
    type Response = Response<Body>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<KubeBody>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.answer(request).await })
    }
}

impl Reached {
    async fn answer(self, request: Request<KubeBody>) -> Result<Response<Body>, std::io::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.map_err(std::io::Error::other)?;
        let asked = Asked::read(&parts, &body);
        // An event's name is made of the machine's time.
        let (path, _) = parts.uri.path().split_once("/events/").unwrap_or((parts.uri.path(), ""));
        let what = format!("{} {path}", parts.method);
        let broken = || std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection broke");
        if !self.life.message(false, &format!("api > {what}")).await {
            return Err(broken());
        }
        if asked.method == Method::GET && asked.param("watch") == Some("true") {
            return Ok(self.watch(&asked));
        }
        let slow = self.server.store().slow_pages;
        let slow = slow.filter(|_| asked.param("continue").is_some() && !asked.table);
        if let Some(lasts) = slow {
            tokio::time::sleep(lasts).await;
        }
        let answer = self.server.with(|store, now| respond(store, &asked, now));
        if !self.life.message(false, &format!("api < {what}")).await {
            return Err(broken());
        }
        let (code, value) = match answer {
            Ok(value) => (if asked.method == Method::POST { 201 } else { 200 }, value),
            Err((code, message)) => (code, refusal(code, &message)),
        };
        Ok(Response::builder().status(code).body(Body::from(value.to_string())).unwrap())
    }

    /// Changes as they reach this watch, late by what fate draws for each.
    fn watch(self, asked: &Asked) -> Response<Body> {
        let from: u64 = asked.param("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        let lasts: u64 =
            asked.param("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(290);
        let ends = self.server.clock.instant() + Duration::from_secs(lasts);
        let (kind, namespace, metadata_only) = (asked.kind, asked.namespace.clone(), asked.metadata_only);
        let named = asked.named();
        let lines = futures::stream::unfold(from, move |at| {
            let (this, namespace, named) = (self.clone(), namespace.clone(), named.clone());
            async move {
                loop {
                    this.life.check().await;
                    let mut changed = pin!(this.server.changed.notified());
                    changed.as_mut().enable();
                    let fits = |change: &&Change| {
                        change.key.kind == kind
                            && namespace.as_ref().is_none_or(|namespace| change.key.namespace == *namespace)
                            && named.as_ref().is_none_or(|name| change.key.name == *name)
                    };
                    if at < this.server.store().forgotten {
                        let gone =
                            json!({"type": "ERROR", "object": refusal(410, "too old resource version")});
                        return Some((Ok(format!("{gone}\n")), u64::MAX));
                    }
                    let next = this.server.store().since(at).iter().find(fits).cloned();
                    if let Some(change) = next {
                        tokio::time::sleep(this.life.fate.watch_lag()).await;
                        this.life.check().await;
                        if this.life.fate.watch_breaks(kind) {
                            this.server.store().forget();
                            return None;
                        }
                        let object =
                            if metadata_only { only_metadata(&change.object) } else { change.object };
                        // The kind of the change comes first, as a real API server has it: an object is not kept as a
                        // tree until it is known what it is.
                        let line = format!("{{\"type\":\"{}\",\"object\":{object}}}\n", change.how);
                        return Some((Ok::<_, Infallible>(line), change.version));
                    }
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(ends) => return None,
                    }
                }
            }
        });
        Response::new(Body::from_stream(lines))
    }
}

fn respond(store: &mut Store, asked: &Asked, now: Timestamp) -> Result<Value, Refusal> {
    let key = || Key {
        kind: asked.kind.to_owned(),
        namespace: asked.namespace.clone().unwrap_or_default(),
        name: asked
            .name
            .clone()
            .or_else(|| asked.body.pointer("/metadata/name")?.as_str().map(str::to_owned))
            .unwrap_or_default(),
    };
    match (&asked.method, &asked.name) {
        (&Method::GET, Some(name)) => {
            let object = store.get(&key()).ok_or_else(|| (404, format!("{name} not found")))?;
            Ok(if asked.metadata_only { only_metadata(&object) } else { object })
        }
        (&Method::GET, None)
            if asked.kind == "ScrapeJob"
                && let Some((namespace, code)) = &store.unlisted
                && asked.namespace.as_ref() == Some(namespace) =>
        {
            Err((*code, "for now".to_owned()))
        }
        (&Method::GET, None) => list(store, asked, now),
        (&Method::POST, None) if store.no_events && asked.kind == "Event" => {
            Err((500, "etcdserver: no space".to_owned()))
        }
        (&Method::POST, None) => store.create(&key(), asked.body.clone(), now),
        (&Method::PATCH, Some(_)) => store.patch(&key(), asked.how(), &asked.body, "operator"),
        (&Method::DELETE, Some(_)) => store.delete(&key(), &asked.body, now),
        (method, name) => Err((405, format!("{method} of {name:?} is not simulated"))),
    }
}

/// A page of a list; each further one shows what was there when the first one was read.
fn list(store: &mut Store, asked: &Asked, now: Timestamp) -> Result<Value, Refusal> {
    let (number, from) =
        if let Some((number, from)) = asked.param("continue").and_then(|token| token.split_once('.')) {
            (number.parse().unwrap(), from.parse().unwrap())
        } else {
            let named = asked.named();
            let mut items = store.list(asked.kind, asked.namespace.as_deref());
            items.retain(|item| named.as_ref().is_none_or(|name| item["metadata"]["name"] == **name));
            (store.begin_list(items), 0)
        };
    let Some((version, items)) = store.lists.get(&number) else {
        return Err((410, "the continue token is too old".to_owned()));
    };
    let limit: usize = asked.param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
    let to = items.len().min(limit.saturating_add(from));
    let shown = |item: &Value| if asked.metadata_only { only_metadata(item) } else { item.clone() };
    if asked.table {
        let bare = asked.param("includeObject") == Some("None");
        let token = (to < items.len()).then(|| format!("{number}.{to}"));
        return Ok(table(&items[from..to], (*version, token), (now, bare)));
    }
    let page: Vec<Value> = items[from..to].iter().map(shown).collect();
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if to < items.len() {
        metadata["continue"] = format!("{number}.{to}").into();
    } else {
        store.lists.remove(&number);
    }
    Ok(json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": page}))
}

/// Rows in place of jobs, with the columns that the operator reads.
fn table(items: &[Value], (version, token): (u64, Option<String>), (now, bare): (Timestamp, bool)) -> Value {
    let age = |item: &Value| {
        let tried: Option<Timestamp> = item["status"]["triedAt"].as_str().and_then(|at| at.parse().ok());
        let seconds = tried.map(|at| now.duration_since(at).as_secs());
        seconds
            .map(|seconds| if seconds < 120 { format!("{seconds}s") } else { format!("{}m", seconds / 60) })
    };
    let row = |item: &Value| {
        // As the real one does, it shows what is annotated on each unless it is asked not to.
        let object = if bare { Value::Null } else { only_metadata(item) };
        let status = &item["status"];
        let cells = json!([item["metadata"]["name"], status["state"], status["jobID"], age(item)]);
        json!({"cells": cells, "object": object})
    };
    let columns = ["Name", "State", "Job-ID", "Tried"].map(|name| json!({ "name": name }));
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "Table",
        "metadata": {"resourceVersion": version.to_string(), "continue": token.unwrap_or_default()},
        "columnDefinitions": columns,
        "rows": items.iter().map(row).collect::<Vec<_>>(),
    })
}

impl Asked {
    /// `/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME/status`, and the same below `/api/v1`.
    fn read(parts: &http::request::Parts, body: &[u8]) -> Self {
        let segments: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
        let skip = if segments.first() == Some(&"apis") { 3 } else { 2 };
        let rest = segments.get(skip..).unwrap_or_default();
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            _ => (None, rest),
        };
        let kind = match rest.first() {
            Some(&"scrapejobs") => "ScrapeJob",
            Some(&"scrapeaccounts") => "ScrapeAccount",
            Some(&"clusterscrapeaccounts") => "ClusterScrapeAccount",
            Some(&"namespaces") => "Namespace",
            Some(&"secrets") => "Secret",
            Some(&"events") => "Event",
            Some(&"leases") => "Lease",
            Some(&"customresourcedefinitions") => "CustomResourceDefinition",
            // The published schemas, which nobody may read here.
            Some(&"apis") => "OpenAPI",
            other => panic!("nobody simulates {other:?}"),
        };
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
        let accept = parts.headers.get("accept").and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        Self {
            method: parts.method.clone(),
            kind,
            namespace,
            name: rest.get(1).map(|name| (*name).to_owned()),
            status: rest.get(2) == Some(&"status"),
            query,
            table: accept.contains("as=Table"),
            metadata_only: accept.contains("PartialObjectMetadata"),
            body: serde_json::from_slice(body).unwrap_or(Value::Null),
        }
    }

    fn how(&self) -> How {
        let strict = self.param("fieldValidation") == Some("Strict");
        How { status: self.status, strict, dry: self.param("dryRun") == Some("All") }
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The one name that a field selector asks for.
    fn named(&self) -> Option<String> {
        self.param("fieldSelector")?.strip_prefix("metadata.name=").map(str::to_owned)
    }
}

fn only_metadata(object: &Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
}

fn refusal(code: u16, message: &str) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        _ => "InternalError",
    };
    // As the real one does, it names the field that it has something against.
    let cause = message.split_once(": ").filter(|_| code == 422);
    let causes: Vec<Value> =
        cause.map(|(field, words)| json!({"field": field, "message": words})).into_iter().collect();
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code,
        "details": {"causes": causes},
    })
}
