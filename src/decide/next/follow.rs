//! Decides about a job that has an id: follow it, finish it, or say why it cannot be believed.

use crate::api::{Reason, State};
use crate::decide::facts::{AccountFacts, AccountUse, Named, Observed, RemoteState, since};
use crate::decide::meaning::end::{ended, owed};
use crate::decide::meaning::hold::still_held;
use crate::decide::meaning::remote::{
    believed, is_gone, next_read, reason_comes_in, seen_before, terminal_state,
};
use crate::decide::meaning::standing::standing;
use crate::decide::meaning::submission::Submission;
use crate::decide::message::{End, Hold, Message, Unread};
use crate::decide::plan::{Plan, Standing};
use crate::decide::record::{Intent, IntentFacts};

/// The next step of a job that is accepted, or mirrored.
pub(super) fn next(o: &Observed) -> Plan {
    if let Some(plan) = protect(o) {
        return plan;
    }
    if let Some(standing) = still_held(o) {
        return Plan::Rest(standing);
    }
    if let AccountFacts::Unusable { reason: Reason::NamespaceNotAllowed, message, fingerprint: _ } =
        &o.account
        && !seen_before(o)
    {
        // A mirrored job that was never looked at is not looked at for a namespace that may not use the account.
        return Plan::Rest(Standing::Waiting(Reason::NamespaceNotAllowed, Message::Said(message.clone())));
    }
    if let Some(why) = not_to_be_seen(o) {
        return Plan::Rest(Standing::Held(Reason::JobNotFound, why));
    }
    if let Some(state) = terminal_state(o) {
        return over(o, &state);
    }
    if believed(o) {
        if let Some((first, last)) = o.watched.missing {
            if !seen_before(o) && o.job.spec.job_id.is_some() {
                return Plan::Rest(Standing::Held(Reason::JobNotFound, job_not_found(o)));
            }
            if is_gone(since(first, last)) {
                let vanished = End::Vanished { mirrored: o.job.spec.job_id.is_some() };
                let end = Standing::Ended(State::Failed, Reason::RemoteJobVanished, vanished.into());
                return Plan::Rest(end);
            }
        }
        if o.owed_look().is_some() {
            return Plan::Look;
        }
    }
    Plan::Rest(standing(o, &o.recorded))
}

/// The next step of a job that the service says is over: what can be read at once is shown with its end, and nothing else
/// holds that up; but for a moment the words on a failure (R7).
fn over(o: &Observed, state: &RemoteState) -> Plan {
    let waits = *state != RemoteState::Failed || !reason_comes_in(o).is_zero();
    let first = o.memory.failed_reads == 0 || *state == RemoteState::Failed;
    let read = next_read(o, owed(state, &o.recorded)).filter(|_| waits && first);
    read.map_or_else(|| Plan::Rest(ended(o, state, &o.recorded, Unread::Yet)), Plan::Read)
}

/// A live job that deletion may have to cancel needs the finalizer; one of ours needs its intent, too, with the name of
/// its client once that is known.
fn protect(o: &Observed) -> Option<Plan> {
    let submission = Submission::of(&o.recorded);
    let running = seen_before(o) && terminal_state(o).is_none();
    let named = submission.record().is_some_and(|record| record.client_id.is_some());
    let unnamed = matches!(&o.intent, IntentFacts::Found(intent) if intent.client_id.is_none());
    if (o.job.protected && !(named && unnamed)) || !running {
        return None;
    }
    if o.job.spec.job_id.is_some() {
        return o.job.cancels_on_delete(submission.origin()).then_some(Plan::Protect(None));
    }
    let account = o.account.usable()?;
    let record = submission.record()?;
    let started = record.started_at.as_ref().map_or(o.now, |time| time.0);
    let nonce = record.nonce.clone().unwrap_or_default();
    let intent = Intent::new(&o.job, account, &nonce, started);
    let intent = intent.map(|intent| match &record.body_hash {
        Some(hash) => intent.of_body(hash),
        None => intent,
    });
    let intent = intent.map(|intent| Intent {
        client_id: record.client_id.clone().or(intent.client_id),
        job_id: o.recorded.job_id.clone(),
        ..intent
    });
    Some(Plan::Protect(intent.map(Box::new)))
}

/// Why a mirrored job that was never looked at is not looked at: the account is used by others, too. A job that they have
/// reads as one that nobody knows.
fn not_to_be_seen(o: &Observed) -> Option<Message> {
    let account = o.account.usable().filter(|_| o.job.spec.job_id.is_some() && !seen_before(o))?;
    match account.named {
        Named::Own | Named::Followed => None,
        Named::OfOthers => Some(job_not_found(o)),
        Named::NotAllowed => Some(Hold::MirrorNotAllowed(account.title()).into()),
    }
}

fn job_not_found(o: &Observed) -> Message {
    let id = o.job.spec.job_id.clone().unwrap_or_default();
    let odd_address = o.account.usable().is_some_and(AccountUse::has_odd_address);
    Hold::JobUnknown { id, odd_address }.into()
}
