//! The hand on the service: all that a test may look at or change behind its client's back.
//!
//! The admin routes are a skin over this; in-process tests call it directly.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::journal::Page;
use super::tokens::Token;
use super::world::{Change, Order, World};
use crate::clock::{Micros, seconds, zulu};
use crate::jobs::{Job, JobView};
use crate::rules::{Armed, Fault, JobRule, Rules, ScriptStep};

/// A shared handle on the running service.
#[derive(Clone, Debug)]
pub struct Control(Arc<Mutex<World>>);

/// A job made behind the client's back, for example one that an operator is to mirror.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobSpec {
    /// Its id; drawn from the seed without one.
    pub job_id: Option<String>,
    /// Its client; that of the first token without one.
    pub client: Option<String>,
    /// Its type, any word; `spiderSite` without one.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// A state that it stays in; without one it follows `rule`.
    pub state: Option<String>,
    /// Its priority.
    pub priority: i64,
    /// Its payload, taken as it is.
    pub payload: Option<Value>,
    /// When it was made (RFC 3339); now without one.
    pub created_at: Option<String>,
    /// Its script; without one, the rules in force decide.
    pub rule: Option<JobRule>,
    /// How many such jobs; one without it. Needs `job_id` to be absent.
    pub count: Option<usize>,
}

impl Control {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// The state, settled to the present.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        world.settle();
        world
    }

    /// Every change of a job from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.world().listen()
    }

    /// Journal entries after number `since`.
    pub fn journal(&self, since: u64) -> Page {
        self.world().journal.page(since)
    }

    /// Forgets the journal's entries; numbers go on.
    pub fn clear_journal(&self) {
        self.world().journal.clear();
    }

    /// All jobs of all clients, in the order they were made.
    pub fn jobs(&self) -> Vec<JobView> {
        self.world().store.all().iter().map(Job::view).collect()
    }

    /// Replaces the sections of the rules that are given.
    ///
    /// # Errors
    /// When [`Rules::check`] refuses them; nothing is changed then.
    pub fn set_rules(&self, rules: Rules) -> anyhow::Result<()> {
        rules.check()?;
        self.world().set_rules(rules);
        Ok(())
    }

    /// The rules in force.
    pub fn rules(&self) -> Rules {
        self.world().rules()
    }

    /// Adds faults behind those in force.
    ///
    /// # Errors
    /// When one makes no sense; nothing is added then.
    pub fn add_faults(&self, faults: Vec<Fault>) -> anyhow::Result<()> {
        let rules = Rules { faults: Some(faults), ..Rules::default() };
        rules.check()?;
        self.world().faults_mut().extend(rules.faults.into_iter().flatten().map(Armed::new));
        Ok(())
    }

    /// Removes the faults of that name, or all.
    pub fn clear_faults(&self, name: Option<&str>) {
        self.world()
            .faults_mut()
            .retain(|armed| name.is_some_and(|name| armed.fault.name.as_deref() != Some(name)));
    }

    /// The faults in force, each with `matched` and `fired`.
    pub fn faults(&self) -> Vec<Value> {
        self.world().faults().iter().map(|armed| json!(armed)).collect()
    }

    /// Moves the job clock forward by seconds; rate limits do not notice.
    pub fn advance(&self, by: f64) {
        let mut world = self.world();
        world.clock.advance(seconds(by));
        world.settle();
    }

    /// Job time as `…Z`, and wall time in milliseconds since the Unix epoch.
    pub fn clock(&self) -> (String, i64) {
        let world = self.world();
        (zulu(world.clock.now()), world.clock.wall().div_euclid(1000))
    }

    /// Makes jobs; their ids.
    ///
    /// # Errors
    /// When the id is taken, the time cannot be read, the rule makes no sense, or no client is known.
    pub fn create_jobs(&self, spec: JobSpec) -> anyhow::Result<Vec<String>> {
        let mut world = self.world();
        let JobSpec { job_id, client, kind, state, priority, payload, created_at, rule, count } = spec;
        let client = client.or_else(|| world.tokens.list().first().map(|token| token.client.clone()));
        let client = client.context("no client: the service knows no token")?;
        let taken = job_id.as_ref().is_some_and(|id| world.store.find(&id.to_ascii_lowercase()).is_some());
        ensure!(!taken, "the job id is taken");
        ensure!(job_id.is_none() || count.is_none_or(|n| n == 1), "one id is for one job");
        let created_at =
            created_at.map(|text| text.parse::<jiff::Timestamp>()).transpose().context("created_at")?;
        let rule = match state {
            Some(state) => Some(JobRule {
                steps: Some(vec![ScriptStep { state, lasts: None }]),
                ..rule.unwrap_or_default()
            }),
            None => rule,
        };
        Rules { jobs: rule.clone().map(|rule| vec![rule]), ..Rules::default() }.check()?;
        let mut make = || {
            world.create(Order {
                id: job_id.clone(),
                client: client.clone(),
                kind: kind.clone().unwrap_or_else(|| "spiderSite".to_owned()),
                payload: payload.clone().unwrap_or_else(|| json!({"url": "https://example.com"})),
                priority,
                created_at: created_at.map(jiff::Timestamp::as_microsecond),
                rule: rule.clone(),
                cause: "admin",
            })
        };
        Ok((0..count.unwrap_or(1)).map(|_| make()).collect())
    }

    /// Puts a job into a state for good, with what its results then hold; false when it does not exist.
    pub fn set_state(
        &self,
        id: &str,
        state: &str,
        error_message: Option<String>,
        data: Option<Value>,
    ) -> bool {
        let mut world = self.world();
        let id = id.to_ascii_lowercase();
        let now: Micros = world.clock.now();
        if let Some(moved) = world.store.force(&id, state, now) {
            world.note_change(moved, "admin");
        }
        let Some(job) = world.store.find_mut(&id) else { return false };
        job.outcome.error_message = error_message.or(job.outcome.error_message.take());
        job.outcome.data = data.or(job.outcome.data.take());
        true
    }

    /// Makes a job vanish for its client, or return; false when it does not exist. De-duplication still finds it.
    pub fn set_hidden(&self, id: &str, hidden: bool) -> bool {
        self.world().store.hide(&id.to_ascii_lowercase(), hidden)
    }

    /// Adds a token; its fingerprint.
    ///
    /// # Errors
    /// When it is neither a triple nor a PAT.
    pub fn add_token(&self, token: &str) -> anyhow::Result<String> {
        let token = Token::parse(token)?;
        let fingerprint = token.fingerprint.clone();
        self.world().tokens.add(token);
        Ok(fingerprint)
    }

    /// The known tokens, by fingerprint.
    pub fn tokens(&self) -> Vec<Token> {
        self.world().tokens.list().to_vec()
    }

    /// Makes a token (or the one of that fingerprint) expire now; false when it is not known.
    pub fn expire_token(&self, token: &str) -> bool {
        let mut world = self.world();
        let at = zulu(world.clock.now());
        world.tokens.expire(token, &at)
    }

    /// Forgets a token (or the one of that fingerprint); false when it is not known.
    pub fn revoke_token(&self, token: &str) -> bool {
        self.world().tokens.revoke(token)
    }

    /// Makes a client active or inactive; its tokens answer 403 while it is not.
    pub fn set_client_active(&self, client: &str, active: bool) {
        self.world().tokens.set_active(client, active);
    }
}
