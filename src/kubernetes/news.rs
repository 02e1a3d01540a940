//! When the API server last told something of a kind: a list, a change, or only that there is none. Counted under the
//! client, because kube's watches keep the last of these to themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, Uri};
use tokio::time::Instant;

use crate::api::ObjectName;
use crate::clock::Clock;

/// The kinds whose news are counted, as they stand in an address.
const KINDS: [&str; 4] = ["clusterscrapeaccounts", "leases", "scrapeaccounts", "scrapejobs"];

/// A kind in a namespace, none for all.
pub type Heard = (&'static str, Option<String>);

/// When each kind was last heard of. Cheap to clone.
#[derive(Clone, Debug)]
pub struct News {
    clock: Clock,
    last: Arc<Mutex<BTreeMap<Heard, Instant>>>,
}

impl News {
    /// Nothing was heard yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, last: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Heard, Instant>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is to be heard from these namespaces, or from all where there are none: that nothing was is told from now
    /// on.
    pub fn expect(&self, namespaces: &[ObjectName]) {
        let (now, mut last) = (self.clock.instant(), self.lock());
        let some = namespaces.iter().map(|name| Some(name.to_string()));
        let all = namespaces.is_empty().then_some(None);
        for namespace in some.chain(all) {
            for kind in ["scrapeaccounts", "scrapejobs"] {
                last.entry((kind, namespace.clone())).or_insert(now);
            }
        }
    }

    /// Something was heard. Only places that this operator was told to watch are asked, so that this stays small.
    pub fn hear(&self, of: &Heard) {
        let now = self.clock.instant();
        let mut last = self.lock();
        if let Some(at) = last.get_mut(of) {
            *at = now;
        } else {
            last.insert(of.clone(), now);
        }
    }

    /// How long ago each was heard of.
    pub fn ages(&self) -> Vec<(Heard, Duration)> {
        let now = self.clock.instant();
        self.lock().iter().map(|(of, at)| (of.clone(), now.saturating_duration_since(*at))).collect()
    }

    /// How long ago a kind was heard of, from wherever it was last; nothing if never.
    pub fn age(&self, kind: &str) -> Option<Duration> {
        self.ages().into_iter().filter(|((of, _), _)| *of == kind).map(|(_, age)| age).min()
    }
}

/// What a request would bring news of: the list or the watch of a kind.
pub(super) fn listened_to(method: &Method, uri: &Uri) -> Option<Heard> {
    let path = uri.path().strip_prefix("/apis/").filter(|_| *method == Method::GET)?;
    let (namespace, kind) = match path.split('/').collect::<Vec<_>>().as_slice() {
        [_, _, "namespaces", namespace, kind] => (Some((*namespace).to_owned()), *kind),
        [_, _, kind] => (None, *kind),
        _ => return None,
    };
    KINDS.into_iter().find(|known| *known == kind).map(|kind| (kind, namespace))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::{News, listened_to};
    use crate::clock::Clock;

    #[test]
    fn lists_and_watches_of_our_kinds_are_listened_to_and_nothing_else() {
        let group = "/apis/spideriq.ai/v1alpha1";
        let of = |path: &str| listened_to(&Method::GET, &path.parse().unwrap());
        assert_eq!(of(&format!("{group}/scrapejobs?&watch=true")), Some(("scrapejobs", None)));
        assert_eq!(
            of(&format!("{group}/namespaces/a/scrapejobs?&limit=1")),
            Some(("scrapejobs", Some("a".to_owned())))
        );
        assert_eq!(of(&format!("{group}/namespaces/a/scrapejobs/x")), None);
        assert_eq!(of("/api/v1/namespaces/a/secrets?&watch=true"), None);
        let patch: http::Uri = format!("{group}/scrapejobs").parse().unwrap();
        assert_eq!(listened_to(&Method::PATCH, &patch), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_is_as_fresh_as_its_freshest_namespace() {
        let news = News::new(Clock::system());
        assert_eq!(news.age("scrapejobs"), None);
        news.hear(&("scrapejobs", Some("a".to_owned())));
        tokio::time::advance(Duration::from_secs(60)).await;
        news.hear(&("scrapejobs", Some("b".to_owned())));
        news.hear(&("leases", None));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(news.age("scrapejobs"), Some(Duration::from_secs(5)));
        assert_eq!(news.ages().len(), 3);
        // A namespace that never says anything is told of, too.
        news.expect(&["b".parse().unwrap(), "silent".parse().unwrap()]);
        tokio::time::advance(Duration::from_secs(400)).await;
        news.hear(&("scrapejobs", Some("b".to_owned())));
        let silent = news.ages().into_iter().find(|((_, of), _)| of.as_deref() == Some("silent")).unwrap();
        assert_eq!(silent.1, Duration::from_secs(400));
        assert_eq!(news.age("scrapejobs"), Some(Duration::ZERO));
    }
}
