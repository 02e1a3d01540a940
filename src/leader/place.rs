//! One scope: the accounts that may bear its claim, and how this process stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::claim::{ALIVE_FOR, Age, Bearer, Borne, Verdict, judge, may_send};
use crate::api::OperatorClaim;

/// An account as it was seen last.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Its place in the order.
    pub age: Age,
    /// Its name.
    pub name: String,
    /// Its resourceVersion.
    pub version: String,
    /// What it bears.
    pub claim: Option<OperatorClaim>,
}

/// What is known of a scope, and how this process stands there.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) accounts: BTreeMap<Age, Seen>,
    /// When the last accepted renewal was sent; none while this process does not hold.
    pub(super) renewed: Option<Instant>,
    /// The account that this process renewed last, the version before and after.
    pub(super) written: Option<(Age, String, String)>,
    /// The count of the last renewal that was tried: each changes the claim, however old what is known of it.
    pub(super) renewals: i64,
    /// Whether the last account went while this process held: nobody else can send, and nobody can claim.
    pub(super) alone: bool,
    /// What a keeper listens to, while there is one.
    pub(super) keeper: Option<Arc<Notify>>,
    /// Whether somebody waits for the keeper.
    pub(super) asked: bool,
    /// The release that people were told of.
    pub(super) told: Option<String>,
}

/// An account, and what of it is not its own.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) sight: Sight,
    /// When its claim was first seen as it is.
    pub(super) since: Instant,
    pub(super) gone: bool,
    pub(super) lapsed: bool,
    /// When the API server last did not take a claim on it.
    pub(super) refused: Option<Instant>,
}

/// A resourceVersion as what it is: a later one is higher.
pub(super) fn number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}

/// Whether an account bears the claim of another release.
pub(super) fn is_theirs(seen: &Seen, id: &str) -> bool {
    seen.sight.claim.as_ref().is_some_and(|claim| claim.id != id)
}

impl Place {
    pub(super) fn wake(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.notify_one();
        }
    }

    /// Whether there is no account.
    pub(super) fn is_empty(&self) -> bool {
        self.accounts.values().all(|seen| seen.gone)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.accounts.is_empty() && self.keeper.is_none() && !self.alone
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.renewed.is_some_and(|sent| may_send(now.duration_since(sent)))
    }

    pub(super) fn is_held(&self, now: Instant) -> bool {
        self.is_fresh(now) || self.alone
    }

    /// Whether the claim of this process is on this account, as far as anybody knows: what is cached may be older than our
    /// own write.
    pub(super) fn stands_on(&self, age: &Age, sight: &Sight, id: &str) -> bool {
        self.written.as_ref().is_some_and(|(on, _, after)| {
            let ours = sight.claim.as_ref().is_some_and(|claim| claim.id == id);
            on == age && (ours || number(&sight.version) < number(after))
        })
    }

    pub(super) fn judge(&self, id: &str, now: Instant) -> Verdict {
        let unfit = |seen: &Seen| seen.refused.is_some_and(|at| now.duration_since(at) < ALIVE_FOR);
        let others = self.accounts.values().any(|seen| !seen.gone && !unfit(seen));
        let bearers: Vec<Bearer> = self
            .accounts
            .values()
            .map(|seen| Bearer {
                age: seen.sight.age.clone(),
                gone: seen.gone || (others && unfit(seen)),
                claim: match &seen.sight.claim {
                    None => Borne::Nothing,
                    Some(claim) if claim.id == id => Borne::Ours,
                    Some(_) => {
                        Borne::Theirs { unchanged_for: now.duration_since(seen.since), lapsed: seen.lapsed }
                    }
                },
            })
            .collect();
        judge(&bearers, self.is_held(now))
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        self.accounts.retain(|_, seen| !seen.gone || now.duration_since(seen.since) < ALIVE_FOR);
    }
}
