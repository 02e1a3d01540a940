//! Whether accounts can be used: what the operator has last found out of each, and whether their Secrets may be read.
//! Accounts are their tenants' own, so that nothing of theirs makes an installation a faulty one.

use std::collections::BTreeSet;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use kube::api::ListParams;
use kube::core::object::HasStatus;
use kube::{Api, Client, Resource, ResourceExt};

use super::finding::{Finding, Installation};
use super::rights::{AT_ONCE, allowed};
use crate::api::{
    ClusterScrapeAccount, ConditionStatus, ObjectName, Readable, ScrapeAccount, ScrapeAccountSpec,
    ScrapeAccountStatus, Stored,
};
use crate::kubernetes::{Trouble, answer, clean, said_in_decoding};

/// Accounts that are looked at, and told of; there may be any number of them.
const MOST: usize = 200;
/// Accounts in a page. An object may have 1.5 MB, and none is kept for longer than its page.
const PAGE: u32 = 5;

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
pub(super) fn findings<'a, K: Account>(
    client: &'a Client,
    installation: &'a Installation,
) -> BoxStream<'a, Finding> {
    let look = async move {
        let mut seen = Seen::default();
        for api in K::watched(client, &installation.namespaces) {
            if let Err(trouble) = read(&api, &mut seen, installation.home.as_str()).await {
                seen.findings.push(unlisted::<K>(trouble));
                seen.whole = false;
            }
        }
        let secrets = stream::iter(std::mem::take(&mut seen.secrets));
        let unreadable = secrets.map(|secret| unreadable(client, installation, secret)).buffered(AT_ONCE);
        let unreadable: Vec<Finding> = unreadable.filter_map(|found| async { found }).collect().await;
        let mut findings = seen.findings;
        findings.extend(unreadable);
        let kind = K::kind(&());
        if seen.more {
            findings.push(Finding::Note(format!("more {kind}s than {MOST} were not looked at")));
        }
        if seen.whole {
            findings.push(Finding::Fine(format!("{} of {} {kind}s can be used", seen.ready, seen.count)));
        }
        findings
    };
    stream::once(look).flat_map(stream::iter).boxed()
}

/// What was seen of the accounts of a kind.
struct Seen {
    count: usize,
    ready: usize,
    findings: Vec<Finding>,
    /// Namespaces and names.
    secrets: BTreeSet<(String, String)>,
    /// There are more than were looked at.
    more: bool,
    /// All could be listed.
    whole: bool,
}

impl Default for Seen {
    fn default() -> Self {
        let (findings, secrets) = (Vec::new(), BTreeSet::new());
        Self { count: 0, ready: 0, findings, secrets, more: false, whole: true }
    }
}

/// Reads what is at one place, as far as there is room.
async fn read<K: Account>(api: &Api<Stored<K>>, seen: &mut Seen, home: &str) -> Result<(), Trouble> {
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = answer(api.list(&params)).await?;
        for account in &page.items {
            if seen.count >= MOST {
                seen.more = true;
                return Ok(());
            }
            seen.count += 1;
            match unusable(account) {
                None => seen.ready += 1,
                Some(finding) => seen.findings.push(finding),
            }
            if let Some(usable) = account.usable() {
                let namespace = account.namespace().unwrap_or_else(|| home.to_owned());
                seen.secrets.insert((namespace, usable.spec().secret_ref.name.clone()));
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// A right that is missing is told of already.
fn unlisted<K: Account>(trouble: Trouble) -> Finding {
    let kind = K::kind(&()).into_owned();
    match trouble {
        Trouble::Missing | Trouble::Forbidden(_) => Finding::Note(format!("{kind}s cannot be listed")),
        Trouble::Changed | Trouble::Unanswered(_) => {
            Finding::Wrong(format!("{kind}s cannot be listed: {}", trouble.why()))
        }
    }
}

/// Why an account cannot be used, if it cannot.
fn unusable<K: Account>(account: &Stored<K>) -> Option<Finding> {
    let name = match account.namespace() {
        Some(namespace) => format!("{} {namespace}/{}", K::kind(&()), account.name_any()),
        None => format!("{} {}", K::kind(&()), account.name_any()),
    };
    let Some(read) = account.usable() else {
        return Some(Finding::Note(format!("{name} cannot be read: {}", said_in_decoding(&account.fault()))));
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

/// A Secret that the asker may not read, or not watch.
async fn unreadable(
    client: &Client,
    installation: &Installation,
    (namespace, name): (String, String),
) -> Option<Finding> {
    let place = format!("{}/{}", clean(&namespace), clean(&name));
    for verb in ["get", "list", "watch"] {
        let of = ResourceAttributes {
            resource: Some("secrets".to_owned()),
            verb: Some(verb.to_owned()),
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
            ..ResourceAttributes::default()
        };
        match allowed(client, of).await {
            Ok(true) => {}
            Ok(false) => {
                let role = installation.lease.as_ref().map_or("NAME".to_owned(), ToString::to_string);
                return Some(Finding::Note(format!(
                    "the operator may not {verb} the Secret {place}: add its name to the chart's rbac.secretNames, or bind the role {role}-secrets to the operator in that namespace"
                )));
            }
            Err(trouble) => {
                let why = trouble.why();
                return Some(Finding::Note(format!("whether {place} may be read cannot be asked: {why}")));
            }
        }
    }
    None
}
