//! Which jobs are left alone.

use std::time::Duration;

use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};

use crate::api::{AccountKind, Reason, ScrapeJob, ScrapeJobStatus};
use crate::cache::{CachedJob, is_at_rest};
use crate::controller::context::Context;
use crate::decide;
use crate::decide::message::Account;
use crate::health::waiting;
use crate::leader::Stand;
use crate::status::WriteError;

/// How soon a job that is over is looked at again, where something is still to be done with it: it is woken for nothing else.
const SOON: Duration = Duration::from_secs(5);

/// What is done with a job where another release may work: nothing is returned where this one may.
///
/// A release for some namespaces has no accounts of the cluster, and cannot see who works with them: what names one is
/// left to a release that can, and so is, where no account says who works in a namespace, what another release wrote.
///
/// # Errors
/// If the accounts of the namespace cannot be listed.
pub(in crate::controller) async fn stand_back(
    context: &Context,
    job: &CachedJob,
) -> Result<Option<Action>, WriteError> {
    let namespace = job.namespace().unwrap_or_default();
    let some = !context.known.cluster_accounts();
    if some && names_cluster_account(job) {
        tell_of_cluster_account(context, job).await;
        return Ok(Some(Action::await_change()));
    }
    // Before they are listed, nobody can say whose claim it is.
    if !waiting(context.known.synced_in(&namespace)).await {
        let why = format!("the accounts of namespace {namespace} cannot be listed");
        return Err(WriteError::Unanswered(why));
    }
    let stand = context.claims.stand(&context.account_of(job).scope());
    Ok(match stand {
        Stand::Ours => None,
        Stand::Free => {
            let by = job.status.as_ref().and_then(|status| status.operator.as_ref());
            let others = some && by.is_some_and(|by| *by != context.claims.release().id);
            others.then(Action::await_change)
        }
        Stand::Waits if is_at_rest(job) => Some(Action::requeue(SOON)),
        Stand::Waits => Some(Action::await_change()),
    })
}

fn names_cluster_account(job: &ScrapeJob) -> bool {
    let cluster = AccountKind::ClusterScrapeAccount;
    let recorded = job.status.as_ref().and_then(|status| status.account.as_ref());
    recorded.is_some_and(|account| account.kind == cluster)
        || job.spec.account_ref.as_ref().is_some_and(|account| account.kind == Some(cluster))
}

/// Says once why nothing is done with such a job, where nobody has looked at it yet.
async fn tell_of_cluster_account(context: &Context, job: &CachedJob) {
    let seen = job.status.as_ref().is_some_and(ScrapeJobStatus::is_written);
    let uid = job.uid().unwrap_or_default();
    if seen || context.memories.set(&uid, |remembered| std::mem::replace(&mut remembered.misnamed, true)) {
        return;
    }
    let note = Account::ClusterAccountsOff.into();
    let event = decide::Event { warning: true, reason: Reason::AccountNotReady, note };
    context.tell(&job.object_ref(&()), event).await;
}
