//! What an answer changes about an account, what is true of it then, when it is looked at again, what people are told, and
//! which jobs of the list an unknown submit may have made.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spideriq_operator::api::{
    Condition, ConditionStatus, Credential, Reason, ScrapeAccountStatus, StatusCredential, SubmissionRecord,
};
use spideriq_operator::decide::account::{
    AccountHealth, AccountState, Answer, Asked, Health, accepted_since, capped, is_accepted, is_of,
    looks_again_in, transition,
};
use spideriq_operator::decide::message::{Account, Remark, Wait};
use spideriq_operator::decide::{Row, Sought, candidates};
use spideriq_operator::status::account_status;

use super::situation::{ago, now};

fn words() -> String {
    "words".to_owned()
}

fn who() -> Asked {
    Asked::Who(Some("cli_a".to_owned()))
}

/// What differs from an account of which nothing is known.
fn health(change: impl FnOnce(&mut Health)) -> Health {
    let mut health = Health::default();
    change(&mut health);
    health
}

fn accepted() -> Health {
    health(|health| health.accepted = Some(ago(100)))
}

/// Rejected a while ago; its work is tried again from then on.
fn rejected(tried_again_at: Option<Timestamp>) -> Health {
    health(|health| (health.rejected, health.tried_again_at) = (Some((ago(50), words())), tried_again_at))
}

fn redirected() -> Health {
    health(|health| health.redirected = Some((ago(50), words())))
}

/// What is known before, the answer to what, and what is known then.
type Case = (&'static str, Health, Answer, Asked, Health);

fn check<const N: usize>(cases: [Case; N]) {
    for (name, before, answer, asked, after) in cases {
        assert_eq!(before.after(&answer, &asked, now(), now()), after, "{name}");
    }
}

#[test]
fn a_good_answer_ends_what_it_disproves() {
    check([
        (
            "first good answer",
            Health::default(),
            Answer::Done,
            Asked::Work,
            health(|h| h.accepted = Some(now())),
        ),
        ("a further one", accepted(), Answer::Done, Asked::Work, accepted()),
        (
            "it tells whose they are",
            accepted(),
            Answer::Done,
            who(),
            Health { told: true, named: Some("cli_a".to_owned()), ..accepted() },
        ),
        (
            "it accepts them without a name",
            accepted(),
            Answer::Done,
            Asked::Who(None),
            Health { told: true, ..accepted() },
        ),
        (
            "work goes again",
            rejected(Some(ago(10))),
            Answer::Done,
            Asked::Work,
            health(|h| h.accepted = Some(now())),
        ),
        (
            "good credentials whose work was rejected",
            rejected(Some(ago(10))),
            Answer::Done,
            Asked::Who(None),
            Health { accepted: Some(now()), told: true, ..rejected(Some(ago(10))) },
        ),
        (
            "a list of what has changed, while a submit is rejected",
            rejected(Some(ago(10))),
            Answer::Done,
            Asked::List,
            Health { accepted: Some(now()), ..rejected(Some(ago(10))) },
        ),
        (
            "good credentials again",
            rejected(None),
            Answer::Done,
            Asked::Who(None),
            health(|h| (h.accepted, h.told) = (Some(now()), true)),
        ),
    ]);
}

#[test]
fn a_refusal_says_what_it_says_of_the_account_and_no_more() {
    let later = Some(ago(-300));
    check([
        ("it does not redirect any more", redirected(), Answer::Refused, Asked::Work, Health::default()),
        ("nor where it cannot now", redirected(), Answer::NotNow, Asked::Work, Health::default()),
        ("no answer says nothing", redirected(), Answer::Nothing, who(), redirected()),
        (
            "work is rejected",
            accepted(),
            Answer::Rejected(words()),
            Asked::Work,
            health(|h| (h.rejected, h.tried_again_at) = (Some((now(), words())), later)),
        ),
        (
            "whoami is rejected: nothing tries it but whoami",
            accepted(),
            Answer::Rejected(words()),
            who(),
            health(|h| h.rejected = Some((now(), words()))),
        ),
        (
            "rejected once more, when it was tried",
            rejected(Some(ago(0))),
            Answer::Rejected("other".to_owned()),
            Asked::First,
            rejected(later),
        ),
        (
            "rejected together with another",
            rejected(Some(ago(-1))),
            Answer::Rejected("other".to_owned()),
            Asked::First,
            rejected(Some(ago(-1))),
        ),
        (
            "a cap is a word of whom it accepts",
            Health::default(),
            Answer::Capped(words()),
            Asked::First,
            health(|h| (h.accepted, h.spend_cap) = (Some(now()), Some(words()))),
        ),
        (
            "it redirects",
            accepted(),
            Answer::Redirected(words()),
            Asked::Work,
            health(|h| h.redirected = Some((now(), words()))),
        ),
        ("it redirects still", redirected(), Answer::Redirected("other".to_owned()), who(), redirected()),
        ("it never tells", Health::default(), Answer::Refused, who(), health(|h| h.told = true)),
        ("it may tell later", Health::default(), Answer::NotNow, who(), Health::default()),
        (
            "it never tells of what it rejected: work finds out",
            rejected(None),
            Answer::Refused,
            who(),
            Health { told: true, ..rejected(later) },
        ),
        ("a refused request is no word of the account", accepted(), Answer::Refused, Asked::Work, accepted()),
    ]);
}

#[test]
fn rejected_credentials_reject_until_work_is_tried_again() {
    for (tried_again_at, rejects) in [(None, true), (Some(ago(-1)), true), (Some(ago(0)), false)] {
        let since = rejected(tried_again_at).rejects(now()).map(|(since, _)| since);
        assert_eq!(since, rejects.then_some(ago(50)), "{tried_again_at:?}");
    }
}

#[test]
fn the_worst_that_is_known_says_how_an_account_stands() {
    let cap = || Some((ago(-3600), Some("cap".to_owned())));
    let both = Health { rejected: Some((ago(50), words())), ..redirected() };
    let redirects = Account::Redirects(words()).to_string();
    let unusable =
        AccountHealth::Unusable { reason: Reason::EndpointNotAllowed, message: redirects, stalled: true };
    let cases = [
        (both, cap(), unusable),
        (rejected(None), cap(), AccountHealth::Rejected { since: ago(50), message: words() }),
        (
            accepted(),
            cap(),
            AccountHealth::SpendCap {
                authenticated: true,
                tried_at: ago(-3600),
                words: Some("cap".to_owned()),
            },
        ),
        (accepted(), None, AccountHealth::Usable { authenticated: true, suspended: true }),
        (Health::default(), None, AccountHealth::Usable { authenticated: false, suspended: true }),
    ];
    for (health, cap, stands) in cases {
        assert_eq!(AccountHealth::of(health, cap, true), stands);
    }
}

fn standing(health: AccountHealth) -> AccountState {
    AccountState { health, ..AccountState::default() }
}

fn usable(authenticated: bool) -> AccountState {
    standing(AccountHealth::Usable { authenticated, suspended: false })
}

fn missing(seconds: i64) -> (AccountState, ScrapeAccountStatus) {
    let state = standing(AccountHealth::Unusable {
        reason: Reason::CredentialsMissing,
        message: words(),
        stalled: false,
    });
    let written = account_status(&state, &ScrapeAccountStatus::default(), 1, ago(seconds)).unwrap();
    (state, written)
}

#[test]
fn an_account_is_looked_at_again_when_nothing_else_tells() {
    let (works, rests) = (true, false);
    let (watched, unwatched) = (true, false);
    let untried = Duration::from_secs(60);
    let capped =
        standing(AccountHealth::SpendCap { authenticated: true, tried_at: ago(-100), words: Some(words()) });
    let rejected = standing(AccountHealth::Rejected { since: ago(50), message: words() });
    let paused = AccountState { paused_until: Some(ago(-40)), ..usable(true) };
    let recorded = ScrapeAccountStatus::default();
    let cases = [
        ("in use", usable(true), works, watched, None),
        ("in use, its Secret not watched", usable(true), works, unwatched, Some(300)),
        ("without work", usable(true), rests, unwatched, None),
        ("not accepted yet", usable(false), works, watched, Some(60)),
        ("not accepted yet, without work", usable(false), rests, unwatched, None),
        ("paused", paused, works, watched, Some(41)),
        ("capped", capped, works, watched, Some(161)),
        ("rejected", rejected, works, watched, Some(300)),
    ];
    for (name, state, works, watched, seconds) in cases {
        let left = looks_again_in(&state, (works, watched), &recorded, (now(), untried));
        assert_eq!(left.map(|left| left.as_secs()), seconds, "{name}");
    }
    for (seconds, left) in [(0, 2), (1, 2), (17, 17), (1000, 300)] {
        let (state, recorded) = missing(seconds);
        let looked = looks_again_in(&state, (works, unwatched), &recorded, (now(), untried));
        assert_eq!(looked, Some(Duration::from_secs(left)), "missing for {seconds} s");
        let looked = looks_again_in(&state, (works, watched), &recorded, (now(), untried));
        assert_eq!(looked, Some(Duration::from_secs(300)), "its Secret is watched");
    }
}

#[test]
fn people_are_told_once_when_an_account_becomes_usable_or_ceases_to_be() {
    let mut recorded = ScrapeAccountStatus::default();
    let mut told = |state: &AccountState| {
        let Some(status) = account_status(state, &recorded, 1, now()) else { return Vec::new() };
        let events = transition(&recorded, (&status, state));
        recorded = status;
        events
            .into_iter()
            .map(|event| (event.warning, event.reason, event.note.to_string()))
            .collect::<Vec<_>>()
    };
    let label = || Remark::NeedsLabel("label it".to_owned());
    let missing = missing(0).0;
    assert_eq!(told(&missing), [(true, Reason::CredentialsMissing, words())]);
    assert_eq!(told(&missing), []);
    assert_eq!(told(&usable(true)), [(false, Reason::Available, Account::Available(Vec::new()).to_string())]);
    let other = AccountState { remarks: vec![Remark::BeyondClient], ..usable(true) };
    assert_eq!(told(&other), [], "other words are no news");
    let warned = AccountState { warning: Some(label()), ..usable(true) };
    assert_eq!(told(&warned), [(true, Reason::CredentialsMissing, label().to_string())]);
    assert_eq!(told(&warned), []);
    let rejected = standing(AccountHealth::Rejected { since: ago(500), message: words() });
    assert_eq!(told(&rejected), [(true, Reason::CredentialsRejected, Wait::Rejected(words()).to_string())]);
    let both = account_status(&warned, &ScrapeAccountStatus::default(), 1, now()).unwrap();
    let events = transition(&ScrapeAccountStatus::default(), (&both, &warned));
    assert_eq!(events.iter().map(|event| event.warning).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_status_tells_the_next_process_what_was_accepted() {
    let condition = |type_: &str, status, message: &str| Condition {
        type_: type_.to_owned(),
        status,
        reason: "Word".to_owned(),
        message: message.to_owned(),
        last_transition_time: Time(ago(70)),
        observed_generation: Some(3),
    };
    let status = |authenticated| ScrapeAccountStatus {
        observed_generation: Some(3),
        credential: Some(StatusCredential { resource_version: "7".to_owned() }),
        conditions: vec![condition("Authenticated", authenticated, "")],
        ..ScrapeAccountStatus::default()
    };
    let secret = |version: &str| Credential { uid: "uid".to_owned(), resource_version: version.to_owned() };
    let good = status(ConditionStatus::True);
    assert_eq!(accepted_since(&good), Some(ago(70)));
    assert!(is_accepted(Some(&good), &secret("7")) && !is_accepted(Some(&good), &secret("8")));
    assert!(!is_accepted(None, &secret("7")));
    for bad in [ConditionStatus::False, ConditionStatus::Unknown] {
        assert_eq!(accepted_since(&status(bad)), None);
        assert!(!is_accepted(Some(&status(bad)), &secret("7")));
    }
    for (generation, version, now) in [(3, "7", true), (4, "7", false), (3, "8", false)] {
        assert_eq!(is_of(&good, generation, version), now, "{generation} {version}");
    }
    assert_eq!(capped(&good), None);
    let cap = ScrapeAccountStatus { spend_cap_retry_time: Some(Time(ago(-60))), ..good };
    assert_eq!(capped(&cap), Some(ago(-60)));
}

/// A first attempt 100 s ago, or the last of several 40 s ago.
fn submitted(attempt: i32) -> SubmissionRecord {
    SubmissionRecord {
        attempt: Some(attempt),
        started_at: Some(Time(ago(100))),
        tried_at: (attempt > 1).then(|| Time(ago(40))),
        ..SubmissionRecord::default()
    }
}

fn sought(submission: Option<&SubmissionRecord>, intended: Option<Timestamp>, shared: bool) -> Sought {
    let kind = (Some("spiderSite"), Some("https://a.example"));
    Sought::of(submission, intended, shared, kind, now())
}

#[test]
fn jobs_are_looked_for_from_a_minute_before_the_first_attempt() {
    let future = SubmissionRecord { started_at: Some(Time(ago(-1))), ..submitted(1) };
    let first = submitted(1);
    let cases = [
        (Some(&first), None, false, Some(ago(160))),
        (Some(&first), Some(ago(500)), true, Some(ago(160))),
        (Some(&future), Some(ago(500)), false, None),
        (None, Some(ago(500)), false, Some(ago(560))),
        (None, Some(ago(500)), true, None),
        (None, Some(ago(-1)), false, None),
        (None, None, false, None),
    ];
    for (submission, intended, shared, since) in cases {
        assert_eq!(sought(submission, intended, shared).since, since, "{submission:?} {intended:?} {shared}");
    }
}

#[test]
fn of_the_list_as_many_jobs_are_named_as_an_account_of_ones_own_allows_and_as_few_with_one_of_others() {
    let row = |type_: Option<&str>, url: Option<&str>, created_at| Row {
        job_id: "j".to_owned(),
        type_: type_.map(str::to_owned),
        url: url.map(str::to_owned),
        created_at,
    };
    let (site, address) = (Some("spiderSite"), Some("https://a.example"));
    // Made then; named with an account of one's own, and with one that others use; after a first attempt, and after more.
    let cases = [
        (row(site, address, Some(ago(100))), [true, true], [true, true]),
        (row(site, address, Some(ago(160))), [true, true], [true, true]),
        (row(site, address, Some(ago(161))), [false, false], [false, false]),
        (row(site, address, Some(ago(40))), [true, true], [true, true]),
        (row(site, address, Some(ago(39))), [true, false], [true, true]),
        (row(site, address, Some(ago(-21))), [true, false], [true, false]),
        (row(site, address, None), [true, false], [true, false]),
        (row(None, address, Some(ago(100))), [true, false], [true, false]),
        (row(Some("spiderMaps"), address, Some(ago(100))), [false, false], [false, false]),
        (row(site, None, Some(ago(100))), [true, false], [true, false]),
        (row(site, Some("https://b.example"), Some(ago(100))), [false, false], [false, false]),
    ];
    for (row, first, more) in cases {
        for (attempt, named) in [(1, first), (3, more)] {
            let record = submitted(attempt);
            let found = [false, true].map(|shared| {
                let sought = sought(Some(&record), None, shared);
                !candidates(vec![row.clone()], &sought, |_| false, false).is_empty()
            });
            assert_eq!(found, named, "attempt {attempt}, {row:?}");
        }
    }
    let rows = ["a", "b"].map(|id| Row { job_id: id.to_owned(), ..row(site, address, Some(ago(100))) });
    let found = candidates(rows.to_vec(), &sought(Some(&submitted(1)), None, false), |id| id == "b", true);
    let told: Vec<_> = found.iter().map(|found| (found.job_id.as_str(), found.claimed)).collect();
    assert_eq!(told, [("a", false), ("b", true)]);
    assert!(found.iter().all(|found| found.contested && found.created_at == Some(ago(100))));
}
