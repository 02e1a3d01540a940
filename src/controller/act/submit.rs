//! The chain of a submit: intent, status, request. The one effect that costs money (`docs/adr/0003`).
//!
//! Each write is preconditioned on the one before it, so that a stale cache or a second replica loses. The budget is
//! reserved before the first write, so that a wait leaves no trace. The status with the job's id, the last write of
//! the chain, is made by the pipeline like any other, and repeated until it is seen.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};
use serde_json::{Map, json};

use super::earlier::learn_what_was_submitted;
use super::effect::{Acted, annotation, fenced, finalizers, not_written, turn};
use super::look_up::candidates;
use crate::account::{AccountKey, Session};
use crate::api::{FINALIZER, INTENT, ReadyWhen, ScrapeJob, ScrapeJobStatus, StoredJob, SubmissionRecord};
use crate::budget::{Lane, Permit};
use crate::cache::{CachedJob, key};
use crate::controller::context::Context;
use crate::controller::context::schema::Kind;
use crate::controller::observe::facts;
use crate::controller::write::{JUST_PROVEN, Part, note_taken};
use crate::decide::{
    Accepted, Again, Attempt, Body, Chain, Freshness, Intent, Listed, Memory, Message, Outcome, Standing,
    Step, SubmitAnswer, SubmitOutcome, Verdict, Written, is_intended, is_same_record, recording,
};
use crate::spideriq::{Signals, SubmitAnswer as Said};
use crate::status::{WriteError, compute, patch_status};

/// The request goes out within this time of sending the write before it, or not at all: whoever waits for an unknown
/// outcome to settle relies on it.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);
/// A request and the write after it take so long at the most; a process that ends earlier does not begin one.
const SUBMIT_TIME: Duration = Duration::from_secs(9);

/// Submits the job once, if it is still its turn, still wanted, and still ours.
pub(super) async fn submit(
    context: &Context,
    job: &CachedJob,
    attempt: &Attempt,
    session: &Arc<Session>,
) -> Acted {
    if session.gate.guesses_submits() {
        learn_what_was_submitted(context, session).await;
    }
    // A check-then-cancel of an equal submit must not run between our record and the service's answer. Waited for before
    // a turn is taken and anything written.
    let Some(Ok(kept)) = &job.body else { return Outcome::Lost.into() };
    let client = context.accounts.every_name_of(session.client());
    let Some(_exclusive) = context.exclusive.submit(client, kept.equalities()).await else {
        return Outcome::Lost.into();
    };
    if attempt.asked && context.memories.take_wish(&attempt.intent.uid, job.marks.requested.clone()) {
        session.gate.try_now();
    }
    let permit = match turn(session, job, Lane::Submit, Some(&attempt.type_)) {
        Ok(permit) => permit,
        Err(waiting) => return Outcome::NotYet(waiting).into(),
    };
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    if let Err(error) = context.prove(Kind::Job, (&namespace, &name), JUST_PROVEN).await {
        tracing::info!(job = key(job), %error, "a submit was not begun; looking again");
        return Outcome::Lost.into();
    }
    if !context.may_begin(&session.key) {
        return Outcome::Stopping.into();
    }
    // Where the second write was refused the first is not made again for nothing: each would wake us for the next.
    if context.memories.get(&attempt.intent.uid).status_refusals > 0 {
        if let Err(error) = context.try_status_of(job).await {
            return not_begun(context, job, (Part::Status, &error)).await;
        }
        note_taken(context, job, Part::Status);
    }
    let (body, stored, record) = match write_ahead(context, job, attempt, session).await {
        Ok(written) => written,
        Err(acted) => return acted,
    };
    let recorded = CachedJob::from(stored);
    if context.stops_within(SUBMIT_TIME) || !context.claims.may_send(&session.key.scope()) {
        let before = attempt.before.clone();
        return Acted { outcome: Outcome::Unsent(before), job: Some(recorded) };
    }
    tracing::info!(job = key(job), attempt = record.attempt, nonce = record.nonce, "submitting");
    let (said, signals) = session.submit(permit, (&attempt.type_, &body), attempt.number() == 1).await;
    context.metrics.submitted(outcome_word(&said));
    let answer = answer(context, &recorded, session, (attempt, said, signals)).await;
    if let SubmitAnswer::Accepted(accepted) = &answer {
        tracing::info!(job = key(job), job_id = accepted.job_id, "accepted");
    }
    Acted { outcome: Outcome::Submit(Box::new(SubmitOutcome { record, answer })), job: Some(recorded) }
}

/// The two writes before the request, intent and status; and the body to send.
async fn write_ahead(
    context: &Context,
    job: &CachedJob,
    attempt: &Attempt,
    session: &Session,
) -> Result<(String, StoredJob, SubmissionRecord), Acted> {
    let found = Intent::read(job.annotations().get(INTENT).map(String::as_str));
    let protected = job.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    let there = is_intended(&found, protected, (&attempt.intent.uid, attempt.number()));
    let mut chain = Chain::begin(attempt.record.nonce.clone().unwrap_or_default(), there);
    let mut intended = job.clone();
    if chain.step() == Step::Intend {
        match intend(context, job, attempt).await {
            Ok(written) => intended = written,
            Err(error) => return Err(not_begun(context, job, (Part::Object, &error)).await),
        }
        chain.intended();
    }
    note_taken(context, job, Part::Object);
    // After the first write: from here the request goes out within `BEGIN_WITHIN`, or not at all.
    if !context.may_begin(&session.key) {
        return Err(Outcome::Stopping.into());
    }
    let written = record(context, &intended, attempt, (&session.key, &mut chain)).await;
    let written = written.and_then(|(stored, record)| Ok((body(&stored, &record)?, stored, record)));
    match written {
        Ok(written) => Ok(written),
        Err(error) => {
            let nonces = chain.nonces().iter().cloned().map(Some).collect();
            context.memories.never_sent(&job.uid().unwrap_or_default(), nonces);
            Err(not_begun(context, job, (Part::Status, &error)).await)
        }
    }
}

/// The body to send: made of the payload as it stands in the very version that records the attempt, and none but the one
/// that the record names.
fn body(stored: &StoredJob, record: &SubmissionRecord) -> Result<String, WriteError> {
    let spec = stored.usable().map(|job| &job.spec);
    let made = spec.and_then(|spec| Some(Body::new(&spec.payload.as_ref()?.members().ok()?, spec.priority)));
    let same = made.zip(record.body_hash.as_deref()).and_then(|(body, hash)| body.as_recorded(hash));
    same.ok_or_else(|| WriteError::Lost("the payload is another one by now".to_owned()))
}

/// Write 1: the finalizer and the intent.
async fn intend(context: &Context, job: &CachedJob, attempt: &Attempt) -> Result<CachedJob, WriteError> {
    let metadata = Map::from_iter([
        ("finalizers".to_owned(), finalizers(job, true)),
        ("annotations".to_owned(), json!({INTENT: annotation(&attempt.intent)})),
    ]);
    fenced(context, job, metadata).await
}

/// Write 2: the status with the nonce, sent so recently that the request may follow. A write that was lost, not
/// answered, or answered too late is made again with a fresh nonce on what a live read shows, as long as that is
/// still the same submit: nothing went out with the nonces before, nor does with any of them where this gives up.
async fn record(
    context: &Context,
    intended: &CachedJob,
    attempt: &Attempt,
    (account, chain): (&AccountKey, &mut Chain),
) -> Result<(StoredJob, SubmissionRecord), WriteError> {
    let jobs: Api<StoredJob> = context.jobs_in(&intended.namespace().unwrap_or_default());
    let name = intended.name_any();
    let mut base = intended.clone();
    let mut stored = None;
    let mut last = WriteError::Unanswered("the API server was too slow".to_owned());
    let mut tried_at = attempt.record.tried_at.clone();
    let with = |chain: &Chain, tried_at: &Option<Time>| SubmissionRecord {
        nonce: Some(chain.nonce().to_owned()),
        tried_at: tried_at.clone(),
        ..attempt.record.clone()
    };
    loop {
        match chain.step() {
            // The tries before may have taken longer than this process leads.
            Step::Record if !context.leads() || !context.claims.may_send(&account.scope()) => chain.stop(),
            Step::Record => {
                let recorded = base.status.clone().unwrap_or_default();
                // A write before it may have taken long, and the request goes out after this one.
                tried_at = Timestamp::from_second(context.clock.now().as_second()).ok().map(Time);
                let status = submitting(context, &base, &recorded, (&with(chain, &tried_at), account));
                let _room = context.replies.room_to_write(base.bytes).await;
                let sent_at = context.clock.instant();
                let version = base.resource_version().unwrap_or_default();
                let came = match patch_status(&jobs, &name, &version, &recorded, &status).await {
                    Ok(written) if sent_at.elapsed() < BEGIN_WITHIN => {
                        stored = Some(written);
                        Written::InTime
                    }
                    Ok(written) => {
                        base = CachedJob::from(written);
                        Written::Late
                    }
                    Err(error) => {
                        // To try it again at once would not help.
                        let came = if helps(&error) { Written::Lost } else { Written::Refused };
                        last = error;
                        came
                    }
                };
                chain.recorded(came, nonce());
            }
            Step::Read => {
                let _room = context.replies.room(base.bytes).await;
                let live = tokio::time::timeout(BEGIN_WITHIN, jobs.get(&name)).await;
                let live = live.ok().and_then(Result::ok).map(CachedJob::from);
                let same = live.filter(|live| is_same_submit(intended, live, chain.nonces()));
                chain.read(same.is_some(), nonce());
                base = same.unwrap_or(base);
            }
            Step::Send => return stored.map(|stored| (stored, with(chain, &tried_at))).ok_or(last),
            Step::Intend | Step::Stop => return Err(last),
        }
    }
}

/// Whether a write that failed so may be made again at once.
const fn helps(error: &WriteError) -> bool {
    match error {
        WriteError::Refused(_) | WriteError::UnknownFields(_) | WriteError::Dropped(_) => false,
        WriteError::Lost(_) | WriteError::Unanswered(_) => true,
    }
}

/// Whether a live read shows the very submit that we are about to make: nothing decided on has changed, and no nonce
/// is there but the one that was and those that we wrote.
fn is_same_submit(before: &CachedJob, live: &CachedJob, ours: &[String]) -> bool {
    let intent = |job: &ScrapeJob| job.annotations().get(INTENT).cloned();
    let status = |job: &ScrapeJob| job.status.clone().unwrap_or_default();
    live.uid() == before.uid()
        && live.metadata.deletion_timestamp.is_none()
        && live.spec == before.spec
        && live.body == before.body
        && intent(live) == intent(before)
        && is_same_record(&status(before), &status(live), ours)
}

/// The status while the request is under way.
fn submitting(
    context: &Context,
    job: &ScrapeJob,
    recorded: &ScrapeJobStatus,
    (record, account): (&SubmissionRecord, &AccountKey),
) -> ScrapeJobStatus {
    let now = context.clock.now();
    let wanted = (job.spec.type_.as_ref(), job.spec.run_id.as_ref());
    let (mut data, known) = recording(recorded, record, wanted, now);
    data.account = Some(crate::api::JobAccount {
        kind: account.kind(),
        name: account.name.clone(),
        client_id: record.client_id.clone(),
    });
    let standing = known.map_or(Standing::Submitting, |known| Standing::Unknown(Message::Said(known)));
    let verdict = Verdict {
        record: data,
        standing: Some(standing),
        freshness: Freshness::Unchanged,
        memory: Memory::default(),
        events: Vec::new(),
        again: Again::OnChange,
    };
    let ready_when: ReadyWhen = job.spec.ready_when.unwrap_or_default();
    let computed = compute(&verdict, recorded, ready_when, job.metadata.generation.unwrap_or(0), now);
    let operator = Some(context.claims.release().id.clone());
    ScrapeJobStatus { operator, ..computed.unwrap_or_default() }
}

/// What the service said, in decide's words. After a repeat that made a new job although an earlier attempt may have
/// made one, too, the list is looked at once for it.
async fn answer(
    context: &Context,
    job: &CachedJob,
    session: &Arc<Session>,
    (attempt, said, signals): (&Attempt, Said, Signals),
) -> SubmitAnswer {
    match said {
        Said::Refused(error) => {
            let first = attempt.number() == 1;
            let since = first.then(|| session.gate.not_served_since(&attempt.type_)).flatten();
            SubmitAnswer::Refused(facts::refusal(&error, since))
        }
        Said::Unknown { why, without_id } => SubmitAnswer::Unknown { why: why.to_string(), without_id },
        Said::Accepted(accepted) => {
            let mut strays = Some(Listed::default());
            if attempt.number() > 1 && accepted.from_cache == Some(false) {
                let (group, subject) = (job.namespace().unwrap_or_default(), key(job));
                let wait = session.gate.acquire(Lane::LookUp, &group, &subject);
                let turn = tokio::time::timeout(Duration::from_secs(2), wait);
                // What others have is no stray of ours: of nobody who was not listed yet anything is said.
                let permit: Option<Permit> = if context.all_are_known() { turn.await.ok() } else { None };
                strays = match permit {
                    // No further than it must: the job's id is not written yet.
                    Some(permit) => candidates(context, job, session, (permit, 1)).await.ok(),
                    None => None,
                };
                if let Some(strays) = &mut strays {
                    strays.jobs.retain(|stray| stray.job_id != accepted.job_id);
                }
            }
            SubmitAnswer::Accepted(Accepted {
                job: facts::job(&accepted.job),
                job_id: accepted.job_id,
                from_cache: accepted.from_cache,
                server_date: signals.date,
                strays,
            })
        }
    }
}

/// The answer in one word, for the metric.
fn outcome_word(said: &Said) -> &'static str {
    match said {
        Said::Accepted(accepted) if accepted.from_cache == Some(true) => "cached",
        Said::Accepted(_) => "accepted",
        Said::Refused(_) => "refused",
        Said::Unknown { .. } => "unknown",
    }
}

async fn not_begun(context: &Context, job: &CachedJob, (part, error): (Part, &WriteError)) -> Acted {
    tracing::info!(job = key(job), %error, "a submit was not begun; looking again");
    not_written(context, job, (part, error)).await
}

/// A random word that names one attempt.
pub(in crate::controller) fn nonce() -> String {
    // It only tells attempts apart: what fences the writes is the resourceVersion.
    format!("{:016x}{:08x}", fastrand::u64(..), fastrand::u32(..))
}
