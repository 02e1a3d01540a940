//! Whether an installation can work: asked of the API server, with the rights of whoever asks. It changes nothing, and asks
//! the service nothing.

mod accounts;
mod finding;
mod rights;

pub use finding::{Finding, Installation};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Api, Client};
use serde_json::Value;

use crate::api::{ClusterScrapeAccount, INSTALL_CRDS, PUBLISHED, ScrapeAccount, ScrapeJob, not_published};
use crate::kubernetes::{clean, said_of};

/// How old the renewal of a lease may be that somebody holds.
const RENEWED_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// Fields that are named of those that are missing.
const SHOWN: usize = 5;

/// Looks at everything, in the order in which it is needed.
pub async fn examine(client: &Client, installation: &Installation, now: Timestamp) -> Vec<Finding> {
    let version = match client.apiserver_version().await {
        Ok(version) => version,
        Err(error) => {
            let why = said_of(&error);
            return vec![Finding::Wrong(format!(
                "the API server cannot be reached ({why}); check KUBECONFIG and the network"
            ))];
        }
    };
    let mut findings =
        vec![Finding::Fine(format!("the API server answers: Kubernetes {}", version.git_version))];
    findings.extend(schemas(client, installation).await);
    findings.extend(rights::findings(client, installation).await);
    findings.extend(lease(client, installation, now).await);
    findings.extend(accounts::findings::<ScrapeAccount>(client, installation).await);
    if installation.namespaces.is_empty() {
        findings.extend(accounts::findings::<ClusterScrapeAccount>(client, installation).await);
    }
    findings
}

/// Whether the CRDs keep every field of this release.
async fn schemas(client: &Client, installation: &Installation) -> Vec<Finding> {
    let page = match schema(client).await {
        Ok(page) => page,
        Err(why) => return vec![Finding::Wrong(format!("the schemas of the CRDs cannot be read: {why}"))],
    };
    let mut kinds = vec![kind::<ScrapeJob>(), kind::<ScrapeAccount>()];
    if installation.namespaces.is_empty() {
        kinds.push(kind::<ClusterScrapeAccount>());
    }
    let judged = |kind: String| match not_published(&page, &kind) {
        Some(missing) if missing.is_empty() => {
            Finding::Fine(format!("the CRD of {kind} keeps every field of this release"))
        }
        Some(missing) => {
            let missing = missing.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
            Finding::Wrong(format!("the CRD of {kind} drops {missing}: `{INSTALL_CRDS}`"))
        }
        None => Finding::Wrong(format!("there is no CRD of {kind}: `{INSTALL_CRDS}`")),
    };
    kinds.into_iter().map(judged).collect()
}

/// What the API server publishes of the group; nothing at all where it does not know it.
async fn schema(client: &Client) -> Result<Value, String> {
    let request = http::Request::get(PUBLISHED).body(Vec::new()).map_err(|error| error.to_string())?;
    match client.request_text(request).await {
        Ok(text) => serde_json::from_str(&text).map_err(|_| "it is no JSON".to_owned()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Value::Null),
        Err(error) => Err(said_of(&error)),
    }
}

fn kind<K: kube::Resource<DynamicType = ()>>() -> String {
    K::kind(&()).into_owned()
}

/// Whether somebody works.
async fn lease(client: &Client, installation: &Installation, now: Timestamp) -> Option<Finding> {
    let name = installation.lease.as_ref()?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), installation.home.as_str());
    let place = format!("{}/{name}", installation.home);
    let found = match leases.get_opt(name.as_str()).await {
        Ok(found) => found.and_then(|lease| lease.spec),
        Err(error) => {
            return Some(Finding::Wrong(format!("the lease {place} cannot be read: {}", said_of(&error))));
        }
    };
    let holder =
        found.as_ref().and_then(|spec| spec.holder_identity.as_deref()).filter(|holder| !holder.is_empty());
    let renewed = found.as_ref().and_then(|spec| spec.renew_time.as_ref());
    Some(match (holder, renewed) {
        (Some(holder), Some(renewed)) if now.duration_since(renewed.0) <= RENEWED_WITHIN => {
            Finding::Fine(format!("{} holds the lease {place}", clean(holder)))
        }
        _ => Finding::Wrong(format!(
            "no replica holds the lease {place}: look at the operator's pods and at what they log"
        )),
    })
}
