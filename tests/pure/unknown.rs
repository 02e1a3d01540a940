//! What is done about a submit whose outcome is not known, and what each answer makes of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::time::Duration;

use jiff::SignedDuration;
use spideriq_operator::api::{Credential, OnAmbiguous, Submission};
use spideriq_operator::decide::{
    IntentFacts, Message, Observed, Outcome, Plan, Refusal, Standing, SubmitAnswer, SubmitOutcome, Trouble,
    next, settle,
};

use super::situation::{accepted, ago, attempted, fresh, rest, shown, site, word, writes};
use super::table::{Change, barred, check, found, with_account, without_account};

fn on_ambiguous(o: &mut Observed, choice: OnAmbiguous) {
    o.job.spec.submission = Some(Submission { on_ambiguous: Some(choice), on_cache_hit: None });
}

/// The first attempt was so many seconds ago, and the wall clock was put on by so many hours since.
fn jumped(o: &mut Observed, seconds_ago: i64, hours: i64) {
    let recorded = o.recorded.submission.as_ref().and_then(|record| record.started_at.as_ref()).unwrap().0;
    o.memory.begun = Some((recorded, o.steady - SignedDuration::from_secs(seconds_ago)));
    o.now += SignedDuration::from_hours(hours);
}

#[test]
fn what_is_found_after_a_crash_decides() {
    check(
        &fresh(site()),
        &[
            ("intent with our uid, no nonce: never sent", |o| found(o, |_| {}), "submit 1"),
            ("a job id for this intent", |o| found(o, |i| i.job_id = Some("job-1".into())), "adopt job-1"),
            (
                "the same under another uid",
                |o| {
                    found(o, |i| {
                        i.job_id = Some("job-1".into());
                        i.uid = "old".into();
                    })
                },
                "adopt job-1",
            ),
            (
                "another uid, no job id: a restored backup",
                |o| {
                    found(o, |i| i.uid = "old".into());
                    o.memory.nonce_seen_for = Duration::from_secs(19);
                },
                "submit 2",
            ),
            ("the same, just seen", |o| found(o, |i| i.uid = "old".into()), "rest Unknown"),
            (
                "copied to another name",
                |o| {
                    found(o, |i| {
                        i.object = "team-a/other".into();
                        i.uid = "old".into();
                        i.job_id = Some("job-1".into());
                    })
                },
                "submit 1",
            ),
            (
                "another payload",
                |o| {
                    found(o, |i| {
                        i.body_hash = "v1:0".into();
                        i.job_id = Some("job-1".into());
                    })
                },
                "submit 1",
            ),
            (
                "another client",
                |o| {
                    found(o, |i| {
                        i.client_id = Some("cli_b".into());
                        i.job_id = Some("job-1".into());
                    })
                },
                "submit 1",
            ),
            (
                "a nonce and no job id, just seen",
                |o| o.recorded.submission = Some(attempted(o, 60)),
                "rest Unknown",
            ),
            (
                "seen for 18 s",
                |o| {
                    o.recorded.submission = Some(attempted(o, 60));
                    o.memory.nonce_seen_for = Duration::from_secs(18);
                },
                "submit 2",
            ),
            (
                "ended by this process itself",
                |o| {
                    o.recorded.submission = Some(attempted(o, 60));
                    o.memory.ended_here = true;
                },
                "submit 2",
            ),
            (
                "whatever the annotation says",
                |o| {
                    o.recorded.submission = Some(attempted(o, 60));
                    found(o, |i| i.job_id = Some("x".into()));
                    o.memory.ended_here = true;
                },
                "submit 2",
            ),
            (
                "suspended meanwhile",
                |o| {
                    o.recorded.submission = Some(attempted(o, 60));
                    o.memory.ended_here = true;
                    o.job.spec.suspend = Some(true);
                },
                "rest Unknown",
            ),
            ("a job id", |o| *o = accepted("queued"), "rest Queued"),
        ],
    );
}

#[test]
fn an_unknown_outcome_is_left_to_a_person_where_its_client_is_not_proven() {
    let mut base = fresh(site());
    base.recorded.submission = Some(attempted(&base, 60));
    base.memory.ended_here = true;
    check(
        &base,
        &[
            (
                "another client",
                |o| with_account(o, |a| a.client_id = Some("cli_b".into())),
                "rest TenantChanged",
            ),
            (
                "another endpoint",
                |o| with_account(o, |a| a.endpoint = "https://other.example".into()),
                "rest TenantChanged",
            ),
            (
                "an unnamed client with another Secret",
                |o| {
                    o.recorded.submission.as_mut().unwrap().client_id = None;
                    with_account(o, |a| {
                        a.client_id = None;
                        a.credential = Credential { uid: "s".into(), resource_version: "8".into() };
                    });
                },
                "rest TenantChanged",
            ),
            (
                "an unnamed client with the same Secret",
                |o| {
                    o.recorded.submission.as_mut().unwrap().client_id = None;
                    with_account(o, |a| a.client_id = None);
                },
                "submit 2",
            ),
        ],
    );
}

#[test]
fn an_unknown_outcome_is_looked_up_held_or_left_to_a_person() {
    let mut base = fresh(site());
    base.recorded.submission = Some(attempted(&base, 60));
    base.memory.ended_here = true;
    let other_type: Change = |o| o.job.spec.type_ = Some("spiderPR".into());
    check(
        &base,
        &[
            ("a type that de-duplicates", |_| {}, "submit 2"),
            ("one that does not", other_type, "look up ToHold"),
            (
                "after 20 hours",
                |o| o.recorded.submission = Some(attempted(o, 20 * 3600 + 1)),
                "look up ToHold",
            ),
            ("from the future", |o| o.recorded.submission = Some(attempted(o, -301)), "look up ToHold"),
            (
                "a clock that is a little ahead",
                |o| o.recorded.submission = Some(attempted(o, -299)),
                "submit 2",
            ),
            (
                "begun a minute ago, by a clock that was put a day ahead since",
                |o| jumped(o, 60, 25),
                "submit 2",
            ),
            ("begun a minute ago, by a clock that was put back since", |o| jumped(o, 60, -1), "submit 2"),
            (
                "begun a day ago, by a clock that was put back since",
                |o| jumped(o, 86_400, 0),
                "look up ToHold",
            ),
            ("too soon after the last one", |o| o.memory.attempted_at = Some(ago(4)), "rest Unknown"),
            (
                "another payload",
                |o| o.recorded.submission.as_mut().unwrap().body_hash = Some("v1:0".into()),
                "rest PayloadChangedWithoutRunID",
            ),
            (
                "a hash of another release",
                |o| o.recorded.submission.as_mut().unwrap().body_hash = Some("v9:0".into()),
                "rest SubmissionAmbiguous",
            ),
            ("namespace not admitted any more", barred, "rest Unknown"),
            ("no account", without_account, "rest Unknown"),
            ("account suspended", |o| with_account(o, |a| a.suspended = true), "rest Unknown"),
            ("three answers without an id", |o| o.memory.unusable_answers = 3, "look up ToHold"),
            ("hold", |o| on_ambiguous(o, OnAmbiguous::Hold), "look up ToHold"),
            ("adopt", |o| on_ambiguous(o, OnAmbiguous::Adopt), "look up ToAdopt"),
            (
                "resubmit of any type",
                |o| {
                    on_ambiguous(o, OnAmbiguous::Resubmit);
                    o.job.spec.type_ = Some("spiderPR".into());
                },
                "submit 2",
            ),
            (
                "resubmit, used up",
                |o| {
                    on_ambiguous(o, OnAmbiguous::Resubmit);
                    o.job.spec.type_ = Some("spiderPR".into());
                    o.recorded.submission.as_mut().unwrap().resubmitted = Some(true);
                },
                "look up ToHold",
            ),
            (
                "resubmit, but its record was all that went out",
                |o| {
                    on_ambiguous(o, OnAmbiguous::Resubmit);
                    o.job.spec.type_ = Some("spiderPR".into());
                    let record = o.recorded.submission.as_mut().unwrap();
                    (record.resubmitted, record.attempt) = (Some(true), Some(2));
                    o.memory.unsent = true;
                },
                "submit 3",
            ),
        ],
    );
}

#[test]
fn what_a_refusal_means_depends_on_whether_it_is_the_first_answer() {
    let refusals = || {
        [
            (Refusal::Payload("x".into()), "Failed InvalidPayload"),
            (Refusal::Pointless("x".into()), "Held Refused"),
            (Refusal::NotServed { since: ago(599), words: "x".into() }, "Pending ServiceUnavailable"),
            (Refusal::NotServed { since: ago(600), words: "x".into() }, "Held NotServed"),
            (Refusal::Trouble(Trouble::Throttled(None, "x".into())), "Pending RateLimited"),
            (Refusal::Trouble(Trouble::SpendCap("x".into())), "Held SpendCapReached"),
            (Refusal::Trouble(Trouble::Rejected("x".into())), "Pending CredentialsRejected"),
            (Refusal::Trouble(Trouble::Unavailable("x".into())), "Pending ServiceUnavailable"),
        ]
    };
    let after = |number: i32, refusal: Refusal| {
        let mut o = fresh(site());
        let mut record = attempted(&o, 60);
        record.attempt = Some(number);
        record.tried_at = Some(Time(ago(60)));
        if number > 1 {
            o.recorded.submission = Some(record.clone());
            o.memory.ended_here = true;
        }
        let plan = next(&o);
        let (answer, tried) = (SubmitAnswer::Refused(refusal), record.tried_at.clone());
        let verdict = settle(&o, &plan, &Outcome::Submit(Box::new(SubmitOutcome { record, answer })));
        let nonce = verdict.record.submission.as_ref().is_some_and(|record| record.nonce.is_some());
        // It counts against the limit of submits, for the next process as well.
        assert_eq!(verdict.record.tried_at, tried);
        (shown(verdict.standing.clone().unwrap(), &o), nonce)
    };
    for (refusal, first) in refusals() {
        let (status, nonce) = after(1, refusal.clone());
        assert_eq!(format!("{} {}", status.state.unwrap(), status.reason.unwrap()), first);
        assert!(!nonce, "a refused first attempt leaves no trace: {refusal:?}");
        // A refused repeat says nothing about the attempts before it.
        let (status, nonce) = after(2, refusal.clone());
        assert_eq!(status.reason.as_deref(), Some("SubmissionAmbiguous"), "{refusal:?}");
        let held = matches!(refusal, Refusal::Payload(_) | Refusal::Pointless(_) | Refusal::NotServed { .. });
        assert_eq!(status.state.as_deref(), Some(if held { "Held" } else { "Submitting" }), "{refusal:?}");
        assert!(nonce, "{refusal:?}");
    }
}

/// A record whose write was not answered in time, so that this process sent nothing with it: no outcome is unknown, also
/// of a type that acts again.
#[test]
fn what_this_process_never_sent_is_submitted_and_not_held() {
    let mut base =
        fresh(serde_json::json!({"type": "spiderMail", "payload": {"url": "https://acme.example"}}));
    base.recorded.submission = Some(attempted(&base, 60));
    base.memory.nonce_seen_for = Duration::from_secs(18);
    let twice = |o: &mut Observed| {
        o.memory.unsent = true;
        o.recorded.submission.as_mut().unwrap().attempt = Some(2);
    };
    check(
        &base,
        &[
            ("of unknown outcome", |_| {}, "look up ToHold"),
            ("never sent", |o| o.memory.unsent = true, "submit 1"),
            ("never sent, after one that was", twice, "look up ToHold"),
        ],
    );
}

#[test]
fn a_wait_for_a_repeat_writes_nothing() {
    let mut o = fresh(site());
    o.recorded.observed_generation = Some(1);
    o.recorded.submission = Some(attempted(&o, 60));
    o.recorded = shown(Standing::Unknown(Message::Said("the reply was lost".into())), &o);
    o.memory.ended_here = true;
    o.memory.attempted_at = Some(ago(1));
    assert_eq!(rest(&o).standing, Some(Standing::Unknown(Message::Said("the reply was lost".into()))));
    assert!(!writes(&o));
    o.job.marks.requested = Some("now".to_owned());
    assert_eq!(word(&next(&o)), "submit 2", "who asks for a look need not wait");
}

#[test]
fn a_hold_is_left_by_what_its_message_names() {
    let mut o = fresh(site());
    o.intent = IntentFacts::Unreadable;
    o.recorded = shown(rest(&o).standing.unwrap(), &o);
    o.recorded.held_on = rest(&o).record.held_on;
    check(
        &o,
        &[
            ("nothing changed", |_| {}, "rest SubmissionAmbiguous"),
            ("the annotation is removed", |o| o.intent = IntentFacts::None, "submit 1"),
        ],
    );
    let mut o = fresh(site());
    let refused = SubmitAnswer::Refused(Refusal::Pointless("no such type".into()));
    let outcome = Outcome::Submit(Box::new(SubmitOutcome { record: attempted(&o, 0), answer: refused }));
    let verdict = settle(&o, &next(&o), &outcome);
    o.recorded = super::situation::status_of(&verdict, &o);
    // Our own intent is on the object by then.
    found(&mut o, |_| {});
    check(
        &o,
        &[
            ("nothing changed", |_| {}, "rest Refused"),
            ("another Secret", |o| with_account(o, |a| a.fingerprint = "account-2".into()), "submit 1"),
            ("another onAmbiguous", |o| on_ambiguous(o, OnAmbiguous::Hold), "submit 1"),
            ("somebody asks for a look", |o| o.job.marks.requested = Some("now".into()), "submit 1"),
        ],
    );
}

/// What an attempt that certainly was not carried out, or not sent, leaves behind.
#[test]
fn an_attempt_that_did_not_happen_uses_nothing_up() {
    let mut o = fresh(site());
    o.job.spec.type_ = Some("spiderPR".into());
    on_ambiguous(&mut o, OnAmbiguous::Resubmit);
    o.recorded.submission = Some(attempted(&o, 60));
    o.memory.ended_here = true;
    let plan = next(&o);
    let Plan::Submit(attempt) = &plan else { panic!("{plan:?}") };
    assert_eq!(attempt.record.resubmitted, Some(true));
    let refused = SubmitAnswer::Refused(Refusal::Trouble(Trouble::Throttled(None, "later".into())));
    let outcome = SubmitOutcome { record: attempt.record.clone(), answer: refused };
    let verdict = settle(&o, &plan, &Outcome::Submit(Box::new(outcome)));
    assert_eq!(verdict.record.submission.unwrap().resubmitted, None);

    let verdict = settle(&o, &plan, &Outcome::Unsent(attempt.before.clone()));
    assert_eq!(verdict.record.submission, o.recorded.submission, "still unknown, as before");

    // The same after a record of this process with which nothing was sent.
    o.recorded.submission = Some(attempt.record.clone());
    o.memory.unsent = true;
    let plan = next(&o);
    let Plan::Submit(attempt) = &plan else { panic!("{plan:?}") };
    assert_eq!((attempt.record.attempt, attempt.record.resubmitted), (Some(3), Some(true)));
    let refused = SubmitAnswer::Refused(Refusal::Trouble(Trouble::Throttled(None, "later".into())));
    let outcome = SubmitOutcome { record: attempt.record.clone(), answer: refused };
    for outcome in [Outcome::Submit(Box::new(outcome)), Outcome::Unsent(attempt.before.clone())] {
        let verdict = settle(&o, &plan, &outcome);
        assert_eq!(verdict.record.submission.unwrap().resubmitted, None, "{outcome:?}");
    }
    let first = fresh(site());
    let plan = next(&first);
    let Plan::Submit(attempt) = &plan else { panic!("{plan:?}") };
    let verdict = settle(&first, &plan, &Outcome::Unsent(attempt.before.clone()));
    assert_eq!(verdict.record.submission, None, "certainly not sent");
}
