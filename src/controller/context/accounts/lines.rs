//! Who waits to be looked at, of the accounts of each namespace: those with work first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::account::AccountKey;

/// How many accounts of one namespace are looked at at once, so that many of them leave room for those of others.
const OF_A_NAMESPACE: usize = 1;
/// The same of those of the cluster, which are nobody's alone.
const OF_THE_CLUSTER: usize = 4;

/// Those who wait, by namespace.
#[derive(Debug, Default)]
pub(in crate::controller) struct Lines {
    of: Mutex<BTreeMap<String, Line>>,
    /// Whether those without work are looked at, too: before all jobs are listed nobody knows which they are.
    idle: AtomicBool,
}

impl Lines {
    pub(in crate::controller) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Line>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on those without work are looked at, too; says whether they were not before.
    pub(in crate::controller) fn let_idle_in(&self) -> bool {
        !self.idle.swap(true, Ordering::Relaxed)
    }

    pub(in crate::controller) fn lets_in(&self, works: bool) -> bool {
        works || self.idle.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(in crate::controller) struct Line {
    /// How many are looked at at once.
    at_once: usize,
    /// Those who are looked at.
    pub(in crate::controller) under_way: usize,
    /// Those who wait, in their order; those without work behind all others.
    order: BTreeMap<(bool, u64), AccountKey>,
    places: HashMap<AccountKey, (bool, u64)>,
    next: u64,
    /// Those who were told that they may come, and for whom a place is kept.
    called: HashSet<AccountKey>,
}

impl Line {
    /// Nobody waits yet, of the accounts of this namespace; it is empty for those of the cluster.
    pub(in crate::controller) fn of(namespace: &str) -> Self {
        let at_once = if namespace.is_empty() { OF_THE_CLUSTER } else { OF_A_NAMESPACE };
        let (order, places, called) = (BTreeMap::new(), HashMap::new(), HashSet::new());
        Self { at_once, under_way: 0, order, places, next: 0, called }
    }

    pub(in crate::controller) fn enter(&mut self, key: &AccountKey, works: bool) -> bool {
        let free = self.at_once.saturating_sub(self.under_way + self.called.len());
        if self.called.remove(key) || free > 0 {
            self.forget(key);
            self.under_way += 1;
            return true;
        }
        let before = self.places.get(key).copied();
        if before.is_none_or(|(idle, _)| idle && works) {
            self.forget(key);
            self.next += 1;
            self.order.insert((!works, self.next), key.clone());
            self.places.insert(key.clone(), (!works, self.next));
        }
        false
    }

    /// Those whose turn has come.
    pub(in crate::controller) fn call(&mut self) -> Vec<AccountKey> {
        let mut called = Vec::new();
        while self.under_way + self.called.len() < self.at_once
            && let Some((_, key)) = self.order.pop_first()
        {
            self.places.remove(&key);
            self.called.insert(key.clone());
            called.push(key);
        }
        called
    }

    pub(in crate::controller) fn forget(&mut self, key: &AccountKey) {
        self.called.remove(key);
        if let Some(place) = self.places.remove(key) {
            self.order.remove(&place);
        }
    }

    pub(in crate::controller) fn is_empty(&self) -> bool {
        self.under_way == 0 && self.called.is_empty() && self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Line;
    use crate::account::AccountKey;

    fn key(name: &str) -> AccountKey {
        AccountKey { namespace: "team".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn one_of_a_namespace_is_looked_at_and_those_with_work_come_first() {
        let mut line = Line::of("team");
        assert!(line.enter(&key("a"), false));
        for (name, works) in [("idle", false), ("later", false), ("works", true), ("gone", true)] {
            assert!(!line.enter(&key(name), works), "{name}");
        }
        assert!(!line.enter(&key("later"), true), "it has work now");
        line.forget(&key("gone"));
        let mut order = Vec::new();
        for _ in 0..3 {
            line.under_way -= 1;
            let called = line.call();
            assert_eq!(called.len(), 1);
            assert!(!line.enter(&key("another"), false), "a place is kept for who was called");
            assert!(line.enter(&called[0], false));
            order.push(called[0].name.clone());
        }
        assert_eq!(order, ["works", "later", "idle"]);
    }

    #[test]
    fn one_who_was_called_and_went_keeps_nobody_waiting() {
        let mut line = Line::of("team");
        assert!(line.enter(&key("a"), true));
        assert!(!line.enter(&key("c"), true) && !line.enter(&key("d"), true));
        line.under_way -= 1;
        assert_eq!(line.call(), [key("c")]);
        line.forget(&key("c"));
        assert_eq!(line.call(), [key("d")]);
    }
}
