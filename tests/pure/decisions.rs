//! What is done next: the tables of the protocol of submitting, of following and of deletion.

use spideriq_operator::api::{
    AccountKind, CancelReason, Credential, DeletionPolicy, OnAmbiguous, Origin, Reason, Remote,
    ScrapeJobStatus, State, Submission,
};
use spideriq_operator::decide::{
    AccountFacts, Intent, IntentFacts, Observed, Outcome, Plan, Refusal, Standing, SubmitAnswer,
    SubmitOutcome, Trouble, next, settle,
};
use std::time::Duration;

use super::situation::{
    accepted, account, ago, attempted, fresh, now, remote, rest, shown, site, word, writes,
};

type Change = fn(&mut Observed);

/// Every row: what it is called, what differs, the plan in one word.
fn check(base: &Observed, rows: &[(&str, Change, &str)]) {
    for (name, change, expected) in rows {
        let mut o = base.clone();
        change(&mut o);
        assert_eq!(word(&next(&o)), *expected, "{name}");
    }
}

fn with_account(o: &mut Observed, change: impl FnOnce(&mut spideriq_operator::decide::AccountUse)) {
    let mut account = account();
    change(&mut account);
    o.account = AccountFacts::Usable(account);
}

fn barred(o: &mut Observed) {
    with_account(o, |account| account.barred = Some((Reason::NamespaceNotAllowed, String::new())));
}

fn intent(o: &Observed) -> Intent {
    Intent::new(&o.job, &account(), "nonce-1", ago(60)).unwrap()
}

fn found(o: &mut Observed, change: impl FnOnce(&mut Intent)) {
    let mut intent = intent(o);
    change(&mut intent);
    o.intent = IntentFacts::Found(Box::new(intent));
}

fn on_ambiguous(o: &mut Observed, choice: OnAmbiguous) {
    o.job.spec.submission = Some(Submission { on_ambiguous: Some(choice), on_cache_hit: None });
}

#[test]
fn a_job_that_was_never_sent_is_submitted_when_its_account_lets_it() {
    check(
        &fresh(site()),
        &[
            ("at once", |_| {}, "submit 1"),
            ("suspended", |o| o.job.spec.suspend = Some(true), "rest Suspended"),
            (
                "no account",
                |o| {
                    o.account =
                        AccountFacts::Missing { kind: AccountKind::ScrapeAccount, name: "default".into() }
                },
                "rest AccountNotFound",
            ),
            (
                "no Secret",
                |o| {
                    o.account = AccountFacts::Unusable {
                        reason: Reason::CredentialsMissing,
                        message: String::new(),
                        fingerprint: String::new(),
                    }
                },
                "rest CredentialsMissing",
            ),
            (
                "endpoint not allowed",
                |o| {
                    o.account = AccountFacts::Unusable {
                        reason: Reason::EndpointNotAllowed,
                        message: String::new(),
                        fingerprint: String::new(),
                    }
                },
                "rest AccountNotReady",
            ),
            (
                "namespace not admitted",
                |o| {
                    o.account = AccountFacts::Unusable {
                        reason: Reason::NamespaceNotAllowed,
                        message: String::new(),
                        fingerprint: String::new(),
                    }
                },
                "rest NamespaceNotAllowed",
            ),
            ("namespace not admitted any more", barred, "rest NamespaceNotAllowed"),
            (
                "nor told how its account stands",
                |o| {
                    with_account(o, |a| {
                        a.barred = Some((Reason::NamespaceNotAllowed, String::new()));
                        a.rejected = Some((ago(999), String::new()));
                    })
                },
                "rest NamespaceNotAllowed",
            ),
            ("account suspended", |o| with_account(o, |a| a.suspended = true), "rest AccountNotReady"),
            (
                "token rejected",
                |o| with_account(o, |a| a.rejected = Some((ago(9), String::new()))),
                "rest Rejected",
            ),
            ("spend cap", |o| with_account(o, |a| a.spend_cap = true), "rest SpendCapReached"),
            ("deleted", |o| o.job.deleted_at = Some(ago(1)), "rest Cancelling"),
            ("unreadable intent", |o| o.intent = IntentFacts::Unreadable, "rest SubmissionAmbiguous"),
        ],
    );
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
            (
                "no account",
                |o| {
                    o.account =
                        AccountFacts::Missing { kind: AccountKind::ScrapeAccount, name: "default".into() }
                },
                "rest Unknown",
            ),
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
        ],
    );
}

#[test]
fn what_a_refusal_means_depends_on_whether_it_is_the_first_answer() {
    let refusals = || {
        [
            (Refusal::Payload("x".into()), "Failed InvalidPayload"),
            (Refusal::Pointless("x".into()), "Held Refused"),
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
        if number > 1 {
            o.recorded.submission = Some(record.clone());
            o.memory.ended_here = true;
        }
        let plan = next(&o);
        let answer = SubmitAnswer::Refused(refusal);
        let verdict = settle(&o, &plan, &Outcome::Submit(Box::new(SubmitOutcome { record, answer })));
        let nonce = verdict.record.submission.as_ref().is_some_and(|record| record.nonce.is_some());
        (shown(verdict.standing.clone().unwrap(), &o), nonce)
    };
    for (refusal, first) in refusals() {
        let (status, nonce) = after(1, refusal.clone());
        assert_eq!(format!("{} {}", status.state.unwrap(), status.reason.unwrap()), first);
        assert!(!nonce, "a refused first attempt leaves no trace: {refusal:?}");
        // A refused repeat says nothing about the attempts before it.
        let (status, nonce) = after(2, refusal.clone());
        assert_eq!(status.reason.as_deref(), Some("SubmissionAmbiguous"), "{refusal:?}");
        let held = matches!(refusal, Refusal::Payload(_) | Refusal::Pointless(_));
        assert_eq!(status.state.as_deref(), Some(if held { "Held" } else { "Submitting" }), "{refusal:?}");
        assert!(nonce, "{refusal:?}");
    }
}

#[test]
fn a_job_with_an_id_is_followed_believed_and_finished() {
    check(
        &accepted("processing"),
        &[
            ("running", |_| {}, "rest Processing"),
            ("completed", |o| o.watched.latest = Some(remote("completed")), "detail"),
            ("failed", |o| o.watched.latest = Some(remote("failed")), "collect"),
            ("cancelled", |o| o.watched.latest = Some(remote("cancelled")), "rest CancelledRemotely"),
            ("missing once", |o| o.watched.missing = Some((ago(59), ago(0))), "rest Processing"),
            (
                "missing for a minute",
                |o| o.watched.missing = Some((ago(60), ago(0))),
                "rest RemoteJobVanished",
            ),
            (
                "missing for another client",
                |o| {
                    o.watched.missing = Some((ago(60), ago(0)));
                    with_account(o, |a| a.client_id = Some("cli_b".into()));
                },
                "rest Processing",
            ),
            (
                "completed for another client",
                |o| {
                    o.watched.latest = Some(remote("completed"));
                    with_account(o, |a| a.client_id = Some("cli_b".into()));
                },
                "rest Processing",
            ),
            ("without the finalizer", |o| o.job.protected = false, "protect"),
            ("namespace not admitted any more", barred, "rest Processing"),
            (
                "completed, and not admitted any more",
                |o| {
                    barred(o);
                    o.watched.latest = Some(remote("completed"));
                },
                "detail",
            ),
        ],
    );
    check(
        &fresh(serde_json::json!({"jobID": "job-1"})),
        &[
            ("mirrored", |_| {}, "rest WaitingForController"),
            (
                "mirrored and seen",
                |o| o.recorded.remote = Some(Remote { state: Some("queued".into()), ..Remote::default() }),
                "rest Queued",
            ),
            (
                "mirrored without an account",
                |o| {
                    o.account =
                        AccountFacts::Missing { kind: AccountKind::ScrapeAccount, name: "default".into() }
                },
                "rest AccountNotFound",
            ),
            ("mirrored and never seen", |o| o.watched.missing = Some((ago(1), ago(1))), "rest JobNotFound"),
            (
                "mirrored, namespace not admitted",
                |o| {
                    o.account = AccountFacts::Unusable {
                        reason: Reason::NamespaceNotAllowed,
                        message: String::new(),
                        fingerprint: String::new(),
                    }
                },
                "rest NamespaceNotAllowed",
            ),
        ],
    );
}

/// Deleted so long ago by the API server's clock, and seen for so long by our own.
fn late(o: &mut Observed, deleted: i64, seen: u64) {
    o.job.deleted_at = Some(ago(deleted));
    o.memory.ending_seen_for = Duration::from_secs(seen);
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

/// Of the API server's clock and of our own count, each bounds the wait, and a late start leaves time to try.
#[test]
fn a_deletion_waits_for_the_service_no_longer_than_its_bound() {
    let mut base = accepted("processing");
    base.job.deleted_at = Some(ago(5));
    check(
        &base,
        &[
            ("bound reached", |o| late(o, 120, 30), "release Orphaned"),
            ("bound reached before this process saw it", |o| late(o, 3600, 29), "cancel"),
            (
                "bound reached by our own count, the clock being behind",
                |o| late(o, -3600, 120),
                "release Orphaned",
            ),
            ("not yet, by either", |o| late(o, 119, 119), "cancel"),
            (
                "a bound of zero",
                |o| {
                    o.job.deleted_at = Some(now());
                    o.job.spec.cancel_timeout_seconds = Some(0);
                },
                "release Orphaned",
            ),
        ],
    );
}

#[test]
fn deletion_cancels_what_is_ours() {
    let mut base = accepted("processing");
    base.job.deleted_at = Some(ago(5));
    check(
        &base,
        &[
            ("running", |_| {}, "cancel"),
            ("namespace not admitted any more", barred, "cancel"),
            ("cancel sent", |o| o.memory.cancel_sent = true, "confirm"),
            ("over", |o| o.watched.latest = Some(remote("completed")), "release"),
            ("shared", |o| o.memory.left = Some("shared".into()), "release LeftRunning"),
            (
                "policy says leave",
                |o| o.job.spec.deletion_policy = Some(DeletionPolicy::Orphan),
                "release LeftRunning",
            ),
            (
                "cached",
                |o| o.recorded.submission.as_mut().unwrap().origin = Some(Origin::Cached),
                "release LeftRunning",
            ),
            (
                "cached, cancel written out",
                |o| {
                    o.recorded.submission.as_mut().unwrap().origin = Some(Origin::Cached);
                    o.job.spec.deletion_policy = Some(DeletionPolicy::Cancel);
                },
                "cancel",
            ),
            (
                "another client",
                |o| with_account(o, |a| a.client_id = Some("cli_b".into())),
                "rest Cancelling",
            ),
            ("finalizer gone", |o| o.job.protected = false, "rest Cancelling"),
            (
                "over, and held by somebody else's finalizer",
                |o| {
                    o.job.protected = false;
                    let ended = Standing::Ended(State::Completed, Reason::Completed, String::new());
                    o.recorded = shown(ended, o);
                },
                "rest Completed",
            ),
            ("told to go at once", |o| o.job.marks.force_orphan = true, "release Orphaned"),
            (
                "over and told to go at once",
                |o| {
                    o.job.marks.force_orphan = true;
                    o.watched.latest = Some(remote("completed"));
                },
                "release",
            ),
            ("paused all the same", |o| o.job.marks.paused = true, "cancel"),
            (
                "a cancel that the spec began goes on",
                |o| {
                    o.job.spec.deletion_policy = Some(DeletionPolicy::Orphan);
                    o.recorded.cancel_reason = Some(CancelReason::CancelledAsRequested);
                },
                "cancel",
            ),
        ],
    );
    let mut unknown = fresh(site());
    unknown.recorded =
        ScrapeJobStatus { submission: Some(attempted(&unknown, 60)), ..ScrapeJobStatus::default() };
    unknown.job.protected = true;
    unknown.job.deleted_at = Some(ago(30));
    unknown.memory.nonce_seen_for = Duration::from_secs(18);
    check(
        &unknown,
        &[
            ("unknown outcome: one look", |_| {}, "look up ToRelease"),
            (
                "unknown outcome, a request may be under way",
                |o| o.memory.nonce_seen_for = Duration::from_secs(17),
                "rest Cancelling",
            ),
            ("told to go at once", |o| o.job.marks.force_orphan = true, "release Orphaned"),
            (
                "credentials of another client",
                |o| with_account(o, |a| a.client_id = Some("cli_b".into())),
                "release Orphaned",
            ),
            ("looked", |o| o.memory.candidates = Some(vec!["job-7".into()]), "release Orphaned"),
            ("too late to look", |o| late(o, 120, 30), "release Orphaned"),
            ("never sent", |o| o.recorded.submission = None, "release"),
        ],
    );
}

/// Nothing is ever submitted for an object that is being deleted, over, mirrored or suspended, whatever else is true.
#[test]
fn what_must_not_submit_never_does() {
    let accounts = || {
        let mut rejected = account();
        rejected.rejected = Some((ago(1), String::new()));
        [
            AccountFacts::Usable(account()),
            AccountFacts::Usable(rejected),
            AccountFacts::Missing { kind: AccountKind::ScrapeAccount, name: "x".into() },
        ]
    };
    let intents: [Change; 4] = [
        |_| {},
        |o| found(o, |_| {}),
        |o| found(o, |i| i.uid = "old".into()),
        |o| o.intent = IntentFacts::Unreadable,
    ];
    let guards: [(&str, Change); 5] = [
        ("deleted", |o| o.job.deleted_at = Some(ago(1))),
        ("suspended", |o| o.job.spec.suspend = Some(true)),
        ("of a namespace that is not admitted", barred),
        ("over", |o| {
            let ended = Standing::Ended(State::Failed, Reason::RemoteFailed, String::new());
            o.recorded = shown(ended, o);
        }),
        ("mirrored", |o| {
            *o = Observed { recorded: o.recorded.clone(), ..fresh(serde_json::json!({"jobID": "j"})) }
        }),
    ];
    let mut looked = 0;
    for account in accounts() {
        for intend in intents {
            for submission in [false, true] {
                for protected in [false, true] {
                    for (name, guard) in &guards {
                        let mut o = fresh(site());
                        o.account = account.clone();
                        intend(&mut o);
                        o.memory.ended_here = true;
                        o.job.protected = protected;
                        if submission {
                            o.recorded.submission = Some(attempted(&o, 60));
                        }
                        guard(&mut o);
                        let plan = word(&next(&o));
                        assert!(!plan.starts_with("submit"), "{name}: {plan}");
                        looked += 1;
                    }
                }
            }
        }
    }
    assert_eq!(looked, 3 * 4 * 2 * 2 * 5);
}

#[test]
fn a_wait_for_a_repeat_writes_nothing() {
    let mut o = fresh(site());
    o.recorded.observed_generation = Some(1);
    o.recorded.submission = Some(attempted(&o, 60));
    o.recorded = shown(Standing::Unknown("the reply was lost".into()), &o);
    o.memory.ended_here = true;
    o.memory.attempted_at = Some(ago(1));
    assert_eq!(rest(&o).standing, Some(Standing::Unknown("the reply was lost".into())));
    assert!(!writes(&o));
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
    let first = fresh(site());
    let plan = next(&first);
    let Plan::Submit(attempt) = &plan else { panic!("{plan:?}") };
    let verdict = settle(&first, &plan, &Outcome::Unsent(attempt.before.clone()));
    assert_eq!(verdict.record.submission, None, "certainly not sent");
}

#[test]
fn a_job_from_the_cache_that_was_seen_at_work_ends_like_any_other() {
    for (state, expected) in [("failed", "RemoteFailed"), ("cancelled", "CancelledRemotely")] {
        let mut o = accepted("processing");
        o.recorded.submission.as_mut().unwrap().origin = Some(Origin::Cached);
        o.recorded = shown(rest(&o).standing.unwrap(), &o);
        o.watched.latest = Some(remote(state));
        o.memory.failed_reads = 9;
        assert_eq!(word(&next(&o)), format!("rest {expected}"));
        o.recorded.conditions.clear();
        assert_eq!(word(&next(&o)), "rest CachedFailure", "it was over when the service answered with it");
    }
}

#[test]
fn older_news_is_none() {
    let mut o = accepted("processing");
    o.recorded.remote.as_mut().unwrap().updated_at =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(ago(59)));
    let mut seen = remote("queued");
    seen.updated_at = Some(ago(60));
    o.watched.latest = Some(seen);
    assert_eq!(rest(&o).record.remote.unwrap().state.as_deref(), Some("processing"));
}
