//! Watches a kind in every namespace that was asked for, as if it were one watch that never breaks.
//!
//! A store takes the beginning of a list as the beginning of everything it holds, and shows nothing of one before its end.
//! So it is told of one empty list, at the beginning. All that is listed comes as single changes, as does what a watch tells
//! meanwhile: what went is told as gone, and what stayed as it was is not told. A namespace that cannot be read keeps nobody
//! waiting, and keeps what was last known.

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
use tokio::sync::Notify;

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

/// One stream of changes, without an error. `held` is what those know for whom they are; `heard` is told how each namespace
/// does; `found` are new objects, which are read once the first page of the first list is there.
pub(super) fn watch<K: Kept>(
    apis: Vec<Api<K>>,
    held: impl Holds<K> + Send + 'static,
    replies: &Replies,
    heard: impl Fn(Heard<'_>) + Send + Sync + 'static,
    found: BoxStream<'static, K>,
) -> Changes<K> {
    let found = found.map(|mut object| {
        slim(&mut object);
        object
    });
    let changes = |api| pausing(changes(api, replies.clone()).modify(slim).boxed());
    join((apis, held), changes, heard, found.boxed())
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
        /// Whether a list is under way: what is told beside it says nothing of whether that comes to its end.
        lists: bool,
        pause: Option<Duration>,
    }
    let begun = Pausing { changes, told: false, failures: 0, lists: false, pause: None };
    stream::unfold(begun, |mut this| async move {
        if let Some(pause) = this.pause.take() {
            tokio::time::sleep(pause).await;
        }
        let event = this.changes.next().await?;
        match &event {
            Ok(Event::Apply(_) | Event::Delete(_)) if this.lists => {}
            Ok(Event::Apply(_) | Event::Delete(_)) => (this.told, this.failures) = (true, 0),
            Ok(Event::Init) => this.lists = true,
            Ok(Event::InitDone) => {
                this.lists = false;
                // A list says nothing of whether a watch works, and costs more than one.
                if this.failures > 0 {
                    this.failures = LISTED;
                }
            }
            Ok(Event::InitApply(_)) => {}
            Err(watcher::Error::WatchFailed(_)) if mem::take(&mut this.told) => {}
            Err(_) => {
                this.lists = false;
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
    found: BoxStream<'static, K>,
) -> Changes<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let namespaces: Vec<Option<String>> = apis.iter().map(|api| api.namespace().map(str::to_owned)).collect();
    let numbered = apis
        .into_iter()
        .enumerate()
        .map(|(at, api)| changes(api).map(move |event| (at, Source::Watch(event))).boxed());
    let parts = namespaces.clone();
    let begun = Arc::new(Notify::new());
    let begins = Arc::clone(&begun);
    // Whatever is read then is newer than the list, so that the watch tells when it goes.
    let found = stream::once(async move {
        begins.notified().await;
        found
    });
    let found = found.flatten().filter_map(move |object| {
        let of = object.meta().namespace.as_ref();
        let at = parts.iter().position(|part| part.is_none() || part.as_ref() == of);
        async move { Some((at?, Source::Read(object))) }
    });
    let mut joined = Joined::new(namespaces.clone(), held);
    let heard = Arc::new(heard);
    let told = stream::select_all(numbered.chain([found.boxed()])).flat_map(move |(at, source)| {
        let namespace = namespaces.get(at).cloned().flatten();
        let listed = matches!(source, Source::Watch(Ok(Event::InitDone)));
        if matches!(source, Source::Watch(Ok(Event::InitApply(_)))) {
            begun.notify_one();
        }
        let told = match source {
            Source::Watch(Ok(event)) => joined.take(at, event),
            Source::Read(object) => joined.find(at, object).into_iter().collect(),
            // It is told to nobody else: kube's loop would let every change wait then, for 30 s in the end.
            Source::Watch(Err(error)) => {
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
        stream::iter(told).map(Ok).chain(after.filter_map(|()| async { None }))
    });
    stream::iter([Ok(Event::Init), Ok(Event::InitDone)]).chain(told).boxed()
}

/// Where something is told from.
enum Source<K> {
    Watch(Result<Event<K>, watcher::Error>),
    /// An object that was read while a list is under way.
    Read(K),
}

/// Joins the changes of several namespaces, or of all as one.
struct Joined<K: Resource<DynamicType = ()> + 'static, H> {
    /// None for all.
    namespaces: Vec<Option<String>>,
    held: H,
    /// Lists that are under way.
    lists: HashMap<usize, List<K>>,
    /// Those of which nothing was listed yet.
    new: HashSet<usize>,
}

/// A list that is under way.
struct List<K: Resource<DynamicType = ()> + 'static> {
    /// What changed since it began: whatever it shows of these is older.
    changed: HashSet<ObjectRef<K>>,
    /// What was read after its first page, and the watch has not told of yet: whatever else is shown of these is older.
    found: HashMap<ObjectRef<K>, Option<String>>,
    /// What it has shown. Nothing can be gone since the time before where there was none.
    shown: Option<HashSet<ObjectRef<K>>>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static, H: Holds<K>> Joined<K, H> {
    fn new(namespaces: Vec<Option<String>>, held: H) -> Self {
        let new = (0..namespaces.len()).collect();
        Self { namespaces, held, lists: HashMap::new(), new }
    }

    /// What the store has to be told of an object that was read while the first list is under way: nothing of one of which
    /// list or watch have told, and so know better. In a later list it may be older than what that shows.
    fn find(&mut self, at: usize, object: K) -> Option<Event<K>> {
        let list = self.lists.get_mut(&at).filter(|list| list.shown.is_none())?;
        let key = ObjectRef::from_obj(&object);
        if list.changed.contains(&key) || self.held.version(&key).is_some() {
            return None;
        }
        list.found.insert(key, object.uid());
        Some(Event::Apply(object))
    }

    /// What the store has to be told of this change in the namespace with this number.
    fn take(&mut self, at: usize, event: Event<K>) -> Vec<Event<K>> {
        match event {
            Event::Init => {
                let shown = (!self.new.remove(&at)).then(HashSet::new);
                self.lists.insert(at, List { changed: HashSet::new(), found: HashMap::new(), shown });
                Vec::new()
            }
            Event::InitApply(object) => {
                let key = ObjectRef::from_obj(&object);
                let list = self.lists.get_mut(&at);
                let is_old = |list: &List<K>| list.changed.contains(&key) || list.found.contains_key(&key);
                if list.as_deref().is_some_and(is_old) {
                    return Vec::new();
                }
                if let Some(shown) = list.and_then(|list| list.shown.as_mut()) {
                    shown.insert(key.clone());
                }
                let known = self.held.version(&key);
                let now = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
                if known.as_ref() == Some(&now) {
                    return Vec::new();
                }
                let gone = known.filter(|(uid, _)| *uid != now.0).and_then(|_| self.held.remains(&key));
                gone.map(Event::Delete).into_iter().chain([Event::Apply(object)]).collect()
            }
            Event::InitDone => {
                let Some(List { changed, shown: Some(mut told), .. }) = self.lists.remove(&at) else {
                    return Vec::new();
                };
                told.extend(changed);
                let namespace = self.namespaces.get(at).and_then(Option::as_deref);
                let gone = self.held.unlisted(namespace, &told);
                gone.iter().filter_map(|key| self.held.remains(key)).map(Event::Delete).collect()
            }
            Event::Apply(ref object) | Event::Delete(ref object) => {
                let Some(list) = self.lists.get_mut(&at) else { return vec![event] };
                let key = ObjectRef::from_obj(object);
                if list.found.get(&key).is_some_and(|uid| *uid != object.uid()) {
                    return Vec::new();
                }
                list.found.remove(&key);
                // Another of this name may have gone while nobody watched.
                let known = self.held.version(&key).filter(|(uid, _)| Some(uid) != object.uid().as_ref());
                let gone = known.and_then(|_| self.held.remains(&key));
                list.changed.insert(key);
                gone.map(Event::Delete).into_iter().chain([event]).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::sync::Mutex;

    use futures::FutureExt;
    use futures::channel::mpsc;
    use futures::stream::{self, StreamExt};
    use kube::client::Body;
    use kube::runtime::reflector::store::Writer;
    use kube::runtime::reflector::{self, Store};
    use kube::runtime::watcher::{Error, Event};
    use kube::{Api, Client, ResourceExt};
    use tokio::time::Instant;

    use super::{Joined, join, pausing};
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
            // What is told beside a list that breaks off does not make it try again the sooner.
            (Ok(Event::Init), 0),
            (told(), 0),
            (refused(), 800),
            (Ok(Event::Init), 0),
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

    /// What `joined` tells of an event, after the store was told of it.
    fn teller(
        namespaces: &[Option<&str>],
    ) -> (Store<ScrapeJob>, impl FnMut(usize, Event<ScrapeJob>) -> String) {
        let (reader, mut writer) = reflector::store::<ScrapeJob>();
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let namespaces = namespaces.iter().map(|name| name.map(str::to_owned)).collect();
        let mut joined = Joined::new(namespaces, reader.clone());
        let tell = move |at, event| keep(&mut writer, &joined.take(at, event));
        (reader, tell)
    }

    /// Has the store know it, and says it.
    fn keep(writer: &mut Writer<ScrapeJob>, told: &[Event<ScrapeJob>]) -> String {
        let words = told.iter().map(|event| {
            writer.apply_watcher_event(event);
            match event {
                Event::Apply(job) => format!("has {}", job.name_any()),
                Event::Delete(job) => format!("lost {} {}", job.name_any(), job.uid().unwrap_or_default()),
                Event::Init | Event::InitApply(_) | Event::InitDone => "lists".to_owned(),
            }
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// Each row: what comes, and what the store is told of it.
    #[test]
    fn what_is_read_beside_the_first_list_is_told_at_once_and_not_undone_by_what_is_older() {
        enum Comes {
            Read(ScrapeJob),
            Told(Event<ScrapeJob>),
        }
        use Comes::{Read, Told};
        let rows = vec![
            (Read(stored("early", "u0", "1")), "", "no list is under way"),
            (Told(Event::Init), "", "a list begins"),
            (Read(stored("new", "u1", "5")), "has new", "nobody knows it"),
            (Read(stored("new", "u1", "5")), "", "it is known"),
            (Read(stored("late", "u2", "5")), "has late", "nobody knows it"),
            (Told(Event::Delete(stored("went", "u4", "7"))), "lost went u4", "the watch tells"),
            (Read(stored("went", "u4", "6")), "", "the watch knows that it is gone"),
            (
                Told(Event::InitApply(stored("new", "u0", "2"))),
                "",
                "a page of before, with another of its name",
            ),
            (Told(Event::Delete(stored("new", "u0", "3"))), "", "the watch is late"),
            (Told(Event::Apply(stored("new", "u1", "4"))), "has new", "the watch has come to it"),
            (Told(Event::InitDone), "", "what the list does not have is newer than it"),
            (Told(Event::Delete(stored("late", "u2", "8"))), "lost late u2", "the watch tells"),
            (Told(Event::Init), "", "another list begins"),
            (Read(stored("later", "u5", "9")), "", "it may be older than that list"),
            (Told(Event::InitDone), "lost new u1", "the list does not have it"),
            (Read(stored("last", "u6", "10")), "", "no list is under way"),
        ];
        let (_, mut writer) = reflector::store::<ScrapeJob>();
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let mut joined = Joined::new(vec![None], writer.as_reader());
        for (comes, told, why) in rows {
            let comes = match comes {
                Read(job) => joined.find(0, job).into_iter().collect(),
                Told(event) => joined.take(0, event),
            };
            assert_eq!(keep(&mut writer, &comes), told, "{why}");
        }
    }

    #[test]
    fn a_list_tells_what_changed_and_nothing_else() {
        let (reader, mut tell) = teller(&[None]);
        let first = [("same", "u1"), ("changed", "u2"), ("anew", "u3"), ("gone", "u4"), ("older", "u6")];
        tell(0, Event::Init);
        for (name, uid) in first {
            assert_eq!(tell(0, Event::InitApply(stored(name, uid, "3"))), format!("has {name}"));
        }
        assert_eq!(tell(0, Event::InitDone), "");
        assert_eq!(tell(0, Event::Init), "");
        assert_eq!(tell(0, Event::InitApply(stored("same", "u1", "3"))), "");
        assert_eq!(tell(0, Event::InitApply(stored("changed", "u2", "4"))), "has changed");
        assert_eq!(tell(0, Event::InitApply(stored("anew", "u5", "4"))), "lost anew u3, has anew");
        // A backup was restored.
        assert_eq!(tell(0, Event::InitApply(stored("older", "u6", "2"))), "has older");
        assert_eq!(tell(0, Event::InitDone), "lost gone u4");
        assert_eq!(names(&reader), "anew changed older same");
    }

    /// In the first list and in every later one.
    #[test]
    fn what_changes_while_a_list_is_under_way_is_told_at_once_and_never_undone_by_it() {
        let (reader, mut tell) = teller(&[None]);
        for round in ["first", "later"] {
            tell(0, Event::Init);
            tell(0, Event::InitApply(stored("kept", "u1", "1")));
            // Another one of that name went while nobody watched.
            let (uid, told) =
                if round == "first" { ("u2", "has new") } else { ("u5", "lost new u2, has new") };
            assert_eq!(tell(0, Event::Apply(stored("new", uid, "5"))), told, "{round}");
            assert_eq!(tell(0, Event::Apply(stored("changed", "u3", "6"))), "has changed", "{round}");
            assert_eq!(tell(0, Event::Delete(stored("went", "u4", "7"))), "lost went u4", "{round}");
            // A page that was read before that.
            assert_eq!(tell(0, Event::InitApply(stored("changed", "u3", "2"))), "", "{round}");
            assert_eq!(tell(0, Event::InitApply(stored("went", "u4", "3"))), "", "{round}");
            assert_eq!(tell(0, Event::InitDone), "", "{round}");
            assert_eq!(names(&reader), "changed kept new", "{round}");
        }
    }

    /// What is made between a reading and the first page, neither would show.
    #[tokio::test]
    async fn nothing_is_read_beside_a_list_before_its_first_page() {
        let no_server = |_: http::Request<Body>| pending::<Result<http::Response<Body>, Infallible>>();
        let api = Api::<ScrapeJob>::all(Client::new(tower::service_fn(no_server), "a"));
        let (tell, told) = mpsc::unbounded();
        let told = Mutex::new(Some(told.boxed()));
        let (reader, _) = reflector::store::<ScrapeJob>();
        let found = stream::once(async { stored("found", "u1", "2") }).boxed();
        let changes = |_| told.lock().unwrap().take().unwrap();
        let mut joined = join((vec![api], reader), changes, |_| {}, found);
        let mut next = || match joined.next().now_or_never() {
            Some(Some(Ok(Event::Apply(job)))) => job.name_any(),
            other => format!("{other:?}"),
        };
        tell.unbounded_send(Ok(Event::Init)).unwrap();
        assert_eq!([next(), next(), next()], ["Some(Some(Ok(Init)))", "Some(Some(Ok(InitDone)))", "None"]);
        tell.unbounded_send(Ok(Event::InitApply(stored("listed", "u2", "1")))).unwrap();
        assert_eq!([next(), next()], ["listed", "found"]);
    }

    /// Joins the lists of namespaces a and b; says after each event what the store has.
    fn two() -> impl FnMut(usize, Event<ScrapeJob>) -> String {
        let (reader, mut tell) = teller(&[Some("a"), Some("b")]);
        move |at, event| {
            tell(at, event);
            names(&reader)
        }
    }

    #[test]
    fn what_a_list_that_broke_off_has_shown_is_gone_if_the_next_one_does_not_show_it() {
        let mut tell = two();
        tell(0, Event::Init);
        assert_eq!(tell(0, Event::InitApply(job("a", "a0"))), "a0");
        assert_eq!(tell(0, Event::Init), "a0");
        tell(0, Event::InitApply(job("a", "a1")));
        assert_eq!(tell(0, Event::InitApply(job("a", "a2"))), "a0 a1 a2");
        assert_eq!(tell(0, Event::InitDone), "a1 a2");
    }

    #[test]
    fn a_namespace_that_cannot_be_read_keeps_nobody_waiting_and_keeps_what_was_known() {
        let mut tell = two();
        tell(1, Event::Init);
        tell(1, Event::InitApply(job("b", "half")));
        tell(0, Event::Init);
        tell(0, Event::InitApply(job("a", "a1")));
        assert_eq!(tell(0, Event::InitDone), "a1 half");
        assert_eq!(tell(0, Event::Apply(job("a", "a2"))), "a1 a2 half");
        // It begins anew once it can be read, and takes nothing from the other.
        tell(1, Event::Init);
        tell(1, Event::InitApply(job("b", "b1")));
        assert_eq!(tell(1, Event::InitDone), "a1 a2 b1");
        // A list that breaks off halfway takes nothing away.
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
        assert_eq!(tell(0, Event::InitDone), "a1 b1");
        tell(0, Event::Apply(job("a", "a2")));
        assert_eq!(tell(0, Event::Delete(job("a", "a1"))), "a2 b1");
        assert_eq!(tell(1, Event::InitDone), "a2 b1");
        assert_eq!(tell(1, Event::Apply(job("b", "b2"))), "a2 b1 b2");
        tell(1, Event::Init);
        tell(1, Event::InitApply(job("b", "b2")));
        assert_eq!(tell(1, Event::InitApply(job("b", "b3"))), "a2 b1 b2 b3");
        assert_eq!(tell(1, Event::InitDone), "a2 b2 b3", "b1 went while the watch was broken");
        assert_eq!(tell(0, Event::Delete(job("a", "a2"))), "b2 b3");
    }
}
