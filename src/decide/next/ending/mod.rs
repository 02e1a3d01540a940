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
use crate::decide::meaning::end::{origin, orphaned};
use crate::decide::meaning::remote::{believed, terminal_state};
use crate::decide::meaning::submission::{
    Intended, intended, is_seen_for_long, is_settled, unknown_submission,
};
use crate::decide::plan::{Event, LookUp, Plan, Standing};
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
    left: Option<String>,
    /// Since when it is to end; absent where nothing bounds the wait for the service.
    begun: Option<Timestamp>,
}

/// The next step of a run that is to end.
fn next(o: &Observed, terms: &Terms) -> Ending {
    let late = terms.begun.is_some_and(|begun| o.end_waits(begun).is_zero());
    if o.recorded.current_state().is_terminal() {
        return Ending::Over(None);
    }
    let Some(job_id) = o.recorded.job_id.as_deref().or(o.job.spec.job_id.as_deref()) else {
        return without_id(o, terms, late);
    };
    // A crash may come before the status says so.
    if terminal_state(o).is_some() || (o.memory.cancelled && o.job.deleted_at.is_some()) {
        return Ending::Over(None);
    }
    if let Some(why) = terms.left.as_ref().or(o.memory.left.as_ref()) {
        let lost = o.job.spec.job_id.is_none() && origin(o).is_none();
        if lost && o.job.spec.deletion_policy.is_none() && o.memory.left.is_none() {
            return Ending::Over(Some(orphaned(&format!(
                "job {job_id} may still be running: the record of whose submit it was is lost; cancel it at the service if it is not wanted"
            ))));
        }
        let note = format!("job {job_id} is left running: {why}");
        return Ending::Over(Some(Event { warning: false, reason: Reason::LeftRunning, note }));
    }
    if late {
        let told = if o.memory.missing {
            "is not known to the service, which may not have it yet, and could not be cancelled"
        } else {
            "could not be cancelled"
        };
        return Ending::Over(Some(orphaned(&format!(
            "job {job_id} {told} within spec.cancelTimeoutSeconds and may still be running; cancel it at the service if it is not wanted"
        ))));
    }
    if !believed(o) {
        return Ending::First(Plan::Rest(Standing::Cancelling(
            "the account cannot be used to cancel the job; trying until it can".to_owned(),
        )));
    }
    Ending::First(if o.memory.cancel_sent { Plan::Confirm } else { Plan::Cancel })
}

/// A run without a job: nothing was sent, or nobody knows what came of it. Then the list is looked at once, when no
/// request can be under way any more.
fn without_id(o: &Observed, terms: &Terms, late: bool) -> Ending {
    let Some(record) = unknown_submission(o) else { return not_told_apart(o, late) };
    if let Some(candidates) = &o.memory.candidates {
        return Ending::Over(Some(orphaned(&unsettled(candidates, o.memory.listed_partly))));
    }
    if o.account.usable().is_some_and(|account| !may_be_of(account, &record)) {
        let told = "the outcome of its submit is not known, and the account's credentials are not of the client that made it";
        // They may be put back, as long as the wait is bounded.
        return if late || terms.begun.is_none() {
            Ending::Over(Some(orphaned(&format!("{told}; look for it at the service"))))
        } else {
            Ending::First(Plan::Rest(Standing::Cancelling(format!("{told}; waiting for those that are"))))
        };
    }
    if late {
        return Ending::Over(Some(orphaned(
            "the outcome of its submit is not known, and the list of jobs could not be read in time; look for it at the service",
        )));
    }
    Ending::First(if is_settled(o, &record) {
        Plan::LookUp(LookUp::ToRelease)
    } else {
        Plan::Rest(Standing::Cancelling(
            "the outcome of a submit is not known; waiting until no request can still be under way"
                .to_owned(),
        ))
    })
}

/// Whether the account may be of the client that made a submit. What is known of an intent without a client only
/// proves nothing; but the list is looked at to name jobs, not to take or cancel one.
fn may_be_of(account: &AccountUse, record: &SubmissionRecord) -> bool {
    let of_nobody = record.client_id.is_none() && record.credential.is_none();
    account.proves(record) || (of_nobody && record.endpoint.as_deref() == Some(account.endpoint.as_str()))
}

/// A run of which only an intent knows, and nobody can tell whether that is of this account's client.
fn not_told_apart(o: &Observed, late: bool) -> Ending {
    let intent = match intended(o) {
        Intended::Unclear(intent) => intent,
        // It names nothing: what it tells of may be another namespace's.
        Intended::Unproven(intent) => {
            let told = told_of(intent);
            return Ending::Over(Some(orphaned(&format!(
                "{told}, which is no proof with a ClusterScrapeAccount; look for it at the service"
            ))));
        }
        Intended::Nothing | Intended::Ours(_) => return Ending::Over(None),
    };
    if let Some(candidates) = &o.memory.candidates {
        return Ending::Over(Some(orphaned(&unsettled(candidates, o.memory.listed_partly))));
    }
    let told = told_of(intent);
    let never_told = intent.client_id.is_none() || !knows_version(&intent.body_hash);
    if intent.job_id.is_some() && never_told && o.account.usable().is_some() {
        return Ending::Over(Some(orphaned(&format!(
            "{told}, and nobody can tell whether that is of this account's client and this payload; look for it at the service"
        ))));
    }
    if late {
        return Ending::Over(Some(orphaned(&format!(
            "{told}, and the account could not be used in time to end it; look for it at the service"
        ))));
    }
    // The list names what it may have made, whoever it was.
    Ending::First(if intent.job_id.is_none() && o.account.usable().is_some() && is_seen_for_long(o) {
        Plan::LookUp(LookUp::ToRelease)
    } else {
        Plan::Rest(Standing::Cancelling(format!("{told}; waiting until its account can be used")))
    })
}

/// What an intent tells of the submit that it speaks of.
fn told_of(intent: &Intent) -> String {
    match &intent.job_id {
        Some(job_id) => format!("the annotation spideriq.ai/submission names job {job_id}"),
        None => "the annotation spideriq.ai/submission names a submit whose outcome is not known".to_owned(),
    }
}

/// Why deletion or another run leaves the job running, if the spec has it so: as written, else only a job that this
/// object's submit made is cancelled. A cancel that has begun goes on.
fn left(o: &Observed) -> Option<String> {
    if let Some(why) = of_others(o) {
        return Some(why);
    }
    let origin = origin(o);
    if o.recorded.cancel_reason.is_some() || o.job.cancels_on_delete(origin) {
        return None;
    }
    let why = if o.job.spec.deletion_policy.is_some() {
        "spec.deletionPolicy says so"
    } else {
        "this object did not submit it"
    };
    Some(why.to_owned())
}

/// Why a job that this object did not submit is left running whatever the spec says: with an account of the cluster it
/// may be another namespace's.
fn of_others(o: &Observed) -> Option<String> {
    let used = o.account.usable().map(|account| account.kind);
    let recorded = o.recorded.account.as_ref().map(|account| account.kind);
    let shared = [used, recorded].contains(&Some(AccountKind::ClusterScrapeAccount));
    let ours = matches!(origin(o), Some(Origin::Submitted | Origin::Adopted));
    let has_job = o.recorded.job_id.is_some() || o.job.spec.job_id.is_some();
    (shared && has_job && !ours).then(|| {
        "this object did not submit it, and with a ClusterScrapeAccount it may be another namespace's"
            .to_owned()
    })
}

/// How many jobs an event names: more would be cut off.
const NAMED: usize = 20;

/// What to tell about a submit whose outcome is not known when its run ends.
fn unsettled(candidates: &[String], partly: bool) -> String {
    let more = if partly {
        "; the list is longer than was read, look for it at the service"
    } else if candidates.len() > NAMED {
        "; there are more than are named, look for it at the service"
    } else {
        ""
    };
    if candidates.is_empty() && partly {
        return format!("the outcome of its submit is not known{more}");
    }
    if candidates.is_empty() {
        return "the outcome of its submit is not known; the list of jobs names none that it could have made"
            .to_owned();
    }
    format!(
        "the outcome of its submit is not known; it may have made one of these jobs, which may still be running: {}{more}",
        candidates.get(..NAMED).unwrap_or(candidates).join(", ")
    )
}
