//! Cancels a job, unless another object shares it: then nobody cancels it, now or later.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, CustomResourceExt, ResourceExt};

use super::effect::turn;
use super::reading::sharers;
use crate::account::{AccountKey, News, Session, Standing};
use crate::api::{AccountKind, ScrapeJob};
use crate::budget::Lane;
use crate::cache::{CachedJob, job_id, key};
use crate::controller::context::Context;
use crate::controller::context::accounts::Admission;
use crate::controller::context::jobs::Sharers;
use crate::controller::observe::facts;
use crate::decide::account::is_accepted;
use crate::decide::{CancelOutcome, ClientIdentity, Outcome, Share, Trouble, equality};
use crate::health::waiting;
use crate::kubernetes::said_of;
use crate::spideriq::{Endpoint, Error};

/// How long a cancel waits, in all, for the accounts of objects that may be about to receive the job.
const ASKS_FOR: Duration = Duration::from_secs(10);

/// Looks live whether the job is shared, and cancels it if it is not.
pub(super) async fn cancel(context: &Context, job: &CachedJob, session: &Arc<Session>) -> Outcome {
    if session.rejected().is_some() {
        return ask_first(job, session).await;
    }
    let deleting = job.metadata.deletion_timestamp.is_some();
    // Where the kind goes, nobody waits for a turn.
    let asked_before = context.memories.get(&job.uid().unwrap_or_default()).kind_stays;
    if deleting
        && !asked_before
        && let Err(outcome) = kind_stays(context, job).await
    {
        return Outcome::Cancel(outcome);
    }
    let submitted = job.status.as_ref().and_then(|status| status.submission.as_ref());
    let body = submitted.and_then(|submission| submission.body_hash.as_deref());
    let body = body.map(equality);
    let client = context.accounts.every_name_of(session.client());
    let Some(_exclusive) = context.exclusive.cancel(client.clone(), body.as_deref()).await else {
        let why = "a submit of an equal payload is under way".to_owned();
        return Outcome::Cancel(CancelOutcome::Failed(Trouble::Unavailable(why)));
    };
    let permit = match turn(session, job, Lane::Cancel, None) {
        Ok(permit) => permit,
        Err(waiting) => return Outcome::NotYet(waiting),
    };
    if !context.may_begin(&session.key) {
        return Outcome::Stopping;
    }
    // It may have begun to go while this waited.
    if deleting
        && asked_before
        && let Err(outcome) = kind_stays(context, job).await
    {
        return Outcome::Cancel(outcome);
    }
    let sharers = match nobody_shares(context, job, (session, &client)).await {
        Ok(sharers) => sharers,
        Err(outcome) => return Outcome::Cancel(outcome),
    };
    // The list may have taken longer than this process leads; by what it showed nobody else would cancel.
    if !context.may_begin(&session.key) {
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
        Ok(true) => CancelOutcome::Cancelled,
        Ok(false) => CancelOutcome::Sent,
        // The code for a job that is over is not documented for every state: the status decides.
        Err(Error::Invalid(_) | Error::Refused { .. }) => CancelOutcome::AlreadyOver,
        Err(Error::NotFound(_)) => CancelOutcome::NotFound,
        Err(error) => CancelOutcome::Failed(facts::trouble(&error)),
    })
}

/// Looks live whether another object uses the job: what was read, if none does.
async fn nobody_shares(context: &Context, job: &CachedJob, by: By<'_>) -> Result<Sharers, CancelOutcome> {
    let sharers = sharers(context, job).await.map_err(|error| {
        let why = format!("the jobs of the cluster could not be listed: {error}");
        CancelOutcome::Failed(Trouble::Unavailable(why))
    })?;
    match sharer(context, job, by, &sharers) {
        Err(whom) => Err(CancelOutcome::Asking(whom)),
        Ok(Some(other)) => Err(CancelOutcome::Left(format!("{other} uses it, too"))),
        Ok(None) => Ok(sharers),
    }
}

/// Asks whether the service takes the credentials again, with a read: nobody lists the cluster's jobs for a cancel that is
/// refused.
async fn ask_first(job: &ScrapeJob, session: &Arc<Session>) -> Outcome {
    let permit = match turn(session, job, Lane::Cancel, None) {
        Ok(permit) => permit,
        Err(waiting) => return Outcome::NotYet(waiting),
    };
    let status = session.ask(permit, async |client| client.status(job_id(job)).await).await;
    let trouble = match status {
        Ok(_) | Err(Error::NotFound(_)) => {
            Trouble::Unavailable("the credentials are accepted again".to_owned())
        }
        Err(error) => facts::trouble(&error),
    };
    Outcome::Cancel(CancelOutcome::Failed(trouble))
}

/// What becomes of the cancel of an object that is deleted, if the kind may go, too.
async fn kind_stays(context: &Context, job: &ScrapeJob) -> Result<(), CancelOutcome> {
    match context.readings.kind_is_going.read(kind_is_going(context)).await {
        Ok(true) => {
            let why = "the kind ScrapeJob itself is being deleted, which cancels nothing".to_owned();
            Err(CancelOutcome::Left(why))
        }
        Ok(false) => {
            let uid = job.uid().unwrap_or_default();
            context.memories.set(&uid, |remembered| remembered.kind_stays = true);
            Ok(())
        }
        Err(why) => Err(CancelOutcome::Failed(Trouble::Unavailable(why))),
    }
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

/// Another live object that has this job, or may be about to receive it, in words that name none of another namespace.
///
/// # Errors
/// Why nobody can tell yet.
fn sharer(
    context: &Context,
    job: &ScrapeJob,
    by: By<'_>,
    sharers: &Sharers,
) -> Result<Option<String>, String> {
    let mut unanswered = None;
    for (share, other) in &sharers.of {
        match uses(context, job, by, (*share, other)) {
            Uses::No => {}
            Uses::Yes if other.metadata.namespace == job.metadata.namespace => {
                return Ok(Some(format!("ScrapeJob {}", other.name_any())));
            }
            Uses::Yes => return Ok(Some("a ScrapeJob of another namespace".to_owned())),
            Uses::NotKnown(account) => unanswered = Some(account),
        }
    }
    let Some(account) = unanswered else { return Ok(None) };
    context.accounts.nudge(News::Account(account));
    Err("another ScrapeJob may receive the job, and its account is still to be asked for its client"
        .to_owned())
}

/// Who cancels: the session, and its client with every name by which any account knows it.
type By<'a> = (&'a Arc<Session>, &'a ClientIdentity);

/// Whether another object uses a job.
enum Uses {
    No,
    Yes,
    /// That hangs on this account, which the service has not answered yet.
    NotKnown(AccountKey),
}

fn uses(context: &Context, job: &ScrapeJob, by: By<'_>, (share, other): (Share, &CachedJob)) -> Uses {
    match share {
        Share::None => Uses::No,
        Share::Recorded => Uses::Yes,
        Share::OtherName => has_it_by_another_name(context, job, by, other),
        Share::Wants => may_get(context, job, by, other),
    }
}

/// Whether an object that asks for a job could have it: its account is there, admits it, submits, and is proven to be of
/// this client. One that was not asked yet is waited for a little.
fn may_get(context: &Context, job: &ScrapeJob, (session, client): By<'_>, other: &ScrapeJob) -> Uses {
    let account = context.account_of(other);
    // With an account of the cluster, what a namespace has recorded is never shown to others by its id.
    let recorded = job.status.as_ref().is_some_and(|status| status.submission.is_some());
    let elsewhere = other.metadata.namespace != job.metadata.namespace;
    if account.kind() == AccountKind::ClusterScrapeAccount
        && other.spec.job_id.is_some()
        && recorded
        && elsewhere
    {
        return Uses::No;
    }
    let admitted = match context.known.admission(&account, &other.namespace().unwrap_or_default()) {
        Admission::Refused(_) => return Uses::No,
        Admission::Admitted => true,
        Admission::Unknown => false,
    };
    let theirs = match context.accounts.standing(&account) {
        Some(Standing::Usable(theirs)) => Some(theirs),
        None if context.known.can_open(&account) => None,
        Some(Standing::Unusable { .. }) if context.accounts.is_asked_about(&account) => None,
        Some(Standing::Unusable { .. }) | None => return Uses::No,
    };
    if let Some(theirs) = &theirs {
        let health = theirs.health();
        let rejected = health.rejected.is_some() || health.redirected.is_some();
        if theirs.settings().suspended || rejected || !client.may_be(&theirs.client()) {
            return Uses::No;
        }
        if admitted && (health.accepted.is_some() || theirs.key == session.key) {
            return Uses::Yes;
        }
    }
    if is_elsewhere(context, &account, session) {
        return Uses::No;
    }
    if still_asks(context, job) {
        return Uses::NotKnown(account);
    }
    let before = theirs.is_some_and(|theirs| {
        admitted && is_accepted(context.known.status_of(&account).as_ref(), &theirs.credential)
    });
    if before { Uses::Yes } else { Uses::No }
}

/// Whether an object that recorded the job by another name of a client has it of the same one, as an account knows that has
/// both names. After a start the object's own may be the only one, and is waited for a little.
fn has_it_by_another_name(
    context: &Context,
    job: &ScrapeJob,
    (session, client): By<'_>,
    other: &ScrapeJob,
) -> Uses {
    if client.may_be(&ClientIdentity::recorded(other)) {
        return Uses::Yes;
    }
    let account = context.account_of(other);
    let opens = context.accounts.last_session(&account).is_none()
        && context.known.can_open(&account)
        && !is_elsewhere(context, &account, session);
    if opens && still_asks(context, job) { Uses::NotKnown(account) } else { Uses::No }
}

/// Whether an account that was not opened yet names another service.
fn is_elsewhere(context: &Context, account: &AccountKey, session: &Session) -> bool {
    let named = context.known.endpoint(account).and_then(|named| Endpoint::parse(&named).ok());
    named.is_some_and(|named| named.to_string() != session.endpoint)
}

/// Whether the cancel of a job waits, still, for the accounts of others.
fn still_asks(context: &Context, job: &ScrapeJob) -> bool {
    let now = context.clock.instant();
    let uid = job.uid().unwrap_or_default();
    let asked = context.memories.set(&uid, |remembered| {
        let asks = remembered.asks.take().filter(|(id, _)| id == job_id(job));
        remembered.asks.insert(asks.unwrap_or_else(|| (job_id(job).to_owned(), now))).1
    });
    // A deletion that has less time has some left for the cancel itself.
    let bound =
        Duration::from_secs(job.spec.cancel_timeout_seconds.unwrap_or(i32::MAX).max(0).unsigned_abs().into());
    now.duration_since(asked) < ASKS_FOR.min(bound / 2)
}
