//! Whether the process is stuck, and what keeps it from being ready (`docs/adr/0017`).
//!
//! It knows seconds and words. It must never know why something waits, nor ask anybody.
//!
//! Time is counted by the thread that answers the probes: a process that was frozen as a whole has lost none of it, and
//! is not killed for what it could not do.

mod stage;
mod stages;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use stage::{stage, waiting};

use stages::Stages;

/// For how many seconds the runtime may not turn.
const TURNS_WITHIN: u64 = 30;
/// How many seconds a stage may last that waits for nobody else.
const STAGE_WITHIN: u64 = 5 * 60;
/// How many seconds either may last while the id of an accepted job may stand nowhere but here.
const UNWRITTEN_WITHIN: u64 = 10 * 60;

/// What the process is there for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It begins.
    Starting,
    /// Another works; this one could take over.
    StandingBy,
    /// It works.
    Working,
}

/// How the process does. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// How many seconds the thread of the probes has counted.
    seconds: AtomicU64,
    /// At which of them the runtime turned last.
    turned: AtomicU64,
    role: AtomicU8,
    /// Submits under way, from before the request until what came of it is written.
    unwritten: AtomicU32,
    stages: Stages,
    not_ready: Mutex<BTreeMap<&'static str, String>>,
}

/// A submit under way, until this is dropped.
#[derive(Debug)]
pub struct Unwritten(Health);

impl Health {
    /// One more second: told by the thread that answers the probes.
    pub fn tick(&self) {
        self.0.seconds.fetch_add(1, Ordering::Relaxed);
    }

    /// The runtime turns: told by a task of it.
    pub fn turn(&self) {
        self.0.turned.store(self.seconds(), Ordering::Relaxed);
    }

    /// What the process is there for from now on. Nobody stands by who has begun to work.
    pub fn take(&self, role: Role) {
        let before = |now: u8| (role == Role::Working || now == Role::Starting as u8).then_some(role as u8);
        // An error says that it works already.
        let _ = self.0.role.fetch_update(Ordering::Relaxed, Ordering::Relaxed, before);
    }

    /// What the process is there for.
    pub fn role(&self) -> Role {
        [Role::StandingBy, Role::Working]
            .into_iter()
            .find(|role| *role as u8 == self.0.role.load(Ordering::Relaxed))
            .unwrap_or(Role::Starting)
    }

    /// Keeps the process from being ready for this reason, or no more. `what` names the reason, `why` is for people.
    pub fn report(&self, what: &'static str, why: Option<String>) {
        let mut reasons = self.reasons();
        match why {
            Some(why) => reasons.insert(what, why),
            None => reasons.remove(what),
        };
    }

    /// A submit begins.
    pub fn unwritten(&self) -> Unwritten {
        self.0.unwritten.fetch_add(1, Ordering::Relaxed);
        Unwritten(self.clone())
    }

    /// Whether what came of a submit may stand nowhere but in this process.
    pub fn has_unwritten(&self) -> bool {
        self.0.unwritten.load(Ordering::Relaxed) > 0
    }

    /// Why the process should be ended and begun anew; nothing while it is not stuck. That the API server refuses, or is
    /// away, is no reason: another process would meet the same. One that stands by is never ended.
    pub fn stuck(&self) -> Option<String> {
        if self.role() == Role::StandingBy {
            return None;
        }
        let now = self.seconds();
        let unwritten = if self.has_unwritten() { UNWRITTEN_WITHIN } else { 0 };
        let still = now.saturating_sub(self.0.turned.load(Ordering::Relaxed));
        if still >= TURNS_WITHIN.max(unwritten) {
            return Some(format!("the runtime has not turned for {still} s"));
        }
        let (what, lasts) = self.0.stages.longest(now)?;
        (lasts >= STAGE_WITHIN.max(unwritten))
            .then(|| format!("a look at {what} has waited for nobody for {lasts} s"))
    }

    /// What keeps the process from being ready, in words.
    pub fn not_ready(&self) -> Vec<String> {
        self.reasons().values().cloned().collect()
    }

    /// How many seconds were counted.
    pub fn seconds(&self) -> u64 {
        self.0.seconds.load(Ordering::Relaxed)
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.not_ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.0.0.unwritten.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, Role, stage, waiting};

    fn pass(health: &Health, seconds: u64, turns: bool) {
        for _ in 0..seconds {
            health.tick();
            if turns {
                health.turn();
            }
        }
    }

    #[test]
    fn a_runtime_that_does_not_turn_is_stuck_after_half_a_minute_and_later_while_an_accepted_job_is_unwritten()
     {
        let health = Health::default();
        health.take(Role::Working);
        pass(&health, 1000, true);
        pass(&health, 29, false);
        assert_eq!(health.stuck(), None);
        pass(&health, 1, false);
        assert_eq!(health.stuck().as_deref(), Some("the runtime has not turned for 30 s"));
        let submit = health.unwritten();
        pass(&health, 569, false);
        assert_eq!(health.stuck(), None, "the id of a paid job stands nowhere else");
        pass(&health, 1, false);
        assert!(health.stuck().is_some(), "but not for ever");
        health.take(Role::StandingBy);
        assert!(health.stuck().is_some(), "nobody stands by who has begun to work");
        drop(submit);
        health.turn();
        assert_eq!(health.stuck(), None);
    }

    #[test]
    fn who_stands_by_is_never_ended() {
        let health = Health::default();
        health.take(Role::StandingBy);
        pass(&health, 5000, false);
        assert_eq!((health.stuck(), health.role()), (None, Role::StandingBy));
        health.take(Role::Working);
        assert!(health.stuck().is_some());
    }

    #[tokio::test]
    async fn a_stage_is_stuck_that_waits_for_nobody_and_no_other_is() {
        let health = Health::default();
        health.take(Role::Working);
        let (answer, answered) = tokio::sync::oneshot::channel::<()>();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let looked = stage(&health, || "ScrapeJob team/acme".to_owned(), async {
            // For the API server, for the service, for a turn, for another: it may last.
            let _ = waiting(answered).await;
            let _ = ended.await;
        });
        let mut looked = Box::pin(looked);
        assert!(futures::poll!(&mut looked).is_pending());
        pass(&health, 5000, true);
        assert_eq!(health.stuck(), None, "it waits for somebody else");
        answer.send(()).unwrap();
        assert!(futures::poll!(&mut looked).is_pending());
        pass(&health, 299, true);
        assert_eq!(health.stuck(), None, "what it waited for before does not count");
        pass(&health, 1, true);
        let why = health.stuck().unwrap();
        assert_eq!(why, "a look at ScrapeJob team/acme has waited for nobody for 300 s");
        {
            let _submit = health.unwritten();
            assert_eq!(health.stuck(), None);
            pass(&health, 300, true);
            assert!(health.stuck().is_some());
        }
        end.send(()).unwrap();
        looked.await;
        assert_eq!(health.stuck(), None, "it is over");
        // A look that is given up halfway leaves nothing behind.
        let mut dropped = Box::pin(stage(&health, || "x".to_owned(), std::future::pending::<()>()));
        assert!(futures::poll!(&mut dropped).is_pending());
        drop(dropped);
        pass(&health, 1000, true);
        assert_eq!(health.stuck(), None);
    }

    #[test]
    fn each_reason_against_being_ready_comes_and_goes_by_itself() {
        let health = Health::default();
        assert!(health.not_ready().is_empty());
        health.report("caches", Some("the caches are not synced yet".to_owned()));
        health.report("crd", Some("a CRD drops fields".to_owned()));
        health.report("crd", Some("a CRD drops status.submission".to_owned()));
        assert_eq!(health.not_ready(), ["the caches are not synced yet", "a CRD drops status.submission"]);
        health.report("caches", None);
        health.report("caches", None);
        assert_eq!(health.not_ready(), ["a CRD drops status.submission"]);
    }
}
