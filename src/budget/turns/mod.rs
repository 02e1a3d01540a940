//! The budget of one client: whose turn it is, and what an answer changes. Pure.

mod limits;
mod stops;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::brakes::Brakes;
use super::outage::{Outage, Reach};
use super::queue::{Bound, Queue, Waiter};
use super::rates::{Limits, Rates};
use super::request::{Counted, Lane, Subject, Ticket, Verdict};

/// The window of the service's count: a wait until it begins anew is a wait for a turn.
const WINDOW: Duration = Duration::from_secs(60);

/// The budget of one client.
#[derive(Debug, PartialEq)]
pub struct Budget {
    rates: Rates,
    brakes: Brakes,
    /// Of the lane of cancels.
    outage: Outage,
    reach: Reach,
    queue: Queue,
    out: BTreeMap<Ticket, (Lane, Waiter)>,
    /// Of those the ones whose answers have begun.
    arrived: BTreeSet<Ticket>,
    /// How many turns in a row have passed over each lane in which somebody waits.
    passed_over: BTreeMap<Lane, u32>,
    next_ticket: u64,
}

impl Budget {
    /// A budget with its burst spent: an earlier process may just have used it.
    pub fn new(limits: Limits, now: Timestamp) -> Self {
        Self::of(Rates::spent(limits, now))
    }

    /// A budget that nobody can have used.
    pub fn unused(limits: Limits, now: Timestamp) -> Self {
        Self::of(Rates::unused(limits, now))
    }

    fn of(rates: Rates) -> Self {
        Self {
            rates,
            brakes: Brakes::default(),
            outage: Outage::default(),
            reach: Reach::default(),
            queue: Queue::default(),
            out: BTreeMap::new(),
            arrived: BTreeSet::new(),
            passed_over: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    /// Takes a place in the queue. The account may have limits of its own; the group shares fairly (a namespace); the
    /// subject fails alone.
    pub fn enqueue(&mut self, account: &str, lane: Lane, group: &str, subject: impl Into<Subject>) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let waiter = Waiter { ticket, account: account.to_owned(), subject: subject.into() };
        let bound = bound(&self.rates, &self.brakes, lane, &waiter);
        self.queue.push(lane, group, waiter, bound);
        ticket
    }

    /// Leaves the queue, or gives a grant back that was not used.
    pub fn withdraw(&mut self, ticket: Ticket) {
        drop(self.queue.remove(ticket));
        let Some((lane, Waiter { account, subject, .. })) = self.out.remove(&ticket) else { return };
        self.rates.give_back(&account, lane);
        self.brakes.probe_over((lane, ticket), &subject);
    }

    /// Nobody waits for the answer to a request any more: it counts as one that was sent.
    pub fn abandon(&mut self, ticket: Ticket, now: Timestamp) {
        let Some((lane, Waiter { subject, .. })) = self.out.remove(&ticket) else { return };
        self.has_arrived(ticket, lane, now);
        self.brakes.probe_over((lane, ticket), &subject);
    }

    /// The answer to a granted request has begun: it counts for a minute from now on.
    pub fn arrived(&mut self, ticket: Ticket, now: Timestamp) {
        if let Some((lane, _)) = self.out.get(&ticket) {
            let lane = *lane;
            if self.arrived.insert(ticket) {
                self.rates.answered(lane, now);
            }
        }
    }

    fn has_arrived(&mut self, ticket: Ticket, lane: Lane, now: Timestamp) {
        if !self.arrived.remove(&ticket) {
            self.rates.answered(lane, now);
        }
    }

    /// How many wait in a lane.
    pub fn waiting(&self, lane: Lane) -> usize {
        self.queue.waiting(lane)
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
        self.rates.put_in_force(now);
        if !self.rates.has(now) || !self.brakes.pauses.lets_pass(now) {
            return None;
        }
        let mut open = Vec::with_capacity(Lane::ALL.len());
        for lane in Lane::ALL {
            if self.lane_open(lane, now) {
                open.extend(self.next(lane, now).map(|ticket| (lane, ticket)));
            }
        }
        let (lane, ticket) = self.choose(&open)?;
        let waiter = self.queue.take(ticket)?;
        self.rates.take(&waiter.account, lane, now);
        self.brakes.passed((lane, ticket), &waiter.subject);
        self.out.insert(ticket, (lane, waiter));
        Some(ticket)
    }

    /// The highest lane, unless others were passed over for too long: of those the one that has waited longest by its own
    /// measure.
    fn choose(&mut self, open: &[(Lane, Ticket)]) -> Option<(Lane, Ticket)> {
        let passed = |lane: Lane| self.passed_over.get(&lane).copied().unwrap_or_default();
        // In thousandths of its patience.
        let share = |lane: Lane| u64::from(passed(lane)) * 1000 / u64::from(lane.patience());
        let late = open.iter().rev().filter(|(lane, _)| share(*lane) >= 1000);
        let chosen = *late.max_by_key(|(lane, _)| share(*lane)).or(open.first())?;
        let waits = |lane: &Lane| *lane != chosen.0 && self.queue.waiting(*lane) > 0;
        let next = |lane: Lane| (lane, passed(lane).saturating_add(1));
        self.passed_over = Lane::ALL.into_iter().filter(waits).map(next).collect();
        Some(chosen)
    }

    /// The next in a lane that nothing stops.
    fn next(&mut self, lane: Lane, now: Timestamp) -> Option<Ticket> {
        loop {
            let next =
                self.queue.next(lane, |bound| self.opens(lane, bound, now).is_some_and(|at| at <= now))?;
            let ticket = next.ticket;
            if self.brakes.lets_pass(lane, &next.subject, now) {
                return Some(ticket);
            }
            // Its requests fail since it took its place.
            let (rates, brakes) = (&self.rates, &self.brakes);
            self.queue.sort(&[ticket], |lane, waiter| bound(rates, brakes, lane, waiter));
        }
    }

    /// When those go on whom the same stops, as far as that is concerned; `None` while only an answer can tell.
    fn opens(&self, lane: Lane, bound: &Bound, now: Timestamp) -> Option<Timestamp> {
        let own = bound.account.as_ref().map_or(now, |account| self.rates.next_of(account, lane, now));
        self.brakes.opens(lane, (bound.failing.as_deref(), bound.kind.as_ref()), own)
    }

    fn lane_open(&self, lane: Lane, now: Timestamp) -> bool {
        self.brakes.pauses.lane_lets_pass(lane, now) && self.next_in(lane, now) <= now
    }

    /// When the client may send one of this lane, as far as that is counted apart. What leaves the last turn to others does
    /// so only until its own turn has come.
    fn next_in(&self, lane: Lane, now: Timestamp) -> Timestamp {
        let passed = self.passed_over.get(&lane).copied().unwrap_or_default();
        if lane.has_time() && passed >= lane.patience() { now } else { self.rates.next_in(lane, now) }
    }

    /// When `grant` may give more; `None` while nobody waits, or everybody waits for an answer that is under way, or for
    /// limits that allow nothing.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let pauses = &self.brakes.pauses;
        let client = self.rates.next(now).max(pauses.opens()?);
        let waits = |lane: &Lane| self.queue.waiting(*lane) > 0 && !pauses.waits_for_read(*lane);
        let comes = Lane::ALL.into_iter().filter(waits).filter_map(|lane| {
            let opens = pauses.lane_opens(lane)?;
            let first = self.queue.bounds(lane).filter_map(|bound| self.opens(lane, bound, now)).min()?;
            Some(client.max(opens).max(self.next_in(lane, now)).max(first))
        });
        comes.min().filter(|at| *at < Timestamp::MAX)
    }

    /// About when a place of this account in a lane gets its turn, for people.
    pub fn estimate(&self, account: &str, lane: Lane, now: Timestamp) -> Option<Timestamp> {
        let ahead = u32::try_from(self.queue.waiting(lane)).unwrap_or(u32::MAX);
        let own = self.rates.next_of(account, lane, now);
        let pauses = &self.brakes.pauses;
        let from = pauses.opens()?.max(pauses.lane_opens(lane)?).max(own).max(now);
        from.checked_add(self.rates.time_for(lane, ahead)?).ok()
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
        self.has_arrived(ticket, lane, now);
        let paused = self.brakes.pauses.stops(lane);
        let lasts = matches!(verdict, Verdict::Failed(_) | Verdict::Throttled(_)).then_some(now);
        let failed = if let Verdict::Failed(why) = &verdict { Some(Arc::clone(why)) } else { None };
        if lane == Lane::Submit && self.brakes.pauses.is_first(&verdict, now) {
            self.rates.submit_throttled(now);
        }
        self.brakes.settle((lane, ticket), &subject, verdict, (now, jitter));
        if let Some(why) = failed {
            self.reach.failed(&why, now);
        } else {
            self.reach.answered(paused && !self.brakes.pauses.stops(lane), now);
            self.brakes.pauses.note_end(now);
        }
        // What is left of submits is counted apart, and says nothing of the requests.
        if let Some(limit) = counted.limit.filter(|_| lane != Lane::Submit) {
            self.rates.told_limit(limit, now);
        }
        self.note_outage(now, lasts);
        if lane != Lane::Submit {
            self.counted(now, counted);
        }
        self.brakes.probe_over((lane, ticket), &subject);
    }

    /// Believes what the service counts where that is less than ours.
    fn counted(&mut self, now: Timestamp, counted: Counted) {
        let Some(remaining) = counted.remaining else { return };
        // What was sent from here alone ceases to count piece by piece: nothing has to stop for that.
        let others = self.rates.told_remaining(remaining, now);
        if others && let Some(reset) = counted.reset {
            self.brakes.pauses.used_up(now, reset.min(now + WINDOW));
            self.note_outage(now, Some(now + WINDOW));
        }
    }

    /// Keeps count of the time in which cancels pause: from then on, if a pause was just begun or made longer.
    fn note_outage(&mut self, now: Timestamp, from: Option<Timestamp>) {
        self.outage.note(self.brakes.pauses.stops(Lane::Cancel), now, from);
    }
}

/// What may stop one who waits, besides what stops its whole lane.
fn bound(rates: &Rates, brakes: &Brakes, lane: Lane, waiter: &Waiter) -> Bound {
    let Waiter { account, subject, .. } = waiter;
    Bound {
        account: rates.has_own(account).then(|| account.clone()),
        kind: subject.kind.clone().filter(|kind| brakes.not_served_since(kind).is_some()),
        failing: brakes.fails(lane, subject).then(|| subject.name.clone()),
    }
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
        assert!(budget.brakes.holds_no_subject());
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
    fn only_a_pause_of_the_client_or_of_the_cancels_is_an_outage() {
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
