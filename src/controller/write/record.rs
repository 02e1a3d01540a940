//! Records what came of a look: writes the status, and an accepted job until it is seen, because its id exists nowhere
//! else. What the API server refuses for good leaves its place for work and is kept in `context/jobs/unrecorded.rs`.

use std::time::Duration;

use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};

use super::proof::{JUST_PROVEN, PROVEN};
use crate::api::{Reason, ScrapeJob, ScrapeJobStatus};
use crate::cache::{self, CachedJob, key};
use crate::controller::context::Context;
use crate::controller::context::jobs::Accepted;
use crate::controller::context::schema::Kind;
use crate::decide::message::Object;
use crate::decide::{self, Outcome, SubmitAnswer, Verdict};
use crate::health;
use crate::status::{WriteError, answered, patch_status};

/// After so many refusals in a row a write is refused for good, as far as anybody can tell: people are told.
const FOR_GOOD: u32 = 3;
/// The longest pause between two tries to record an accepted job.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Which of an object's writes is refused: each may be without the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller) enum Part {
    /// Its metadata, or the object as a whole.
    Object,
    /// Its status.
    Status,
}

/// Whether the API server said that it will not have a write, whatever may have changed meanwhile.
pub(in crate::controller) fn is_refusal(error: &WriteError) -> bool {
    matches!(error, WriteError::Refused(_)) || error.not_kept().is_some()
}

/// Notes that a part was written.
pub(in crate::controller) fn note_taken(context: &Context, job: &CachedJob, part: Part) {
    context.memories.set(&job.uid().unwrap_or_default(), |remembered| match part {
        Part::Object => remembered.refusals = 0,
        Part::Status => remembered.status_refusals = 0,
    });
}

/// Notes that a part was not written, and tells people when that is refused for good. Says whether it is.
pub(in crate::controller) async fn note_refusal(
    context: &Context,
    job: &CachedJob,
    (part, error): (Part, &WriteError),
) -> bool {
    context.doubt(Kind::Job, error).await;
    // Where everything stands still, that is told.
    if !is_refusal(error) || context.schema.complaint().is_some() {
        return false;
    }
    let count = context.memories.set(&job.uid().unwrap_or_default(), |remembered| {
        let count = match part {
            Part::Object => &mut remembered.refusals,
            Part::Status => &mut remembered.status_refusals,
        };
        *count = count.saturating_add(1);
        *count
    });
    if count == FOR_GOOD {
        let note = Object::WriteRefused(error.to_string());
        tracing::warn!(job = key(job), %error, "a write is refused again and again");
        let event = decide::Event { warning: true, reason: Reason::WriteRefused, note: note.into() };
        context.tell(&job.object_ref(&()), event).await;
    }
    count >= FOR_GOOD
}

/// Writes the status where its meaning changed. An accepted job is written until it is seen: its id exists nowhere
/// else. A refusal is written again, too: were it lost, nobody could tell it from an unknown outcome.
pub(in crate::controller) async fn write_outcome(
    context: &Context,
    job: &CachedJob,
    verdict: &Verdict,
    outcome: &Outcome,
) -> Result<CachedJob, WriteError> {
    let sent = Sent::of(outcome);
    let mut base = job.clone();
    let mut pause = Duration::from_millis(200);
    let mut refusals = 0;
    loop {
        let error = match write_once(context, &base, verdict).await {
            Ok(written) => return Ok(written),
            Err(error) => error,
        };
        refusals = if is_refusal(&error) { refusals + 1 } else { 0 };
        if let Some(job_id) = sent.accepted
            && (refusals >= FOR_GOOD || error.not_kept().is_some())
        {
            keep(context, &base, (verdict, job_id), &error).await;
            return Err(error);
        }
        let lasts = sent.refused.is_some() && pause < Duration::from_secs(10);
        if sent.accepted.is_none() && !lasts {
            return Err(error);
        }
        tracing::warn!(job = key(&base), job_id = sent.accepted, %error, "what came of a submit is not recorded yet; trying until it is");
        health::waiting(tokio::time::sleep(pause)).await;
        pause = (pause * 2).min(Duration::from_secs(10));
        if let Some(recorded) = look_again(context, &mut base, (verdict, &sent), error).await? {
            return Ok(recorded);
        }
    }
}

/// What a status is about to record of a request that went out.
struct Sent<'a> {
    nonce: Option<&'a str>,
    /// The job that it made, or was answered with.
    accepted: Option<&'a str>,
    /// The nonce, where the service refused it.
    refused: Option<&'a str>,
}

impl<'a> Sent<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let submit = if let Outcome::Submit(submit) = outcome { Some(submit) } else { None };
        let nonce = submit.and_then(|submit| submit.record.nonce.as_deref());
        let (accepted, refused) = match submit.map(|submit| &submit.answer) {
            Some(SubmitAnswer::Accepted(accepted)) => (Some(accepted.job_id.as_str()), None),
            Some(SubmitAnswer::Refused(_)) => (None, nonce),
            Some(SubmitAnswer::Unknown { .. }) | None => (None, None),
        };
        Self { nonce, accepted, refused }
    }
}

async fn write_once(context: &Context, base: &CachedJob, verdict: &Verdict) -> Result<CachedJob, WriteError> {
    let recorded = base.status.clone().unwrap_or_default();
    let Some(status) = status_of(context, base, verdict) else { return Ok(base.clone()) };
    let version = base.resource_version().unwrap_or_default();
    let jobs: Api<CachedJob> = context.jobs_in(&base.namespace().unwrap_or_default());
    let _room = context.replies.room_to_write(base.bytes).await;
    let written = patch_status(&jobs, &base.name_any(), &version, &recorded, &status).await?;
    note_taken(context, base, Part::Status);
    Ok(written)
}

/// Reads the object that could not be written: it may be recorded already, is written over as it is now, or no longer
/// takes what was sent for it.
async fn look_again(
    context: &Context,
    base: &mut CachedJob,
    (verdict, sent): (&Verdict, &Sent<'_>),
    error: WriteError,
) -> Result<Option<CachedJob>, WriteError> {
    let (namespace, name) = (base.namespace().unwrap_or_default(), base.name_any());
    let jobs: Api<CachedJob> = context.jobs_in(&namespace);
    let room = context.replies.room(base.bytes).await;
    let live = answered(jobs.get_opt(&name)).await;
    drop(room);
    let Ok(live) = live else { return Ok(None) };
    let live = live.filter(|live| live.uid() == base.uid());
    let has = live.as_ref().and_then(|live| live.status.as_ref()?.job_id.as_deref());
    match (live.as_ref(), sent.accepted) {
        (Some(live), Some(job_id)) if has == Some(job_id) => return Ok(Some(live.clone())),
        // Who leads now has sent a request of its own: what comes of that shows whether it is the same job.
        (Some(live), Some(_))
            if has.is_none() && !context.leads() && is_another(nonce_of(live), sent.nonce) => {}
        (Some(live), Some(_)) if has.is_none() && takes(base, live) => *base = live.clone(),
        (_, Some(job_id)) => {
            // What is read while fields are dropped does not say what the object takes.
            let proven = context.prove(Kind::Job, (&namespace, &name), JUST_PROVEN).await;
            if live.is_some()
                && let Err(error) = proven
            {
                keep(context, base, (verdict, job_id), &error).await;
                return Err(error);
            }
            return orphaned(context, base, job_id).await.map(Some);
        }
        (Some(live), None) if has.is_none() && takes(base, live) && nonce_of(live) == sent.refused => {
            *base = live.clone();
        }
        (_, None) => return Err(error),
    }
    Ok(None)
}

/// Puts an accepted job into the table of those that are not recorded.
async fn keep(context: &Context, job: &CachedJob, (verdict, job_id): (&Verdict, &str), error: &WriteError) {
    context.doubt(Kind::Job, error).await;
    let (verdict, job_id) = (verdict.clone(), job_id.to_owned());
    let mut accepted = Accepted { job: job.clone(), verdict, job_id, tries: 0, told: false };
    tell(context, &mut accepted, error).await;
    context.unrecorded.put(&job.uid().unwrap_or_default(), accepted);
}

/// Names the job while nothing else does.
async fn tell(context: &Context, unrecorded: &mut Accepted, error: &WriteError) {
    let Accepted { job, job_id, .. } = &*unrecorded;
    tracing::error!(job = key(job), job_id, %error, "an accepted job is not recorded");
    if !unrecorded.told {
        let note = Object::NotRecorded { job_id: job_id.clone(), words: error.to_string() };
        let event = decide::Event { warning: true, reason: Reason::WriteRefused, note: note.into() };
        unrecorded.told = context.publish(&job.object_ref(&()), &[event]).await.is_empty();
    }
}

/// Tries again to record an accepted job; nothing else is done for its object meanwhile. `None` where there is none, or
/// the object goes: then what is known of it ends its job, recorded or not.
pub(in crate::controller) async fn retry_unrecorded(
    context: &Context,
    job: &mut CachedJob,
) -> Option<Action> {
    let uid = job.uid().unwrap_or_default();
    let mut unrecorded = context.unrecorded.get(&uid)?;
    let has = job.status.as_ref().and_then(|status| status.job_id.as_deref());
    if has == Some(&unrecorded.job_id) {
        context.unrecorded.take(&uid);
        return None;
    }
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    let proven = context.prove(Kind::Job, (&namespace, &name), PROVEN).await;
    // What is read while fields are dropped does not say what the object takes.
    if proven.is_ok() && (has.is_some() || !takes(&unrecorded.job, job)) {
        context.unrecorded.take(&uid);
        // Told, it is at rest.
        let _ = orphaned(context, job, &unrecorded.job_id).await;
        return Some(Action::requeue(Duration::ZERO));
    }
    let recorded = job.status.clone().unwrap_or_default();
    let status = status_of(context, job, &unrecorded.verdict)?;
    if job.metadata.deletion_timestamp.is_some() {
        context.unrecorded.take(&uid);
        job.set_status(status.clone());
        context.memories.set(&uid, |remembered| remembered.unsaved = Some(Box::new(status)));
        return None;
    }
    let written = match proven {
        Ok(()) => {
            let version = job.resource_version().unwrap_or_default();
            let _room = context.replies.room_to_write(job.bytes).await;
            let jobs: Api<CachedJob> = context.jobs_in(&namespace);
            patch_status(&jobs, &name, &version, &recorded, &status).await
        }
        Err(error) => Err(error),
    };
    let pause = match written {
        Ok(written) => {
            context.unrecorded.take(&uid);
            note_taken(context, &written, Part::Status);
            tracing::info!(job = key(job), job_id = unrecorded.job_id, "an accepted job is recorded at last");
            drop(context.publish(&job.object_ref(&()), &unrecorded.verdict.events).await);
            Duration::ZERO
        }
        Err(error) => {
            tell(context, &mut unrecorded, &error).await;
            unrecorded.tries = unrecorded.tries.saturating_add(1);
            let pause = Duration::from_secs(1 << unrecorded.tries.min(9)).min(LONGEST_PAUSE);
            context.unrecorded.put(&uid, unrecorded);
            pause
        }
    };
    Some(Action::requeue(pause))
}

impl Context {
    /// Whether the id of an accepted job may stand nowhere but here.
    pub fn has_unwritten(&self) -> bool {
        self.health.has_unwritten() || self.unrecorded.len() > 0
    }

    /// Tries once more to record every accepted job that the API server has refused: for a process that does nothing else
    /// any more.
    pub async fn record_again(self: &std::sync::Arc<Self>) {
        for (uid, job) in self.unrecorded.jobs() {
            let jobs: Api<CachedJob> = self.jobs_in(&job.namespace().unwrap_or_default());
            // One that cannot be read is tried the next time.
            match answered(jobs.get_opt(&job.name_any())).await {
                Ok(Some(mut live)) if live.uid().as_deref() == Some(&uid) => {
                    // When it is tried again is known here.
                    let _ = Box::pin(retry_unrecorded(self, &mut live)).await;
                }
                Ok(_) => orphan_unrecorded(self, &uid),
                Err(_) => {}
            }
        }
    }
}

/// An object is gone: whoever looks for the job that was accepted for it has to be told.
pub(in crate::controller) fn orphan_unrecorded(context: &std::sync::Arc<Context>, uid: &str) {
    if let Some(unrecorded) = context.unrecorded.take(uid) {
        let context = std::sync::Arc::clone(context);
        tokio::spawn(async move {
            let _ = orphaned(&context, &unrecorded.job, &unrecorded.job_id).await;
        });
    }
}

/// The nonce of the attempt that the status speaks of.
fn nonce_of(job: &ScrapeJob) -> Option<&str> {
    job.status.as_ref()?.submission.as_ref()?.nonce.as_deref()
}

/// Whether somebody else's attempt is recorded.
fn is_another(recorded: Option<&str>, sent: Option<&str>) -> bool {
    recorded.is_some_and(|recorded| sent.is_some_and(|sent| sent != recorded))
}

/// Whether the status still speaks of the run that a job was submitted for, and that run is not over: another process
/// may have ended it while the answer was under way.
fn takes(submitted: &ScrapeJob, live: &ScrapeJob) -> bool {
    let run = |job: &ScrapeJob| job.status.as_ref().map(|status| status.run().to_owned());
    run(submitted) == run(live) && !live.status.as_ref().is_some_and(|status| status.finished)
}

/// The object went, or has another job or run: somebody has to be told about ours.
async fn orphaned(context: &Context, job: &CachedJob, job_id: &str) -> Result<CachedJob, WriteError> {
    let note = Object::NotTaken(job_id.to_owned());
    tracing::warn!(job = key(job), job_id, "orphaned");
    let event = decide::Event { warning: true, reason: Reason::Orphaned, note: note.into() };
    // The id stands nowhere else.
    while !context.publish(&job.object_ref(&()), std::slice::from_ref(&event)).await.is_empty() {}
    Err(WriteError::Lost("the object no longer takes the job".to_owned()))
}

/// The status to be written, if its meaning differs from what is recorded.
pub(in crate::controller) fn status_of(
    context: &Context,
    job: &ScrapeJob,
    verdict: &Verdict,
) -> Option<ScrapeJobStatus> {
    cache::status_of(job, verdict, &context.claims.release().id, context.clock.now())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_another, takes};
    use crate::api::ScrapeJob;

    fn job(status: &serde_json::Value) -> ScrapeJob {
        serde_json::from_value(json!({
            "apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": {"name": "acme"},
            "spec": {}, "status": status,
        }))
        .unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn an_attempt_of_somebody_else_is_one_with_another_nonce() {
        assert!(is_another(Some("theirs"), Some("ours")));
        for (recorded, sent) in [(Some("ours"), Some("ours")), (None, Some("ours")), (Some("x"), None)] {
            assert!(!is_another(recorded, sent), "{recorded:?} {sent:?}");
        }
    }

    #[test]
    fn a_job_is_written_only_over_the_run_that_it_was_submitted_for() {
        let submitted = job(&json!({"runID": "r1", "state": "Submitting"}));
        assert!(takes(&submitted, &submitted));
        assert!(takes(&submitted, &job(&json!({"runID": "r1", "state": "Held"}))));
        for other in [
            json!({"runID": "r2", "state": "Pending"}),
            json!({"state": "Pending"}),
            json!({"runID": "r1", "state": "Cancelled", "finished": true}),
        ] {
            assert!(!takes(&submitted, &job(&other)), "{other}");
        }
    }
}
