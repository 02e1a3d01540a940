//! The one place that touches the Lease. Every write is preconditioned on the resourceVersion of what it replaces, so
//! that of two that both believe it theirs one loses.

use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, ResourceExt};

use super::Election;
use super::notes::{ANNOTATION, Notes};
use super::verdict::{LEASE, Record};
use crate::api::ObjectName;
use crate::clock::Clock;
use crate::kubernetes::{said_of, said_of_status, said_of_watch};

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
    let election = Election { namespace, lease, identity: String::new() };
    Ok(Leases::new(client, clock, election, Notes::default()).read().await?.map(|stored| stored.record()))
}

/// The Lease of an election.
pub(super) struct Leases {
    api: Api<Lease>,
    clock: Clock,
    election: Election,
    notes: Notes,
}

impl Leases {
    pub(super) fn new(client: Client, clock: Clock, election: Election, notes: Notes) -> Self {
        Self { api: Api::namespaced(client, election.namespace.as_str()), clock, election, notes }
    }

    /// It as it is; none if there is none.
    pub(super) async fn read(&self) -> Result<Option<Stored>, Error> {
        Ok(self.answered(self.api.get_opt(self.election.lease.as_str())).await?.map(Stored))
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
        self.write(over, spec).await
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
        self.write(Some(ours), spec).await
    }

    /// It, each time that it changes. A stream that is behind, or silent, only delays: the writes are the fence.
    pub(super) fn changes(&self) -> impl Stream<Item = Option<Stored>> + Send + use<> {
        watch_object(self.api.clone(), self.election.lease.as_str()).default_backoff().filter_map(
            |seen| async {
                match seen {
                    Ok(lease) => Some(lease.map(Stored)),
                    Err(error) => {
                        let error = said_of_watch(&error);
                        tracing::debug!(error, "the watch of the lease begins again");
                        None
                    }
                }
            },
        )
    }

    async fn write(&self, over: Option<&Stored>, spec: LeaseSpec) -> Result<Stored, Error> {
        let params = PostParams::default();
        let new = || ObjectMeta { name: Some(self.election.lease.to_string()), ..ObjectMeta::default() };
        let mut metadata = over.map_or_else(new, |Stored(before)| before.metadata.clone());
        if let Some(notes) = self.notes.write() {
            metadata.annotations.get_or_insert_default().insert(ANNOTATION.to_owned(), notes);
        }
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
