//! Watches that break at each change, so that what happened is learnt from a list.

use std::time::Duration;

use super::fate::Plan;
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
