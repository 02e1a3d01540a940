//! Opens an account: reads its Secret, makes its session, asks who it is.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};

use super::kind::Subject;
use crate::account::{Opening, Session, Settings, from_secret};
use crate::api::{
    AccountJobs, AccountKind, Credential, ObjectName, Reason, ScrapeAccountSpec, ScrapeAccountStatus, Stored,
    find,
};
use crate::controller::context::Context;
use crate::health::waiting;
use crate::kubernetes::{said_of, said_of_status};
use crate::spideriq::budget::{Lane, Limits};
use crate::spideriq::{Endpoint, Whoami};
use crate::status::{AccountFacts, AccountHealth, WriteError};

/// Opens the account as far as it can be, and tells how far that was.
///
/// # Errors
/// If the API server did not give the Secret: that says nothing of the account, so what is open stays open.
pub(super) async fn open(
    context: &Context,
    account: &Subject<'_>,
    (namespace, name): (&ObjectName, &ObjectName),
) -> Result<AccountFacts, WriteError> {
    let (key, identity) = (&account.key, account.identity.clone());
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
    let secrets: Api<Stored<Secret>> = Api::namespaced(context.client.clone(), namespace.as_str());
    let read = tokio::time::timeout(Duration::from_secs(10), secrets.get_opt(name.as_str()));
    let secret = match waiting(read).await {
        Ok(Ok(Some(Stored { read: Ok(secret), .. }))) => secret,
        Ok(Ok(Some(_))) => {
            let message = format!("Secret {name} cannot be read; create it anew with the key token");
            return close(Reason::CredentialsMissing, message, false, identity);
        }
        Ok(Ok(None)) => {
            let place = match key.kind() {
                AccountKind::ScrapeAccount => "this namespace".to_owned(),
                AccountKind::ClusterScrapeAccount => format!("namespace {namespace}, the operator's own"),
            };
            let message = format!("Secret {name} does not exist in {place}; create it with the key token");
            return close(Reason::CredentialsMissing, message, false, identity);
        }
        Ok(Err(kube::Error::Api(refusal))) if refusal.code == 403 => {
            let message =
                format!("Secret {name} may not be read by the operator: {}", said_of_status(&refusal));
            return close(Reason::CredentialsMissing, message, false, identity);
        }
        Ok(Err(error)) => return Err(WriteError::Unanswered(said_of(&error))),
        Err(_) => return Err(WriteError::Unanswered("the API server did not answer in time".to_owned())),
    };
    let credential = Credential {
        uid: secret.uid().unwrap_or_default(),
        resource_version: secret.resource_version().unwrap_or_default(),
    };
    let fingerprint = format!("{identity}/{}/{}", credential.uid, credential.resource_version);
    let credentials = match from_secret(name.as_str(), &secret) {
        Ok(credentials) => credentials,
        Err(error) => return close(Reason::CredentialsMissing, error.to_string(), false, fingerprint),
    };
    let known =
        context.accounts.client_of(key, &credential).or_else(|| credentials.client_id().map(str::to_owned));
    let told =
        account.status.filter(|status| is_of(status, account.generation, &credential.resource_version));
    // What this process knows of the spend cap is newer than what an earlier one wrote down.
    let capped = told.and_then(|status| match context.accounts.last_session(key) {
        Some(session) => session.spend_cap(),
        None => spend_cap(status),
    });
    let mut opening =
        Opening { endpoint, credentials, credential, client_id: known, limits: limits(account.spec) };
    let settings =
        Settings { suspended: account.spec.suspend == Some(true), fingerprint: fingerprint.clone() };
    loop {
        let session = match context.accounts.open(key, &opening) {
            Ok(session) => session,
            Err(error) => return close(Reason::AccountNotReady, error.to_string(), false, fingerprint),
        };
        if let Some((until, words)) = &capped {
            session.restore_spend_cap(*until, words);
        }
        // Somebody changed the account or its Secret, rather than that this process or this session is new.
        if session.set(settings.clone()) && told.is_none() {
            session.gate.probe_submits();
        }
        if session.gate.forget_untried_cap() {
            // Every account of the client says so.
            context.accounts.nudge(key);
        }
        if let Some(until) = account.status.and_then(|status| status.retry_after.as_ref()) {
            session.gate.restore_pause(until.0);
        }
        // Nothing is decided with an account of an unknown client while it may still be told: what was submitted with
        // it before could not be known as its own.
        let named = session.client_id.is_some();
        if named {
            put_in_use(context, &session);
        }
        let who = who(&session).await;
        if let Some(client_id) = who.and_then(|who| who.client_id).filter(|_| opening.client_id.is_none()) {
            // The service says whose token it is: from here on the budget is that client's.
            opening.client_id = Some(client_id);
            continue;
        }
        if !named {
            put_in_use(context, &session);
        }
        return Ok(facts(&session, &opening));
    }
}

/// Whether a status tells of the account and the Secret as they are now.
fn is_of(status: &ScrapeAccountStatus, generation: i64, secret: &str) -> bool {
    status.observed_generation == Some(generation)
        && status.credential.as_ref().is_some_and(|used| used.resource_version == secret)
}

/// When the reached spend cap was to be tried again as far as a status tells, and the service's words.
fn spend_cap(status: &ScrapeAccountStatus) -> Option<(Timestamp, String)> {
    let until = status.spend_cap_retry_time.as_ref()?.0;
    let words = find(&status.conditions, "Stalled").map(|stalled| stalled.message.clone());
    Some((until, words.unwrap_or_default()))
}

/// Uses the account from now on, unless it went meanwhile: whoever saw that found nothing to forget yet.
fn put_in_use(context: &Context, session: &Arc<Session>) {
    context.accounts.put_in_use(session);
    if !context.known.has(&session.key) {
        context.accounts.remove(&session.key);
    }
}

/// Asks whose credentials these are, where the service has not yet accepted them, or not yet said whose they are. The
/// route is known from the vendor's notes only, so that an answer other than 200, 401 or 403 says nothing and blocks
/// nothing.
async fn who(session: &Arc<Session>) -> Option<Whoami> {
    let health = session.health();
    if health.accepted.is_some() && !is_unnamed(session) {
        return None;
    }
    let subject = format!("account {}", session.key);
    let wait = session.gate.acquire(Lane::Cancel, "", &subject);
    let permit = tokio::time::timeout(Duration::from_secs(5), wait).await.ok()?;
    session.whoami(permit).await.ok()
}

/// Whether the service has still to say whose credentials these are.
fn is_unnamed(session: &Session) -> bool {
    session.client_id.is_none() && !session.health().told
}

fn facts(session: &Arc<Session>, opening: &Opening) -> AccountFacts {
    let health = session.health();
    let authenticated = health.accepted.is_some();
    let client_id = opening.client_id.clone();
    let standing = if let Some((_, message)) = health.redirected {
        AccountHealth::Unusable { reason: Reason::EndpointNotAllowed, message, stalled: true }
    } else if let Some((since, message)) = health.rejected {
        AccountHealth::Rejected { since, message }
    } else if let Some((tried_at, message)) = session.spend_cap() {
        AccountHealth::SpendCap { authenticated, tried_at, message }
    } else {
        AccountHealth::Usable { authenticated, suspended: session.settings().suspended }
    };
    AccountFacts {
        health: standing,
        client_id,
        unnamed: is_unnamed(session),
        resource_version: Some(opening.credential.resource_version.clone()),
        paused_until: session.gate.service_pause(),
        jobs: AccountJobs::default(),
    }
}

/// The limits of an account, with the defaults applied and the burst below the rate.
fn limits(spec: &ScrapeAccountSpec) -> Limits {
    let documented = Limits::default();
    let given = spec.limits.clone().unwrap_or_default();
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
