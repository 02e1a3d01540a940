//! What this process alone remembers of each object; forgotten when the object goes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::decide::Memory;
use crate::spideriq::budget::Gate;

/// How many nonces of an object are known not to have been sent: a write that is still on its way is an early one's.
const UNSENT: usize = 16;

/// The memories of all objects, by uid.
#[derive(Debug, Default)]
pub(super) struct Memories {
    of: Mutex<HashMap<String, Remembered>>,
}

/// What is remembered of one object.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    /// What decisions look at.
    pub(super) memory: Memory,
    /// The nonce without a job id that was seen, and since when.
    pub(super) nonce: Option<(String, Instant)>,
    /// Since when the run was seen to have to end, and whether by deletion.
    pub(super) ending: Option<(bool, Instant)>,
    /// Since when the job was seen to be over, with its run still open.
    pub(super) over: Option<Instant>,
    /// The nonce of the request that this process itself ended.
    pub(super) ended: Option<String>,
    /// Nonces that this process wrote, or tried to, and never sent a request with; the newest last.
    pub(super) unsent: Vec<String>,
    /// The resourceVersion of our own last write: an older object in the cache is stale.
    pub(super) written: Option<u64>,
    /// The budget in whose line the object stands.
    pub(super) line: Option<Gate>,
    /// The wish for a look for which a reached spend cap was tried.
    pub(super) tried_for: Option<String>,
    /// Whether the API server itself said that the namespace has no account of its own.
    pub(super) no_own_account: bool,
    /// Whether the next look must be live.
    pub(super) live: bool,
    /// Writes in a row that were not carried out.
    pub(super) failures: u32,
}

impl Memories {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, uid: &str) -> Remembered {
        self.lock().get(uid).cloned().unwrap_or_default()
    }

    pub(super) fn set<T>(&self, uid: &str, with: impl FnOnce(&mut Remembered) -> T) -> T {
        with(self.lock().entry(uid.to_owned()).or_default())
    }

    /// Whether this is another wish than the one for which a reached spend cap was tried last: one try for each, whatever
    /// becomes of the look.
    pub(super) fn is_new_wish(&self, uid: &str, wish: Option<String>) -> bool {
        self.set(uid, |remembered| {
            let new = remembered.tried_for != wish;
            remembered.tried_for = wish;
            new
        })
    }

    /// Remembers that nothing was sent with these nonces.
    pub(super) fn never_sent(&self, uid: &str, nonces: Vec<Option<String>>) {
        self.set(uid, |remembered| {
            remembered.unsent.extend(nonces.into_iter().flatten());
            let old = remembered.unsent.len().saturating_sub(UNSENT);
            remembered.unsent.drain(..old);
        });
    }

    /// What was remembered until now.
    pub(super) fn forget(&self, uid: &str) -> Remembered {
        self.lock().remove(uid).unwrap_or_default()
    }
}
