//! The two kinds of account: one of a namespace, and one that is offered to many.

#[allow(
    unreachable_pub,
    reason = "the derived schema module hides from the lint that these items are exported"
)]
mod cluster;
mod kind;
#[allow(
    unreachable_pub,
    reason = "the derived schema module hides from the lint that these items are exported"
)]
mod namespaced;

pub use cluster::{ClusterScrapeAccount, ClusterScrapeAccountSpec};
pub use kind::AccountKind;
pub use namespaced::{
    AccountJobs, AccountSync, ClaimLease, ClientIdSource, EventSync, EventsUse, Limits, ListSync,
    OperatorClaim, ScrapeAccount, ScrapeAccountSpec, ScrapeAccountStatus, SecretRef, StatusCredential,
    SyncMode, SyncPolicy, SyncReason,
};
