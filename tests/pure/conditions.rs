//! The rules of the conditions, R1 to R17, each in a test that names it.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use spideriq_operator::api::{
    AccountKind, ReadyWhen, Reason, Remote, ScrapeAccountStatus, ScrapeJobStatus, State, find,
};
use spideriq_operator::decide::account::{AccountHealth, AccountState};
use spideriq_operator::decide::message::{End, Told, Wait};
use spideriq_operator::decide::{
    AccountFacts, Details, Freshness, Message, Observed, Outcome, RemoteState, Standing, Summary, Trouble,
    next, settle,
};
use spideriq_operator::status::{account_status, same_meaning};

use super::situation::{
    accepted, ago, conditions, fresh, now, remote, rest, shown, site, standings, status_of, word, writes,
};

const READY_WHEN: [Option<ReadyWhen>; 4] =
    [None, Some(ReadyWhen::Completed), Some(ReadyWhen::Finished), Some(ReadyWhen::Accepted)];

fn with(ready_when: Option<ReadyWhen>) -> Observed {
    let mut o = fresh(site());
    o.job.spec.ready_when = ready_when;
    o
}

fn has(status: &ScrapeJobStatus, type_: &str) -> String {
    conditions(status).get(type_).cloned().unwrap_or_default()
}

#[test]
fn r1_exactly_one_of_reconciling_stalled_and_ready_holds_and_ready_mirrors_it() {
    for ready_when in READY_WHEN {
        for standing in standings() {
            let status = shown(standing.clone(), &with(ready_when));
            let three = ["Reconciling", "Stalled", "Ready"].map(|type_| has(&status, type_));
            let ready = match three.each_ref().map(String::as_str) {
                ["True", "", ready] => (ready, "Unknown"),
                ["", "True", ready] => (ready, "False"),
                ["", "", ready] => (ready, "True"),
                other => panic!("{standing:?}: {other:?}"),
            };
            assert_eq!(ready.0, ready.1, "{standing:?} with {ready_when:?}");
        }
    }
}

#[test]
fn r2_r3_only_what_time_alone_does_not_help_is_false_or_stalled() {
    for standing in standings() {
        let expected = match &standing {
            Standing::Held(..) => true,
            Standing::Rejected(since, _) => *since <= ago(300),
            Standing::Ended(state, reason, _) => {
                *state != State::Completed && *reason != Reason::CancelledAsRequested
            }
            Standing::Waiting(..)
            | Standing::Suspended
            | Standing::Submitting
            | Standing::Unknown(_)
            | Standing::Following(..)
            | Standing::Cancelling(_) => false,
        };
        let status = shown(standing.clone(), &with(None));
        assert_eq!(has(&status, "Stalled") == "True", expected, "{standing:?}");
        assert_eq!(has(&status, "Ready") == "False", expected, "{standing:?}");
    }
}

#[test]
fn r4_ready_when_says_what_counts_as_healthy() {
    let followed = Standing::Following(State::Processing, Reason::Processing, Message::Said(String::new()));
    let failed = Standing::Ended(State::Failed, Reason::RemoteFailed, Message::Said(String::new()));
    let completed = Standing::Ended(State::Completed, Reason::Completed, Message::Said(String::new()));
    for (ready_when, standing, ready) in [
        (ReadyWhen::Completed, &followed, "Unknown"),
        (ReadyWhen::Finished, &followed, "Unknown"),
        (ReadyWhen::Accepted, &followed, "True"),
        (ReadyWhen::Completed, &failed, "False"),
        (ReadyWhen::Finished, &failed, "True"),
        (ReadyWhen::Accepted, &failed, "True"),
        (ReadyWhen::Completed, &completed, "True"),
        (ReadyWhen::Finished, &completed, "True"),
        (ReadyWhen::Accepted, &completed, "True"),
    ] {
        let mut o = accepted("processing");
        o.job.spec.ready_when = Some(ready_when);
        assert_eq!(has(&shown(standing.clone(), &o), "Ready"), ready, "{ready_when:?} {standing:?}");
    }
    let refused = Standing::Ended(State::Failed, Reason::InvalidPayload, Message::Said(String::new()));
    let never_accepted = shown(refused, &with(Some(ReadyWhen::Accepted)));
    assert_eq!(has(&never_accepted, "Stalled"), "True", "what prevents acceptance stalls");
}

#[test]
fn r5_suspended_and_ready_exactly_while_suspend_holds_back_the_next_step() {
    let mut o = fresh(site());
    o.job.spec.suspend = Some(true);
    let status = status_of(&rest(&o), &o);
    assert_eq!((has(&status, "Suspended"), has(&status, "Ready")), ("True".to_owned(), "True".to_owned()));
    let mut running = accepted("processing");
    running.job.spec.suspend = Some(true);
    let status = status_of(&rest(&running), &running);
    assert_eq!((has(&status, "Suspended"), has(&status, "Ready")), (String::new(), "Unknown".to_owned()));
    for standing in standings().into_iter().filter(|standing| *standing != Standing::Suspended) {
        assert_eq!(has(&shown(standing, &with(None)), "Suspended"), "");
    }
}

#[test]
fn r6_a_cancel_that_nobody_here_asked_for_stalls_unless_any_end_will_do() {
    for (ready_when, stalled) in
        [(None, true), (Some(ReadyWhen::Finished), false), (Some(ReadyWhen::Accepted), false)]
    {
        let mut o = accepted("processing");
        o.job.spec.ready_when = ready_when;
        o.watched.latest = Some(remote("cancelled"));
        let status = status_of(&rest(&o), &o);
        assert_eq!(status.reason.as_deref(), Some("CancelledRemotely"));
        assert_eq!(
            (has(&status, "Cancelled"), has(&status, "Finished")),
            ("True".to_owned(), "True".to_owned())
        );
        assert_eq!(has(&status, "Stalled") == "True", stalled, "{ready_when:?}");
    }
}

#[test]
fn r7_a_run_is_finished_only_when_its_summary_is_read_or_given_up() {
    let mut o = accepted("processing");
    o.watched.latest = Some(remote("completed"));
    let trouble = || Trouble::Unavailable("down".to_owned());
    let detailed = settle(&o, &next(&o), &Outcome::Details(Ok(Details::default())));
    assert_eq!(detailed.standing, None, "the end of a job is one write");
    let mut read = o.clone();
    read.memory = detailed.memory;
    let summary = Summary { count: Some(12), bytes: Some(900), error_message: None };
    let good = status_of(&settle(&read, &next(&read), &Outcome::Summary(Ok(summary))), &read);
    assert_eq!((good.finished, good.results.unwrap().count), (true, Some(12)));

    let mut tries = 0;
    loop {
        // Whether it is the details or the summary that cannot be read.
        let outcome = match word(&next(&o)).as_str() {
            "detail" => Outcome::Details(Err(trouble())),
            "collect" => Outcome::Summary(Err(trouble())),
            other => panic!("{other}"),
        };
        let verdict = settle(&o, &next(&o), &outcome);
        tries += 1;
        let status = status_of(&verdict, &o);
        if status.finished {
            let end = End::AsTold { how: Told::Completed(None), unread: true, mirrored: false };
            assert_eq!(status.message, Some(end.to_string()));
            break;
        }
        assert_eq!(
            (has(&status, "Finished"), has(&status, "Completed")),
            ("False".to_owned(), String::new())
        );
        o.memory = verdict.memory;
        if tries == 2 {
            o.memory.details = Some(Details::default());
        }
    }
    assert_eq!(tries, 5);

    let mut late = accepted("processing");
    late.watched.latest = Some(remote("completed"));
    late.memory.failed_reads = 1;
    late.memory.over_seen_for = Duration::from_secs(601);
    assert!(status_of(&rest(&late), &late).finished, "given up after ten minutes");
    late.memory.failed_reads = 0;
    assert_eq!(word(&next(&late)), "detail", "a mere wait for its turn may be longer");
    late.memory.over_seen_for = Duration::from_secs(3601);
    late.memory.details = Some(Details { pages_crawled: Some(7), ..Details::default() });
    let status = status_of(&rest(&late), &late);
    assert_eq!((status.finished, status.remote.unwrap().pages_crawled), (true, Some(7)));
    late.memory.over_seen_for = Duration::from_secs(601);
    late.recorded.remote.as_mut().unwrap().state = Some("completed".into());
    late.account = AccountFacts::Missing { kind: AccountKind::ScrapeAccount, name: "default".to_owned() };
    assert!(status_of(&rest(&late), &late).finished, "or of an account");
}

#[test]
fn r9_r10_every_new_generation_is_observed_in_all_conditions_at_once_on_finished_objects_too() {
    let mut ended = accepted("processing");
    let done = Standing::Ended(State::Completed, Reason::Completed, Message::Said("completed".into()));
    ended.recorded = shown(done, &ended);
    ended.job.protected = false;
    let mut waiting = fresh(site());
    waiting.job.spec.suspend = Some(true);
    waiting.recorded = status_of(&rest(&waiting), &waiting);
    for mut o in [ended, waiting] {
        assert!(!writes(&o), "what stands still is not written: {:?}", o.recorded.state);
        o.account = AccountFacts::Missing { kind: AccountKind::ScrapeAccount, name: "default".to_owned() };
        assert!(!o.recorded.finished || !writes(&o), "what is over needs no account");
        o.job.generation = 2;
        assert!(writes(&o), "{:?}", o.recorded.state);
        let status = status_of(&rest(&o), &o);
        assert_eq!(status.observed_generation, Some(2));
        assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(2)));
    }
}

/// One outage has many words, and is written once.
#[test]
fn r11_r12_the_words_of_an_outage_stay_as_they_were_told_first() {
    let mut o = accepted("processing");
    o.watched.read_at = Some(ago(600));
    let told = Wait::service("502").to_string();
    for words in ["502", "503", "no answer"] {
        o.watched.trouble = Some(Trouble::Unavailable(words.into()));
        o.recorded = status_of(&rest(&o), &o);
        let synced = find(&o.recorded.conditions, "Synced").unwrap();
        assert_eq!((synced.reason.as_str(), synced.message.as_str()), ("ServiceUnavailable", told.as_str()));
    }
    o.watched.trouble = Some(Trouble::Rejected("401".into()));
    let status = status_of(&rest(&o), &o);
    let told = Wait::Rejected("401".into()).to_string();
    assert_eq!(find(&status.conditions, "Synced").unwrap().message, told, "another reason is news");
}

#[test]
fn r4_what_is_accepted_stays_ready_while_it_is_cancelled() {
    let mut o = accepted("processing");
    for (when, ready) in [(ReadyWhen::Accepted, "True"), (ReadyWhen::Finished, "Unknown")] {
        o.job.spec.ready_when = Some(when);
        assert_eq!(has(&shown(Standing::Cancelling(Message::Said("why".into())), &o), "Ready"), ready);
    }
}

#[test]
fn r12_a_wait_for_budget_is_told_once_and_only_after_five_seconds() {
    use spideriq_operator::decide::{Stop, Waiting};
    let mut o = fresh(site());
    let plan = next(&o);
    let waiting =
        |since| Outcome::NotYet(Waiting { since, estimate: Some(now()), stop: Stop::Turn, others: 0 });
    assert_eq!(settle(&o, &plan, &waiting(ago(4))).standing, None);
    let told = settle(&o, &plan, &waiting(ago(6)));
    o.recorded = status_of(&told, &o);
    assert_eq!(o.recorded.reason.as_deref(), Some("WaitingForBudget"));
    let later = settle(
        &o,
        &plan,
        &Outcome::NotYet(Waiting { since: ago(60), estimate: Some(ago(-9)), stop: Stop::Turn, others: 0 }),
    );
    assert!(same_meaning(&status_of(&later, &o), &o.recorded), "told once");
}

#[test]
fn r13_an_error_makes_the_mirror_stale_only_when_the_last_good_look_is_old() {
    for (seconds, interval, stale) in
        [(30, None, false), (59, None, false), (61, None, true), (61, Some(30), false), (151, Some(30), true)]
    {
        let mut o = accepted("processing");
        o.job.spec.poll = serde_json::from_value(serde_json::json!({"intervalSeconds": interval})).unwrap();
        o.watched.read_at = Some(ago(seconds));
        o.watched.trouble = Some(Trouble::Unavailable("down".to_owned()));
        let verdict = rest(&o);
        assert_eq!(
            matches!(verdict.freshness, Freshness::Stale(..)),
            stale,
            "{seconds} s, every {interval:?} s"
        );
        let status = status_of(&verdict, &o);
        assert_eq!(
            (status.state.as_deref(), has(&status, "Processing").as_str()),
            (Some("Processing"), "True")
        );
    }
}

#[test]
fn r14_r15_states_never_fall_and_an_unknown_word_is_not_the_end() {
    let mut o = accepted("processing");
    for (word, state) in [("queued", "Processing"), ("reviewing", "Processing"), ("processing", "Processing")]
    {
        o.watched.latest = Some(remote(word));
        let status = status_of(&rest(&o), &o);
        assert_eq!(status.state.as_deref(), Some(state), "{word}");
        assert_eq!(status.remote.unwrap().state.as_deref(), Some(word), "the raw word is told");
        assert_eq!(has(&status_of(&rest(&o), &o), "Reconciling"), "True");
    }
    // Terminal is final within a run, whatever the service says later.
    let ended = Standing::Ended(State::Completed, Reason::Completed, Message::Said("completed".into()));
    o.job.protected = false;
    o.recorded = ScrapeJobStatus {
        remote: Some(Remote { state: Some("completed".to_owned()), ..Remote::default() }),
        ..shown(ended, &o)
    };
    for word in ["queued", "processing", "failed", "cancelled", "reviewing"] {
        o.watched.latest = Some(remote(word));
        let status = status_of(&rest(&o), &o);
        assert_eq!((status.state.as_deref(), status.finished), (Some("Completed"), true), "{word}");
    }
}

#[test]
fn r17_accounts_follow_the_same_rules() {
    let recorded = ScrapeAccountStatus::default();
    let words = || "words".to_owned();
    for (health, ready, stalled) in [
        (AccountHealth::Usable { authenticated: true, suspended: false }, "True", false),
        (AccountHealth::Usable { authenticated: true, suspended: true }, "True", false),
        (AccountHealth::Rejected { since: ago(10), message: words() }, "Unknown", false),
        (AccountHealth::Rejected { since: ago(301), message: words() }, "False", true),
        (
            AccountHealth::SpendCap { authenticated: true, tried_at: ago(-3600), words: Some(words()) },
            "False",
            true,
        ),
        (
            AccountHealth::Unusable { reason: Reason::CredentialsMissing, message: words(), stalled: false },
            "Unknown",
            false,
        ),
        (
            AccountHealth::Unusable { reason: Reason::EndpointNotAllowed, message: words(), stalled: true },
            "False",
            true,
        ),
    ] {
        let facts = AccountState { health: health.clone(), ..AccountState::default() };
        let status = account_status(&facts, &recorded, 3, now()).unwrap();
        let value =
            |type_| find(&status.conditions, type_).map(|condition| format!("{:?}", condition.status));
        assert_eq!(value("Ready").as_deref(), Some(ready), "{health:?}");
        assert_eq!(value("Stalled").is_some(), stalled, "{health:?}");
        assert_eq!(value("Reconciling").is_some(), ready == "Unknown", "{health:?}");
        assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
        assert_eq!(account_status(&facts, &status, 3, now()), None, "equal meaning is not written");
    }
}

proptest! {
    /// Whatever a job goes through: a condition's time moves only with its status, none is in the future, no type
    /// stands twice, and writing the same again is no change.
    #[test]
    fn r11_times_move_only_with_a_status(steps in prop::collection::vec((0..standings().len(), 1_u64..500), 1..12)) {
        let mut o = fresh(site());
        for (step, seconds) in steps {
            o.now += Duration::from_secs(seconds);
            let standing = standings().remove(step);
            let before = o.recorded.clone();
            let after = shown(standing.clone(), &o);
            for condition in &after.conditions {
                prop_assert!(condition.last_transition_time <= Time(o.now));
                prop_assert_eq!(after.conditions.iter().filter(|other| other.type_ == condition.type_).count(), 1);
                if let Some(old) = find(&before.conditions, &condition.type_)
                    && old.status == condition.status
                {
                    prop_assert_eq!(&old.last_transition_time, &condition.last_transition_time);
                }
            }
            o.recorded = after;
            prop_assert!(same_meaning(&shown(standing, &o), &o.recorded));
            prop_assert!(serde_json::to_string(&o.recorded).unwrap().len() < 32 * 1024);
        }
    }

    /// However long and odd the service's words are, a status stays within what the schema takes.
    #[test]
    fn texts_of_the_service_are_bounded(words in "\\PC{0,3000}|[\u{0}-\u{1f}é]{0,3000}") {
        let mut o = accepted("processing");
        o.watched.latest = Some(spideriq_operator::decide::RemoteJob {
            state: RemoteState::Other(words.clone()),
            worker_id: Some(words.clone()),
            error_message: Some(words),
            ..remote("processing")
        });
        let status = status_of(&rest(&o), &o);
        prop_assert!(status.message.as_ref().unwrap().len() <= 1024);
        prop_assert!(status.conditions.iter().all(|condition| condition.message.len() <= 1024));
        let told = status.remote.clone().unwrap();
        prop_assert!(told.state.unwrap().len() <= 64 && told.worker_id.unwrap().len() <= 128);
        prop_assert!(serde_json::to_string(&status).unwrap().len() < 32 * 1024);
    }
}
