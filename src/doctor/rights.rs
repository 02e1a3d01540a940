//! What the operator has to be allowed, and whether it is.

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client, CustomResourceExt};

use super::finding::{Finding, Installation};
use crate::api::ScrapeJob;
use crate::kubernetes::{Trouble, answer};

/// How many are asked for at once.
pub(super) const AT_ONCE: usize = 8;

/// Where a right is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In every namespace that is watched.
    Watched,
    /// In the cluster, where all namespaces are watched.
    Cluster,
    /// In the operator's own namespace.
    Home,
}

/// A kind, and what is done with it.
struct Right {
    place: Place,
    group: &'static str,
    resource: &'static str,
    part: &'static str,
    verbs: &'static [&'static str],
}

const fn right(
    place: Place,
    (group, resource, part): (&'static str, &'static str, &'static str),
    verbs: &'static [&'static str],
) -> Right {
    Right { place, group, resource, part, verbs }
}

/// Everything but Secrets, which are asked for by the name that an account gives. The chart grants the same.
const RIGHTS: &[Right] = &[
    right(Place::Watched, ("spideriq.ai", "scrapejobs", ""), &["get", "list", "watch", "patch", "delete"]),
    right(Place::Watched, ("spideriq.ai", "scrapejobs", "status"), &["patch"]),
    right(Place::Watched, ("spideriq.ai", "scrapeaccounts", ""), &["get", "list", "watch"]),
    right(Place::Watched, ("spideriq.ai", "scrapeaccounts", "status"), &["patch"]),
    right(Place::Watched, ("events.k8s.io", "events", ""), &["create"]),
    right(Place::Watched, ("coordination.k8s.io", "leases", ""), &["get"]),
    right(Place::Cluster, ("spideriq.ai", "clusterscrapeaccounts", ""), &["get", "list", "watch"]),
    right(Place::Cluster, ("spideriq.ai", "clusterscrapeaccounts", "status"), &["patch"]),
    right(Place::Cluster, ("", "namespaces", ""), &["get", "list", "watch"]),
    right(Place::Home, ("coordination.k8s.io", "leases", ""), &["get", "create"]),
    right(Place::Home, ("coordination.k8s.io", "leases", "lease"), &["get", "list", "watch", "update"]),
];

/// What is missing, or that nothing is.
pub(super) async fn findings(client: &Client, installation: &Installation) -> Vec<Finding> {
    let asked = RIGHTS.iter().flat_map(|right| {
        right
            .verbs
            .iter()
            .flat_map(move |verb| places(installation, right).into_iter().map(move |at| (right, *verb, at)))
    });
    let asked: Vec<ResourceAttributes> =
        asked.filter_map(|(right, verb, at)| attributes(installation, right, (verb, at))).collect();
    let count = asked.len();
    let answers = stream::iter(asked).map(|of| missing(client, of)).buffered(AT_ONCE);
    let mut findings: Vec<Finding> = answers.filter_map(|found| async { found }).collect().await;
    if findings.is_empty() {
        findings.push(Finding::Fine(format!("all {count} rights are granted")));
    }
    let of = ResourceAttributes {
        group: Some("apiextensions.k8s.io".to_owned()),
        resource: Some("customresourcedefinitions".to_owned()),
        name: Some(ScrapeJob::crd_name().to_owned()),
        verb: Some("get".to_owned()),
        ..ResourceAttributes::default()
    };
    if let Ok(false) = allowed(client, of).await {
        let why = "no right to get the CRD of ScrapeJob: if somebody deletes it, the jobs of all objects are cancelled";
        findings.push(Finding::Note(why.to_owned()));
    }
    findings
}

/// The namespaces in which a right is asked for; none for all.
fn places(installation: &Installation, right: &Right) -> Vec<Option<String>> {
    let watched = &installation.namespaces;
    match right.place {
        Place::Home => vec![Some(installation.home.to_string())],
        Place::Watched if !watched.is_empty() => watched.iter().map(|name| Some(name.to_string())).collect(),
        Place::Cluster if !watched.is_empty() => Vec::new(),
        Place::Watched | Place::Cluster => vec![None],
    }
}

/// The question; none where there is no lease.
fn attributes(
    installation: &Installation,
    right: &Right,
    (verb, namespace): (&str, Option<String>),
) -> Option<ResourceAttributes> {
    let (part, name) = match right.part {
        "lease" => ("", Some(installation.lease.as_ref()?.to_string())),
        part => (part, None),
    };
    if right.place == Place::Home && installation.lease.is_none() {
        return None;
    }
    Some(ResourceAttributes {
        group: Some(right.group.to_owned()),
        resource: Some(right.resource.to_owned()),
        subresource: (!part.is_empty()).then(|| part.to_owned()),
        verb: Some(verb.to_owned()),
        namespace,
        name,
        ..ResourceAttributes::default()
    })
}

/// A right that is not granted.
async fn missing(client: &Client, of: ResourceAttributes) -> Option<Finding> {
    let word = |word: &Option<String>| word.clone().unwrap_or_default();
    let part = of.subresource.as_ref().map(|part| format!("/{part}")).unwrap_or_default();
    let place =
        of.namespace.as_ref().map_or_else(|| "any namespace".to_owned(), |name| format!("namespace {name}"));
    let what = format!("{} {}{part} in {place}", word(&of.verb), word(&of.resource));
    match allowed(client, of).await {
        Ok(true) => None,
        Ok(false) => Some(Finding::Wrong(format!("no right to {what}: grant what the chart's roles have"))),
        Err(trouble) => {
            Some(Finding::Wrong(format!("whether it may {what} cannot be asked: {}", trouble.why())))
        }
    }
}

/// Whether the asker may do this.
pub(super) async fn allowed(client: &Client, of: ResourceAttributes) -> Result<bool, Trouble> {
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(of),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answered = answer(reviews.create(&PostParams::default(), &review)).await?;
    Ok(answered.status.is_some_and(|status| status.allowed))
}
