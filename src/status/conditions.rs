//! The conditions of a job, computed in one place from how it stands (the rules R1 to R17 in `docs/rules.md`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::bounds;
use super::flat::{Flat, flat};
use crate::api::{Condition, ConditionStatus, ReadyWhen, Reason, ScrapeJobStatus, State, find};
use crate::decide::message::Follow;
use crate::decide::{Freshness, REJECTED_GRACE, Standing, Verdict};

/// The status that this verdict makes, or `None` where it leaves the status alone.
pub fn compute(
    verdict: &Verdict,
    recorded: &ScrapeJobStatus,
    ready_when: ReadyWhen,
    generation: i64,
    now: Timestamp,
) -> Option<ScrapeJobStatus> {
    let standing = verdict.standing.as_ref()?;
    let words = flat(standing);
    // What is terminal is final within a run; another run starts from nothing (R8).
    let same_run = recorded.is_written() && recorded.run_id == verdict.record.run_id;
    let before = if same_run { recorded.conditions.as_slice() } else { &[] };
    let mut list = List::new(before, generation, now);

    let remote = verdict.record.remote.as_ref();
    let created = remote.and_then(|remote| remote.created_at.as_ref()).map(|time| time.0);
    let updated = remote.and_then(|remote| remote.updated_at.as_ref()).map(|time| time.0);
    list.passing("Queued", words.state == State::Queued, standing, (created, updated));
    list.passing(
        "Processing",
        words.state == State::Processing && words.reason != Reason::CollectingResults,
        standing,
        (updated, updated),
    );
    for state in [State::Completed, State::Failed, State::Cancelled] {
        if words.state == state {
            list.put(state.as_str(), ConditionStatus::True, words.reason, &words.message);
        }
    }
    let finished = words.state.is_terminal();
    let over = if finished { ConditionStatus::True } else { ConditionStatus::False };
    list.put("Finished", over, words.reason, &words.message);
    if *standing == Standing::Suspended {
        list.put("Suspended", ConditionStatus::True, words.reason, &words.message);
    }
    list.synced(&verdict.freshness);
    let health = health(standing, &words, ready_when, verdict.record.job_id.is_some(), now);
    list.health(&health, words.reason, &words.message);

    let Flat { state, reason, message } = words;
    let mut status = ScrapeJobStatus {
        observed_generation: Some(generation),
        state: Some(state.as_str().to_owned()),
        reason: Some(reason.as_str().to_owned()),
        message: Some(message),
        finished,
        conditions: list.after,
        ..verdict.record.clone()
    };
    bounds::apply(&mut status);
    Some(status)
}

/// The three answers to "is it well?" (R1): exactly one of them holds.
pub(super) enum Health {
    /// Something is still to come: Ready is Unknown, never False (R2).
    Reconciling,
    /// Time alone will not help (R3): Ready is False.
    Stalled,
    /// Ready is True, for this reason.
    Ready(Reason),
}

fn health(
    standing: &Standing,
    words: &Flat,
    ready_when: ReadyWhen,
    accepted: bool,
    now: Timestamp,
) -> Health {
    match standing {
        // Whatever comes after acceptance (R4).
        Standing::Following(..) | Standing::Cancelling(_)
            if accepted && ready_when == ReadyWhen::Accepted =>
        {
            Health::Ready(Reason::Accepted)
        }
        Standing::Waiting(..)
        | Standing::Submitting
        | Standing::Unknown(_)
        | Standing::Following(..)
        | Standing::Cancelling(_) => Health::Reconciling,
        Standing::Rejected(since, _) if now < *since + REJECTED_GRACE => Health::Reconciling,
        Standing::Rejected(..) | Standing::Held(..) => Health::Stalled,
        Standing::Suspended => Health::Ready(Reason::Suspended),
        Standing::Ended(state, reason, _) => {
            let well = *state == State::Completed || *reason == Reason::CancelledAsRequested;
            let enough = match ready_when {
                ReadyWhen::Completed => well,
                ReadyWhen::Finished => true,
                ReadyWhen::Accepted => well || accepted,
            };
            if enough { Health::Ready(words.reason) } else { Health::Stalled }
        }
    }
}

/// A list of conditions in the making, beside the one that is stored.
pub(super) struct List<'a> {
    before: &'a [Condition],
    pub(super) after: Vec<Condition>,
    generation: i64,
    now: Timestamp,
}

impl<'a> List<'a> {
    /// No conditions yet.
    pub(super) fn new(before: &'a [Condition], generation: i64, now: Timestamp) -> Self {
        Self { before, after: Vec::new(), generation, now }
    }

    /// Adds a condition; its transition time moves only with its status (R11).
    pub(super) fn put(&mut self, type_: &str, status: ConditionStatus, reason: Reason, message: &str) {
        self.put_at(type_, status, (reason.as_str(), message), None);
    }

    fn put_at(&mut self, type_: &str, status: ConditionStatus, why: (&str, &str), at: Option<Timestamp>) {
        let kept = find(self.before, type_).filter(|old| old.status == status);
        let moved = || Time(at.unwrap_or(self.now).min(self.now));
        self.after.push(Condition {
            type_: type_.to_owned(),
            status,
            reason: why.0.to_owned(),
            message: bounds::cut(why.1, crate::api::MESSAGE_MAX),
            last_transition_time: kept.map_or_else(moved, |old| old.last_transition_time.clone()),
            observed_generation: Some(self.generation),
        });
    }

    /// A state that a job passes through: absent until seen, True in it, False once left.
    fn passing(
        &mut self,
        type_: &str,
        now_in: bool,
        standing: &Standing,
        (entered, left): (Option<Timestamp>, Option<Timestamp>),
    ) {
        let old = find(self.before, type_);
        let reason = if type_ == "Queued" { Reason::Queued } else { Reason::Processing };
        match (now_in, old) {
            (true, _) => {
                let message = flat(standing).message;
                self.put_at(type_, ConditionStatus::True, (reason.as_str(), &message), entered);
            }
            (false, None) => {}
            (false, Some(old)) => {
                let still_there =
                    matches!(standing, Standing::Cancelling(_)) && old.status == ConditionStatus::True;
                let status = if still_there { ConditionStatus::True } else { ConditionStatus::False };
                let message = if still_there { old.message.clone() } else { Follow::Left.to_string() };
                self.put_at(type_, status, (reason.as_str(), &message), left);
            }
        }
    }

    fn synced(&mut self, freshness: &Freshness) {
        match freshness {
            Freshness::Fresh => {
                self.put("Synced", ConditionStatus::True, Reason::Synced, &Follow::Synced.to_string());
            }
            Freshness::Stale(reason, message) => {
                // One outage has many words (R12).
                let outage = matches!(
                    reason,
                    Reason::ServiceUnavailable | Reason::RateLimited | Reason::CredentialsRejected
                );
                let told = find(self.before, "Synced").filter(|old| {
                    outage && old.status == ConditionStatus::False && old.reason == reason.as_str()
                });
                let message = told.map_or_else(|| message.to_string(), |old| old.message.clone());
                self.put("Synced", ConditionStatus::False, *reason, &message);
            }
            Freshness::Unchanged => {
                if let Some(old) = find(self.before, "Synced").cloned() {
                    self.after.push(Condition { observed_generation: Some(self.generation), ..old });
                }
            }
        }
    }

    /// Ready is always there; Reconciling and Stalled only while they hold, as kstatus wants them.
    pub(super) fn health(&mut self, health: &Health, reason: Reason, message: &str) {
        match health {
            Health::Reconciling => {
                self.put("Reconciling", ConditionStatus::True, reason, message);
                self.put("Ready", ConditionStatus::Unknown, reason, message);
            }
            Health::Stalled => {
                self.put("Stalled", ConditionStatus::True, reason, message);
                self.put("Ready", ConditionStatus::False, reason, message);
            }
            Health::Ready(reason) => self.put("Ready", ConditionStatus::True, *reason, message),
        }
    }
}
