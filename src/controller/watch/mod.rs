//! Watches a kind in every namespace that was asked for, as if it were one watch that never breaks.
//!
//! A store takes the beginning of a list as the beginning of everything it holds. Several watches that feed one store
//! would wipe out each other's objects, so only the first list of the first namespace is told as one. Every later list,
//! of another namespace or after a watch broke, becomes single changes: what went meanwhile is told as gone, and what
//! stayed as it was is not told. A namespace that cannot be read keeps nobody waiting, and keeps what was last known.

mod changes;
mod pages;

pub(super) use pages::Pages;

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};

use self::changes::{Kept, changes};
use crate::controller::context::Replies;
use crate::kubernetes::said_of_watch;

type Changes<K> = BoxStream<'static, Result<Event<K>, watcher::Error>>;

/// How long a first failure is waited for, and the longest such pause.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);
/// As how many failures in a row one counts that comes after a list: 0.8 s.
const LISTED: u32 = 3;

/// The annotation in which `kubectl apply` keeps a copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Drops what nobody reads, so that it is not kept for every object.
fn slim(object: &mut impl Resource) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

/// What became of a list or watch in one namespace; none for all.
pub(super) enum Heard<'a> {
    /// The store has everything that is there.
    Listed(Option<&'a str>),
    /// It could not be read; it is tried again, and what is known of it stays.
    Failed(Option<&'a str>, &'a watcher::Error),
}

/// Warns of a list or watch that failed.
pub(super) fn warn(kind: &str, heard: &Heard<'_>) {
    if let Heard::Failed(namespace, error) = heard {
        let (namespace, error) = (namespace.unwrap_or("all"), said_of_watch(error));
        tracing::warn!(
            kind,
            namespace,
            error,
            "what is there cannot be read; trying again, and going on with the rest"
        );
    }
}

/// What is known of a kind by those for whom the changes are.
pub(super) trait Holds<K: Resource<DynamicType = ()>> {
    /// The uid and the resourceVersion of an object.
    fn version(&self, key: &ObjectRef<K>) -> Option<(String, String)>;

    /// An object as it is told to be gone.
    fn remains(&self, key: &ObjectRef<K>) -> Option<K>;

    /// All objects of a namespace, or of all, that were not listed, in an order that is always the same.
    fn unlisted(&self, namespace: Option<&str>, listed: &HashSet<ObjectRef<K>>) -> Vec<ObjectRef<K>>;
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Holds<K> for Store<K> {
    fn version(&self, key: &ObjectRef<K>) -> Option<(String, String)> {
        let known = self.get(key)?;
        Some((known.uid().unwrap_or_default(), known.resource_version().unwrap_or_default()))
    }

    fn remains(&self, key: &ObjectRef<K>) -> Option<K> {
        self.get(key).map(|known| (*known).clone())
    }

    fn unlisted(&self, namespace: Option<&str>, listed: &HashSet<ObjectRef<K>>) -> Vec<ObjectRef<K>> {
        let mut keys: Vec<_> = self.state().iter().map(|object| ObjectRef::from_obj(&**object)).collect();
        keys.retain(|key| {
            namespace.is_none_or(|name| key.namespace.as_deref() == Some(name)) && !listed.contains(key)
        });
        // The store has no order; a simulation that is to be repeated needs one.
        keys.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        keys
    }
}

/// One stream of changes, without an error. `held` is what those know for whom they are; `heard` is told how each namespace does.
pub(super) fn watch<K: Kept>(
    apis: Vec<Api<K>>,
    held: impl Holds<K> + Send + 'static,
    replies: &Replies,
    heard: impl Fn(Heard<'_>) + Send + Sync + 'static,
) -> Changes<K> {
    join((apis, held), |api| pausing(changes(api, replies.clone()).modify(slim).boxed()), heard)
}

/// Pauses after an error, twice as long each time. While a kind cannot be heard of, nobody's new object is seen, and the
/// busier the cluster is the more often a watch breaks: one that told something begins anew at once when it breaks off.
fn pausing<K: Send + 'static>(changes: Changes<K>) -> Changes<K> {
    struct Pausing<K> {
        changes: Changes<K>,
        /// Whether it told something since it last broke off.
        told: bool,
        /// How often it failed since it told something.
        failures: u32,
        pause: Option<Duration>,
    }
    let begun = Pausing { changes, told: false, failures: 0, pause: None };
    stream::unfold(begun, |mut this| async move {
        if let Some(pause) = this.pause.take() {
            tokio::time::sleep(pause).await;
        }
        let event = this.changes.next().await?;
        match &event {
            Ok(Event::Apply(_) | Event::Delete(_)) => (this.told, this.failures) = (true, 0),
            // A list says nothing of whether a watch works, and costs more than one.
            Ok(Event::InitDone) if this.failures > 0 => this.failures = LISTED,
            Ok(Event::Init | Event::InitApply(_) | Event::InitDone) => {}
            Err(watcher::Error::WatchFailed(_)) if mem::take(&mut this.told) => {}
            Err(_) => {
                this.pause = Some(FIRST.saturating_mul(1 << this.failures.min(9)).min(LONGEST));
                this.failures = this.failures.saturating_add(1);
            }
        }
        Some((event, this))
    })
    .boxed()
}

/// Joins the changes of each part of a kind.
fn join<K>(
    (apis, held): (Vec<Api<K>>, impl Holds<K> + Send + 'static),
    changes: impl Fn(Api<K>) -> Changes<K>,
    heard: impl Fn(Heard<'_>) + Send + Sync + 'static,
) -> Changes<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let namespaces: Vec<Option<String>> = apis.iter().map(|api| api.namespace().map(str::to_owned)).collect();
    let numbered =
        apis.into_iter().enumerate().map(|(at, api)| changes(api).map(move |event| (at, event)).boxed());
    let mut joined = Joined::new(namespaces.clone(), held);
    let heard = Arc::new(heard);
    stream::select_all(numbered)
        .flat_map(move |(at, event)| {
            let namespace = namespaces.get(at).cloned().flatten();
            let listed = matches!(event, Ok(Event::InitDone));
            let told = match event {
                Ok(event) => joined.take(at, event).into_iter().map(Ok).collect::<Vec<_>>(),
                // It is told to nobody else: kube's loop would let every change wait then, for 30 s in the end.
                Err(error) => {
                    heard(Heard::Failed(namespace.as_deref(), &error));
                    Vec::new()
                }
            };
            let heard = Arc::clone(&heard);
            // What comes after the changes is asked for only once the store has them.
            let after = stream::once(async move {
                if listed {
                    heard(Heard::Listed(namespace.as_deref()));
                }
            });
            stream::iter(told).chain(after.filter_map(|()| async { None }))
        })
        .boxed()
}

/// Joins the changes of several namespaces, or of all as one.
struct Joined<K: Resource<DynamicType = ()> + 'static, H> {
    /// None for all.
    namespaces: Vec<Option<String>>,
    held: H,
    /// The first list of each namespace, until it is whole; none afterwards.
    first: Vec<Option<List<K>>>,
    /// Whether the store was told of a whole list.
    begun: bool,
    /// Afterwards: what a list that is under way has so far.
    again: HashMap<usize, HashSet<ObjectRef<K>>>,
}

/// The first list of one namespace.
struct List<K: Resource<DynamicType = ()>> {
    objects: HashMap<ObjectRef<K>, K>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static, H: Holds<K>> Joined<K, H> {
    fn new(namespaces: Vec<Option<String>>, held: H) -> Self {
        let first = namespaces.iter().map(|_| Some(List { objects: HashMap::new() })).collect();
        Self { namespaces, held, first, begun: false, again: HashMap::new() }
    }

    /// What the store has to be told of this change in the namespace with this number.
    fn take(&mut self, at: usize, event: Event<K>) -> Vec<Event<K>> {
        let alone = self.namespaces.len() == 1;
        let Some(first) = self.first.get_mut(at).filter(|first| first.is_some()) else {
            return self.later(at, event);
        };
        // One list needs no other, and is not held twice.
        if alone {
            if matches!(event, Event::InitDone) {
                *first = None;
            }
            return vec![event];
        }
        match event {
            Event::InitDone => {
                let mut objects: Vec<K> =
                    first.take().into_iter().flat_map(|list| list.objects.into_values()).collect();
                objects.sort_by_key(|object| (object.namespace(), object.name_any()));
                if mem::replace(&mut self.begun, true) {
                    return objects.into_iter().map(Event::Apply).collect();
                }
                let objects = objects.into_iter().map(Event::InitApply);
                [Event::Init].into_iter().chain(objects).chain([Event::InitDone]).collect()
            }
            event @ (Event::Init | Event::InitApply(_) | Event::Apply(_) | Event::Delete(_)) => {
                if let Some(list) = first {
                    list.take(event);
                }
                Vec::new()
            }
        }
    }

    fn later(&mut self, at: usize, event: Event<K>) -> Vec<Event<K>> {
        match event {
            Event::Init => {
                self.again.insert(at, HashSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let key = ObjectRef::from_obj(&object);
                self.again.entry(at).or_default().insert(key.clone());
                let known = self.held.version(&key);
                let now = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
                if known.as_ref() == Some(&now) {
                    return Vec::new();
                }
                let gone = known.filter(|(uid, _)| *uid != now.0).and_then(|_| self.held.remains(&key));
                gone.map(Event::Delete).into_iter().chain([Event::Apply(object)]).collect()
            }
            Event::InitDone => {
                let listed = self.again.remove(&at).unwrap_or_default();
                let namespace = self.namespaces.get(at).and_then(Option::as_deref);
                let gone = self.held.unlisted(namespace, &listed);
                gone.iter().filter_map(|key| self.held.remains(key)).map(Event::Delete).collect()
            }
            Event::Apply(_) | Event::Delete(_) => vec![event],
        }
    }
}

impl<K: Resource<DynamicType = ()>> List<K> {
    fn take(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.objects.clear(),
            Event::InitApply(object) | Event::Apply(object) => {
                self.objects.insert(ObjectRef::from_obj(&object), object);
            }
            Event::Delete(object) => {
                self.objects.remove(&ObjectRef::from_obj(&object));
            }
            Event::InitDone => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use kube::runtime::reflector::{self, Store};
    use kube::runtime::watcher::Event;

    use futures::stream::{self, StreamExt};
    use kube::runtime::watcher::Error;
    use tokio::time::Instant;

    use super::{Joined, pausing};
    use crate::api::{ScrapeJob, ScrapeJobSpec};

    fn job(namespace: &str, name: &str) -> ScrapeJob {
        let mut job = ScrapeJob::new(name, ScrapeJobSpec::default());
        job.metadata.namespace = Some(namespace.to_owned());
        job
    }

    fn names(reader: &Store<ScrapeJob>) -> String {
        let mut names: Vec<String> = reader.state().iter().map(|job| job.name_any()).collect();
        names.sort();
        names.join(" ")
    }

    /// A job as the API server has it.
    fn stored(name: &str, uid: &str, version: &str) -> ScrapeJob {
        let mut job = job("a", name);
        job.metadata.uid = Some(uid.to_owned());
        job.metadata.resource_version = Some(version.to_owned());
        job
    }

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "the time of a test, which is paused")]
    async fn a_watch_that_told_something_begins_anew_at_once_and_another_after_a_pause() {
        let broken = || Err(Error::WatchFailed(kube::Error::LinesCodecMaxLineLengthExceeded));
        let told = || Ok(Event::Apply(job("a", "x")));
        let refused = || Err(Error::WatchStartFailed(kube::Error::LinesCodecMaxLineLengthExceeded));
        // What comes, and how many milliseconds pass before the next is asked for.
        let rows = vec![
            (told(), 0),
            (broken(), 0),
            (broken(), 100),
            (refused(), 200),
            (Ok(Event::Init), 0),
            (Ok(Event::InitApply(job("a", "x"))), 0),
            (refused(), 400),
            (Ok(Event::InitDone), 0),
            (broken(), 800),
            (told(), 0),
            (refused(), 100),
            (Ok(Event::InitDone), 0),
            (refused(), 800),
            (refused(), 1600),
            (told(), 0),
            (Ok(Event::InitDone), 0),
            (refused(), 100),
            (Ok(Event::Delete(job("a", "x"))), 0),
        ];
        let pauses = rows.iter().map(|(_, pause)| *pause).collect::<Vec<u128>>();
        let last = pauses.len() - 1;
        let mut changes = pausing(stream::iter(rows.into_iter().map(|(event, _)| event)).boxed());
        assert!(changes.next().await.is_some());
        for (at, pause) in pauses.into_iter().enumerate().take(last) {
            let before = Instant::now();
            assert!(changes.next().await.is_some());
            assert_eq!(before.elapsed().as_millis(), pause, "after row {at}");
        }
        let mut endless = pausing(stream::repeat_with(refused).boxed());
        for _ in 0..20 {
            assert!(endless.next().await.is_some());
        }
        let before = Instant::now();
        assert!(endless.next().await.is_some());
        assert_eq!(before.elapsed(), super::LONGEST);
    }

    #[test]
    fn a_list_after_the_first_tells_what_changed_and_nothing_else() {
        let (reader, mut writer) = reflector::store();
        let mut joined = Joined::new(vec![None], reader.clone());
        let mut tell = |event: Event<ScrapeJob>| {
            let told = joined.take(0, event);
            for event in &told {
                writer.apply_watcher_event(event);
            }
            let words = told.iter().map(|event| match event {
                Event::Apply(job) => format!("has {}", job.name_any()),
                Event::Delete(job) => format!("lost {} {}", job.name_any(), job.uid().unwrap_or_default()),
                Event::Init | Event::InitApply(_) | Event::InitDone => "lists".to_owned(),
            });
            words.collect::<Vec<_>>().join(", ")
        };
        let first = [("same", "u1"), ("changed", "u2"), ("anew", "u3"), ("gone", "u4")];
        tell(Event::Init);
        for (name, uid) in first {
            assert_eq!(tell(Event::InitApply(stored(name, uid, "1"))), "lists");
        }
        assert_eq!(tell(Event::InitDone), "lists");
        assert_eq!(tell(Event::Init), "");
        assert_eq!(tell(Event::InitApply(stored("same", "u1", "1"))), "");
        assert_eq!(tell(Event::InitApply(stored("changed", "u2", "2"))), "has changed");
        assert_eq!(tell(Event::InitApply(stored("anew", "u5", "2"))), "lost anew u3, has anew");
        assert_eq!(tell(Event::InitDone), "lost gone u4");
        assert_eq!(names(&reader), "anew changed same");
    }

    /// Joins the lists of namespaces a and b; says after each event what the store has.
    fn two() -> impl FnMut(usize, Event<ScrapeJob>) -> String {
        let (reader, mut writer) = reflector::store();
        let mut joined = Joined::new(vec![Some("a".to_owned()), Some("b".to_owned())], reader.clone());
        move |at, event| {
            for told in joined.take(at, event) {
                writer.apply_watcher_event(&told);
            }
            names(&reader)
        }
    }

    #[test]
    fn a_list_that_begins_anew_is_not_whole_before_it_ends() {
        let mut tell = two();
        tell(0, Event::Init);
        tell(0, Event::InitApply(job("a", "a0")));
        tell(0, Event::Init);
        assert_eq!(tell(0, Event::InitApply(job("a", "a1"))), "", "half of a is joined");
        tell(0, Event::InitApply(job("a", "a2")));
        assert_eq!(tell(0, Event::InitDone), "a1 a2");
    }

    #[test]
    fn a_namespace_that_cannot_be_read_keeps_nobody_waiting_and_keeps_what_was_known() {
        let mut tell = two();
        tell(1, Event::Init);
        tell(1, Event::InitApply(job("b", "half")));
        tell(0, Event::Init);
        tell(0, Event::InitApply(job("a", "a1")));
        assert_eq!(tell(0, Event::InitDone), "a1", "a is ready by itself");
        assert_eq!(tell(0, Event::Apply(job("a", "a2"))), "a1 a2");
        // It begins anew once it can be read, and takes nothing from the other.
        tell(1, Event::Init);
        tell(1, Event::InitApply(job("b", "b1")));
        assert_eq!(tell(1, Event::InitDone), "a1 a2 b1", "b comes later");
        // A list that breaks off halfway changes nothing of what is known.
        tell(1, Event::Init);
        assert_eq!(tell(1, Event::InitApply(job("b", "b2"))), "a1 a2 b1 b2");
        tell(1, Event::Init);
        assert_eq!(tell(1, Event::InitDone), "a1 a2");
    }

    #[test]
    fn a_list_of_one_namespace_leaves_the_others_alone() {
        let mut tell = two();
        tell(0, Event::Init);
        tell(1, Event::Init);
        tell(0, Event::InitApply(job("a", "a1")));
        tell(1, Event::InitApply(job("b", "b1")));
        assert_eq!(tell(0, Event::InitDone), "a1");
        tell(0, Event::Apply(job("a", "a2")));
        assert_eq!(tell(0, Event::Delete(job("a", "a1"))), "a2");
        assert_eq!(tell(1, Event::InitDone), "a2 b1");
        assert_eq!(tell(1, Event::Apply(job("b", "b2"))), "a2 b1 b2");
        tell(1, Event::Init);
        tell(1, Event::InitApply(job("b", "b2")));
        assert_eq!(tell(1, Event::InitApply(job("b", "b3"))), "a2 b1 b2 b3");
        assert_eq!(tell(1, Event::InitDone), "a2 b2 b3", "b1 went while the watch was broken");
        assert_eq!(tell(0, Event::Delete(job("a", "a2"))), "b2 b3");
    }
}
