//! What the status of an account tells of a spend cap that the service met.

use spideriq_operator::api::{ScrapeAccountStatus, find};
use spideriq_operator::decide::account::{AccountHealth, AccountState};
use spideriq_operator::decide::message::Account;
use spideriq_operator::status::account_status;

use super::situation::{ago, now};

#[test]
fn when_a_spend_cap_is_tried_again_is_written_once_an_hour_whatever_the_clock_does() {
    let facts = |tried_at| {
        let health =
            AccountHealth::SpendCap { authenticated: true, tried_at, words: Some("cap reached".to_owned()) };
        AccountState { health, ..AccountState::default() }
    };
    let written = account_status(&facts(ago(-3600)), &ScrapeAccountStatus::default(), 3, now()).unwrap();
    assert_eq!(written.spend_cap_retry_time.as_ref().map(|time| time.0), Some(ago(-3600)));
    for (seconds, writes) in [(-3600, false), (-3630, false), (-3541, false), (-7200, true), (0, true)] {
        assert_eq!(account_status(&facts(ago(seconds)), &written, 3, now()).is_some(), writes, "{seconds}");
    }
    let raised = AccountState::default();
    assert_eq!(account_status(&raised, &written, 3, now()).unwrap().spend_cap_retry_time, None);
}

/// A process that has not met the cap itself leaves what an earlier one told of it.
#[test]
fn what_is_told_of_a_spend_cap_outlives_the_process_that_met_it() {
    let state = |words: Option<&str>| {
        let words = words.map(str::to_owned);
        let health = AccountHealth::SpendCap { authenticated: true, tried_at: ago(-3600), words };
        AccountState { health, ..AccountState::default() }
    };
    let fresh = account_status(&state(None), &ScrapeAccountStatus::default(), 3, now()).unwrap();
    let told = account_status(&state(Some("50 of 50 spent")), &fresh, 3, now()).unwrap();
    let message = |status: &ScrapeAccountStatus| find(&status.conditions, "Ready").unwrap().message.clone();
    assert_eq!(message(&told), Account::SpendCap(Some("50 of 50 spent".to_owned())).to_string());
    assert_eq!(account_status(&state(None), &told, 3, now()), None);
}
