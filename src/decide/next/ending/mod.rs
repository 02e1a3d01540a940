//! Ends a run before the service has ended it: because the object goes, because the spec asks for it, because its time
//! is over, or because another run is wanted. What has to be done at the service is the same for all four.
//!
//! Nothing is ever submitted here.

pub(super) mod cancel;
pub(super) mod delete;
pub(super) mod run;

use k8s_openapi::jiff::Timestamp;

use crate::api::{AccountKind, Origin, Reason, SubmissionRecord};
use crate::decide::facts::{AccountUse, Observed};
use crate::decide::meaning::end::origin;
use crate::decide::meaning::remote::{believed, freshness, terminal_state};
use crate::decide::meaning::submission::{
    Intended, intended, is_seen_for_long, is_settled, unknown_submission,
};
use crate::decide::message::{Cancel, Gone, IntentLost, Left, Lost, Note};
use crate::decide::plan::{Event, Freshness, LookUp, Plan, Standing};
use crate::decide::record::{Intent, knows_version};

/// What is left to do about a run that is to end.
enum Ending {
    /// Nothing at the service holds it any more; what people have to be told, if anything.
    Over(Option<Event>),
    /// This comes first.
    First(Plan),
}

/// On what terms it ends.
struct Terms {
    /// Why the job is left running, if it is.
    left: Option<Left>,
    /// Since when it is to end; absent where nothing bounds the wait for the service.
    begun: Option<Timestamp>,
}

/// The next step of a run that is to end.
fn next(o: &Observed, terms: &Terms) -> Ending {
    let late = terms.begun.is_some_and(|begun| o.end_waits(begun).is_zero());
    if o.recorded.current_state().is_terminal() {
        return Ending::Over(None);
    }
    let Some(job_id) = o.recorded.job_id.clone().or_else(|| o.job.spec.job_id.clone()) else {
        return without_id(o, terms, late);
    };
    // A crash may come before the status says so.
    if terminal_state(o).is_some() || (o.memory.cancelled && o.job.deleted_at.is_some()) {
        return Ending::Over(None);
    }
    if let Some(why) = terms.left.clone().or_else(|| o.memory.left.clone().map(Left::Said)) {
        let lost = o.job.spec.job_id.is_none() && origin(o).is_none();
        if lost && o.job.spec.deletion_policy.is_none() && o.memory.left.is_none() {
            return Ending::Over(Some(Event::orphaned(Note::Orphaned { job_id, why: Gone::RecordLost })));
        }
        let note = Note::LeftRunning { job_id, why }.into();
        return Ending::Over(Some(Event { warning: false, reason: Reason::LeftRunning, note }));
    }
    if late {
        let why = if o.memory.missing { Gone::NotKnown } else { Gone::NotCancelled };
        return Ending::Over(Some(Event::orphaned(Note::Orphaned { job_id, why })));
    }
    if !believed(o) {
        let why = match freshness(o) {
            Freshness::Stale(_, why) => why.to_string(),
            Freshness::Fresh | Freshness::Unchanged => String::new(),
        };
        return Ending::First(Plan::Rest(Standing::Cancelling(Cancel::NoAccount(why).into())));
    }
    Ending::First(if o.memory.cancel_sent { Plan::Confirm } else { Plan::Cancel })
}

/// A run without a job: nothing was sent, or nobody knows what came of it. Then the list is looked at once, when no
/// request can be under way any more.
fn without_id(o: &Observed, terms: &Terms, late: bool) -> Ending {
    let Some(record) = unknown_submission(o) else { return not_told_apart(o, late) };
    if let Some(listed) = listed(o) {
        return listed;
    }
    if o.account.usable().is_some_and(|account| !may_be_of(account, &record)) {
        // They may be put back, as long as the wait is bounded.
        return if late || terms.begun.is_none() {
            Ending::Over(Some(Event::orphaned(Note::SubmitLost(Lost::TenantChanged))))
        } else {
            Ending::First(Plan::Rest(Standing::Cancelling(Cancel::TenantChanged.into())))
        };
    }
    if late {
        return Ending::Over(Some(Event::orphaned(Note::SubmitLost(Lost::ListUnread))));
    }
    Ending::First(if is_settled(o, &record) {
        Plan::LookUp(LookUp::ToRelease)
    } else {
        Plan::Rest(Standing::Cancelling(Cancel::Settling.into()))
    })
}

/// What the list of jobs named, where it was read.
fn listed(o: &Observed) -> Option<Ending> {
    let (jobs, partly) = (o.memory.candidates.clone()?, o.memory.listed_partly);
    Some(Ending::Over(Some(Event::orphaned(Note::SubmitLost(Lost::Listed { jobs, partly })))))
}

/// Whether the account may be of the client that made a submit. What is known of an intent without a client only
/// proves nothing; but the list is looked at to name jobs, not to take or cancel one.
fn may_be_of(account: &AccountUse, record: &SubmissionRecord) -> bool {
    let of_nobody = record.client_id.is_none() && record.credential.is_none();
    account.proves(record) || (of_nobody && record.endpoint.as_deref() == Some(account.endpoint.as_str()))
}

/// A run of which only an intent knows, and nobody can tell whether that is of this account's client.
fn not_told_apart(o: &Observed, late: bool) -> Ending {
    let lost = |intent: &Intent, why: IntentLost| {
        Ending::Over(Some(Event::orphaned(Note::IntentLost { job_id: intent.job_id.clone(), why })))
    };
    let intent = match intended(o) {
        Intended::Unclear(intent) => intent,
        // It names nothing: what it tells of may be another namespace's.
        Intended::Unproven(intent) => return lost(intent, IntentLost::Unproven),
        Intended::Nothing | Intended::Ours(_) => return Ending::Over(None),
    };
    if let Some(listed) = listed(o) {
        return listed;
    }
    let never_told = intent.client_id.is_none() || !knows_version(&intent.body_hash);
    if intent.job_id.is_some() && never_told && o.account.usable().is_some() {
        return lost(intent, IntentLost::NotComparable);
    }
    if late {
        return lost(intent, IntentLost::NoAccount);
    }
    // The list names what it may have made, whoever it was.
    Ending::First(if intent.job_id.is_none() && o.account.usable().is_some() && is_seen_for_long(o) {
        Plan::LookUp(LookUp::ToRelease)
    } else {
        Plan::Rest(Standing::Cancelling(Cancel::IntentAlone(intent.job_id.clone()).into()))
    })
}

/// Why deletion or another run leaves the job running, if the spec has it so: as written, else only a job that this
/// object's submit made is cancelled. A cancel that has begun goes on.
fn left(o: &Observed) -> Option<Left> {
    if let Some(why) = of_others(o) {
        return Some(why);
    }
    let origin = origin(o);
    if o.recorded.cancel_reason.is_some() || o.job.cancels_on_delete(origin) {
        return None;
    }
    Some(if o.job.spec.deletion_policy.is_some() { Left::Policy } else { Left::NotOurs })
}

/// Why a job that this object did not submit is left running whatever the spec says: with an account of the cluster it
/// may be another namespace's.
fn of_others(o: &Observed) -> Option<Left> {
    let used = o.account.usable().map(|account| account.kind);
    let recorded = o.recorded.account.as_ref().map(|account| account.kind);
    let shared = [used, recorded].contains(&Some(AccountKind::ClusterScrapeAccount));
    let ours = matches!(origin(o), Some(Origin::Submitted | Origin::Adopted));
    let has_job = o.recorded.job_id.is_some() || o.job.spec.job_id.is_some();
    (shared && has_job && !ours).then_some(Left::OfOthers)
}
