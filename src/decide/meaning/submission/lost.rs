//! What a status says of a submit of which it has lost the record: an older CRD drops what it does not know, and any write
//! makes that final (`docs/adr/0012`). What was sent once is never taken for never sent.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::record::Submission;
use crate::api::{Reason, ScrapeJobSpec, ScrapeJobStatus, State, SubmissionRecord};
use crate::decide::record::{Intent, IntentFacts};

/// Stands for the nonce of a submit whose nonce nobody knows any more.
const LOST: &str = "lost";

/// The status with the outcome of its submit unknown, where it speaks of one and has lost its record; what the intent of
/// the very object still tells is taken from there.
pub fn restored(
    mut status: ScrapeJobStatus,
    intent: &IntentFacts,
    (uid, spec): (&str, &ScrapeJobSpec),
) -> ScrapeJobStatus {
    let intent = match intent {
        IntentFacts::Found(intent) if intent.uid == uid => Some(intent.as_ref()),
        IntentFacts::Found(_) | IntentFacts::None | IntentFacts::Unreadable => None,
    };
    // What came of it is adopted; and what the spec names was not submitted.
    let told = intent.is_some_and(|intent| intent.job_id.is_some() && intent.run == status.run());
    if told || spec.job_id.is_some() {
        return status;
    }
    if status.job_id.is_none() && speaks_of_submit(&status, intent) {
        let record = status.submission.get_or_insert_default();
        if record.nonce.is_none() {
            if let Some(intent) = intent {
                *record = with(std::mem::take(record), intent);
            }
            record.nonce.get_or_insert_with(|| LOST.to_owned());
        }
    }
    // An intent is written when its run has begun, and replaced with the next submit.
    let sent = status.submission.as_ref().is_some_and(|record| record.nonce.is_some());
    if sent && status.run_id.is_none() && intent.is_some_and(|intent| intent.run == spec.run()) {
        status.run_id.clone_from(&spec.run_id);
    }
    status
}

/// Whether a status without a job tells that a submit was sent, whether it has a record of it or not.
pub fn was_sent(status: &ScrapeJobStatus) -> bool {
    let recorded = matches!(Submission::of(status), Submission::Attempted(_));
    status.job_id.is_none() && (recorded || speaks_of_submit(status, None))
}

/// Whether a submit was sent, by the state alone. Beside an intent of this object a state that is gone counts, and so does
/// a hold, but for those that follow a submit which certainly made nothing: each of them leaves an intent.
fn speaks_of_submit(status: &ScrapeJobStatus, intent: Option<&Intent>) -> bool {
    let Some(state) = status.state.as_deref().and_then(State::parse) else { return intent.is_some() };
    match state {
        State::Submitting | State::Queued | State::Processing | State::Cancelling => true,
        State::Held => intent.is_some() && !made_nothing(status),
        State::Pending | State::Suspended | State::Completed | State::Failed | State::Cancelled => false,
    }
}

/// Whether the reason of a hold says that the service made no job.
fn made_nothing(status: &ScrapeJobStatus) -> bool {
    matches!(
        status.reason.as_deref().and_then(Reason::parse),
        Some(
            Reason::Refused
                | Reason::NotServed
                | Reason::SpendCapReached
                | Reason::InvalidPayload
                | Reason::RunIDReused
        )
    )
}

/// The record with what an intent tells in its gaps.
fn with(record: SubmissionRecord, intent: &Intent) -> SubmissionRecord {
    SubmissionRecord {
        body_hash: record.body_hash.or_else(|| Some(intent.body_hash.clone())),
        nonce: Some(intent.nonce.clone()),
        attempt: record.attempt.or(Some(1)),
        started_at: record.started_at.or(Some(Time(intent.time))),
        endpoint: record.endpoint.or_else(|| Some(intent.endpoint.clone())),
        client_id: record.client_id.or_else(|| intent.client_id.clone()),
        ..record
    }
}

#[cfg(test)]
mod tests {
    use super::{Intent, IntentFacts, ScrapeJobStatus, restored, was_sent};
    use crate::api::{ScrapeJobSpec, SubmissionRecord};

    fn intent(uid: &str, run: &str) -> IntentFacts {
        let text = format!(
            r#"{{"v":1,"object":"a/b","uid":"{uid}","type":"spiderMail","run":"{run}","bodyHash":"v1:h","nonce":"n","time":"2026-01-01T00:00:00Z","account":"default","endpoint":"https://e"}}"#
        );
        Intent::read(Some(&text))
    }

    fn status(state: Option<&str>, reason: &str) -> ScrapeJobStatus {
        ScrapeJobStatus {
            observed_generation: Some(1),
            state: state.map(str::to_owned),
            reason: Some(reason.to_owned()),
            ..ScrapeJobStatus::default()
        }
    }

    fn spec(run: &str) -> ScrapeJobSpec {
        ScrapeJobSpec {
            run_id: Some(run.to_owned()).filter(|run| !run.is_empty()),
            ..ScrapeJobSpec::default()
        }
    }

    fn nonce(status: ScrapeJobStatus, intent: &IntentFacts) -> Option<String> {
        restored(status, intent, ("u", &spec(""))).submission?.nonce
    }

    #[test]
    fn a_lost_record_is_an_unknown_outcome_where_the_state_or_an_intent_speaks_of_a_submit() {
        let ours = intent("u", "");
        // State, reason, and what is made of it: with our own intent, and with none.
        let rows = [
            (Some("Submitting"), "Submitting", Some("n"), Some("lost")),
            (Some("Queued"), "Queued", Some("n"), Some("lost")),
            (Some("Processing"), "Processing", Some("n"), Some("lost")),
            (Some("Cancelling"), "Cancelling", Some("n"), Some("lost")),
            (None, "Queued", Some("n"), None),
            (Some("Held"), "SubmissionAmbiguous", Some("n"), None),
            (Some("Held"), "TenantChanged", Some("n"), None),
            (Some("Held"), "Refused", None, None),
            (Some("Held"), "SpendCapReached", None, None),
            (Some("Held"), "InvalidPayload", None, None),
            (Some("Held"), "RunIDReused", None, None),
            (Some("Pending"), "WaitingForBudget", None, None),
            (Some("Suspended"), "Suspended", None, None),
            (Some("Completed"), "Completed", None, None),
        ];
        for (state, reason, with, without) in rows {
            let status = || status(state, reason);
            assert_eq!(nonce(status(), &ours).as_deref(), with, "{state:?} {reason}");
            assert_eq!(nonce(status(), &IntentFacts::None).as_deref(), without, "{state:?} {reason}");
            // Another object's intent says nothing of this one.
            assert_eq!(nonce(status(), &intent("other", "")).as_deref(), without, "{state:?} {reason}");
        }
    }

    #[test]
    fn what_is_recorded_is_not_overwritten_and_gaps_are_filled() {
        let record = SubmissionRecord { attempt: Some(3), ..SubmissionRecord::default() };
        let lost =
            ScrapeJobStatus { submission: Some(record.clone()), ..status(Some("Submitting"), "Submitting") };
        let found = restored(lost, &intent("u", "r1"), ("u", &spec("r1")));
        let filled = found.submission.clone().unwrap();
        assert_eq!((filled.attempt, filled.body_hash.as_deref()), (Some(3), Some("v1:h")));
        assert_eq!(found.run_id.as_deref(), Some("r1"));
        let whole = ScrapeJobStatus {
            submission: Some(SubmissionRecord { nonce: Some("later".to_owned()), ..record }),
            run_id: Some("r2".to_owned()),
            ..status(Some("Submitting"), "Submitting")
        };
        assert_eq!(restored(whole.clone(), &intent("u", "r1"), ("u", &spec("r3"))), whole);
        let accepted = ScrapeJobStatus { job_id: Some("j".to_owned()), ..status(Some("Queued"), "Queued") };
        assert_eq!(restored(accepted.clone(), &intent("u", ""), ("u", &spec(""))), accepted);
        assert!(was_sent(&whole) && !was_sent(&accepted) && was_sent(&status(Some("Queued"), "Queued")));
        assert!(!was_sent(&status(Some("Pending"), "WaitingForBudget")));
    }
}
