//! Names an account of either kind.

use std::fmt;

use crate::api::AccountKind;
use crate::leader::Scope;

/// Names an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey {
    /// Its namespace; empty for an account of the cluster, as the objects of the cluster have none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl AccountKey {
    /// Names an account of the cluster.
    pub fn cluster(name: &str) -> Self {
        Self { namespace: String::new(), name: name.to_owned() }
    }

    /// Which kind of account this names.
    pub fn kind(&self) -> AccountKind {
        if self.namespace.is_empty() { AccountKind::ClusterScrapeAccount } else { AccountKind::ScrapeAccount }
    }

    /// Names an account of a scope.
    pub fn in_scope(scope: &Scope, name: String) -> Self {
        match scope {
            Scope::Namespace(namespace) => Self { namespace: namespace.clone(), name },
            Scope::Cluster(_) => Self::cluster(&name),
        }
    }

    /// What a release has to hold a claim of before it sends anything with this account.
    pub fn scope(&self) -> Scope {
        match self.kind() {
            AccountKind::ScrapeAccount => Scope::Namespace(self.namespace.clone()),
            AccountKind::ClusterScrapeAccount => Scope::Cluster(self.name.clone()),
        }
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            AccountKind::ScrapeAccount => write!(f, "{}/{}", self.namespace, self.name),
            kind @ AccountKind::ClusterScrapeAccount => write!(f, "{} {}", kind.as_str(), self.name),
        }
    }
}
