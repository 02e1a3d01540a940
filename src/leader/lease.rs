//! The one place that touches the Lease. Every write is preconditioned on the resourceVersion of what it replaces, so
//! that of two that both believe it theirs one loses.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, ResourceExt};
use tokio::sync::OnceCell;

use super::Election;
use super::mark::{self, Mark};
use super::notes::{ANNOTATION, Notes};
use super::verdict::{LEASE, Record};
use crate::api::ObjectName;
use crate::clock::Clock;
use crate::kubernetes::{said_of, said_of_status, said_of_watch};

/// How often a mark is written before another writer wins: the holder renews every five seconds.
const TRIES: usize = 5;

/// How long the API server may take to answer: two tries fit between a renewal's being due and its being too late.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Why the lease was not read or written, or why this process leads no more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote it first.
    #[error("the lease changed meanwhile")]
    Changed,
    /// Nobody knows whether it was carried out.
    #[error("no answer from the API server about the lease: {0}")]
    Unanswered(String),
    /// Time alone will not help.
    #[error(
        "the lease {0} cannot be used ({1}): name the chart's namespace with --operator-namespace and grant the rules of its Role, or run one replica with --leader-elect=false"
    )]
    Refused(String, String),
    /// There is none to be marked.
    #[error(
        "there is no lease {0}: name the operator's with --operator-namespace and --lease-name; if it does not run, or without a lease, stop it and drain with --stopped"
    )]
    Absent(String),
    /// A mark cannot end with what there is not.
    #[error(
        "--for-uninstall is for a pod of the operator's ServiceAccount, and this runs as no ServiceAccount; leave it out"
    )]
    NoServiceAccount,
    /// This process has led, and has stopped.
    #[error("{0}; no effect begins here any more, and the process ends to start again as a follower")]
    Lost(String),
}

/// The lease as it was read or written last, whole, so that what others keep in it stays.
#[derive(Clone, Debug)]
pub(super) struct Stored(Lease);

impl Stored {
    /// What the verdict needs of it.
    pub(super) fn record(&self) -> Record {
        let spec = self.0.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
        Record {
            holder: spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty()),
            version: self.0.resource_version().unwrap_or_default(),
            lasts: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
            drained: mark::mark_on(&self.0.metadata).is_some(),
        }
    }
}

/// A Lease of whatever release, as it is now; none if there is none.
///
/// # Errors
/// If it may not be read, or there is no answer: that says nothing of who holds it.
pub async fn look_at(
    client: Client,
    clock: Clock,
    (namespace, lease): (ObjectName, ObjectName),
) -> Result<Option<Record>, Error> {
    Ok(nobodys(client, clock, (namespace, lease)).read().await?.map(|stored| stored.record()))
}

/// A Lease for which nobody contends here.
fn nobodys(client: Client, clock: Clock, (namespace, lease): (ObjectName, ObjectName)) -> Leases {
    Leases::new(client, clock, Election { namespace, lease, identity: String::new() }, Notes::default())
}

/// Marks the Lease, so that nobody works by it any more. With `ends`, the mark counts for the `ServiceAccount` alone that this
/// process runs as, and a Lease that is not there is made.
///
/// # Errors
/// If there is none, it may not be written, there is no answer, or somebody else is always faster.
pub async fn drain(
    client: Client,
    clock: Clock,
    (namespace, lease): (ObjectName, ObjectName),
    ends: bool,
) -> Result<(), Error> {
    let at = Some(clock.now());
    let absent = Error::Absent(format!("{namespace}/{lease}"));
    let leases = nobodys(client, clock, (namespace, lease));
    let of = if ends { Some(leases.own_account().await?.ok_or(Error::NoServiceAccount)?) } else { None };
    let mark = Mark { at, of };
    for _ in 0..TRIES {
        let stored = leases.read().await?;
        if stored.is_none() && !ends {
            return Err(absent);
        }
        match leases.mark(stored.as_ref(), Some(&mark)).await {
            Ok(_) => return Ok(()),
            Err(Error::Changed) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Changed)
}

/// Whether nobody is to work by a Lease.
///
/// # Errors
/// If it may not be read, or there is no answer.
pub async fn is_drained(
    client: Client,
    clock: Clock,
    (namespace, lease): (ObjectName, ObjectName),
) -> Result<bool, Error> {
    Ok(look_at(client, clock, (namespace, lease)).await?.is_some_and(|record| record.drained))
}

/// Takes the mark back, whoever it counts for; says whether there was one.
///
/// # Errors
/// If it may not be written, there is no answer, or somebody else is always faster.
pub async fn undrain(
    client: Client,
    clock: Clock,
    (namespace, lease): (ObjectName, ObjectName),
) -> Result<bool, Error> {
    let leases = nobodys(client, clock, (namespace, lease));
    for _ in 0..TRIES {
        let stored = leases.as_it_is().await?.map(Stored).filter(|stored| stored.record().drained);
        let Some(stored) = stored else { return Ok(false) };
        match leases.mark(Some(&stored), None).await {
            Ok(_) => return Ok(true),
            Err(Error::Changed) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Changed)
}

/// It without a mark of another installation: that one is gone.
fn without_void_mark(mut lease: Lease, account: &OnceCell<Option<String>>) -> Lease {
    let me = account.get().and_then(Option::as_deref);
    if mark::mark_on(&lease.metadata).is_some_and(|mark| mark.is_void(me)) {
        mark::write(&mut lease.metadata, None);
    }
    lease
}

/// The Lease of an election.
pub(super) struct Leases {
    client: Client,
    api: Api<Lease>,
    /// The `ServiceAccount` that this process runs as, once a mark has made that a question; none if it is none.
    account: Arc<OnceCell<Option<String>>>,
    clock: Clock,
    election: Election,
    notes: Notes,
}

impl Leases {
    pub(super) fn new(client: Client, clock: Clock, election: Election, notes: Notes) -> Self {
        let api = Api::namespaced(client.clone(), election.namespace.as_str());
        Self { client, api, account: Arc::default(), clock, election, notes }
    }

    async fn as_it_is(&self) -> Result<Option<Lease>, Error> {
        self.answered(self.api.get_opt(self.election.lease.as_str())).await
    }

    /// It as it counts for this process; none if there is none.
    pub(super) async fn read(&self) -> Result<Option<Stored>, Error> {
        let Some(lease) = self.as_it_is().await? else { return Ok(None) };
        if mark::mark_on(&lease.metadata).is_some_and(|mark| mark.of.is_some()) {
            let asked = || async { self.answered(mark::service_account(&self.client)).await };
            self.account.get_or_try_init(asked).await?;
        }
        Ok(Some(Stored(without_void_mark(lease, &self.account))))
    }

    /// Marks it so that nobody has it any more, or takes that back; who holds it stays written there.
    pub(super) async fn mark(&self, over: Option<&Stored>, mark: Option<&Mark>) -> Result<Stored, Error> {
        let spec = over.and_then(|stored| stored.0.spec.clone()).unwrap_or_default();
        self.write(over, spec, mark).await
    }

    /// Who is asked for a mark that ends with its `ServiceAccount`.
    pub(super) async fn own_account(&self) -> Result<Option<String>, Error> {
        self.answered(mark::service_account(&self.client)).await
    }

    /// Writes us in as its holder, with our notes; those of the holder before are ours from then on.
    pub(super) async fn hold(&self, over: Option<&Stored>) -> Result<Stored, Error> {
        let now = Some(MicroTime(self.clock.now()));
        let before = over.and_then(|stored| stored.0.spec.clone()).unwrap_or_default();
        let ours = before.holder_identity.as_deref() == Some(self.election.identity.as_str());
        if !ours {
            let left = over.map(|stored| {
                let annotations = stored.0.metadata.annotations.as_ref();
                let released = stored.record().holder.is_none();
                (annotations.and_then(|all| all.get(ANNOTATION)).map(String::as_str), released)
            });
            self.notes.read(left);
        }
        let spec = LeaseSpec {
            holder_identity: Some(self.election.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
            renew_time: now.clone(),
            acquire_time: if ours { before.acquire_time } else { now },
            lease_transitions: Some(before.lease_transitions.unwrap_or_default() + i32::from(!ours)),
            ..before
        };
        self.write(over, spec, None).await
    }

    /// Gives it up: whoever waits for it may take it at once.
    pub(super) async fn release(&self, ours: &Stored) -> Result<Stored, Error> {
        let before = ours.0.spec.clone().unwrap_or_default();
        // Nobody holds it; the second is for those who read the duration alone.
        let spec = LeaseSpec {
            holder_identity: None,
            lease_duration_seconds: Some(1),
            renew_time: Some(MicroTime(self.clock.now())),
            ..before
        };
        self.write(Some(ours), spec, None).await
    }

    /// It, each time that it changes. A stream that is behind, or silent, only delays: the writes are the fence.
    pub(super) fn changes(&self) -> impl Stream<Item = Option<Stored>> + Send + use<> {
        let account = Arc::clone(&self.account);
        watch_object(self.api.clone(), self.election.lease.as_str()).default_backoff().filter_map(
            move |seen| {
                let told = match seen {
                    Ok(lease) => Some(lease.map(|lease| Stored(without_void_mark(lease, &account)))),
                    Err(error) => {
                        let error = said_of_watch(&error);
                        tracing::debug!(error, "the watch of the lease begins again");
                        None
                    }
                };
                async { told }
            },
        )
    }

    async fn write(
        &self,
        over: Option<&Stored>,
        spec: LeaseSpec,
        mark: Option<&Mark>,
    ) -> Result<Stored, Error> {
        let params = PostParams::default();
        let new = || ObjectMeta { name: Some(self.election.lease.to_string()), ..ObjectMeta::default() };
        let mut metadata = over.map_or_else(new, |Stored(before)| before.metadata.clone());
        if let Some(notes) = self.notes.write() {
            metadata.annotations.get_or_insert_default().insert(ANNOTATION.to_owned(), notes);
        }
        mark::write(&mut metadata, mark);
        let lease = Lease { metadata, spec: Some(spec) };
        let written = match over {
            Some(_) => self.answered(self.api.replace(self.election.lease.as_str(), &params, &lease)).await,
            None => self.answered(self.api.create(&params, &lease)).await,
        };
        written.map(Stored)
    }

    async fn answered<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Error> {
        let Election { namespace, lease, .. } = &self.election;
        match tokio::time::timeout(ANSWER_WITHIN, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) => Err(match status.code {
                409 => Error::Changed,
                // A lease that went while it was replaced; about a namespace that is not there nobody but people can
                // do anything.
                404 if status.details.as_ref().is_some_and(|details| details.kind != "namespaces") => {
                    Error::Changed
                }
                401 | 403 | 404 | 422 => {
                    Error::Refused(format!("{namespace}/{lease}"), said_of_status(&status))
                }
                _ => Error::Unanswered(said_of_status(&status)),
            }),
            Ok(Err(error)) => Err(Error::Unanswered(said_of(&error))),
            Err(_) => Err(Error::Unanswered("it took too long".to_owned())),
        }
    }
}
