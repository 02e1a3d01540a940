//! Objects whose own requests fail: each waits for itself alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::brake::Brake;
use crate::budget::request::Lane;

/// So many are remembered; past that the one that may go on first is forgotten.
const SUBJECTS: usize = 1024;

/// The objects whose requests in a lane failed last.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Subjects(BTreeMap<(Lane, String), Brake>);

impl Subjects {
    /// A request of this object failed.
    pub(super) fn failed(&mut self, (lane, name): (Lane, &str), now: Timestamp, jitter: f64, why: &Arc<str>) {
        self.0.entry((lane, name.to_owned())).or_default().failed(now, jitter, Some(why));
        while self.0.len() > SUBJECTS {
            let first = self.0.iter().min_by_key(|(_, brake)| brake.opens()).map(|(key, _)| key.clone());
            let Some(first) = first else { return };
            self.0.remove(&first);
        }
    }

    /// One was answered.
    pub(super) fn answered(&mut self, lane: Lane, name: &str) {
        self.0.remove(&(lane, name.to_owned()));
    }

    /// What stops an object.
    pub(super) fn get(&self, lane: Lane, name: &str) -> Option<&Brake> {
        // Most of the time nothing fails, and many wait.
        if self.0.is_empty() { None } else { self.0.get(&(lane, name.to_owned())) }
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, lane: Lane, name: &str) -> Option<&mut Brake> {
        self.0.get_mut(&(lane, name.to_owned()))
    }

    /// Whether no object's requests fail.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
