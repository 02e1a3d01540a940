//! The types of jobs that the service takes nowhere: one submit at a time tries (`docs/adr/0018`).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::brake::Brake;
use crate::budget::request::Ticket;

/// So many are remembered; past that the one that may be tried first is forgotten.
const KINDS: usize = 64;

/// Submits of a type for which the service knows no address.
#[derive(Debug, PartialEq)]
struct NotServed {
    since: Timestamp,
    why: Arc<str>,
    brake: Brake,
}

/// The types that the service takes nowhere.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Kinds(BTreeMap<String, NotServed>);

impl Kinds {
    /// Takes over that the service knows no address for submits of this type: one at a time tries it from now on.
    pub(super) fn not_served(
        &mut self,
        now: Timestamp,
        (kind, ticket): (&str, Ticket),
        why: Arc<str>,
        jitter: f64,
    ) {
        let new = || NotServed { since: now, why, brake: Brake::default() };
        let known = self.0.entry(kind.to_owned()).or_insert_with(new);
        // Others that were under way together fail together.
        if known.brake.until.is_none() || known.brake.is_probe(ticket) {
            known.brake.failed(now, jitter, None);
        }
        while self.0.len() > KINDS {
            let first = self.0.iter().min_by_key(|(_, known)| known.brake.opens());
            let Some(first) = first.map(|(kind, _)| kind.clone()) else { return };
            self.0.remove(&first);
        }
    }

    /// Takes over that the service takes this type.
    pub(super) fn served(&mut self, kind: &str) {
        self.0.remove(kind);
    }

    /// Since when the service knows no address for submits of this type, and its words.
    pub(super) fn refusal(&self, kind: &str) -> Option<(Timestamp, Arc<str>)> {
        self.0.get(kind).map(|known| (known.since, Arc::clone(&known.why)))
    }

    /// What stops a type.
    pub(super) fn get(&self, kind: Option<&String>) -> Option<&Brake> {
        // Most of the time every type is served, and many wait.
        let kind = kind.filter(|_| !self.0.is_empty())?;
        self.0.get(kind).map(|known| &known.brake)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, kind: Option<&String>) -> Option<&mut Brake> {
        self.0.get_mut(kind?).map(|known| &mut known.brake)
    }

    /// What stops all of them.
    pub(super) fn brakes(&mut self) -> impl Iterator<Item = &mut Brake> {
        self.0.values_mut().map(|known| &mut known.brake)
    }
}
