//! What is known of the schemas: which fields the API server would not keep.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::Resource;
use tokio::time::Instant;

use crate::api::{AccountKind, ClusterScrapeAccount, ScrapeAccount, ScrapeJob};
use crate::decide::message::Object;
use crate::status::WriteError;

/// A kind whose status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::controller) enum Kind {
    Job,
    Account(AccountKind),
}

impl Kind {
    pub(in crate::controller) const ALL: [Self; 3] = [
        Self::Job,
        Self::Account(AccountKind::ScrapeAccount),
        Self::Account(AccountKind::ClusterScrapeAccount),
    ];

    pub(in crate::controller) fn as_str(self) -> &'static str {
        match self {
            Self::Job => "ScrapeJob",
            Self::Account(kind) => kind.as_str(),
        }
    }

    pub(in crate::controller) fn url(self, namespace: &str) -> String {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        match self {
            Self::Job => ScrapeJob::url_path(&(), namespace),
            Self::Account(AccountKind::ScrapeAccount) => ScrapeAccount::url_path(&(), namespace),
            Self::Account(AccountKind::ClusterScrapeAccount) => {
                ClusterScrapeAccount::url_path(&(), namespace)
            }
        }
    }
}

/// What is known of the schemas.
#[derive(Debug, Default)]
pub(in crate::controller) struct Schema {
    /// One is asked about at a time, so that all who wait share the answer.
    asked: [tokio::sync::Mutex<Asked>; Kind::ALL.len()],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(in crate::controller) struct Asked {
    /// When the answer was asked for.
    pub(in crate::controller) at: Option<Instant>,
    /// When there was no answer, and why.
    pub(in crate::controller) unanswered: Option<(Instant, WriteError)>,
}

#[derive(Debug, Default)]
pub(in crate::controller) struct State {
    /// The fields that would be dropped, by kind.
    pub(in crate::controller) missing: BTreeMap<Kind, Vec<String>>,
    /// Namespaces that were told.
    pub(in crate::controller) told: HashSet<String>,
}

impl Schema {
    pub(in crate::controller) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::controller) fn asked(&self, kind: Kind) -> &tokio::sync::Mutex<Asked> {
        let [jobs, own, cluster] = &self.asked;
        match kind {
            Kind::Job => jobs,
            Kind::Account(AccountKind::ScrapeAccount) => own,
            Kind::Account(AccountKind::ClusterScrapeAccount) => cluster,
        }
    }

    /// What would be dropped, for people; nothing where all is kept.
    pub(in crate::controller) fn complaint(&self) -> Option<Object> {
        let missing = &self.lock().missing;
        let kinds: Vec<String> = missing.iter().map(|(kind, fields)| said(*kind, fields)).collect();
        (!kinds.is_empty()).then(|| Object::CrdsOutdated(kinds.join(" and ")))
    }

    /// How many fields would be dropped, by kind.
    pub(in crate::controller) fn missing(&self) -> Vec<(&'static str, usize)> {
        let state = self.lock();
        Kind::ALL
            .into_iter()
            .map(|kind| (kind.as_str(), state.missing.get(&kind).map_or(0, Vec::len)))
            .collect()
    }

    /// Whether every field of a kind is kept, as far as anybody knows.
    pub(in crate::controller) fn keeps(&self, kind: Kind) -> bool {
        self.lock().missing.get(&kind).is_none_or(Vec::is_empty)
    }

    pub(in crate::controller) fn all_missing(&self) -> Vec<String> {
        self.lock().missing.values().flatten().cloned().collect()
    }
}

/// The first fields by name: a whole record may be missing.
fn said(kind: Kind, fields: &[String]) -> String {
    const NAMED: usize = 3;
    let more = if fields.len() > NAMED { " and more" } else { "" };
    let named = fields.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    format!("{named}{more} of a {}", kind.as_str())
}
