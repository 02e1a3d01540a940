//! Opens an account: reads its Secret, has the service say whose it is, and makes its session.
//!
//! Nothing of a token is believed before the service accepted that very token, by this process or, as the status of the
//! account tells, by an earlier one (`docs/adr/0016`).

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, ResourceExt};

use super::kind::Subject;
use crate::account::{AccountKey, News, Opening, Session, Settings, from_secret, is_labelled, needs_label};
use crate::api::{
    AccountKind, AccountSync, Credential, EventsUse, ObjectName, Reason, ScrapeAccountSpec,
    ScrapeAccountStatus, Stored, SyncMode, SyncReason,
};
use crate::budget::Limits;
use crate::controller::context::Context;
use crate::decide::account::{
    AccountHealth, AccountState, LATER, Proof, RETRY_UNKNOWN, Said, Unproven, accepted_since, capped,
    is_accepted, is_of,
};
use crate::decide::message::{Account, Remark};
use crate::health::waiting;
use crate::kubernetes::{said_of, said_of_status};
use crate::poll::{Used, Why};
use crate::spideriq::{Endpoint, Error};
use crate::status::WriteError;

/// How soon it is seen to that a read which tries a long pause has gone out.
const READ_AGAIN: Duration = Duration::from_secs(15);

/// What a look at an account came to.
pub(super) struct Opened {
    /// How it stands; `None` while the service is asked for the first time.
    pub(super) facts: Option<AccountState>,
    /// When it is to be looked at again, where how it stands does not tell.
    pub(super) again: Option<Duration>,
}

impl From<AccountState> for Opened {
    fn from(facts: AccountState) -> Self {
        Self { facts: Some(facts), again: None }
    }
}

/// An account whose Secret was read.
struct Read<'a> {
    context: &'a Context,
    account: &'a Subject<'a>,
    opening: Opening,
    /// Changes whenever the account or its Secret does.
    fingerprint: String,
    /// Its status, where that tells of the account and the Secret as they are now.
    told: Option<&'a ScrapeAccountStatus>,
    works: bool,
}

/// Opens the account as far as it can be, and tells how far that was.
///
/// # Errors
/// If the API server did not give the Secret: that says nothing of the account, so what is open stays open.
pub(super) async fn open(
    context: &Context,
    account: &Subject<'_>,
    (namespace, name): (&ObjectName, &ObjectName),
    works: bool,
) -> Result<Opened, WriteError> {
    let (key, identity) = (&account.key, account.identity.clone());
    let close = |reason: Reason, message: String, stalled: bool, fingerprint: String| {
        context.accounts.stop_proving(key);
        Ok(closed(context, account, AccountHealth::Unusable { reason, message, stalled }, fingerprint).into())
    };
    let endpoint = match Endpoint::parse(account.spec.endpoint()) {
        Ok(endpoint) => endpoint,
        Err(error) => return close(Reason::EndpointNotAllowed, error.to_string(), true, identity),
    };
    if let Err(error) = endpoint.check(&context.options.allowed_endpoints) {
        return close(Reason::EndpointNotAllowed, error.to_string(), true, identity);
    }
    let secret = match secret(context, key, (namespace, name)).await? {
        Ok(secret) => secret,
        Err(message) => return close(Reason::CredentialsMissing, message.to_string(), false, identity),
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
    let unlabelled = !credentials.is_documented() && !is_labelled(&secret);
    let told =
        account.status.filter(|status| is_of(status, account.generation, &credential.resource_version));
    let opening = Opening { endpoint, credentials, credential };
    let read = Read { context, account, opening, fingerprint, told, works };
    let serves = context.accounts.last_session(key);
    let serves = serves.is_some_and(|session| session.credential == read.opening.credential);
    if unlabelled && !serves && !is_accepted(account.status, &read.opening.credential) {
        return Ok(read.unlabelled(needs_label(name.as_str())).into());
    }
    let mut opened = read.open();
    if let Some(facts) = opened.facts.as_mut().filter(|_| unlabelled) {
        facts.warning = Some(Remark::NeedsLabel(needs_label(name.as_str())));
    }
    Ok(opened)
}

/// The Secret of an account; else why it has none that can be read.
async fn secret(
    context: &Context,
    account: &AccountKey,
    (namespace, name): (&ObjectName, &ObjectName),
) -> Result<Result<Secret, Account>, WriteError> {
    let secrets: Api<Stored<Secret>> = Api::namespaced(context.client.clone(), namespace.as_str());
    let read = tokio::time::timeout(Duration::from_secs(10), secrets.get_opt(name.as_str()));
    match waiting(read).await {
        Ok(Ok(Some(Stored { read: Ok(secret), .. }))) => Ok(Ok(secret)),
        Ok(Ok(Some(_))) => Ok(Err(Account::SecretUnreadable(name.to_string()))),
        Ok(Ok(None)) => {
            let operator_namespace = match account.kind() {
                AccountKind::ScrapeAccount => None,
                AccountKind::ClusterScrapeAccount => Some(namespace.to_string()),
            };
            Ok(Err(Account::NoSecret { name: name.to_string(), operator_namespace }))
        }
        Ok(Err(kube::Error::Api(refusal))) if refusal.code == 403 => {
            Ok(Err(Account::SecretForbidden { name: name.to_string(), words: said_of_status(&refusal) }))
        }
        Ok(Err(error)) => Err(WriteError::Unanswered(said_of(&error))),
        Err(_) => Err(WriteError::Unanswered("the API server did not answer in time".to_owned())),
    }
}

impl Read<'_> {
    /// Opens the account with what its Secret holds.
    fn open(&self) -> Opened {
        let (context, key) = (self.context, &self.account.key);
        // What this process knows of the spend cap is newer than what an earlier one wrote down.
        let cap = self.told.and_then(|status| match context.accounts.last_session(key) {
            Some(session) => session.gate.spend_cap(),
            None => capped(status),
        });
        let limits = limits(self.account.spec);
        let session = match self.session(limits) {
            Ok(Ok(session)) => session,
            Ok(Err(opened)) => return opened,
            Err(error) => {
                let (reason, message) = (Reason::AccountNotReady, error.to_string());
                let health = AccountHealth::Unusable { reason, message, stalled: false };
                return closed(context, self.account, health, self.fingerprint.clone()).into();
            }
        };
        if let Some(until) = cap {
            session.restore_spend_cap(until);
        }
        let no_submits = limits.is_some_and(|limits| limits.submits_per_minute == 0);
        if let Some(status) = self.account.status {
            let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
            session.gate.restore_pauses(time(&status.retry_after), time(&status.submits_retry_after));
        }
        // Somebody changed the account or its Secret, rather than that this process or this session is new; or asks for it.
        if session.set(self.settings(no_submits)) && self.told.is_none() || self.account.wish().is_some() {
            session.gate.try_now();
        }
        if session.gate.forget_untried_cap() {
            context.accounts.nudge(News::Client(key.clone()));
        }
        let health = session.health();
        let well = health.rejected.is_none() && health.redirected.is_none();
        context.accounts.set_limits(key, limits, well);
        put_in_use(context, &session);
        let tries = session.gate.read_tries_at();
        let left =
            tries.map(|at| Duration::try_from(at.duration_since(context.clock.now())).unwrap_or_default());
        let due = left.is_some_and(|left| left.is_zero());
        let asks_in = session.asks_in();
        let asks = asks_in.is_some_and(|left| left.is_zero());
        if self.works && (health.accepted.is_none() || asks || due) {
            context.claims.stand(&key.scope());
            session.ask_who();
        }
        let sync = Some(AccountSync { events: self.events(), ..sync(&session) });
        let mut facts = AccountState { sync, no_submits, ..facts(&session) };
        let given = session.gate.limits().requests_per_minute;
        if limits.is_some_and(|limits| limits.requests_per_minute > given) {
            facts.remarks.push(Remark::BeyondClient);
        }
        // Nothing else tells when a read is to try a long pause; whether one is there that waits for it or not.
        let again = left
            .map(|left| left.max(READ_AGAIN))
            .into_iter()
            .chain(asks_in.map(|left| left.max(RETRY_UNKNOWN)));
        let again = again.min().filter(|_| self.works);
        Opened { facts: Some(facts), again }
    }

    /// What may change about it while it is in use.
    fn settings(&self, no_submits: bool) -> Settings {
        let key = &self.account.key;
        let barred = no_submits.then(|| {
            let account = format!("{} {}", key.kind().as_str(), key.name);
            (Reason::AccountNotReady, Account::NoSubmitsOf(account).to_string())
        });
        let suspended = self.account.spec.suspend == Some(true);
        Settings { suspended, used: self.used(), barred, fingerprint: self.fingerprint.clone() }
    }

    /// By what its jobs are followed.
    fn used(&self) -> Used {
        Used { list: self.account.spec.lists(), events: self.events() == Some(EventsUse::Used) }
    }

    /// Whether the service's events are used, where the account asks for them.
    fn events(&self) -> Option<EventsUse> {
        let spec = self.account.spec;
        let possible = spec.lists() && self.opening.credentials.may_stream();
        spec.events().then_some(match (self.context.options.events, possible) {
            (false, _) => EventsUse::NotAllowed,
            (true, false) => EventsUse::NotPossible,
            (true, true) => EventsUse::Used,
        })
    }

    /// The session of the account as it is now; else how it stands without one.
    fn session(&self, limits: Option<Limits>) -> Result<Result<Arc<Session>, Opened>, Error> {
        let accounts = &self.context.accounts;
        let (key, opening) = (&self.account.key, &self.opening);
        let start = |proof: Proof| accounts.start(key, opening, (proof, limits));
        if let Some(session) = accounts.opened(key, opening) {
            let health = session.health();
            let client = session.client();
            let other = health.named.filter(|named| !client.is_called(named));
            let Some(named) = other else { return Ok(Ok(session)) };
            // The service says whose token it is: from here on the budget is that client's.
            let spent = session.gate.limits().burst.saturating_sub(session.gate.available());
            let since = health.accepted.unwrap_or_else(|| self.context.clock.now());
            let session = start(Proof::new(Some(named), self.claimed(), true, since))?;
            session.gate.charge(spent);
            return Ok(Ok(session));
        }
        if let Some(status) = self.told
            && let Some(since) = accepted_since(status)
        {
            return Ok(Ok(start(Proof::recorded(status, self.claimed(), since))?));
        }
        let proving = accounts.prove(key, opening)?;
        if self.account.wish().is_some() {
            proving.hurry();
        }
        let said = proving.said();
        if let Said::Accepted(proof) = said {
            return Ok(Ok(start(proof)?));
        }
        let asks = said.is_asked(self.works);
        if asks {
            self.context.claims.stand(&key.scope());
        }
        let again = Some(if asks { proving.ask(self.works) } else { LATER });
        let waited = self.context.clock.instant() - proving.begun;
        Ok(Err(match said.unproven(self.works, waited, &opening.endpoint.to_string()) {
            Unproven::Silent(left) => Opened { facts: None, again: Some(left) },
            Unproven::Stands(health) => {
                let facts = closed(self.context, self.account, health, self.fingerprint.clone());
                Opened { facts: Some(facts), again }
            }
        }))
    }

    /// The client's name that the token itself carries.
    fn claimed(&self) -> Option<String> {
        self.opening.credentials.client_id().map(str::to_owned)
    }

    /// The token may be another service's, and is not sent. What was accepted last goes on serving what was begun.
    fn unlabelled(&self, message: String) -> AccountState {
        let accounts = &self.context.accounts;
        accounts.stop_proving(&self.account.key);
        let endpoint = self.opening.endpoint.to_string();
        let serving = accounts.in_use(&self.account.key).filter(|session| session.endpoint == endpoint);
        let health = unusable(Reason::CredentialsMissing, message.clone(), false);
        let Some(session) = serving else {
            return closed(self.context, self.account, health, self.fingerprint.clone());
        };
        session.set(Settings {
            barred: Some((Reason::CredentialsMissing, message)),
            fingerprint: self.fingerprint.clone(),
            ..session.settings()
        });
        AccountState { health, ..facts(&session) }
    }
}

fn unusable(reason: Reason, message: String, stalled: bool) -> AccountHealth {
    AccountHealth::Unusable { reason, message, stalled }
}

/// Closes an account that cannot be used.
fn closed(
    context: &Context,
    account: &Subject<'_>,
    health: AccountHealth,
    fingerprint: String,
) -> AccountState {
    let (why, rejected) = health.why();
    context.accounts.close(&account.key, why, rejected, fingerprint);
    AccountState { health, ..AccountState::default() }
}

/// Uses the account from now on, unless it went meanwhile: whoever saw that found nothing to forget yet.
fn put_in_use(context: &Context, session: &Arc<Session>) {
    context.accounts.put_in_use(session);
    if !context.known.has(&session.key) {
        context.accounts.remove(&session.key);
    }
}

fn facts(session: &Arc<Session>) -> AccountState {
    let health = AccountHealth::of(session.health(), session.spend_cap(), session.settings().suspended);
    AccountState {
        health,
        client_id: session.client_id.clone(),
        client_id_source: session.client_id_source(),
        resource_version: Some(session.credential.resource_version.clone()),
        paused_until: session.gate.service_pause(),
        submits_paused_until: session.gate.submits_pause(),
        unavailable: session.gate.unavailable().map(|words| words.to_string()),
        sync: Some(sync(session)),
        ..AccountState::default()
    }
}

/// How the jobs of an account are followed.
fn sync(session: &Session) -> AccountSync {
    if !session.settings().used.list {
        return AccountSync { mode: SyncMode::OneByOne, reason: None, events: None };
    }
    let reason = session.list_is_left().map(|why| match why {
        Why::Refused => SyncReason::ListRefused,
        Why::Unreadable => SyncReason::ListUnreadable,
        Why::Slow => SyncReason::ListSlow,
        Why::Partial => SyncReason::ListPartial,
    });
    let mode = if reason.is_none() { SyncMode::List } else { SyncMode::OneByOne };
    AccountSync { mode, reason, events: None }
}

/// The limits that an account gives itself, with the defaults applied and the burst below the rate.
fn limits(spec: &ScrapeAccountSpec) -> Option<Limits> {
    let documented = Limits::default();
    let given = spec.limits.clone()?;
    let whole = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    let requests = whole(given.requests_per_minute).unwrap_or(documented.requests_per_minute).max(2);
    let submits = whole(given.submits_per_minute).unwrap_or(documented.submits_per_minute);
    let usual = Limits::new(requests, submits);
    let burst = whole(given.burst).unwrap_or(usual.burst).clamp(1, requests - 1);
    Some(Limits { burst, ..usual })
}
