//! What this process alone remembers of each object; forgotten when the object rests or goes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::ScrapeJobStatus;
use crate::budget::Gate;
use crate::decide::{Again, Memory};

/// How many nonces of an object are known not to have been sent: a write that is still on its way is an early one's.
const UNSENT: usize = 16;

/// The memories of all objects, by uid.
#[derive(Debug, Default)]
pub(in crate::controller) struct Memories {
    of: Mutex<HashMap<String, Remembered>>,
}

/// What is remembered of one object.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact")]
pub(in crate::controller) struct Remembered {
    /// What decisions look at.
    pub(in crate::controller) memory: Memory,
    /// The nonce without a job id that was seen, and since when.
    pub(in crate::controller) nonce: Option<(String, Instant)>,
    /// That the run was seen to have to end.
    pub(in crate::controller) ending: Option<Ending>,
    /// The job whose cancel asks the accounts of those who may be about to receive it, and since when.
    pub(in crate::controller) asks: Option<(String, Instant)>,
    /// What the next try of something that failed may hang on, and until when it rests if that is the same.
    pub(in crate::controller) rest: Option<(String, Instant)>,
    /// Whether the kind was seen to stay, since the object was seen to be deleted.
    pub(in crate::controller) kind_stays: bool,
    /// Since when the service does not know the job that is to end.
    pub(in crate::controller) missing: Option<Instant>,
    /// Since when the job was seen to be over, with its run still open or something of it owed.
    pub(in crate::controller) over: Option<Instant>,
    /// The nonce of the request that this process itself ended.
    pub(in crate::controller) ended: Option<String>,
    /// Nonces that this process wrote, or tried to, and never sent a request with; the newest last.
    pub(in crate::controller) unsent: Vec<String>,
    /// The resourceVersion of our own last write: an older object in the cache is stale.
    pub(in crate::controller) written: Option<u64>,
    /// The resourceVersion of the last write after which nothing is to be done: its echo in the watch needs no look.
    pub(in crate::controller) settled: Option<u64>,
    /// What is true of an object that goes, where the API server did not take it as its status.
    pub(in crate::controller) unsaved: Option<Box<ScrapeJobStatus>>,
    /// The version of the cached object that may have been read while the API server dropped fields.
    pub(in crate::controller) doubted: Option<String>,
    /// Writes of the object in a row that the API server refused.
    pub(in crate::controller) refusals: u32,
    /// The same of its status.
    pub(in crate::controller) status_refusals: u32,
    /// The line in which the object stands.
    pub(in crate::controller) line: Option<Line>,
    /// The wish for a look for which a reached spend cap was tried.
    pub(in crate::controller) tried_for: Option<String>,
    /// Whether the API server itself said that the namespace has no account of its own.
    pub(in crate::controller) no_own_account: bool,
    /// Whether people were told that it names an account which cannot exist.
    pub(in crate::controller) misnamed: bool,
    /// What of it cannot be read, as it was told.
    pub(in crate::controller) faults: Option<String>,
    /// What was decided last.
    pub(in crate::controller) decided: Option<Decided>,
    /// Whether the next look must be live.
    pub(in crate::controller) live: bool,
    /// Writes in a row that were not carried out.
    pub(in crate::controller) failures: u32,
}

/// What was decided about an object, for people who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Decided {
    pub(in crate::controller) plan: &'static str,
    pub(in crate::controller) outcome: &'static str,
    pub(in crate::controller) at: Instant,
    pub(in crate::controller) again: Again,
}

/// A run that was seen to have to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::controller) struct Ending {
    /// Whether by deletion.
    pub(in crate::controller) deleted: bool,
    /// Since when.
    pub(in crate::controller) since: Instant,
    /// How long it should have ended already then.
    pub(in crate::controller) before: Duration,
    /// How long its cancel has waited for nothing but its turn since, but for the line in which it stands.
    pub(in crate::controller) paced: Duration,
}

/// A place in the line of a budget.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Line {
    pub(in crate::controller) gate: Gate,
    since: Instant,
    outage: Duration,
}

impl Line {
    /// A place that was taken now.
    pub(in crate::controller) fn new(gate: &Gate, now: Instant) -> Self {
        Self { gate: gate.clone(), since: now, outage: gate.outage() }
    }

    /// How long it was nothing but others' turns that the end of a run waited for in this line.
    fn paced(&self, ending: &Ending, now: Instant) -> Duration {
        let outage = self.gate.outage().saturating_sub(self.outage);
        let all = now.duration_since(self.since).saturating_sub(outage);
        // In the line of what it did before, it did not wait to end.
        if self.since < ending.since { Duration::ZERO } else { all }
    }
}

impl Remembered {
    /// How long the run was seen to have to end, without what it waited for its turn.
    pub(in crate::controller) fn ending_for(&self, ending: &Ending, now: Instant) -> Duration {
        let line = self.line.as_ref().map_or(Duration::ZERO, |line| line.paced(ending, now));
        now.duration_since(ending.since).saturating_sub(ending.paced + line)
    }

    /// Leaves the line, and keeps how long that took.
    pub(in crate::controller) fn leave_line(&mut self, now: Instant) -> Option<Line> {
        let line = self.line.take()?;
        if let Some(ending) = &mut self.ending {
            ending.paced += line.paced(ending, now);
        }
        Some(line)
    }
}

impl Memories {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::controller) fn get(&self, uid: &str) -> Remembered {
        self.lock().get(uid).cloned().unwrap_or_default()
    }

    pub(in crate::controller) fn set<T>(&self, uid: &str, with: impl FnOnce(&mut Remembered) -> T) -> T {
        with(self.lock().entry(uid.to_owned()).or_default())
    }

    /// Takes a wish up; says whether it is another one than that for which a reached spend cap was tried last: one try for
    /// each, whatever becomes of the look.
    pub(in crate::controller) fn take_wish(&self, uid: &str, wish: Option<String>) -> bool {
        self.set(uid, |remembered| {
            let new = remembered.tried_for != wish;
            remembered.tried_for = wish;
            new
        })
    }

    /// Remembers that nothing was sent with these nonces.
    pub(in crate::controller) fn never_sent(&self, uid: &str, nonces: Vec<Option<String>>) {
        self.set(uid, |remembered| {
            remembered.unsent.extend(nonces.into_iter().flatten());
            let old = remembered.unsent.len().saturating_sub(UNSENT);
            remembered.unsent.drain(..old);
        });
    }

    /// Whether nothing is to be done with an object in this version.
    pub(in crate::controller) fn is_settled(&self, uid: &str, version: u64) -> bool {
        self.lock().get(uid).is_some_and(|remembered| remembered.settled == Some(version))
    }

    /// What was remembered until now.
    pub(in crate::controller) fn forget(&self, uid: &str) -> Remembered {
        self.lock().remove(uid).unwrap_or_default()
    }
}
