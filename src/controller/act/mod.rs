//! Carries out a plan: at most one effect.

mod cancel;
mod collect;
mod earlier;
mod effect;
mod look_up;
mod reading;
mod submit;

pub(super) use effect::Acted;
pub(super) use submit::nonce;

use std::sync::Arc;

use kube::{Api, ResourceExt};
use serde_json::{Map, Value, json};

use self::collect::collect;
use self::effect::{annotation, fenced, finalizers, not_written, tell, turn, written};
use self::look_up::{MOST_PAGES, candidates};
use super::context::Context;
use super::context::jobs::Line;
use super::observe::{Seen, facts};
use super::write::Part;
use crate::account::Session;
use crate::api::{INTENT, ScrapeJob};
use crate::budget::Lane;
use crate::cache::{CachedJob, job_id, key};
use crate::decide::{Event, Intent, LookUp, Observed, Outcome, Plan};
use crate::status::delete;

/// After so many looks in a row, of three tries each, an object that is over its bound goes although people could not be
/// told: some seconds where the API server refuses, a minute where it hangs.
const UNTOLD: u32 = 3;

/// Carries out the plan, and keeps the object's place in line where that is not its turn yet.
pub(in crate::controller) async fn act(
    context: &Context,
    job: &CachedJob,
    seen: &Seen,
    plan: &Plan,
) -> Acted {
    let uid = job.uid().unwrap_or_default();
    let gate = seen.session.as_ref().map(|session| &session.gate);
    // Whoever has a turn and no use for it would keep it from the others.
    let now = context.clock.instant();
    if let Some(line) = context.memories.set(&uid, |remembered| remembered.leave_line(now))
        && !(plan.takes_turn() && gate.is_some_and(|gate| gate.is(&line.gate)))
    {
        line.gate.forget(&key(job));
    }
    let acted = carry_out(context, job, seen, plan).await;
    if matches!(acted.outcome, Outcome::NotYet(_)) {
        let line = gate.map(|gate| Line::new(gate, context.clock.instant()));
        context.memories.set(&uid, |remembered| remembered.line = line);
    }
    acted
}

/// Carries out the plan. Only `Submit` writes more than once, and says so in its own file.
async fn carry_out(context: &Context, job: &CachedJob, seen: &Seen, plan: &Plan) -> Acted {
    let session = seen.session.as_ref();
    match (plan, session) {
        (Plan::Rest(_) | Plan::Leave | Plan::Adopt(_) | Plan::Latch(_) | Plan::Begin(None), _) => {
            Outcome::Done.into()
        }
        (Plan::Begin(Some(event)) | Plan::Abandon(event), _) => {
            if tell(context, job, event).await {
                Outcome::Done.into()
            } else {
                Outcome::Lost.into()
            }
        }
        (Plan::Expire, _) => expire(context, job).await,
        (Plan::Protect(intent), _) => protect(context, job, intent.as_deref()).await,
        (Plan::Release(event), _) => release(context, job, (event.as_ref(), &seen.observed)).await,
        (Plan::Submit(attempt), Some(session)) => submit::submit(context, job, attempt, session).await,
        // A job that looks like ours may be that of an object that was not seen yet. That is no try.
        (Plan::LookUp(_), Some(_)) if !context.all_are_known() => Outcome::Lost.into(),
        // Who deletes waits among those who delete.
        (Plan::LookUp(why), Some(session)) => match turn(session, job, lane_of(*why), None) {
            Ok(permit) => {
                Outcome::Candidates(candidates(context, job, session, (permit, MOST_PAGES)).await).into()
            }
            Err(waiting) => Outcome::NotYet(waiting).into(),
        },
        (Plan::Look, Some(session)) => look(job, session, Lane::Poll).await.into(),
        (Plan::Confirm, Some(session)) => look(job, session, Lane::Cancel).await.into(),
        (Plan::Read(owed), Some(session)) => collect(context, job, session, *owed).await.into(),
        (Plan::Cancel, Some(session)) => cancel::cancel(context, job, session).await.into(),
        (Plan::LookUp(_), None) => {
            let why = "the account cannot be used".to_owned();
            Outcome::Candidates(Err(crate::decide::Trouble::Unavailable(why))).into()
        }
        (Plan::Submit(_) | Plan::Look | Plan::Confirm | Plan::Read(_) | Plan::Cancel, None) => {
            Outcome::Lost.into()
        }
    }
}

fn lane_of(why: LookUp) -> Lane {
    match why {
        LookUp::ToRelease => Lane::Cancel,
        LookUp::ToHold | LookUp::ToAdopt => Lane::LookUp,
    }
}

/// Reads the job's status, at its turn in this lane.
async fn look(job: &ScrapeJob, session: &Arc<Session>, lane: Lane) -> Outcome {
    match turn(session, job, lane, None) {
        Ok(permit) => {
            let id = job_id(job);
            let status = session.ask(permit, async |client| client.status(id).await).await;
            Outcome::Status(status.as_ref().map(facts::job).map_err(facts::trouble))
        }
        Err(waiting) => Outcome::NotYet(waiting),
    }
}

/// Deletes the object, if it is still the very one that was decided on.
async fn expire(context: &Context, job: &CachedJob) -> Acted {
    let jobs: Api<CachedJob> = context.jobs_in(&job.namespace().unwrap_or_default());
    let (uid, version) = (job.uid().unwrap_or_default(), job.resource_version().unwrap_or_default());
    match delete(&jobs, &job.name_any(), (&uid, &version)).await {
        Ok(()) => {
            tracing::info!(job = key(job), "deleted: spec.ttlSecondsAfterFinished are over");
            Outcome::Done.into()
        }
        Err(error) => {
            tracing::info!(job = key(job), %error, "an object was not deleted; looking again");
            not_written(context, job, (Part::Object, &error)).await
        }
    }
}

async fn protect(context: &Context, job: &CachedJob, intent: Option<&Intent>) -> Acted {
    let mut metadata = Map::from_iter([("finalizers".to_owned(), finalizers(job, true))]);
    if let Some(intent) = intent {
        metadata.insert("annotations".to_owned(), json!({INTENT: annotation(intent)}));
    }
    written(context, job, fenced(context, job, metadata).await).await
}

async fn release(context: &Context, job: &CachedJob, (event, o): (Option<&Event>, &Observed)) -> Acted {
    // A deletion waits for that no longer than for the service, and a few looks more: it may be the only word.
    let tried = context.memories.get(&o.job.uid).failures >= UNTOLD;
    let late = tried && o.job.deleted_at.is_some_and(|begun| o.end_waits(begun).is_zero());
    if let Some(event) = event
        && !tell(context, job, event).await
        && !late
    {
        return Outcome::Lost.into();
    }
    let mut metadata = Map::from_iter([("finalizers".to_owned(), finalizers(job, false))]);
    // The intent outlives the status in a backup, so from here on it says what came of it.
    if let crate::decide::IntentFacts::Found(intent) =
        Intent::read(job.annotations().get(INTENT).map(String::as_str))
        && job.metadata.deletion_timestamp.is_none()
    {
        let intent = intent.of_what_is_over(&job.status.clone().unwrap_or_default());
        let value = intent.map_or(Value::Null, |intent| annotation(&intent).into());
        metadata.insert("annotations".to_owned(), json!({INTENT: value}));
    }
    written(context, job, fenced(context, job, metadata).await).await
}
