//! The pipeline of one job, and the controller that runs it.

mod ahead;
mod changes;
mod conclude;
mod pause;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::{Api, Resource, ResourceExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tracing::Instrument;

use self::changes::{after_a_look, changes};
use self::conclude::{Came, conclude};
use self::pause::{rests, retry};
use super::accounts::stand_back;
use super::act::{Acted, act, nonce};
use super::context::Context;
use super::context::schema::Kind;
use super::context::table::Waking;
use super::drive::drive;
use super::observe::{Seen, observe};
use super::write::{PROVEN, retry_unrecorded, status_of};
use crate::api::{NotAName, Reason, ScrapeJob};
use crate::cache::{CachedJob, is_at_rest, key, misnamed};
use crate::decide::message::Object;
use crate::decide::{self, LookUp, Observed, Outcome, Plan};
use crate::health;
use crate::status::{WriteError, answered};

/// How long until a job is looked at again whose account is about to be opened; it is told when it is.
const OPENS_WITHIN: Duration = Duration::from_secs(5);

/// When an object is looked at again while the API server would lose fields; it is told when that is mended.
const STANDS_STILL: Duration = Duration::from_secs(60);
/// The same of one that is deleted, whose bound may pass meanwhile.
const LOOKS_AT_END: Duration = Duration::from_secs(5);

/// Runs until the process stops: every change of a job with which something is to be done, and every key that arrives on
/// `keys`, is looked at.
pub async fn run(
    context: Arc<Context>,
    (writer, woken): (Writer<CachedJob>, mpsc::UnboundedReceiver<Waking>),
    keys: mpsc::UnboundedReceiver<String>,
) {
    let changes = changes(&context, writer, woken);
    let told = UnboundedReceiverStream::new(keys).filter_map(|key| async move {
        let (namespace, name) = key.split_once('/')?;
        Some(ObjectRef::<CachedJob>::new(name).within(namespace))
    });
    // Each waits for its place by itself, so that they go round by namespace.
    let controller = drive(&context, (changes, context.jobs.store()), (told, 0), reconcile, on_error);
    tokio::select! {
        // In this order, so that a simulation can be repeated.
        biased;
        () = controller => {}
        () = context.jobs.wake_in_time(|| context.clock.instant()) => {}
        () = context.keep_proving() => {}
    }
}

/// Looks at one object that is awake; each line of the log that comes of it says of which.
async fn reconcile(cached: Arc<CachedJob>, context: Arc<Context>) -> Result<Action, WriteError> {
    let status = cached.status.as_ref();
    let span = tracing::error_span!(
        "reconcile",
        kind = "ScrapeJob",
        namespace = cached.metadata.namespace,
        name = cached.metadata.name,
        uid = cached.metadata.uid,
        run = cached.spec.run_id,
        job_id = status.and_then(|status| status.job_id.as_deref()),
    );
    take_up(cached, context).instrument(span).await
}

async fn take_up(cached: Arc<CachedJob>, context: Arc<Context>) -> Result<Action, WriteError> {
    let place = context.places.take(&cached.namespace().unwrap_or_default()).await;
    if context.stopping.borrow().is_some() {
        // Who waited for a place until now has not begun.
        return Ok(Action::await_change());
    }
    // It may have changed, or gone to rest, while it waited.
    let now = context.jobs.get(&ObjectRef::from_obj(&*cached)).filter(|now| now.uid() == cached.uid());
    let Some(cached) = now.filter(|now| !context.waits_for_list(now)) else {
        return Ok(Action::await_change());
    };
    let what = || format!("ScrapeJob {}", key(&cached));
    let looked = Box::pin(health::stage(&context.health, what, look_at(&cached, &context))).await;
    drop(place);
    if looked.is_err() {
        context.memories.set(&cached.uid().unwrap_or_default(), |remembered| {
            remembered.failures = remembered.failures.saturating_add(1);
        });
    }
    after_a_look(&context, &cached);
    looked
}

/// Looks at one object: each line is a stage.
async fn look_at(cached: &CachedJob, context: &Arc<Context>) -> Result<Action, WriteError> {
    let begun = context.clock.instant();
    let fresh = fresh(context, cached).await?;
    // It may be another one than the cache has.
    let Some(mut job) = fresh.filter(|job| !context.waits_for_list(job)) else {
        return Ok(Action::await_change());
    };
    let writable = match admit(context, &mut job).await? {
        ControlFlow::Continue(writable) => writable,
        ControlFlow::Break(action) => return Ok(action),
    };
    let uid = job.uid().unwrap_or_default();
    // IO, reads only
    let Some(seen) = observe(context, &job, &context.memories.get(&uid), nonce()).await? else {
        if !context.jobs.are_listed() {
            // Its submit will ask for that.
            drop(context.rows_in(&job.namespace().unwrap_or_default()));
        }
        return Ok(Action::requeue(OPENS_WITHIN));
    };
    // pure
    let plan = decide::next(&seen.observed);
    if !writable && !goes_on(&plan, &seen.observed) {
        return Ok(Action::requeue(LOOKS_AT_END));
    }
    // What failed is not tried earlier because something else is new.
    if let Some(left) = rests(context, &seen, &plan) {
        return Ok(Action::requeue(left));
    }
    // What is over needs nobody, until it does.
    if is_at_rest(&job)
        && writes(context, &job, &seen, &plan)
        && let Some(action) = stand_back(context, &job).await?
    {
        return Ok(action);
    }
    // What comes of a submit may stand nowhere but here, until it is written.
    let _unwritten = matches!(plan, Plan::Submit(_)).then(|| context.health.unwritten());
    // IO, at most one effect
    let Acted { outcome, job: left } = act(context, &job, &seen, &plan).await;
    // pure
    let verdict = decide::settle(&seen.observed, &plan, &outcome);
    // IO, only where something changed
    let came = Came { plan: plan.word(), outcome, verdict, writable, begun };
    Ok(conclude(context, (&job, left.as_ref()), &seen, &came).await)
}

/// Whether anything is done with an object now; and then whether anything may be written.
async fn admit(context: &Context, job: &mut CachedJob) -> Result<ControlFlow<Action, bool>, WriteError> {
    if let Some(error) = misnamed(job) {
        let uid = job.uid().unwrap_or_default();
        return Ok(ControlFlow::Break(leave(context, job, &uid, &error).await));
    }
    if let Some(action) = retry_unrecorded(context, job).await {
        return Ok(ControlFlow::Break(action));
    }
    if !is_at_rest(job)
        && let Some(action) = stand_back(context, job).await?
    {
        return Ok(ControlFlow::Break(action));
    }
    let writable = match prove(context, job).await {
        Err(error) if error.not_kept().is_none() => return Err(error),
        // Of an object that goes nothing is left to be lost.
        Err(_) if job.metadata.deletion_timestamp.is_none() => {
            context.tell_of_schema(job).await;
            return Ok(ControlFlow::Break(Action::requeue(STANDS_STILL)));
        }
        proven => proven.is_ok(),
    };
    tell_faults(context, job);
    Ok(ControlFlow::Continue(writable))
}

/// Leaves such a job alone: the schema refuses every write of it, so that an event and a metric say it.
async fn leave(context: &Context, job: &ScrapeJob, uid: &str, error: &NotAName) -> Action {
    if !context.memories.set(uid, |remembered| std::mem::replace(&mut remembered.misnamed, true)) {
        let note = Object::AccountName(error.to_string());
        let event = decide::Event { warning: true, reason: Reason::AccountNotFound, note: note.into() };
        context.tell(&job.object_ref(&()), event).await;
    }
    Action::await_change()
}

/// Whether this comes to more than a look.
fn writes(context: &Context, job: &CachedJob, seen: &Seen, plan: &Plan) -> bool {
    if !matches!(plan, Plan::Rest(_) | Plan::Leave) {
        return true;
    }
    let verdict = decide::settle(&seen.observed, plan, &Outcome::Done);
    !verdict.events.is_empty() || status_of(context, job, &verdict).is_some()
}

async fn prove(context: &Context, job: &ScrapeJob) -> Result<(), WriteError> {
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    context.prove(Kind::Job, (&namespace, &name), PROVEN).await
}

/// Whether this goes on for an object that is deleted while nothing may be written: what ends its job, and letting go of it.
/// What its record would tell may be read again before its bound has passed, so that nothing is given up until then.
fn goes_on(plan: &Plan, o: &Observed) -> bool {
    let bound = o.job.deleted_at.is_none_or(|begun| o.end_waits(begun).is_zero());
    match plan {
        Plan::Rest(_)
        | Plan::Cancel
        | Plan::Confirm
        | Plan::LookUp(LookUp::ToRelease)
        | Plan::Release(None) => true,
        Plan::Release(Some(_)) => bound || o.job.marks.force_orphan,
        Plan::Leave
        | Plan::LookUp(LookUp::ToHold | LookUp::ToAdopt)
        | Plan::Submit(_)
        | Plan::Adopt(_)
        | Plan::Look
        | Plan::Read(_)
        | Plan::Protect(_)
        | Plan::Latch(_)
        | Plan::Abandon(_)
        | Plan::Begin(_)
        | Plan::Expire => false,
    }
}

/// The object to decide on: from the cache, or live where the cache is known to be behind our own last write.
async fn fresh(context: &Context, cached: &CachedJob) -> Result<Option<CachedJob>, WriteError> {
    let (namespace, name) = (cached.namespace().unwrap_or_default(), cached.name_any());
    let remembered = context.memories.get(&cached.uid().unwrap_or_default());
    let version: Option<u64> = cached.resource_version().and_then(|version| version.parse().ok());
    let stale = remembered.written.is_some_and(|written| version.is_none_or(|version| version < written));
    let doubted = remembered.doubted.is_some() && remembered.doubted == cached.resource_version();
    // Of what goes, what could not be written is true all the same.
    let with_unsaved = |mut job: CachedJob| {
        if let Some(unsaved) =
            remembered.unsaved.as_deref().filter(|_| job.metadata.deletion_timestamp.is_some())
        {
            job.set_status(unsaved.clone());
        }
        job
    };
    if stale || doubted || remembered.live {
        let jobs: Api<CachedJob> = context.jobs_in(&namespace);
        let _room = context.replies.room(cached.bytes).await;
        let live = answered(jobs.get_opt(&name)).await?;
        // One that was made anew comes by the watch.
        return Ok(live.filter(|live| live.uid() == cached.uid()).map(with_unsaved));
    }
    Ok(Some(with_unsaved(cached.clone())))
}

/// Says once of each object what of it cannot be read.
fn tell_faults(context: &Context, job: &CachedJob) {
    let words = Some(job.faults.words()).filter(|_| !job.faults.is_none());
    let uid = job.uid().unwrap_or_default();
    if context.memories.get(&uid).faults != words {
        if let Some(words) = &words {
            tracing::error!(
                job = key(job),
                words,
                "a ScrapeJob cannot be read whole; is the operator as new as the CRDs?"
            );
        }
        context.memories.set(&uid, |remembered| remembered.faults = words);
    }
}

fn on_error(context: &Context, job: &CachedJob, error: &WriteError) -> Action {
    let uid = job.uid().unwrap_or_default();
    tracing::warn!(job = key(job), uid, %error, "looking again");
    Action::requeue(retry(context, &uid, context.memories.get(&uid).failures))
}
