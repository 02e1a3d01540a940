//! The records of all objects, found by name and by job, and counted by namespace and by account.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hash, RandomState};
use std::iter;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::index::Index;
use super::record::{Class, Id, Record, Work, seconds};
use super::shared::{Number, Shared, free_place, index};
use crate::cache::CachedJob;
use crate::controller::context::accounts::Uses;
use crate::controller::context::replies::SMALL;
use crate::decide::ClientIdentity;
use crate::poll::Queue;

/// How many objects of a namespace are of each class.
pub(super) type Classes = BTreeMap<Class, usize>;

/// When a submit was tried last for an object, which account it uses, and whose it is.
pub(in crate::controller) type Tried = (Timestamp, Uses, ClientIdentity);

/// Namespace and name.
pub(super) type Name = (String, String);

/// The objects of an account, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::controller) struct Tally {
    /// All of them.
    pub(in crate::controller) jobs: usize,
    /// Those with which something is left to be done.
    pub(in crate::controller) works: usize,
    /// Those with a job that is not over.
    pub(in crate::controller) active: usize,
    /// Those that wait for one.
    pub(in crate::controller) waiting: usize,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.jobs += other.jobs;
        self.works += other.works;
        self.active += other.active;
        self.waiting += other.waiting;
    }

    fn count(&mut self, work: Work, into: bool) {
        let parts = [
            (&mut self.jobs, true),
            (&mut self.works, work != Work::None),
            (&mut self.active, work == Work::Active),
            (&mut self.waiting, work == Work::Waiting),
        ];
        for (part, _) in parts.into_iter().filter(|(_, concerned)| *concerned) {
            *part = if into { *part + 1 } else { part.saturating_sub(1) };
        }
    }
}

/// How an object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Keep {
    /// Whole.
    Awake,
    /// As a record, until it is looked at again at the latest.
    Resting(Option<Instant>),
}

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Known {
    pub(in crate::controller) uid: String,
    /// The length of its text.
    pub(in crate::controller) bytes: usize,
    /// Its resourceVersion.
    pub(in crate::controller) version: Option<u64>,
    /// Whether it is kept whole.
    pub(in crate::controller) awake: bool,
    pub(in crate::controller) uses: Uses,
}

impl Known {
    /// Whether an object that was read because it is to wake is to be taken as it was read. The watch may have told of
    /// something newer meanwhile, or of another object of that name.
    pub(in crate::controller) fn wakes_as(&self, uid: Option<&str>, version: Option<u64>) -> bool {
        !self.awake && uid == Some(&*self.uid) && version >= self.version
    }
}

/// An object that has, or had, a job.
pub(super) struct Holder<'a> {
    pub(super) record: &'a Record,
    pub(super) namespace: &'a str,
    /// The client that its record of a submission names; `None` where it has no such record.
    pub(super) client: Option<&'a ClientIdentity>,
    /// Whether the job is one of an earlier run.
    pub(super) earlier: bool,
}

/// The records.
#[derive(Debug, Default)]
pub(super) struct Records {
    slots: Vec<Option<Record>>,
    free: Vec<Number>,
    by_name: Index,
    by_job: Index,
    hasher: RandomState,
    pub(super) namespaces: Shared<String, Classes>,
    pub(super) accounts: Shared<Uses, Tally>,
    clients: Shared<Option<ClientIdentity>, ()>,
    pub(super) due: Queue<Number>,
    pub(super) awake: usize,
}

impl Records {
    /// Keeps what there is of an object now; says what was known of it before.
    pub(super) fn put(&mut self, job: &CachedJob, keep: Keep) -> Option<Known> {
        let namespace = job.metadata.namespace.clone().unwrap_or_default();
        let name = job.metadata.name.as_deref().unwrap_or_default();
        // Before what was known goes, so that what stays the same keeps its number.
        let shared = (
            self.namespaces.take(namespace.clone()),
            self.accounts.take(Uses::of(job)),
            self.clients.take(submitted_by(job)),
        );
        let before = self.take(&namespace, name);
        let record = Record::new(job, keep == Keep::Awake, shared);
        let number = free_place(&mut self.free, &mut self.slots);
        self.enter(&record, number, true);
        if let Some(slot) = self.slots.get_mut(index(number)) {
            *slot = Some(record);
        }
        if let Keep::Resting(Some(until)) = keep {
            self.due.put(number, until);
        }
        before
    }

    /// Takes an object out; says what was known of it.
    pub(super) fn take(&mut self, namespace: &str, name: &str) -> Option<Known> {
        let (number, _) = self.find(namespace, name)?;
        let record = self.slots.get_mut(index(number))?.take()?;
        let known = self.known(&record);
        self.enter(&record, number, false);
        self.due.remove(&number);
        self.free.push(number);
        self.namespaces.give_back(record.namespace);
        self.accounts.give_back(record.account);
        self.clients.give_back(record.client);
        Some(known)
    }

    /// Enters a record into the indexes and counts, or takes it out of them.
    fn enter(&mut self, record: &Record, number: Number, into: bool) {
        let name = self.hash(&(record.namespace, &*record.name));
        let jobs: HashSet<u64> = record.jobs().map(|id| self.hash(id)).collect();
        let change = if into { Index::put } else { Index::remove };
        change(&mut self.by_name, name, number);
        for job in jobs {
            change(&mut self.by_job, job, number);
        }
        if record.awake {
            self.awake = if into { self.awake + 1 } else { self.awake.saturating_sub(1) };
        }
        if let Some(tally) = self.accounts.counts(record.account) {
            tally.count(record.work, into);
        }
        if let Some(classes) = self.namespaces.counts(record.namespace) {
            let count = classes.entry(record.class).or_default();
            *count = if into { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                classes.remove(&record.class);
            }
        }
    }

    fn hash(&self, of: &impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    fn find(&self, namespace: &str, name: &str) -> Option<(Number, &Record)> {
        let namespace = self.namespaces.number(namespace)?;
        let found = self.by_name.with(self.hash(&(namespace, name)));
        found
            .filter_map(|number| Some((number, self.record(number)?)))
            .find(|(_, record)| record.namespace == namespace && &*record.name == name)
    }

    fn record(&self, number: Number) -> Option<&Record> {
        self.slots.get(index(number))?.as_ref()
    }

    fn known(&self, record: &Record) -> Known {
        let uses = self.accounts.value(record.account).cloned();
        let nobody = || Uses::Default(String::new());
        let (uid, uses) = (record.uid.to_string(), uses.unwrap_or_else(nobody));
        let bytes = usize::try_from(record.bytes).unwrap_or(usize::MAX);
        Known { uid, bytes, version: record.version, awake: record.awake, uses }
    }

    fn title<'a>(&'a self, record: &'a Record) -> (&'a str, &'a str) {
        let namespace = self.namespaces.value(record.namespace);
        (namespace.map(String::as_str).unwrap_or_default(), &record.name)
    }

    fn name_of(&self, record: &Record) -> Name {
        let (namespace, name) = self.title(record);
        (namespace.to_owned(), name.to_owned())
    }

    /// What is known of an object.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Known> {
        self.find(namespace, name).map(|(_, record)| self.known(record))
    }

    /// The objects that have, or had, a job.
    pub(super) fn holders<'a>(&'a self, id: &'a Id) -> impl Iterator<Item = Holder<'a>> {
        self.by_job.with(self.hash(id)).filter_map(move |number| {
            let record = self.record(number)?;
            let earlier = record.earlier.contains(id);
            let namespace = self.namespaces.value(record.namespace)?;
            let client = self.clients.value(record.client).and_then(Option::as_ref);
            let holds = earlier || record.job.as_ref() == Some(id);
            holds.then_some(Holder { record, namespace, client, earlier })
        })
    }

    /// When a submit was tried last for each object for which one was since then, what it uses, and whose it is.
    pub(super) fn tried_since(&self, then: Timestamp) -> Vec<Tried> {
        let then = seconds(then);
        let tried = self.all().filter(|record| record.tried > 0 && record.tried >= then);
        let told = |record: &Record| {
            let client = self.clients.value(record.client)?.clone().unwrap_or_default();
            let at = Timestamp::from_second(record.tried.into()).ok()?;
            Some((at, self.accounts.value(record.account)?.clone(), client))
        };
        tried.filter_map(told).collect()
    }

    /// Names of those for which this holds, in order.
    pub(super) fn names(&self, holds: impl Fn(&Record) -> bool) -> Vec<Name> {
        let mut names: Vec<Name> =
            self.all().filter(|record| holds(record)).map(|record| self.name_of(record)).collect();
        names.sort();
        names
    }

    /// The same of those that are due; none of them is any more.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Name> {
        let due: Vec<Number> = iter::from_fn(|| self.due.take(now)).collect();
        let mut names: Vec<Name> =
            due.into_iter().filter_map(|number| Some(self.name_of(self.record(number)?))).collect();
        names.sort();
        names
    }

    /// Has an object looked at that rests, at this time.
    pub(super) fn put_due(&mut self, namespace: &str, name: &str, at: Instant) {
        let resting = self.find(namespace, name).filter(|(_, record)| !record.awake);
        if let Some(number) = resting.map(|(number, _)| number) {
            self.due.put(number, at);
        }
    }

    /// The first name of all but one; of a large object only where there is no small one.
    pub(super) fn first(&self, but: Option<&Name>) -> Option<Name> {
        let but = but.map(|(namespace, name)| (namespace.as_str(), name.as_str()));
        let first = self
            .all()
            .filter(|record| Some(self.title(record)) != but)
            .min_by_key(|record| (is_large(record), self.title(record)));
        first.map(|record| self.name_of(record))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Record> {
        self.slots.iter().flatten()
    }
}

fn is_large(record: &Record) -> bool {
    usize::try_from(record.bytes).is_ok_and(|bytes| bytes > SMALL)
}

/// The client of the submission that a status records, where it records one.
fn submitted_by(job: &CachedJob) -> Option<ClientIdentity> {
    job.status.as_ref()?.submission.as_ref().map(ClientIdentity::from)
}
