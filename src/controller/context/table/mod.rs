//! All objects: those with which something is to be done as they are, in kube's store, and a record of each.
//!
//! What rests costs its record and nothing else, and is read from the API server again when it wakes.

mod index;
mod record;
mod records;
mod shared;
#[cfg(test)]
mod tests;

pub(in crate::controller) use record::Class;
pub(in crate::controller) use records::{Keep, Known, Tally, Tried};

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use self::record::Id;
use self::records::{Name, Records};
use super::accounts::Uses;
use crate::account::AccountKey;
use crate::api::{AccountKind, DEFAULT_ACCOUNT};
use crate::cache::CachedJob;
use crate::clock::sleep_until;
use crate::decide::ClientIdentity;

/// For how long a refusal may be that of rights that are being replaced, or of a kind that is not served yet.
const REFUSED_FOR: Duration = Duration::from_secs(180);

/// How the list of a namespace, or of all, came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Listed,
    /// It was never listed, and is refused since then.
    Refused(Instant),
}

/// All objects.
#[derive(Debug)]
pub struct Jobs {
    awake: Store<CachedJob>,
    records: Mutex<Records>,
    /// Of which parts of the kind it is known what is there: a namespace each, or all.
    listed: watch::Sender<HashMap<Option<String>, Part>>,
    parts: usize,
    /// Whether the next time at which something is due is another one.
    changed: Notify,
    waking: mpsc::UnboundedSender<Waking>,
}

/// An object that rests and has to be read anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waking {
    pub(in crate::controller) namespace: String,
    pub(in crate::controller) name: String,
}

/// Who has, or had, a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Holder {
    pub(in crate::controller) namespace: String,
    pub(in crate::controller) uid: String,
    /// The client that made it, as it is recorded; `None` for a job of an earlier run, of which no client is.
    pub(in crate::controller) client: Option<ClientIdentity>,
}

impl Jobs {
    /// No object yet: `awake` is what the watch fills with so many lists, and what has to wake is told to the other end.
    pub fn new(awake: Store<CachedJob>, parts: usize) -> (Self, mpsc::UnboundedReceiver<Waking>) {
        let (waking, woken) = mpsc::unbounded_channel();
        let (records, listed) = (Mutex::default(), watch::Sender::default());
        (Self { awake, records, listed, parts, changed: Notify::new(), waking }, woken)
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store of what is awake.
    pub fn store(&self) -> Store<CachedJob> {
        self.awake.clone()
    }

    /// What is there in a namespace, or in all, is known; says whether it was not before.
    pub(in crate::controller) fn hear(&self, namespace: Option<&str>) -> bool {
        self.listed.send_if_modified(|listed| {
            listed.insert(namespace.map(str::to_owned), Part::Listed) != Some(Part::Listed)
        })
    }

    /// The API server says that the list of a namespace is not for us, or that there is none: for now, or for good.
    pub(in crate::controller) fn hear_refusal(&self, namespace: Option<&str>, now: Instant) {
        self.listed.send_if_modified(|listed| {
            let before = listed.len();
            listed.entry(namespace.map(str::to_owned)).or_insert(Part::Refused(now));
            listed.len() > before
        });
    }

    /// Nobody knows: a refusal before it says nothing any more.
    pub(in crate::controller) fn hear_nothing(&self, namespace: Option<&str>) {
        let namespace = namespace.map(str::to_owned);
        self.listed.send_if_modified(|listed| {
            let refused = matches!(listed.get(&namespace), Some(Part::Refused(_)));
            refused && listed.remove(&namespace).is_some()
        });
    }

    /// Whether what is there is known in every part of the kind. One that was refused for so long as nobody replaces rights
    /// counts as one of which nothing will be known; what else cannot be read keeps the answer no.
    pub(in crate::controller) fn are_known(&self, now: Instant) -> bool {
        let listed = self.listed.borrow();
        let known = |part: &Part| match part {
            Part::Listed => true,
            Part::Refused(since) => now.saturating_duration_since(*since) >= REFUSED_FOR,
        };
        listed.len() >= self.parts && listed.values().all(known)
    }

    /// Whether what is there in the part of the kind is known that a namespace belongs to.
    pub(in crate::controller) fn is_known_in(&self, namespace: &str) -> bool {
        let listed = self.listed.borrow();
        let part = listed.get(&None).or_else(|| listed.get(&Some(namespace.to_owned())));
        part == Some(&Part::Listed)
    }

    /// Waits until one part is known at least.
    pub async fn begun(&self) {
        let known = |listed: &HashMap<_, _>| listed.values().any(|part| *part == Part::Listed);
        // The sender lives as long as this does.
        let _ = self.listed.subscribe().wait_for(known).await;
    }

    /// Whether the API server has listed every part, or refused to.
    pub(in crate::controller) fn are_listed(&self) -> bool {
        self.listed.borrow().len() >= self.parts
    }

    /// Waits until it has.
    pub(in crate::controller) async fn listed(&self) {
        // The sender lives as long as this does.
        let _ = self.listed.subscribe().wait_for(|listed| listed.len() >= self.parts).await;
    }

    /// Every object that is awake, in no order.
    pub(in crate::controller) fn awake(&self) -> Vec<Arc<CachedJob>> {
        self.awake.state()
    }

    /// An object that is awake.
    pub(in crate::controller) fn get(&self, key: &ObjectRef<CachedJob>) -> Option<Arc<CachedJob>> {
        self.awake.get(key)
    }

    /// What is known of an object.
    pub(in crate::controller) fn known(&self, namespace: &str, name: &str) -> Option<Known> {
        self.lock().get(namespace, name)
    }

    /// A first list begins: nothing is known.
    pub(in crate::controller) fn clear(&self) {
        *self.lock() = Records::default();
    }

    /// Keeps a record of an object as it is now; says what was known of it before.
    pub(in crate::controller) fn put(&self, job: &CachedJob, keep: Keep) -> Option<Known> {
        let before = self.lock().put(job, keep);
        if keep != Keep::Awake {
            self.changed.notify_one();
        }
        before
    }

    /// Takes out an object that is gone.
    pub(in crate::controller) fn take(&self, namespace: &str, name: &str) -> Option<Known> {
        self.lock().take(namespace, name)
    }

    /// Has an object looked at that rests, at this time.
    pub(in crate::controller) fn wake_at(&self, Waking { namespace, name }: &Waking, at: Instant) {
        self.lock().put_due(namespace, name, at);
        self.changed.notify_one();
    }

    /// Has every object read anew that rests.
    pub(in crate::controller) fn wake_all(&self) {
        let resting = self.lock().names(|record| !record.awake);
        for (namespace, name) in resting {
            self.wake(Waking { namespace, name });
        }
    }

    /// Wakes what is due, for as long as it is polled.
    pub(in crate::controller) async fn wake_in_time(&self, now: impl Fn() -> Instant) {
        loop {
            let next = self.lock().due.next_due();
            tokio::select! {
                // In this order, so that a simulation can be repeated.
                biased;
                () = self.changed.notified() => {}
                () = sleep_until(next) => {
                    let due = self.lock().take_due(now());
                    for (namespace, name) in due {
                        self.wake(Waking { namespace, name });
                    }
                }
            }
        }
    }

    /// Has an object read anew.
    pub(in crate::controller) fn wake(&self, waking: Waking) {
        // The receiver goes only when the process stops.
        let _ = self.waking.send(waking);
    }

    /// The objects of an account, counted; `exists` says which accounts there are.
    pub(in crate::controller) fn tally(
        &self,
        account: &AccountKey,
        exists: impl Fn(&AccountKey) -> bool,
    ) -> Tally {
        let records = self.lock();
        let counted = |uses: &Uses| records.accounts.counted(uses).copied().unwrap_or_default();
        let mut sum = counted(&Uses::Named(account.clone()));
        if account.name != DEFAULT_ACCOUNT {
            return sum;
        }
        let takes = |uses: &Uses| uses.clone().resolve(&exists) == *account;
        if account.kind() == AccountKind::ScrapeAccount {
            let here = Uses::Default(account.namespace.clone());
            if takes(&here) {
                sum.add(&counted(&here));
            }
            return sum;
        }
        for (uses, tally) in records.accounts.all() {
            if matches!(uses, Uses::Default(_)) && takes(uses) {
                sum.add(tally);
            }
        }
        sum
    }

    /// How many objects of each namespace are of each class.
    pub(in crate::controller) fn classes(&self) -> Vec<(String, Class, usize)> {
        let records = self.lock();
        let of_namespace = records.namespaces.all().flat_map(|(namespace, classes)| {
            classes.iter().map(move |(class, count)| (namespace.clone(), *class, *count))
        });
        of_namespace.collect()
    }

    /// How many objects are awake, and how many rest.
    pub(in crate::controller) fn counts(&self) -> (usize, usize) {
        let records = self.lock();
        (records.awake, records.len().saturating_sub(records.awake))
    }

    /// Whether an object has recorded this job as that of an account, or had it in an earlier run. A mirror that was never
    /// seen only names a job, which anybody may; so does an annotation.
    pub(in crate::controller) fn is_claimed(&self, job_id: &str) -> bool {
        self.lock().holders(&Id::new(job_id)).any(|holder| holder.earlier || holder.record.recorded)
    }

    /// Who has, or had, this job.
    pub(in crate::controller) fn holders(&self, job_id: &str) -> Vec<Holder> {
        let (records, id) = (self.lock(), Id::new(job_id));
        let told = records.holders(&id).filter_map(|holder| {
            let client = holder.client.filter(|_| !holder.earlier).cloned();
            let (namespace, uid) = (holder.namespace.to_owned(), holder.record.uid.to_string());
            (holder.earlier || client.is_some()).then_some(Holder { namespace, uid, client })
        });
        told.collect()
    }

    /// When a submit was tried last for each object for which one was since then, which account it uses, and whose it is.
    pub(in crate::controller) fn tried_since(&self, then: Timestamp) -> Vec<Tried> {
        self.lock().tried_since(then)
    }

    /// The first name of all but one; of a large object only where there is no small one.
    pub(in crate::controller) fn first(&self, but: Option<&Name>) -> Option<Name> {
        self.lock().first(but)
    }

    /// Names of those in a namespace, or in all, that were not listed, in order.
    pub(in crate::controller) fn unlisted(
        &self,
        namespace: Option<&str>,
        listed: &HashSet<ObjectRef<CachedJob>>,
    ) -> Vec<Name> {
        let mut names = self.lock().names(|_| true);
        names.retain(|(of, name)| {
            let here = namespace.is_none_or(|namespace| namespace == of);
            here && !listed.contains(&ObjectRef::new(name).within(of))
        });
        names
    }
}
