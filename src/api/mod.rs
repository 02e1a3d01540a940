//! The Kubernetes API that this operator publishes: kinds, fields, rules, words.
//!
//! It may know serde, schemars and Kubernetes' own types.
//! It must never know the service's HTTP, time, or what the controller does with a field.

mod account;
mod condition;
mod crd;
mod job;
mod name;
mod reason;
mod schema;
mod stored;

pub use account::{
    AccountJobs, AccountKind, AccountSync, ClaimLease, ClientIdSource, ClusterScrapeAccount,
    ClusterScrapeAccountSpec, EventSync, EventsUse, Limits, ListSync, OperatorClaim, ScrapeAccount,
    ScrapeAccountSpec, ScrapeAccountStatus, SecretRef, StatusCredential, SyncMode, SyncPolicy, SyncReason,
};
pub use condition::{Condition, ConditionStatus, find};
pub use crd::{INSTALL_CRDS, PUBLISHED, crds, full_status, is_status_field, not_published, to_yaml};
pub use job::{
    AccountRef, CancelReason, Credential, DeletionPolicy, JobAccount, OnAmbiguous, OnCacheHit, Origin, Owed,
    Payload, Poll, ReadyWhen, Remote, Results, Run, ScrapeJob, ScrapeJobSpec, ScrapeJobStatus, State,
    Submission, SubmissionRecord, TtlPolicy, Unfit, is_job_id,
};
pub use name::{NotAName, ObjectName};
pub use reason::Reason;
pub use stored::{Readable, Stored, StoredJob};

/// The API group. A change makes every stored object unreachable.
pub const GROUP: &str = "spideriq.ai";
/// The finalizer that holds an object back while its job may still have to be cancelled.
pub const FINALIZER: &str = "spideriq.ai/job";
/// The annotation that carries the intent of a submit (`docs/adr/0003`).
pub const INTENT: &str = "spideriq.ai/submission";
/// The annotations that ask for a look now; the first that is there counts, the second is Flux's.
pub const RECONCILE: [&str; 2] = ["spideriq.ai/reconcile-requested-at", "reconcile.fluxcd.io/requestedAt"];
/// The column of `kubectl get scrapejobs` that tells where a job is.
pub const STATE: &str = "State";
/// The column of `kubectl get scrapejobs -o wide` that tells a job's id at the service.
pub const JOB_ID: &str = "Job-ID";
/// The column of `kubectl get scrapejobs -o wide` that tells how long ago a submit was tried last.
pub const TRIED: &str = "Tried";
/// The annotation that has an object left alone until it is deleted.
pub const PAUSED: &str = "spideriq.ai/paused";
/// The annotation that has a deletion wait for nothing.
pub const FORCE_ORPHAN: &str = "spideriq.ai/force-orphan";
/// The name of the account that a job without an `accountRef` uses.
pub const DEFAULT_ACCOUNT: &str = "default";
/// The endpoint of an account that names none (contract section 1).
pub const DEFAULT_ENDPOINT: &str = "https://spideriq.ai/api/v1";

/// Longest message of a condition or event, in bytes: the schema refuses a whole status for a longer one.
pub const MESSAGE_MAX: usize = 1024;
/// Longest payload, in bytes of its canonical JSON.
pub const PAYLOAD_MAX: usize = 256 * 1024;
