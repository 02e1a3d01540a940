//! The two kinds of accounts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kind of the account. ScrapeAccount (default): one of the job's own namespace. ClusterScrapeAccount: one that is offered to many namespaces.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub enum AccountKind {
    /// An account of the job's own namespace.
    #[default]
    ScrapeAccount,
    /// An account that is offered to the namespaces that its selector admits.
    ClusterScrapeAccount,
}

impl AccountKind {
    /// The word as it stands in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ScrapeAccount => "ScrapeAccount",
            Self::ClusterScrapeAccount => "ClusterScrapeAccount",
        }
    }
}
