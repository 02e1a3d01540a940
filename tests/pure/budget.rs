//! Properties of the budget, whatever comes when.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use spideriq_operator::budget::{Budget, Counted, Lane, Limits, SUBMITS_PROBE, Ticket, Verdict};

#[derive(Clone, Debug)]
enum Step {
    Enqueue(usize, u8, u8),
    Wait(u64),
    Answer(u8),
    Withdraw,
    Leave,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..Lane::ALL.len(), 0..3_u8, 0..6_u8).prop_map(|(lane, group, subject)| Step::Enqueue(lane, group, subject)),
        3 => (0..20_000_u64).prop_map(Step::Wait),
        3 => (0..8_u8).prop_map(Step::Answer),
        1 => Just(Step::Withdraw),
        1 => Just(Step::Leave),
    ]
}

fn verdict(kind: u8, now: Timestamp) -> (Verdict, Counted) {
    let none = Counted::default();
    match kind {
        0 => (Verdict::Failed("".into()), none),
        1 => (Verdict::Throttled(None), none),
        2 => (Verdict::Throttled(Some(now + Duration::from_secs(7))), none),
        3 => (
            Verdict::Answered,
            Counted { remaining: Some(0), reset: Some(now + Duration::from_secs(5)), ..none },
        ),
        4 => (Verdict::Answered, Counted { remaining: Some(3), ..none }),
        5 => (Verdict::Spent, none),
        6 => (Verdict::Capped(now + Duration::from_secs(30)), none),
        _ => (Verdict::Answered, none),
    }
}

/// A budget with a record of what it granted.
pub struct Ledger {
    pub now: Timestamp,
    pub budget: Budget,
    waiting: Vec<Ticket>,
    pub lanes: BTreeMap<Ticket, Lane>,
    out: VecDeque<Ticket>,
    sent: Vec<(Timestamp, Ticket)>,
}

impl Ledger {
    pub fn new(limits: Limits) -> Self {
        let now = Timestamp::UNIX_EPOCH;
        Self {
            now,
            budget: Budget::new(limits, now),
            waiting: Vec::new(),
            lanes: BTreeMap::new(),
            out: VecDeque::new(),
            sent: Vec::new(),
        }
    }

    pub fn enqueue(&mut self, lane: Lane, group: &str, subject: &str) -> Ticket {
        let ticket = self.budget.enqueue("", lane, group, subject);
        self.waiting.push(ticket);
        self.lanes.insert(ticket, lane);
        ticket
    }

    pub fn grant(&mut self) -> Vec<Ticket> {
        let granted = self.budget.grant(self.now);
        for ticket in &granted {
            self.waiting.retain(|waiting| waiting != ticket);
            self.out.push_back(*ticket);
            self.sent.push((self.now, *ticket));
        }
        granted
    }

    pub fn answer(&mut self, kind: u8) {
        if let Some(ticket) = self.out.pop_front() {
            let (verdict, counted) = verdict(kind, self.now);
            self.budget.answered(self.now, ticket, verdict, counted, 0.5);
        }
    }

    /// Most requests of a kind in any 60 s.
    fn most(&self, counts: impl Fn(Lane) -> bool) -> usize {
        let times: Vec<Timestamp> = self
            .sent
            .iter()
            .filter(|(_, ticket)| self.lanes.get(ticket).is_some_and(|lane| counts(*lane)))
            .map(|(at, _)| *at)
            .collect();
        let within = |from: &Timestamp| {
            times.iter().filter(|at| *at >= from && **at < *from + Duration::from_secs(60)).count()
        };
        times.iter().map(within).max().unwrap_or(0)
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    (2..120_u32, 1..40_u32, 1..20_u32).prop_map(|(requests_per_minute, burst, submits_per_minute)| Limits {
        requests_per_minute,
        burst: burst.min(requests_per_minute - 1),
        submits_per_minute,
    })
}

proptest! {
    #[test]
    fn no_minute_ever_holds_more_than_the_limits(limits in limits(), steps in prop::collection::vec(step(), 1..300)) {
        let mut ledger = Ledger::new(limits);
        for step in steps {
            match step {
                Step::Enqueue(lane, group, subject) => {
                    let lane = Lane::ALL.into_iter().nth(lane).unwrap();
                    ledger.enqueue(lane, &format!("group-{group}"), &format!("subject-{subject}"));
                }
                Step::Wait(milliseconds) => ledger.now += Duration::from_millis(milliseconds),
                Step::Answer(kind) => ledger.answer(kind),
                Step::Withdraw => {
                    // A turn that was granted and not used is no request.
                    if let Some(ticket) = ledger.out.pop_back() {
                        ledger.sent.retain(|(_, sent)| *sent != ticket);
                        ledger.budget.withdraw(ticket);
                    }
                }
                Step::Leave => {
                    if let Some(ticket) = ledger.waiting.pop() {
                        ledger.budget.withdraw(ticket);
                    }
                }
            }
            ledger.grant();
        }
        prop_assert!(ledger.most(|_| true) <= limits.requests_per_minute as usize);
        prop_assert!(ledger.most(|lane| lane == Lane::Submit) <= limits.submits_per_minute as usize);
    }

    /// After any past, everybody who waits gets a turn once the service answers again, and `next_change` leads there.
    #[test]
    fn nobody_starves_and_the_next_change_is_never_missed(limits in limits(), steps in prop::collection::vec(step(), 1..120)) {
        let mut ledger = Ledger::new(limits);
        for step in steps {
            match step {
                Step::Enqueue(lane, group, subject) => {
                    let lane = Lane::ALL.into_iter().nth(lane).unwrap();
                    ledger.enqueue(lane, &format!("group-{group}"), &format!("subject-{subject}"));
                }
                Step::Wait(milliseconds) => ledger.now += Duration::from_millis(milliseconds),
                Step::Answer(kind) => ledger.answer(kind),
                Step::Withdraw | Step::Leave => {}
            }
            ledger.grant();
        }
        let all = ledger.waiting.len() + ledger.out.len();
        for _ in 0..20 * (all + 1) {
            while !ledger.out.is_empty() {
                ledger.answer(7);
            }
            if ledger.waiting.is_empty() {
                break;
            }
            let next = ledger.budget.next_change(ledger.now);
            prop_assert!(next.is_some(), "somebody waits and nothing is under way, so something must come");
            ledger.now = ledger.now.max(next.unwrap());
            ledger.grant();
        }
        prop_assert!(ledger.waiting.is_empty(), "{:?} still wait", ledger.waiting);
    }

    /// While the service asked for a pause, nothing goes out; of long ones `pauses` tells.
    #[test]
    fn a_pause_holds_the_whole_account(seconds in 1..=900_u64, lane in 0..Lane::ALL.len()) {
        let mut ledger = Ledger::new(Limits { requests_per_minute: 100, burst: 20, submits_per_minute: 10 });
        ledger.now += Duration::from_secs(120);
        let start = ledger.now;
        let ticket = ledger.enqueue(Lane::Poll, "a", "x");
        prop_assert_eq!(ledger.grant(), vec![ticket]);
        let until = start + Duration::from_secs(seconds);
        ledger.budget.answered(ledger.now, ticket, Verdict::Throttled(Some(until)), Counted::default(), 0.5);
        ledger.enqueue(Lane::ALL.into_iter().nth(lane).unwrap(), "b", "y");
        let end = until.min(start + Duration::from_secs(24 * 3600));
        prop_assert!(ledger.grant().is_empty());
        prop_assert_eq!(ledger.budget.next_change(ledger.now), Some(end));
        ledger.now = end;
        prop_assert_eq!(ledger.grant().len(), 1);
    }
}

#[test]
fn a_reached_spend_cap_is_tried_by_one_submit_an_hour() {
    let mut ledger = Ledger::new(Limits { requests_per_minute: 100, burst: 20, submits_per_minute: 10 });
    ledger.now += Duration::from_secs(60);
    for n in 0..15 {
        ledger.enqueue(Lane::Submit, "a", &format!("job-{n}"));
    }
    let first = ledger.grant().len();
    assert_eq!(first, 10, "as many as the limit allows go at once");
    while let Some(ticket) = ledger.out.pop_front() {
        let until = ledger.now + SUBMITS_PROBE;
        ledger.budget.answered(ledger.now, ticket, Verdict::Capped(until), Counted::default(), 0.5);
    }
    let poll = ledger.enqueue(Lane::Poll, "a", "job-9");
    assert_eq!(ledger.grant(), [poll], "what runs is followed all the same");
    ledger.answer(7);
    for _ in 0..3 {
        ledger.now += SUBMITS_PROBE;
        let granted = ledger.grant();
        assert_eq!(granted.len(), 1, "one tries");
        let until = ledger.now + SUBMITS_PROBE;
        ledger.out.clear();
        ledger.budget.answered(
            ledger.now,
            *granted.first().unwrap(),
            Verdict::Capped(until),
            Counted::default(),
            0.5,
        );
        assert!(ledger.grant().is_empty());
        ledger.enqueue(Lane::Submit, "a", "job-again");
    }
    // Somebody changed the account: tried at once, again by one only.
    ledger.budget.try_now(ledger.now);
    let probe = ledger.grant();
    assert_eq!(probe.len(), 1);
    ledger.out.clear();
    ledger.budget.answered(ledger.now, probe[0], Verdict::Spent, Counted::default(), 0.5);
    ledger.now += Duration::from_secs(60);
    assert!(ledger.grant().len() > 1 && first > 0, "the cap is raised, and all go on");
}

#[test]
fn a_process_that_begins_anew_under_a_spend_cap_tries_it_by_one_submit_when_the_hour_is_over() {
    for (left, wait) in [(3600, 3600), (3000, 3000), (-400, 0), (9999, 3600)] {
        let mut ledger = capped(5);
        let until = ledger.now.checked_add(SignedDuration::from_secs(left)).unwrap();
        ledger.budget.restore_spend_cap(ledger.now, until);
        if wait > 0 {
            ledger.now += Duration::from_secs(wait - 1);
            assert!(ledger.grant().is_empty(), "{left}");
            ledger.now += Duration::from_secs(1);
        }
        assert_eq!(ledger.grant().len(), 1, "{left}");
        assert!(ledger.grant().is_empty(), "{left}");
    }
}

#[test]
fn a_spend_cap_is_over_when_a_submit_that_tries_it_is_charged_for() {
    let mut ledger = capped(16);
    let under_way = ledger.grant();
    let [first, second, rest @ ..] = under_way.as_slice() else { panic!("{under_way:?}") };
    let until = ledger.now + SUBMITS_PROBE;
    let answer = |ledger: &mut Ledger, ticket, verdict| {
        ledger.budget.answered(ledger.now, ticket, verdict, Counted::default(), 0.5);
    };
    answer(&mut ledger, *first, Verdict::Capped(until));
    answer(&mut ledger, *second, Verdict::Spent);
    for ticket in rest {
        answer(&mut ledger, *ticket, Verdict::Answered);
    }
    assert_eq!(ledger.budget.spend_cap(), Some(until), "what was under way says nothing");
    ledger.now = until;
    for free in [Verdict::Answered, Verdict::Failed("".into())] {
        let probe = ledger.grant();
        assert_eq!(probe.len(), 1);
        answer(&mut ledger, probe[0], free.clone());
        assert!(ledger.budget.spend_cap().is_some(), "{free:?} is no proof");
        ledger.now += Duration::from_secs(60);
    }
    let probe = ledger.grant();
    assert_eq!(probe.len(), 1);
    answer(&mut ledger, probe[0], Verdict::Spent);
    assert_eq!(ledger.budget.spend_cap(), None);
    ledger.budget.restore_spend_cap(ledger.now, ledger.now + SUBMITS_PROBE);
    assert_eq!(ledger.budget.spend_cap(), None, "an earlier process knows less");
}

#[test]
fn what_an_earlier_process_knew_of_a_spend_cap_counts_less_than_what_this_one_does() {
    let hour = |ledger: &Ledger| ledger.now + SUBMITS_PROBE;
    let mut ledger = capped(2);
    let sent = ledger.grant()[0];
    ledger.budget.restore_spend_cap(ledger.now, hour(&ledger));
    ledger.budget.answered(ledger.now, sent, Verdict::Spent, Counted::default(), 0.5);
    assert_eq!(ledger.budget.spend_cap(), None, "it was sent after the earlier process had met the cap");

    let mut ledger = capped(2);
    ledger.budget.try_now(ledger.now);
    ledger.budget.restore_spend_cap(ledger.now, hour(&ledger));
    assert_eq!(ledger.budget.spend_cap(), None, "somebody changed something since");
}

#[test]
fn a_spend_cap_that_nobody_tries_is_forgotten_after_a_minute() {
    for (line, seconds, forgotten) in [(1, 3700, false), (0, 3659, false), (0, 3660, true)] {
        let mut ledger = capped(line);
        ledger.budget.restore_spend_cap(ledger.now, ledger.now + SUBMITS_PROBE);
        ledger.now += Duration::from_secs(seconds);
        ledger.budget.forget_untried_cap(ledger.now);
        assert_eq!(ledger.budget.spend_cap().is_none(), forgotten, "{line} in line, {seconds} s");
        ledger.enqueue(Lane::Submit, "a", "next");
        assert_eq!(ledger.grant().len(), 1, "who comes next is still a single one");
    }
}

/// A budget with so many submits in line.
fn capped(line: usize) -> Ledger {
    let mut ledger = Ledger::new(Limits { requests_per_minute: 100, burst: 20, submits_per_minute: 10 });
    ledger.now += Duration::from_secs(4000);
    for n in 0..line {
        ledger.enqueue(Lane::Submit, "a", &format!("job-{n}"));
    }
    ledger
}
