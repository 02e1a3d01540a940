//! What the watches of accounts tell of claims.

use std::hash::{DefaultHasher, Hash, Hasher};

use kube::{Resource, ResourceExt};

use super::super::kind::Account;
use crate::api::{ObjectName, Stored};
use crate::cache::requested;
use crate::controller::context::accounts::key_of;
use crate::leader::claim::Age;
use crate::leader::{Claims, Sight};

/// What an account has to be looked at again for: everything but its version and a renewal of the claim on it.
#[expect(clippy::unnecessary_wraps, reason = "what the filter of a watch takes")]
pub(in crate::controller::accounts) fn meaning<K: Account>(account: &Stored<K>) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let meta = account.meta();
    (&meta.uid, meta.generation, meta.deletion_timestamp.is_some(), account.fault()).hash(&mut hasher);
    requested(account).hash(&mut hasher);
    let mut status = account.usable().and_then(K::status).cloned();
    if let Some(status) = &mut status {
        status.operator = None;
    }
    serde_json::to_string(&status).unwrap_or_default().hash(&mut hasher);
    Some(hasher.finish())
}

/// Tells the claims of an account that was seen. One that nothing can be written to bears none.
pub(in crate::controller::accounts) fn saw<K: Account>(claims: &Claims, account: &Stored<K>) {
    let (scope, age) = (key_of(account).scope(), age_of(account));
    let fit = |account: &&K| ObjectName::parse(&account.spec().secret_ref.name).is_ok();
    match account.usable().filter(fit) {
        Some(read) => claims.saw(
            &scope,
            Sight {
                age,
                name: account.name_any(),
                version: account.resource_version().unwrap_or_default(),
                claim: read.status().and_then(|status| status.operator.clone()),
            },
        ),
        None => claims.gone(&scope, &age),
    }
}

/// The same of one that went.
pub(in crate::controller::accounts) fn went<K: Account>(claims: &Claims, account: &Stored<K>) {
    claims.gone(&key_of(account).scope(), &age_of(account));
}

fn age_of(account: &impl Resource) -> Age {
    let meta = account.meta();
    let created = meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    Age { created, uid: meta.uid.clone().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::meaning;
    use crate::api::{ScrapeAccount, Stored};

    fn account(change: impl FnOnce(&mut Value)) -> Option<u64> {
        let mut account = json!({
            "apiVersion": "spideriq.ai/v1alpha1",
            "kind": "ScrapeAccount",
            "metadata": {"name": "default", "namespace": "team", "uid": "u", "generation": 1, "annotations": {}},
            "spec": {"secretRef": {"name": "spideriq"}},
            "status": {"observedGeneration": 1, "operator": {"id": "a", "renewals": 1}},
        });
        change(&mut account);
        let account: Stored<ScrapeAccount> = serde_json::from_value(account).unwrap();
        meaning(&account)
    }

    #[test]
    fn a_look_that_is_asked_for_is_news_and_a_renewal_or_another_annotation_is_none() {
        let before = account(|_| {});
        assert_eq!(account(|account| account["status"]["operator"]["renewals"] = 2.into()), before);
        assert_eq!(account(|account| account["metadata"]["resourceVersion"] = "9".into()), before);
        assert_eq!(account(|account| account["metadata"]["annotations"]["a.example/b"] = "c".into()), before);
        for wish in ["spideriq.ai/reconcile-requested-at", "reconcile.fluxcd.io/requestedAt"] {
            let asked =
                |word: &str| account(|account| account["metadata"]["annotations"][wish] = word.into());
            assert_ne!(asked("now"), before, "{wish}");
            assert_ne!(asked("now"), asked("again"), "{wish}");
        }
        assert_ne!(account(|account| account["metadata"]["generation"] = 2.into()), before);
        assert_ne!(account(|account| account["status"]["clientID"] = "cli_a".into()), before);
    }
}
