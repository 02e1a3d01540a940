//! Cancels a job, unless another object shares it: then nobody cancels it, now or later.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::ListParams;

use super::super::context::{CachedJob, Context};
use super::super::observe::{facts, key};
use super::{job_id, turn};
use crate::account::{Session, Standing};
use crate::api::ScrapeJob;
use crate::decide::{Body, CancelOutcome, Outcome, Trouble};
use crate::spideriq::Error;
use crate::spideriq::budget::Lane;

/// How long the API server may take to list the jobs; they may be many.
const LISTED_WITHIN: Duration = Duration::from_secs(30);

/// Looks live whether the job is shared, and cancels it if it is not.
pub(super) async fn cancel(context: &Context, job: &ScrapeJob, session: &Arc<Session>) -> Outcome {
    let permit = match turn(session, job, Lane::Cancel) {
        Ok(permit) => permit,
        Err(waiting) => return Outcome::NotYet(waiting),
    };
    if context.is_stopping() {
        return Outcome::Stopping;
    }
    let shared = format!("{}|{:?}|{}|{}", session.endpoint, session.client_id, type_of(job), payload_of(job));
    let _exclusive = context.exclusive.hold(&shared).await;
    match sharer(context, job, session).await {
        Err(error) => {
            let why = format!("the jobs of the cluster could not be listed: {error}");
            return Outcome::Cancel(CancelOutcome::Failed(Trouble::Unavailable(why)));
        }
        Ok(Some(other)) => return Outcome::Cancel(CancelOutcome::Shared(other)),
        Ok(None) => {}
    }
    let id = job_id(job);
    tracing::info!(job = key(job), job_id = id, "cancelling");
    let cancelled = session.ask(permit, async |client| client.cancel(id).await).await;
    Outcome::Cancel(match cancelled {
        Ok(()) => CancelOutcome::Sent,
        // The code for a job that is over is not documented for every state: the status decides.
        Err(Error::Invalid(_) | Error::Refused { .. }) => CancelOutcome::AlreadyOver,
        Err(Error::NotFound(_)) => CancelOutcome::NotFound,
        Err(error) => CancelOutcome::Failed(facts::trouble(&error)),
    })
}

/// Another live object of the same client that has this job, or may be about to receive it.
async fn sharer(
    context: &Context,
    job: &ScrapeJob,
    session: &Arc<Session>,
) -> Result<Option<String>, String> {
    for api in context.apis::<CachedJob>() {
        let listed = tokio::time::timeout(LISTED_WITHIN, api.list(&ListParams::default())).await;
        let listed = listed.map_err(|_| "the API server did not answer in time".to_owned())?;
        for other in listed.map_err(|error| error.to_string())?.items {
            let Ok(other) = &other.0 else { continue };
            if other.uid() != job.uid() && shares(context, job, session, other) {
                return Ok(Some(key(other)));
            }
        }
    }
    Ok(None)
}

fn shares(context: &Context, job: &ScrapeJob, session: &Arc<Session>, other: &ScrapeJob) -> bool {
    if other.metadata.deletion_timestamp.is_some() || !same_client(context, session, other) {
        return false;
    }
    let theirs =
        other.status.as_ref().and_then(|status| status.job_id.as_deref()).or(other.spec.job_id.as_deref());
    if let Some(theirs) = theirs {
        return theirs == job_id(job);
    }
    let over = other.status.as_ref().is_some_and(|status| status.finished);
    !over && !other.spec.suspended() && type_of(other) == type_of(job) && payload_of(other) == payload_of(job)
}

/// Whether an object's account is of this client; one that is not known yet is taken to be.
fn same_client(context: &Context, session: &Arc<Session>, other: &ScrapeJob) -> bool {
    match context.accounts.standing(&context.account_of(other)) {
        Some(Standing::Usable(theirs)) => {
            theirs.endpoint == session.endpoint && theirs.client_id == session.client_id
        }
        Some(Standing::Unusable { .. }) | None => {
            let recorded = other.status.as_ref().and_then(|status| status.submission.as_ref());
            recorded.is_none_or(|record| {
                record.endpoint.as_deref() == Some(session.endpoint.as_str())
                    && record.client_id == session.client_id
            })
        }
    }
}

fn type_of(job: &ScrapeJob) -> &str {
    job.spec.type_.as_deref().unwrap_or_default()
}

/// The payload without the priority, which is probably not part of what the service compares.
fn payload_of(job: &ScrapeJob) -> String {
    job.spec.payload.as_ref().map(|payload| Body::new(payload, None).payload_hash).unwrap_or_default()
}
