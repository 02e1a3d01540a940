//! What stops everything of a client, or a whole lane: failures, a reached spend cap, a wait that the service asked for;
//! and the single requests that try whether they still have to (`docs/adr/0018`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::brake::{Brake, LONGEST_WAIT, SUBMITS_PROBE};
use super::spend_cap::SpendCap;
use crate::budget::outage::Stop;
use crate::budget::request::{Lane, Ticket, Verdict};

/// A wait that the service asks for is obeyed to its end up to this. A longer one is tried: so often by a read, where a
/// read was told, and every hour by a submit, where a submit was.
const LONG: Duration = Duration::from_secs(900);
/// How often people may have it tried at once.
const WISHES: Duration = Duration::from_secs(60);

/// What stops everything of a client, or a whole lane.
#[derive(Debug, PartialEq)]
pub(in crate::budget) struct Pauses {
    /// What stops every request of the client, whichever account sends it.
    all: Brake,
    lanes: BTreeMap<Lane, Brake>,
    asked: Asked,
    spend_cap: SpendCap,
}

/// The waits that the service itself asked for.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    /// Until when everything waits.
    all: Option<Timestamp>,
    /// Whether that is long, so that reads try it before.
    tried_by_reads: bool,
    /// Until when submits wait.
    submits: Option<Timestamp>,
    /// When people last had something tried, or will.
    wished: Option<Timestamp>,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            all: Brake::default(),
            lanes: Lane::ALL.into_iter().map(|lane| (lane, Brake::default())).collect(),
            asked: Asked::default(),
            spend_cap: SpendCap::default(),
        }
    }
}

impl Pauses {
    /// Whether any request may go out.
    pub(in crate::budget) fn lets_pass(&self, now: Timestamp) -> bool {
        self.all.lets_pass(now)
    }

    /// Whether one in this lane may, as far as the lane is concerned.
    pub(in crate::budget) fn lane_lets_pass(&self, lane: Lane, now: Timestamp) -> bool {
        self.lanes.get(&lane).is_some_and(|brake| brake.lets_pass(now)) && !self.waits_for_read(lane)
    }

    /// When any request may go out; `None` while only an answer can tell.
    pub(in crate::budget) fn opens(&self) -> Option<Timestamp> {
        self.all.opens()
    }

    /// When one in this lane may, as far as the lane is concerned.
    pub(in crate::budget) fn lane_opens(&self, lane: Lane) -> Option<Timestamp> {
        self.lanes.get(&lane).and_then(Brake::opens)
    }

    /// Whether this lane is left to reads to try: the service asked for a long pause of everything, and a submit costs
    /// money.
    pub(in crate::budget) fn waits_for_read(&self, lane: Lane) -> bool {
        lane == Lane::Submit && self.asked.tried_by_reads && self.all.until.is_some()
    }

    /// Whether anything stops this lane, or did until the probe that is still to come.
    pub(in crate::budget) fn stops(&self, lane: Lane) -> bool {
        self.all.until.is_some() || self.lanes.get(&lane).is_some_and(|brake| brake.until.is_some())
    }

    /// A request was let out.
    pub(super) fn passed(&mut self, lane: Lane, ticket: Ticket) {
        self.all.passed(ticket);
        if let Some(brake) = self.lanes.get_mut(&lane) {
            brake.passed(ticket);
        }
    }

    /// It is over, whatever came of it.
    pub(super) fn probe_over(&mut self, lane: Lane, ticket: Ticket) {
        self.all.probe_withdrawn(ticket);
        if let Some(brake) = self.lanes.get_mut(&lane) {
            brake.probe_withdrawn(ticket);
        }
    }

    /// It was answered; `charged` where it was a submit that was carried out.
    pub(super) fn answered(&mut self, (lane, ticket): (Lane, Ticket), charged: bool, now: Timestamp) {
        self.all.answered(ticket, now);
        self.spend_cap.answered((lane, ticket), charged, self.lanes.entry(lane).or_default(), now);
    }

    /// It met the spend cap, which a submit tries again then.
    pub(super) fn capped(&mut self, ticket: Ticket, until: Timestamp, now: Timestamp) {
        self.all.answered(ticket, now);
        self.spend_cap.reached(self.lanes.entry(Lane::Submit).or_default(), now, until);
    }

    /// It failed, and this is what it was about.
    pub(super) fn failed(
        &mut self,
        (lane, ticket): (Lane, Ticket),
        name: &str,
        (now, jitter): (Timestamp, f64),
        why: &Arc<str>,
    ) {
        let brake = self.lanes.entry(lane).or_default();
        let probe = brake.is_probe(ticket);
        let other = brake.last_failed.as_ref().is_some_and(|last| *last != name);
        // One object's own failures delay only that object; two different ones, or the probe, the lane.
        if probe || other {
            brake.failed(now, jitter, Some(why));
        }
        brake.last_failed = Some(name.to_owned());
    }

    /// The service asks to wait.
    pub(super) fn throttled(
        &mut self,
        (lane, ticket): (Lane, Ticket),
        until: Option<Timestamp>,
        (now, jitter): (Timestamp, f64),
    ) {
        let until = until.filter(|until| *until > now).map(|until| until.min(now + LONGEST_WAIT));
        if lane == Lane::Submit {
            // It may be of submits alone: reads go on, until one of them is told the same.
            self.all.answered(ticket, now);
            match until {
                None => refused_together(self.lanes.entry(lane).or_default(), ticket, (now, jitter)),
                Some(until) if until <= now + LONG => self.hold_submits(until, until),
                Some(until) => self.hold_submits(until, now + SUBMITS_PROBE),
            }
            return;
        }
        match until {
            None => refused_together(&mut self.all, ticket, (now, jitter)),
            Some(until) if until <= now + LONG => {
                self.all.hold(now, until);
                self.asked.all = self.asked.all.max(self.all.until);
            }
            Some(until) => {
                self.all.hold(now, now + LONG);
                self.asked.all = self.asked.all.max(Some(until));
                self.asked.tried_by_reads = true;
            }
        }
    }

    /// Whether a submit is told for the first time to wait, and not for long.
    pub(in crate::budget) fn is_first(&self, verdict: &Verdict, now: Timestamp) -> bool {
        match verdict {
            Verdict::Throttled(until) => {
                until.is_none_or(|until| until <= now + LONG) && !self.stops(Lane::Submit)
            }
            Verdict::Answered
            | Verdict::Spent
            | Verdict::Failed(_)
            | Verdict::NotServed(_)
            | Verdict::Capped(_) => false,
        }
    }

    fn hold_submits(&mut self, until: Timestamp, tried_at: Timestamp) {
        self.lanes.entry(Lane::Submit).or_default().pause_until(until.min(tried_at));
        self.asked.submits = self.asked.submits.max(Some(until));
    }

    /// Nothing is left of what the service allows until then.
    pub(in crate::budget) fn used_up(&mut self, now: Timestamp, reset: Timestamp) {
        self.all.hold(now, reset);
    }

    /// Takes over that a pause is over, where an answer has just said so.
    pub(in crate::budget) fn note_end(&mut self, now: Timestamp) {
        if self.all.until.is_none() {
            self.asked.all = self.asked.all.map(|until| until.min(now));
            self.asked.tried_by_reads = false;
        }
        if self.lanes.get(&Lane::Submit).is_some_and(|brake| brake.until.is_none()) {
            self.asked.submits = self.asked.submits.map(|until| until.min(now));
        }
    }

    /// Has what pauses for long tried by a single request each, now or a minute after the last time.
    pub(super) fn try_now<'a>(&'a mut self, others: impl Iterator<Item = &'a mut Brake>, now: Timestamp) {
        self.spend_cap.wished();
        if self.asked.wished.is_some_and(|wished| wished > now) {
            return;
        }
        let soonest = self.asked.wished.and_then(|last| last.checked_add(WISHES).ok());
        let at = soonest.map_or(now, |soonest| soonest.max(now));
        let long = Some(&mut self.all).filter(|_| self.asked.tried_by_reads);
        let paused = long.into_iter().chain(self.lanes.values_mut()).chain(others);
        for brake in paused.filter(|brake| brake.until.is_some_and(|until| until > now)) {
            brake.ends(at);
            self.asked.wished = Some(at);
        }
    }

    /// What stops this lane.
    pub(super) fn stop(&self, lane: Lane, now: Timestamp) -> Option<Stop> {
        let ahead = |until: Option<Timestamp>| until.filter(|until| *until > now);
        if self.all.until.is_some() {
            return Some(Stop::Asked(self.asked_of_all(now).or_else(|| ahead(self.all.until))));
        }
        if lane == Lane::Submit
            && let Some(until) = self.asked_of_submits(now)
        {
            return Some(Stop::Asked(Some(until)));
        }
        self.lanes.get(&lane).and_then(|brake| brake.why.clone()).map(Stop::Failing)
    }

    /// Until when everything pauses.
    pub(in crate::budget) fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.all.until.filter(|until| *until > now)
    }

    /// When a read tries a long pause of everything, where there is one.
    pub(in crate::budget) fn read_tries_at(&self) -> Option<Timestamp> {
        self.all.until.filter(|_| self.asked.tried_by_reads)
    }

    /// Until when the service itself asked to wait; our own pauses do not count.
    pub(in crate::budget) fn asked_of_all(&self, now: Timestamp) -> Option<Timestamp> {
        self.asked.all.filter(|until| *until > now)
    }

    /// Until when the service itself asked to submit nothing.
    pub(in crate::budget) fn asked_of_submits(&self, now: Timestamp) -> Option<Timestamp> {
        self.asked.submits.filter(|until| *until > now)
    }

    /// Puts a pause back that an earlier process was asked for; says whether that is news. A long one may have been of
    /// submits alone, as releases before 0.2 wrote it down: a read finds out at once.
    pub(in crate::budget) fn restore(&mut self, now: Timestamp, until: Timestamp) -> bool {
        if until <= now || self.asked.all.is_some() {
            return false;
        }
        let until = until.min(now + LONGEST_WAIT);
        self.asked.all = Some(until);
        if until > now + LONG {
            self.all.pause_until(now);
            self.asked.tried_by_reads = true;
            self.restore_submits(now, until);
        } else {
            self.all.hold(now, until);
        }
        true
    }

    /// Puts a pause of submits back. It is tried soon: the process before may have been about to.
    pub(in crate::budget) fn restore_submits(&mut self, now: Timestamp, until: Timestamp) {
        if until > now && self.asked.submits.is_none() {
            self.hold_submits(until.min(now + LONGEST_WAIT), now + LONG);
        }
    }

    /// When a submit tries the spend cap again, where that is reached.
    pub(in crate::budget) fn spend_cap(&self) -> Option<Timestamp> {
        self.lanes.get(&Lane::Submit).and_then(|brake| self.spend_cap.tried_at(brake))
    }

    /// Takes over from an earlier process that the spend cap is reached, and when it is to be tried again.
    pub(in crate::budget) fn restore_spend_cap(&mut self, now: Timestamp, until: Timestamp) {
        self.spend_cap.restore(self.lanes.entry(Lane::Submit).or_default(), now, until);
    }

    /// Forgets a spend cap that might have been tried for a minute, where no submit waits; says whether there was one.
    pub(in crate::budget) fn forget_untried_cap(&mut self, waits: bool, now: Timestamp) -> bool {
        self.spend_cap.forget_untried(self.lanes.entry(Lane::Submit).or_default(), waits, now)
    }
}

/// The service asks to wait and does not say how long: of those that were under way together the first tells all.
fn refused_together(brake: &mut Brake, ticket: Ticket, (now, jitter): (Timestamp, f64)) {
    if brake.until.is_none() || brake.is_probe(ticket) {
        brake.failed(now, jitter, None);
    }
}
