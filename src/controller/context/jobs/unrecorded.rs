//! Accepted jobs that are not recorded yet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::CachedJob;
use crate::decide::Verdict;

/// Accepted jobs whose ids the API server does not take, by the uid of their objects. Nothing else is done for these.
#[derive(Debug, Default)]
pub(in crate::controller) struct Unrecorded(Mutex<HashMap<String, Accepted>>);

/// An accepted job that is not recorded.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Accepted {
    /// The object as it was submitted for.
    pub(in crate::controller) job: CachedJob,
    pub(in crate::controller) verdict: Verdict,
    pub(in crate::controller) job_id: String,
    pub(in crate::controller) tries: u32,
    /// Whether people know its id.
    pub(in crate::controller) told: bool,
}

impl Unrecorded {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Accepted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::controller) fn get(&self, uid: &str) -> Option<Accepted> {
        self.lock().get(uid).cloned()
    }

    pub(in crate::controller) fn put(&self, uid: &str, accepted: Accepted) {
        self.lock().insert(uid.to_owned(), accepted);
    }

    pub(in crate::controller) fn take(&self, uid: &str) -> Option<Accepted> {
        self.lock().remove(uid)
    }

    pub(in crate::controller) fn jobs(&self) -> Vec<(String, CachedJob)> {
        self.lock().iter().map(|(uid, accepted)| (uid.clone(), accepted.job.clone())).collect()
    }

    /// How many there are.
    pub(in crate::controller) fn len(&self) -> usize {
        self.lock().len()
    }
}
