//! What the two kinds of accounts have in common, so that one pipeline serves both.

use std::fmt::Debug;

use kube::core::object::HasStatus;
use kube::{Api, Client, Resource, ResourceExt};

use crate::account::AccountKey;
use crate::api::{
    AccountKind, ClusterScrapeAccount, NotAName, ObjectName, Readable, ScrapeAccount, ScrapeAccountSpec,
    ScrapeAccountStatus, Stored,
};
use crate::cache::requested;
use crate::controller::context::Context;
use crate::controller::context::accounts::key_of;

/// A kind of accounts.
pub(super) trait Account:
    Resource<DynamicType = ()>
    + HasStatus<Status = ScrapeAccountStatus>
    + Readable
    + Clone
    + Debug
    + Send
    + Sync
    + 'static
{
    /// Its name.
    const KIND: AccountKind;

    /// The part of the kind that is watched.
    fn watched(context: &Context) -> Vec<Api<Stored<Self>>>;

    /// Where the objects of this namespace are.
    fn api(client: &Client, namespace: &str) -> Api<Stored<Self>>;

    /// What both kinds are told.
    fn spec(&self) -> &ScrapeAccountSpec;
}

impl Account for ScrapeAccount {
    const KIND: AccountKind = AccountKind::ScrapeAccount;

    fn watched(context: &Context) -> Vec<Api<Stored<Self>>> {
        context.apis()
    }

    fn api(client: &Client, namespace: &str) -> Api<Stored<Self>> {
        Api::namespaced(client.clone(), namespace)
    }

    fn spec(&self) -> &ScrapeAccountSpec {
        &self.spec
    }
}

impl Account for ClusterScrapeAccount {
    const KIND: AccountKind = AccountKind::ClusterScrapeAccount;

    fn watched(context: &Context) -> Vec<Api<Stored<Self>>> {
        vec![Api::all(context.client.clone())]
    }

    fn api(client: &Client, _: &str) -> Api<Stored<Self>> {
        Api::all(client.clone())
    }

    fn spec(&self) -> &ScrapeAccountSpec {
        &self.spec.account
    }
}

/// An account of either kind, as far as opening it needs it.
pub(super) struct Subject<'a> {
    pub(super) key: AccountKey,
    /// Changes whenever the account does.
    pub(super) identity: String,
    pub(super) generation: i64,
    pub(super) spec: &'a ScrapeAccountSpec,
    pub(super) status: Option<&'a ScrapeAccountStatus>,
    /// The look that an annotation asks for.
    pub(super) requested: Option<String>,
}

impl<'a> Subject<'a> {
    pub(super) fn of<K: Account>(account: &'a K) -> Self {
        let generation = account.meta().generation.unwrap_or(0);
        Self {
            key: key_of(account),
            identity: format!("{}/{generation}", account.uid().unwrap_or_default()),
            generation,
            spec: account.spec(),
            status: account.status(),
            requested: requested(account),
        }
    }

    /// The look that is asked for and still owed.
    pub(super) fn wish(&self) -> Option<&String> {
        let handled = self.status.and_then(|status| status.last_handled_reconcile_at.as_ref());
        self.requested.as_ref().filter(|requested| Some(*requested) != handled)
    }

    /// The namespace and name of its Secret. What a job's namespace holds is never the cluster account's.
    ///
    /// # Errors
    /// If no Secret can have the name.
    pub(super) fn secret(&self, context: &Context) -> Result<(ObjectName, ObjectName), NotAName> {
        let namespace = match self.key.kind() {
            AccountKind::ScrapeAccount => ObjectName::parse(&self.key.namespace)?,
            AccountKind::ClusterScrapeAccount => context.options.operator_namespace.clone(),
        };
        Ok((namespace, ObjectName::parse(&self.spec.secret_ref.name)?))
    }
}
