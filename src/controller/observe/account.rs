//! Which account an object uses, how it stands, and what may be done with it for this object.

use std::sync::Arc;

use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};

use super::facts;
use crate::account::{AccountKey, News, Session, Standing};
use crate::api::{AccountKind, DEFAULT_ACCOUNT, Reason, ScrapeAccount, ScrapeJob, Stored};
use crate::controller::context::Context;
use crate::controller::context::accounts::{Admission, takes_default};
use crate::controller::context::jobs::Remembered;
use crate::decide::message::Account;
use crate::decide::{AccountFacts, AccountUse, Named};
use crate::health::waiting;
use crate::status::{WriteError, answered};

/// An account, and whether the API server knows it although the cache does not yet.
pub(super) struct Used {
    key: AccountKey,
    ahead: bool,
}

/// The account that a job uses.
///
/// A job goes to the cluster's default for want of one of its own only once the API server itself said so: the two may
/// be created in one breath, and the cache learn of the job first.
pub(super) async fn of(
    context: &Context,
    job: &ScrapeJob,
    remembered: &Remembered,
) -> Result<Used, WriteError> {
    // Before the accounts are listed, nobody can say which one it is.
    let namespace = job.namespace().unwrap_or_default();
    if !waiting(context.known.synced_in(&namespace)).await {
        return Err(WriteError::Unanswered(format!(
            "the accounts of namespace {namespace} cannot be listed"
        )));
    }
    let key = context.account_of(job);
    if key.kind() == AccountKind::ScrapeAccount || !takes_default(job) || remembered.no_own_account {
        return Ok(Used { key, ahead: false });
    }
    let namespace = job.namespace().unwrap_or_default();
    let own: Api<Stored<PartialObjectMeta<ScrapeAccount>>> =
        Api::namespaced(context.client.clone(), &namespace);
    if answered(own.get_opt(DEFAULT_ACCOUNT)).await?.is_some() {
        return Ok(Used { key: AccountKey { namespace, name: DEFAULT_ACCOUNT.to_owned() }, ahead: true });
    }
    let uid = job.uid().unwrap_or_default();
    context.memories.set(&uid, |remembered| remembered.no_own_account = true);
    Ok(Used { key, ahead: false })
}

/// Whether the account is about to be opened, as every one is after a start: until then nobody knows how it stands, and
/// nothing is to be decided on it. One that rested, because it had no work, is asked to be. Its jobs are told when it is.
pub(super) fn is_opening(context: &Context, Used { key, ahead }: &Used) -> bool {
    let opening = !ahead && context.accounts.standing(key).is_none() && context.known.can_open(key);
    if opening {
        context.accounts.nudge(News::Account(key.clone()));
    }
    opening
}

impl Context {
    /// How an account stands, in decide's words.
    pub(in crate::controller) fn account_facts(&self, account: &AccountKey) -> AccountFacts {
        facts::account(account, self.accounts.standing(account), self.known.has(account))
    }
}

/// How the account stands for this job, and the session to act with.
///
/// A namespace that a cluster account does not admit gets nothing new of it. What was begun with it while it was
/// admitted, which the recorded account shows, is followed and cancelled all the same.
pub(super) fn facts(
    context: &Context,
    job: &ScrapeJob,
    Used { key, ahead }: &Used,
) -> Result<(AccountFacts, Option<Arc<Session>>), WriteError> {
    let deleting = job.metadata.deletion_timestamp.is_some();
    let status = job.status.as_ref();
    let begun = status.is_some_and(|status| status.account.is_some());
    let accepted = begun && status.is_some_and(|status| status.job_id.is_some());
    if key.kind() == AccountKind::ClusterScrapeAccount && !context.known.cluster_accounts() {
        let (message, fingerprint) = (Account::ClusterAccountsOff.to_string(), "off".to_owned());
        return Ok((AccountFacts::Unusable { reason: Reason::AccountNotReady, message, fingerprint }, None));
    }
    let namespace = job.namespace().unwrap_or_default();
    let barred = match context.known.admission(key, &namespace) {
        Admission::Admitted => None,
        Admission::Refused(why) => Some((Reason::NamespaceNotAllowed, why)),
        Admission::Unknown => {
            let why = Account::LabelsUnknown(namespace.clone()).to_string();
            if !accepted && !deleting {
                return Err(WriteError::Unanswered(why));
            }
            Some((Reason::NamespaceNotAllowed, why))
        }
    };
    let standing = context.accounts.standing(key);
    if let Some((reason, message)) = barred.clone().filter(|_| !begun) {
        let fingerprint = facts::account(key, standing, true).fingerprint().to_owned();
        return Ok((AccountFacts::Unusable { reason, message, fingerprint }, None));
    }
    let session = match &standing {
        Some(Standing::Usable(session)) => Some(Arc::clone(session)),
        // `kubectl delete -f` removes the Secret seconds before the job: its last session still cancels.
        Some(Standing::Unusable { .. }) | None if deleting => context.accounts.last_session(key),
        Some(Standing::Unusable { .. }) | None => None,
    };
    let mut found = match &session {
        Some(session) if deleting => AccountFacts::Usable(facts::account_use(session)),
        Some(_) | None => facts::account(key, standing, *ahead || context.known.has(key)),
    };
    if let AccountFacts::Usable(account) = &mut found {
        account.barred = barred.or_else(|| account.barred.take());
        account.named = named(context, job, account);
    }
    Ok((found, session))
}

/// What the object may do with a job that it only names: with an account that others use, too, what they have is theirs.
fn named(context: &Context, job: &ScrapeJob, account: &AccountUse) -> Named {
    if account.kind == AccountKind::ScrapeAccount {
        return Named::Own;
    }
    // What was looked at before is looked at still.
    let seen = job.status.as_ref().is_some_and(|status| status.submission.is_some());
    let Some(id) = job.spec.job_id.as_deref().filter(|_| !seen) else { return Named::NotAllowed };
    let client = context.accounts.every_name_of(account.client());
    let (mut here, mut elsewhere) = (false, false);
    for other in context.jobs.holders(id) {
        let of_client = other.client.is_none_or(|theirs| client.may_be(&theirs));
        if of_client && job.uid().as_ref() != Some(&other.uid) {
            let same = job.metadata.namespace.as_ref() == Some(&other.namespace);
            here |= same;
            elsewhere |= !same;
        }
    }
    match (elsewhere, here || context.known.allows_mirrors(&account.name)) {
        (true, _) => Named::OfOthers,
        (false, true) => Named::Followed,
        (false, false) => Named::NotAllowed,
    }
}
