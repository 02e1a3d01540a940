//! Keeps the claims of this release (`docs/adr/0019`): a task for each scope that somebody wants to work in, which claims
//! it, renews the claim while there is work, and stands back where another release works.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::kind::{Account, key_of};
use crate::account::{AccountKey, News};
use crate::api::{
    AccountKind, ClaimLease, ClusterScrapeAccount, ObjectName, OperatorClaim, Reason, ScrapeAccount,
    ScrapeJob, ScrapeJobStatus, State, Stored,
};
use crate::controller::context::schema::{Kind, PROVEN};
use crate::controller::context::{CachedJob, Context, is_at_rest};
use crate::decide;
use crate::health::waiting;
use crate::leader::claim::{Age, Verdict, has_lapsed};
use crate::leader::{Claims, Record, Scope, Sight, Stand, Task, look_at};
use crate::status::{WriteError, patch_claim};

/// How soon a claim that was not written is tried again, if no change comes before.
const RETRY: Duration = Duration::from_secs(2);
/// The same where the API server will not have it.
const REFUSED: Duration = Duration::from_secs(30);
/// How often the Lease of another release is looked at, while that one is in the way.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often it is asked whether anything is left to be done where no account is left.
const ALONE: Duration = Duration::from_secs(60);
/// How soon a job that is over is looked at again, where something is still to be done with it: it is woken for nothing else.
const SOON: Duration = Duration::from_secs(5);
/// How many claims are taken off at once at a stop, and how long that may take in all.
const AT_ONCE: usize = 16;
const OFF_WITHIN: Duration = Duration::from_secs(3);

/// Keeps claims until it is dropped.
pub(super) async fn run(context: Arc<Context>, mut wanted: mpsc::UnboundedReceiver<Scope>) {
    let leases = Arc::new(Leases::default());
    let mut keepers = JoinSet::new();
    loop {
        tokio::select! {
            // In this order, so that a simulation can be repeated.
            biased;
            Some(scope) = wanted.recv() => {
                keepers.spawn(keep(Arc::clone(&context), Arc::clone(&leases), scope));
            }
            Some(_) = keepers.join_next(), if !keepers.is_empty() => {}
            else => return,
        }
    }
}

/// Sees to one scope, until nobody wants to work there.
async fn keep(context: Arc<Context>, leases: Arc<Leases>, scope: Scope) {
    let claims = &context.claims;
    let news = claims.news(&scope);
    while !context.is_stopping() {
        let Task { verdict, account, asked, rests_for } = claims.task(&scope);
        let next = match (&verdict, &account, rests_for) {
            (Verdict::Free, ..) | (_, None, _) => {
                // What was held when the last account went is held until its jobs are over.
                let lasts = claims.may_send(&scope) && is_under_way(&context, &scope);
                if !lasts {
                    claims.end(&scope);
                    claims.forget_asked(&scope);
                    context.wake_scope(&scope);
                }
                lasts.then_some(ALONE)
            }
            (Verdict::Hold(_), Some(_), Some(left)) => Some(left),
            (Verdict::Hold(_), Some(_), None) if !asked && !is_under_way(&context, &scope) => {
                // It rests as it is: who wants to work again claims again, and anybody else may after a while.
                claims.end(&scope);
                None
            }
            (Verdict::Hold(_), Some(account), None) => {
                Some(claim(&context, &scope, account).await.err().unwrap_or_default())
            }
            (Verdict::Clear(_) | Verdict::Withdraw(_), Some(account), _) => {
                if matches!(verdict, Verdict::Withdraw(_)) {
                    stand_down(&context, &scope);
                }
                Some(take_off(&context, &scope, account).await.err().unwrap_or(RETRY))
            }
            (Verdict::Yield(age), Some(account), left) => {
                let next = give_way(&context, &leases, &scope, (age, account)).await;
                next.map(|next| next.min(left.unwrap_or(RETRY)))
            }
        };
        let Some(pause) = next else {
            if claims.leave(&scope) {
                return;
            }
            continue;
        };
        tokio::select! {
            biased;
            () = news.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether something is to be done in a scope that needs its service, or will by itself.
fn is_under_way(context: &Context, scope: &Scope) -> bool {
    let waits = |job: &ScrapeJob| {
        let status = job.status.as_ref();
        let state = status.map_or(State::Pending, ScrapeJobStatus::current_state);
        let stays = matches!(state, State::Suspended | State::Held)
            && status.is_none_or(|status| status.job_id.is_none())
            && job.metadata.deletion_timestamp.is_none();
        !is_at_rest(job) && !stays
    };
    context.jobs.state().iter().any(|job| waits(job) && is_in(context, scope, job))
}

/// Whether a job is of a scope. Most are of another namespace, which costs nothing to see.
fn is_in(context: &Context, scope: &Scope, job: &ScrapeJob) -> bool {
    let elsewhere = match scope {
        Scope::Namespace(name) => job.metadata.namespace.as_ref() != Some(name),
        Scope::Cluster(_) => false,
    };
    !elsewhere && context.account_of(job).scope() == *scope
}

/// Claims a scope, or renews the claim; else says when to try again.
async fn claim(context: &Context, scope: &Scope, account: &Sight) -> Result<(), Duration> {
    let release = context.claims.release();
    let before = account.claim.as_ref().filter(|claim| claim.id == release.id);
    let claim = OperatorClaim {
        id: release.id.clone(),
        lease: release.lease.clone(),
        renewals: before.map_or(0, |claim| claim.renewals).wrapping_add(1),
        renew_time: Some(Time(whole_second(context.clock.now()))),
    };
    let sent = context.clock.instant();
    let after = write(context, scope, account, Some(&claim)).await?;
    if context.claims.renewed(scope, sent, (account, after)) {
        tracing::info!(%scope, release = release.id, "this release works here");
        context.wake_scope(scope);
    }
    Ok(())
}

/// A status keeps no parts of a second.
fn whole_second(at: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Takes a claim off an account; else says when to try again.
async fn take_off(context: &Context, scope: &Scope, account: &Sight) -> Result<(), Duration> {
    write(context, scope, account, None).await.map(drop)
}

/// Sends nothing more in a scope, and follows nothing.
fn stand_down(context: &Context, scope: &Scope) {
    if context.claims.end(scope) {
        tracing::warn!(%scope, "this release does not work here any more");
    }
    for name in context.claims.accounts(scope) {
        let key = AccountKey::in_scope(scope, name);
        context.accounts.rest(&key);
        context.secrets.forget(&key);
        context.woken.forget(&key);
    }
}

/// Leaves a scope to another release, and says so once. Says when to look again; nothing where nobody waits for that.
async fn give_way(
    context: &Context,
    leases: &Leases,
    scope: &Scope,
    (age, account): (&Age, &Sight),
) -> Option<Duration> {
    stand_down(context, scope);
    context.claims.forget_asked(scope);
    let Some(claim) = &account.claim else { return Some(RETRY) };
    let (id, own) = (&claim.id, &context.claims.release().id);
    if context.claims.is_news(scope, id) {
        let id: String = id.chars().filter(char::is_ascii_graphic).take(320).collect();
        let note = format!(
            "the release {id} of the operator works with {scope}, and {own} does nothing there; uninstall one of them, or give each its own namespaces with watchNamespaces"
        );
        tell(context, scope, account, (Reason::AnotherOperator, note)).await;
    }
    if !is_under_way(context, scope) {
        return None;
    }
    let Some(lease) = &claim.lease else { return Some(LOOK_EVERY * 12) };
    let (lapsed, next) = leases.look(context, lease).await;
    if lapsed {
        context.claims.lapsed(scope, age, claim);
        return Some(Duration::ZERO);
    }
    Some(next)
}

/// Warns people by an event on an account.
async fn tell(context: &Context, scope: &Scope, account: &Sight, (reason, note): (Reason, String)) {
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
        context.publish(&about, &[event]).await;
    }
}

/// Writes a claim onto an account or takes it off, where the account is as it was seen; returns its version after that.
async fn write(
    context: &Context,
    scope: &Scope,
    account: &Sight,
    claim: Option<&OperatorClaim>,
) -> Result<String, Duration> {
    let written = match scope {
        Scope::Namespace(_) => {
            write_to::<ScrapeAccount>(context, Some(context.known.own()), scope, account, claim).await
        }
        Scope::Cluster(_) => {
            write_to::<ClusterScrapeAccount>(context, context.known.cluster(), scope, account, claim).await
        }
    };
    let Err(error) = written else { return written.map_err(|_| RETRY) };
    tracing::debug!(%scope, account = account.name, %error, "a claim was not written");
    Err(match error {
        WriteError::Refused(words) => {
            // Another account may take it.
            context.claims.refused(scope, &account.age);
            let note = format!(
                "the API server refuses that status.operator is written, and without it nothing is done with {scope}: {words}; let the operator's ServiceAccount change the status, and it goes on by itself"
            );
            if claim.is_some() && context.claims.is_news(scope, &words) {
                tell(context, scope, account, (Reason::WriteRefused, note)).await;
            }
            REFUSED
        }
        WriteError::UnknownFields(_) | WriteError::Dropped(_) => REFUSED,
        WriteError::Lost(_) | WriteError::Unanswered(_) => RETRY,
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
    let stale = || WriteError::Lost("the account is about to be seen as it is".to_owned());
    let of = ObjectRef::new(&key.name).within(&key.namespace);
    let cached = store.and_then(|store| store.get(&of)).ok_or_else(stale)?;
    let recorded = cached.usable().and_then(K::status).cloned().unwrap_or_default();
    if cached.uid().as_ref() != Some(&account.age.uid) || recorded.operator != account.claim {
        return Err(stale());
    }
    let kind = Kind::Account(K::KIND);
    match context.prove(kind, (&key.namespace, &key.name), PROVEN).await {
        // What other kinds would lose is not written here.
        Err(error) if error.not_kept().is_some() && context.schema.keeps(kind) => {}
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    let api = K::api(&context.client, &key.namespace);
    let version = context.claims.version_after(scope, cached.resource_version().unwrap_or_default());
    let written = patch_claim(&api, &key.name, &version, (&recorded, claim)).await;
    match written {
        Ok(written) => Ok(written.resource_version().unwrap_or_default()),
        Err(error) => {
            context.doubt(kind, &error).await;
            Err(error)
        }
    }
}

/// What is known of the Leases of other releases.
#[derive(Debug, Default)]
struct Leases(Mutex<BTreeMap<(String, String), Looked>>);

#[derive(Debug)]
struct Looked {
    at: Instant,
    /// As it was found; none if there is none, or nobody could say.
    record: Option<Record>,
    /// Since when it is seen as it is.
    since: Instant,
    lapsed: bool,
}

impl Leases {
    /// Whether nobody holds a Lease any more, and when to look again. All who ask share a look.
    async fn look(&self, context: &Context, lease: &ClaimLease) -> (bool, Duration) {
        let parsed = ObjectName::parse(&lease.namespace).ok().zip(ObjectName::parse(&lease.name).ok());
        let Some(named) = parsed else { return (false, LOOK_EVERY * 12) };
        let key = (lease.namespace.clone(), lease.name.clone());
        let mut known = self.0.lock().await;
        let now = context.clock.instant();
        let before = known.remove(&key);
        if let Some(looked) = before.as_ref().filter(|looked| now.duration_since(looked.at) < LOOK_EVERY / 2)
        {
            let answer = (looked.lapsed, LOOK_EVERY);
            known.extend(before.map(|before| (key, before)));
            return answer;
        }
        let found = waiting(look_at(context.client.clone(), context.clock.clone(), named)).await;
        let now = context.clock.instant();
        let (record, lapsed_at_once) = match found {
            Ok(None) => (None, true),
            Ok(Some(record)) => (Some(record), false),
            Err(error) => {
                tracing::debug!(namespace = lease.namespace, name = lease.name, %error, "the Lease of another release cannot be read");
                (None, false)
            }
        };
        let same = before.filter(|before| before.record.is_some() && before.record == record);
        let since = same.map_or(now, |same| same.since);
        let unchanged_for = now.duration_since(since);
        let lapsed =
            lapsed_at_once || record.as_ref().is_some_and(|record| has_lapsed(record.lasts, unchanged_for));
        let lasts = record.as_ref().map_or(LOOK_EVERY, |record| record.lasts.max(Duration::from_secs(1)));
        known.insert(key, Looked { at: now, record, since, lapsed });
        (lapsed, lasts.min(LOOK_EVERY))
    }
}

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
    let note = "cluster accounts are off, because the operator runs with --watch-namespace; create a ScrapeAccount in this namespace and a ScrapeJob that uses it, or run a release that watches all namespaces";
    let event = decide::Event { warning: true, reason: Reason::AccountNotReady, note: note.to_owned() };
    context.publish(&job.object_ref(&()), &[event]).await;
}

/// What an account has to be looked at again for: everything but its version and a renewal of the claim on it.
#[expect(clippy::unnecessary_wraps, reason = "what the filter of a watch takes")]
pub(super) fn meaning<K: Account>(account: &Stored<K>) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let meta = account.meta();
    (&meta.uid, meta.generation, meta.deletion_timestamp.is_some(), account.fault()).hash(&mut hasher);
    let mut status = account.usable().and_then(K::status).cloned();
    if let Some(status) = &mut status {
        status.operator = None;
    }
    serde_json::to_string(&status).unwrap_or_default().hash(&mut hasher);
    Some(hasher.finish())
}

/// Tells the claims of an account that was seen. One that nothing can be written to bears none.
pub(super) fn saw<K: Account>(claims: &Claims, account: &Stored<K>) {
    let (scope, age) = (key_of(account).scope(), age_of(account));
    let fit = |account: &&K| ObjectName::parse(&account.spec().secret_ref.name).is_ok();
    match account.usable().filter(fit) {
        Some(read) => claims.saw(
            &scope,
            Sight {
                age,
                name: account.name_any(),
                version: account.resource_version().unwrap_or_default(),
                claim: read.status().and_then(|status| status.operator.clone()),
            },
        ),
        None => claims.gone(&scope, &age),
    }
}

/// The same of one that went.
pub(super) fn went<K: Account>(claims: &Claims, account: &Stored<K>) {
    claims.gone(&key_of(account).scope(), &age_of(account));
}

fn age_of(account: &impl Resource) -> Age {
    let meta = account.meta();
    let created = meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    Age { created, uid: meta.uid.clone().unwrap_or_default() }
}

impl Context {
    /// Whether what cannot be repeated may begin with this account: asked right before.
    pub(in crate::controller) fn may_begin(&self, account: &AccountKey) -> bool {
        !self.is_stopping() && self.claims.may_send(&account.scope())
    }

    /// Has everything of a scope looked at.
    fn wake_scope(&self, scope: &Scope) {
        self.wake(|job| !is_at_rest(job) && is_in(self, scope, job));
        for name in self.claims.accounts(scope) {
            self.accounts.nudge(News::Account(AccountKey::in_scope(scope, name)));
        }
    }

    /// Takes off every claim that this process holds: it works no more, and another release may begin at once.
    pub async fn withdraw_claims(&self) {
        let held = self.claims.held();
        for (scope, _) in &held {
            self.claims.end(scope);
        }
        let off = futures::stream::iter(held).for_each_concurrent(AT_ONCE, |(scope, account)| async move {
            if take_off(self, &scope, &account).await.is_err() {
                tracing::debug!(%scope, "a claim was not taken off; it runs out by itself");
            }
        });
        // What is left runs out by itself.
        let _ = tokio::time::timeout(OFF_WITHIN, off).await;
    }
}
