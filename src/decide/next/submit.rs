//! Decides about a job that is not accepted yet: submit, wait, hold, or settle an unknown outcome.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::{OnAmbiguous, PAYLOAD_MAX, Reason, State, SubmissionRecord};
use crate::decide::facts::{AccountUse, Observed};
use crate::decide::meaning::hold::still_held;
use crate::decide::meaning::runs::{reused, was_used};
use crate::decide::meaning::sendable::sendable;
use crate::decide::meaning::submission::{Intended, intended, is_settled, repeatable, unknown_submission};
use crate::decide::message::{End, Hold, Message, Unknown, Unsettled, Wait};
use crate::decide::plan::{Attempt, LookUp, Plan, Standing};
use crate::decide::record::{Intent, IntentFacts, Recorded, knows_version};

/// The most bytes that Kubernetes lets all annotations of an object have.
const ANNOTATIONS_MAX: usize = 256 * 1024;
/// The most bytes of it that an intent takes, with every name in it at its longest.
const LONGEST_INTENT: usize = 2048;
/// How often a success without a usable id is repeated.
const UNUSABLE_ANSWERS: u32 = 3;
/// The longest wait between two repeats.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The next step of a job that is submitted by us and not accepted.
pub(super) fn next(o: &Observed) -> Plan {
    if let Some(record) = unknown_submission(o) {
        return settle_unknown(o, &record);
    }
    if o.intent == IntentFacts::Unreadable {
        return held(Reason::SubmissionAmbiguous, Hold::IntentUnreadable);
    }
    if let Some(why) = &o.job.unfit {
        return invalid(End::Unfit(why.clone()));
    }
    let Some(body) = &o.job.body else {
        return held(Reason::InvalidPayload, Hold::NoPayload);
    };
    if body.payload_bytes() > PAYLOAD_MAX {
        return invalid(End::PayloadTooLarge(body.payload_bytes()));
    }
    if o.job.marks.annotation_bytes.saturating_add(LONGEST_INTENT) > ANNOTATIONS_MAX {
        return invalid(End::AnnotationsTooLarge(o.job.marks.annotation_bytes, ANNOTATIONS_MAX));
    }
    if let Some(standing) = still_held(o) {
        return Plan::Rest(standing);
    }
    if was_used(&o.recorded, o.job.spec.run()) {
        return Plan::Rest(reused(o.job.spec.run()));
    }
    if o.job.spec.suspended() {
        return Plan::Rest(Standing::Suspended);
    }
    match sendable(&o.account) {
        Err(standing) => Plan::Rest(standing),
        Ok(account) => match intended(o) {
            // What is ours has been adopted, or is settled, by now.
            Intended::Ours(intent) | Intended::Unclear(intent) => unclear(account, intent),
            Intended::Unproven(_) => held(Reason::SubmissionAmbiguous, Hold::IntentUnproven),
            Intended::Nothing => first_attempt(o, account),
        },
    }
}

/// An intent speaks of this very submit, and may be of another client. A client that the service has still to name is
/// waited for; one that was not known then never will be.
fn unclear(account: &AccountUse, intent: &Intent) -> Plan {
    if !knows_version(&intent.body_hash) {
        return held(Reason::SubmissionAmbiguous, Hold::IntentOfAnotherRelease);
    }
    match &intent.client_id {
        Some(client) => {
            let wait = Wait::ClientUnknown { client: client.clone(), account: account.title() };
            Plan::Rest(Standing::Waiting(Reason::AccountNotReady, wait.into()))
        }
        None => held(Reason::SubmissionAmbiguous, Hold::IntentOfNobody(account.title())),
    }
}

fn first_attempt(o: &Observed, account: &AccountUse) -> Plan {
    let hash = o.job.body.as_ref().map(|body| body.hash.clone()).unwrap_or_default();
    attempt(o, account, hash, &SubmissionRecord::default(), None)
}

/// The next attempt after `before`: one more try, a fresh nonce, everything else as it was.
fn attempt(
    o: &Observed,
    account: &AccountUse,
    body_hash: String,
    before: &SubmissionRecord,
    resubmitted: Option<bool>,
) -> Plan {
    let started_at = before.started_at.as_ref().map_or(o.now, |time| time.0);
    let (Some(intent), Some(type_), Some(body)) =
        (Intent::new(&o.job, account, &o.nonce, started_at), o.job.spec.type_.clone(), &o.job.body)
    else {
        return held(Reason::InvalidPayload, Hold::NoPayload);
    };
    let intent = intent.of_body(&body_hash);
    let record = SubmissionRecord {
        origin: None,
        body_hash: Some(body_hash),
        payload_hash: Some(body.payload_hash.clone()),
        nonce: Some(o.nonce.clone()),
        // What was sent was tried at least once.
        attempt: Some(before.attempt.unwrap_or(i32::from(before.nonce.is_some())).saturating_add(1)),
        started_at: Some(Time(started_at)),
        // A status keeps whole seconds: else what is read back would differ.
        tried_at: Timestamp::from_second(o.now.as_second()).ok().map(Time),
        endpoint: Some(account.endpoint.clone()),
        client_id: account.client_id.clone(),
        credential: Some(account.credential.clone()),
        resubmitted,
    };
    let unsent = before.nonce.is_none();
    Plan::Submit(Box::new(Attempt {
        intent,
        record,
        before: (!unsent).then(|| Box::new(before.clone())),
        type_,
        capped: account.spend_cap,
        asked: o.owed_look().is_some(),
    }))
}

/// The outcome of a submit is not known: look it up by repeating where the service de-duplicates, else hold.
fn settle_unknown(o: &Observed, record: &SubmissionRecord) -> Plan {
    if let Some(standing) = still_held(o) {
        return Plan::Rest(standing);
    }
    if !is_settled(o, record) {
        return waiting(o, Unknown::Settling);
    }
    match o.job.spec.on_ambiguous() {
        OnAmbiguous::Hold => Plan::LookUp(LookUp::ToHold),
        OnAmbiguous::Adopt => with_account(o, record, |_| Plan::LookUp(LookUp::ToAdopt)),
        OnAmbiguous::Auto if !repeatable(o, record) => Plan::LookUp(LookUp::ToHold),
        OnAmbiguous::Resubmit if !repeatable(o, record) && record.resubmitted == Some(true) => {
            Plan::LookUp(LookUp::ToHold)
        }
        OnAmbiguous::Auto | OnAmbiguous::Resubmit => repeat(o, record),
    }
}

/// Sends the recorded body again, in the bytes that went out, if it is still the recorded body, client and endpoint.
fn repeat(o: &Observed, record: &SubmissionRecord) -> Plan {
    let hash = record.body_hash.as_deref().unwrap_or_default();
    if !knows_version(hash) {
        return held(Reason::SubmissionAmbiguous, Unsettled::RepeatOfAnotherRelease);
    }
    if o.job.unfit.is_some() {
        return Plan::LookUp(LookUp::ToHold);
    }
    if o.job.body.as_ref().map(|body| body.recorded(hash)) != Some(Recorded::Same) {
        return held(Reason::PayloadChangedWithoutRunID, Unsettled::PayloadChanged);
    }
    if o.memory.unusable_answers >= UNUSABLE_ANSWERS {
        return Plan::LookUp(LookUp::ToHold);
    }
    with_account(o, record, |account| {
        if pauses_before_repeat(o, record) {
            return waiting(o, Unknown::Paused);
        }
        let resubmits = (!repeatable(o, record)).then_some(true);
        attempt(o, account, hash.to_owned(), record, resubmits.or(record.resubmitted))
    })
}

/// Runs `then` with an account that is proven to be of the recorded client and may submit now.
fn with_account(o: &Observed, record: &SubmissionRecord, then: impl FnOnce(&AccountUse) -> Plan) -> Plan {
    if o.job.spec.suspended() {
        return unknown(Unknown::Suspended);
    }
    match sendable(&o.account) {
        Err(Standing::Held(_, message) | Standing::Waiting(_, message) | Standing::Rejected(_, message)) => {
            unknown(Unknown::blocked(&message))
        }
        Err(_) => unknown(Unknown::Settling),
        Ok(account) if account.proves(record) => then(account),
        Ok(account) => held(Reason::TenantChanged, Unsettled::TenantChanged(account.title())),
    }
}

/// Delays between repeats grow: 5 s, 10 s, 20 s, … from the end of the last one.
fn pauses_before_repeat(o: &Observed, record: &SubmissionRecord) -> bool {
    let Some(last) = o.memory.attempted_at.filter(|_| o.owed_look().is_none()) else { return false };
    let doublings = record.attempt.unwrap_or(1).clamp(1, 12).unsigned_abs() - 1;
    let wait = Duration::from_secs(5 << doublings).min(LONGEST_WAIT);
    o.steady < last + wait
}

fn held(reason: Reason, why: impl Into<Message>) -> Plan {
    Plan::Rest(Standing::Held(reason, why.into()))
}

/// What the run ends with that can never be submitted.
fn invalid(end: End) -> Plan {
    Plan::Rest(Standing::Ended(State::Failed, Reason::InvalidPayload, end.into()))
}

/// An unknown outcome that nothing is done about yet: what was told of it stays, so that a wait writes nothing.
fn waiting(o: &Observed, why: Unknown) -> Plan {
    let ambiguous = o.recorded.reason.as_deref() == Some(Reason::SubmissionAmbiguous.as_str());
    let told = o.recorded.message.clone().filter(|_| ambiguous);
    unknown(told.map_or_else(|| why.into(), Message::Said))
}

fn unknown(why: impl Into<Message>) -> Plan {
    Plan::Rest(Standing::Unknown(why.into()))
}
