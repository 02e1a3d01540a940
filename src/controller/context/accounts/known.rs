//! What the caches know of accounts and namespaces: which account a job uses, and whether its namespace may.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::core::{PartialObjectMeta, Selector};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use tokio::sync::{Notify, watch};

use super::uses::Uses;
use crate::account::AccountKey;
use crate::api::{
    AccountKind, ClientIdSource, ClusterScrapeAccount, ObjectName, ScrapeAccount, ScrapeAccountSpec,
    ScrapeAccountStatus, ScrapeJob, Stored,
};
use crate::decide::message::Account;

/// An account as the cache has it: one that cannot be read stops nobody else.
pub(in crate::controller) type Cached<K> = Stored<K>;
/// A namespace as the cache has it.
pub(in crate::controller) type CachedNamespace = Stored<PartialObjectMeta<Namespace>>;

/// The reading ends of the caches. Cheap to clone.
#[derive(Clone)]
pub struct Known {
    own: Store<Cached<ScrapeAccount>>,
    /// Absent where cluster accounts are off.
    cluster: Option<Store<Cached<ClusterScrapeAccount>>>,
    namespaces: Store<CachedNamespace>,
    /// A store can be waited for, too, but wakes only one of those who wait, and knows nothing of namespaces.
    listed: Arc<watch::Sender<Listed>>,
    /// Whether there are several namespaces, of which one may go while the others stay.
    several: bool,
    /// Namespaces are of no interest before there is a cluster account.
    seen: Arc<Notify>,
}

/// What was listed.
#[derive(Default)]
struct Listed {
    /// Namespaces whose accounts were tried to be listed, none for all, and whether the store has them.
    own: HashMap<Option<String>, bool>,
    cluster: bool,
}

impl Listed {
    /// Whether the accounts of a namespace are known; nothing where nobody can say yet.
    fn own_in(&self, namespace: &str) -> Option<bool> {
        self.own.get(&None).or_else(|| self.own.get(&Some(namespace.to_owned()))).copied()
    }
}

/// The writing ends.
pub struct AccountWriters {
    pub(in crate::controller) own: Writer<Cached<ScrapeAccount>>,
    pub(in crate::controller) cluster: Option<Writer<Cached<ClusterScrapeAccount>>>,
    pub(in crate::controller) namespaces: Writer<CachedNamespace>,
}

/// Whether a namespace may submit with an account.
pub(in crate::controller) enum Admission {
    /// It may.
    Admitted,
    /// It may not; what to do about it, in words.
    Refused(String),
    /// The labels of the namespace are not known yet; they are about to be.
    Unknown,
}

/// Empty caches of accounts; cluster accounts are off unless every namespace is watched: an operator with rights in
/// some namespaces only may not read what belongs to the cluster.
pub fn account_caches(namespaces: &[ObjectName]) -> (Known, AccountWriters) {
    let (own, own_writer) = reflector::store();
    let (cluster, cluster_writer) = namespaces.is_empty().then(reflector::store).unzip();
    let several = namespaces.len() > 1;
    let (namespaces, namespaces_writer) = reflector::store();
    let known = Known { own, cluster, namespaces, listed: Arc::default(), several, seen: Arc::default() };
    (known, AccountWriters { own: own_writer, cluster: cluster_writer, namespaces: namespaces_writer })
}

impl Known {
    /// Whether cluster accounts can be used.
    pub fn cluster_accounts(&self) -> bool {
        self.cluster.is_some()
    }

    /// Waits until the accounts of one namespace at least were listed, and those of the cluster.
    pub async fn synced(&self) {
        let enough = |listed: &Listed| {
            let own = listed.own.values().any(|whole| *whole);
            own && (listed.cluster || self.cluster.is_none())
        };
        // The sender lives as long as this does.
        let _ = self.listed.subscribe().wait_for(enough).await;
    }

    /// Waits until the accounts that this namespace could use were listed; says whether they are known. A namespace that
    /// cannot be read keeps nobody waiting.
    pub(in crate::controller) async fn synced_in(&self, namespace: &str) -> bool {
        let mut listed = self.listed.subscribe();
        let told = |listed: &Listed| {
            listed.own_in(namespace).is_some() && (listed.cluster || self.cluster.is_none())
        };
        let known = listed.wait_for(told).await;
        known.is_ok_and(|listed| listed.own_in(namespace) == Some(true))
    }

    /// The list of a kind came out whole, or failed, in one namespace or in all. What was listed once stays known. Says
    /// whether it is now and was not before.
    pub(in crate::controller) fn hear(
        &self,
        kind: AccountKind,
        namespace: Option<&str>,
        whole: bool,
    ) -> bool {
        if !whole && !self.several {
            // Where there is no other, there is nothing to go on with.
            return false;
        }
        let mut known = false;
        self.listed.send_modify(|listed| {
            let part = match kind {
                AccountKind::ScrapeAccount => listed.own.entry(namespace.map(str::to_owned)).or_default(),
                AccountKind::ClusterScrapeAccount => &mut listed.cluster,
            };
            known = std::mem::replace(part, *part || whole);
        });
        whole && !known
    }

    /// Whether the accounts of a kind are known, in the namespace of one.
    pub(in crate::controller) fn is_listed(&self, kind: AccountKind, namespace: &str) -> bool {
        let listed = self.listed.borrow();
        match kind {
            AccountKind::ScrapeAccount => listed.own_in(namespace) == Some(true),
            AccountKind::ClusterScrapeAccount => listed.cluster,
        }
    }

    pub(in crate::controller) fn own(&self) -> Store<Cached<ScrapeAccount>> {
        self.own.clone()
    }

    pub(in crate::controller) fn cluster(&self) -> Option<Store<Cached<ClusterScrapeAccount>>> {
        self.cluster.clone()
    }

    /// The accounts of a kind with the sizes of their texts in bytes, in no order.
    pub(in crate::controller) fn sizes(&self, kind: AccountKind) -> Vec<(AccountKey, usize)> {
        match kind {
            AccountKind::ScrapeAccount => {
                self.own().state().iter().map(|account| (key_of(&**account), account.bytes)).collect()
            }
            AccountKind::ClusterScrapeAccount => {
                let cached = self.cluster().map(|cluster| cluster.state()).unwrap_or_default();
                cached.iter().map(|account| (key_of(&**account), account.bytes)).collect()
            }
        }
    }

    /// The accounts of a kind, in no order.
    pub(in crate::controller) fn of_kind(&self, kind: AccountKind) -> Vec<AccountKey> {
        self.sizes(kind).into_iter().map(|(key, _)| key).collect()
    }

    pub(in crate::controller) fn namespaces(&self) -> Store<CachedNamespace> {
        self.namespaces.clone()
    }

    /// Tells that there is a cluster account.
    pub(in crate::controller) fn see_cluster_account(&self) {
        self.seen.notify_one();
    }

    /// Waits until there is a cluster account.
    pub(in crate::controller) async fn cluster_account_seen(&self) {
        self.seen.notified().await;
    }

    /// Whether the account exists, whether it was opened or not.
    pub(in crate::controller) fn has(&self, account: &AccountKey) -> bool {
        match account.kind() {
            AccountKind::ScrapeAccount => {
                self.own.get(&ObjectRef::new(&account.name).within(&account.namespace)).is_some()
            }
            AccountKind::ClusterScrapeAccount => self.cluster_account(&account.name).is_some(),
        }
    }

    /// Whether it exists and can be read, so that it is about to be opened.
    pub(in crate::controller) fn can_open(&self, account: &AccountKey) -> bool {
        match account.kind() {
            AccountKind::ScrapeAccount => {
                let found = self.own.get(&ObjectRef::new(&account.name).within(&account.namespace));
                found.is_some_and(|account| account.usable().is_some())
            }
            AccountKind::ClusterScrapeAccount => {
                self.cluster_account(&account.name).is_some_and(|account| account.usable().is_some())
            }
        }
    }

    /// The service that an account names, as it is written there.
    pub(in crate::controller) fn endpoint(&self, account: &AccountKey) -> Option<String> {
        match account.kind() {
            AccountKind::ScrapeAccount => {
                let found = self.own.get(&ObjectRef::new(&account.name).within(&account.namespace))?;
                Some(found.usable()?.spec.endpoint().to_owned())
            }
            AccountKind::ClusterScrapeAccount => {
                Some(self.cluster_account(&account.name)?.usable()?.spec.account.endpoint().to_owned())
            }
        }
    }

    fn cluster_account(&self, name: &str) -> Option<Arc<Cached<ClusterScrapeAccount>>> {
        self.cluster.as_ref()?.get(&ObjectRef::new(name))
    }

    /// The kind and namespace of each account whose Secret has a name that is none.
    pub(in crate::controller) fn misnamed(&self) -> Vec<(AccountKind, String)> {
        let odd = |spec: &ScrapeAccountSpec| ObjectName::parse(&spec.secret_ref.name).is_err();
        self.those(
            |account| account.usable().is_some_and(|account| odd(&account.spec)),
            |account| account.usable().is_some_and(|account| odd(&account.spec.account)),
        )
    }

    /// The kind and namespace of each account that cannot be decoded.
    pub(in crate::controller) fn undecodable(&self) -> Vec<(AccountKind, String)> {
        self.those(|account| account.usable().is_none(), |account| account.usable().is_none())
    }

    fn those(
        &self,
        own: impl Fn(&Cached<ScrapeAccount>) -> bool,
        cluster: impl Fn(&Cached<ClusterScrapeAccount>) -> bool,
    ) -> Vec<(AccountKind, String)> {
        let own = self.own.state().into_iter().filter(|account| own(account));
        let own = own.map(|account| (AccountKind::ScrapeAccount, account.namespace().unwrap_or_default()));
        let of_the_cluster = self.cluster.iter().flat_map(Store::state).filter(|account| cluster(account));
        own.chain(of_the_cluster.map(|_| (AccountKind::ClusterScrapeAccount, String::new()))).collect()
    }

    /// Whether an account of the cluster lets namespaces follow jobs that no object recorded.
    pub(in crate::controller) fn allows_mirrors(&self, name: &str) -> bool {
        let found = self.cluster_account(name);
        found.is_some_and(|found| found.usable().is_some_and(|found| found.spec.allow_mirror == Some(true)))
    }

    /// The status of an account, where it can be read.
    pub(in crate::controller) fn status_of(&self, account: &AccountKey) -> Option<ScrapeAccountStatus> {
        match account.kind() {
            AccountKind::ScrapeAccount => {
                let found = self.own.get(&ObjectRef::new(&account.name).within(&account.namespace));
                found.and_then(|found| found.read.as_ref().ok()?.status.clone())
            }
            AccountKind::ClusterScrapeAccount => {
                self.cluster_account(&account.name).and_then(|found| found.read.as_ref().ok()?.status.clone())
            }
        }
    }

    /// The accounts of either kind whose status names a client of which this holds.
    pub(in crate::controller) fn named_by_status(
        &self,
        holds: impl Fn(&str, Option<ClientIdSource>) -> bool,
    ) -> Vec<AccountKey> {
        let named = |status: Option<&ScrapeAccountStatus>| {
            let id = status.and_then(|status| status.client_id.as_deref());
            id.is_some_and(|id| holds(id, status.and_then(|status| status.client_id_source)))
        };
        let own = self.own.state().into_iter().filter_map(|account| {
            let found = account.usable().is_some_and(|account| named(account.status.as_ref()));
            found.then(|| key_of(&*account))
        });
        let cluster = self.cluster.iter().flat_map(Store::state).filter_map(|account| {
            let found = account.usable().is_some_and(|account| named(account.status.as_ref()));
            found.then(|| key_of(&*account))
        });
        own.chain(cluster).collect()
    }

    /// The account that a job uses.
    pub(in crate::controller) fn account_of(&self, job: &ScrapeJob) -> AccountKey {
        self.resolve(Uses::of(job))
    }

    /// The account that is used so.
    pub(in crate::controller) fn resolve(&self, uses: Uses) -> AccountKey {
        uses.resolve(|account| self.has(account))
    }

    /// Whether this namespace may submit with this account.
    pub(in crate::controller) fn admission(&self, account: &AccountKey, namespace: &str) -> Admission {
        if account.kind() == AccountKind::ScrapeAccount {
            return Admission::Admitted;
        }
        let Some(found) = self.cluster_account(&account.name) else { return Admission::Admitted };
        let Some(found) = found.usable() else {
            return Admission::Refused(Account::Unreadable(account.to_string()).to_string());
        };
        let Some(selector) = found.spec.selects() else { return Admission::Admitted };
        let Some(labels) = self.namespaces.get(&ObjectRef::new(namespace)) else { return Admission::Unknown };
        if found.spec.admits(labels.labels()) {
            return Admission::Admitted;
        }
        let words = Selector::try_from(selector.clone()).map(|selector| selector.to_string());
        let refused = Account::NotAdmitted {
            account: account.to_string(),
            namespace: namespace.to_owned(),
            labels: words.ok(),
        };
        Admission::Refused(refused.to_string())
    }
}

/// Whether a job names no account and none is recorded for it, so that another one may still come before.
pub(in crate::controller) fn takes_default(job: &ScrapeJob) -> bool {
    job.spec.account_ref.is_none() && job.status.as_ref().is_none_or(|status| status.account.is_none())
}

/// The key of an account; one of the cluster has no namespace.
pub(in crate::controller) fn key_of(account: &impl ResourceExt) -> AccountKey {
    AccountKey { namespace: account.namespace().unwrap_or_default(), name: account.name_any() }
}

#[cfg(test)]
mod tests {
    use super::{Known, account_caches};
    use futures::FutureExt;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use crate::api::{AccountKind, ObjectName};

    fn known_in(namespaces: &[&str]) -> Known {
        let names: Vec<ObjectName> = namespaces.iter().map(|name| name.parse().unwrap()).collect();
        account_caches(&names).0
    }

    #[test]
    fn a_namespace_whose_accounts_cannot_be_listed_keeps_nobody_waiting_where_there_are_others() {
        let known = known_in(&["a", "b"]);
        let in_ = |namespace: &str| known.synced_in(namespace).now_or_never();
        let hear = |namespace, whole| known.hear(AccountKind::ScrapeAccount, Some(namespace), whole);
        assert_eq!((in_("a"), in_("b")), (None, None), "nobody can say yet");
        hear("b", false);
        assert_eq!((in_("a"), in_("b")), (None, Some(false)));
        assert_eq!(known.synced().now_or_never(), None);
        hear("a", true);
        assert_eq!((in_("a"), in_("b")), (Some(true), Some(false)));
        assert_eq!(known.synced().now_or_never(), Some(()), "one is enough to be ready");
        hear("b", true);
        hear("b", false);
        assert_eq!(in_("b"), Some(true), "what was listed stays known");
    }

    /// A newer release's CRDs let through what this one cannot read.
    #[test]
    fn accounts_that_cannot_be_read_are_counted_of_either_kind() {
        let (known, writers) = account_caches(&[]);
        let read = |kind: &str, name: &str, spec: Value| {
            let version = "spideriq.ai/v1alpha1";
            let metadata = json!({"name": name, "namespace": "team"});
            json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}).to_string()
        };
        let (good, odd) = (json!({"secretRef": {"name": "a"}}), json!({"secretRef": {"name": ["a"]}}));
        let mut own = writers.own;
        own.apply_watcher_event(&Event::Init);
        for (name, spec) in [("good", &good), ("odd", &odd), ("odder", &json!([]))] {
            let account = serde_json::from_str(&read("ScrapeAccount", name, spec.clone())).unwrap();
            own.apply_watcher_event(&Event::InitApply(account));
        }
        own.apply_watcher_event(&Event::InitDone);
        let mut cluster = writers.cluster.unwrap();
        cluster.apply_watcher_event(&Event::Init);
        let account = serde_json::from_str(&read("ClusterScrapeAccount", "odd", odd.clone())).unwrap();
        cluster.apply_watcher_event(&Event::InitApply(account));
        cluster.apply_watcher_event(&Event::InitDone);
        let own = (AccountKind::ScrapeAccount, "team".to_owned());
        let of_the_cluster = (AccountKind::ClusterScrapeAccount, String::new());
        assert_eq!(known.undecodable(), [own.clone(), own, of_the_cluster]);
    }

    #[test]
    fn where_there_is_no_other_namespace_the_list_is_waited_for() {
        for (namespaces, of) in [(&["a"][..], Some("a")), (&[], None)] {
            let known = known_in(namespaces);
            known.hear(AccountKind::ScrapeAccount, of, false);
            assert_eq!(known.synced_in("a").now_or_never(), None);
            known.hear(AccountKind::ScrapeAccount, of, true);
            known.hear(AccountKind::ClusterScrapeAccount, None, true);
            assert_eq!(known.synced_in("a").now_or_never(), Some(true));
        }
    }
}
