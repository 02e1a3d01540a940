//! The sessions of accounts: in use, at rest, or kept for deletions alone.

use std::collections::HashMap;
use std::sync::Arc;

use crate::account::key::AccountKey;
use crate::account::session::Session;
use crate::decide::ClientIdentity;

/// The sessions of every account.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Those in use.
    used: HashMap<AccountKey, Arc<Session>>,
    /// Those of accounts that have no work.
    resting: HashMap<AccountKey, Arc<Session>>,
    /// The last session of an account that cannot be used any more: deletions still cancel with it.
    departed: HashMap<AccountKey, Arc<Session>>,
}

impl Sessions {
    /// The session in use.
    pub(super) fn in_use(&self, key: &AccountKey) -> Option<Arc<Session>> {
        self.used.get(key).cloned()
    }

    /// The session to cancel with: the one in use, else the last that was.
    pub(super) fn last(&self, key: &AccountKey) -> Option<Arc<Session>> {
        self.used.get(key).or_else(|| self.resting.get(key)).or_else(|| self.departed.get(key)).cloned()
    }

    /// Every session, also of what rests.
    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.used.values().chain(self.resting.values()).map(Arc::clone).collect()
    }

    /// What sessions know of their clients, also those that are kept for deletions: those that have two names, and those
    /// that have this one. No other tells anything new.
    pub(super) fn identities(&self, id: Option<&str>) -> Vec<ClientIdentity> {
        let sessions = self.used.values().chain(self.resting.values()).chain(self.departed.values());
        let tells = |session: &&Arc<Session>| {
            ClientIdentity::tells(session.client_id.as_deref(), session.alias.as_deref(), id)
        };
        let mut told: Vec<ClientIdentity> = sessions.filter(tells).map(|session| session.client()).collect();
        // Many accounts have the same token.
        told.sort();
        told.dedup();
        told
    }

    /// The session in use or that rested, which rests no longer.
    pub(super) fn wake(&mut self, key: &AccountKey) -> Option<Arc<Session>> {
        let resting = self.resting.remove(key);
        self.in_use(key).or(resting)
    }

    /// Uses the account with this session from now on.
    pub(super) fn put_in_use(&mut self, session: &Arc<Session>) {
        self.used.insert(session.key.clone(), Arc::clone(session));
        self.departed.remove(&session.key);
    }

    /// The account has no work.
    pub(super) fn rest(&mut self, key: &AccountKey) {
        if let Some(session) = self.used.remove(key) {
            session.stop_following();
            self.resting.insert(key.clone(), session);
        }
    }

    /// The account cannot be used any more.
    pub(super) fn depart(&mut self, key: &AccountKey) {
        if let Some(session) = self.used.remove(key).or_else(|| self.resting.remove(key)) {
            self.keep(session);
        }
    }

    /// Another session takes the place of this one.
    pub(super) fn supersede(&mut self, session: Arc<Session>) {
        self.used.remove(&session.key);
        self.keep(session);
    }

    /// Keeps a session for deletions only.
    fn keep(&mut self, session: Arc<Session>) {
        session.stop_following();
        self.departed.insert(session.key.clone(), session);
    }

    /// Whether a session is kept for deletions.
    pub(super) fn keeps(&self, key: &AccountKey) -> bool {
        self.departed.contains_key(key)
    }

    /// Lets go of it.
    pub(super) fn let_go(&mut self, key: &AccountKey) {
        self.departed.remove(key);
    }
}
