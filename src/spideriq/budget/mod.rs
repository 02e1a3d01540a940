//! How many requests one client may send, and whose turn it is. Pure: time and jitter are arguments.
//!
//! The service allows so many requests, and so many submits, in any 60 seconds, counted over everything that uses
//! the client (contract section 4). So there is one budget for each client, whatever the number of objects; within it an
//! account that has limits of its own is bound by them.

mod brake;
mod bucket;
mod gate;
mod lane;
mod limits;
mod outage;
mod pauses;
mod queue;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use brake::Brake;
use bucket::Bucket;
pub use gate::{Gate, Permit, Reservation};
pub use lane::Lane;
pub use limits::Limits;
use limits::{ClientLimits, Own};
pub use outage::Stop;
use outage::{Outage, Reach};
use pauses::{Asked, Kinds, SpendCap};
pub use pauses::{SPEND_CAP_PROBE, UNTRIED};
pub use queue::Subject;
use queue::{Queue, Waiter};

/// The longest that a wait asked for by the service is believed.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// How many grants in a row may pass over a waiting lower lane: so much of the budget it gets at the least.
const PASSED_OVER: u32 = 4;
/// Objects whose own failures are remembered; past that the one that may go on first is forgotten.
const SUBJECTS: usize = 1024;
/// The window of the service's count: a wait until it begins anew is a wait for a turn.
const WINDOW: Duration = Duration::from_secs(60);

/// A place in the queue, and later the grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What came of a request, as far as the budget cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The service answered, whatever it said.
    Answered,
    /// It carried a submit out and charged for it: the spend cap is not reached.
    Spent,
    /// It asked to wait; until when, if it said.
    Throttled(Option<Timestamp>),
    /// It failed in a way that a pause may heal; how, in words.
    Failed(Arc<str>),
    /// The service knows no address for submits of this type; its words.
    NotServed(Arc<str>),
    /// Nothing more may be spent: no submit until then, and then a single one that tries.
    Capped(Timestamp),
}

/// What the service said of its own count, which beats ours: others may use the same client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests left.
    pub remaining: Option<u32>,
    /// Requests that it allows in a minute.
    pub limit: Option<u32>,
    /// When the count starts anew.
    pub reset: Option<Timestamp>,
}

/// The budget of one client.
#[derive(Debug, PartialEq)]
pub struct Budget {
    limits: ClientLimits,
    /// What the buckets are made for.
    in_force: Limits,
    requests: Bucket,
    /// The same without the guess that the burst is spent, until the service has said how many requests are left.
    unguessed: Option<Bucket>,
    submits: Bucket,
    /// Accounts with limits of their own.
    own: BTreeMap<String, Own>,
    account: Brake,
    asked: Asked,
    lanes: BTreeMap<Lane, Brake>,
    spend_cap: SpendCap,
    kinds: Kinds,
    subjects: BTreeMap<(Lane, String), Brake>,
    /// Of the lane of cancels.
    outage: Outage,
    reach: Reach,
    queue: Queue,
    out: BTreeMap<Ticket, (Lane, Waiter)>,
    passed_over: u32,
    next_ticket: u64,
}

impl Budget {
    /// A budget with its burst spent: an earlier process may just have used it.
    pub fn new(limits: Limits, now: Timestamp) -> Self {
        let mut budget = Self::unused(limits, now);
        budget.requests = Bucket::spent(limits.requests_per_minute, limits.burst, now);
        budget.submits = Bucket::spent(limits.submits_per_minute, limits.submit_burst(), now);
        budget.unguessed = Some(Bucket::full(limits.requests_per_minute, limits.burst, now));
        budget
    }

    /// A budget that nobody can have used.
    pub fn unused(limits: Limits, now: Timestamp) -> Self {
        Self {
            limits: ClientLimits::new(limits),
            in_force: limits,
            requests: Bucket::full(limits.requests_per_minute, limits.burst, now),
            unguessed: None,
            submits: Bucket::full(limits.submits_per_minute, limits.submit_burst(), now),
            own: BTreeMap::new(),
            account: Brake::default(),
            asked: Asked::default(),
            lanes: Lane::ALL.into_iter().map(|lane| (lane, Brake::default())).collect(),
            spend_cap: SpendCap::default(),
            kinds: Kinds::new(),
            subjects: BTreeMap::new(),
            outage: Outage::default(),
            reach: Reach::default(),
            queue: Queue::default(),
            out: BTreeMap::new(),
            passed_over: 0,
            next_ticket: 0,
        }
    }

    fn buckets(&mut self) -> impl Iterator<Item = &mut Bucket> {
        std::iter::once(&mut self.requests).chain(&mut self.unguessed)
    }

    /// Takes a place in the queue. The account may have limits of its own; the group shares fairly (a namespace); the
    /// subject fails alone.
    pub fn enqueue(&mut self, account: &str, lane: Lane, group: &str, subject: impl Into<Subject>) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let waiter = Waiter { ticket, account: account.to_owned(), subject: subject.into() };
        self.queue.push(lane, group, waiter);
        ticket
    }

    /// Leaves the queue, or gives a grant back that was not used.
    pub fn withdraw(&mut self, ticket: Ticket) {
        self.queue.remove(ticket);
        let Some((lane, Waiter { account, subject, .. })) = self.out.remove(&ticket) else { return };
        self.buckets().for_each(Bucket::give_back);
        if lane == Lane::Submit {
            self.submits.give_back();
        }
        if let Some(own) = self.own.get_mut(&account) {
            own.give_back(lane == Lane::Submit);
        }
        self.probe_over(ticket, lane, &subject);
    }

    /// Whose turn it is now.
    pub fn grant(&mut self, now: Timestamp) -> Vec<Ticket> {
        let mut granted = Vec::new();
        while let Some(ticket) = self.grant_one(now) {
            granted.push(ticket);
        }
        granted
    }

    fn grant_one(&mut self, now: Timestamp) -> Option<Ticket> {
        self.put_in_force(now);
        if !self.requests.has(now) || !self.account.lets_pass(now) {
            return None;
        }
        let open: Vec<Lane> = Lane::ALL.into_iter().filter(|lane| self.lane_open(*lane, now)).collect();
        let (held, own) = ((&self.subjects, &self.kinds), &self.own);
        let free = |lane: Lane, waiter: &Waiter| {
            let own = own.get(&waiter.account).is_none_or(|own| own.next(lane == Lane::Submit, now) <= now);
            own && brakes_of(held, lane, waiter).all(|brake| brake.lets_pass(now))
        };
        let waiting: Vec<Lane> =
            open.into_iter().filter(|lane| self.queue.has(*lane, |waiter| free(*lane, waiter))).collect();
        // The highest lane that waits, but every so often the lowest: nothing starves.
        let lane = if self.passed_over >= PASSED_OVER { *waiting.last()? } else { *waiting.first()? };
        self.passed_over = if waiting.last() == Some(&lane) { 0 } else { self.passed_over + 1 };
        let waiter = self.queue.pop(lane, |waiter| free(lane, waiter))?;
        let ticket = waiter.ticket;
        self.buckets().for_each(|bucket| bucket.take(now));
        if lane == Lane::Submit {
            self.submits.take(now);
        }
        if let Some(own) = self.own.get_mut(&waiter.account) {
            own.take(lane == Lane::Submit, now);
        }
        self.account.passed(ticket);
        if let Some(brake) = self.lanes.get_mut(&lane) {
            brake.passed(ticket);
        }
        if let Some(brake) = self.subjects.get_mut(&(lane, waiter.subject.name.clone())) {
            brake.passed(ticket);
        }
        if let Some(known) = waiter.subject.kind.as_ref().and_then(|kind| self.kinds.get_mut(kind)) {
            known.brake.passed(ticket);
        }
        self.out.insert(ticket, (lane, waiter));
        Some(ticket)
    }

    fn lane_open(&self, lane: Lane, now: Timestamp) -> bool {
        self.lanes.get(&lane).is_some_and(|brake| brake.lets_pass(now))
            && (lane != Lane::Submit || self.submits.has(now) && !self.waits_for_read())
    }

    /// When `grant` may give more; `None` while nobody waits, or everybody waits for an answer that is under way, or for
    /// limits that allow nothing.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let account = self.requests.next(now).max(self.account.opens()?);
        let waits =
            |lane: &Lane| self.queue.waiting(*lane) > 0 && !(*lane == Lane::Submit && self.waits_for_read());
        let comes = Lane::ALL.into_iter().filter(waits).filter_map(|lane| {
            let opens = self.lanes.get(&lane).and_then(Brake::opens)?;
            let submit = lane == Lane::Submit;
            let submits = if submit { self.submits.next(now) } else { now };
            let waiters = self.queue.waiters(lane).filter_map(|waiter| {
                let own = self.own.get(&waiter.account).map_or(now, |own| own.next(submit, now));
                let brakes = brakes_of((&self.subjects, &self.kinds), lane, waiter);
                brakes.map(Brake::opens).try_fold(own, |latest, opens| Some(latest.max(opens?)))
            });
            Some(account.max(opens).max(submits).max(waiters.min()?))
        });
        comes.min().filter(|at| *at < Timestamp::MAX)
    }

    /// About when a place of this account in a lane gets its turn, for people.
    pub fn estimate(&self, account: &str, lane: Lane, now: Timestamp) -> Option<Timestamp> {
        let ahead = u32::try_from(self.queue.waiting(lane)).unwrap_or(u32::MAX);
        let pace = if lane == Lane::Submit { &self.submits } else { &self.requests };
        let own = self.own.get(account).map_or(now, |own| own.next(lane == Lane::Submit, now));
        let from = self.account.opens()?.max(self.lanes.get(&lane).and_then(Brake::opens)?).max(own).max(now);
        from.checked_add(pace.time_for(ahead)?).ok()
    }

    /// Takes over what came of a granted request. `jitter` is between 0 and 1.
    pub fn answered(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        verdict: Verdict,
        counted: Counted,
        jitter: f64,
    ) {
        let Some((lane, Waiter { subject, .. })) = self.out.remove(&ticket) else { return };
        let paused = self.is_paused(lane);
        let lane_brake = self.lanes.entry(lane).or_default();
        let lasts = matches!(verdict, Verdict::Failed(_) | Verdict::Throttled(_)).then_some(now);
        let mut heard = lasts.is_none();
        match verdict {
            Verdict::Answered | Verdict::Spent | Verdict::NotServed(_) => {
                self.account.answered(ticket, now);
                // That a reached cap is raised is told by nothing but a charge.
                match (lane, self.spend_cap, &verdict) {
                    (Lane::Submit, SpendCap::Restored, Verdict::Spent) => *lane_brake = Brake::default(),
                    (Lane::Submit, SpendCap::Restored | SpendCap::Reached, verdict)
                        if *verdict != Verdict::Spent => {}
                    _ => lane_brake.answered(ticket, now),
                }
                if verdict == Verdict::Spent && lane_brake.until.is_none() {
                    self.spend_cap = SpendCap::Open;
                }
                self.subjects.remove(&(lane, subject.name.clone()));
                match (verdict, &subject.kind) {
                    (Verdict::NotServed(why), Some(kind)) => {
                        self.not_served(now, (kind, ticket), why, jitter);
                    }
                    (_, Some(kind)) => drop(self.kinds.remove(kind)),
                    (_, None) => {}
                }
            }
            Verdict::Throttled(until) => {
                heard = true;
                self.throttled(now, (lane, ticket), until, jitter);
            }
            Verdict::Capped(until) => {
                self.account.answered(ticket, now);
                self.lanes.entry(Lane::Submit).or_default().hold(now, until);
                self.spend_cap = SpendCap::Reached;
            }
            Verdict::Failed(why) => {
                self.reach.failed(&why, now);
                let probe = lane_brake.is_probe(ticket);
                let other = lane_brake.last_failed.as_ref().is_some_and(|last| *last != subject.name);
                // One object's own failures delay only that object; two different ones, or the probe, the lane.
                if probe || other {
                    lane_brake.failed(now, jitter, Some(&why));
                }
                lane_brake.last_failed = Some(subject.name.clone());
                // Who polls and who cancels spaces out its own failures; a poll that fails must not delay a cancel.
                if lane != Lane::Poll && lane != Lane::Cancel {
                    let own = self.subjects.entry((lane, subject.name.clone())).or_default();
                    own.failed(now, jitter, Some(&why));
                    self.forget_subjects();
                }
            }
        }
        if heard {
            self.reach.answered(paused && !self.is_paused(lane), now);
            self.note_end_of_pauses(now);
        }
        // What is left of submits is counted apart, and says nothing of the requests.
        if let Some(limit) = counted.limit.filter(|_| lane != Lane::Submit) {
            self.limits.told(limit, now);
            self.put_in_force(now);
        }
        self.note_outage(now, lasts);
        self.counted(now, counted);
        self.probe_over(ticket, lane, &subject);
    }

    /// Believes what the service counts where that is less than ours. The first time it replaces the guess that ours
    /// began with.
    fn counted(&mut self, now: Timestamp, counted: Counted) {
        let Some(remaining) = counted.remaining else { return };
        if let Some(own) = self.unguessed.take() {
            self.requests = own;
        }
        self.requests.at_most(remaining, now);
        if remaining == 0
            && let Some(reset) = counted.reset
        {
            self.account.hold(now, reset);
            self.note_outage(now, Some(now + WINDOW));
        }
    }

    /// Every brake that waited for this probe may send another one.
    fn probe_over(&mut self, ticket: Ticket, lane: Lane, subject: &Subject) {
        self.account.probe_withdrawn(ticket);
        if let Some(brake) = self.lanes.get_mut(&lane) {
            brake.probe_withdrawn(ticket);
        }
        if let Some(brake) = self.subjects.get_mut(&(lane, subject.name.clone())) {
            brake.probe_withdrawn(ticket);
        }
        if let Some(known) = subject.kind.as_ref().and_then(|kind| self.kinds.get_mut(kind)) {
            known.brake.probe_withdrawn(ticket);
        }
    }

    fn forget_subjects(&mut self) {
        while self.subjects.len() > SUBJECTS {
            let first =
                self.subjects.iter().min_by_key(|(_, brake)| brake.opens()).map(|(key, _)| key.clone());
            let Some(first) = first else { return };
            self.subjects.remove(&first);
        }
    }

    /// Until when the whole account pauses.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.account.until.filter(|until| *until > now)
    }

    /// Requests that this account could send at once now.
    pub fn available(&self, account: &str, now: Timestamp) -> u32 {
        let own = self.own.get(account).map_or(u32::MAX, |own| own.available(now));
        self.requests.available(now).min(own)
    }

    /// How many wait in a lane.
    pub fn waiting(&self, lane: Lane) -> usize {
        self.queue.waiting(lane)
    }
}

/// What an object's own failures, or those of its type, hold back.
fn brakes_of<'a>(
    (subjects, kinds): (&'a BTreeMap<(Lane, String), Brake>, &'a Kinds),
    lane: Lane,
    waiter: &Waiter,
) -> impl Iterator<Item = &'a Brake> {
    // Most of the time nothing fails, and many wait.
    let own = if subjects.is_empty() { None } else { subjects.get(&(lane, waiter.subject.name.clone())) };
    let kind = waiter.subject.kind.as_ref().filter(|_| !kinds.is_empty());
    own.into_iter().chain(kind.and_then(|kind| kinds.get(kind)).map(|known| &known.brake))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Verdict {
        Verdict::Failed("no connection".into())
    }

    #[test]
    fn an_object_that_fails_again_and_again_is_always_probed_again() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut budget = Budget::new(Limits::default(), now);
        for verdict in [failed(), failed(), Verdict::Throttled(None), failed(), Verdict::Answered] {
            let ticket = budget.enqueue("", Lane::Results, "default", "poison");
            for _ in 0..10 {
                now = budget.next_change(now).expect("somebody waits, so something must come").max(now);
                if budget.grant(now) == [ticket] {
                    break;
                }
            }
            assert!(budget.out.contains_key(&ticket), "granted after all pauses");
            budget.answered(now, ticket, verdict, Counted::default(), 1.0);
        }
        assert!(budget.subjects.is_empty());
    }

    #[test]
    fn a_pause_ends_by_its_probe_and_not_by_an_answer_that_was_under_way() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut budget = Budget::new(Limits::default(), now);
        now += Duration::from_secs(60);
        let tickets = ["a", "b"].map(|subject| budget.enqueue("", Lane::Poll, "default", subject));
        assert_eq!(budget.grant(now), tickets);
        let until = now + Duration::from_secs(600);
        budget.answered(now, tickets[0], Verdict::Throttled(Some(until)), Counted::default(), 1.0);
        budget.answered(now, tickets[1], Verdict::Answered, Counted::default(), 1.0);
        assert_eq!(budget.paused_until(now), Some(until));
        let probe = budget.enqueue("", Lane::Poll, "default", "a");
        assert!(budget.grant(now).is_empty());
        assert_eq!(budget.grant(until), [probe]);
        // The probe is answered well, and says that nothing is left until a minute later.
        let reset = until + Duration::from_secs(60);
        let counted = Counted { remaining: Some(0), reset: Some(reset), ..Counted::default() };
        budget.answered(until, probe, Verdict::Answered, counted, 1.0);
        assert_eq!(budget.paused_until(until), Some(reset));
    }

    #[test]
    fn a_poll_that_fails_again_and_again_does_not_delay_the_cancel_of_its_job() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut budget = Budget::new(Limits::default(), now);
        for _ in 0..8 {
            let ticket = budget.enqueue("", Lane::Results, "default", "poison");
            now = budget.next_change(now).expect("it is probed").max(now);
            assert_eq!(budget.grant(now), [ticket]);
            budget.answered(now, ticket, failed(), Counted::default(), 1.0);
        }
        now += Duration::from_secs(5);
        let cancel = budget.enqueue("", Lane::Cancel, "default", "poison");
        assert_eq!(budget.grant(now), [cancel]);
    }

    #[test]
    fn the_first_count_of_the_service_is_believed_whatever_it_is() {
        let now = Timestamp::UNIX_EPOCH;
        let mut budget = Budget::new(Limits::default(), now);
        let first = budget.enqueue("", Lane::Cancel, "default", "a");
        let later = budget.next_change(now).expect("the burst is spent");
        assert!(later > now && budget.grant(later) == [first]);
        let counted = |remaining| Counted { remaining: Some(remaining), ..Counted::default() };
        budget.answered(later, first, Verdict::Answered, counted(15), 1.0);
        assert_eq!(budget.available("", later), 15);
        let second = budget.enqueue("", Lane::Cancel, "default", "a");
        assert_eq!(budget.grant(later), [second]);
        budget.answered(later, second, Verdict::Answered, counted(20), 1.0);
        assert_eq!(budget.available("", later), 14, "from then on only what is less");
    }

    /// What a deletion waits for is its turn as long as the service answers, however little it leaves; a pause is not.
    #[test]
    fn only_a_pause_of_the_account_or_of_the_cancels_is_an_outage() {
        let seconds = Duration::from_secs;
        let mut now = Timestamp::UNIX_EPOCH;
        let mut budget =
            Budget::new(Limits { requests_per_minute: 600, burst: 100, submits_per_minute: 600 }, now);
        let ask = |budget: &mut Budget, now, lane, subject, verdict, counted| {
            let ticket = budget.enqueue("", lane, "default", subject);
            assert_eq!(budget.grant(now), [ticket]);
            budget.answered(now, ticket, verdict, counted, 1.0);
        };
        let none = Counted::default();
        now += seconds(60);
        for subject in ["a", "b", "c"] {
            ask(&mut budget, now, Lane::Submit, subject, Verdict::Answered, none);
        }
        for _ in 0..3 {
            ask(&mut budget, now, Lane::Poll, "a", failed(), none);
        }
        now += seconds(60);
        assert_eq!(budget.outage(now), Duration::ZERO, "others' work");
        ask(
            &mut budget,
            now,
            Lane::Cancel,
            "a",
            Verdict::Answered,
            Counted { remaining: Some(0), reset: Some(now + seconds(30)), ..none },
        );
        now += seconds(30);
        assert_eq!(budget.outage(now), Duration::ZERO, "the service counts");
        ask(
            &mut budget,
            now,
            Lane::Cancel,
            "a",
            Verdict::Answered,
            Counted { remaining: Some(0), reset: Some(now + seconds(3600)), ..none },
        );
        now += seconds(90);
        assert_eq!(budget.outage(now), seconds(30), "no count lasts longer than its window");
        now += seconds(3510);
        ask(&mut budget, now, Lane::Cancel, "a", Verdict::Throttled(Some(now + seconds(40))), none);
        now += seconds(100);
        let before = seconds(3540 + 100);
        assert_eq!(budget.outage(now), before, "until an answer says that it is over");
        ask(&mut budget, now, Lane::Cancel, "a", Verdict::Answered, none);
        now += seconds(100);
        assert_eq!(budget.outage(now), before);
        for subject in ["a", "b"] {
            ask(&mut budget, now, Lane::Cancel, subject, failed(), none);
        }
        now += seconds(7);
        assert_eq!(budget.outage(now), before + seconds(7));
    }

    #[test]
    fn an_outage_of_a_thousand_objects_is_met_by_one_probe_at_a_time() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut budget =
            Budget::new(Limits { requests_per_minute: 6000, burst: 2000, submits_per_minute: 600 }, now);
        now += Duration::from_secs(60);
        let failing = |budget: &mut Budget, now| {
            for ticket in budget.grant(now) {
                budget.answered(now, ticket, failed(), Counted::default(), 1.0);
            }
        };
        for n in 0..4 {
            budget.enqueue("", Lane::Poll, "default", format!("first-{n}").as_str());
        }
        failing(&mut budget, now);
        for n in 0..1000 {
            budget.enqueue("", Lane::Poll, "default", format!("object-{n}").as_str());
        }
        let mut probes = 0;
        for _ in 0..10 {
            now = budget.next_change(now).expect("they wait").max(now);
            let granted = budget.grant(now);
            assert!(granted.len() <= 1, "{} at once", granted.len());
            for ticket in granted {
                probes += 1;
                budget.answered(now, ticket, failed(), Counted::default(), 1.0);
            }
        }
        assert!(probes > 3 && budget.waiting(Lane::Poll) == 1000 - probes);
        assert!(budget.grant(now).is_empty());
        assert!(
            !budget.lane_open(Lane::Poll, now) && budget.lane_open(Lane::Cancel, now),
            "other lanes go on"
        );
    }
}
