//! What every reconciliation shares.

pub(super) mod accounts;
mod debug;
pub(super) mod jobs;
mod replies;
mod rows;
pub(super) mod schema;
pub(super) mod table;

pub(super) use replies::{Measured, Replies, SMALL};

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client, Resource};
use tokio::sync::watch;
use tokio::time::Instant;

use self::accounts::{Known, Lines, Tallies, Uses, Woken, takes_default};
use self::jobs::{Collecting, Exclusive, Memories, Paces, Places, Readings, Unrecorded};
use self::rows::{AllRows, RowsIn};
use self::schema::Schema;
use self::table::{Jobs, Tally, Tried};
use crate::account::{AccountKey, Accounts, SecretWatches, Session};
use crate::api::{AccountKind, DEFAULT_ACCOUNT, ObjectName, ScrapeJob};
use crate::budget::{Lane, Limits};
use crate::cache::{CachedJob, is_new, key};
use crate::clock::Clock;
use crate::health::Health;
use crate::leader::{Claims, Leadership, Release};
use crate::poll::Poller;
use crate::spideriq::Endpoint;
use crate::telemetry::{AccountGauges, Metrics, Snapshot};

/// How long a submit that an earlier process recorded may count: a minute from when it arrived.
const COUNTS_FOR: Duration = Duration::from_secs(75);
/// How many objects are worked on at once, half of them of one namespace; what waits for the budget does not count.
const AT_ONCE: usize = 128;

/// What the operator was told to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Endpoints that accounts may name.
    pub allowed_endpoints: Vec<Endpoint>,
    /// Namespaces to watch; none means all.
    pub namespaces: Vec<ObjectName>,
    /// What each client may send, where no account of the cluster says more.
    pub limits: Limits,
    /// Whether accounts may listen to the service's events, with their token in an address.
    pub events: bool,
    /// The release that this operator is of.
    pub release: Release,
    /// Namespace that the operator runs in: the Secrets of cluster accounts are read from it, and from nowhere else.
    pub operator_namespace: ObjectName,
}

/// What ends the beginning of effects.
#[derive(Clone, Debug)]
pub struct Stopping {
    /// The process was told to stop: when it ends.
    pub told: watch::Receiver<Option<Instant>>,
    /// It may lose the lease.
    pub leadership: Leadership,
    /// Another release may work.
    pub claims: Claims,
}

/// What every reconciliation shares.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Time.
    pub clock: Clock,
    /// The accounts.
    pub accounts: Arc<Accounts>,
    /// The watches of their Secrets.
    pub secrets: SecretWatches,
    /// What was told on the command line.
    pub options: Options,
    /// When the process ends, once it is about to stop: nothing that cannot be repeated begins any more.
    pub stopping: watch::Receiver<Option<Instant>>,
    /// Whether it leads; where it does not, nothing that cannot be repeated begins either.
    leadership: Leadership,
    /// Where it is this release that works.
    pub(super) claims: Claims,
    /// Whether the process is stuck, and what keeps it from being ready.
    pub health: Health,
    /// What is counted.
    pub metrics: Metrics,
    pub(super) jobs: Arc<Jobs>,
    pub(super) known: Known,
    pub(super) woken: Woken,
    pub(super) lines: Lines,
    pub(super) memories: Memories,
    pub(super) paces: Paces,
    pub(super) collecting: Collecting,
    pub(super) exclusive: Exclusive,
    pub(super) places: Arc<Places>,
    pub(super) readings: Readings,
    pub(super) replies: Replies,
    rows: AllRows,
    pub(super) tallies: Tallies,
    pub(super) schema: Schema,
    pub(super) unrecorded: Unrecorded,
}

impl Context {
    /// Joins the parts; `jobs` and `known` are the caches that the controllers fill.
    pub fn new(
        client: Client,
        clock: Clock,
        (accounts, secrets): (Arc<Accounts>, SecretWatches),
        (options, stopping, metrics, health): (Options, Stopping, Metrics, Health),
        (jobs, known): (Arc<Jobs>, Known),
    ) -> Self {
        let Stopping { told: stopping, leadership, claims } = stopping;
        Self {
            client,
            clock,
            accounts,
            secrets,
            options,
            stopping,
            leadership,
            claims,
            health,
            metrics,
            jobs,
            known,
            woken: Woken::default(),
            lines: Lines::default(),
            memories: Memories::default(),
            paces: Paces::default(),
            collecting: Collecting::default(),
            exclusive: Exclusive::default(),
            places: Places::new(AT_ONCE),
            readings: Readings::default(),
            replies: Replies::default(),
            rows: AllRows::default(),
            tallies: Tallies::default(),
            schema: Schema::default(),
            unrecorded: Unrecorded::default(),
        }
    }

    /// Whether the process is about to stop, told to or because it leads no more: asked right before the first step of
    /// what cannot be repeated.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.borrow().is_some() || !self.leads()
    }

    /// Whether this process still leads, or works without a lease.
    pub fn leads(&self) -> bool {
        self.leadership.is_held()
    }

    /// Whether the process may end before something of this length does.
    pub(super) fn stops_within(&self, length: Duration) -> bool {
        let at = *self.stopping.borrow();
        at.is_some_and(|at| self.clock.instant() + length > at)
    }

    /// The jobs of a namespace, as they are kept or as they are stored.
    pub(super) fn jobs_in<K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>>(
        &self,
        namespace: &str,
    ) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The watched part of a kind: all of it, or a namespace each.
    pub(super) fn apis<K>(&self) -> Vec<Api<K>>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        if self.options.namespaces.is_empty() {
            return vec![Api::all(self.client.clone())];
        }
        self.options
            .namespaces
            .iter()
            .map(|name| Api::namespaced(self.client.clone(), name.as_str()))
            .collect()
    }

    /// The account that a job uses.
    pub(super) fn account_of(&self, job: &ScrapeJob) -> AccountKey {
        self.known.account_of(job)
    }

    /// Has every job looked at that uses an account, or would if it were there.
    pub(super) fn wake_jobs(&self, account: &AccountKey) {
        self.wake(|job| {
            let default = account.name == DEFAULT_ACCOUNT && takes_default(job);
            !is_elsewhere(account, job) && (default || self.account_of(job) == *account)
        });
    }

    /// Has every job looked at, in one namespace or all, that waits to be submitted with an account of the cluster.
    pub(super) fn wake_barred(&self, namespace: Option<&str>) {
        self.wake(|job| {
            let waits = job.status.as_ref().is_none_or(|status| {
                !status.finished && (status.job_id.is_none() || status.account.is_none())
            });
            let here = namespace.is_none_or(|name| job.metadata.namespace.as_deref() == Some(name));
            here && waits && self.account_of(job).kind() == AccountKind::ClusterScrapeAccount
        });
    }

    /// Has every job looked at that this concerns, but for those that rest: nothing is to be done with them.
    pub(super) fn wake(&self, concerned: impl Fn(&ScrapeJob) -> bool) {
        let jobs = self.jobs.awake();
        let jobs = jobs.iter().filter(|job| concerned(job));
        let mut keys: Vec<String> = jobs.map(|job| key(job)).collect();
        // The cache has no order; a simulation that is to be repeated needs one.
        keys.sort();
        for key in keys {
            self.accounts.tell(key);
        }
    }

    /// Whether the objects of every namespace are known: until then nobody can say whose a job is.
    pub(super) fn all_are_known(&self) -> bool {
        self.jobs.are_known(self.clock.instant())
    }

    /// Whether a job is not looked at before its part of the kind is listed: what others have may concern it. A new one is,
    /// so that it does not wait for all that others store.
    pub(super) fn waits_for_list(&self, job: &ScrapeJob) -> bool {
        let ours = || self.unrecorded.get(&job.metadata.uid.clone().unwrap_or_default()).is_some();
        let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
        !self.jobs.is_known_in(namespace) && !is_new(job) && !ours()
    }

    /// What is told of the jobs of a namespace, as it begins to be read before all jobs are listed.
    pub(super) fn rows_in(&self, namespace: &str) -> RowsIn {
        self.rows.of(namespace, (&self.client, &self.replies, &self.clock))
    }

    /// A job, read beside the list of all; nothing where it is large, gone or not to be had.
    pub(super) async fn read_beside(&self, namespace: &str, name: &str) -> Option<CachedJob> {
        rows::job(&self.client, &self.replies, (namespace, name)).await
    }

    /// A namespace, or all, is listed: what waited for that is looked at.
    pub(super) fn wake_listed(&self, namespace: Option<&str>) {
        if self.jobs.are_listed() {
            self.rows.clear();
        }
        self.wake(|job| {
            let here = namespace.is_none_or(|name| job.metadata.namespace.as_deref() == Some(name));
            here && !is_new(job)
        });
    }

    /// How long ago the last submits of a session's client were recorded, by this process or an earlier one; `None` while not
    /// all jobs were listed.
    pub(super) fn submitted_lately(&self, session: &Session) -> Option<Vec<Duration>> {
        if !self.jobs.are_listed() {
            return None;
        }
        let (client, now) = (session.client(), self.clock.now());
        // What was refused has no record of its client: there the account tells.
        let of_account = |uses: Uses| {
            let account = self.known.resolve(uses);
            account == session.key
                || self.accounts.last_session(&account).is_some_and(|other| client.may_be(&other.client()))
        };
        let age = |(tried, uses, by): Tried| {
            let age = Duration::try_from(now.duration_since(tried)).unwrap_or_default();
            let ours =
                age < COUNTS_FOR && if by.is_unknown() { of_account(uses) } else { client.may_be(&by) };
            ours.then_some(age)
        };
        let then = now.checked_sub(COUNTS_FOR).unwrap_or_default();
        Some(self.jobs.tried_since(then).into_iter().filter_map(age).collect())
    }

    /// The jobs that use this account, counted.
    pub(super) fn tally(&self, account: &AccountKey) -> Tally {
        self.jobs.tally(account, |account| self.known.has(account))
    }

    /// The jobs of a namespace as they were last seen, whether it can be read now or not, but for those that rest: they
    /// share no job.
    pub(super) fn last_known_in(&self, namespace: &str) -> Vec<Arc<CachedJob>> {
        let mut jobs = self.jobs.awake();
        jobs.retain(|job| job.meta().namespace.as_deref() == Some(namespace));
        jobs
    }

    /// Why nothing is written, where the API server would not keep it.
    pub fn complaint(&self) -> Option<String> {
        self.schema.complaint().map(|complaint| complaint.to_string())
    }

    /// Forgets the last session of an account that is gone, where no job is left that needs it to be cancelled.
    pub(super) fn let_go_unused(&self, account: &AccountKey) {
        if self.jobs.are_listed() && self.tally(account).jobs == 0 {
            self.accounts.let_go(account);
        }
    }

    /// Whether anything is left to be done with this account.
    pub(super) fn has_work(&self, account: &AccountKey) -> bool {
        self.tally(account).works > 0
    }

    /// What a scrape is told of the moment.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.clock.now();
        let accounts = self.accounts.sessions().into_iter().map(|session| {
            let left = |until: Option<Timestamp>| {
                until.map_or(0.0, |until| until.duration_since(now).as_secs_f64().max(0.0))
            };
            AccountGauges {
                namespace: session.key.namespace.clone(),
                account: session.key.name.clone(),
                requests_left: session.gate.available(),
                pause_seconds: left(session.gate.paused_until()),
                submit_pause_seconds: left(session.gate.submits_pause()),
                truth_age_seconds: session
                    .polling(Poller::truths)
                    .and_then(|truths| truths.age())
                    .map(|age| age.as_secs_f64()),
                waiting: Lane::ALL.map(|lane| (lane.as_str(), session.gate.waiting(lane))).to_vec(),
            }
        });
        let leading = self.leads();
        let ((awake, resting), (working, waiting)) = (self.jobs.counts(), self.places.counts());
        let mut snapshot = Snapshot {
            accounts: accounts.collect(),
            kept: vec![("whole", awake), ("record", resting)],
            looks: vec![("working", working), ("waiting", waiting)],
            leading,
            unkept: self.schema.missing(),
            unrecorded: self.unrecorded.len(),
            ..Snapshot::default()
        };
        for (kind, namespace) in self.known.misnamed() {
            *snapshot.misnamed.entry((namespace, kind.as_str())).or_default() += 1;
        }
        for (kind, namespace) in self.known.undecodable() {
            *snapshot.undecodable.entry((namespace, kind.as_str())).or_default() += 1;
        }
        for (namespace, class, count) in self.jobs.classes() {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            for (is, counts) in
                [(class.unsynced, &mut snapshot.unsynced), (class.stalled, &mut snapshot.stalled)]
            {
                if is {
                    *counts.entry(namespace.clone()).or_default() += count;
                }
            }
            for (is, counts) in
                [(class.misnamed, &mut snapshot.misnamed), (class.undecodable, &mut snapshot.undecodable)]
            {
                if is {
                    *counts.entry((namespace.clone(), "ScrapeJob")).or_default() += count;
                }
            }
            if let Some(reason) = class.held {
                *snapshot.held.entry((namespace.clone(), reason)).or_default() += count;
            }
            *snapshot.jobs.entry((namespace, class.state.as_str())).or_default() += count;
        }
        snapshot
    }
}

/// Whether a job is in another namespace than an account that has one: most are, which costs nothing to see.
fn is_elsewhere(account: &AccountKey, job: &ScrapeJob) -> bool {
    account.kind() == AccountKind::ScrapeAccount
        && job.metadata.namespace.as_deref() != Some(account.namespace.as_str())
}
