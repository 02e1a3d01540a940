//! What stops requests although there would be a token for them, and what lets them go on.

mod brake;
mod kinds;
mod pauses;
mod spend_cap;
mod subjects;

use jiff::Timestamp;

use super::outage::Stop;
use super::request::{Lane, Subject, Ticket, Verdict};
use brake::Brake;
pub use brake::SUBMITS_PROBE;
use kinds::Kinds;
use pauses::Pauses;
pub use spend_cap::{UNTRIED, capped};
use subjects::Subjects;

/// Everything that stops requests of one client.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Brakes {
    /// What stops all of them, or a lane.
    pub(super) pauses: Pauses,
    /// What stops those of one type.
    kinds: Kinds,
    /// What stops those about one object.
    subjects: Subjects,
}

impl Brakes {
    /// What an object's own failures, or those of its type, hold back.
    fn of(&self, lane: Lane, name: Option<&str>, kind: Option<&String>) -> impl Iterator<Item = &Brake> {
        let own = name.and_then(|name| self.subjects.get(lane, name));
        own.into_iter().chain(self.kinds.get(kind))
    }

    /// Whether nothing but its lane stops it.
    pub(super) fn lets_pass(&self, lane: Lane, subject: &Subject, now: Timestamp) -> bool {
        self.of(lane, Some(&subject.name), subject.kind.as_ref()).all(|brake| brake.lets_pass(now))
    }

    /// From when on nothing but its lane stops an object, or a type, at the earliest then; `None` while only an answer can
    /// tell.
    pub(super) fn opens(
        &self,
        lane: Lane,
        (name, kind): (Option<&str>, Option<&String>),
        from: Timestamp,
    ) -> Option<Timestamp> {
        let mut opens = self.of(lane, name, kind).map(Brake::opens);
        opens.try_fold(from, |latest, opens| Some(latest.max(opens?)))
    }

    /// Whether an object's own requests in a lane fail.
    pub(super) fn fails(&self, lane: Lane, subject: &Subject) -> bool {
        self.subjects.get(lane, &subject.name).is_some()
    }

    /// A request was let out.
    pub(super) fn passed(&mut self, (lane, ticket): (Lane, Ticket), subject: &Subject) {
        self.pauses.passed(lane, ticket);
        if let Some(brake) = self.subjects.get_mut(lane, &subject.name) {
            brake.passed(ticket);
        }
        if let Some(brake) = self.kinds.get_mut(subject.kind.as_ref()) {
            brake.passed(ticket);
        }
    }

    /// Every brake that waited for this probe may send another one.
    pub(super) fn probe_over(&mut self, (lane, ticket): (Lane, Ticket), subject: &Subject) {
        self.pauses.probe_over(lane, ticket);
        if let Some(brake) = self.subjects.get_mut(lane, &subject.name) {
            brake.probe_withdrawn(ticket);
        }
        if let Some(brake) = self.kinds.get_mut(subject.kind.as_ref()) {
            brake.probe_withdrawn(ticket);
        }
    }

    /// Takes over what came of a request.
    pub(super) fn settle(
        &mut self,
        (lane, ticket): (Lane, Ticket),
        subject: &Subject,
        verdict: Verdict,
        (now, jitter): (Timestamp, f64),
    ) {
        let charged = verdict == Verdict::Spent;
        match verdict {
            Verdict::Answered | Verdict::Spent => {
                self.answered((lane, ticket), subject, charged, now);
                if let Some(kind) = &subject.kind {
                    self.kinds.served(kind);
                }
            }
            Verdict::NotServed(why) => {
                self.answered((lane, ticket), subject, charged, now);
                if let Some(kind) = &subject.kind {
                    self.kinds.not_served(now, (kind, ticket), why, jitter);
                }
            }
            Verdict::Throttled(until) => self.pauses.throttled((lane, ticket), until, (now, jitter)),
            Verdict::Capped(until) => self.pauses.capped(ticket, until, now),
            Verdict::Failed(why) => {
                self.pauses.failed((lane, ticket), &subject.name, (now, jitter), &why);
                // Who cancels, looks up and polls spaces out its own failures; a poll that fails must not delay a cancel.
                if !matches!(lane, Lane::Cancel | Lane::LookUp | Lane::List | Lane::Poll | Lane::Net) {
                    self.subjects.failed((lane, &subject.name), now, jitter, &why);
                }
            }
        }
    }

    fn answered(&mut self, at: (Lane, Ticket), subject: &Subject, charged: bool, now: Timestamp) {
        self.pauses.answered(at, charged, now);
        self.subjects.answered(at.0, &subject.name);
    }

    /// Has what pauses for long tried by a single request each, now or a minute after the last time.
    pub(super) fn try_now(&mut self, now: Timestamp) {
        self.pauses.try_now(self.kinds.brakes(), now);
    }

    /// What stops requests in this lane about this.
    pub(super) fn stop(&self, lane: Lane, subject: &Subject, now: Timestamp) -> Option<Stop> {
        let kind = || subject.kind.as_deref().and_then(|kind| self.kinds.refusal(kind));
        let not_served = || kind().map(|(since, why)| Stop::NotServed(since, why));
        let own = || self.subjects.get(lane, &subject.name).and_then(|brake| brake.why.clone());
        self.pauses.stop(lane, now).or_else(not_served).or_else(|| own().map(Stop::Failing))
    }

    /// Since when the service knows no address for submits of this type.
    pub(super) fn not_served_since(&self, kind: &str) -> Option<Timestamp> {
        self.kinds.refusal(kind).map(|(since, _)| since)
    }

    /// Whether no object's own requests fail.
    #[cfg(test)]
    pub(super) fn holds_no_subject(&self) -> bool {
        self.subjects.is_empty()
    }
}
