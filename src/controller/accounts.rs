//! The pipeline of one account: read its Secret, open it, ask who it is, say how it stands.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::context::{CachedAccount, Context};
use crate::account::{AccountKey, Opening, Session, Settings, from_secret};
use crate::api::{AccountJobs, Credential, Reason, ScrapeAccount, ScrapeJobStatus, State};
use crate::spideriq::budget::{Lane, Limits};
use crate::spideriq::{Endpoint, Whoami};
use crate::status::{AccountFacts, AccountHealth, WriteError, account_status, patch_account_status};

/// How many accounts are worked on at once.
const AT_ONCE: u16 = 8;
/// How often the counts of an account with unfinished jobs are looked at.
const COUNT_EVERY: Duration = Duration::from_secs(60);
/// How often a reached spend cap is probed.
const PROBE_SPEND_CAP: Duration = Duration::from_secs(3600);
/// How often rejected credentials are tried again without a change of the Secret.
const RETRY_REJECTED: Duration = Duration::from_secs(300);

/// Runs until the process stops.
pub async fn run(context: Arc<Context>, nudges: mpsc::UnboundedReceiver<AccountKey>) {
    let (reader, writer) = kube::runtime::reflector::store();
    let watched = watch(&context, writer);
    let told = UnboundedReceiverStream::new(nudges)
        .map(|key| ObjectRef::<CachedAccount>::new(&key.name).within(&key.namespace));
    let mut stopping = context.stopping.clone();
    let stopped = async move {
        // An error means that the sender is gone, which is a stop as well.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    Controller::for_stream(watched, reader)
        .with_config(Config::default().concurrency(AT_ONCE))
        .reconcile_on(told)
        .graceful_shutdown_on(stopped)
        .run(reconcile, |_, error: &WriteError, _| on_error(error), context)
        .for_each(|_| async {})
        .await;
}

fn watch(
    context: &Arc<Context>,
    writer: Writer<CachedAccount>,
) -> impl futures::Stream<Item = Result<CachedAccount, watcher::Error>> + Send + use<> {
    let apis: Vec<Api<CachedAccount>> = context.apis();
    let streams =
        apis.into_iter().map(|api| watcher(api, watcher::Config::default()).default_backoff().boxed());
    let context = Arc::clone(context);
    let noting = futures::stream::select_all(streams).inspect(move |event| {
        if let Ok(watcher::Event::Delete(account)) = event {
            let key = key_of(account);
            context.accounts.remove(&key);
            context.secrets.forget(&key);
            context.wake_jobs(&key);
        }
    });
    noting.reflect(writer).touched_objects()
}

fn key_of(account: &impl ResourceExt) -> AccountKey {
    AccountKey { namespace: account.namespace().unwrap_or_default(), name: account.name_any() }
}

async fn reconcile(cached: Arc<CachedAccount>, context: Arc<Context>) -> Result<Action, WriteError> {
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
    let facts = open(&context, &key, account).await;
    let counts = counts(&context, &key);
    let facts = AccountFacts { jobs: counts, ..facts };
    let now = context.clock.now();
    let recorded = account.status.clone().unwrap_or_default();
    let generation = account.metadata.generation.unwrap_or(0);
    if let Some(status) = account_status(&facts, &recorded, generation, now) {
        let api: Api<ScrapeAccount> = Api::namespaced(context.client.clone(), &key.namespace);
        let version = account.resource_version().unwrap_or_default();
        patch_account_status(&api, &key.name, &version, &recorded, &status).await?;
    }
    if before != context.account_facts(&key) {
        context.wake_jobs(&key);
    }
    Ok(again(&facts, now))
}

/// Opens the account as far as it can be, and tells how far that was.
async fn open(context: &Context, key: &AccountKey, account: &ScrapeAccount) -> AccountFacts {
    let identity =
        format!("{}/{}", account.uid().unwrap_or_default(), account.metadata.generation.unwrap_or(0));
    let close = |reason: Reason, message: String, stalled: bool, fingerprint: String| {
        context.accounts.close(key, reason, message.clone(), fingerprint);
        AccountFacts {
            health: AccountHealth::Unusable { reason, message, stalled },
            ..AccountFacts::default()
        }
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
        Ok(Err(error)) => {
            return close(
                Reason::CredentialsMissing,
                format!("Secret {name} cannot be read: {error}"),
                false,
                identity,
            );
        }
        Err(_) => {
            let message = format!("Secret {name} cannot be read: the API server did not answer in time");
            return close(Reason::CredentialsMissing, message, false, identity);
        }
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
    let settings =
        Settings { suspended: account.spec.suspend == Some(true), fingerprint: fingerprint.clone() };
    loop {
        let session = match context.accounts.open(key, &opening) {
            Ok(session) => session,
            Err(error) => return close(Reason::AccountNotReady, error.to_string(), false, fingerprint),
        };
        session.set(settings.clone());
        if let Some(until) = account.status.as_ref().and_then(|status| status.retry_after.as_ref()) {
            session.gate.restore_pause(until.0);
        }
        let who = who(&session).await;
        match who.and_then(|who| who.client_id).filter(|_| opening.client_id.is_none()) {
            // The service says whose token it is: from here on the budget is that client's.
            Some(client_id) => opening.client_id = Some(client_id.chars().take(128).collect()),
            None => return facts(&session, &opening),
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
    session.ask(permit, async |client| client.whoami().await).await.ok()
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

fn counts(context: &Context, key: &AccountKey) -> AccountJobs {
    let mut counts = AccountJobs::default();
    for job in context.jobs_of(key) {
        let Ok(job) = &job.0 else { continue };
        let status = job.status.clone().unwrap_or_else(ScrapeJobStatus::default);
        match (status.finished, status.job_id.is_some(), status.current_state()) {
            (true, _, _) | (_, _, State::Suspended | State::Held) => {}
            (false, true, _) => counts.active += 1,
            (false, false, _) => counts.waiting += 1,
        }
    }
    counts
}

fn again(facts: &AccountFacts, now: Timestamp) -> Action {
    let left = |since: Timestamp, after: Duration| {
        let gone = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        after.saturating_sub(gone).max(Duration::from_secs(1))
    };
    match &facts.health {
        AccountHealth::Unusable { .. } | AccountHealth::Rejected { .. } => Action::requeue(RETRY_REJECTED),
        AccountHealth::SpendCap { since, .. } => Action::requeue(left(*since, PROBE_SPEND_CAP)),
        AccountHealth::Usable { .. }
            if facts.jobs != AccountJobs::default() || facts.paused_until.is_some() =>
        {
            Action::requeue(COUNT_EVERY)
        }
        AccountHealth::Usable { authenticated: false, .. } => Action::requeue(COUNT_EVERY),
        AccountHealth::Usable { .. } => Action::await_change(),
    }
}

fn on_error(error: &WriteError) -> Action {
    tracing::info!(%error, "the status of an account was not written; looking again");
    Action::requeue(Duration::from_secs(2))
}
