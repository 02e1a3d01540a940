//! What is done next with a job that is new, or followed.

use spideriq_operator::api::{AccountKind, Origin, Reason, Remote, State};
use spideriq_operator::decide::{AccountFacts, Again, IntentFacts, Message, Observed, Standing, next};

use super::situation::{accepted, account, ago, attempted, fresh, remote, rest, shown, site, word};
use super::table::{Change, barred, check, found, with_account, without_account};

#[test]
fn a_job_that_was_never_sent_is_submitted_when_its_account_lets_it() {
    check(
        &fresh(site()),
        &[
            ("at once", |_| {}, "submit 1"),
            ("suspended", |o| o.job.spec.suspend = Some(true), "rest Suspended"),
            (
                "annotations that leave room for the intent",
                |o| o.job.marks.annotation_bytes = 256 * 1024 - 2048,
                "submit 1",
            ),
            (
                "annotations that leave none, refused before it waits",
                |o| {
                    o.job.marks.annotation_bytes = 256 * 1024 - 2047;
                    without_account(o);
                },
                "rest InvalidPayload",
            ),
            ("no account", without_account, "rest AccountNotFound"),
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
            ("spend cap: in line to try it", |o| with_account(o, |a| a.spend_cap = true), "submit 1"),
            ("deleted", |o| o.job.deleted_at = Some(ago(1)), "rest Cancelling"),
            ("unreadable intent", |o| o.intent = IntentFacts::Unreadable, "rest SubmissionAmbiguous"),
        ],
    );
}

#[test]
fn a_job_with_an_id_is_followed_believed_and_finished() {
    check(
        &accepted("processing"),
        &[
            ("running", |_| {}, "rest Processing"),
            ("completed", |o| o.watched.latest = Some(remote("completed")), "read Details"),
            ("failed", |o| o.watched.latest = Some(remote("failed")), "read Results"),
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
                "read Details",
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
            ("mirrored without an account", without_account, "rest AccountNotFound"),
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
            let ended = Standing::Ended(State::Failed, Reason::RemoteFailed, Message::Said(String::new()));
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

#[test]
fn a_paused_object_is_left_alone() {
    let mut o = fresh(site());
    o.job.marks.paused = true;
    let verdict = rest(&o);
    assert_eq!(
        (word(&next(&o)), verdict.standing, verdict.again),
        ("leave".to_owned(), None, Again::OnChange)
    );
}
