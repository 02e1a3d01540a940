//! Which part of a cluster is meant, and what the lists of the command line mean.

use anyhow::Context;

use crate::api::ObjectName;

/// What of a cluster is meant, of `run` as of `doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Namespace to watch; repeat it for more, and cluster accounts are off. Left out, all are watched.
    #[arg(
        long = "watch-namespace",
        env = "SPIDERIQ_WATCH_NAMESPACES",
        value_delimiter = ',',
        value_name = "NS"
    )]
    pub(super) watch_namespaces: Vec<String>,
    /// Namespace that the operator runs in; the Secrets of cluster accounts are read from it.
    #[arg(long, env = "SPIDERIQ_OPERATOR_NAMESPACE", default_value = "spideriq-system", value_name = "NS")]
    pub(super) operator_namespace: ObjectName,
}

/// The namespaces that a list names.
pub(super) fn names(list: &[String]) -> anyhow::Result<Vec<ObjectName>> {
    let named = named(list);
    named.iter().map(|name| ObjectName::parse(name).context("a namespace to watch")).collect()
}

/// What a list names, however it is written: a comma too many, a space after one and an empty list mean what people mean
/// by them, and what is named twice is one.
pub(super) fn named(list: &[String]) -> Vec<&str> {
    let mut named = Vec::new();
    for name in list.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
        if !named.contains(&name) {
            named.push(name);
        }
    }
    named
}
