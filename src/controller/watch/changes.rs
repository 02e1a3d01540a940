//! The changes of a kind, as kube's watcher tells them; but what is listed at once is bounded in bytes, and neither an
//! object that cannot be read nor a page that is lost begins the list anew.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use kube::api::{WatchEvent, WatchParams};
use kube::runtime::watcher::{Error, Event};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::pages::Pages;
use crate::controller::context::{Measured, Replies};

/// How long the API server keeps a watch open, in seconds.
const WATCHED_FOR: u32 = 290;
/// A watch that says nothing for longer is broken: the API server would have ended it.
const SILENT_FOR: Duration = Duration::from_secs(WATCHED_FOR as u64 + 5);

type Told<K> = Result<Event<K>, Error>;
type Listed<K> = BoxStream<'static, kube::Result<(Vec<K>, String)>>;
type Watched<K> = BoxStream<'static, kube::Result<WatchEvent<K>>>;

/// What can be watched.
pub(in crate::controller) trait Kept:
    Resource<DynamicType = ()> + Measured + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Kept for K where
    K: Resource<DynamicType = ()> + Measured + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

/// How far it is.
enum State<K> {
    /// Nothing is known.
    Begin,
    /// Listing, and watching beside it.
    List(Listing<K>),
    /// Everything is known up to this version.
    Known(String),
    /// Watching since that version.
    Watch(String, Watched<K>),
}

/// A list under way. What changes meanwhile is told at once: else a new object would wait for all that others store.
struct Listing<K> {
    pages: Listed<K>,
    /// What the last page had left.
    left: VecDeque<K>,
    /// What changed since the first page. Where it breaks off it begins anew after the last page.
    watch: Watched<K>,
    /// Up to which version that was told; none before the first page.
    version: Option<String>,
}

/// The changes, for as long as it is polled. An error is to be followed by a pause.
pub(super) fn changes<K: Kept>(api: Api<K>, replies: Replies) -> impl Stream<Item = Told<K>> + Send {
    stream::unfold((State::Begin, api, replies), |(mut state, api, replies)| async move {
        loop {
            let (told, next) = step(state, &api, &replies).await;
            state = next;
            if let Some(told) = told {
                return Some((told, (state, api, replies)));
            }
        }
    })
}

/// The pages of a list, each with the version of the first.
fn pages<K: Kept>(api: Api<K>, replies: Replies) -> Listed<K> {
    stream::try_unfold(Pages::new(api, replies), |mut pages| async move {
        let page = pages.next().await?;
        let version = pages.version().unwrap_or_default().to_owned();
        Ok(page.map(|page| ((page, version), pages)))
    })
    .boxed()
}

/// The changes since a version, asked for once they are polled.
fn watched<K: Kept>(api: Api<K>, version: String) -> Watched<K> {
    let begun = async move { api.watch(&watching(), &version).await.map(StreamExt::boxed) };
    stream::once(begun).try_flatten().fuse().boxed()
}

fn watching() -> WatchParams {
    WatchParams { timeout: Some(WATCHED_FOR), ..WatchParams::default() }
}

/// The version of an object; nothing where it has none.
fn version_of<K: Kept>(object: &K) -> Option<String> {
    object.resource_version().filter(|version| !version.is_empty())
}

async fn list<K: Kept>(mut listing: Listing<K>, api: &Api<K>) -> (Option<Told<K>>, State<K>) {
    if let Some(job) = listing.left.pop_front() {
        return (Some(Ok(Event::InitApply(job))), State::List(listing));
    }
    let told = tokio::select! {
        // In this order, so that a simulation can be repeated.
        biased;
        Some(change) = listing.watch.next() => match change {
            Ok(WatchEvent::Added(job) | WatchEvent::Modified(job)) => {
                listing.version = version_of(&job).or(listing.version);
                Some(Ok(Event::Apply(job)))
            }
            Ok(WatchEvent::Deleted(job)) => {
                listing.version = version_of(&job).or(listing.version);
                Some(Ok(Event::Delete(job)))
            }
            Ok(WatchEvent::Bookmark(_)) => None,
            Ok(WatchEvent::Error(_)) | Err(_) => {
                listing.watch = stream::empty().boxed();
                None
            }
        },
        page = listing.pages.next() => match page {
            Some(Ok((page, version))) => {
                if listing.version.is_none() {
                    listing.watch = watched(api.clone(), version.clone());
                    listing.version = Some(version);
                }
                listing.left = page.into();
                None
            }
            Some(Err(error)) => return (Some(Err(Error::InitialListFailed(error))), State::Begin),
            None => {
                let version = listing.version.unwrap_or_default();
                return (Some(Ok(Event::InitDone)), State::Watch(version, listing.watch));
            }
        },
    };
    (told, State::List(listing))
}

async fn step<K: Kept>(state: State<K>, api: &Api<K>, replies: &Replies) -> (Option<Told<K>>, State<K>) {
    match state {
        State::Begin => {
            let pages = pages(api.clone(), replies.clone());
            let (left, watch) = (VecDeque::new(), stream::empty().boxed());
            (Some(Ok(Event::Init)), State::List(Listing { pages, left, watch, version: None }))
        }
        State::List(listing) => list(listing, api).await,
        State::Known(version) => match api.watch(&watching(), &version).await {
            Ok(changes) => (None, State::Watch(version, changes.boxed())),
            Err(kube::Error::Api(status)) if status.code == 410 => {
                (Some(Err(Error::WatchStartFailed(kube::Error::Api(status)))), State::Begin)
            }
            Err(error) => (Some(Err(Error::WatchStartFailed(error))), State::Known(version)),
        },
        State::Watch(version, mut changes) => match tokio::time::timeout(SILENT_FOR, changes.next()).await {
            Ok(Some(Ok(WatchEvent::Added(job) | WatchEvent::Modified(job)))) => {
                let version = version_of(&job).unwrap_or(version);
                (Some(Ok(Event::Apply(job))), State::Watch(version, changes))
            }
            Ok(Some(Ok(WatchEvent::Deleted(job)))) => {
                let version = version_of(&job).unwrap_or(version);
                (Some(Ok(Event::Delete(job))), State::Watch(version, changes))
            }
            Ok(Some(Ok(WatchEvent::Bookmark(mark)))) => {
                (None, State::Watch(mark.metadata.resource_version, changes))
            }
            Ok(Some(Ok(WatchEvent::Error(status)))) => {
                let gone = status.code == 410;
                let next = if gone { State::Begin } else { State::Watch(version, changes) };
                (Some(Err(Error::WatchError(status))), next)
            }
            Ok(Some(Err(error))) => (Some(Err(Error::WatchFailed(error))), State::Watch(version, changes)),
            Ok(None) | Err(_) => (None, State::Known(version)),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;
    use std::sync::{Arc, Mutex};

    use futures::{FutureExt, StreamExt, stream};
    use http::{Request, Response};
    use http_body_util::StreamBody;
    use hyper::body::{Bytes, Frame};
    use kube::client::Body;
    use kube::runtime::watcher::{Error, Event};
    use kube::{Api, Client, ResourceExt};
    use serde_json::{Value, json};
    use tokio::sync::watch;

    use super::changes;
    use crate::cache::CachedJob;
    use crate::controller::context::Replies;

    fn job(name: &str, version: u32) -> Value {
        json!({
            "apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob",
            "metadata": {"name": name, "namespace": "a", "uid": name, "resourceVersion": version.to_string()},
            "spec": {"type": "spiderSite"},
        })
    }

    /// An API server whose list has two pages, the second of which comes once it is let; its first watch tells of one new
    /// object and then breaks off or goes on. Says what was asked of it.
    fn server(breaks: bool, let_go: watch::Receiver<bool>) -> (Client, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let answer = move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let has = |word: &str| query.contains(word);
            let (watches, second) = (has("watch=true"), has("continue=more"));
            let from_the_list = has("resourceVersion=9");
            noted.lock().unwrap().push(query);
            let mut let_go = let_go.clone();
            async move {
                if watches {
                    // As the API server writes it: the type first.
                    let line = format!("{{\"type\":\"ADDED\",\"object\":{}}}\n", job("new", 10));
                    let frame = Frame::data(Bytes::from(line.into_bytes()));
                    let lines = stream::iter(from_the_list.then_some(Ok::<_, Infallible>(frame)));
                    let rest = if breaks && from_the_list {
                        stream::empty().boxed()
                    } else {
                        stream::pending().boxed()
                    };
                    return Ok(Response::new(StreamBody::new(lines.chain(rest).boxed())));
                }
                if second {
                    let_go.wait_for(|go| *go).await.unwrap();
                }
                let items =
                    if second { [job("new", 3), job("old-b", 4)] } else { [job("old-a", 1), job("old", 2)] };
                let token = if second { "" } else { "more" };
                let list = json!({
                    "apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJobList",
                    "metadata": {"resourceVersion": "9", "continue": token}, "items": items,
                });
                let frame = Frame::data(Bytes::from(list.to_string().into_bytes()));
                Ok::<_, Infallible>(Response::new(StreamBody::new(stream::iter([Ok(frame)]).boxed())))
            }
        };
        (Client::new(tower::service_fn(answer), "a"), asked)
    }

    fn words(event: &Result<Event<CachedJob>, Error>) -> String {
        match event {
            Ok(Event::Init) => "lists".to_owned(),
            Ok(Event::InitApply(job)) => format!("lists {}", job.name_any()),
            Ok(Event::InitDone) => "listed".to_owned(),
            Ok(Event::Apply(job)) => format!("has {}", job.name_any()),
            Ok(Event::Delete(job)) => format!("lost {}", job.name_any()),
            Err(error) => format!("failed: {error}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_object_is_told_before_a_list_is_whole_and_the_watch_goes_on_after_it() {
        for breaks in [false, true] {
            let (go, let_go) = watch::channel(false);
            let (client, asked) = server(breaks, let_go);
            let mut told = pin!(changes(Api::<CachedJob>::all(client), Replies::default()));
            let mut next = async || words(&told.next().await.unwrap());
            let mut first = Vec::new();
            for _ in 0..4 {
                first.push(next().await);
            }
            assert_eq!(first, ["lists", "lists old-a", "lists old", "has new"], "before the second page");
            go.send(true).unwrap();
            let mut rest = Vec::new();
            for _ in 0..3 {
                rest.push(next().await);
            }
            assert_eq!(rest, ["lists new", "lists old-b", "listed"]);
            for _ in 0..20 {
                assert!(next().now_or_never().is_none());
                tokio::task::yield_now().await;
            }
            let watches: Vec<String> =
                asked.lock().unwrap().iter().filter(|query| query.contains("watch=true")).cloned().collect();
            // One that broke off goes on from what it has told.
            let from: &[&str] = if breaks { &["=9", "=10"] } else { &["=9"] };
            assert_eq!(watches.len(), from.len(), "{watches:?}");
            for (query, version) in watches.iter().zip(from) {
                assert!(query.contains(&format!("resourceVersion{version}")), "{query}");
            }
        }
    }
}
