//! Gathers what is known about one object. Reads only.

mod account;
pub(super) mod facts;
mod manifest;
mod marks;
mod offline;

pub use manifest::manifest;
pub use offline::{Facts, Planned, Then, plan};

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::context::memory::Remembered;
use super::context::{CachedJob, Context, is_at_rest};
use crate::account::Session;
use crate::api::{FINALIZER, FORCE_ORPHAN, INTENT, PAUSED, RECONCILE, ScrapeJob, ScrapeJobStatus};
use crate::decide::{Intent, IntentFacts, JobFacts, Marks, Observed, RemoteState, Watched, restored};
use crate::status::WriteError;

/// What is known, and the session to act with.
pub(super) struct Seen {
    pub(super) observed: Observed,
    pub(super) session: Option<Arc<Session>>,
}

/// The key of an object in the queues and for the poller.
pub(super) fn key(job: &ScrapeJob) -> String {
    format!("{}/{}", job.namespace().unwrap_or_default(), job.name_any())
}

/// The id of the job at the service; empty where there is none.
pub(super) fn job_id(job: &ScrapeJob) -> &str {
    let recorded = job.status.as_ref().and_then(|status| status.job_id.as_deref());
    recorded.or(job.spec.job_id.as_deref()).unwrap_or_default()
}

/// Everything that a decision about this object may look at; nothing while its account is about to be opened.
///
/// # Errors
/// If the API server did not say what the decision hangs on.
pub(super) async fn observe(
    context: &Context,
    job: &CachedJob,
    remembered: Remembered,
    nonce: String,
) -> Result<Option<Seen>, WriteError> {
    let account = account::of(context, job, &remembered).await?;
    // What is deleted has a bound, whatever becomes of its account.
    // And what is over needs none.
    if !is_at_rest(job) && account::is_opening(context, &account) && job.metadata.deletion_timestamp.is_none()
    {
        return Ok(None);
    }
    let (facts_of_account, session) = account::facts(context, job, &account)?;
    let watched =
        session.as_ref().and_then(|session| session.polling(|poller| poller.latest(&key(job), job_id(job))));
    let now = context.clock.now();
    let intent = intent_of(job);
    let recorded = recorded(job, &intent);
    let observed = Observed {
        now,
        steady: context.clock.steady(),
        job: job_facts(job),
        memory: with_ages(context, job, (&recorded, &intent), remembered),
        recorded,
        intent,
        account: facts_of_account,
        watched: watched.map_or_else(Watched::default, |observation| facts::watched(&observation)),
        nonce,
    };
    Ok(Some(Seen { observed, session }))
}

fn intent_of(job: &ScrapeJob) -> IntentFacts {
    Intent::read(job.annotations().get(INTENT).map(String::as_str))
}

/// The status to decide on: an unknown outcome where it has lost the record of a submit. Where there is none at all nothing
/// was looked at yet.
fn recorded(job: &ScrapeJob, intent: &IntentFacts) -> ScrapeJobStatus {
    let uid = job.uid().unwrap_or_default();
    job.status.clone().map(|status| restored(status, intent, (&uid, &job.spec))).unwrap_or_default()
}

fn job_facts(job: &CachedJob) -> JobFacts {
    let deleted_at: Option<Timestamp> = job.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    JobFacts {
        namespace: job.namespace().unwrap_or_default(),
        name: job.name_any(),
        uid: job.uid().unwrap_or_default(),
        generation: job.metadata.generation.unwrap_or(0),
        deleted_at,
        protected: job.finalizers().iter().any(|finalizer| finalizer == FINALIZER),
        body: job.kept().cloned(),
        unfit: job.body.as_ref().and_then(|body| body.as_ref().err()).cloned(),
        faults: job.faults.clone(),
        marks: job.marks.clone(),
        spec: job.spec.clone(),
    }
}

/// What the annotations and labels of an object say.
pub(super) fn marks(job: &ScrapeJob) -> Marks {
    Marks {
        requested: requested(job),
        paused: says_true(job, PAUSED),
        force_orphan: says_true(job, FORCE_ORPHAN),
        applied_by: marks::applied_by(job),
        annotation_bytes: annotation_bytes(job),
    }
}

/// The look that an annotation asks for, as far as the status can echo it.
fn requested(job: &ScrapeJob) -> Option<String> {
    let asked = RECONCILE.iter().find_map(|annotation| job.annotations().get(*annotation))?;
    let echoed: String = asked.chars().filter(char::is_ascii_graphic).take(64).collect();
    Some(echoed).filter(|echoed| !echoed.is_empty())
}

/// The size of all annotations but the intent.
fn annotation_bytes(job: &ScrapeJob) -> usize {
    let others = job.annotations().iter().filter(|(name, _)| *name != INTENT);
    others.map(|(name, value)| name.len() + value.len()).fold(0, usize::saturating_add)
}

fn says_true(job: &ScrapeJob, annotation: &str) -> bool {
    job.annotations().get(annotation).is_some_and(|value| value == "true")
}

/// Keeps by the monotonic clock how long the recorded nonce has been seen without a job id, that the run should end, and
/// that its job is over.
fn with_ages(
    context: &Context,
    job: &ScrapeJob,
    (status, intent): (&ScrapeJobStatus, &IntentFacts),
    remembered: Remembered,
) -> crate::decide::Memory {
    let nonce = status.submission.as_ref().and_then(|submission| submission.nonce.clone());
    // A restored intent has its nonce in the annotation only; it ages all the same.
    let intended = if let IntentFacts::Found(intent) = intent { Some(intent.nonce.clone()) } else { None };
    let nonce = nonce.or(intended).filter(|_| status.job_id.is_none());
    let mut memory = remembered.memory;
    let now = context.clock.instant();
    let (since, same) = match (&nonce, &remembered.nonce) {
        (Some(nonce), Some((seen, since))) if nonce == seen => (*since, true),
        (Some(_) | None, _) => (now, false),
    };
    memory.ended_here = nonce.is_some() && nonce == remembered.ended;
    memory.unsent = nonce.as_ref().is_some_and(|nonce| remembered.unsent.contains(nonce));
    memory.nonce_seen_for = now.duration_since(since);
    let deleted = job.metadata.deletion_timestamp.is_some();
    let ends = deleted || (status.is_written() && status.run() != job.spec.run());
    let ending = ends.then(|| remembered.ending.filter(|(by, _)| *by == deleted).unwrap_or((deleted, now)));
    memory.ending_seen_for = ending.map_or(Duration::ZERO, |(_, since)| now.duration_since(since));
    let remote = status.remote.as_ref().filter(|_| !status.finished);
    let state = remote.and_then(|remote| remote.state.as_deref()).map(RemoteState::parse);
    let is_over = state.is_some_and(|state| state.is_terminal());
    let over = is_over.then(|| remembered.over.unwrap_or(now));
    memory.over_seen_for = over.map_or(Duration::ZERO, |since| now.duration_since(since));
    if !same || ending != remembered.ending || over != remembered.over {
        context.memories.set(&job.uid().unwrap_or_default(), |remembered| {
            if !same {
                remembered.nonce = nonce.map(|nonce| (nonce, now));
            }
            remembered.ending = ending;
            remembered.over = over;
        });
    }
    memory
}
