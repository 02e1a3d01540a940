//! New jobs, read ahead of the list. The API server lists by name, so that whoever comes last would wait for all that others
//! store: what nobody has begun yet is looked for in every namespace with an account, the last one first.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt};

use crate::api::AccountKind;
use crate::cache::CachedJob;
use crate::controller::context::Context;

/// Namespaces that are read at once, and how long one is: the rest of it is left to the list.
const AT_ONCE: usize = 4;
const EACH_WITHIN: Duration = Duration::from_secs(1);
/// How many jobs of a namespace are read.
const EACH: usize = 10;

/// The new jobs of all namespaces until all are listed. Where some namespaces are watched each has a list of its own, and
/// waits for no other.
pub(super) fn new_ones(context: &Arc<Context>) -> BoxStream<'static, CachedJob> {
    if context.options.namespaces.len() > 1 {
        return stream::empty().boxed();
    }
    let (context, ends) = (Arc::clone(context), Arc::clone(context));
    let namespaces = {
        let context = Arc::clone(&context);
        async move {
            context.known.synced().await;
            let keys = context.known.of_kind(AccountKind::ScrapeAccount);
            let names: BTreeSet<String> = keys.into_iter().map(|key| key.namespace).collect();
            stream::iter(names.into_iter().rev())
        }
    };
    let of_each = move |namespace| {
        let within = async { tokio::time::sleep(EACH_WITHIN).await };
        of(Arc::clone(&context), namespace).take_until(within).boxed()
    };
    stream::once(namespaces)
        .flatten()
        .flat_map_unordered(AT_ONCE, of_each)
        .take_until(async move { ends.jobs.listed().await })
        .boxed()
}

/// The new jobs of a namespace, one after the other.
fn of(context: Arc<Context>, namespace: String) -> impl Stream<Item = CachedJob> + Send {
    let names = {
        let (context, namespace) = (Arc::clone(&context), namespace.clone());
        async move { stream::iter(context.rows_in(&namespace).await.unbegun.clone()) }
    };
    stream::once(names).flatten().take(EACH).filter_map(move |name| {
        let (context, namespace) = (Arc::clone(&context), namespace.clone());
        async move {
            if context.jobs.known(&namespace, &name).is_some() {
                return None;
            }
            context.read_beside(&namespace, &name).await
        }
    })
}
