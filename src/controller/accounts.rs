//! The pipeline of one account: read its Secret, open it, ask who it is, say how it stands.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::context::{CachedAccount, Context};
use super::{tally, watch};
use crate::account::{AccountKey, Opening, Session, Settings, from_secret};
use crate::api::{
    AccountJobs, ConditionStatus, Credential, Reason, ScrapeAccount, ScrapeAccountStatus, find,
};
use crate::decide;
use crate::spideriq::budget::{Lane, Limits, SPEND_CAP_PROBE};
use crate::spideriq::{Endpoint, Whoami};
use crate::status::{AccountFacts, AccountHealth, WriteError, account_status, patch_account_status};

/// How many accounts are worked on at once.
const AT_ONCE: u16 = 8;
/// How often an account that the service gave no clear word about is asked about again.
const RETRY_UNKNOWN: Duration = Duration::from_secs(60);
/// How often rejected credentials are tried again without a change of the Secret.
const RETRY_REJECTED: Duration = Duration::from_secs(300);

/// Runs until the process stops: every change of an account or its Secret, and every key that arrives on `nudges`, is
/// looked at.
pub async fn run(
    context: Arc<Context>,
    (reader, writer): (Store<CachedAccount>, Writer<CachedAccount>),
    nudges: mpsc::UnboundedReceiver<AccountKey>,
) {
    let watched = watched(&context, reader.clone(), writer);
    let told = UnboundedReceiverStream::new(nudges)
        .map(|key| ObjectRef::<CachedAccount>::new(&key.name).within(&key.namespace));
    let mut stopping = context.stopping.clone();
    let stopped = async move {
        // An error means that the sender is gone, which is a stop as well.
        let _ = stopping.wait_for(Option::is_some).await;
    };
    Controller::for_stream(watched, reader)
        .with_config(Config::default().concurrency(AT_ONCE))
        .reconcile_on(told)
        .graceful_shutdown_on(stopped)
        .run(reconcile, |_, error: &WriteError, _| on_error(error), context)
        .for_each(|_| async {})
        .await;
}

fn watched(
    context: &Arc<Context>,
    reader: Store<CachedAccount>,
    writer: Writer<CachedAccount>,
) -> impl futures::Stream<Item = Result<CachedAccount, watcher::Error>> + Send + use<> {
    let watched = watch::watch::<CachedAccount>(context.apis(), reader);
    let context = Arc::clone(context);
    let noting = watched.inspect_ok(move |event| {
        if let watcher::Event::Delete(account) = event {
            let key = key_of(account);
            context.accounts.remove(&key);
            context.secrets.forget(&key);
            context.tallies.forget(&key);
            if context.jobs_of(&key).is_empty() {
                context.accounts.let_go(&key);
            }
            context.wake_jobs(&key);
        }
    });
    noting.reflect(writer).touched_objects()
}

fn key_of(account: &impl ResourceExt) -> AccountKey {
    AccountKey { namespace: account.namespace().unwrap_or_default(), name: account.name_any() }
}

async fn reconcile(cached: Arc<CachedAccount>, context: Arc<Context>) -> Result<Action, WriteError> {
    let begun = context.clock.instant();
    let key = key_of(&*cached);
    let account = match &cached.0 {
        Ok(account) => account,
        Err(error) => {
            tracing::error!(account = %key, %error, "a ScrapeAccount cannot be decoded and is left alone");
            return Ok(Action::await_change());
        }
    };
    let before = context.account_facts(&key);
    context.secrets.watch(&context.client, &key, &account.spec.secret_ref.name);
    let facts = open(&context, &key, account)
        .await
        .inspect_err(|_| context.metrics.reconciled("ScrapeAccount", "retried", begun.elapsed()))?;
    let now = context.clock.now();
    let recorded = account.status.clone().unwrap_or_default();
    let counted = tally::count(&context, &key);
    let jobs = context.tallies.due(&key, recorded.jobs, counted, context.clock.instant());
    let facts = AccountFacts { jobs, ..facts };
    let generation = account.metadata.generation.unwrap_or(0);
    let mut result = "unchanged";
    if let Some(status) = account_status(&facts, &recorded, generation, now) {
        let api: Api<ScrapeAccount> = Api::namespaced(context.client.clone(), &key.namespace);
        let version = account.resource_version().unwrap_or_default();
        patch_account_status(&api, &key.name, &version, &recorded, &status)
            .await
            .inspect_err(|_| context.metrics.reconciled("ScrapeAccount", "retried", begun.elapsed()))?;
        context.publish(&account.object_ref(&()), &transition(&recorded, &status)).await;
        result = "written";
    }
    context.metrics.reconciled("ScrapeAccount", result, begun.elapsed());
    if before != context.account_facts(&key) {
        context.wake_jobs(&key);
    }
    Ok(again(&facts, now))
}

/// Opens the account as far as it can be, and tells how far that was.
///
/// # Errors
/// If the API server did not give the Secret: that says nothing of the account, so what is open stays open.
async fn open(
    context: &Context,
    key: &AccountKey,
    account: &ScrapeAccount,
) -> Result<AccountFacts, WriteError> {
    let identity =
        format!("{}/{}", account.uid().unwrap_or_default(), account.metadata.generation.unwrap_or(0));
    let close = |reason: Reason, message: String, stalled: bool, fingerprint: String| {
        context.accounts.close(key, reason, message.clone(), fingerprint);
        Ok(AccountFacts {
            health: AccountHealth::Unusable { reason, message, stalled },
            ..AccountFacts::default()
        })
    };
    let endpoint = match Endpoint::parse(account.spec.endpoint()) {
        Ok(endpoint) => endpoint,
        Err(error) => return close(Reason::EndpointNotAllowed, error.to_string(), true, identity),
    };
    if let Err(error) = endpoint.check(&context.options.allowed_endpoints) {
        return close(Reason::EndpointNotAllowed, error.to_string(), true, identity);
    }
    let name = &account.spec.secret_ref.name;
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &key.namespace);
    let secret = match tokio::time::timeout(Duration::from_secs(10), secrets.get_opt(name)).await {
        Ok(Ok(Some(secret))) => secret,
        Ok(Ok(None)) => {
            let message =
                format!("Secret {name} does not exist in this namespace; create it with the key token");
            return close(Reason::CredentialsMissing, message, false, identity);
        }
        Ok(Err(kube::Error::Api(refusal))) if refusal.code == 403 => {
            let message = format!("Secret {name} may not be read by the operator: {}", refusal.message);
            return close(Reason::CredentialsMissing, message, false, identity);
        }
        Ok(Err(error)) => return Err(WriteError::Unanswered(error.to_string())),
        Err(_) => return Err(WriteError::Unanswered("the API server did not answer in time".to_owned())),
    };
    let credential = Credential {
        uid: secret.uid().unwrap_or_default(),
        resource_version: secret.resource_version().unwrap_or_default(),
    };
    let fingerprint = format!("{identity}/{}/{}", credential.uid, credential.resource_version);
    let credentials = match from_secret(name, &secret) {
        Ok(credentials) => credentials,
        Err(error) => return close(Reason::CredentialsMissing, error.to_string(), false, fingerprint),
    };
    let known =
        context.accounts.client_of(key, &credential).or_else(|| credentials.client_id().map(str::to_owned));
    let mut opening =
        Opening { endpoint, credentials, credential, client_id: known, limits: limits(account) };
    let now = context.clock.now();
    let settings =
        Settings { suspended: account.spec.suspend == Some(true), fingerprint: fingerprint.clone() };
    loop {
        let session = match context.accounts.open(key, &opening) {
            Ok(session) => session,
            Err(error) => return close(Reason::AccountNotReady, error.to_string(), false, fingerprint),
        };
        // Somebody changed the account or its Secret, or an hour has passed: the next submit may try the cap again.
        let capped = session.health().spend_cap;
        if session.set(settings.clone()) || capped.is_some_and(|(since, _)| now >= since + SPEND_CAP_PROBE) {
            session.try_spend_cap();
        }
        if let Some(until) = account.status.as_ref().and_then(|status| status.retry_after.as_ref()) {
            session.gate.restore_pause(until.0);
        }
        let who = who(&session).await;
        match who.and_then(|who| who.client_id).filter(|_| opening.client_id.is_none()) {
            // The service says whose token it is: from here on the budget is that client's.
            Some(client_id) => opening.client_id = Some(client_id.chars().take(128).collect()),
            None => return Ok(facts(&session, &opening)),
        }
    }
}

/// Asks whose credentials these are, where the service has not yet accepted them. The route is known from the
/// vendor's notes only, so that an answer other than 200, 401 or 403 says nothing and blocks nothing.
async fn who(session: &Arc<Session>) -> Option<Whoami> {
    let health = session.health();
    if health.accepted.is_some() {
        return None;
    }
    let subject = format!("account {}", session.key);
    let wait = session.gate.acquire(Lane::Cancel, "", &subject);
    let permit = tokio::time::timeout(Duration::from_secs(5), wait).await.ok()?;
    session.whoami(permit).await.ok()
}

fn facts(session: &Arc<Session>, opening: &Opening) -> AccountFacts {
    let health = session.health();
    let client_id = opening.client_id.clone();
    let standing = if let Some((_, message)) = health.redirected {
        AccountHealth::Unusable { reason: Reason::EndpointNotAllowed, message, stalled: true }
    } else if let Some((since, message)) = health.rejected {
        AccountHealth::Rejected { since, message }
    } else if let Some((since, message)) = health.spend_cap {
        AccountHealth::SpendCap { since, message }
    } else {
        AccountHealth::Usable {
            authenticated: health.accepted.is_some(),
            suspended: session.settings().suspended,
        }
    };
    AccountFacts {
        health: standing,
        client_id,
        resource_version: Some(opening.credential.resource_version.clone()),
        paused_until: session.gate.service_pause(),
        jobs: AccountJobs::default(),
    }
}

/// The limits of an account, with the defaults applied and the burst below the rate.
fn limits(account: &ScrapeAccount) -> Limits {
    let documented = Limits::default();
    let given = account.spec.limits.clone().unwrap_or_default();
    let whole = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    let requests_per_minute =
        whole(given.requests_per_minute).unwrap_or(documented.requests_per_minute).max(2);
    let burst = whole(given.burst).unwrap_or_else(|| (requests_per_minute / 5).clamp(1, 20));
    Limits {
        requests_per_minute,
        burst: burst.clamp(1, requests_per_minute - 1),
        submits_per_minute: whole(given.submits_per_minute).unwrap_or(documented.submits_per_minute),
    }
}

/// What people are told when an account becomes usable, or ceases to be.
fn transition(before: &ScrapeAccountStatus, after: &ScrapeAccountStatus) -> Vec<decide::Event> {
    let ready = |status: &ScrapeAccountStatus| find(&status.conditions, "Ready").cloned();
    let Some(now) = ready(after) else { return Vec::new() };
    let same = ready(before).is_some_and(|then| then.status == now.status && then.reason == now.reason);
    let reason = Reason::parse(&now.reason).filter(|_| !same);
    let warning = now.status != ConditionStatus::True;
    reason.map(|reason| decide::Event { warning, reason, note: now.message }).into_iter().collect()
}

fn again(facts: &AccountFacts, now: Timestamp) -> Action {
    let left = |since: Timestamp, after: Duration| {
        let gone = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        after.saturating_sub(gone).max(Duration::from_secs(1))
    };
    match &facts.health {
        AccountHealth::Unusable { .. } | AccountHealth::Rejected { .. } => Action::requeue(RETRY_REJECTED),
        AccountHealth::SpendCap { since, .. } => Action::requeue(left(*since, SPEND_CAP_PROBE)),
        AccountHealth::Usable { authenticated, .. } => match facts.paused_until {
            // The end of the pause is a change that nothing else tells.
            Some(until) => Action::requeue(
                Duration::try_from(until.duration_since(now)).unwrap_or_default() + Duration::from_secs(1),
            ),
            None if *authenticated => Action::await_change(),
            None => Action::requeue(RETRY_UNKNOWN),
        },
    }
}

fn on_error(error: &WriteError) -> Action {
    tracing::info!(%error, "an account could not be looked at or written; looking again");
    Action::requeue(Duration::from_secs(2))
}
