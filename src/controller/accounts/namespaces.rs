//! Watches the labels of namespaces, from the first cluster account on: a changed label takes effect by itself.

use std::sync::Arc;

use futures::StreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};

use crate::controller::context::Context;
use crate::controller::context::accounts::CachedNamespace;
use crate::controller::watch;

/// Runs as long as it is polled.
pub(super) async fn run(context: Arc<Context>, writer: Writer<CachedNamespace>) {
    context.known.cluster_account_seen().await;
    tracing::info!("there is a ClusterScrapeAccount: watching the labels of namespaces");
    let all: Api<CachedNamespace> = Api::all(context.client.clone());
    let mut changes = watch::watch(vec![all], context.known.namespaces(), &context.replies, |heard| {
        watch::warn("Namespace", &heard);
    })
    .reflect(writer);
    while let Some(change) = changes.next().await {
        match change {
            Ok(watcher::Event::Apply(namespace)) => context.wake_barred(Some(&namespace.name_any())),
            Ok(watcher::Event::InitDone) => context.wake_barred(None),
            // A watch that broke is told of where it does, and starts again by itself.
            Ok(watcher::Event::Init | watcher::Event::InitApply(_) | watcher::Event::Delete(_)) | Err(_) => {}
        }
    }
}
