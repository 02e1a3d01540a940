//! Accounts whose credentials the service has not accepted yet.

use std::time::Duration;

use spideriq_operator::api::{ClientIdSource, Reason, ScrapeAccountStatus};
use spideriq_operator::decide::account::{AccountHealth, LATER, Proof, Said, Unproven};
use spideriq_operator::decide::message::Account;

use super::situation::ago;

const GOOD: &str = "https://spideriq.example/api/v1";
const ODD: &str = "https://spideriq.example";

fn words() -> String {
    "words".to_owned()
}

fn said() -> [Said; 5] {
    let proof = Proof::new(None, None, false, ago(0));
    [
        Said::Nothing,
        Said::Accepted(proof),
        Said::Rejected(ago(50), words()),
        Said::Redirected(words()),
        Said::Unclear { words: words(), no_address: true },
    ]
}

#[test]
fn what_is_rejected_and_has_no_work_is_not_asked_about_again() {
    assert_eq!(said().map(|said| said.is_asked(true)), [true; 5]);
    assert_eq!(said().map(|said| said.is_asked(false)), [true, true, false, false, true]);
}

#[test]
fn what_the_service_said_of_the_credentials_says_how_the_account_stands() {
    let unusable =
        |reason, message, stalled| Unproven::Stands(AccountHealth::Unusable { reason, message, stalled });
    let unclear = |odd_address| {
        let message = Account::NotAccepted { words: words(), odd_address };
        unusable(Reason::ServiceUnavailable, message.to_string(), false)
    };
    let waits = || unusable(Reason::AccountNotReady, Account::WaitsToAsk.to_string(), false);
    let rejected = Unproven::Stands(AccountHealth::Rejected { since: ago(50), message: words() });
    let redirects = Account::Redirects(words()).to_string();
    let redirected = unusable(Reason::EndpointNotAllowed, redirects, true);
    let expected = [waits(), waits(), rejected, redirected, unclear(false)];
    let seconds = Duration::from_secs;
    assert_eq!(said().map(|said| said.unproven(true, seconds(3), GOOD)), expected);
    let silent = |left| Unproven::Silent(left);
    let [nothing, ..] = said();
    for (works, waited, expected) in [
        (true, 0, silent(seconds(3))),
        (true, 2, silent(seconds(1))),
        (true, 60, waits()),
        (false, 0, silent(LATER)),
        (false, 60, silent(LATER)),
    ] {
        assert_eq!(nothing.clone().unproven(works, seconds(waited), GOOD), expected, "{works} {waited}");
    }
    let [.., unknown] = said();
    assert_eq!(unknown.unproven(true, seconds(0), ODD), unclear(true), "the endpoint is the likely cause");
    let down = Said::Unclear { words: words(), no_address: false };
    assert_eq!(down.unproven(true, seconds(0), ODD), unclear(false));
}

#[test]
fn the_jobs_of_an_account_that_cannot_be_used_are_told_why() {
    let cap = Account::SpendCap(None).to_string();
    for (health, why, rejected) in [
        (
            AccountHealth::Unusable { reason: Reason::CredentialsMissing, message: words(), stalled: false },
            (Reason::CredentialsMissing, words()),
            None,
        ),
        (
            AccountHealth::Rejected { since: ago(50), message: words() },
            (Reason::CredentialsRejected, words()),
            Some(ago(50)),
        ),
        (
            AccountHealth::SpendCap { authenticated: true, tried_at: ago(0), words: None },
            (Reason::SpendCapReached, cap),
            None,
        ),
    ] {
        assert_eq!(health.why(), (why, rejected), "{health:?}");
    }
}

/// After a restart nobody is taken for named by the service whose name only the token carries, nor the other way round.
#[test]
fn what_an_earlier_process_recorded_says_where_a_name_is_from() {
    let (service, token) = (Some(ClientIdSource::Service), Some(ClientIdSource::Token));
    let rows = [
        // (recorded name and source, the token's) → (name, alias, source)
        ((Some("cli_a"), service, Some("cli_a")), (Some("cli_a"), None, service)),
        ((Some("cli_a"), service, Some("cli_b")), (Some("cli_a"), Some("cli_b"), service)),
        ((Some("cli_a"), service, None), (Some("cli_a"), None, service)),
        ((Some("cli_a"), token, Some("cli_a")), (Some("cli_a"), None, token)),
        // An earlier release did not record it.
        ((Some("cli_a"), None, Some("cli_a")), (Some("cli_a"), None, None)),
        ((Some("cli_a"), None, Some("cli_b")), (Some("cli_a"), Some("cli_b"), service)),
        ((Some("cli_a"), None, None), (Some("cli_a"), None, service)),
        // Nobody was asked yet.
        ((None, None, Some("cli_b")), (Some("cli_b"), None, None)),
        ((None, None, None), (None, None, None)),
    ];
    for ((name, client_id_source, claimed), (client_id, alias, source)) in rows {
        let owned = |word: Option<&str>| word.map(str::to_owned);
        let client_id_before = owned(name);
        let status =
            ScrapeAccountStatus { client_id: client_id_before, client_id_source, ..Default::default() };
        let expected = Proof { client_id: owned(client_id), alias: owned(alias), source, since: ago(9) };
        let found = Proof::recorded(&status, owned(claimed), ago(9));
        assert_eq!(found, expected, "{name:?} {client_id_source:?} {claimed:?}");
    }
}

#[test]
fn what_says_nothing_is_asked_again_with_growing_pauses() {
    let [nothing, accepted, rejected, redirected, unclear] = said();
    for works in [true, false] {
        for said in [&nothing, &accepted] {
            assert_eq!(said.holds(works, 9), Duration::ZERO);
        }
        for said in [&rejected, &redirected] {
            assert_eq!(said.holds(works, 0), Duration::from_secs(300));
        }
        let pauses = [1, 2, 3, 4, 5, 6, 7, u32::MAX].map(|times| unclear.holds(works, times).as_secs());
        let longest = if works { [60; 4] } else { [80, 160, 300, 300] };
        assert_eq!(pauses[..4], [5, 10, 20, 40]);
        assert_eq!(pauses[4..], longest);
    }
}
