//! What only an intent knows of, because the status is gone: a restored backup, a status that was removed.

use std::time::Duration;

use serde_json::json;
use spideriq_operator::api::Credential;
use spideriq_operator::decide::{
    Intent, IntentFacts, Message, Observed, Outcome, Plan, Standing, Stop, Waiting, next, settle,
};

use super::situation::{accepted, ago, fresh, now, rest, shown, site, status_of, word};
use super::table::{check, found, with_account, without_account};

/// An intent that names the job, of an object that was under another uid then.
fn named(o: &mut Observed) {
    found(o, |i| {
        i.uid = "old".into();
        i.job_id = Some("job-1".into());
    });
}

/// The same with an outcome that nobody knows.
fn unnamed(o: &mut Observed) {
    found(o, |i| i.uid = "old".into());
}

fn without_client(o: &mut Observed) {
    with_account(o, |account| account.client_id = None);
}

#[test]
fn who_cannot_be_told_apart_from_us_is_waited_for_and_never_submitted_over() {
    check(
        &fresh(site()),
        &[
            (
                "a job, and whose credentials these are is not known yet",
                |o| {
                    named(o);
                    without_client(o);
                },
                "rest AccountNotReady",
            ),
            (
                "an unknown outcome, likewise",
                |o| {
                    unnamed(o);
                    without_client(o);
                },
                "rest AccountNotReady",
            ),
            (
                "a job of a client that was not known then",
                |o| {
                    named(o);
                    found_of_nobody(o);
                },
                "rest SubmissionAmbiguous",
            ),
            (
                "neither is known: by one account, as far as anybody can tell",
                |o| {
                    named(o);
                    found_of_nobody(o);
                    without_client(o);
                },
                "adopt job-1",
            ),
            (
                "never sent, whoever it was",
                |o| {
                    found(o, |_| {});
                    without_client(o);
                },
                "submit 1",
            ),
            (
                "another endpoint",
                |o| {
                    named(o);
                    with_account(o, |account| {
                        account.client_id = None;
                        account.endpoint = "https://other.example".into();
                    });
                },
                "submit 1",
            ),
        ],
    );
}

fn found_of_nobody(o: &mut Observed) {
    if let IntentFacts::Found(intent) = &mut o.intent {
        intent.client_id = None;
    }
}

/// Whatever is wanted of the object, its job is known first.
#[test]
fn a_job_is_adopted_before_it_is_cancelled_held_back_or_left() {
    let mut base = fresh(site());
    base.job.protected = true;
    named(&mut base);
    check(
        &base,
        &[
            ("cancelled", |o| o.job.spec.cancel = Some(true), "adopt job-1"),
            ("suspended", |o| o.job.spec.suspend = Some(true), "adopt job-1"),
            ("deleted", |o| o.job.deleted_at = Some(ago(1)), "adopt job-1"),
            (
                "deleted, and it cannot be told whose it is",
                |o| {
                    o.job.deleted_at = Some(ago(1));
                    without_client(o);
                },
                "rest Cancelling",
            ),
            (
                "deleted, and its account is gone",
                |o| {
                    o.job.deleted_at = Some(ago(1));
                    without_account(o);
                },
                "rest Cancelling",
            ),
            (
                "the same over the bound",
                |o| {
                    o.job.deleted_at = Some(ago(121));
                    o.memory.ending_seen_for = Duration::from_secs(121);
                    without_account(o);
                },
                "release Orphaned",
            ),
            (
                "let go by force",
                |o| {
                    o.job.deleted_at = Some(ago(1));
                    o.job.marks.force_orphan = true;
                },
                "release Orphaned",
            ),
            (
                "cancelled, and its account is gone",
                |o| {
                    o.job.spec.cancel = Some(true);
                    without_account(o);
                },
                "latch CancelledAsRequested",
            ),
        ],
    );
}

/// What an intent without a client tells of is nobody's to take, but its jobs are named before the object goes.
#[test]
fn the_jobs_of_a_submit_by_nobody_knows_whom_are_named() {
    let mut o = fresh(site());
    o.job.protected = true;
    o.job.deleted_at = Some(ago(1));
    o.recorded.submission = Some(spideriq_operator::api::SubmissionRecord {
        client_id: None,
        credential: None,
        ..super::situation::attempted(&o, 60)
    });
    o.memory.nonce_seen_for = Duration::from_secs(19);
    assert_eq!(word(&next(&o)), "look up ToRelease");
    with_account(&mut o, |account| account.endpoint = "https://other.example".into());
    assert_eq!(word(&next(&o)), "rest Cancelling");
}

/// Ended before anybody could say what came of it: its runID is used up all the same.
#[test]
fn a_restored_run_that_is_cancelled_is_known_afterwards() {
    let mut o = fresh(site());
    o.job.protected = true;
    o.job.spec.cancel = Some(true);
    unnamed(&mut o);
    let (mut o, mut unclear) = (o.clone(), o);
    o.memory.nonce_seen_for = Duration::from_secs(19);
    let listed = Outcome::Candidates(Ok(spideriq_operator::decide::Listed::default()));
    for outcome in [Outcome::Done, listed, Outcome::Done] {
        let verdict = settle(&o, &next(&o), &outcome);
        if verdict.standing.is_some() {
            o.recorded = status_of(&verdict, &o);
        }
        o.memory = verdict.memory;
        o.memory.nonce_seen_for = Duration::from_secs(19);
    }
    assert_eq!(o.recorded.state.as_deref(), Some("Cancelled"));
    // Named, by nobody knows whom: told, and over.
    named(&mut unclear);
    found_of_nobody(&mut unclear);
    for expected in ["latch CancelledAsRequested", "abandon Orphaned"] {
        assert_eq!(word(&next(&unclear)), expected);
        unclear.recorded = status_of(&rest(&unclear), &unclear);
    }
    for mut o in [o, unclear] {
        o.intent = IntentFacts::None;
        o.job.spec.cancel = None;
        for run in [Some("2".to_owned()), None] {
            o.job.spec.run_id = run;
            o.recorded = status_of(&rest(&o), &o);
        }
        assert_ne!(o.recorded.state.as_deref(), Some("Pending"), "{:?}", o.recorded);
    }
}

#[test]
fn an_intent_gets_the_name_of_its_client_once_that_is_known() {
    let mut o = accepted("processing");
    found(&mut o, |intent| intent.client_id = None);
    without_client(&mut o);
    let Plan::Protect(Some(intent)) = next(&o) else { panic!("{:?}", next(&o)) };
    assert_eq!((intent.client_id.as_deref(), intent.job_id.as_deref()), (Some("cli_a"), Some("job-1")));
    o.intent = IntentFacts::Found(intent);
    assert_eq!(word(&next(&o)), "rest Processing");
}

/// From the first word about it on, so that another run, or an edit of the annotation, does not hide it.
#[test]
fn an_unknown_outcome_is_recorded_while_it_is_waited_for() {
    let mut o = fresh(site());
    unnamed(&mut o);
    o.recorded = status_of(&rest(&o), &o);
    assert_eq!(o.recorded.submission.as_ref().unwrap().nonce.as_deref(), Some("nonce-1"));
    o.intent = IntentFacts::None;
    o.memory.nonce_seen_for = Duration::from_secs(19);
    assert_eq!(word(&next(&o)), "submit 2");
    o.job.spec.run_id = Some("2".to_owned());
    assert_eq!(word(&next(&o)), "look up ToRelease");
}

/// A run behind an unknown outcome waits no longer for the list than a deletion does.
#[test]
fn another_run_behind_an_unknown_outcome_begins_within_the_bound() {
    let mut o = fresh(site());
    o.recorded.submission = Some(super::situation::attempted(&o, 60));
    o.recorded = shown(Standing::Unknown(Message::Said("why".into())), &o);
    o.job.spec.run_id = Some("2".to_owned());
    o.memory.ended_here = true;
    without_account(&mut o);
    o.memory.ending_seen_for = Duration::from_secs(119);
    assert_eq!(word(&next(&o)), "look up ToRelease");
    o.memory.ending_seen_for = Duration::from_secs(120);
    assert_eq!(word(&next(&o)), "begin Orphaned");
}

#[test]
fn a_hold_for_another_client_ends_when_the_client_is_named() {
    let mut o = fresh(site());
    o.recorded.submission = Some(super::situation::attempted(&o, 60));
    o.memory.ended_here = true;
    with_account(&mut o, |account| {
        account.client_id = None;
        account.credential = Credential { uid: "secret-1".into(), resource_version: "8".into() };
    });
    o.recorded = status_of(&rest(&o), &o);
    assert_eq!(o.recorded.reason.as_deref(), Some("TenantChanged"));
    assert_eq!(word(&next(&o)), "rest TenantChanged");
    with_account(&mut o, |account| account.client_id = Some("cli_a".into()));
    assert_eq!(word(&next(&o)), "submit 2");
}

#[test]
fn the_client_of_a_submit_is_written_down_once_the_service_names_it() {
    let mut o = accepted("processing");
    o.recorded.submission.as_mut().unwrap().client_id = None;
    assert_eq!(rest(&o).record.submission.unwrap().client_id.as_deref(), Some("cli_a"));
    with_account(&mut o, |account| account.credential.resource_version = "8".into());
    assert_eq!(rest(&o).record.submission.unwrap().client_id, None, "of other credentials nobody knows");
}

/// The run that was gone back to is what a backup of the object has to tell, not the one that was left.
#[test]
fn an_intent_tells_of_the_run_that_the_status_speaks_of() {
    let mut o = fresh(site());
    found(&mut o, |intent| intent.run = "2".into());
    let IntentFacts::Found(intent) = &o.intent else { panic!("it was put there") };
    let status: spideriq_operator::api::ScrapeJobStatus = serde_json::from_value(json!({
        "runID": "1", "jobID": "job-1", "state": "Completed", "submission": {"bodyHash": "v1:1"},
    }))
    .unwrap();
    let told: Intent = intent.clone().of_what_is_over(&status).unwrap();
    assert_eq!((told.run.as_str(), told.body_hash.as_str()), ("1", "v1:1"));
    assert_eq!((told.job_id.as_deref(), told.outcome.as_deref()), (Some("job-1"), Some("Completed")));
    assert_eq!(told.nonce, intent.nonce);
}

/// A pause that ends and begins again, as short ones do, is told once.
#[test]
fn a_wait_for_the_budget_is_told_once() {
    let mut o = fresh(site());
    let wait = |o: &Observed, paused: bool| {
        let stop = if paused { Stop::Asked(Some(now() + Duration::from_secs(9))) } else { Stop::Turn };
        let waiting = Waiting { since: ago(10), estimate: None, stop, others: 0 };
        status_of(&settle(o, &next(o), &Outcome::NotYet(waiting)), o)
    };
    o.recorded = wait(&o, false);
    assert_eq!(o.recorded.reason.as_deref(), Some("WaitingForBudget"));
    o.recorded = wait(&o, true);
    assert_eq!(o.recorded.reason.as_deref(), Some("RateLimited"));
    let after = wait(&o, false);
    assert!(spideriq_operator::status::same_meaning(&after, &o.recorded), "{after:?}");
}
