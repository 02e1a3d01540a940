//! Which of the replicas works: one at a time, by a Lease (`docs/adr/0006`); and which of several releases works where,
//! by the claims on accounts (`docs/adr/0019`).
//!
//! It knows nothing of jobs. What it says is an optimisation: two replicas that both work lose writes to each other
//! and do nothing twice, because every write of a job is preconditioned on the one before.

mod candidate;
pub mod claim;
mod claims;
mod lease;
mod mark;
mod notes;
mod place;
mod verdict;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use candidate::{Candidate, Standing};
pub use claims::{Claims, Release, Scope, Stand, Task};
pub use lease::{Error, drain, is_drained, look_at, undrain};
pub use mark::drained_since;
pub use notes::{Before, Notes};
pub use place::Sight;
pub use verdict::{ACT_WITHIN, LEASE, Ledger, RENEW_EVERY, RETRY_EVERY, Record, Verdict, may_act};

use crate::api::ObjectName;
use crate::clock::Clock;

/// What is contended for, and by whom.
#[derive(Clone, Debug)]
pub struct Election {
    /// Namespace of the Lease: the operator's own.
    pub namespace: ObjectName,
    /// Name of the Lease: one for each release of the chart.
    pub lease: ObjectName,
    /// Who this process is; no other process, earlier or later, may have the same.
    pub identity: String,
}

/// Whether this process may begin what cannot be repeated, asked at the moment of beginning.
///
/// Once it has said no, it never says yes again: whoever was refused does not come back to ask.
#[derive(Clone, Debug)]
pub struct Leadership {
    term: Option<(Clock, Arc<Term>)>,
}

/// The time since `origin` at which the last renewal was sent; none while this process does not lead.
#[derive(Debug)]
struct Term {
    origin: Instant,
    renewed: Mutex<Option<Duration>>,
}

impl Leadership {
    /// For a process that works without a Lease.
    pub const fn without_election() -> Self {
        Self { term: None }
    }

    /// Whether the lease was renewed so recently that nobody else can have it.
    pub fn is_held(&self) -> bool {
        self.term.as_ref().is_none_or(|(clock, term)| term.held(clock).is_some())
    }

    fn of(clock: Clock, origin: Instant) -> Self {
        Self { term: Some((clock, Arc::new(Term { origin, renewed: Mutex::new(None) }))) }
    }

    /// Begins the term, with a write that was sent then.
    fn begin(&self, sent: Duration) {
        if let Some((_, term)) = &self.term {
            *term.lock() = Some(sent);
        }
    }

    /// Goes on, unless somebody was refused meanwhile: returns whether it does.
    fn prolong(&self, sent: Duration) -> bool {
        self.term.as_ref().is_none_or(|(clock, term)| {
            let mut held = term.held(clock);
            let goes_on = held.is_some();
            *held = held.map(|_| sent);
            goes_on
        })
    }

    /// Ends the term.
    fn end(&self) {
        if let Some((_, term)) = &self.term {
            *term.lock() = None;
        }
    }
}

impl Term {
    fn lock(&self) -> MutexGuard<'_, Option<Duration>> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left of the term by now; once nothing is, it stays so.
    fn held(&self, clock: &Clock) -> MutexGuard<'_, Option<Duration>> {
        let mut renewed = self.lock();
        let now = clock.instant().saturating_duration_since(self.origin);
        *renewed = renewed.filter(|sent| may_act(*sent, now));
        renewed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ACT_WITHIN, Leadership};
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_by_itself_and_is_not_taken_up_again() {
        let clock = Clock::system();
        let leadership = Leadership::of(clock.clone(), clock.instant());
        assert!(!leadership.is_held(), "not yet won");
        leadership.begin(Duration::ZERO);
        tokio::time::advance(ACT_WITHIN.saturating_sub(Duration::from_millis(1))).await;
        assert!(leadership.is_held());
        assert!(leadership.prolong(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(leadership.is_held());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!leadership.is_held());
        assert!(!leadership.prolong(Duration::from_secs(10)), "who was refused does not ask again");
        assert!(!leadership.is_held());
        assert!(Leadership::without_election().is_held());
    }
}
