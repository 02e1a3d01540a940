//! Whether an installation can work: asked of the API server, with the rights of whoever asks. It changes nothing, and asks
//! the service nothing.

mod accounts;
mod finding;
mod rights;

pub use finding::{Finding, Installation};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Api, Client};
use serde_json::Value;

use crate::api::{ClusterScrapeAccount, INSTALL_CRDS, PUBLISHED, ScrapeAccount, ScrapeJob, not_published};
use crate::kubernetes::{Trouble, answer, clean, page};
use crate::leader::drained_since;

/// How old the renewal of a lease may be that somebody holds.
const RENEWED_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// Fields that are named of those that are missing.
const SHOWN: usize = 5;

/// Looks at everything, in the order in which it is needed; each is told as it is found.
pub fn examine<'a>(
    client: &'a Client,
    installation: &'a Installation,
    now: Timestamp,
) -> BoxStream<'a, Finding> {
    let reached = async move {
        match answer(client.apiserver_version()).await {
            Ok(version) => {
                Finding::Fine(format!("the API server answers: Kubernetes {}", clean(&version.git_version)))
            }
            Err(trouble) => Finding::Wrong(format!(
                "the API server cannot be reached ({}); check KUBECONFIG and the network",
                trouble.why()
            )),
        }
    };
    let rest = move || {
        let schemas = stream::once(schemas(client, installation)).flat_map(stream::iter);
        let rights = stream::once(rights::findings(client, installation)).flat_map(stream::iter);
        let lease = stream::once(lease(client, installation, now));
        let accounts = accounts::findings::<ScrapeAccount>(client, installation);
        let of_cluster = if installation.namespaces.is_empty() {
            accounts::findings::<ClusterScrapeAccount>(client, installation)
        } else {
            stream::empty().boxed()
        };
        schemas.chain(rights).chain(lease).chain(accounts).chain(of_cluster)
    };
    stream::once(reached)
        .flat_map(move |reached| {
            let rest = matches!(reached, Finding::Fine(_)).then(rest);
            stream::iter([reached]).chain(stream::iter(rest).flatten()).boxed()
        })
        .boxed()
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
    match page(client, PUBLISHED).await {
        Err(Trouble::Missing) => Ok(Value::Null),
        answered => answered.map_err(Trouble::why),
    }
}

fn kind<K: kube::Resource<DynamicType = ()>>() -> String {
    K::kind(&()).into_owned()
}

/// Whether somebody works.
async fn lease(client: &Client, installation: &Installation, now: Timestamp) -> Finding {
    let Some(name) = &installation.lease else {
        return Finding::Note("the lease was not looked at: name it with --lease-name".to_owned());
    };
    let leases: Api<Lease> = Api::namespaced(client.clone(), installation.home.as_str());
    let place = format!("{}/{name}", installation.home);
    let found = match answer(leases.get_opt(name.as_str())).await {
        Ok(found) => found,
        Err(trouble) => {
            return Finding::Wrong(format!("the lease {place} cannot be read: {}", trouble.why()));
        }
    };
    let drained = match &found {
        Some(lease) => answer(drained_since(client, &lease.metadata)).await,
        None => Ok(None),
    };
    match drained {
        Ok(None) => {}
        Ok(Some(since)) => {
            let since = since.map(|since| format!(" since {since:.0}")).unwrap_or_default();
            return Finding::Wrong(format!(
                "the operator is drained{since}: no replica works until `spideriq-operator drain --undo --operator-namespace {} --lease-name {name}`",
                installation.home
            ));
        }
        Err(trouble) => {
            let why = trouble.why();
            return Finding::Wrong(format!(
                "the lease {place} is marked as drained, and the API server does not say who asks: {why}"
            ));
        }
    }
    let found = found.and_then(|lease| lease.spec);
    let holder = found.as_ref().and_then(|spec| spec.holder_identity.as_deref());
    let renewed = found.as_ref().and_then(|spec| spec.renew_time.as_ref());
    match (holder.filter(|holder| !holder.is_empty()), renewed) {
        (Some(holder), Some(renewed)) if now.duration_since(renewed.0) <= RENEWED_WITHIN => {
            Finding::Fine(format!("{} holds the lease {place}", clean(holder)))
        }
        _ => Finding::Wrong(format!(
            "no replica holds the lease {place}, by the clock of this machine: look at the operator's pods and at what they log"
        )),
    }
}
