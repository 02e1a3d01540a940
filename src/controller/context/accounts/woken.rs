//! How accounts stood when their jobs were told last.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::account::AccountKey;
use crate::decide;

/// How each account stood when its jobs were woken last, and how many looks at it failed in a row since.
#[derive(Debug, Default)]
pub(in crate::controller) struct Woken(Mutex<HashMap<AccountKey, (Option<decide::AccountFacts>, u32)>>);

impl Woken {
    fn with<T>(
        &self,
        key: &AccountKey,
        with: impl FnOnce(&mut (Option<decide::AccountFacts>, u32)) -> T,
    ) -> T {
        with(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default())
    }

    /// Notes how the account stands; says whether that is otherwise than then: the caller wakes them.
    pub(in crate::controller) fn note(&self, key: &AccountKey, facts: decide::AccountFacts) -> bool {
        self.with(key, |(known, _)| {
            let other = known.as_ref() != Some(&facts);
            *known = Some(facts);
            other
        })
    }

    /// A look failed; says how many in a row had before.
    pub(in crate::controller) fn failed(&self, key: &AccountKey) -> u32 {
        self.with(key, |(_, failures)| {
            let before = *failures;
            *failures = failures.saturating_add(1);
            before
        })
    }

    /// A look succeeded; of an account that is gone nothing is remembered.
    pub(in crate::controller) fn succeeded(&self, key: &AccountKey) {
        if let Some((_, failures)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(key) {
            *failures = 0;
        }
    }

    pub(in crate::controller) fn forget(&self, key: &AccountKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
