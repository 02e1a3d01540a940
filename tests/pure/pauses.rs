//! What stops the queue: long waits that the service asks for, an address that it does not know, an outage; who tries
//! them, and what people are told meanwhile.

use std::time::Duration;

use jiff::Timestamp;
use spideriq_operator::budget::{
    self, Budget, Counted, Lane, Limits, SUBMITS_PROBE, Subject, Ticket, Verdict,
};

use super::situation::now;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A budget with plenty of requests, and a moment.
struct Desk {
    budget: Budget,
    now: Timestamp,
    names: u32,
}

impl Desk {
    fn open() -> Self {
        let limits = Limits { requests_per_minute: 6000, burst: 500, submits_per_minute: 600 };
        Self { budget: Budget::unused(limits, Timestamp::UNIX_EPOCH), now: Timestamp::UNIX_EPOCH, names: 0 }
    }

    /// A submit of a type, or anything else.
    fn asks(&mut self, lane: Lane, kind: &str) -> Ticket {
        self.names += 1;
        let kind = Some(kind.to_owned()).filter(|_| lane == Lane::Submit);
        let subject = Subject { name: format!("job-{}", self.names), kind };
        self.budget.enqueue("", lane, "default", subject)
    }

    /// So many submits.
    fn ask(&mut self, many: usize) {
        for _ in 0..many {
            self.asks(Lane::Submit, "spiderMaps");
        }
    }

    fn turns(&mut self) -> Vec<Ticket> {
        self.budget.grant(self.now)
    }

    fn hears(&mut self, ticket: Ticket, verdict: Verdict) {
        self.budget.answered(self.now, ticket, verdict, Counted::default(), 1.0);
    }

    fn hear(&mut self, tickets: Vec<Ticket>, verdict: &Verdict) {
        for ticket in tickets {
            self.hears(ticket, verdict.clone());
        }
    }

    /// One request that goes at once, and its answer.
    fn asked(&mut self, lane: Lane, verdict: Verdict) {
        let ticket = self.asks(lane, "spiderMaps");
        assert_eq!(self.turns(), [ticket], "{lane:?} goes");
        self.hears(ticket, verdict);
    }

    fn throttled(&mut self, lane: Lane, length: Duration) {
        let until = self.now + length;
        self.asked(lane, Verdict::Throttled(Some(until)));
    }

    fn stop(&self, lane: Lane, kind: &str) -> budget::Stop {
        let kind = Some(kind.to_owned()).filter(|_| lane == Lane::Submit);
        self.budget.stop(lane, &Subject { name: "other".to_owned(), kind }, self.now)
    }
}

#[test]
fn a_day_that_a_submit_is_told_stops_submits_only_and_one_tries_each_hour() {
    let mut desk = Desk::open();
    desk.throttled(Lane::Submit, DAY);
    let until = desk.now + DAY;
    for lane in [Lane::Cancel, Lane::Poll, Lane::Results, Lane::Whoami] {
        desk.asked(lane, Verdict::Answered);
    }
    assert_eq!(
        (desk.budget.service_pause(desk.now), desk.budget.submits_pause(desk.now)),
        (None, Some(until))
    );
    assert_eq!(desk.stop(Lane::Submit, "spiderMaps"), budget::Stop::Asked(Some(until)));
    desk.ask(5);
    for _ in 0..3 {
        assert!(desk.turns().is_empty());
        desk.now += HOUR;
        let [probe] = desk.turns()[..] else { panic!("one tries") };
        desk.asks(Lane::Submit, "spiderMaps");
        desk.hears(probe, Verdict::Throttled(Some(until)));
    }
    desk.now += HOUR;
    let [probe] = desk.turns()[..] else { panic!("one tries") };
    desk.hears(probe, Verdict::Spent);
    assert_eq!(
        desk.budget.submits_pause(desk.now),
        None,
        "the service takes submits again, whatever it had said"
    );
    assert_eq!(desk.turns().len(), 4);
}

#[test]
fn a_day_that_a_read_is_told_is_tried_by_a_read_and_never_by_a_submit() {
    for read in [Lane::Cancel, Lane::Poll, Lane::Results, Lane::Whoami] {
        let mut desk = Desk::open();
        desk.throttled(read, DAY);
        let until = desk.now + DAY;
        desk.asks(Lane::Submit, "spiderMaps");
        for _ in 0..3 {
            desk.now += 15 * MINUTE;
            assert!(desk.turns().is_empty(), "a submit does not try");
            assert_eq!(desk.budget.next_change(desk.now), None, "nor is woken for it");
            assert_eq!(desk.budget.read_tries_at(), Some(desk.now));
            let tries = desk.asks(Lane::Whoami, "");
            assert_eq!(desk.turns(), [tries]);
            desk.hears(tries, Verdict::Throttled(Some(until)));
            assert_eq!(desk.budget.service_pause(desk.now), Some(until), "as the service said it");
        }
        desk.now += 15 * MINUTE;
        desk.asked(Lane::Poll, Verdict::Answered);
        assert_eq!(desk.budget.service_pause(desk.now), None);
        assert_eq!(desk.turns().len(), 1, "the submit goes");
    }
}

#[test]
fn a_quarter_of_an_hour_is_waited_for_and_stops_everything() {
    for lane in [Lane::Cancel, Lane::Poll] {
        let mut desk = Desk::open();
        desk.throttled(lane, 15 * MINUTE);
        desk.asks(Lane::Cancel, "");
        desk.now += 14 * MINUTE;
        desk.budget.try_now(desk.now);
        assert!(desk.turns().is_empty(), "a short wait is obeyed, whoever wishes otherwise");
        assert_eq!(desk.budget.read_tries_at(), None);
        desk.now += MINUTE;
        assert_eq!(desk.turns().len(), 1);
    }
}

/// A service that takes fewer submits at once than it says is learned by one refusal, which stops nothing else.
#[test]
fn a_submit_that_is_told_to_wait_stops_submits_alone_and_fewer_go_at_once_for_a_day() {
    let limits = Limits { submits_per_minute: 10, ..Limits::new(6000, 10) };
    let mut desk = Desk { budget: Budget::unused(limits, now()), now: now(), ..Desk::open() };
    for at_once in [10, 5, 2, 1, 1] {
        desk.ask(at_once);
        let turns = desk.turns();
        assert_eq!(turns.len(), at_once, "at once");
        let until = desk.now + MINUTE;
        desk.hear(turns, &Verdict::Throttled(Some(until)));
        desk.asked(Lane::Poll, Verdict::Answered);
        desk.ask(1);
        assert!(desk.turns().is_empty(), "{at_once}");
        desk.now = until;
        let probe = desk.turns();
        assert_eq!(probe.len(), 1);
        desk.hear(probe, &Verdict::Answered);
        desk.now += 2 * MINUTE;
    }
    // A read that is told the same says that it is not the submits.
    desk.throttled(Lane::Poll, MINUTE);
    desk.asks(Lane::Cancel, "");
    assert!(desk.turns().is_empty());
    desk.now += DAY;
    let probe = desk.turns();
    desk.hear(probe, &Verdict::Answered);
    desk.ask(10);
    assert_eq!(desk.turns().len(), 10, "a day later as many as ever");
}

/// What is left of submits says nothing of the requests; and of those that are refused together the first tells all.
#[test]
fn what_a_refused_submit_tells_stops_nothing_else_and_for_no_longer_than_one_does() {
    let limits = Limits { submits_per_minute: 10, ..Limits::new(600, 10) };
    let mut desk = Desk { budget: Budget::unused(limits, now()), now: now(), ..Desk::open() };
    desk.ask(10);
    let none_left = Counted { remaining: Some(0), limit: Some(10), reset: Some(desk.now + MINUTE) };
    for ticket in desk.turns() {
        desk.budget.answered(desk.now, ticket, Verdict::Throttled(None), none_left, 1.0);
    }
    desk.asked(Lane::Cancel, Verdict::Answered);
    desk.ask(1);
    desk.now += MINUTE;
    assert_eq!(desk.turns().len(), 1, "not twice as long for each of the ten");
}

#[test]
fn what_people_wish_is_tried_at_once_and_again_after_a_minute() {
    let mut desk = Desk::open();
    desk.throttled(Lane::Submit, DAY);
    let until = desk.now + DAY;
    desk.ask(9);
    desk.now += MINUTE;
    for _ in 0..3 {
        for wish in 0..50 {
            desk.budget.try_now(desk.now);
            let turns = desk.turns();
            assert_eq!(turns.len(), usize::from(wish == 0), "one in a minute");
            desk.hear(turns, &Verdict::Throttled(Some(until)));
        }
        // The wish of the second between is not lost.
        desk.now += MINUTE;
        let turns = desk.turns();
        assert_eq!(turns.len(), 1);
        desk.hear(turns, &Verdict::Throttled(Some(until)));
        desk.now += MINUTE;
    }
}

#[test]
fn a_restart_obeys_a_long_pause_of_submits_and_asks_a_read_at_once() {
    let mut desk = Desk::open();
    let until = desk.now + DAY;
    desk.budget.restore_pause(desk.now, until);
    desk.asks(Lane::Submit, "spiderMaps");
    assert!(desk.turns().is_empty());
    assert_eq!(desk.budget.read_tries_at(), Some(desk.now));
    desk.asked(Lane::Poll, Verdict::Answered);
    // The status is an old one still.
    desk.budget.restore_pause(desk.now, until);
    assert_eq!(
        (desk.budget.service_pause(desk.now), desk.budget.submits_pause(desk.now)),
        (None, Some(until))
    );
    desk.asked(Lane::Cancel, Verdict::Answered);
    assert!(desk.turns().is_empty());
    desk.now += 15 * MINUTE;
    let [probe] = desk.turns()[..] else {
        panic!("one tries soon: the process before may have been about to")
    };
    desk.hears(probe, Verdict::Throttled(Some(until)));
    desk.now += SUBMITS_PROBE;
    desk.asks(Lane::Submit, "spiderMaps");
    assert_eq!(desk.turns().len(), 1);
    // Of submits alone, nothing else is asked.
    let mut desk = Desk::open();
    desk.budget.restore_submits_pause(desk.now, until);
    assert_eq!(desk.budget.read_tries_at(), None);
    desk.asked(Lane::Poll, Verdict::Answered);
    // A short one is as it was.
    let mut desk = Desk::open();
    desk.budget.restore_pause(desk.now, desk.now + 5 * MINUTE);
    desk.asks(Lane::Poll, "");
    assert!(desk.turns().is_empty());
}

#[test]
fn a_type_that_the_service_takes_nowhere_is_tried_by_one_of_its_jobs() {
    let mut desk = Desk::open();
    let begun = desk.now;
    let first: Vec<Ticket> = (0..4).map(|_| desk.asks(Lane::Submit, "spiderMail")).collect();
    assert_eq!(desk.turns(), first);
    desk.hear(first, &Verdict::NotServed("404".into()));
    let mut waiting: Vec<Ticket> = (0..20).map(|_| desk.asks(Lane::Submit, "spiderMail")).collect();
    assert!(desk.turns().is_empty());
    desk.asked(Lane::Submit, Verdict::Spent);
    let mut tries = 0;
    while desk.now < begun + 15 * MINUTE {
        desk.now = desk.budget.next_change(desk.now).unwrap().max(desk.now);
        assert_eq!(desk.stop(Lane::Submit, "spiderMail"), budget::Stop::NotServed(begun, "404".into()));
        let turns = desk.turns();
        assert_eq!(turns.len(), 1, "one asks, and the others wait");
        waiting.push(desk.asks(Lane::Submit, "spiderMail"));
        desk.hears(turns[0], Verdict::NotServed("405".into()));
        tries += 1;
    }
    assert!((5..20).contains(&tries), "{tries} tries in a quarter of an hour");
    desk.now = desk.budget.next_change(desk.now).unwrap().max(desk.now);
    let turns = desk.turns();
    // Any other answer tells that it is taken somewhere.
    desk.hears(turns[0], Verdict::Answered);
    assert_eq!(desk.turns().len(), 19, "all go on");
    assert_eq!(desk.budget.not_served_since("spiderMail"), None);
}

#[test]
fn types_that_nobody_serves_are_remembered_up_to_a_bound() {
    let mut desk = Desk::open();
    for n in 0..500 {
        let kind = format!("type-{n}");
        let ticket = desk.asks(Lane::Submit, &kind);
        assert_eq!(desk.turns(), [ticket]);
        desk.hears(ticket, Verdict::NotServed("404".into()));
        desk.now += Duration::from_millis(200);
    }
    let known = (0..500).filter(|n| desk.budget.not_served_since(&format!("type-{n}")).is_some()).count();
    assert_eq!(known, 64);
}

#[test]
fn an_outage_is_told_after_three_failures_in_other_words_once_a_minute_and_not_of_one_job_among_others() {
    let mut desk = Desk::open();
    let failed = |words: &str| Verdict::Failed(words.into());
    for _ in 0..20 {
        desk.asked(Lane::Results, Verdict::Answered);
        let poisoned = desk.budget.enqueue("", Lane::Cancel, "default", "poisoned");
        desk.turns();
        desk.hears(poisoned, failed("503"));
    }
    assert_eq!(desk.budget.unavailable(), None);
    assert_eq!(desk.stop(Lane::Submit, ""), budget::Stop::Recovering);
    desk.now += MINUTE;
    assert_eq!(desk.stop(Lane::Submit, ""), budget::Stop::Turn);
    desk.asked(Lane::Poll, Verdict::Answered);
    let submits = ["a", "b"].map(|_| desk.asks(Lane::Submit, "spiderMaps"));
    assert_eq!(desk.turns(), submits);
    desk.hear(submits.to_vec(), &failed("refused"));
    assert_eq!(desk.budget.unavailable(), None, "two may be chance");
    assert_eq!(desk.stop(Lane::Submit, ""), budget::Stop::Failing("refused".into()));
    let mut told = Vec::new();
    for n in 0..100 {
        desk.asks(Lane::Submit, "spiderMaps");
        desk.now = desk.budget.next_change(desk.now).unwrap().max(desk.now + Duration::from_secs(2));
        let turns = desk.turns();
        desk.hear(turns, &failed(&format!("refused {n}")));
        let words = desk.budget.unavailable().unwrap();
        if told.last().is_none_or(|(last, _)| *last != words) {
            told.push((words, desk.now));
        }
    }
    assert!(told.windows(2).all(|pair| pair[1].1 >= pair[0].1 + MINUTE), "{told:?}");
    desk.ask(1);
    desk.now = desk.budget.next_change(desk.now).unwrap();
    let probe = desk.turns()[0];
    desk.hears(probe, Verdict::Spent);
    assert_eq!(desk.budget.unavailable(), None);
    assert_eq!(
        desk.stop(Lane::Submit, ""),
        budget::Stop::Recovering,
        "for a minute nobody says that it was their turn"
    );
}
