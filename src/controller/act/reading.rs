//! Reads live, page by page, who shares the jobs that are about to be cancelled.

use std::sync::Arc;

use kube::Api;

use crate::api::StoredJob;
use crate::cache::CachedJob;
use crate::controller::context::Context;
use crate::controller::context::jobs::{Asked, Sharers, compare};
use crate::controller::watch::Pages;
use crate::health::waiting;
use crate::kubernetes::said_of;

/// Who shares this job, by a reading that begins after this was called.
///
/// # Errors
/// Why the jobs could not be read.
pub(super) async fn sharers(context: &Context, ours: &CachedJob) -> Result<Sharers, String> {
    context.readings.serve(ours, &context.clock, async |asked| read(context, asked).await).await
}

/// Reads every job that the operator watches.
async fn read(context: &Context, asked: &mut [Asked]) -> Result<(), String> {
    for api in context.apis::<StoredJob>() {
        let api: Api<StoredJob> = api;
        let namespace = api.namespace().map(str::to_owned);
        let mut pages = Pages::new(api, context.replies.clone());
        loop {
            let page = match waiting(pages.next()).await {
                Ok(page) => page,
                // One of several that may not be read any more: what is known of it is what was last seen of it.
                Err(kube::Error::Api(status))
                    if let Some(namespace) = &namespace
                        && status.is_forbidden() =>
                {
                    context.last_known_in(namespace).iter().for_each(|other| compare(asked, other));
                    break;
                }
                Err(error) => return Err(said_of(&error)),
            };
            let Some(page) = page else { break };
            for other in page {
                compare(asked, &Arc::new(CachedJob::from(other)));
            }
        }
    }
    Ok(())
}
