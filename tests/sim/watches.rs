//! Watches that break at each change, so that what happened is learnt from a list.

use std::time::Duration;

use emulator::journal::Event;

use super::fate::Plan;
use super::lists::between;
use super::run::run;
use super::scenario::{Deed, scenario, site};

/// An account that goes while nobody watches is used no more.
#[test]
fn nothing_is_submitted_with_an_account_that_went_while_the_watch_was_broken() {
    let deeds = vec![
        (1, Deed::Create("before", site("before"))),
        (60, Deed::DeleteAccount),
        (120, Deed::Create("after", site("after"))),
    ];
    let broken =
        Plan { latency: Duration::from_millis(5), broken_watches: 1000, until: u64::MAX, ..Plan::default() };
    let ended = run(&scenario("an account goes", deeds, 300), 1, broken);
    let jobs = ended.api.store().list("ScrapeJob", None);
    let how: Vec<_> = jobs.iter().map(|job| job["status"]["reason"].as_str().unwrap()).collect();
    assert_eq!(how, ["AccountNotFound", "Completed"], "{}", ended.fate.trace());
}

/// A watch that breaks is listed anew; however often it broke before, nobody's new object waits for longer.
#[test]
fn watches_that_break_again_and_again_keep_nobody_waiting() {
    let name = |n: u64| &*format!("job-{n}").leak();
    let at = |n: u64| 10 + 30 * n;
    let deeds = (0..12).map(|n| (at(n), Deed::Create(name(n), site(name(n))))).collect();
    let broken =
        Plan { latency: Duration::from_millis(5), broken_watches: 1000, until: u64::MAX, ..Plan::default() };
    let ended = run(&scenario("watches break", deeds, 600), 1, broken);
    for n in 0..12 {
        // The loop's own pause would be of half a minute by now.
        let within = between(&ended, at(n), at(n) + 4);
        let submit = |event: &&Event| matches!(event, Event::Request(request) if request.route == "submit");
        assert_eq!(within.iter().filter(submit).count(), 1, "{}:\n{}", name(n), ended.fate.trace());
    }
}
