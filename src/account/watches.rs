//! Watches the Secrets that accounts name: one watch for each, of its metadata only, so that no Secret is kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::AccountKey;
use crate::api::{ObjectName, Stored};
use crate::kubernetes::said_of_watch;

/// The watches of the Secrets in use.
#[derive(Debug)]
pub struct SecretWatches {
    accounts: mpsc::UnboundedSender<AccountKey>,
    watches: Mutex<HashMap<AccountKey, (ObjectName, AbortHandle)>>,
}

impl SecretWatches {
    /// No watches yet; changes are told to `accounts`.
    pub fn new(accounts: mpsc::UnboundedSender<AccountKey>) -> Self {
        Self { accounts, watches: Mutex::default() }
    }

    /// Watches the Secret that this account names, by namespace and name, instead of the one that it named before.
    pub fn watch(
        &self,
        client: &Client,
        account: &AccountKey,
        (namespace, secret): (&ObjectName, &ObjectName),
    ) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if watches.get(account).is_some_and(|(name, _)| name == secret) {
            return;
        }
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
                if told && accounts.send(key.clone()).is_err() {
                    return;
                }
                if let Err(error) = event {
                    let error = said_of_watch(&error);
                    tracing::warn!(account = %key, error, "the watch of a Secret broke and starts again");
                }
            }
        });
        if let Some((_, old)) = watches.insert(account.clone(), (secret.clone(), task.abort_handle())) {
            old.abort();
        }
    }

    /// Stops watching for an account that is gone.
    pub fn forget(&self, account: &AccountKey) {
        if let Some((_, task)) = self.watches.lock().unwrap_or_else(PoisonError::into_inner).remove(account) {
            task.abort();
        }
    }
}
