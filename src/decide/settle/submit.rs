//! What a submit's answer means for the object (`docs/adr/0003`).

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::Settling;
use crate::api::{OnCacheHit, Origin, Reason, State, SubmissionRecord};
use crate::decide::facts::{Memory, Observed, RemoteState, Trouble};
use crate::decide::meaning::end::fresh_from;
use crate::decide::meaning::standing::{capped, rate_limited, standing, unavailable, waits_for_budget};
use crate::decide::meaning::submission::{Intended, intended, unknown_submission};
use crate::decide::message::{End, Hold, Note, Unknown, Unsettled, Wait};
use crate::decide::plan::{Accepted, Again, Event, Refusal, Standing, SubmitAnswer, SubmitOutcome};

/// How far the two clocks may differ when it is judged whether a job is older than our first attempt.
const CLOCK_MARGIN: Duration = Duration::from_secs(60);

impl Settling<'_> {
    /// The nonce goes again: nothing was sent with it.
    pub(super) fn unsent(&mut self, before: Option<&SubmissionRecord>) {
        self.record.submission = before.cloned();
        self.standing = Some(match before {
            Some(_) => Standing::Unknown(Unknown::Stops.into()),
            None => Standing::Waiting(Reason::WaitingForController, Wait::Stops.into()),
        });
    }

    pub(super) fn adopt(&mut self, job_id: &str) {
        let told = match intended(self.o) {
            Intended::Ours(intent) => Some(intent.body_hash.clone()),
            Intended::Nothing | Intended::Unclear(_) | Intended::Unproven(_) => None,
        };
        let before = unknown_submission(self.o).unwrap_or_default();
        let account = self.o.account.usable();
        self.record.job_id = Some(job_id.to_owned());
        self.record.submit_time = Some(Time(self.o.now));
        self.record.submission = Some(SubmissionRecord {
            origin: Some(Origin::Adopted),
            body_hash: before
                .body_hash
                .or(told)
                .or_else(|| self.o.job.body.as_ref().map(|body| body.hash.clone())),
            endpoint: account.map(|account| account.endpoint.clone()),
            client_id: account.and_then(|account| account.client_id.clone()),
            credential: account.map(|account| account.credential.clone()),
            ..before
        });
        self.standing = Some(standing(self.o, &self.record));
    }

    pub(super) fn submitted(&mut self, outcome: &SubmitOutcome) {
        self.memory.attempted_at = Some(self.o.steady);
        self.memory.ended_here = true;
        self.keep_begun(outcome.record.started_at.as_ref());
        // What the service refuses counts against its limits, too.
        self.record.tried_at.clone_from(&outcome.record.tried_at);
        let first = outcome.record.attempt.unwrap_or(1) <= 1;
        match &outcome.answer {
            SubmitAnswer::Accepted(accepted) => self.accepted(&outcome.record, accepted, first),
            SubmitAnswer::Refused(refusal) if first => self.refused(&outcome.record, refusal),
            SubmitAnswer::Refused(refusal) => self.repeat_refused(&outcome.record, refusal),
            SubmitAnswer::Unknown { why, without_id } => {
                self.memory.unusable_answers =
                    if *without_id { self.o.memory.unusable_answers + 1 } else { 0 };
                self.still_unknown(&outcome.record, Unknown::Failed(why.clone()));
            }
        }
    }

    fn accepted(&mut self, record: &SubmissionRecord, accepted: &Accepted, first: bool) {
        let origin = if first { of_first(accepted) } else { of_repeat(self.o, record, accepted) };
        self.record.job_id = Some(accepted.job_id.clone());
        self.record.submission = Some(SubmissionRecord { origin: Some(origin), ..record.clone() });
        self.record.submit_time = Some(Time(self.o.now));
        self.fold(&accepted.job);
        self.fresh = true;
        self.memory = Memory::default();
        self.standing = Some(match refused_hit(self.o, origin, accepted) {
            Some(standing) if first => standing,
            Some(_) | None => standing(self.o, &self.record),
        });
        if accepted.strays.as_ref().is_none_or(|listed| listed.partly) {
            self.events.push(Event::orphaned(Note::StraysUnread));
        }
        let strays = accepted.strays.iter().flat_map(|listed| &listed.jobs);
        for stray in strays.filter(|stray| !stray.claimed) {
            self.events.push(Event::orphaned(Note::Stray(stray.job_id.clone())));
        }
    }

    /// The service certainly made no job: the one step back that states may take.
    fn refused(&mut self, record: &SubmissionRecord, refusal: &Refusal) {
        let body_hash = record.body_hash.clone().filter(|_| matches!(refusal, Refusal::Payload(_)));
        self.record.submission =
            body_hash.map(|hash| SubmissionRecord { body_hash: Some(hash), ..SubmissionRecord::default() });
        self.memory.ended_here = false;
        self.standing = Some(match refusal {
            Refusal::Payload(words) => Standing::Ended(
                State::Failed,
                Reason::InvalidPayload,
                End::PayloadRefused(words.clone()).into(),
            ),
            Refusal::Pointless(words) => Standing::Held(Reason::Refused, Hold::Refused(words.clone()).into()),
            Refusal::NotServed { since, words } => {
                // Back to its place in the line.
                self.again = Some(Again::After(super::pause(1)));
                self.not_served(*since, words)
            }
            Refusal::Trouble(trouble) => self.waits_for(trouble),
        });
    }

    fn waits_for(&mut self, trouble: &Trouble) -> Standing {
        match trouble {
            Trouble::Rejected(words) => Standing::Rejected(self.o.now, Wait::Rejected(words.clone()).into()),
            Trouble::SpendCap(_) => {
                // Back to its place in the line.
                self.again = Some(Again::After(super::pause(1)));
                Standing::Held(Reason::SpendCapReached, capped(self.o))
            }
            Trouble::Throttled(until, _) => {
                self.record.retry_after = until.map(Time);
                rate_limited()
            }
            Trouble::NotFound(words) | Trouble::Unavailable(words) => unavailable(self.o, words),
            Trouble::NoBudget(_) => waits_for_budget(),
        }
    }

    /// A refusal of a repeat says nothing about the attempts before it: the outcome stays unknown.
    fn repeat_refused(&mut self, record: &SubmissionRecord, refusal: &Refusal) {
        match refusal {
            // It was certainly not carried out, so what it was allowed by is not used up.
            Refusal::Trouble(trouble) => {
                let before = unknown_submission(self.o).and_then(|record| record.resubmitted);
                let record = SubmissionRecord { resubmitted: before, ..record.clone() };
                let why = match trouble {
                    Trouble::Rejected(words) => Unknown::blocked(&Wait::Rejected(words.clone())),
                    Trouble::SpendCap(_) => Unknown::blocked(&capped(self.o)),
                    Trouble::Throttled(..) => Unknown::blocked(&Wait::Pause),
                    Trouble::NoBudget(_) => Unknown::blocked(&Wait::Turn),
                    Trouble::NotFound(words) | Trouble::Unavailable(words) => Unknown::Failed(words.clone()),
                };
                self.still_unknown(&record, why);
            }
            Refusal::Payload(words) | Refusal::Pointless(words) | Refusal::NotServed { words, .. } => {
                self.record.submission = Some(record.clone());
                let why = Unsettled::RepeatRefused(words.clone());
                self.standing = Some(Standing::Held(Reason::SubmissionAmbiguous, why.into()));
            }
        }
    }

    fn still_unknown(&mut self, record: &SubmissionRecord, why: Unknown) {
        self.record.submission = Some(record.clone());
        self.standing = Some(Standing::Unknown(why.into()));
        self.again = Some(Again::After(super::pause(2)));
    }
}

fn of_first(accepted: &Accepted) -> Origin {
    if accepted.from_cache == Some(true) { Origin::Cached } else { Origin::Submitted }
}

/// How a run ends whose spec does not take what the service answered from its cache.
fn refused_hit(o: &Observed, origin: Origin, accepted: &Accepted) -> Option<Standing> {
    let takes = match o.job.spec.on_cache_hit() {
        OnCacheHit::Accept => true,
        OnCacheHit::AcceptIfCompleted => accepted.job.state == RemoteState::Completed,
        OnCacheHit::Fail => false,
    };
    if origin != Origin::Cached || takes {
        return None;
    }
    let end = End::EarlierNotAccepted {
        job_id: accepted.job_id.clone(),
        state: accepted.job.state.word().to_owned(),
        fresh_from: fresh_from(accepted.job.created_at),
    };
    Some(Standing::Ended(State::Failed, Reason::CachedFailure, end.into()))
}

/// After a repeat, a job made at or after the first attempt is ours; an earlier one, or one of unknown time, is not.
/// Both times are compared by the service's clock.
fn of_repeat(o: &Observed, record: &SubmissionRecord, accepted: &Accepted) -> Origin {
    if accepted.from_cache == Some(false) {
        return Origin::Submitted;
    }
    let begun = record.started_at.as_ref().and_then(|time| by_their_clock(o, time.0, accepted.server_date));
    match (accepted.job.created_at, begun) {
        // An answer may name the last minute of time.
        (Some(created), Some(begun))
            if created.saturating_add(CLOCK_MARGIN).is_ok_and(|latest| latest >= begun) =>
        {
            Origin::Submitted
        }
        (Some(_) | None, _) => Origin::Cached,
    }
}

fn by_their_clock(o: &Observed, begun: Timestamp, server_date: Option<Timestamp>) -> Option<Timestamp> {
    server_date?.checked_sub(o.attempted_ago(begun)).ok()
}
