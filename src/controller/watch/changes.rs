//! The changes of a kind, as kube's watcher tells them; but what is listed at once is bounded in bytes, and neither an
//! object that cannot be read nor a page that is lost begins the list anew.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt};
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
    /// Listing; what the last page had left.
    List(Box<Pages<K>>, VecDeque<K>),
    /// Everything is known up to this version.
    Known(String),
    /// Watching since that version.
    Watch(String, Watched<K>),
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

async fn step<K: Kept>(state: State<K>, api: &Api<K>, replies: &Replies) -> (Option<Told<K>>, State<K>) {
    match state {
        State::Begin => {
            let pages = Pages::new(api.clone(), replies.clone());
            (Some(Ok(Event::Init)), State::List(Box::new(pages), VecDeque::new()))
        }
        State::List(mut pages, mut left) => match left.pop_front() {
            Some(job) => (Some(Ok(Event::InitApply(job))), State::List(pages, left)),
            None => match pages.next().await {
                Ok(Some(page)) => (None, State::List(pages, page.into())),
                Ok(None) => {
                    let version = pages.version().unwrap_or_default().to_owned();
                    (Some(Ok(Event::InitDone)), State::Known(version))
                }
                Err(error) => (Some(Err(Error::InitialListFailed(error))), State::Begin),
            },
        },
        State::Known(version) => {
            let params = WatchParams { timeout: Some(WATCHED_FOR), ..WatchParams::default() };
            match api.watch(&params, &version).await {
                Ok(changes) => (None, State::Watch(version, changes.boxed())),
                Err(kube::Error::Api(status)) if status.code == 410 => {
                    (Some(Err(Error::WatchStartFailed(kube::Error::Api(status)))), State::Begin)
                }
                Err(error) => (Some(Err(Error::WatchStartFailed(error))), State::Known(version)),
            }
        }
        State::Watch(version, mut changes) => {
            let newer =
                |job: &K, version| job.resource_version().filter(|own| !own.is_empty()).unwrap_or(version);
            match tokio::time::timeout(SILENT_FOR, changes.next()).await {
                Ok(Some(Ok(WatchEvent::Added(job) | WatchEvent::Modified(job)))) => {
                    let version = newer(&job, version);
                    (Some(Ok(Event::Apply(job))), State::Watch(version, changes))
                }
                Ok(Some(Ok(WatchEvent::Deleted(job)))) => {
                    let version = newer(&job, version);
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
                Ok(Some(Err(error))) => {
                    (Some(Err(Error::WatchFailed(error))), State::Watch(version, changes))
                }
                Ok(None) | Err(_) => (None, State::Known(version)),
            }
        }
    }
}
