//! What this process knows of the claims of releases, and which of its own hold: told by whoever watches accounts and
//! writes claims, asked right before anything is sent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::claim::{ALIVE_FOR, Age, RENEW_EVERY, Verdict, may_send};
use super::place::{Place, Seen, Sight, is_theirs, number};
use crate::api::{ClaimLease, OperatorClaim};
use crate::clock::Clock;

/// What one claim is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything in a namespace but what uses an account of the cluster.
    Namespace(String),
    /// An account of the cluster, and what uses it.
    Cluster(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(name) => write!(to, "namespace {name}"),
            Self::Cluster(name) => write!(to, "ClusterScrapeAccount {name}"),
        }
    }
}

/// The release that this process is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// What its claims name.
    pub id: String,
    /// The Lease that it holds while it works; none where it works without.
    pub lease: Option<ClaimLease>,
}

/// How this release stands in a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It works there.
    Ours,
    /// No account is there: nothing can be sent, and what is there may be written by anybody.
    Free,
    /// It is not known yet, or another release works there; whoever waits is woken.
    Waits,
}

/// Everything that is known. Cheap to clone.
#[derive(Clone)]
pub struct Claims {
    clock: Clock,
    release: Release,
    state: Arc<Mutex<BTreeMap<Scope, Place>>>,
    /// Wakes whoever waits to send.
    held: Arc<Notify>,
    wanted: mpsc::UnboundedSender<Scope>,
}

impl fmt::Debug for Claims {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Claims of {}", self.release.id)
    }
}

/// What a keeper is to do next.
#[derive(Debug)]
pub struct Task {
    /// What to do.
    pub verdict: Verdict,
    /// The account that it is about.
    pub account: Option<Sight>,
    /// Whether somebody waits for it.
    pub asked: bool,
    /// How long the verdict stays, if nothing changes: a claim ages, or has to be renewed. Nothing where that is now.
    pub rests_for: Option<Duration>,
}

impl Claims {
    /// Nothing is known; scopes that somebody wants to work in are told to the receiver.
    pub fn new(clock: Clock, release: Release) -> (Self, mpsc::UnboundedReceiver<Scope>) {
        let (wanted, told) = mpsc::unbounded_channel();
        (Self { clock, release, state: Arc::default(), held: Arc::default(), wanted }, told)
    }

    /// The release that this process is of.
    pub const fn release(&self) -> &Release {
        &self.release
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Scope, Place>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An account was seen.
    pub fn saw(&self, scope: &Scope, sight: Sight) {
        let now = self.clock.instant();
        let mut state = self.lock();
        let place = state.entry(scope.clone()).or_default();
        place.alone = false;
        let before = place.accounts.get(&sight.age);
        if before.is_some_and(|before| !before.gone && number(&sight.version) < number(&before.sight.version))
        {
            // A watch that is behind what was read.
            return;
        }
        let same = before.filter(|before| before.sight.claim == sight.claim);
        let (since, lapsed) = same.map_or((now, false), |same| (same.since, same.lapsed));
        // One that was made again has the name of the one that went.
        for (age, seen) in &mut place.accounts {
            seen.gone |= *age != sight.age && seen.sight.name == sight.name;
        }
        let id = &self.release.id;
        place.accounts.retain(|_, seen| !seen.gone || is_theirs(seen, id));
        place.accounts.insert(sight.age.clone(), Seen { sight, since, gone: false, lapsed, refused: None });
        place.wake();
    }

    /// An account is gone. What it bore still counts for as long as its release may not know yet.
    pub fn gone(&self, scope: &Scope, age: &Age) {
        let now = self.clock.instant();
        let mut state = self.lock();
        let Some(place) = state.get_mut(scope) else { return };
        match place.accounts.get_mut(age) {
            Some(seen) if is_theirs(seen, &self.release.id) => seen.gone = true,
            Some(_) | None => drop(place.accounts.remove(age)),
        }
        place.alone = place.is_empty() && place.is_held(now);
        place.wake();
        // Of what went elsewhere nothing is kept for ever, either.
        state.retain(|_, place| {
            place.forget_old(now);
            !place.is_idle()
        });
    }

    /// Whether something may be sent to the service: asked right before.
    pub fn may_send(&self, scope: &Scope) -> bool {
        let now = self.clock.instant();
        self.lock().get(scope).is_some_and(|place| place.is_held(now))
    }

    /// Waits until something may be sent.
    pub async fn until_held(&self, scope: &Scope) {
        loop {
            let mut told = std::pin::pin!(self.held.notified());
            told.as_mut().enable();
            if self.may_send(scope) {
                return;
            }
            told.await;
        }
    }

    /// How this release stands, for somebody who wants to work: where it does not yet it is seen to. Not before the
    /// accounts of the scope were listed.
    pub fn stand(&self, scope: &Scope) -> Stand {
        let now = self.clock.instant();
        let mut state = self.lock();
        let Some(place) = state.get_mut(scope) else { return Stand::Free };
        if place.is_held(now) {
            if place.renewed.is_some_and(|sent| now.duration_since(sent) >= RENEW_EVERY) {
                place.wake();
            }
            return Stand::Ours;
        }
        if place.judge(&self.release.id, now) == Verdict::Free {
            return Stand::Free;
        }
        place.asked = true;
        if place.keeper.is_none() {
            place.keeper = Some(Arc::default());
            // The receiver goes only when the process stops.
            let _ = self.wanted.send(scope.clone());
        }
        Stand::Waits
    }

    /// Whether another release works there.
    pub fn is_of_others(&self, scope: &Scope) -> bool {
        let now = self.clock.instant();
        let state = self.lock();
        let id = &self.release.id;
        state.get(scope).is_some_and(|place| {
            // Most bear nothing, which costs nothing to see.
            let some = !place.is_held(now) && place.accounts.values().any(|seen| is_theirs(seen, id));
            some && matches!(place.judge(id, now), Verdict::Yield(_))
        })
    }

    /// What a keeper of a scope listens to.
    pub fn news(&self, scope: &Scope) -> Arc<Notify> {
        self.lock().get(scope).and_then(|place| place.keeper.clone()).unwrap_or_default()
    }

    /// What a keeper is to do.
    pub fn task(&self, scope: &Scope) -> Task {
        let now = self.clock.instant();
        let mut state = self.lock();
        let nothing = || Task { verdict: Verdict::Free, account: None, asked: false, rests_for: None };
        let Some(place) = state.get_mut(scope) else { return nothing() };
        place.forget_old(now);
        let verdict = place.judge(&self.release.id, now);
        let account = match &verdict {
            Verdict::Free => None,
            Verdict::Hold(age) | Verdict::Clear(age) | Verdict::Withdraw(age) | Verdict::Yield(age) => {
                place.accounts.get(age)
            }
        };
        let ages = |seen: &Seen| (seen.since + ALIVE_FOR).saturating_duration_since(now);
        let rests_for = match (&verdict, account) {
            (Verdict::Hold(age), Some(seen)) if place.stands_on(age, &seen.sight, &self.release.id) => {
                place.renewed.map(|sent| (sent + RENEW_EVERY).saturating_duration_since(now))
            }
            (Verdict::Yield(_), Some(seen)) => Some(ages(seen)),
            _ => None,
        };
        let rests_for = rests_for.filter(|left| !left.is_zero());
        let account = account.map(|seen| seen.sight.clone());
        Task { verdict, account, asked: place.asked, rests_for }
    }

    /// The claim to write onto this account, other than each before.
    pub fn next(&self, scope: &Scope, account: &Sight) -> OperatorClaim {
        let Release { id, lease } = self.release.clone();
        let known = account.claim.as_ref().filter(|claim| claim.id == id).map_or(0, |claim| claim.renewals);
        let mut state = self.lock();
        let place = state.entry(scope.clone()).or_default();
        place.renewals = place.renewals.max(known).wrapping_add(1);
        let now = self.clock.now();
        // A status keeps no parts of a second.
        let renew_time = Timestamp::from_second(now.as_second()).unwrap_or(now);
        OperatorClaim { id, lease, renewals: place.renewals, renew_time: Some(Time(renew_time)) }
    }

    /// A renewal that was sent then was accepted. Says whether this process begins to hold with it.
    pub fn renewed(&self, scope: &Scope, sent: Instant, (before, after): (&Sight, String)) -> bool {
        let now = self.clock.instant();
        let begins = {
            let mut state = self.lock();
            let Some(place) = state.get_mut(scope) else { return false };
            if !may_send(now.duration_since(sent)) {
                return false;
            }
            let begins = !place.is_held(now);
            place.renewed = Some(sent);
            place.written = Some((before.age.clone(), before.version.clone(), after));
            place.told = None;
            place.asked = false;
            begins
        };
        if begins {
            self.held.notify_waiters();
        }
        begins
    }

    /// This process holds no more. Says whether it did.
    pub fn end(&self, scope: &Scope) -> bool {
        let now = self.clock.instant();
        let mut state = self.lock();
        let Some(place) = state.get_mut(scope) else { return false };
        let held = place.is_held(now);
        (place.renewed, place.alone) = (None, false);
        held
    }

    /// What the Lease that a claim names came to, as far as anybody knows.
    pub fn lapsed(&self, scope: &Scope, age: &Age, claim: &OperatorClaim) {
        if let Some(seen) = self.lock().get_mut(scope).and_then(|place| place.accounts.get_mut(age)) {
            seen.lapsed |= seen.sight.claim.as_ref() == Some(claim);
        }
    }

    /// The API server did not take a claim on this account: another one is taken first, for a while.
    pub fn refused(&self, scope: &Scope, age: &Age) {
        let now = self.clock.instant();
        if let Some(seen) = self.lock().get_mut(scope).and_then(|place| place.accounts.get_mut(age)) {
            seen.refused = Some(now);
        }
    }

    /// Whether people have still to be told that this release works here.
    pub fn is_news(&self, scope: &Scope, id: &str) -> bool {
        let mut state = self.lock();
        let Some(place) = state.get_mut(scope) else { return false };
        place.told.replace(id.to_owned()).as_deref() != Some(id)
    }

    /// Nobody waits for the keeper of a scope any more: they are looked for.
    pub fn forget_asked(&self, scope: &Scope) {
        if let Some(place) = self.lock().get_mut(scope) {
            place.asked = false;
        }
    }

    /// The keeper of a scope goes, unless somebody waits for it; says whether it does. Whoever wants to work there later has
    /// one come again.
    pub fn leave(&self, scope: &Scope) -> bool {
        let mut state = self.lock();
        let Some(place) = state.get_mut(scope) else { return true };
        if place.asked {
            return false;
        }
        place.keeper = None;
        if place.is_idle() {
            state.remove(scope);
        }
        true
    }

    /// The version of an account after our own renewal of it, where the one that is known is the one before: nothing else
    /// has changed.
    pub fn version_after(&self, scope: &Scope, version: String) -> String {
        let state = self.lock();
        let written = state.get(scope).and_then(|place| place.written.as_ref());
        written.filter(|(_, before, _)| *before == version).map_or(version, |(_, _, after)| after.clone())
    }

    /// The names of the accounts of a scope.
    pub fn accounts(&self, scope: &Scope) -> Vec<String> {
        let state = self.lock();
        let there = state.get(scope).into_iter().flat_map(|place| place.accounts.values());
        there.filter(|seen| !seen.gone).map(|seen| seen.sight.name.clone()).collect()
    }

    /// The accounts that bear a claim of this process which may count as alive elsewhere.
    pub fn borne(&self) -> Vec<(Scope, Sight)> {
        let now = self.clock.instant();
        let state = self.lock();
        let borne = state.iter().filter_map(|(scope, place)| {
            let (on, ..) = place.written.as_ref()?;
            let seen = place.accounts.get(on)?;
            let ours = place.stands_on(on, &seen.sight, &self.release.id);
            let young = place.is_fresh(now) || now.duration_since(seen.since) < ALIVE_FOR;
            (ours && young).then(|| (scope.clone(), seen.sight.clone()))
        });
        borne.collect()
    }
}
