//! What jobs are told of what stops the queue.

use std::time::Duration;

use spideriq_operator::decide::message::{Cancel, CancelWaits};
use spideriq_operator::decide::{Observed, Outcome, Standing, Stop, Waiting, next, settle};
use spideriq_operator::status::same_meaning;

use super::situation::{accepted, ago, fresh, now, site, status_of};
use super::table::with_account;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn waits(o: &Observed, stop: Stop) -> spideriq_operator::api::ScrapeJobStatus {
    let waiting = Waiting { since: ago(31), estimate: Some(now() + 5 * MINUTE), stop, others: 0 };
    status_of(&settle(o, &next(o), &Outcome::NotYet(waiting)), o)
}

#[test]
fn the_reason_of_a_wait_is_what_stops_the_queue_told_once_for_an_outage() {
    let mut o = fresh(site());
    let failing = |words: &str| Stop::Failing(words.to_owned());
    let steps: [(Stop, &str, bool); 8] = [
        (failing("no connection: refused"), "ServiceUnavailable", true),
        (failing("no answer in time"), "ServiceUnavailable", false),
        (Stop::Recovering, "ServiceUnavailable", false),
        (failing("refused"), "ServiceUnavailable", false),
        (Stop::Turn, "WaitingForBudget", true),
        (Stop::Recovering, "WaitingForBudget", false),
        (Stop::Asked(Some(now() + DAY)), "RateLimited", true),
        (Stop::Turn, "RateLimited", false),
    ];
    for (n, (stop, reason, written)) in steps.into_iter().enumerate() {
        let after = waits(&o, stop);
        assert_eq!(after.reason.as_deref(), Some(reason), "step {n}");
        assert_eq!(!same_meaning(&after, &o.recorded), written, "step {n}");
        if n == 0 {
            let message = after.message.as_deref().unwrap();
            assert!(message.contains("no connection: refused"), "{message}");
        }
        o.recorded = after;
    }
    assert_eq!(o.recorded.retry_after.map(|time| time.0), Some(now() + DAY), "until when the service asked");
}

#[test]
fn an_address_that_is_not_known_is_waited_for_ten_minutes_and_its_likely_cause_is_named() {
    let mut o = fresh(site());
    let stop = |minutes: i64| Stop::NotServed { since: ago(60 * minutes), words: "404".to_owned() };
    for (minutes, endpoint, expected, named) in [
        (9, "https://spideriq.ai/api/v1", "Pending ServiceUnavailable", false),
        (9, "https://spideriq.ai", "Pending ServiceUnavailable", true),
        (10, "https://spideriq.ai/api/v1/", "Held NotServed", false),
        (10, "https://spideriq.ai/api", "Held NotServed", true),
        // A new process counts anew, and does not take the hold back.
        (0, "https://spideriq.ai/api", "Held NotServed", true),
    ] {
        with_account(&mut o, |account| account.endpoint = endpoint.to_owned());
        o.recorded = waits(&o, stop(minutes));
        let found = format!("{} {}", o.recorded.state.clone().unwrap(), o.recorded.reason.clone().unwrap());
        let message = o.recorded.message.clone().unwrap();
        assert_eq!(found, expected);
        assert_eq!(message.contains("likely cause"), named, "{message}");
        assert!(message.contains("404"), "{message}");
    }
    // It is in line all the same, and goes on by itself.
    assert!(next(&o).takes_turn());
    let short = Waiting { since: ago(29), estimate: None, stop: Stop::Turn, others: 0 };
    assert_eq!(settle(&o, &next(&o), &Outcome::NotYet(short)).standing, None, "for half a minute");
    assert_eq!(waits(&o, Stop::Turn).state.as_deref(), Some("Pending"));
}

#[test]
fn a_cancel_says_what_it_waits_for() {
    let mut o = accepted("processing");
    o.job.deleted_at = Some(ago(1));
    o.memory.ending_before = Some(Duration::ZERO);
    for (stop, waits) in [
        (Stop::Turn, CancelWaits::Turn(0)),
        (Stop::Asked(None), CancelWaits::Pause(0)),
        (Stop::Failing("refused".to_owned()), CancelWaits::Service("refused".to_owned())),
    ] {
        let waiting = Waiting { since: ago(10), estimate: None, stop, others: 0 };
        let verdict = settle(&o, &next(&o), &Outcome::NotYet(waiting));
        assert_eq!(verdict.standing, Some(Standing::Cancelling(Cancel::Waits(waits).into())));
    }
}
