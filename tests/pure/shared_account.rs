//! What an object may do with a job that it did not submit, where its account is the cluster's.

use serde_json::json;
use spideriq_operator::api::{AccountKind, DeletionPolicy, JobAccount, Origin, Payload, Reason};
use spideriq_operator::decide::{
    AccountUse, Intent, IntentFacts, KeptBody, Named, Observed, Outcome, Plan, Standing, next, settle,
};

use super::situation::{accepted, ago, attempted, fresh, site, status_of, word};
use super::table::{Change, check, found, with_account};

fn of_cluster(account: &mut AccountUse, named: Named) {
    account.kind = AccountKind::ClusterScrapeAccount;
    account.named = named;
}

fn mirror() -> Observed {
    fresh(json!({"jobID": "job-1"}))
}

#[test]
fn a_job_is_followed_by_its_id_only_where_that_is_allowed_and_nobody_else_has_it() {
    let named: [(Named, &str); 4] = [
        (Named::Own, "rest WaitingForController"),
        (Named::Followed, "rest WaitingForController"),
        (Named::NotAllowed, "rest JobNotFound"),
        (Named::OfOthers, "rest JobNotFound"),
    ];
    for (named, expected) in named {
        let mut o = mirror();
        with_account(&mut o, |account| of_cluster(account, named));
        assert_eq!(word(&next(&o)), expected, "{named:?}");
        // What an earlier release looked at is looked at still.
        let mut seen = accepted("processing");
        seen.job.spec = mirror().job.spec;
        with_account(&mut seen, |account| of_cluster(account, named));
        assert_eq!(word(&next(&seen)), "rest Processing", "{named:?}, seen before");
    }
}

/// Nobody learns that a job exists.
#[test]
fn a_job_of_others_reads_as_one_that_nobody_knows() {
    let told = |o: &Observed| {
        let Plan::Rest(Standing::Held(Reason::JobNotFound, message)) = next(o) else {
            panic!("it was looked at")
        };
        message
    };
    let mut unknown = mirror();
    with_account(&mut unknown, |account| of_cluster(account, Named::Followed));
    unknown.watched.missing = Some((ago(1), ago(1)));
    let mut theirs = mirror();
    with_account(&mut theirs, |account| of_cluster(account, Named::OfOthers));
    assert_eq!(told(&theirs), told(&unknown));
}

#[test]
fn only_what_it_submitted_is_cancelled_with_an_account_of_the_cluster() {
    fn origin(o: &mut Observed, origin: Origin) {
        o.recorded.submission.as_mut().unwrap().origin = Some(origin);
    }
    let rows: &[(&str, Change, bool)] = &[
        ("submitted", |_| {}, true),
        ("adopted", |o| origin(o, Origin::Adopted), true),
        ("from the cache", |o| origin(o, Origin::Cached), false),
        ("mirrored", |o| origin(o, Origin::Mirrored), false),
        ("mirrored and not seen", |o| o.recorded.submission = None, false),
    ];
    for (name, change, cancels) in rows {
        let mut base = accepted("processing");
        with_account(&mut base, |account| of_cluster(account, Named::NotAllowed));
        base.job.spec.deletion_policy = Some(DeletionPolicy::Cancel);
        change(&mut base);
        let row = |o: Observed, ours: &str, theirs: &str| {
            assert_eq!(word(&next(&o)), if *cancels { ours } else { theirs }, "{name}");
        };
        let mut deleted = base.clone();
        deleted.job.deleted_at = Some(ago(5));
        row(deleted, "cancel", "release LeftRunning");
        let mut cancelled = base.clone();
        cancelled.job.spec.cancel = Some(true);
        cancelled.memory = settle(&cancelled, &next(&cancelled), &Outcome::Done).memory;
        cancelled.recorded.cancel_reason = Some(spideriq_operator::api::CancelReason::CancelledAsRequested);
        row(cancelled, "cancel", "abandon LeftRunning");
        let mut another = base.clone();
        another.recorded.observed_generation = Some(1);
        another.job.spec.run_id = Some("2".to_owned());
        another.job.body =
            Some(KeptBody::of(&Payload::from_text(r#"{"url": "https://other.example"}"#), None).unwrap());
        row(another, "latch Superseded", "begin LeftRunning");
        // The account is gone by now, and the status says which it was.
        let mut gone = base.clone();
        with_account(&mut gone, |_| {});
        gone.recorded.account = Some(JobAccount {
            kind: AccountKind::ClusterScrapeAccount,
            name: "default".to_owned(),
            client_id: None,
        });
        gone.job.deleted_at = Some(ago(5));
        row(gone, "cancel", "release LeftRunning");
    }
}

#[test]
fn an_intent_without_a_status_proves_nothing_there() {
    fn tells(o: &mut Observed, job_id: Option<&str>) {
        let job_id = job_id.map(str::to_owned);
        found(o, |intent| {
            intent.uid = "restored".to_owned();
            intent.job_id = job_id;
        });
    }
    let mut base = fresh(site());
    with_account(&mut base, |account| of_cluster(account, Named::NotAllowed));
    check(
        &base,
        &[
            ("without one", |_| {}, "submit 1"),
            ("a job", |o| tells(o, Some("job-1")), "rest SubmissionAmbiguous"),
            ("a submit", |o| tells(o, None), "rest SubmissionAmbiguous"),
            (
                "a submit that may be another client's",
                |o| {
                    tells(o, None);
                    with_account(o, |account| {
                        of_cluster(account, Named::NotAllowed);
                        account.client_id = None;
                    });
                },
                "rest SubmissionAmbiguous",
            ),
            (
                "a submit that the status tells of, too",
                |o| {
                    tells(o, None);
                    o.recorded.submission = Some(attempted(o, 60));
                    o.memory.ended_here = true;
                },
                "submit 2",
            ),
            (
                "a job, and it is deleted",
                |o| {
                    tells(o, Some("job-1"));
                    o.job.deleted_at = Some(ago(5));
                    o.job.protected = true;
                },
                "release Orphaned",
            ),
            (
                "a submit, and it is deleted: the list is not read",
                |o| {
                    tells(o, None);
                    o.job.deleted_at = Some(ago(5));
                    o.job.protected = true;
                    o.memory.nonce_seen_for = std::time::Duration::from_secs(60);
                },
                "release Orphaned",
            ),
        ],
    );
    // Held, it is not recorded as a submit of this object's.
    tells(&mut base, None);
    let held = status_of(&settle(&base, &next(&base), &Outcome::Done), &base);
    assert_eq!((held.state.as_deref(), held.submission), (Some("Held"), None));
}

/// Whoever may edit an object writes its annotations.
#[test]
fn an_id_in_an_intent_is_one_plain_word_or_the_intent_is_unreadable() {
    let mut o = fresh(site());
    found(&mut o, |intent| intent.job_id = Some("job-1".to_owned()));
    let IntentFacts::Found(intent) = &o.intent else { panic!("it was just written") };
    let read = |id: &str| {
        let intent = Intent { job_id: Some(id.to_owned()), ..(**intent).clone() };
        Intent::read(Some(&serde_json::to_string(&intent).unwrap()))
    };
    let long = "a".repeat(129);
    for bad in ["../../admin/x", "a/b", "a?b", "a#b", "%2e%2e", "", "-a", "a b", "a\nb", "é", &long] {
        assert_eq!(read(bad), IntentFacts::Unreadable, "{bad:?}");
    }
    assert!(matches!(read("550e8400-e29b-41d4-a716-446655440000"), IntentFacts::Found(_)));
    o.intent = IntentFacts::Unreadable;
    assert_eq!(word(&next(&o)), "rest SubmissionAmbiguous");
}

/// The schema, the intent and the client agree on what an id is.
#[test]
fn every_reader_of_an_id_takes_the_same() {
    for text in ["", "a", "-a", "_a", "a/b", "a.b", "A_b-9", "é", "a b", &"a".repeat(128), &"a".repeat(129)]
    {
        let both = [spideriq_operator::api::is_job_id(text), spideriq_operator::spideriq::is_job_id(text)];
        assert_eq!(both[0], both[1], "{text:?}");
    }
}
