//! Keeps the claims of this release (`docs/adr/0019`): a task for each scope that somebody wants to work in, which claims
//! it, renews the claim while there is work, and stands back where another release works.

mod back;
mod leases;
mod sight;
mod write;

pub(in crate::controller) use back::stand_back;
pub(super) use sight::{meaning, saw, went};

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::leases::Leases;
use self::write::{Again, tell, write};
use crate::account::{AccountKey, News};
use crate::api::{Reason, ScrapeJob, ScrapeJobStatus, State};
use crate::cache::is_at_rest;
use crate::controller::context::Context;
use crate::decide::message::Account;
use crate::leader::claim::{Age, Verdict};
use crate::leader::{Scope, Sight, Task};

/// How often it is asked whether anything is left to be done where no account is left, or no Lease tells.
const SELDOM: Duration = Duration::from_secs(60);
/// How soon it is looked at again whether another release goes, where nothing says when.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
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
    // When to go on after a write; of those in a row that were lost each is waited for longer.
    let mut lost = 0_u32;
    let mut after = |written: Result<(), Again>, well: Duration| {
        let next = written.err().map_or(well, |again| again.pause(lost));
        lost = if written.is_ok() { 0 } else { lost.saturating_add(1) };
        next
    };
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
                lasts.then_some(SELDOM)
            }
            (Verdict::Hold(_), Some(_), Some(left)) => Some(left),
            (Verdict::Hold(_), Some(_), None) if !asked && !is_under_way(&context, &scope) => {
                // It rests as it is: who wants to work again claims again, and anybody else may after a while.
                claims.end(&scope);
                None
            }
            (Verdict::Hold(_), Some(account), None) => {
                Some(after(claim(&context, &scope, account).await, Duration::ZERO))
            }
            (Verdict::Clear(_) | Verdict::Withdraw(_), Some(account), _) => {
                if matches!(verdict, Verdict::Withdraw(_)) {
                    stand_down(&context, &scope);
                }
                Some(after(take_off(&context, &scope, account).await, LOOK_AGAIN))
            }
            (Verdict::Yield(age), Some(account), left) => {
                let next = give_way(&context, &leases, &scope, (age, account)).await;
                next.map(|next| next.min(left.unwrap_or(LOOK_AGAIN)))
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
    context.jobs.awake().iter().any(|job| waits(job) && is_in(context, scope, job))
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
async fn claim(context: &Context, scope: &Scope, account: &Sight) -> Result<(), Again> {
    let claim = context.claims.next(scope, account);
    let sent = context.clock.instant();
    let after = write(context, scope, account, Some(&claim)).await?;
    if context.claims.renewed(scope, sent, (account, after)) {
        tracing::info!(%scope, release = claim.id, "this release works here");
        context.wake_scope(scope);
    }
    Ok(())
}

/// Takes a claim off an account; else says when to try again.
async fn take_off(context: &Context, scope: &Scope, account: &Sight) -> Result<(), Again> {
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
    let Some(claim) = &account.claim else { return Some(LOOK_AGAIN) };
    let (id, own) = (&claim.id, &context.claims.release().id);
    if context.claims.is_news(scope, id) {
        let id: String = id.chars().filter(char::is_ascii_graphic).take(320).collect();
        let note = Account::AnotherOperator { other: id, own: own.clone(), scope: scope.to_string() };
        tell(context, scope, account, (Reason::AnotherOperator, note.into())).await;
    }
    if !is_under_way(context, scope) {
        return None;
    }
    let Some(lease) = &claim.lease else { return Some(SELDOM) };
    let (lapsed, next) = leases.look(context, lease).await;
    if lapsed {
        context.claims.lapsed(scope, age, claim);
        return Some(Duration::ZERO);
    }
    Some(next)
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

    /// Takes off every claim of this process: it works no more, and another release may begin at once.
    pub async fn withdraw_claims(&self) {
        let borne = self.claims.borne();
        for (scope, _) in &borne {
            self.claims.end(scope);
        }
        let off = futures::stream::iter(borne).for_each_concurrent(AT_ONCE, |(scope, account)| async move {
            if take_off(self, &scope, &account).await.is_err() {
                tracing::debug!(%scope, "a claim was not taken off; it runs out by itself");
            }
        });
        // What is left runs out by itself.
        let _ = tokio::time::timeout(OFF_WITHIN, off).await;
    }
}
