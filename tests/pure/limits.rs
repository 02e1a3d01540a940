//! Whose limits hold, and that no change of them stops anybody for long or lets more out than any of them allows.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use spideriq_operator::budget::{Budget, Counted, Lane, Limits, Ticket, Verdict};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
enum Step {
    Enqueue(u8, bool),
    Wait(u64),
    /// An answer, with what it says of the limit.
    Answer(Option<u32>),
    Withdraw,
    /// What is set for the client, and the most that its accounts ask for.
    Client(u32, u32, u32),
    Own(u8, Limits),
    Leave(u8),
}

fn limits() -> impl Strategy<Value = Limits> {
    (2..200_u32, 1..60_u32, 0..20_u32).prop_map(|(requests_per_minute, burst, submits_per_minute)| Limits {
        requests_per_minute,
        burst: burst.min(requests_per_minute - 1),
        submits_per_minute,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_u8, any::<bool>()).prop_map(|(account, submit)| Step::Enqueue(account, submit)),
        5 => (0..30_000_u64).prop_map(Step::Wait),
        4 => prop::option::of(0..500_u32).prop_map(Step::Answer),
        1 => Just(Step::Withdraw),
        1 => (10..400_u32, 1..60_u32, 0..800_u32).prop_map(|(set, submits, most)| Step::Client(set, submits, most)),
        1 => (0..3_u8, limits()).prop_map(|(account, limits)| Step::Own(account, limits)),
        1 => (0..3_u8).prop_map(Step::Leave),
    ]
}

/// A budget, and what it let out.
struct Ledger {
    now: Timestamp,
    budget: Budget,
    out: VecDeque<Ticket>,
    lanes: Vec<(Ticket, Lane, String)>,
    sent: Vec<(Timestamp, Ticket)>,
    /// What the client was allowed, and from when on.
    allowed: Vec<(Timestamp, Limits)>,
}

impl Ledger {
    fn new(limits: Limits) -> Self {
        let now = Timestamp::UNIX_EPOCH;
        Self {
            now,
            budget: Budget::new(limits, now),
            out: VecDeque::new(),
            lanes: Vec::new(),
            sent: Vec::new(),
            allowed: vec![(now, limits)],
        }
    }

    /// One whose client may send at once, so that nothing but what is tested keeps anybody waiting.
    fn rested() -> Self {
        let mut ledger = Self::new(Limits::new(6000, 600));
        ledger.now += MINUTE;
        ledger
    }

    fn enqueue(&mut self, account: &str, lane: Lane) {
        let ticket =
            self.budget.enqueue(account, lane, account, format!("job-{}", self.lanes.len()).as_str());
        self.lanes.push((ticket, lane, account.to_owned()));
    }

    fn grant(&mut self) -> usize {
        let granted = self.budget.grant(self.now);
        for ticket in &granted {
            self.out.push_back(*ticket);
            self.sent.push((self.now, *ticket));
        }
        self.allowed.push((self.now, self.budget.limits(self.now)));
        granted.len()
    }

    /// Answers the oldest request, if there is one.
    fn answer(&mut self, limit: Option<u32>) {
        if let Some(ticket) = self.out.pop_front() {
            let counted = Counted { limit, ..Counted::default() };
            self.budget.answered(self.now, ticket, Verdict::Answered, counted, 0.5);
        }
    }

    fn take(&mut self, step: Step) {
        let account = |account: u8| format!("account-{account}");
        match step {
            Step::Enqueue(of, submit) => {
                self.enqueue(&account(of), if submit { Lane::Submit } else { Lane::Poll });
            }
            Step::Wait(milliseconds) => self.now += Duration::from_millis(milliseconds),
            Step::Answer(limit) => self.answer(limit),
            Step::Withdraw => {
                if let Some(ticket) = self.out.pop_back() {
                    self.sent.retain(|(_, sent)| *sent != ticket);
                    self.budget.withdraw(ticket);
                }
            }
            Step::Client(requests, submits, most) => {
                self.budget.set_limits(Limits::new(requests, submits), most, self.now);
            }
            Step::Own(of, limits) => self.budget.set_own(&account(of), limits, true, self.now),
            Step::Leave(of) => self.budget.clear_own(&account(of), self.now),
        }
    }

    /// The times at which requests went out that are counted.
    fn times(&self, counts: impl Fn(Lane, &str) -> bool) -> Vec<Timestamp> {
        let counted = |ticket: &Ticket| {
            self.lanes.iter().any(|(sent, lane, account)| sent == ticket && counts(*lane, account))
        };
        self.sent.iter().filter(|(_, ticket)| counted(ticket)).map(|(at, _)| *at).collect()
    }
}

/// Where more went out in 60 seconds than the largest limit that held in them allows.
fn exceeded(times: &[Timestamp], allowed: impl Fn(Timestamp, Timestamp) -> u32) -> Option<String> {
    times.iter().find_map(|from| {
        let until = *from + MINUTE;
        let sent = times.iter().filter(|at| *at >= from && **at < until).count();
        let most = allowed(*from, until);
        (sent > most as usize).then(|| format!("{sent} from {from} on, and {most} are allowed"))
    })
}

/// The largest that was in force at some time of a span.
fn largest(allowed: &[(Timestamp, u32)], from: Timestamp, until: Timestamp) -> u32 {
    let before = allowed.iter().rev().find(|(at, _)| *at <= from).map_or(0, |(_, limit)| *limit);
    let within = allowed.iter().filter(|(at, _)| *at >= from && *at < until).map(|(_, limit)| *limit);
    within.max().unwrap_or(0).max(before)
}

proptest! {
    #[test]
    fn no_minute_holds_more_than_the_largest_limit_that_held_in_it(
        first in (10..400_u32, 1..60_u32), steps in prop::collection::vec(step(), 1..150)
    ) {
        let mut ledger = Ledger::new(Limits::new(first.0, first.1));
        for step in steps {
            ledger.take(step);
            ledger.grant();
        }
        let allowed: Vec<_> =
            ledger.allowed.iter().map(|(at, limits)| (*at, limits.requests_per_minute)).collect();
        let all = ledger.times(|_, _| true);
        prop_assert_eq!(exceeded(&all, |from, until| largest(&allowed, from, until)), None);
        let allowed: Vec<_> =
            ledger.allowed.iter().map(|(at, limits)| (*at, limits.submits_per_minute)).collect();
        let submits = ledger.times(|lane, _| lane == Lane::Submit);
        // Below 10 submits a minute one at once becomes none, which a change may add once.
        prop_assert_eq!(exceeded(&submits, |from, until| largest(&allowed, from, until) + 1), None);
    }

    #[test]
    fn an_account_keeps_to_its_own_limits_and_another_is_not_bound_by_them(
        own in limits(), steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut ledger = Ledger::new(Limits::new(300, 60));
        ledger.budget.set_own("account-0", own, true, ledger.now);
        for step in steps {
            let own = match &step {
                Step::Own(account, _) | Step::Leave(account) => *account == 0,
                Step::Enqueue(..) | Step::Wait(_) | Step::Answer(_) | Step::Withdraw | Step::Client(..) => false,
            };
            if !own {
                ledger.take(step);
                ledger.grant();
            }
        }
        let all = ledger.times(|_, account| account == "account-0");
        prop_assert_eq!(exceeded(&all, |_, _| own.requests_per_minute), None);
        let submits = ledger.times(|lane, account| lane == Lane::Submit && account == "account-0");
        prop_assert_eq!(exceeded(&submits, |_, _| own.submits_per_minute), None);
    }

    /// Whatever was sent under larger limits, and whoever lowers them: the account, the client's, or an answer.
    #[test]
    fn limits_that_get_smaller_stop_nobody_for_longer_than_a_minute(
        large in (1000..6000_u32, 1..1000_u32), small in limits(), used in 1..1000_usize, by in 0..3_u8
    ) {
        let mut ledger = Ledger::rested();
        let own = Limits { requests_per_minute: large.0, burst: large.1.min(large.0 - 1), submits_per_minute: 600 };
        ledger.budget.set_own("a", own, false, ledger.now);
        for _ in 0..used {
            ledger.enqueue("a", Lane::Poll);
        }
        ledger.grant();
        let under_way = ledger.out.len();
        match by {
            0 => ledger.budget.set_own("a", small, true, ledger.now),
            1 => ledger.budget.set_limits(Limits::new(small.requests_per_minute.max(10), 10), 0, ledger.now),
            _ => ledger.answer(Some(small.requests_per_minute)),
        }
        while !ledger.out.is_empty() {
            ledger.answer(None);
        }
        prop_assert!(under_way > 0);
        ledger.enqueue("a", Lane::Poll);
        ledger.now += MINUTE;
        prop_assert!(ledger.grant() > 0, "nothing goes out a minute later");
    }

    /// A change of limits, or the same ones again and again, makes no token and loses none.
    #[test]
    fn changing_limits_to_and_fro_lets_nothing_out_by_itself(rounds in 1..60_usize, other in limits()) {
        let mut ledger = Ledger::rested();
        let own = Limits { requests_per_minute: 60, burst: 10, submits_per_minute: 10 };
        ledger.budget.set_own("a", own, false, ledger.now);
        (0..200).for_each(|_| ledger.enqueue("a", Lane::Poll));
        let first = ledger.grant();
        for _ in 0..rounds {
            ledger.budget.set_own("a", other, true, ledger.now);
            ledger.budget.set_own("a", own, true, ledger.now);
            ledger.budget.clear_own("a", ledger.now);
            ledger.budget.set_own("a", own, true, ledger.now);
        }
        prop_assert_eq!((first, ledger.grant()), (10, 0));
    }
}

#[test]
fn an_answer_lowers_and_raises_the_client_for_a_quarter_of_an_hour_within_bounds() {
    for (set, most, told, in_force) in [
        (100, 0, 50, 50),
        (100, 0, 3, 10),
        (100, 0, 0, 10),
        (100, 0, 4000, 100),
        (100, 300, 250, 250),
        (100, 300, 4000, 300),
        (100, 20, 4000, 100),
        (600, 0, 200, 200),
        (100, u32::MAX, u32::MAX, u32::MAX),
    ] {
        let mut ledger = Ledger::new(Limits::new(set, 10));
        ledger.budget.set_limits(Limits::new(set, 10), most, ledger.now);
        ledger.now += MINUTE;
        ledger.enqueue("a", Lane::Poll);
        assert_eq!(ledger.grant(), 1);
        ledger.answer(Some(told));
        let now = |ledger: &Ledger| ledger.budget.limits(ledger.now);
        assert_eq!(now(&ledger).requests_per_minute, in_force, "{set} {most} {told}");
        assert_eq!(now(&ledger).submits_per_minute, 10);
        ledger.now += Duration::from_secs(15 * 60 - 1);
        assert_eq!(now(&ledger).requests_per_minute, in_force);
        ledger.now += Duration::from_secs(1);
        assert_eq!(now(&ledger).requests_per_minute, set, "forgotten");
    }
    // What a submit is told is counted apart.
    let mut ledger = Ledger::new(Limits::default());
    ledger.now += MINUTE;
    ledger.enqueue("a", Lane::Submit);
    assert_eq!(ledger.grant(), 1);
    ledger.answer(Some(10));
    assert_eq!(ledger.budget.limits(ledger.now), Limits::default());
}

#[test]
fn an_account_without_submits_holds_up_nobody_else() {
    let mut ledger = Ledger::rested();
    let none = Limits { requests_per_minute: 60, burst: 10, submits_per_minute: 0 };
    ledger.budget.set_own("none", none, false, ledger.now);
    ledger.enqueue("none", Lane::Submit);
    assert_eq!((ledger.grant(), ledger.budget.next_change(ledger.now)), (0, None), "nothing will come");
    ledger.enqueue("other", Lane::Submit);
    ledger.enqueue("none", Lane::Poll);
    assert_eq!(ledger.grant(), 2);
    assert_eq!(ledger.times(|lane, account| lane == Lane::Submit && account == "other").len(), 1);
}

#[test]
fn what_was_sent_before_an_account_joined_counts_for_a_minute_at_the_most() {
    for (charged, at_once) in [(0, 20), (2, 18), (20, 0), (100_000, 0)] {
        let mut ledger = Ledger::new(Limits::default());
        ledger.now += MINUTE;
        ledger.budget.charge(charged, ledger.now);
        (0..50).for_each(|_| ledger.enqueue("a", Lane::Poll));
        assert_eq!(ledger.grant(), at_once, "{charged}");
        while !ledger.out.is_empty() {
            ledger.answer(None);
        }
        ledger.now += MINUTE;
        assert!(ledger.grant() > 0, "{charged}");
    }
}
