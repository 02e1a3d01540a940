//! What a decision may look at, in words of its own: no JSON, no HTTP, no clock.

mod account;
mod client;
mod memory;
mod remote;

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use account::{AccountFacts, AccountUse, Named, is_odd_address};
pub use client::ClientIdentity;
pub use memory::Memory;
pub use remote::{Details, RemoteJob, RemoteState, Stop, Summary, Trouble, Waiting, Watched};

use super::record::{IntentFacts, KeptBody};
use crate::api::{DeletionPolicy, Origin, ScrapeJobSpec, ScrapeJobStatus, TtlPolicy};

/// Everything that is known about one object at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observed {
    /// The moment, by the wall clock: for what is stored, and what other machines wrote.
    pub now: Timestamp,
    /// The moment, by a clock that never jumps: for what this process did and saw itself.
    pub steady: Timestamp,
    /// The object.
    pub job: JobFacts,
    /// The status as it is stored.
    pub recorded: ScrapeJobStatus,
    /// The intent annotation.
    pub intent: IntentFacts,
    /// The account that the job uses.
    pub account: AccountFacts,
    /// What polling knows of the remote job.
    pub watched: Watched,
    /// What this process alone remembers.
    pub memory: Memory,
    /// A random word for the next attempt; an input, so that decisions stay pure.
    pub nonce: String,
}

/// The object, apart from its status.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobFacts {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Identity across deletion and re-creation under one name.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// When deletion was asked for.
    pub deleted_at: Option<Timestamp>,
    /// Whether our finalizer is on.
    pub protected: bool,
    /// The spec.
    pub spec: ScrapeJobSpec,
    /// What is kept of the request body that the spec makes; absent for a mirrored job.
    pub body: Option<KeptBody>,
    /// Why the spec's payload can never be sent, where there is one that cannot.
    pub unfit: Option<String>,
    /// What of the object cannot be read.
    pub faults: Faults,
    /// What its annotations and labels say.
    pub marks: Marks,
}

/// What of an object this release cannot read, in words.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Faults {
    /// In its spec: nothing is begun that it may not mean.
    pub spec: Option<String>,
    /// In its status or metadata: nothing may be written over it.
    pub record: Option<String>,
}

impl Faults {
    /// Whether all of it can be read.
    pub fn is_none(&self) -> bool {
        self.spec.is_none() && self.record.is_none()
    }

    /// All of them, in words.
    pub fn words(&self) -> String {
        [&self.record, &self.spec].into_iter().flatten().cloned().collect::<Vec<_>>().join("; ")
    }
}

/// What the annotations and labels of an object say.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Marks {
    /// Value of the annotation that asks for a look now.
    pub requested: Option<String>,
    /// Whether an annotation has the object left alone until it is deleted.
    pub paused: bool,
    /// Whether an annotation has its deletion wait for nothing.
    pub force_orphan: bool,
    /// The program that applies the object, and would create it again.
    pub applied_by: Option<&'static str>,
    /// Size of all annotations but the intent, in bytes.
    pub annotation_bytes: usize,
}

impl JobFacts {
    /// Whether deletion cancels the running job: as written, else only a job that this object's submit made.
    pub fn cancels_on_delete(&self, origin: Option<Origin>) -> bool {
        match self.spec.deletion_policy {
            Some(DeletionPolicy::Cancel) => true,
            Some(DeletionPolicy::Orphan) => false,
            None => origin == Some(Origin::Submitted),
        }
    }

    /// When the object is to be deleted, if it finished then.
    pub fn expires(&self, finished: Option<Timestamp>) -> Option<Timestamp> {
        let seconds = self.spec.ttl_seconds_after_finished?.max(0).unsigned_abs();
        finished.filter(|_| self.kept_for().is_none())?.checked_add(Duration::from_secs(seconds.into())).ok()
    }

    /// The program for whose sake the object is not deleted, although it has a time to live.
    pub fn kept_for(&self) -> Option<&'static str> {
        let respected = self.spec.ttl_policy.unwrap_or_default() == TtlPolicy::RespectGitOps;
        self.marks.applied_by.filter(|_| respected && self.spec.ttl_seconds_after_finished.is_some())
    }
}

impl Observed {
    /// The look that was asked for and is still owed.
    pub fn owed_look(&self) -> Option<&str> {
        let handled = self.recorded.last_handled_reconcile_at.as_deref();
        self.job.marks.requested.as_deref().filter(|requested| Some(*requested) != handled)
    }

    /// How long ago the first attempt of a submit was that is recorded with this time; negative where that lies ahead.
    /// A wall clock that jumps while this process knows of the attempt changes nothing.
    pub fn attempted_ago(&self, recorded: Timestamp) -> SignedDuration {
        // What is stored has whole seconds.
        let same = |begun: Timestamp| begun.duration_since(recorded).abs() < SignedDuration::from_secs(1);
        match self.memory.begun {
            Some((begun, steady)) if same(begun) => self.steady.duration_since(steady),
            Some(_) | None => self.now.duration_since(recorded),
        }
    }

    /// How long the end of a run, begun then, goes on waiting for the service: nothing once it waits no longer. What a
    /// process before this one waited counts, and a bound that seems to be over at the first look leaves time to try;
    /// a wait for nothing but the cancel's turn does not count (`docs/adr/0014`).
    pub fn end_waits(&self, begun: Timestamp) -> Duration {
        let seconds = self.job.spec.cancel_timeout_seconds.unwrap_or(CANCEL_TIMEOUT_SECONDS).max(0);
        let bound = Duration::from_secs(seconds.unsigned_abs().into());
        let left = bound.saturating_sub(self.waited_before(begun)).max(bound.min(TRIED_FOR));
        left.saturating_sub(self.memory.ending_seen_for)
    }

    /// How long the end of a run, begun then, has waited for the service so far.
    pub fn end_waited(&self, begun: Timestamp) -> Duration {
        self.waited_before(begun).saturating_add(self.memory.ending_seen_for)
    }

    /// How long it had waited when this process saw it first, by what is remembered, else stored, else the clock.
    fn waited_before(&self, begun: Timestamp) -> Duration {
        let stored = self.recorded.cancel_wait().filter(|_| self.job.deleted_at.is_some());
        let by_clock = || since(begun, self.now).saturating_sub(self.memory.ending_seen_for);
        self.memory.ending_before.or(stored).unwrap_or_else(by_clock)
    }
}

/// How long ago that was; nothing where it is still to come.
pub fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// How many seconds of a deletion's wait are stored at the least: with the looks between, at least every half minute.
pub const WAIT_STORED_EVERY: i32 = 20;

/// How long an end is tried in any case, whatever the clocks say.
const TRIED_FOR: Duration = Duration::from_secs(30);

/// The default of `spec.cancelTimeoutSeconds`.
const CANCEL_TIMEOUT_SECONDS: i32 = 120;
