//! The one budget of each client of the service, and the accounts that share it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::account::key::AccountKey;
use crate::api::AccountKind;
use crate::budget::{Gate, Limits, Past};
use crate::leader::{Before, LEASE, Notes};
use crate::poll::Tail;

/// Whose budget it is, at one origin: that of the client which the service named, else that of a token which it accepted
/// without a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    Client(String),
    Token(String),
}

impl Whose {
    /// A name for it at this endpoint that tells nobody who it is, and is the same in every process.
    pub(super) fn name_at(&self, endpoint: &str) -> String {
        let (kind, word) = match self {
            Self::Client(id) => ("client", id),
            Self::Token(fingerprint) => ("token", fingerprint),
        };
        let digest = Sha256::digest(format!("{kind}\0{word}\0{endpoint}"));
        hex::encode(digest).chars().take(16).collect()
    }
}

/// So long after its last note a process that lost its Lease may still send: as long as the Lease lasts, and what is under
/// way takes.
const SENDS_ON: Duration = LEASE.saturating_add(Duration::from_secs(10));

/// What an earlier process has sent for a client in the minute before it said so, and for how long it may have sent more;
/// nothing where nobody knows, and where that was asked before: it was true of that moment.
pub(super) fn sent_before(notes: &Notes, whose: &(String, Whose)) -> Option<(Past, Duration)> {
    match notes.take(&sent_name(whose))? {
        (None, _) => Some((Past::default(), Duration::ZERO)),
        (Some(words), before) => {
            let unknown = if before == Before::Lost { SENDS_ON } else { Duration::ZERO };
            words.parse().ok().map(|past| (past, unknown))
        }
    }
}

/// The name of the note that says what was sent for a client.
pub(super) fn sent_name((origin, whose): &(String, Whose)) -> String {
    format!("sent {}", whose.name_at(origin))
}

/// What an account brings into the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its own limits, which bind it alone.
    pub(super) limits: Option<Limits>,
    /// Whether the service accepts its credentials now: else it raises nothing.
    pub(super) accepted: bool,
}

/// The budgets of the clients that accounts use.
#[derive(Debug)]
pub(super) struct Budgets {
    /// What any client is given.
    given: Limits,
    /// By origin and client. An endpoint's path tells no two clients apart.
    of: HashMap<(String, Whose), ClientBudget>,
}

/// The budget of one client, whatever the number of its accounts.
#[derive(Debug)]
struct ClientBudget {
    gate: Gate,
    /// The list of its jobs, by endpoint: another address is another service, whose jobs and stamps say nothing of these.
    tails: HashMap<String, Arc<Tail>>,
    members: HashMap<AccountKey, Member>,
}

impl Budgets {
    /// No budget yet; these limits are what any client is given.
    pub(super) fn new(given: Limits) -> Self {
        Self { given, of: HashMap::new() }
    }

    /// Puts an account into the budget of its client, and out of every other one.
    pub(super) fn join(
        &mut self,
        (origin, whose): (String, Whose),
        (key, endpoint): (&AccountKey, String),
        member: Member,
        (make, list): (impl FnOnce(Limits) -> Gate, impl FnOnce(&Gate) -> Arc<Tail>),
    ) -> (Gate, Arc<Tail>) {
        let mine = (origin, whose);
        self.leave_but(key, Some(&mine));
        let given = self.given;
        let new = || ClientBudget { gate: make(given), tails: HashMap::new(), members: HashMap::new() };
        let shared = self.of.entry(mine).or_insert_with(new);
        if shared.members.get(key) != Some(&member) {
            shared.put(key, member, given);
        }
        let tail = shared.tails.entry(endpoint).or_insert_with(|| list(&shared.gate));
        (shared.gate.of(&key.to_string()), Arc::clone(tail))
    }

    /// Takes over what an account brings now into the budget that it is in.
    pub(super) fn change(&mut self, key: &AccountKey, member: Member) {
        for shared in self.of.values_mut() {
            if shared.members.get(key).is_some_and(|before| *before != member) {
                shared.put(key, member, self.given);
            }
        }
    }

    /// Takes an account out of its budget, which is forgotten with its last account.
    pub(super) fn leave(&mut self, key: &AccountKey) {
        self.leave_but(key, None);
    }

    /// The same of every budget but one.
    fn leave_but(&mut self, key: &AccountKey, but: Option<&(String, Whose)>) {
        self.of.retain(|name, shared| {
            if but != Some(name) && shared.members.remove(key).is_some() {
                shared.gate.of(&key.to_string()).clear_own();
                shared.set_limits(self.given);
            }
            !shared.members.is_empty()
        });
    }

    /// What was sent for each client in the last minute.
    pub(super) fn past(&self) -> Vec<((String, Whose), Past)> {
        self.of.iter().map(|(whose, shared)| (whose.clone(), shared.gate.past())).collect()
    }

    /// The other accounts of the same client as this one.
    pub(super) fn beside(&self, key: &AccountKey) -> Vec<AccountKey> {
        let shared = self.of.values().find(|shared| shared.members.contains_key(key));
        let mut others: Vec<_> =
            shared.into_iter().flat_map(|shared| shared.members.keys()).cloned().collect();
        others.retain(|other| other != key);
        others.sort();
        others
    }
}

impl ClientBudget {
    fn put(&mut self, key: &AccountKey, member: Member, given: Limits) {
        self.members.insert(key.clone(), member);
        self.set_limits(given);
        let gate = self.gate.of(&key.to_string());
        match member.limits {
            Some(limits) => gate.set_own(limits, true),
            None => gate.clear_own(),
        }
    }

    /// The client has what any client is given, or more where the cluster's own account says so: what one tenant asks
    /// for must not cost the others. An answer of the service can raise it as far as any account asks for.
    fn set_limits(&self, given: Limits) {
        let accepted = || self.members.iter().filter(|(_, member)| member.accepted);
        let asked = |(_, member): (&AccountKey, &Member)| member.limits;
        let cluster = accepted().filter(|(key, _)| key.kind() == AccountKind::ClusterScrapeAccount);
        let limits = cluster.filter_map(asked).fold(given, Limits::largest);
        let most = accepted().filter_map(asked).map(|limits| limits.requests_per_minute).max();
        self.gate.set_limits(limits, most.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use crate::poll::Tail;
    use tokio::sync::mpsc;

    use super::{Budgets, Member, Whose};
    use crate::account::AccountKey;
    use crate::budget::{Budget, Gate, Limits};
    use crate::clock::Clock;
    use crate::telemetry::Metrics;

    const GIVEN: Limits = Limits { requests_per_minute: 100, burst: 20, submits_per_minute: 10 };

    /// Puts an account into the budget of a client; says what the client has then.
    fn join(
        budgets: &mut Budgets,
        client: &str,
        key: &AccountKey,
        asked: (u32, u32),
        accepted: bool,
    ) -> (u32, u32) {
        let make = |limits| {
            let clock = Clock::system();
            let budget = Budget::new(limits, clock.steady());
            Gate::new(budget, clock, mpsc::unbounded_channel().0, Metrics::default())
        };
        let limits = Some(Limits::new(asked.0, asked.1));
        let whose = ("https://a".to_owned(), Whose::Client(client.to_owned()));
        let list = |_: &Gate| Tail::new(Clock::system(), || 100, (None, Box::new(drop)));
        let at = (key, "https://a.example/api/v1".to_owned());
        let (gate, _) = budgets.join(whose, at, Member { limits, accepted }, (make, list));
        (gate.limits().requests_per_minute, gate.limits().submits_per_minute)
    }

    #[test]
    fn only_accounts_of_the_cluster_raise_a_client_and_none_lowers_it() {
        let own = |name: &str| AccountKey { namespace: "team".to_owned(), name: name.to_owned() };
        let (cluster, poor) = (AccountKey::cluster("all"), AccountKey::cluster("poor"));
        let mut budgets = Budgets::new(GIVEN);
        assert_eq!(join(&mut budgets, "cli_a", &own("least"), (2, 0), true), (100, 10));
        assert_eq!(join(&mut budgets, "cli_a", &own("most"), (6000, 600), true), (100, 10));
        assert_eq!(join(&mut budgets, "cli_a", &poor, (5, 1), true), (100, 10));
        assert_eq!(join(&mut budgets, "cli_a", &cluster, (600, 50), false), (100, 10), "rejected now");
        assert_eq!(join(&mut budgets, "cli_a", &cluster, (600, 50), true), (600, 50));
        assert_eq!(join(&mut budgets, "cli_b", &own("other"), (2, 0), true), (100, 10), "of another client");
        assert_eq!(budgets.beside(&cluster).len(), 3);
        // It follows at once when the account changes, moves to another client, or goes.
        assert_eq!(join(&mut budgets, "cli_a", &cluster, (300, 50), true), (300, 50));
        assert_eq!(join(&mut budgets, "cli_b", &cluster, (300, 50), true), (300, 50));
        assert_eq!(join(&mut budgets, "cli_a", &own("least"), (2, 0), true), (100, 10));
        budgets.leave(&cluster);
        assert_eq!(join(&mut budgets, "cli_b", &own("other"), (2, 0), true), (100, 10));
        for name in ["least", "most", "other"] {
            budgets.leave(&own(name));
        }
        budgets.leave(&poor);
        assert!(budgets.of.is_empty());
    }
}
