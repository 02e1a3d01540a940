//! The one write of a claim, onto an account of either kind or off it.

use std::time::Duration;

use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Resource, ResourceExt};

use super::super::kind::Account;
use super::sight::saw;
use crate::account::AccountKey;
use crate::api::{ClusterScrapeAccount, OperatorClaim, Reason, ScrapeAccount, Stored};
use crate::controller::context::Context;
use crate::controller::context::schema::Kind;
use crate::controller::write::PROVEN;
use crate::decide::message::Account as Said;
use crate::decide::{self, Message};
use crate::leader::{Scope, Sight};
use crate::status::{WriteError, answered, patch_claim};

/// How soon a claim that was not written is tried again, if no change comes before: all jobs of the scope wait for it.
const RETRY: Duration = Duration::from_millis(250);
/// The longest such pause; each further one in a row is twice as long.
const LONGEST_RETRY: Duration = Duration::from_secs(4);
/// The same where the API server will not have it.
const REFUSED: Duration = Duration::from_secs(30);

/// When a claim that was not written is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Again {
    /// The write was lost, or what it was decided on was not so any more.
    Soon,
    /// Another try would end as this one did.
    After(Duration),
}

impl Again {
    /// The pause after so many lost writes in a row.
    pub(super) fn pause(self, lost: u32) -> Duration {
        match self {
            Self::Soon => RETRY.saturating_mul(1 << lost.min(4)).min(LONGEST_RETRY),
            Self::After(pause) => pause,
        }
    }
}

/// Writes a claim onto an account or takes it off, where the account is as it was seen; returns its version after that.
pub(super) async fn write(
    context: &Context,
    scope: &Scope,
    account: &Sight,
    claim: Option<&OperatorClaim>,
) -> Result<String, Again> {
    let written = match scope {
        Scope::Namespace(_) => {
            write_to::<ScrapeAccount>(context, Some(context.known.own()), scope, account, claim).await
        }
        Scope::Cluster(_) => {
            write_to::<ClusterScrapeAccount>(context, context.known.cluster(), scope, account, claim).await
        }
    };
    let error = match written {
        Ok(version) => return Ok(version),
        Err(error) => error,
    };
    tracing::debug!(%scope, account = account.name, %error, "a claim was not written");
    Err(match error {
        WriteError::Refused(words) => {
            // Another account may take it.
            context.claims.refused(scope, &account.age);
            let note = Said::ClaimRefused { scope: scope.to_string(), words: words.clone() };
            if claim.is_some() && context.claims.is_news(scope, &words) {
                tell(context, scope, account, (Reason::WriteRefused, note.into())).await;
            }
            Again::After(REFUSED)
        }
        WriteError::UnknownFields(_) | WriteError::Dropped(_) => Again::After(REFUSED),
        WriteError::Lost(_) | WriteError::Unanswered(_) => Again::Soon,
    })
}

async fn write_to<K: Account>(
    context: &Context,
    store: Option<Store<Stored<K>>>,
    scope: &Scope,
    account: &Sight,
    claim: Option<&OperatorClaim>,
) -> Result<String, WriteError> {
    let key = AccountKey::in_scope(scope, account.name.clone());
    let api = K::api(&context.client, &key.namespace);
    let of = ObjectRef::new(&key.name).within(&key.namespace);
    let is_it = |found: &Stored<K>| found.resource_version().as_ref() == Some(&account.version);
    let current = match store.and_then(|store| store.get(&of)).filter(|cached| is_it(cached)) {
        Some(cached) => (*cached).clone(),
        // The watch is behind what is known from elsewhere.
        None => look::<K>(context, &api, account).await?,
    };
    let recorded = current.usable().and_then(K::status).cloned().unwrap_or_default();
    let kind = Kind::Account(K::KIND);
    match context.prove(kind, (&key.namespace, &key.name), PROVEN).await {
        // What other kinds would lose is not written here.
        Err(error) if error.not_kept().is_some() && context.schema.keeps(kind) => {}
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    let version = context.claims.version_after(scope, current.resource_version().unwrap_or_default());
    let written = patch_claim(&api, &key.name, &version, (&recorded, claim)).await;
    match written {
        Ok(written) => Ok(written.resource_version().unwrap_or_default()),
        Err(error) => {
            if matches!(error, WriteError::Lost(_)) {
                // A watch may be minutes behind, and a claim is not to run out for that.
                drop(look::<K>(context, &api, account).await);
            }
            context.doubt(kind, &error).await;
            Err(error)
        }
    }
}

/// Reads the account as it is, and has the claims know it.
async fn look<K: Account>(
    context: &Context,
    api: &Api<Stored<K>>,
    account: &Sight,
) -> Result<Stored<K>, WriteError> {
    let live = answered(api.get_opt(&account.name)).await?;
    let lost = || WriteError::Lost("the account is another one by now".to_owned());
    let live = live.filter(|live| live.uid().as_ref() == Some(&account.age.uid)).ok_or_else(lost)?;
    saw(&context.claims, &live);
    // What is decided on it may be something else.
    let same = live.resource_version().as_ref() == Some(&account.version);
    if same { Ok(live) } else { Err(lost()) }
}

/// Warns people by an event on an account.
pub(super) async fn tell(
    context: &Context,
    scope: &Scope,
    account: &Sight,
    (reason, note): (Reason, Message),
) {
    tracing::warn!(%scope, "{note}");
    let event = decide::Event { warning: true, reason, note };
    let about = match scope {
        Scope::Namespace(namespace) => {
            let of = ObjectRef::new(&account.name).within(namespace);
            context.known.own().get(&of).map(|account| account.object_ref(&()))
        }
        Scope::Cluster(_) => {
            let cached = context.known.cluster().and_then(|store| store.get(&ObjectRef::new(&account.name)));
            cached.map(|account| account.object_ref(&()))
        }
    };
    if let Some(about) = about {
        context.tell(&about, event).await;
    }
}
