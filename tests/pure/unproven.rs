//! Accounts whose credentials the service has not accepted yet.

use std::time::Duration;

use spideriq_operator::api::Reason;
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
    let redirected = unusable(Reason::EndpointNotAllowed, words(), true);
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
