//! Whose account is looked at next: fair between namespaces, those with work first, and nobody holds a place while waiting.

use crate::account::{AccountKey, News};
use crate::controller::context::Context;
use crate::controller::context::accounts::Line;

/// A place among those who are looked at; given up when it is dropped, and then the next is told.
pub(super) struct Place<'a> {
    context: &'a Context,
    key: &'a AccountKey,
}

/// A place, or `None` where it is others' turn: the account is told when its own comes.
pub(super) fn enter<'a>(context: &'a Context, key: &'a AccountKey, works: bool) -> Option<Place<'a>> {
    if !context.lines.lets_in(works) {
        // It is told once all jobs are listed, or that took too long; a place that was kept for it is others'.
        forget(context, key);
        return None;
    }
    let mut lines = context.lines.lock();
    let line = lines.entry(key.namespace.clone()).or_insert_with(|| Line::of(&key.namespace));
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
