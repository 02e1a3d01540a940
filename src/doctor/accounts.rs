//! Whether accounts can be used: what the operator has last found out of each, and whether their Secrets may be read.
//! Accounts are their tenants' own, so that nothing of theirs makes an installation a faulty one.

use std::collections::BTreeSet;

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use kube::api::ListParams;
use kube::core::object::HasStatus;
use kube::{Api, Client, Resource, ResourceExt};

use super::finding::{Finding, Installation};
use super::rights::allowed;
use crate::api::{
    ClusterScrapeAccount, ConditionStatus, ObjectName, Readable, ScrapeAccount, ScrapeAccountSpec,
    ScrapeAccountStatus, Stored,
};
use crate::kubernetes::{clean, said_of};

/// Accounts that are looked at, and told of; there may be any number of them.
const MOST: usize = 200;
/// Accounts in a page. An object may have 1.5 MB.
const PAGE: u32 = 20;

/// A kind of account.
pub(super) trait Account:
    Resource<DynamicType = ()> + HasStatus<Status = ScrapeAccountStatus> + Readable + Clone + std::fmt::Debug
{
    /// Where those are that are watched.
    fn watched(client: &Client, namespaces: &[ObjectName]) -> Vec<Api<Stored<Self>>>;

    fn spec(&self) -> &ScrapeAccountSpec;
}

impl Account for ScrapeAccount {
    fn watched(client: &Client, namespaces: &[ObjectName]) -> Vec<Api<Stored<Self>>> {
        if namespaces.is_empty() {
            return vec![Api::all(client.clone())];
        }
        namespaces.iter().map(|name| Api::namespaced(client.clone(), name.as_str())).collect()
    }

    fn spec(&self) -> &ScrapeAccountSpec {
        &self.spec
    }
}

impl Account for ClusterScrapeAccount {
    fn watched(client: &Client, _: &[ObjectName]) -> Vec<Api<Stored<Self>>> {
        vec![Api::all(client.clone())]
    }

    fn spec(&self) -> &ScrapeAccountSpec {
        &self.spec.account
    }
}

/// What is to be said of the accounts of a kind.
pub(super) async fn findings<K: Account>(client: &Client, installation: &Installation) -> Vec<Finding> {
    let kind = K::kind(&()).into_owned();
    let (mut accounts, mut findings) = (Vec::new(), Vec::new());
    for api in K::watched(client, &installation.namespaces) {
        // A right that is missing is told of already.
        match list(&api, MOST - accounts.len()).await {
            Ok(found) => accounts.extend(found),
            Err(error) => {
                findings.push(Finding::Note(format!("{kind}s cannot be listed: {}", said_of(&error))));
            }
        }
    }
    let found = accounts.len();
    let unusable: Vec<Finding> = accounts.iter().filter_map(unusable).collect();
    let ready = found - unusable.len();
    findings.extend(unusable);
    let home = installation.home.as_str();
    let secrets: BTreeSet<(String, String)> = accounts
        .iter()
        .filter_map(|account| account.usable())
        .map(|account| {
            (account.namespace().unwrap_or_else(|| home.to_owned()), account.spec().secret_ref.name.clone())
        })
        .collect();
    findings.extend(
        stream::iter(secrets).filter_map(|secret| unreadable(client, secret)).collect::<Vec<_>>().await,
    );
    if found >= MOST {
        findings.push(Finding::Note(format!(
            "there are more than {MOST} {kind}s; the others were not looked at"
        )));
    }
    findings.push(Finding::Fine(format!("{ready} of {found} {kind}s can be used")));
    findings
}

/// The first so many of a kind.
async fn list<K: Account>(api: &Api<Stored<K>>, most: usize) -> kube::Result<Vec<Stored<K>>> {
    let mut found = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    while found.len() < most {
        let page = api.list(&params).await?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    found.truncate(most);
    Ok(found)
}

/// Why an account cannot be used, if it cannot.
fn unusable<K: Account>(account: &Stored<K>) -> Option<Finding> {
    let name = match account.namespace() {
        Some(namespace) => format!("{} {namespace}/{}", K::kind(&()), account.name_any()),
        None => format!("{} {}", K::kind(&()), account.name_any()),
    };
    let Some(read) = account.usable() else {
        return Some(Finding::Note(format!("{name} cannot be read: {}", clean(&account.fault()))));
    };
    let conditions = read.status().map(|status| status.conditions.as_slice()).unwrap_or_default();
    match conditions.iter().find(|condition| condition.type_ == "Ready") {
        None => Some(Finding::Note(format!("nobody has looked at {name} yet"))),
        Some(ready) if ready.status == ConditionStatus::True => None,
        Some(ready) => Some(Finding::Note(format!(
            "{name} cannot be used: {}: {}",
            clean(&ready.reason),
            clean(&ready.message)
        ))),
    }
}

/// A Secret that the asker may not read.
async fn unreadable(client: &Client, (namespace, name): (String, String)) -> Option<Finding> {
    let of = ResourceAttributes {
        resource: Some("secrets".to_owned()),
        verb: Some("get".to_owned()),
        namespace: Some(namespace.clone()),
        name: Some(name.clone()),
        ..ResourceAttributes::default()
    };
    let place = format!("{namespace}/{}", clean(&name));
    match allowed(client, of).await {
        Ok(true) => None,
        Ok(false) => Some(Finding::Note(format!(
            "the operator may not read the Secret {place}: add its name to the chart's rbac.secretNames, or rename it"
        ))),
        Err(error) => {
            Some(Finding::Note(format!("whether {place} may be read cannot be asked: {}", said_of(&error))))
        }
    }
}
