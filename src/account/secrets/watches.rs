//! Watches the Secrets of accounts that have work: one watch for each, of its metadata only, so that no Secret is kept.
//!
//! A watch is a connection, so that no namespace has more than a few; what is not watched is read now and then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::account::key::AccountKey;
use crate::account::news::News;
use crate::api::{AccountKind, ObjectName, Stored};
use crate::kubernetes::said_of_watch;

/// The most watches for the accounts of one namespace: whoever makes accounts there decides how many there are.
const OF_A_NAMESPACE: usize = 16;

/// The watches of the Secrets in use.
#[derive(Debug)]
pub struct SecretWatches {
    accounts: mpsc::UnboundedSender<News>,
    watches: Mutex<Watches>,
}

#[derive(Debug, Default)]
struct Watches {
    of: HashMap<AccountKey, (ObjectName, AbortHandle)>,
    in_namespace: HashMap<String, usize>,
}

impl SecretWatches {
    /// No watches yet; changes are told to `accounts`.
    pub fn new(accounts: mpsc::UnboundedSender<News>) -> Self {
        Self { accounts, watches: Mutex::default() }
    }

    /// Watches the Secret that this account names, by namespace and name, instead of the one that it named before; says
    /// whether it is watched.
    pub fn watch(
        &self,
        client: &Client,
        account: &AccountKey,
        (namespace, secret): (&ObjectName, &ObjectName),
    ) -> bool {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if watches.of.get(account).is_some_and(|(name, _)| name == secret) {
            return true;
        }
        watches.forget(account);
        let here = watches.in_namespace.entry(account.namespace.clone()).or_default();
        if account.kind() == AccountKind::ScrapeAccount && *here >= OF_A_NAMESPACE {
            return false;
        }
        *here += 1;
        let api: Api<Stored<PartialObjectMeta<Secret>>> = Api::namespaced(client.clone(), namespace.as_str());
        let config = watcher::Config::default().fields(&format!("metadata.name={secret}"));
        let (key, accounts) = (account.clone(), self.accounts.clone());
        let task = tokio::spawn(async move {
            let mut events = watcher(api, config).default_backoff().boxed();
            while let Some(event) = events.next().await {
                let told = matches!(
                    event,
                    Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone)
                );
                if told && accounts.send(News::Account(key.clone())).is_err() {
                    return;
                }
                if let Err(error) = event {
                    let error = said_of_watch(&error);
                    tracing::warn!(account = %key, error, "the watch of a Secret broke and starts again");
                }
            }
        });
        watches.of.insert(account.clone(), (secret.clone(), task.abort_handle()));
        true
    }

    /// Stops watching for an account that is gone, or has no work.
    pub fn forget(&self, account: &AccountKey) {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).forget(account);
    }
}

impl Watches {
    fn forget(&mut self, account: &AccountKey) {
        let Some((_, task)) = self.of.remove(account) else { return };
        task.abort();
        if let Some(here) = self.in_namespace.get_mut(&account.namespace) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                self.in_namespace.remove(&account.namespace);
            }
        }
    }
}
