//! One account in use: its client, its budget, its poller, and what the service lately said of it.

mod following;
mod verdict;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::key::AccountKey;
use super::news::{Channels, News};
use super::turn::turn;
use crate::api::{ClientIdSource, Credential, Reason};
use crate::budget::{Gate, Lane, Permit};
use crate::clock::Clock;
use crate::decide::ClientIdentity;
use crate::decide::account::{Asked, Health, Proof};
use crate::leader::Claims;
use crate::poll::{Poller, Tail, Used};
use crate::spideriq::{Answer, Client, Error, JobStatus, Signals, SubmitAnswer, Summary};
use verdict::{Shown, for_account, for_budget};

/// The first pause before the service is asked again whose the credentials are, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// One account in use. It lives as long as its endpoint, client and Secret stay the same.
#[derive(Debug)]
pub struct Session {
    /// The account.
    pub key: AccountKey,
    /// Base address of the service.
    pub endpoint: String,
    /// The client at the service, where it is known: as the service named it, or as the token does that it accepted.
    pub client_id: Option<String>,
    /// Another name of that client, which the token itself carries.
    pub alias: Option<String>,
    /// Where that name is from, as far as was known when the session began.
    source: Option<ClientIdSource>,
    /// The Secret in use.
    pub credential: Credential,
    /// The client's budget, shared with every account of the same client.
    pub gate: Gate,
    /// The list of the client's jobs, shared in the same way.
    tail: Arc<Tail>,
    client: Client,
    clock: Clock,
    claims: Claims,
    state: Mutex<State>,
    poller: Mutex<Option<Poller>>,
    channels: Channels,
}

#[derive(Debug, Default)]
struct State {
    settings: Settings,
    health: Health,
    /// Whether the service is being asked whose the credentials are.
    asking: bool,
    /// When it was asked last, and how often in all.
    asked: Option<(Instant, u32)>,
}

/// What may change about an account while it is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether submits are held back.
    pub suspended: bool,
    /// By what its jobs are followed.
    pub used: Used,
    /// Why nothing may be submitted with it, where something else stands in the way: what was begun goes on.
    pub barred: Option<(Reason, String)>,
    /// Changes whenever the account or its Secret does.
    pub fingerprint: String,
}

/// What a session is made of.
pub(super) struct Parts {
    pub(super) key: AccountKey,
    pub(super) client: Client,
    /// Without it no session begins: nothing is submitted or recorded with what the service has not accepted.
    pub(super) proof: Proof,
    pub(super) credential: Credential,
    pub(super) gate: Gate,
    pub(super) tail: Arc<Tail>,
    pub(super) clock: Clock,
    /// Nothing is sent where another release works.
    pub(super) claims: Claims,
    pub(super) channels: Channels,
}

impl Session {
    pub(super) fn start(parts: Parts) -> Arc<Self> {
        let Parts { key, client, proof, credential, gate, tail, clock, claims, channels } = parts;
        let Proof { client_id, alias, source, since } = proof;
        // That only the token names the client is asked about once more: the service may have learnt to.
        let told = source == Some(ClientIdSource::Service);
        let health = Health { accepted: Some(since), told, ..Health::default() };
        Arc::new(Self {
            key,
            endpoint: client.endpoint().to_string(),
            client_id,
            alias,
            source,
            credential,
            gate,
            tail,
            client,
            clock,
            claims,
            state: Mutex::new(State { health, ..State::default() }),
            poller: Mutex::default(),
            channels,
        })
    }

    /// The client that it is of.
    pub fn client(&self) -> ClientIdentity {
        self.as_begun().given(self.client_id_source() == Some(ClientIdSource::Service))
    }

    /// Its client by the names that were known when it began.
    fn as_begun(&self) -> ClientIdentity {
        ClientIdentity::new(Some(&self.endpoint), self.client_id.as_deref(), self.alias.as_deref())
    }

    /// Where the client's name is from; `None` while the service has still to say whose the credentials are.
    pub fn client_id_source(&self) -> Option<ClientIdSource> {
        let state = self.lock();
        let confirmed = state.health.named.as_ref().is_some_and(|named| self.as_begun().is_called(named));
        let told = || state.health.told.then_some(ClientIdSource::Token);
        if confirmed { Some(ClientIdSource::Service) } else { self.source.or_else(told) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.lock().settings.clone()
    }

    /// Puts settings in force; says whether they are other ones.
    pub fn set(&self, settings: Settings) -> bool {
        let mut state = self.lock();
        let other = state.settings != settings;
        let used = settings.used;
        state.settings = settings;
        drop(state);
        self.polling(|poller| poller.set_used(used));
        other
    }

    /// What the service lately said of the account.
    pub fn health(&self) -> Health {
        self.lock().health.clone()
    }

    /// Since when the credentials are rejected, and the service's words, while nothing is to be tried with them.
    pub fn rejected(&self) -> Option<(Timestamp, String)> {
        let steady = self.clock.steady();
        self.lock().health.rejects(steady)
    }

    /// Has the service asked whose credentials these are, when all else that waits was asked; its answer is news.
    pub fn ask_who(self: &Arc<Self>) {
        {
            let mut state = self.lock();
            if std::mem::replace(&mut state.asking, true) {
                return;
            }
            let times = state.asked.map_or(0, |(_, times)| times);
            state.asked = Some((self.clock.instant(), times.saturating_add(1)));
        }
        let (session, gate) = (Arc::downgrade(self), self.gate.clone());
        let (claims, scope) = (self.claims.clone(), self.key.scope());
        let (group, subject) = (self.key.namespace.clone(), format!("account {}", self.key));
        tokio::spawn(async move {
            let permit = turn((&claims, &scope), &gate, (Lane::Whoami, &group, &subject)).await;
            let Some(session) = session.upgrade() else { return };
            let permit = permit.begun();
            let answer = session.client.whoami().await;
            session.lock().asking = false;
            let named = answer.result.as_ref().ok().and_then(|who| who.client_id.clone());
            // What it says is in the health from here on.
            let _ = session.settle(permit, answer, Asked::Who(named));
        });
    }

    /// In how long the service is to be asked whose the credentials are, where it has still to say so: each time that it
    /// does not it is twice as long, since the work goes on without.
    pub fn asks_in(&self) -> Option<Duration> {
        let state = self.lock();
        let next = state.asked.map(|(at, times)| {
            at + FIRST_PAUSE.saturating_mul(1 << times.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
        });
        let now = self.clock.instant();
        (!state.health.told).then(|| next.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)))
    }

    /// Reads a job's status, when its turn comes.
    ///
    /// # Errors
    /// As the client says.
    pub async fn status(&self, lane: Lane, group: &str, key: &str, id: &str) -> Result<JobStatus, Error> {
        let permit = turn((&self.claims, &self.key.scope()), &self.gate, (lane, group, key)).await.begun();
        let answer = self.client.status(id).await;
        self.settle(permit, answer, Asked::Work)
    }

    /// Submits a job with a turn that was reserved for it, for the first time or once more.
    pub async fn submit(
        &self,
        permit: Permit,
        (type_, body): (&str, &str),
        first: bool,
    ) -> (SubmitAnswer, Signals) {
        let permit = permit.begun();
        let answer = self.client.submit(type_, body).await;
        let signals = answer.signals;
        let judged = match &answer.result {
            Ok(SubmitAnswer::Accepted(accepted)) => Ok(accepted.from_cache != Some(true)),
            Ok(SubmitAnswer::Refused(error) | SubmitAnswer::Unknown { why: error, .. }) | Err(error) => {
                Err(error.clone())
            }
        };
        self.learn(&judged, permit, (signals, if first { Asked::First } else { Asked::Work }));
        match answer.result {
            Ok(submit) => (submit, signals),
            Err(why) => (SubmitAnswer::Unknown { why, without_id: false }, signals),
        }
    }

    /// Makes a request with a turn that was reserved for it.
    ///
    /// # Errors
    /// As the client says, or that nothing was sent because this release does not work here any more.
    pub async fn ask<T>(
        &self,
        permit: Permit,
        request: impl AsyncFnOnce(&Client) -> Answer<T>,
    ) -> Result<T, Error> {
        self.may_send()?;
        let permit = permit.begun();
        let answer = request(&self.client).await;
        self.settle(permit, answer, Asked::Work)
    }

    /// Reads the summary of a job's results with a turn that was reserved for it. However long they are, the request has
    /// arrived when they begin.
    ///
    /// # Errors
    /// As the client says, or that nothing was sent because this release does not work here any more.
    pub async fn results(&self, permit: Permit, id: &str) -> Result<Summary, Error> {
        self.may_send()?;
        let permit = permit.begun();
        let answer = self.client.results(id, || permit.arrived()).await;
        self.settle(permit, answer, Asked::Work)
    }

    fn may_send(&self) -> Result<(), Error> {
        if self.claims.may_send(&self.key.scope()) {
            return Ok(());
        }
        let why = "nothing is sent while the claim of this release is not renewed";
        Err(Error::Connect(why.to_owned()))
    }

    fn settle<T>(&self, permit: Permit, answer: Answer<T>, asked: Asked) -> Result<T, Error> {
        let judged = answer.result.as_ref().map(|_| false).map_err(Clone::clone);
        self.learn(&judged, permit, (answer.signals, asked));
        answer.result
    }

    /// Takes over what an answer, with whether it charges for a job, says of the budget and of the account as a whole.
    fn learn(&self, result: &Result<bool, Error>, permit: Permit, (signals, asked): (Signals, Asked)) {
        let before = Shown::of(&self.gate);
        let capped = permit.settle(for_budget(result, &asked, self.clock.now()), signals.counted);
        let (now, steady) = (self.clock.now(), self.clock.steady());
        let answer = for_account(result);
        let news = {
            // Held throughout: two answers may come at once, and neither may be lost.
            let mut state = self.lock();
            let health = state.health.after(&answer, &asked, now, steady);
            let news = state.health != health;
            state.health = health;
            news
        };
        let of_client = capped || Shown::of(&self.gate).differs(&before);
        // The receiver goes only when the process stops.
        let _ = match (of_client, news) {
            (true, _) => self.channels.accounts.send(News::Client(self.key.clone())),
            (false, true) => self.channels.accounts.send(News::Account(self.key.clone())),
            (false, false) => Ok(()),
        };
    }

    /// When a submit tries the spend cap again, where that is reached, and the service's words. It is the client's: another
    /// account of it, or an earlier process, may have met it, and then the words are not known here.
    pub fn spend_cap(&self) -> Option<(Timestamp, Option<String>)> {
        self.gate.spend_cap().map(|until| (until, self.health().spend_cap))
    }

    /// Takes over from an earlier process that the spend cap is reached.
    pub fn restore_spend_cap(&self, until: Timestamp) {
        self.gate.restore_spend_cap(until);
    }
}
