//! Watches the labels of namespaces, from the first cluster account on: a changed label takes effect by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt, stream};
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};

use crate::controller::context::Context;
use crate::controller::context::accounts::CachedNamespace;
use crate::controller::watch::{self, Heard};

/// Runs as long as it is polled.
pub(super) async fn run(context: Arc<Context>, writer: Writer<CachedNamespace>) {
    context.known.cluster_account_seen().await;
    tracing::info!("there is a ClusterScrapeAccount: watching the labels of namespaces");
    let all: Api<CachedNamespace> = Api::all(context.client.clone());
    let listed = Arc::new(AtomicBool::new(false));
    let (hears, whole) = (Arc::clone(&context), Arc::clone(&listed));
    let told = move |heard: Heard<'_>| {
        watch::warn("Namespace", &heard);
        if matches!(heard, Heard::Listed(_)) && !whole.swap(true, Ordering::Relaxed) {
            hears.wake_barred(None);
        }
    };
    let known = context.known.namespaces();
    let mut changes =
        watch::watch(vec![all], known, &context.replies, told, stream::empty().boxed()).reflect(writer);
    while let Some(change) = changes.next().await {
        // A watch that broke is told of where it does, and starts again by itself.
        let Ok(watcher::Event::Apply(namespace)) = change else { continue };
        // Until all are there they are not looked through for each.
        if listed.load(Ordering::Relaxed) {
            context.wake_barred(Some(&namespace.name_any()));
        }
    }
}
