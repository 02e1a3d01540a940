//! What effects have in common: a turn in the budget, a fenced write, and what a write came to.

use kube::{Resource, ResourceExt};
use serde_json::{Map, Value, json};

use crate::account::Session;
use crate::api::{FINALIZER, ScrapeJob};
use crate::budget::{Lane, Permit, Subject};
use crate::cache::{CachedJob, key};
use crate::controller::context::Context;
use crate::controller::observe::facts;
use crate::controller::write::{Part, note_refusal, note_taken};
use crate::decide::{Event, Intent, Outcome, Waiting};
use crate::status::{WriteError, patch_metadata};

/// What came of a plan, and the object as our own writes left it.
pub(in crate::controller) struct Acted {
    pub(in crate::controller) outcome: Outcome,
    pub(in crate::controller) job: Option<CachedJob>,
}

impl From<Outcome> for Acted {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, job: None }
    }
}

/// The job's turn in a lane, or its place in the queue; with the type of a submit.
pub(super) fn turn(
    session: &Session,
    job: &ScrapeJob,
    lane: Lane,
    kind: Option<&str>,
) -> Result<Permit, Waiting> {
    let key = key(job);
    let subject = Subject { name: key.clone(), kind: kind.map(str::to_owned) };
    facts::permit(session.gate.reserve(&key, lane, &job.namespace().unwrap_or_default(), &subject))
}

/// The finalizers with or without ours: a merge patch replaces the list, so it is sent whole.
pub(super) fn finalizers(job: &ScrapeJob, with_ours: bool) -> Value {
    let others = job.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned();
    let ours = with_ours.then(|| FINALIZER.to_owned());
    json!(others.chain(ours).collect::<Vec<_>>())
}

/// Tells people what a run leaves behind at the service, before anything here forgets it: says whether they could be
/// told, or whether the API server will never have it.
pub(super) async fn tell(context: &Context, job: &CachedJob, event: &Event) -> bool {
    context.publish(&job.object_ref(&()), std::slice::from_ref(event)).await.is_empty()
}

/// A metadata write preconditioned on exactly this object.
pub(super) async fn fenced(
    context: &Context,
    job: &CachedJob,
    metadata: Map<String, Value>,
) -> Result<CachedJob, WriteError> {
    let (uid, version) = (job.uid().unwrap_or_default(), job.resource_version().unwrap_or_default());
    // While its deletion is decided nothing is left to be kept.
    let recorded = job.status.as_ref().filter(|_| job.metadata.deletion_timestamp.is_none());
    let _room = context.replies.room_to_write(job.bytes).await;
    patch_metadata(
        &context.jobs_in(&job.namespace().unwrap_or_default()),
        &job.name_any(),
        (&uid, &version),
        (metadata, recorded),
    )
    .await
}

/// Our own types always serialise; an empty annotation would be unreadable, and so hold the job, not lose it.
pub(super) fn annotation(intent: &Intent) -> String {
    serde_json::to_string(intent).unwrap_or_default()
}

pub(super) async fn written(
    context: &Context,
    job: &CachedJob,
    result: Result<CachedJob, WriteError>,
) -> Acted {
    match result {
        Ok(written) => {
            note_taken(context, job, Part::Object);
            Acted { outcome: Outcome::Done, job: Some(written) }
        }
        Err(error) => {
            tracing::info!(job = key(job), %error, "a write was not carried out; looking again");
            not_written(context, job, (Part::Object, &error)).await
        }
    }
}

/// What a write comes to that was not carried out: another look, or, where it is refused for good, words for people.
pub(super) async fn not_written(
    context: &Context,
    job: &CachedJob,
    (part, error): (Part, &WriteError),
) -> Acted {
    if note_refusal(context, job, (part, error)).await {
        return Outcome::WriteRefused(error.to_string()).into();
    }
    Outcome::Lost.into()
}
