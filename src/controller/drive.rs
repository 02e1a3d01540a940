//! The loop of every kind: each change, and each object that is told of, is reconciled until the process stops.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use serde::de::DeserializeOwned;

use super::context::Context;
use crate::status::WriteError;

/// Runs the loop of one kind. `at_once` bounds how many are reconciled at once; 0 bounds nothing.
pub(super) async fn drive<K, F>(
    context: &Arc<Context>,
    (changes, cache): (impl Stream<Item = Result<K, watcher::Error>> + Send + 'static, Store<K>),
    (told, at_once): (impl Stream<Item = ObjectRef<K>> + Send + 'static, u16),
    reconcile: impl FnMut(Arc<K>, Arc<Context>) -> F,
    requeue: impl Fn(&Context, &K, &WriteError) -> Action,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    F: Future<Output = Result<Action, WriteError>> + Send + 'static,
{
    let mut stopping = context.stopping.clone();
    let stopped = async move {
        // An error means that the sender is gone, which is a stop as well.
        let _ = stopping.wait_for(Option::is_some).await;
    };
    Controller::for_stream(changes, cache)
        .with_config(Config::default().concurrency(at_once))
        .reconcile_on(told)
        .graceful_shutdown_on(stopped)
        .run(reconcile, |object, error, context| requeue(&context, &object, error), Arc::clone(context))
        .for_each(|_| async {})
        .await;
}
