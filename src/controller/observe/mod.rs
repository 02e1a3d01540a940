//! Gathers what is known about one object. Reads only.

mod account;
pub(super) mod facts;

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::context::Context;
use super::memory::Remembered;
use crate::account::Session;
use crate::api::{FINALIZER, INTENT, ScrapeJob};
use crate::decide::{Body, Intent, JobFacts, Observed, Watched};
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

/// Everything that a decision about this object may look at.
///
/// # Errors
/// If the API server did not say what the decision hangs on.
pub(super) async fn observe(
    context: &Context,
    job: &ScrapeJob,
    remembered: Remembered,
    nonce: String,
) -> Result<Seen, WriteError> {
    let account = account::of(context, job, &remembered).await?;
    let (facts_of_account, session) = account::facts(context, job, &account)?;
    let watched = session.as_ref().and_then(|session| session.polling(|poller| poller.latest(&key(job))));
    let now = context.clock.now();
    let observed = Observed {
        now,
        job: job_facts(job),
        recorded: job.status.clone().unwrap_or_default(),
        intent: Intent::read(job.annotations().get(INTENT).map(String::as_str)),
        account: facts_of_account,
        watched: watched.map_or_else(Watched::default, |observation| facts::watched(&observation)),
        memory: with_nonce_age(context, job, remembered),
        nonce,
    };
    Ok(Seen { observed, session })
}

fn job_facts(job: &ScrapeJob) -> JobFacts {
    let deleted_at: Option<Timestamp> = job.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    JobFacts {
        namespace: job.namespace().unwrap_or_default(),
        name: job.name_any(),
        uid: job.uid().unwrap_or_default(),
        generation: job.metadata.generation.unwrap_or(0),
        deleted_at,
        protected: job.finalizers().iter().any(|finalizer| finalizer == FINALIZER),
        body: job.spec.payload.as_ref().map(|payload| Body::new(payload, job.spec.priority)),
        spec: job.spec.clone(),
    }
}

/// Keeps by the monotonic clock how long the recorded nonce has been seen without a job id.
fn with_nonce_age(context: &Context, job: &ScrapeJob, remembered: Remembered) -> crate::decide::Memory {
    let status = job.status.as_ref();
    let nonce = status
        .filter(|status| status.job_id.is_none())
        .and_then(|status| status.submission.as_ref().and_then(|submission| submission.nonce.clone()));
    // A restored intent has its nonce in the annotation only; it ages all the same.
    let nonce = nonce.or_else(|| match Intent::read(job.annotations().get(INTENT).map(String::as_str)) {
        crate::decide::IntentFacts::Found(intent) if status.is_none_or(|status| status.job_id.is_none()) => {
            Some(intent.nonce)
        }
        crate::decide::IntentFacts::Found(_)
        | crate::decide::IntentFacts::None
        | crate::decide::IntentFacts::Unreadable => None,
    });
    let mut memory = remembered.memory;
    let now = context.clock.instant();
    let (since, same) = match (&nonce, &remembered.nonce) {
        (Some(nonce), Some((seen, since))) if nonce == seen => (*since, true),
        (Some(_) | None, _) => (now, false),
    };
    memory.ended_here = nonce.is_some() && nonce == remembered.ended;
    if !same {
        let uid = job.uid().unwrap_or_default();
        context.memories.set(&uid, |remembered| remembered.nonce = nonce.map(|nonce| (nonce, now)));
    }
    memory.nonce_seen_for = now.duration_since(since);
    memory
}
