//! Every account that is known, and how it stands.

mod budgets;
mod sessions;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::key::AccountKey;
use super::news::{Channels, News};
use super::proving::{self, Proving};
use super::session::{Parts, Session};
use crate::api::{Credential, Reason};
use crate::budget::{Budget, Gate, Limits};
use crate::clock::Clock;
use crate::decide::ClientIdentity;
use crate::decide::account::{Proof, Said};
use crate::leader::{Claims, Notes};
use crate::poll::{Mark, Tail};
use crate::spideriq::{Client, Credentials, Endpoint, Error, Transport};
use crate::telemetry::Metrics;
use budgets::{Budgets, Member, Whose, sent_before, sent_name};
use sessions::Sessions;

/// How an account stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nothing can be sent with it.
    Unusable {
        /// Why.
        reason: Reason,
        /// Why, in words.
        message: String,
        /// Since when the service rejects its credentials, where that is why.
        rejected: Option<Timestamp>,
        /// Changes whenever the account or its Secret does.
        fingerprint: String,
    },
    /// It is in use.
    Usable(Arc<Session>),
}

/// How requests get to the service, how many may, and where.
#[derive(Clone, Debug)]
pub struct Network {
    /// Where requests go, if not over the network.
    pub transport: Option<Arc<dyn Transport>>,
    /// What each client may send, where no account of the cluster says more.
    pub limits: Limits,
    /// The claims of this release: nothing is sent without.
    pub claims: Claims,
    /// Where the lists of an earlier process ended, and where those of this one do.
    pub notes: Notes,
}

/// Every account that is known.
#[derive(Debug)]
pub struct Accounts {
    clock: Clock,
    channels: Channels,
    metrics: Metrics,
    network: Network,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The budgets of those that the service accepted.
    budgets: Budgets,
    /// Their sessions.
    sessions: Sessions,
    /// How those stand that cannot be used.
    unusable: HashMap<AccountKey, Standing>,
    /// Accounts that the service has not accepted yet. One is dropped under the lock: that only aborts its task.
    proving: HashMap<AccountKey, Arc<Proving>>,
    /// What all unproven accounts of an origin share.
    doors: HashMap<String, Gate>,
    /// Connections are made for each request, so that all accounts can share what makes them.
    transports: HashMap<bool, Arc<dyn Transport>>,
}

/// What an account is to be opened with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The service.
    pub endpoint: Endpoint,
    /// The token.
    pub credentials: Credentials,
    /// The Secret that it came from.
    pub credential: Credential,
}

impl State {
    fn new(given: Limits) -> Self {
        Self {
            budgets: Budgets::new(given),
            sessions: Sessions::default(),
            unusable: HashMap::new(),
            proving: HashMap::new(),
            doors: HashMap::new(),
            transports: HashMap::new(),
        }
    }
}

impl Opening {
    fn is_of(&self, session: &Session) -> bool {
        session.endpoint == self.endpoint.to_string() && session.credential == self.credential
    }
}

impl Accounts {
    /// An empty registry.
    pub fn new(clock: Clock, channels: Channels, metrics: Metrics, network: Network) -> Self {
        let state = Mutex::new(State::new(network.limits));
        Self { clock, channels, metrics, network, state }
    }

    /// Has what is sent be told to the process after this one, for as long as this one works.
    pub fn tell_what_is_sent(self: &Arc<Self>) {
        let accounts = Arc::downgrade(self);
        self.network.notes.tell(Arc::new(move || {
            let Some(accounts) = accounts.upgrade() else { return Vec::new() };
            // Also of a client for which nothing was sent: without a note nobody would know.
            let sent = accounts.lock().budgets.past();
            sent.into_iter().map(|(whose, past)| (sent_name(&whose), past.to_string())).collect()
        }));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How an account stands; `None` while it is not known, or rests because it has no work.
    pub fn standing(&self, key: &AccountKey) -> Option<Standing> {
        let state = self.lock();
        state.sessions.in_use(key).map(Standing::Usable).or_else(|| state.unusable.get(key).cloned())
    }

    /// The session to cancel with: the one in use, else the last that was.
    pub fn last_session(&self, key: &AccountKey) -> Option<Arc<Session>> {
        self.lock().sessions.last(key)
    }

    /// The session that the account was opened with before, if nothing about it has changed since; a session that another
    /// token takes the place of is kept for deletions only.
    pub fn opened(&self, key: &AccountKey, opening: &Opening) -> Option<Arc<Session>> {
        let mut state = self.lock();
        let session = state.sessions.wake(key)?;
        if opening.is_of(&session) {
            return Some(session);
        }
        state.unusable.remove(key);
        state.sessions.supersede(session);
        None
    }

    /// The session in use, whatever its token.
    pub fn in_use(&self, key: &AccountKey) -> Option<Arc<Session>> {
        self.lock().sessions.in_use(key)
    }

    /// The question whether the service accepts the account, begun anew where anything about it has changed.
    ///
    /// # Errors
    /// If no client can be made on this machine.
    pub fn prove(&self, key: &AccountKey, opening: &Opening) -> Result<Arc<Proving>, Error> {
        let same = |proving: &&Arc<Proving>| {
            proving.endpoint == opening.endpoint && proving.credential == opening.credential
        };
        if let Some(proving) = self.lock().proving.get(key).filter(same) {
            return Ok(Arc::clone(proving));
        }
        let client = self.client(opening)?;
        let mut state = self.lock();
        let door = state
            .doors
            .entry(opening.endpoint.origin())
            .or_insert_with(|| self.gate(Budget::unused(proving::TOGETHER, self.clock.steady())));
        let proving = Proving::new(proving::Parts {
            key: key.clone(),
            endpoint: opening.endpoint.clone(),
            credential: opening.credential.clone(),
            claimed: opening.credentials.client_id().map(str::to_owned),
            client,
            clock: self.clock.clone(),
            claims: self.network.claims.clone(),
            door: door.clone(),
            accounts: self.channels.accounts.clone(),
        });
        // One that is replaced sends nothing any more.
        state.proving.insert(key.clone(), Arc::clone(&proving));
        Ok(proving)
    }

    /// Whether the service has still to say whether it accepts the account.
    pub fn is_asked_about(&self, key: &AccountKey) -> bool {
        let proving = self.lock().proving.get(key).map(Arc::clone);
        proving.is_some_and(|proving| matches!(proving.said(), Said::Nothing | Said::Unclear { .. }))
    }

    /// A session with what the service has accepted, in use from [`Self::put_in_use`] on. What was sent to prove it counts
    /// against the client's budget.
    ///
    /// # Errors
    /// If no client can be made on this machine.
    pub fn start(
        &self,
        key: &AccountKey,
        opening: &Opening,
        (proof, limits): (Proof, Option<Limits>),
    ) -> Result<Arc<Session>, Error> {
        let client = self.client(opening)?;
        let whose = match &proof.client_id {
            Some(client_id) => Whose::Client(client_id.clone()),
            None => Whose::Token(opening.credentials.fingerprint()),
        };
        let mut state = self.lock();
        let (gate, tail) = self.join(
            &mut state,
            (opening.endpoint.origin(), whose),
            (key, opening.endpoint.to_string()),
            (limits, true),
        );
        let sent = state.proving.remove(key).map_or(0, |proving| proving.sent());
        drop(state);
        gate.charge(sent);
        Ok(Session::start(Parts {
            key: key.clone(),
            client,
            proof,
            credential: opening.credential.clone(),
            gate,
            tail,
            clock: self.clock.clone(),
            claims: self.network.claims.clone(),
            channels: self.channels.clone(),
        }))
    }

    fn client(&self, opening: &Opening) -> Result<Client, Error> {
        let (endpoint, credentials) = (opening.endpoint.clone(), opening.credentials.clone());
        let transport = match &self.network.transport {
            Some(transport) => Arc::clone(transport),
            None => self.transport(&endpoint)?,
        };
        Client::over(transport, endpoint, credentials, (self.clock.clone(), self.metrics.clone()))
    }

    fn transport(&self, endpoint: &Endpoint) -> Result<Arc<dyn Transport>, Error> {
        if let Some(transport) = self.lock().transports.get(&endpoint.is_encrypted()) {
            return Ok(Arc::clone(transport));
        }
        let made = Client::network(endpoint)?;
        self.lock().transports.insert(endpoint.is_encrypted(), Arc::clone(&made));
        Ok(made)
    }

    fn join(
        &self,
        state: &mut State,
        whose: (String, Whose),
        at: (&AccountKey, String),
        (limits, accepted): (Option<Limits>, bool),
    ) -> (Gate, Arc<Tail>) {
        let of = whose.clone();
        let make = |given| {
            let now = self.clock.steady();
            let mut budget = Budget::new(given, now);
            if let Some((past, unknown)) = sent_before(&self.network.notes, &of) {
                budget.sent_before(past, unknown, now);
            }
            self.gate(budget)
        };
        let name = whose.1.name_at(&at.1);
        let list = |gate: &Gate| {
            let (gate, notes) = (gate.clone(), self.network.notes.clone());
            let found = notes.found(&name).and_then(|words| words.parse::<Mark>().ok());
            let keep = move |mark: Mark| notes.keep(&name, mark.to_string());
            let per_minute = move || gate.limits().requests_per_minute;
            Tail::new(self.clock.clone(), per_minute, (found, Box::new(keep)))
        };
        state.budgets.join(whose, at, Member { limits, accepted }, (make, list))
    }

    fn gate(&self, budget: Budget) -> Gate {
        Gate::new(budget, self.clock.clone(), self.channels.objects.clone(), self.metrics.clone())
    }

    /// The account's own limits from now on, and whether the service accepts its credentials.
    pub fn set_limits(&self, key: &AccountKey, limits: Option<Limits>, accepted: bool) {
        self.lock().budgets.change(key, Member { limits, accepted });
    }

    /// Uses the account with this session from now on.
    pub fn put_in_use(&self, session: &Arc<Session>) {
        session.start_following();
        let mut state = self.lock();
        state.sessions.put_in_use(session);
        state.unusable.remove(&session.key);
        state.proving.remove(&session.key);
    }

    /// The account has no work: its session is kept, and used again once the account was looked at anew.
    pub fn rest(&self, key: &AccountKey) {
        self.lock().sessions.rest(key);
    }

    /// Says how an account stands that cannot be used; its last session is kept for deletions.
    pub fn close(
        &self,
        key: &AccountKey,
        (reason, message): (Reason, String),
        rejected: Option<Timestamp>,
        fingerprint: String,
    ) {
        let mut state = self.lock();
        let standing = Standing::Unusable { reason, message, rejected, fingerprint };
        state.unusable.insert(key.clone(), standing);
        state.sessions.depart(key);
    }

    /// Forgets the question whether the service accepts an account.
    pub fn stop_proving(&self, key: &AccountKey) {
        self.lock().proving.remove(key);
    }

    /// Forgets an account that is gone; deletions still cancel with its last session.
    pub fn remove(&self, key: &AccountKey) {
        self.stop_proving(key);
        let mut state = self.lock();
        state.unusable.remove(key);
        state.sessions.depart(key);
        state.budgets.leave(key);
    }

    /// Whether a session is kept for deletions although its account cannot be used.
    pub fn keeps(&self, key: &AccountKey) -> bool {
        self.lock().sessions.keeps(key)
    }

    /// Lets go of the session that was kept for deletions: no job of the account is left.
    pub fn let_go(&self, key: &AccountKey) {
        self.lock().sessions.let_go(key);
    }

    /// Every session, also of what rests.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.lock().sessions.all()
    }

    /// A client with every name by which any account knows it.
    pub fn every_name_of(&self, client: ClientIdentity) -> ClientIdentity {
        let known = self.lock().sessions.identities(client.id());
        client.known_by(&known)
    }

    /// Asks for an object to be looked at.
    pub fn tell(&self, object: String) {
        // The receiver goes only when the process stops.
        let _ = self.channels.objects.send(object);
    }

    /// The accounts that news concern: of those of a client the ones in use.
    pub fn concerned(&self, news: News) -> Vec<AccountKey> {
        let key = match news {
            News::Account(key) => return vec![key],
            News::Client(key) => key,
        };
        let state = self.lock();
        let mut others = state.budgets.beside(&key);
        others.retain(|other| state.sessions.in_use(other).is_some());
        std::iter::once(key).chain(others).collect()
    }

    /// Asks for accounts to be looked at.
    pub fn nudge(&self, news: News) {
        // The receiver goes only when the process stops.
        let _ = self.channels.accounts.send(news);
    }
}
