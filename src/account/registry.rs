//! Every account that is known, and the one budget of each client behind them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::AccountKey;
use super::session::{Parts, Session};
use crate::api::{Credential, Reason};
use crate::clock::Clock;
use crate::spideriq::budget::{Gate, Limits};
use crate::spideriq::{Client, Credentials, Endpoint, Error, Transport};
use crate::telemetry::Metrics;

/// How an account stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nothing can be sent with it.
    Unusable {
        /// Why.
        reason: Reason,
        /// Why, in words.
        message: String,
        /// Changes whenever the account or its Secret does.
        fingerprint: String,
    },
    /// It is in use.
    Usable(Arc<Session>),
}

/// Where the registry tells what happens.
#[derive(Clone, Debug)]
pub struct Channels {
    /// Keys of objects whose turn has come, or whose job changed.
    pub objects: mpsc::UnboundedSender<String>,
    /// Accounts that have to be looked at.
    pub accounts: mpsc::UnboundedSender<AccountKey>,
}

/// Every account that is known.
#[derive(Debug)]
pub struct Accounts {
    clock: Clock,
    channels: Channels,
    metrics: Metrics,
    /// Where requests go, if not over the network.
    transport: Option<Arc<dyn Transport>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    standings: HashMap<AccountKey, Standing>,
    /// The last session of an account that cannot be used any more: deletions still cancel with it.
    departed: HashMap<AccountKey, Arc<Session>>,
    gates: HashMap<(Endpoint, String), Shared>,
}

#[derive(Debug)]
struct Shared {
    gate: Gate,
    limits: HashMap<AccountKey, Limits>,
}

/// What an account is to be opened with.
#[derive(Debug)]
pub struct Opening {
    /// The service.
    pub endpoint: Endpoint,
    /// The token.
    pub credentials: Credentials,
    /// The Secret that it came from.
    pub credential: Credential,
    /// The client, where it is known.
    pub client_id: Option<String>,
    /// The account's own limits.
    pub limits: Limits,
}

impl State {
    /// Takes an account's limits out of every gate but one, and forgets gates that no account is left of.
    fn leave_gates(&mut self, key: &AccountKey, but: Option<&(Endpoint, String)>) {
        self.gates.retain(|name, shared| {
            if but == Some(name) {
                return true;
            }
            shared.limits.remove(key);
            !shared.limits.is_empty()
        });
    }
}

impl Accounts {
    /// An empty registry.
    pub fn new(
        clock: Clock,
        channels: Channels,
        metrics: Metrics,
        transport: Option<Arc<dyn Transport>>,
    ) -> Self {
        Self { clock, channels, metrics, transport, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How an account stands; `None` while it is not known.
    pub fn standing(&self, key: &AccountKey) -> Option<Standing> {
        self.lock().standings.get(key).cloned()
    }

    /// The session to cancel with: the one in use, else the last that was.
    pub fn last_session(&self, key: &AccountKey) -> Option<Arc<Session>> {
        let state = self.lock();
        match state.standings.get(key) {
            Some(Standing::Usable(session)) => Some(Arc::clone(session)),
            Some(Standing::Unusable { .. }) | None => state.departed.get(key).cloned(),
        }
    }

    /// The session that an account is to be used with: the one in use if nothing about it changed, else a new one, which
    /// is in use from [`Self::put_in_use`] on.
    ///
    /// # Errors
    /// If no client can be made on this machine.
    pub fn open(&self, key: &AccountKey, opening: &Opening) -> Result<Arc<Session>, Error> {
        let gate = self.gate(key, opening);
        if let Some(Standing::Usable(session)) = self.standing(key)
            && session.endpoint == opening.endpoint.to_string()
            && session.credential == opening.credential
            && session.client_id == opening.client_id
        {
            return Ok(session);
        }
        let (endpoint, credentials) = (opening.endpoint.clone(), opening.credentials.clone());
        let (clock, metrics) = (self.clock.clone(), self.metrics.clone());
        let client = match &self.transport {
            None => Client::new(endpoint, credentials, clock, metrics)?,
            Some(transport) => Client::over(Arc::clone(transport), endpoint, credentials, (clock, metrics))?,
        };
        Ok(Session::start(Parts {
            key: key.clone(),
            client,
            client_id: opening.client_id.clone(),
            credential: opening.credential.clone(),
            gate,
            clock: self.clock.clone(),
            wake: self.channels.accounts.clone(),
            changed: self.channels.objects.clone(),
        }))
    }

    /// Uses the account with this session from now on.
    pub fn put_in_use(&self, session: &Arc<Session>) {
        let mut state = self.lock();
        state.standings.insert(session.key.clone(), Standing::Usable(Arc::clone(session)));
        state.departed.remove(&session.key);
    }

    /// The one gate of a client, with the smallest limits of its accounts.
    fn gate(&self, key: &AccountKey, opening: &Opening) -> Gate {
        let client = opening.client_id.clone().unwrap_or_else(|| opening.credentials.fingerprint());
        let mut state = self.lock();
        let mine = (opening.endpoint.clone(), client);
        state.leave_gates(key, Some(&mine));
        let shared = state.gates.entry(mine).or_insert_with(|| Shared {
            gate: Gate::new(
                opening.limits,
                self.clock.clone(),
                self.channels.objects.clone(),
                self.metrics.clone(),
            ),
            limits: HashMap::new(),
        });
        if shared.limits.insert(key.clone(), opening.limits) != Some(opening.limits) {
            let smallest = shared.limits.values().copied().reduce(Limits::smallest).unwrap_or(opening.limits);
            shared.gate.set_limits(smallest);
        }
        shared.gate.clone()
    }

    /// Closes an account that cannot be used; says whether it stands otherwise than before.
    pub fn close(&self, key: &AccountKey, reason: Reason, message: String, fingerprint: String) -> bool {
        let mut state = self.lock();
        let other = match state.standings.get(key) {
            Some(Standing::Unusable { reason: r, message: m, fingerprint: f }) => {
                *r != reason || *m != message || *f != fingerprint
            }
            Some(Standing::Usable(_)) | None => true,
        };
        let standing = Standing::Unusable { reason, message, fingerprint };
        if let Some(Standing::Usable(session)) = state.standings.insert(key.clone(), standing) {
            session.stop_following();
            state.departed.insert(key.clone(), session);
        }
        other
    }

    /// Forgets an account that is gone; deletions still cancel with its last session.
    pub fn remove(&self, key: &AccountKey) {
        let mut state = self.lock();
        if let Some(Standing::Usable(session)) = state.standings.remove(key) {
            session.stop_following();
            state.departed.insert(key.clone(), session);
        }
        state.leave_gates(key, None);
    }

    /// Whether a session is kept for deletions although its account cannot be used.
    pub fn keeps(&self, key: &AccountKey) -> bool {
        self.lock().departed.contains_key(key)
    }

    /// Lets go of the session that was kept for deletions: no job of the account is left.
    pub fn let_go(&self, key: &AccountKey) {
        self.lock().departed.remove(key);
    }

    /// Every open session.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        let state = self.lock();
        let open = state.standings.values().filter_map(|standing| match standing {
            Standing::Usable(session) => Some(Arc::clone(session)),
            Standing::Unusable { .. } => None,
        });
        open.collect()
    }

    /// The client that is known for this Secret, so that the service is not asked again.
    pub fn client_of(&self, key: &AccountKey, credential: &Credential) -> Option<String> {
        match self.lock().standings.get(key) {
            Some(Standing::Usable(session)) if session.credential == *credential => session.client_id.clone(),
            Some(Standing::Usable(_) | Standing::Unusable { .. }) | None => None,
        }
    }

    /// Asks for an object to be looked at.
    pub fn tell(&self, object: String) {
        // The receiver goes only when the process stops.
        let _ = self.channels.objects.send(object);
    }

    /// An account, and every other one of the same client: what the service says of its budget concerns them, too.
    pub fn of_same_client(&self, key: AccountKey) -> Vec<AccountKey> {
        let state = self.lock();
        let shared = state.gates.values().find(|shared| shared.limits.contains_key(&key));
        let others = shared.into_iter().flat_map(|shared| shared.limits.keys());
        let mut others: Vec<AccountKey> = others.filter(|other| **other != key).cloned().collect();
        others.sort();
        std::iter::once(key).chain(others).collect()
    }

    /// Asks for an account to be looked at.
    pub fn nudge(&self, key: &AccountKey) {
        // The receiver goes only when the process stops.
        let _ = self.channels.accounts.send(key.clone());
    }
}
