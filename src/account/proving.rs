//! An account of which nothing is believed yet: the service is asked whether it accepts the token, and whose it is.
//!
//! Until it has said so, the account has no budget but a share of a small one that all such accounts of an origin have
//! together, and sends two requests, one at a time: whoami, and where that says nothing the shortest page of the list.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::key::AccountKey;
use super::news::News;
use super::turn::turn;
use crate::api::Credential;
use crate::budget::{Counted, Gate, Lane, Limits, Permit, Verdict};
use crate::clock::Clock;
use crate::decide::account::{Proof, Said};
use crate::leader::Claims;
use crate::spideriq::{Answer, Client, Endpoint, Error};

/// What all unproven accounts of an origin may send together.
pub(super) const TOGETHER: Limits = Limits { requests_per_minute: 20, burst: 6, submits_per_minute: 1 };
/// What those of one namespace may: less than comes back, so that they never keep another namespace waiting for long.
const OF_A_NAMESPACE: Limits = Limits { requests_per_minute: 10, burst: 2, submits_per_minute: 1 };
/// A longer wait that the service asks for is tried so often.
const LONGEST_WAIT: Duration = Duration::from_secs(900);
/// When to ask again while it is being asked: the answer is told at once, so nobody has to look for it before.
const UNDER_WAY: Duration = Duration::from_secs(600);
/// How long a request counts against its client's limits.
const MINUTE: Duration = Duration::from_secs(60);

/// An account that is being proven. It lives as long as its endpoint and Secret stay the same.
#[derive(Debug)]
pub struct Proving {
    /// The account.
    pub key: AccountKey,
    /// The service.
    pub endpoint: Endpoint,
    /// The Secret.
    pub credential: Credential,
    /// Since when.
    pub begun: Instant,
    /// The client that the token itself names.
    claimed: Option<String>,
    client: Client,
    clock: Clock,
    claims: Claims,
    door: Gate,
    accounts: mpsc::UnboundedSender<News>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    said: Said,
    asking: Option<Asking>,
    /// When requests went out that count against the client that the account turns out to be of.
    sent: Vec<Instant>,
    unclear: u32,
    /// When it was asked last, and when the service asked to come back.
    last: Option<(Instant, Option<Instant>)>,
}

#[derive(Debug)]
struct Asking {
    lane: Lane,
    /// Whether nothing was sent yet.
    waits: bool,
    task: AbortHandle,
}

/// What a proving is made of.
pub(super) struct Parts {
    pub(super) key: AccountKey,
    pub(super) endpoint: Endpoint,
    pub(super) credential: Credential,
    pub(super) claimed: Option<String>,
    pub(super) client: Client,
    pub(super) clock: Clock,
    /// Nothing is sent where another release works.
    pub(super) claims: Claims,
    /// The gate of all unproven accounts of the origin.
    pub(super) door: Gate,
    pub(super) accounts: mpsc::UnboundedSender<News>,
}

impl Proving {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let Parts { key, endpoint, credential, claimed, client, clock, claims, door, accounts } = parts;
        let door = door.of(&key.namespace);
        door.set_own(OF_A_NAMESPACE, false);
        let begun = clock.instant();
        let state = Mutex::default();
        Arc::new(Self {
            key,
            endpoint,
            credential,
            begun,
            claimed,
            client,
            clock,
            claims,
            door,
            accounts,
            state,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the service has said so far.
    pub fn said(&self) -> Said {
        self.lock().said.clone()
    }

    /// Requests of the last minute.
    pub(super) fn sent(&self) -> u32 {
        let now = self.clock.instant();
        let recent = |at: &&Instant| now.duration_since(**at) < MINUTE;
        u32::try_from(self.lock().sent.iter().filter(recent).count()).unwrap_or(u32::MAX)
    }

    /// Has the last answer count no longer, where it is older than a minute.
    pub fn hurry(&self) {
        let (mut state, now) = (self.lock(), self.clock.instant());
        if state.last.is_some_and(|(last, _)| now.duration_since(last) >= MINUTE) {
            state.last = None;
        }
    }

    /// Has the service asked, if it is not being asked and its last answer is old enough; says when to ask again. An
    /// account that has work goes before one that has none.
    pub fn ask(self: &Arc<Self>, works: bool) -> Duration {
        let lane = if works { Lane::Whoami } else { Lane::Idle };
        let mut state = self.lock();
        let left = state.pause(works, self.clock.instant());
        if let Some(asking) = &state.asking {
            if !(asking.waits && lane < asking.lane) {
                return UNDER_WAY;
            }
            asking.task.abort();
        } else if !left.is_zero() {
            return left;
        }
        let proving = Arc::downgrade(self);
        let (door, group, subject) =
            (self.door.clone(), self.key.namespace.clone(), format!("account {}", self.key));
        let (claims, scope) = (self.claims.clone(), self.key.scope());
        let task = tokio::spawn(async move {
            for question in [Question::Whose, Question::Anything] {
                let permit = turn((&claims, &scope), &door, (lane, &group, &subject)).await;
                // Where the account went, or changed, nothing is sent.
                let Some(proving) = proving.upgrade() else { return };
                if proving.request(question, permit).await {
                    return;
                }
            }
        });
        state.asking = Some(Asking { lane, waits: true, task: task.abort_handle() });
        UNDER_WAY
    }

    /// Sends one request; says whether its answer is all that there is to ask.
    async fn request(&self, question: Question, permit: Permit) -> bool {
        let permit = permit.begun();
        {
            let (mut state, now) = (self.lock(), self.clock.instant());
            state.sent.retain(|at| now.duration_since(*at) < MINUTE);
            state.sent.push(now);
            if let Some(asking) = &mut state.asking {
                asking.waits = false;
            }
        }
        let said = match question {
            Question::Whose => judge(self.client.whoami().await, |who| (who.client_id, true)),
            Question::Anything => judge(self.client.probe().await, |()| (None, false)),
        };
        // One account's failures are no news of the others: the pauses are its own.
        permit.settle(Verdict::Answered, Counted::default());
        let now = self.clock.now();
        let mut state = self.lock();
        let more = question == Question::Whose && matches!(&said, Err(error) if says_nothing(error));
        state.said = match said {
            Ok((named, told)) => Said::Accepted(Proof::new(named, self.claimed.clone(), told, now)),
            Err(_) if more => std::mem::take(&mut state.said),
            Err(error @ (Error::Unauthorized { .. } | Error::Forbidden(_))) => {
                let since = if let Said::Rejected(since, _) = state.said { since } else { now };
                Said::Rejected(since, error.to_string())
            }
            Err(error @ Error::Redirected(_)) => Said::Redirected(error.to_string()),
            Err(error) => {
                let until = if let Error::Throttled { until, .. } = error { until } else { None };
                let wait = until.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
                let at = self.clock.instant();
                state.last = Some((at, wait.map(|wait| at + wait.min(LONGEST_WAIT))));
                Said::Unclear { words: error.to_string(), no_address: error.is_no_address() }
            }
        };
        if !more {
            let clear = !matches!(state.said, Said::Unclear { .. });
            state.unclear = if clear { 0 } else { state.unclear.saturating_add(1) };
            if clear {
                state.last = Some((self.clock.instant(), None));
            }
            state.asking = None;
            // The receiver goes only when the process stops.
            let _ = self.accounts.send(News::Account(self.key.clone()));
        }
        !more
    }
}

impl Drop for Proving {
    fn drop(&mut self) {
        // The task gives its place in line up by itself, later: whoever drops this may hold a lock.
        if let Some(asking) = &self.lock().asking {
            asking.task.abort();
        }
    }
}

impl State {
    /// How long the last answer holds.
    fn pause(&self, works: bool, now: Instant) -> Duration {
        let Some((last, back)) = self.last else { return Duration::ZERO };
        (last + self.said.holds(works, self.unclear)).max(back.unwrap_or(last)).saturating_duration_since(now)
    }
}

/// What the service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Whose the credentials are.
    Whose,
    /// Anything that only accepted credentials are told.
    Anything,
}

/// The name, where the answer accepts the credentials, and whether it is all that the service will ever say of it.
fn judge<T>(
    answer: Answer<T>,
    read: impl FnOnce(T) -> (Option<String>, bool),
) -> Result<(Option<String>, bool), Error> {
    match answer.result {
        Ok(said) => Ok(read(said)),
        // It knows whom it lets spend nothing more.
        Err(Error::SpendCap(_)) => Ok((None, false)),
        Err(error) => Err(error),
    }
}

/// Whether whoami leaves it to the list to prove the token: its route is known from the vendor's notes only.
fn says_nothing(error: &Error) -> bool {
    match error {
        Error::Unauthorized { .. } | Error::Forbidden(_) | Error::Redirected(_) | Error::Connect(_) => false,
        Error::Timeout
        | Error::Interrupted(_)
        | Error::SpendCap(_)
        | Error::NotFound(_)
        | Error::Invalid(_)
        | Error::Refused { .. }
        | Error::Throttled { .. }
        | Error::Server { .. }
        | Error::Malformed(_)
        | Error::TooLarge => true,
    }
}
