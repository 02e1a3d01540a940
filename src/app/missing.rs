//! Whether what an operator needs is there: the API server, the CRDs, the rights.

use std::time::Duration;

use anyhow::bail;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};

use super::operator::Parts;
use crate::api::{ClusterScrapeAccount, ScrapeAccount, ScrapeJob};
use crate::controller::Options;
use crate::kubernetes::{said_of, said_of_status};

/// How long the API server may take to answer the first question.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The first pause before the API server is asked again that was away at the start, and the longest. One lost answer is no
/// server that is away, and everybody waits for this.
const AWAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// Asks for one object of each kind, so that what is missing is said in one sentence instead of a stream of errors. An API
/// server that is away is waited for.
pub(super) async fn known(parts: &Parts) -> anyhow::Result<()> {
    let mut pause = AWAY.0;
    loop {
        match missing(&parts.client, &parts.options).await {
            Ok(()) => {
                parts.health.report("api", None);
                return Ok(());
            }
            Err(Missing::Refused(why)) => bail!(why),
            Err(Missing::Away(why)) => {
                let why =
                    format!("the API server cannot be reached ({why}); check KUBECONFIG and the network");
                tracing::warn!(why, "waiting for the API server");
                parts.health.report("api", Some(why));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AWAY.1);
    }
}

/// Why the operator cannot begin.
enum Missing {
    /// Time alone will not help, or only for one namespace of several.
    Refused(String),
    /// It may be back at any time.
    Away(String),
}

async fn missing(client: &Client, options: &Options) -> Result<(), Missing> {
    check::<ScrapeJob>(client, options, "scrapejobs.spideriq.ai").await?;
    check::<ScrapeAccount>(client, options, "scrapeaccounts.spideriq.ai").await?;
    if options.namespaces.is_empty() {
        let accounts = Api::<PartialObjectMeta<ClusterScrapeAccount>>::all(client.clone());
        ask(accounts, "clusterscrapeaccounts.spideriq.ai").await?;
        ask(Api::<PartialObjectMeta<Namespace>>::all(client.clone()), "namespaces").await?;
    }
    Ok(())
}

/// Asks for one object of a kind, in each namespace: one of several that cannot be read is left to its watch, which tries
/// again.
async fn check<K>(client: &Client, options: &Options, plural: &str) -> Result<(), Missing>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    if options.namespaces.is_empty() {
        return ask(Api::<PartialObjectMeta<K>>::all(client.clone()), plural).await;
    }
    let mut refused = None;
    let mut read = false;
    for name in &options.namespaces {
        let api = Api::<PartialObjectMeta<K>>::namespaced(client.clone(), name.as_str());
        match ask(api, plural).await {
            Ok(()) => read = true,
            Err(Missing::Refused(why)) => {
                tracing::warn!(namespace = %name, why, "a namespace cannot be read; going on with the others");
                refused = Some(why);
            }
            Err(away) => return Err(away),
        }
    }
    refused.filter(|_| !read).map_or(Ok(()), |why| Err(Missing::Refused(why)))
}

async fn ask<K>(api: Api<PartialObjectMeta<K>>, plural: &str) -> Result<(), Missing>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let one = ListParams::default().limit(1);
    match tokio::time::timeout(ANSWER_WITHIN, api.list_metadata(&one)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(Missing::Refused(format!(
            "the API server does not know {plural}: install the CRDs with `spideriq-operator crds | kubectl apply --server-side -f -`"
        ))),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 || status.code == 401 => {
            let words = said_of_status(&status);
            Err(Missing::Refused(format!(
                "no right to list {plural} ({words}): grant the rules of the chart's ClusterRole"
            )))
        }
        Ok(Err(error)) => Err(Missing::Away(said_of(&error))),
        Err(_) => Err(Missing::Away("it did not answer in time".to_owned())),
    }
}
