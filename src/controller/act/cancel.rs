//! Cancels a job, unless another object shares it: then nobody cancels it, now or later.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, CustomResourceExt};

use super::super::context::{CachedJob, Context};
use super::super::observe::{facts, job_id, key};
use super::turn;
use crate::account::{Session, Standing};
use crate::api::ScrapeJob;
use crate::decide::{CancelOutcome, Outcome, Share, Trouble, equality};
use crate::health::waiting;
use crate::kubernetes::said_of;
use crate::spideriq::Error;
use crate::spideriq::budget::Lane;

/// Looks live whether the job is shared, and cancels it if it is not.
pub(super) async fn cancel(context: &Context, job: &CachedJob, session: &Arc<Session>) -> Outcome {
    let submitted = job.status.as_ref().and_then(|status| status.submission.as_ref());
    let body = submitted.and_then(|submission| submission.body_hash.as_deref());
    let body = body.map(equality);
    let Some(_exclusive) = context.exclusive.cancel(&session.endpoint, body.as_deref()).await else {
        let why = "a submit of an equal payload is under way".to_owned();
        return Outcome::Cancel(CancelOutcome::Failed(Trouble::Unavailable(why)));
    };
    let permit = match turn(session, job, Lane::Cancel) {
        Ok(permit) => permit,
        Err(waiting) => return Outcome::NotYet(waiting),
    };
    if context.is_stopping() {
        return Outcome::Stopping;
    }
    let sharers = match context.readings.sharers(context, job).await {
        Ok(sharers) => sharers,
        Err(error) => {
            let why = format!("the jobs of the cluster could not be listed: {error}");
            return Outcome::Cancel(CancelOutcome::Failed(Trouble::Unavailable(why)));
        }
    };
    if let Some((_, other)) = sharers.of.iter().find(|(share, other)| shares(context, session, *share, other))
    {
        return Outcome::Cancel(CancelOutcome::Left(format!("ScrapeJob {} uses it, too", key(other))));
    }
    if job.metadata.deletion_timestamp.is_some() {
        match kind_is_going(context).await {
            Ok(false) => {}
            Ok(true) => {
                let why = "the kind ScrapeJob itself is being deleted, which cancels nothing".to_owned();
                return Outcome::Cancel(CancelOutcome::Left(why));
            }
            Err(why) => return Outcome::Cancel(CancelOutcome::Failed(Trouble::Unavailable(why))),
        }
    }
    // The list may have taken longer than this process leads; by what it showed nobody else would cancel.
    if context.is_stopping() {
        return Outcome::Stopping;
    }
    if !sharers.hold_good(context.clock.instant()) {
        let why = "who shares the job was read too long ago".to_owned();
        return Outcome::Cancel(CancelOutcome::Failed(Trouble::Unavailable(why)));
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

/// Whether the CRD is being deleted, which deletes every job in every namespace: nobody means to cancel all of them.
/// Without the right to read it nobody knows, and each deletion counts as meant.
async fn kind_is_going(context: &Context) -> Result<bool, String> {
    let crds: Api<CustomResourceDefinition> = Api::all(context.client.clone());
    let name = ScrapeJob::crd_name();
    match waiting(tokio::time::timeout(Duration::from_secs(5), crds.get_metadata(name))).await {
        Ok(Ok(crd)) => Ok(crd.metadata.deletion_timestamp.is_some()),
        Ok(Err(kube::Error::Api(status))) if status.is_forbidden() => Ok(false),
        Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Ok(true),
        Ok(Err(error)) => Err(format!("the CRD could not be read: {}", said_of(&error))),
        Err(_) => Err("the CRD could not be read in time".to_owned()),
    }
}

/// Whether another live object of the same client has this job, or may be about to receive it.
fn shares(context: &Context, session: &Arc<Session>, share: Share, other: &ScrapeJob) -> bool {
    match share {
        Share::None => false,
        Share::Follows => true,
        Share::MayReceive => same_client(context, session, other),
    }
}

/// Whether an object's account is of this client; where one of the two is not known, it is taken to be.
fn same_client(context: &Context, session: &Arc<Session>, other: &ScrapeJob) -> bool {
    let ours = (session.endpoint.as_str(), session.client_id.as_deref());
    match context.accounts.standing(&context.account_of(other)) {
        Some(Standing::Usable(theirs)) => may_be_one(ours, (&theirs.endpoint, theirs.client_id.as_deref())),
        Some(Standing::Unusable { .. }) | None => {
            let recorded = other.status.as_ref().and_then(|status| status.submission.as_ref());
            recorded.is_none_or(|record| {
                let endpoint = record.endpoint.as_deref().unwrap_or(ours.0);
                may_be_one(ours, (endpoint, record.client_id.as_deref()))
            })
        }
    }
}

/// Whether two clients may be one and the same.
fn may_be_one(ours: (&str, Option<&str>), theirs: (&str, Option<&str>)) -> bool {
    ours.0 == theirs.0 && ours.1.zip(theirs.1).is_none_or(|(ours, theirs)| ours == theirs)
}

#[cfg(test)]
mod tests {
    use super::may_be_one;

    #[test]
    fn a_client_that_is_not_known_may_be_any() {
        let (a, b) = (("https://a", Some("cli_a")), ("https://a", Some("cli_b")));
        let unknown = ("https://a", None);
        assert!(
            may_be_one(a, a)
                && may_be_one(a, unknown)
                && may_be_one(unknown, b)
                && may_be_one(unknown, unknown)
        );
        assert!(!may_be_one(a, b) && !may_be_one(a, ("https://b", Some("cli_a"))));
    }
}
