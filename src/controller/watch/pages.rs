//! Lists objects in pages whose size in bytes is bounded, whatever the objects are.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures::AsyncReadExt;
use kube::api::ListParams;
use kube::core::{ObjectList, Request};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use crate::controller::context::{Measured, Replies};

/// Objects in the first page: as many of the largest as there is room for.
const FIRST: u32 = 5;
/// The most objects in a page.
const MOST: u32 = 100;
/// The bytes that a page aims at: what a start reads at once is what it leaves behind.
const AIM: usize = 256 * 1024;
/// A page with more bytes is asked for again with fewer objects.
const PAGE_MAX: usize = 7 * 1024 * 1024 + 512 * 1024;
/// How often one page may be lost on its way. What was read before it is kept: else the more others store, the more seldom
/// would a list end where replies are lost.
const LOST: u32 = 5;
/// One that is lost once is asked for again at once: a connection broke, and who waits for the end of the list pays for the
/// size of what others store. Each further time is waited for so much longer.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the API server may take for one page: it keeps its room from the others until then.
const PAGE_WITHIN: Duration = Duration::from_secs(30);

/// A list under way.
pub(in crate::controller) struct Pages<K> {
    api: Api<K>,
    replies: Replies,
    /// Objects in the next page.
    limit: u32,
    token: Option<String>,
    /// The version of the list, once its first page is there.
    version: Option<String>,
    /// Whether the last one is.
    whole: bool,
}

impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Measured> Pages<K> {
    pub(in crate::controller) fn new(api: Api<K>, replies: Replies) -> Self {
        Self { api, replies, limit: FIRST, token: None, version: None, whole: false }
    }

    /// The version of the list, once its first page is there: no page shows anything older.
    pub(in crate::controller) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The objects of the next page; `None` after the last.
    pub(in crate::controller) async fn next(&mut self) -> kube::Result<Option<Vec<K>>> {
        if self.whole {
            return Ok(None);
        }
        let mut lost = 0;
        let (page, _room) = loop {
            let room = self.replies.room(PAGE_MAX).await;
            let read = tokio::time::timeout(PAGE_WITHIN, self.read()).await;
            match read.map_err(|_| kube::Error::ReadEvents(io::ErrorKind::TimedOut.into())).flatten() {
                Ok(Some(text)) => {
                    let page = serde_json::from_slice::<ObjectList<K>>(&text);
                    break (page.map_err(kube::Error::SerdeError)?, room);
                }
                Ok(None) => self.limit = self.fewer(),
                Err(error) if self.token.is_none() || lost == LOST || is_an_answer(&error) => {
                    return Err(error);
                }
                Err(_) => {
                    // Others' lists go on meanwhile.
                    drop(room);
                    tokio::time::sleep(PAUSE * lost).await;
                    lost += 1;
                    self.limit = self.fewer();
                }
            }
        };
        let bytes: usize = page.items.iter().map(Measured::bytes).sum();
        let fits = page.items.len().saturating_mul(AIM) / bytes.max(1);
        let fits = u32::try_from(fits).unwrap_or(MOST).clamp(FIRST, MOST);
        // Twice as many at the most, because the next ones may be larger; and half as many at the least, because one large
        // object says little of the others: else each would cost everybody some pages more.
        self.limit = fits.clamp((self.limit / 2).clamp(FIRST, MOST), self.limit.saturating_mul(2).max(FIRST));
        self.token = page.metadata.continue_.filter(|token| !token.is_empty());
        self.whole = self.token.is_none();
        self.version.get_or_insert(page.metadata.resource_version.unwrap_or_default());
        Ok(Some(page.items))
    }

    /// Objects in a page that is asked for again.
    fn fewer(&self) -> u32 {
        if self.limit > FIRST { FIRST } else { 1 }
    }

    /// The text of the next page; `None` where it is too long and fewer objects may be asked for.
    async fn read(&self) -> kube::Result<Option<Vec<u8>>> {
        let params = ListParams {
            limit: Some(self.limit),
            continue_token: self.token.clone(),
            ..ListParams::default()
        };
        let mut request =
            Request::new(self.api.resource_url()).list(&params).map_err(kube::Error::BuildRequest)?;
        request.extensions_mut().insert("list");
        let answer = pin!(self.api.clone().into_client().request_stream(request).await?);
        let longest = if self.limit > 1 { PAGE_MAX } else { usize::MAX - 1 };
        let mut text = Vec::new();
        let length = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
        answer.take(length).read_to_end(&mut text).await.map_err(kube::Error::ReadEvents)?;
        Ok(Some(text).filter(|text| text.len() <= longest))
    }
}

/// Whether the API server has said so itself.
fn is_an_answer(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(_))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use kube::client::Body;
    use kube::{Api, Client};
    use serde_json::json;
    use tokio::time::Instant;

    use super::{FIRST, LOST, MOST, PAGE_MAX, PAUSE, Pages};
    use crate::api::StoredJob;
    use crate::controller::context::Replies;

    type Asked = Arc<Mutex<Vec<(usize, usize)>>>;

    /// An API server that has jobs with so many bytes of payload; it tells how many were asked for, and how many bytes
    /// the answer had. The replies with these numbers are lost.
    fn server(sizes: Vec<usize>, drops: impl Fn(usize) -> bool + Send + Sync + 'static) -> (Client, Asked) {
        let pages = Asked::default();
        let noted = Arc::clone(&pages);
        let answer = move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let param = |name: &str| {
                query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<usize>().ok())
            };
            let (limit, from) = (param("limit").unwrap(), param("continue").unwrap_or(0));
            let to = sizes.len().min(from + limit);
            let items: Vec<_> = (from..to)
                .map(|at| {
                    let payload = json!({"url": "https://a.example", "filler": "x".repeat(sizes[at])});
                    json!({"metadata": {"name": format!("job-{at}")}, "spec": {"payload": payload}})
                })
                .collect();
            let token = if to < sizes.len() { to.to_string() } else { String::new() };
            let list = json!({
                "apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJobList",
                "metadata": {"resourceVersion": "9", "continue": token}, "items": items,
            });
            let text = list.to_string();
            let mut noted = noted.lock().unwrap();
            let dropped = drops(noted.len());
            noted.push((limit, text.len()));
            async move {
                let broken = || Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
                if dropped { broken() } else { Ok(Response::new(Body::from(text.into_bytes()))) }
            }
        };
        (Client::new(tower::service_fn(answer), "a"), pages)
    }

    /// Lists everything: the names, and what was asked of the server.
    async fn listed(sizes: Vec<usize>) -> (Vec<String>, Vec<(usize, usize)>) {
        let (client, asked) = server(sizes, |_| false);
        let mut pages = Pages::<StoredJob>::new(Api::all(client), Replies::default());
        let mut names = Vec::new();
        while let Some(page) = pages.next().await.unwrap() {
            names.extend(page.into_iter().map(|job| job.read.unwrap().metadata.name.unwrap()));
        }
        assert_eq!(pages.version(), Some("9"));
        let asked = asked.lock().unwrap().clone();
        (names, asked)
    }

    fn all(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("job-{at}")).collect()
    }

    #[tokio::test]
    async fn pages_of_small_objects_grow() {
        let (names, asked) = listed(vec![100; 2_000]).await;
        assert_eq!(names, all(2_000));
        let limits: Vec<usize> = asked.iter().map(|(limit, _)| *limit).collect();
        assert!(
            limits[0] == FIRST as usize && limits.iter().all(|limit| *limit <= MOST as usize),
            "{limits:?}"
        );
        assert!(limits.len() < 26, "{limits:?}");
    }

    #[tokio::test]
    async fn large_objects_after_small_ones_are_asked_for_again_in_smaller_pages() {
        let sizes = [vec![100; 300], vec![1_400_000; 6], vec![100; 50]].concat();
        let (names, asked) = listed(sizes).await;
        assert_eq!(names, all(356));
        let read = asked.iter().filter(|(_, bytes)| *bytes <= PAGE_MAX).count();
        // Each time they come into sight, which is half as far away as the time before.
        assert!(asked.len() - read <= 6, "{} of {}", asked.len() - read, asked.len());
    }

    #[tokio::test]
    async fn one_large_object_makes_the_next_page_half_as_long_and_no_shorter() {
        let (names, asked) = listed([vec![100; 120], vec![1_400_000], vec![100; 120]].concat()).await;
        assert_eq!(names, all(241));
        let large = asked.iter().position(|(_, bytes)| *bytes > 1_400_000).unwrap();
        assert_eq!(asked[large + 1].0, asked[large].0 / 2, "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "the time of a test, which is paused")]
    async fn a_page_that_is_lost_is_asked_for_again_and_what_was_read_is_kept() {
        let (client, asked) = server(vec![100; 60], |number| number % 3 == 1);
        let begun = Instant::now();
        let mut pages = Pages::<StoredJob>::new(Api::all(client), Replies::default());
        let mut names = 0;
        while let Some(page) = pages.next().await.unwrap() {
            names += page.len();
        }
        assert_eq!(names, 60);
        let limits: Vec<usize> = asked.lock().unwrap().iter().map(|(limit, _)| *limit).collect();
        assert_eq!(limits[..3], [5, 10, 5], "{limits:?}");
        assert!(limits.len() > 7 && begun.elapsed().is_zero(), "{limits:?} in {:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "the time of a test, which is paused")]
    async fn a_list_whose_replies_are_all_lost_ends() {
        for first in [0, 1] {
            let (client, asked) = server(vec![100; 60], move |number| number >= first);
            let begun = Instant::now();
            let mut pages = Pages::<StoredJob>::new(Api::all(client), Replies::default());
            let mut told = pages.next().await;
            if first == 1 {
                told = pages.next().await;
            }
            assert!(told.is_err());
            assert_eq!(asked.lock().unwrap().len(), if first == 0 { 1 } else { 2 + LOST as usize });
            let paused: u32 = if first == 0 { 0 } else { (0..LOST).sum() };
            assert_eq!(begun.elapsed(), PAUSE * paused);
        }
    }

    #[tokio::test]
    async fn an_object_that_is_larger_than_a_page_is_read_all_the_same() {
        let (names, asked) = listed(vec![10, PAGE_MAX + 1, 10]).await;
        assert_eq!(names, all(3));
        assert_eq!(asked[0].0, FIRST as usize);
        assert_eq!(asked[1].0, 1);
    }
}
