//! Whether the API server keeps every field that this release writes (`docs/adr/0012`). An older CRD drops what it does not
//! know, from what is written and from what is read, and any write makes the loss final: while a field would be dropped
//! nothing is submitted, and no object is written.

use std::time::Duration;

use kube::{Resource, ResourceExt};
use serde_json::Value;

use crate::account::{AccountKey, News};
use crate::api::{AccountKind, PUBLISHED, Reason, ScrapeJob, full_status, not_published};
use crate::cache::is_at_rest;
use crate::controller::context::schema::{Asked, Kind};
use crate::controller::context::{Context, SMALL};
use crate::decide;
use crate::status::{WriteError, answered, try_status};

/// How old the proof may be when something is written; it is made anew as often by itself.
pub(in crate::controller) const PROVEN: Duration = Duration::from_secs(60);
/// The same right before the first write of a submit.
pub(in crate::controller) const JUST_PROVEN: Duration = Duration::from_secs(5);
/// How often it is tried while fields would be dropped.
const TRIED_AGAIN: Duration = Duration::from_secs(10);
/// How often it is asked where answers are lost.
const TRIES: u32 = 4;
/// Whoever waited while there was no answer is told so, too.
const UNANSWERED: Duration = Duration::from_secs(1);

/// An object by namespace and name.
type Name = (String, String);

impl Context {
    /// Proves that no field would be dropped, unless that was asked at most so long ago.
    ///
    /// # Errors
    /// `UnknownFields` where something would be, of whatever kind; `Unanswered` where the API server says nothing.
    pub(in crate::controller) async fn prove(
        &self,
        kind: Kind,
        (namespace, name): (&str, &str),
        within: Duration,
    ) -> Result<(), WriteError> {
        let mut asked = self.schema.asked(kind).lock().await;
        let now = self.clock.instant();
        let within = if self.schema.all_missing().is_empty() { within } else { within.min(TRIED_AGAIN / 2) };
        if let Some((at, error)) = &asked.unanswered
            && now.duration_since(*at) < UNANSWERED
        {
            return Err(error.clone());
        }
        if asked.at.is_none_or(|at| now.duration_since(at) > within) {
            match self.ask(kind, (namespace.to_owned(), name.to_owned())).await {
                Ok(missing) => {
                    *asked = Asked { at: Some(now), unanswered: None };
                    self.learn(kind, &missing);
                }
                Err(error) => {
                    asked.unanswered = Some((self.clock.instant(), error.clone()));
                    return Err(error);
                }
            }
        }
        match self.schema.all_missing() {
            missing if missing.is_empty() => Ok(()),
            missing => Err(WriteError::UnknownFields(missing)),
        }
    }

    /// A write was answered as if fields were not kept: that is asked anew before the next one.
    pub(in crate::controller) async fn doubt(&self, kind: Kind, error: &WriteError) {
        if error.not_kept().is_some() {
            self.schema.asked(kind).lock().await.at = None;
        }
    }

    /// Proves it at a steady pace while there is work, and while something is missing more often, so that it is told when
    /// that is mended. Where all jobs are at rest nothing is asked: what writes next asks first.
    pub(in crate::controller) async fn keep_proving(&self) {
        loop {
            let mended = self.schema.all_missing().is_empty();
            let pause = if mended { PROVEN } else { TRIED_AGAIN };
            tokio::time::sleep(pause).await;
            if mended && self.jobs.awake().iter().all(|job| is_at_rest(job)) {
                continue;
            }
            for kind in Kind::ALL {
                if self.is_stopping() {
                    break;
                }
                if let Some((namespace, name)) = self.first_object(kind, None) {
                    // What is not answered or not kept is known by then.
                    drop(self.prove(kind, (&namespace, &name), pause / 2).await);
                } else {
                    // Nothing is left that could lose anything.
                    *self.schema.asked(kind).lock().await = Asked::default();
                    self.learn(kind, &[]);
                }
            }
        }
    }

    /// The first object of a kind but this one, by name: a simulation has to find the same again. A large one only where
    /// there is no small one: the API server may take a second for it, and everybody waits for the answer.
    fn first_object(&self, kind: Kind, but: Option<&Name>) -> Option<Name> {
        match kind {
            Kind::Job => self.jobs.first(but),
            Kind::Account(kind) => {
                let all = self.known.sizes(kind).into_iter();
                let named = all.map(|(key, bytes)| (bytes > SMALL, (key.namespace, key.name)));
                named.filter(|(_, name)| Some(name) != but).min().map(|(_, name)| name)
            }
        }
    }

    /// Whether an object is known, and small.
    fn is_small(&self, kind: Kind, (namespace, name): &Name) -> bool {
        let bytes = match kind {
            Kind::Job => self.jobs.known(namespace, name).map(|known| known.bytes),
            Kind::Account(kind) => {
                let all = self.known.sizes(kind).into_iter();
                let mut sizes = all.filter(|(key, _)| (&key.namespace, &key.name) == (namespace, name));
                sizes.next().map(|(_, bytes)| bytes)
            }
        };
        bytes.is_some_and(|bytes| bytes <= SMALL)
    }

    /// The fields that would be dropped. One object whose status is refused may be an odd one: only what is refused of
    /// another one, too, is true of all.
    async fn ask(&self, kind: Kind, object: Name) -> Result<Vec<String>, WriteError> {
        let Some(full) = full_status(kind.as_str()) else { return Ok(Vec::new()) };
        // A small one in the place of a large one, where there is one and its answer is true of all.
        let other = self.first_object(kind, Some(&object)).filter(|other| self.is_small(kind, other));
        if let Some(other) = other.filter(|_| !self.is_small(kind, &object)) {
            match self.try_again(kind, &other, full).await {
                Ok(()) => return Ok(Vec::new()),
                Err(error @ WriteError::Unanswered(_)) => return Err(error),
                Err(_) => {}
            }
        }
        let Err(first) = self.try_again(kind, &object, full).await else { return Ok(Vec::new()) };
        let told = match (first.not_kept(), self.first_object(kind, Some(&object))) {
            (None, _) if matches!(first, WriteError::Unanswered(_)) => return Err(first),
            // A policy, a webhook, or an object that went: that says nothing about fields.
            (None, _) => Vec::new(),
            (Some(fields), None) => return Ok(fields.to_vec()),
            (Some(fields), Some(other)) => match self.try_one(kind, &other, full).await {
                Ok(()) => return Ok(Vec::new()),
                Err(second) => match second.not_kept() {
                    Some(fields) => return Ok(fields.to_vec()),
                    None => fields.to_vec(),
                },
            },
        };
        Ok(self.published(kind).await.unwrap_or(told))
    }

    /// A lost answer is asked for again at once: everybody who is about to write waits for it. Who answers nothing for a
    /// second is away, and not the answer.
    async fn try_again(&self, kind: Kind, object: &Name, full: &Value) -> Result<(), WriteError> {
        let begun = self.clock.instant();
        let mut tried = 1;
        loop {
            let answer = self.try_one(kind, object, full).await;
            let away = self.clock.instant().duration_since(begun) >= UNANSWERED;
            if !matches!(answer, Err(WriteError::Unanswered(_))) || away || tried == TRIES {
                return answer;
            }
            tried += 1;
        }
    }

    async fn try_one(&self, kind: Kind, (namespace, name): &Name, full: &Value) -> Result<(), WriteError> {
        try_status(&self.client, &kind.url(namespace), name, full).await
    }

    /// Whether the API server would take a status of this very job.
    ///
    /// # Errors
    /// What a write of it would be answered.
    pub(in crate::controller) async fn try_status_of(&self, job: &ScrapeJob) -> Result<(), WriteError> {
        let object = (job.namespace().unwrap_or_default(), job.name_any());
        match full_status(Kind::Job.as_str()) {
            Some(full) => self.try_one(Kind::Job, &object, full).await,
            None => Ok(()),
        }
    }

    /// The fields that the published schema does not have; nothing where it cannot be read.
    async fn published(&self, kind: Kind) -> Option<Vec<String>> {
        let request = http::Request::get(PUBLISHED).body(Vec::new()).ok()?;
        let text = answered(self.client.request_text(request)).await.ok()?;
        let page: Value = serde_json::from_str(&text).ok()?;
        not_published(&page, kind.as_str())
    }

    /// Takes over what was found out, and tells when it begins and ends.
    fn learn(&self, kind: Kind, missing: &[String]) {
        let (before, all_kept) = {
            let mut state = self.schema.lock();
            let before = if missing.is_empty() {
                state.missing.remove(&kind)
            } else {
                state.missing.insert(kind, missing.to_vec())
            };
            if state.missing.is_empty() {
                state.told.clear();
            }
            (before.unwrap_or_default(), state.missing.is_empty())
        };
        if missing != before
            && let Some(complaint) = self.schema.complaint()
        {
            tracing::error!("{complaint}");
        }
        if all_kept && !before.is_empty() {
            tracing::info!("the CRDs keep every field again; all goes on");
            self.go_on();
        }
    }

    /// Has everything looked at again. What is cached may have been read without the fields that were dropped, and an
    /// object that nobody changed since keeps its version: so it is read live.
    fn go_on(&self) {
        self.jobs.wake_all();
        for job in self.jobs.awake() {
            let version = job.resource_version();
            self.memories.set(&job.uid().unwrap_or_default(), |remembered| remembered.doubted = version);
        }
        self.wake(|_| true);
        for kind in [AccountKind::ScrapeAccount, AccountKind::ClusterScrapeAccount] {
            let mut keys: Vec<AccountKey> = self.known.of_kind(kind);
            keys.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
            for key in keys {
                self.accounts.nudge(News::Account(key));
            }
        }
    }

    /// Tells one object of each namespace why nothing is done.
    pub(in crate::controller) async fn tell_of_schema(&self, job: &ScrapeJob) {
        let Some(complaint) = self.schema.complaint() else { return };
        if self.schema.lock().told.insert(job.namespace().unwrap_or_default()) {
            let event = decide::Event { warning: true, reason: Reason::CRDOutdated, note: complaint.into() };
            self.tell(&job.object_ref(&()), event).await;
        }
    }
}
