//! What this process alone remembers of each object; forgotten when the object goes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::api::ScrapeJobStatus;
use crate::decide::Memory;
use crate::spideriq::budget::Gate;

/// How many nonces of an object are known not to have been sent: a write that is still on its way is an early one's.
const UNSENT: usize = 16;

/// The memories of all objects, by uid.
#[derive(Debug, Default)]
pub(in crate::controller) struct Memories {
    of: Mutex<HashMap<String, Remembered>>,
}

/// What is remembered of one object.
#[derive(Clone, Debug, Default)]
pub(in crate::controller) struct Remembered {
    /// What decisions look at.
    pub(in crate::controller) memory: Memory,
    /// The nonce without a job id that was seen, and since when.
    pub(in crate::controller) nonce: Option<(String, Instant)>,
    /// Since when the run was seen to have to end, and whether by deletion.
    pub(in crate::controller) ending: Option<(bool, Instant)>,
    /// Since when the job was seen to be over, with its run still open.
    pub(in crate::controller) over: Option<Instant>,
    /// The nonce of the request that this process itself ended.
    pub(in crate::controller) ended: Option<String>,
    /// Nonces that this process wrote, or tried to, and never sent a request with; the newest last.
    pub(in crate::controller) unsent: Vec<String>,
    /// The resourceVersion of our own last write: an older object in the cache is stale.
    pub(in crate::controller) written: Option<u64>,
    /// What is true of an object that goes, where the API server did not take it as its status.
    pub(in crate::controller) unsaved: Option<Box<ScrapeJobStatus>>,
    /// The version of the cached object that may have been read while the API server dropped fields.
    pub(in crate::controller) doubted: Option<String>,
    /// Writes of the object in a row that the API server refused.
    pub(in crate::controller) refusals: u32,
    /// The same of its status.
    pub(in crate::controller) status_refusals: u32,
    /// The budget in whose line the object stands.
    pub(in crate::controller) line: Option<Gate>,
    /// The wish for a look for which a reached spend cap was tried.
    pub(in crate::controller) tried_for: Option<String>,
    /// Whether the API server itself said that the namespace has no account of its own.
    pub(in crate::controller) no_own_account: bool,
    /// Whether people were told that it names an account which cannot exist.
    pub(in crate::controller) misnamed: bool,
    /// What of it cannot be read, as it was told.
    pub(in crate::controller) faults: Option<String>,
    /// Whether the next look must be live.
    pub(in crate::controller) live: bool,
    /// Writes in a row that were not carried out.
    pub(in crate::controller) failures: u32,
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

    /// Whether this is another wish than the one for which a reached spend cap was tried last: one try for each, whatever
    /// becomes of the look.
    pub(in crate::controller) fn is_new_wish(&self, uid: &str, wish: Option<String>) -> bool {
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

    /// What was remembered until now.
    pub(in crate::controller) fn forget(&self, uid: &str) -> Remembered {
        self.lock().remove(uid).unwrap_or_default()
    }
}
