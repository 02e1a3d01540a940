//! What belongs to one client of the service: its one budget and the accounts that share it; and the sessions of them all.

use std::collections::HashMap;
use std::sync::Arc;

use super::key::AccountKey;
use super::session::Session;
use crate::api::AccountKind;
use crate::budget::{Gate, Limits};
use crate::decide::ClientIdentity;

/// Whose budget it is, at one origin: that of the client which the service named, else that of a token which it accepted
/// without a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    Client(String),
    Token(String),
}

/// What an account brings into the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its own limits, which bind it alone.
    pub(super) limits: Option<Limits>,
    /// Whether the service accepts its credentials now: else it raises nothing.
    pub(super) accepted: bool,
}

/// Every client of the service that accounts use, and their sessions.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// By origin and client. An endpoint's path tells no two clients apart.
    of: HashMap<(String, Whose), OfClient>,
    /// The sessions in use.
    used: HashMap<AccountKey, Arc<Session>>,
    /// The sessions of accounts that have no work.
    resting: HashMap<AccountKey, Arc<Session>>,
    /// The last session of an account that cannot be used any more: deletions still cancel with it.
    departed: HashMap<AccountKey, Arc<Session>>,
}

/// What belongs to one client, whatever the number of its accounts.
#[derive(Debug)]
struct OfClient {
    gate: Gate,
    members: HashMap<AccountKey, Member>,
}

impl Clients {
    /// Puts an account into the budget of its client, and out of every other one. `set` is what any client is given.
    pub(super) fn join(
        &mut self,
        (origin, whose): (String, Whose),
        key: &AccountKey,
        member: Member,
        (set, make): (Limits, impl FnOnce() -> Gate),
    ) -> Gate {
        let mine = (origin, whose);
        self.leave(key, set, Some(&mine));
        let shared =
            self.of.entry(mine).or_insert_with(|| OfClient { gate: make(), members: HashMap::new() });
        if shared.members.get(key) != Some(&member) {
            shared.put(key, member, set);
        }
        shared.gate.of(&key.to_string())
    }

    /// Other limits of an account, wherever it is in.
    pub(super) fn set(&mut self, key: &AccountKey, member: Member, set: Limits) {
        for shared in self.of.values_mut() {
            if shared.members.get(key).is_some_and(|before| *before != member) {
                shared.put(key, member, set);
            }
        }
    }

    /// Takes an account out of every budget but one, and forgets those that no account is left of.
    pub(super) fn leave(&mut self, key: &AccountKey, set: Limits, but: Option<&(String, Whose)>) {
        self.of.retain(|name, shared| {
            if but != Some(name) && shared.members.remove(key).is_some() {
                shared.gate.of(&key.to_string()).leave();
                shared.count(set);
            }
            !shared.members.is_empty()
        });
    }

    /// The accounts of the same client as this one.
    fn beside(&self, key: &AccountKey) -> Vec<AccountKey> {
        let shared = self.of.values().find(|shared| shared.members.contains_key(key));
        let mut others: Vec<_> =
            shared.into_iter().flat_map(|shared| shared.members.keys()).cloned().collect();
        others.retain(|other| other != key);
        others.sort();
        others
    }

    /// Those of them that are in use.
    pub(super) fn used_beside(&self, key: &AccountKey) -> Vec<AccountKey> {
        let mut others = self.beside(key);
        others.retain(|other| self.used.contains_key(other));
        others
    }

    /// The session in use.
    pub(super) fn in_use(&self, key: &AccountKey) -> Option<Arc<Session>> {
        self.used.get(key).cloned()
    }

    /// The session to cancel with: the one in use, else the last that was.
    pub(super) fn last(&self, key: &AccountKey) -> Option<Arc<Session>> {
        self.used.get(key).or_else(|| self.resting.get(key)).or_else(|| self.departed.get(key)).cloned()
    }

    /// Every session, also of what rests.
    pub(super) fn sessions(&self) -> Vec<Arc<Session>> {
        self.used.values().chain(self.resting.values()).map(Arc::clone).collect()
    }

    /// What every session knows of its client, also one that is kept for deletions.
    pub(super) fn identities(&self) -> Vec<ClientIdentity> {
        let sessions = self.used.values().chain(self.resting.values()).chain(self.departed.values());
        sessions.map(|session| session.client()).collect()
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

impl OfClient {
    fn put(&mut self, key: &AccountKey, member: Member, set: Limits) {
        self.members.insert(key.clone(), member);
        self.count(set);
        let gate = self.gate.of(&key.to_string());
        match member.limits {
            Some(limits) => gate.set_own(limits, true),
            None => gate.leave(),
        }
    }

    /// The client has what any client is given, or more where the cluster's own account says so: what one tenant asks
    /// for must not cost the others. An answer of the service can raise it as far as any account asks for.
    fn count(&self, set: Limits) {
        let accepted = || self.members.iter().filter(|(_, member)| member.accepted);
        let asked = |(_, member): (&AccountKey, &Member)| member.limits;
        let cluster = accepted().filter(|(key, _)| key.kind() == AccountKind::ClusterScrapeAccount);
        let limits = cluster.filter_map(asked).fold(set, Limits::largest);
        let most = accepted().filter_map(asked).map(|limits| limits.requests_per_minute).max();
        self.gate.set_limits(limits, most.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::{Clients, Member, Whose};
    use crate::account::AccountKey;
    use crate::budget::{Budget, Gate, Limits};
    use crate::clock::Clock;
    use crate::telemetry::Metrics;

    const SET: Limits = Limits { requests_per_minute: 100, burst: 20, submits_per_minute: 10 };

    /// Puts an account into the budget of a client; says what the client has then.
    fn join(
        clients: &mut Clients,
        client: &str,
        key: &AccountKey,
        asked: (u32, u32),
        accepted: bool,
    ) -> (u32, u32) {
        let make = || {
            let clock = Clock::system();
            let budget = Budget::new(SET, clock.steady());
            Gate::new(budget, clock, mpsc::unbounded_channel().0, Metrics::default())
        };
        let limits = Some(Limits::new(asked.0, asked.1));
        let whose = ("https://a".to_owned(), Whose::Client(client.to_owned()));
        let gate = clients.join(whose, key, Member { limits, accepted }, (SET, make));
        (gate.limits().requests_per_minute, gate.limits().submits_per_minute)
    }

    #[test]
    fn only_accounts_of_the_cluster_raise_a_client_and_none_lowers_it() {
        let own = |name: &str| AccountKey { namespace: "team".to_owned(), name: name.to_owned() };
        let (cluster, poor) = (AccountKey::cluster("all"), AccountKey::cluster("poor"));
        let mut clients = Clients::default();
        assert_eq!(join(&mut clients, "cli_a", &own("least"), (2, 0), true), (100, 10));
        assert_eq!(join(&mut clients, "cli_a", &own("most"), (6000, 600), true), (100, 10));
        assert_eq!(join(&mut clients, "cli_a", &poor, (5, 1), true), (100, 10));
        assert_eq!(join(&mut clients, "cli_a", &cluster, (600, 50), false), (100, 10), "rejected now");
        assert_eq!(join(&mut clients, "cli_a", &cluster, (600, 50), true), (600, 50));
        assert_eq!(join(&mut clients, "cli_b", &own("other"), (2, 0), true), (100, 10), "of another client");
        assert_eq!(clients.beside(&cluster).len(), 3);
        // It follows at once when the account changes, moves to another client, or goes.
        assert_eq!(join(&mut clients, "cli_a", &cluster, (300, 50), true), (300, 50));
        assert_eq!(join(&mut clients, "cli_b", &cluster, (300, 50), true), (300, 50));
        assert_eq!(join(&mut clients, "cli_a", &own("least"), (2, 0), true), (100, 10));
        clients.leave(&cluster, SET, None);
        assert_eq!(join(&mut clients, "cli_b", &own("other"), (2, 0), true), (100, 10));
        for name in ["least", "most", "other"] {
            clients.leave(&own(name), SET, None);
        }
        clients.leave(&poor, SET, None);
        assert!(clients.of.is_empty());
    }
}
