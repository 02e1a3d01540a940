//! The reading of all jobs that are not over: what the list of changes does not tell is found, and it costs pages, not looks.

use std::time::Duration;

use proptest::prelude::*;

use super::{Weather, busiest, run};
use crate::poll::tail::floor::Moment;
use crate::poll::tail::net::Net;
use crate::spideriq::{Listed, PAGE};

fn weather(own: usize) -> Weather {
    Weather { seed: 3, own, foreign: 300, changes: 5, late: 0, ahead: 0, shuffled: false, swallowed: 0 }
}

/// What a round asks for while the lists have so many rows.
fn asked(net: &mut Net, rows: [usize; 2], jobs: usize) -> Vec<(Listed, usize)> {
    let (mut asked, mut now) = (Vec::new(), Moment::ZERO);
    while let Some((at, of, page)) = net.next(jobs, 100, now) {
        if !asked.is_empty() && !net.is_read(now) {
            break;
        }
        now = now.max(at) + Duration::from_secs(1);
        net.ask(jobs, now);
        asked.push((of, page));
        let list = rows[usize::from(of == Listed::Processing)];
        net.took(list.saturating_sub((page - 1) * PAGE).min(PAGE), jobs, now);
        assert!(asked.len() < 100_000, "it ends");
    }
    asked
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Each page of both lists is read, from the last to the first, with a few more to find the last; and the next
    /// round knows where the last one was.
    #[test]
    fn each_page_is_read_from_the_last_to_the_first(queued in 0..3_000usize, processing in 0..3_000usize, more in 0..150usize) {
        let mut net = Net::default();
        for grown in [0, more] {
            net.call();
            let rows = [queued + grown, processing + grown];
            let asked = asked(&mut net, rows, 10_000);
            for (of, rows) in [(Listed::Queued, rows[0]), (Listed::Processing, rows[1])] {
                let pages: Vec<usize> = asked.iter().filter(|(at, _)| *at == of).map(|(_, page)| *page).collect();
                let last = rows.div_ceil(PAGE);
                let read_last = |page: usize| pages.iter().rposition(|at| *at == page);
                prop_assert!(pages.len() <= last + 14, "{pages:?} for {last}");
                let order: Option<Vec<usize>> = (1..=last).rev().map(read_last).collect();
                prop_assert!(order.is_some_and(|order| order.is_sorted()), "{pages:?} for {last}");
                if grown > 0 {
                    prop_assert!(pages.len() <= last + 4, "{pages:?} for {last}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    /// Where the list of changes swallows some of them, what it did not tell is found all the same, and cheaply.
    #[test]
    fn what_the_list_of_changes_does_not_tell_is_found(seed in any::<u64>(), own in 60..400usize, swallowed in 1..30u32) {
        let ran = run(&Weather { seed, swallowed, ..weather(own) }, 300, 1_400);
        prop_assert_eq!(ran.lost, 0);
        prop_assert!(busiest(&ran.asked) <= 60, "{} requests in a minute", busiest(&ran.asked));
    }
}

/// Two hundred jobs of which nobody knows anything are known after a few pages; a few are looked at.
#[test]
fn jobs_in_numbers_that_nobody_has_seen_are_shown_by_a_few_pages() {
    let quiet = |own| Weather { foreign: 2_000, ..weather(own) };
    for (own, most) in [(200, 6), (1_000, 30)] {
        let ran = run(&quiet(own), 0, 60);
        assert_eq!((ran.lost, ran.looks), (0, 0));
        assert!(ran.rounds <= most, "{} pages for {own}", ran.rounds);
    }
    assert_eq!(run(&quiet(3), 0, 60).rounds, 0, "looks cost less");
}

/// It is not read where others have so many jobs that looks cost less, nor for ever where pages do not end.
#[test]
fn it_is_not_read_where_looks_cost_less() {
    let mut net = Net::default();
    net.call();
    let pages = asked(&mut net, [usize::MAX; 2], 60);
    assert!(pages.len() <= 10, "{pages:?}");
    assert!(!net.is_worth_it(60, Duration::from_secs(100)));
    assert!(net.is_worth_it(60, Duration::from_secs(3_600)), "it is tried again");
}

#[test]
fn a_page_that_fails_again_and_again_ends_it_for_a_while() {
    let (mut net, now) = (Net::default(), Duration::from_secs(5));
    net.call();
    net.ask(100, now);
    for _ in 0..2 {
        net.failed(false, now);
        assert!(net.is_read(now));
    }
    net.failed(false, now);
    assert!(!net.is_read(now) && !net.is_worth_it(100, now));
    net.call();
    assert!(net.next(100, 100, now).unwrap().0 >= now + Duration::from_secs(1_800));
}

/// Where fewer jobs are followed than before, the last page is looked for among fewer.
#[test]
fn it_is_read_again_after_there_were_many_more_jobs() {
    let (mut net, mut now) = (Net::default(), Moment::ZERO);
    net.call();
    asked(&mut net, [6_000, 4_000], 10_000);
    net.call();
    now += Duration::from_secs(1_000);
    let (_, _, page) = net.next(55, 100, now).unwrap();
    assert!(page <= 57, "{page}");
    let pages = asked(&mut net, [40, 40], 55);
    assert!(pages.len() <= 30, "{pages:?}");
    assert!(net.is_worth_it(55, Duration::from_secs(10_000)));
}

/// Lists that are empty all of a sudden say nothing of jobs in numbers.
#[test]
fn a_round_that_shows_nearly_nothing_of_many_is_not_believed() {
    let (mut net, now) = (Net::default(), Duration::from_secs(5));
    let read = |net: &mut Net| {
        net.ask(1_000, now);
        while !net.took(0, 1_000, now) {}
    };
    read(&mut net);
    assert!(!net.is_believed(1_000, 1_000, now), "it is read once more");
    while !net.took(0, 1_000, now) {}
    assert!(!net.is_believed(1_000, 1_000, now));
    assert!(!net.is_worth_it(1_000, now), "and not for a while");
    let mut net = Net::default();
    read(&mut net);
    assert!(net.is_believed(100, 1_000, now), "a page of them is looked at");
}
