//! Whose account is looked at next: fair between namespaces, those with work first, and nobody holds a place while waiting.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::account::{AccountKey, News};
use crate::controller::context::Context;

/// How many accounts of one namespace are looked at at once, so that many of them leave room for those of others.
const OF_A_NAMESPACE: usize = 2;

/// Those who wait, by namespace.
#[derive(Debug, Default)]
pub(in crate::controller) struct Lines(Mutex<BTreeMap<String, Line>>);

#[derive(Debug, Default)]
struct Line {
    /// Those who are looked at.
    under_way: usize,
    /// Those who wait, in their order; those without work behind all others.
    order: BTreeMap<(bool, u64), AccountKey>,
    places: HashMap<AccountKey, (bool, u64)>,
    next: u64,
    /// Those who were told that they may come, and for whom a place is kept.
    called: HashSet<AccountKey>,
}

/// A place among those who are looked at; given up when it is dropped, and then the next is told.
pub(super) struct Place<'a> {
    context: &'a Context,
    key: &'a AccountKey,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, or `None` where it is others' turn: the account is told when its own comes.
    pub(super) fn enter<'a>(context: &'a Context, key: &'a AccountKey, works: bool) -> Option<Place<'a>> {
        let mut lines = context.lines.lock();
        let line = lines.entry(key.namespace.clone()).or_default();
        // Not made before it is one: to give it up locks the lines.
        let enters = line.enter(key, works);
        enters.then(|| Place { context, key })
    }

    /// Gives up the place of an account that is gone.
    pub(super) fn forget(context: &Context, key: &AccountKey) {
        let mut lines = context.lines.lock();
        let Some(line) = lines.get_mut(&key.namespace) else { return };
        line.forget(key);
        let next = line.call();
        if line.is_empty() {
            lines.remove(&key.namespace);
        }
        drop(lines);
        tell(context, next);
    }
}

fn tell(context: &Context, called: Vec<AccountKey>) {
    for key in called {
        context.accounts.nudge(News::Account(key));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lines = self.context.lines.lock();
        let Some(line) = lines.get_mut(&self.key.namespace) else { return };
        line.under_way = line.under_way.saturating_sub(1);
        let called = line.call();
        if line.is_empty() {
            lines.remove(&self.key.namespace);
        }
        drop(lines);
        tell(self.context, called);
    }
}

impl Line {
    fn enter(&mut self, key: &AccountKey, works: bool) -> bool {
        let free = OF_A_NAMESPACE.saturating_sub(self.under_way + self.called.len());
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
    fn call(&mut self) -> Vec<AccountKey> {
        let mut called = Vec::new();
        while self.under_way + self.called.len() < OF_A_NAMESPACE
            && let Some((_, key)) = self.order.pop_first()
        {
            self.places.remove(&key);
            self.called.insert(key.clone());
            called.push(key);
        }
        called
    }

    fn forget(&mut self, key: &AccountKey) {
        self.called.remove(key);
        if let Some(place) = self.places.remove(key) {
            self.order.remove(&place);
        }
    }

    fn is_empty(&self) -> bool {
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
    fn two_of_a_namespace_are_looked_at_and_those_with_work_come_first() {
        let mut line = Line::default();
        assert!(line.enter(&key("a"), false) && line.enter(&key("b"), false));
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
        let mut line = Line::default();
        assert!(line.enter(&key("a"), true) && line.enter(&key("b"), true));
        assert!(!line.enter(&key("c"), true) && !line.enter(&key("d"), true));
        line.under_way -= 1;
        assert_eq!(line.call(), [key("c")]);
        line.forget(&key("c"));
        assert_eq!(line.call(), [key("d")]);
    }
}
