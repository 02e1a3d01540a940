//! Turns a plan and what came of it into what is now true, in one place.

mod cancel;
mod events;
mod submit;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::facts::{AccountFacts, Memory, Observed, RemoteJob, Trouble, Waiting};
use super::follow;
use super::plan::{Again, Collected, Freshness, LookUp, Outcome, Plan, Standing, Verdict};
use super::submit::{hold_key, unknown_submission};
use crate::api::{JobAccount, Origin, Reason, Remote, Results, ScrapeJobStatus, SubmissionRecord};

/// A wait for budget is told only after this long, so that a short one writes nothing (R12).
const TELL_WAIT_AFTER: Duration = Duration::from_secs(5);
/// The longest pause between two looks at something that waits and that nothing announces.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How long rejected credentials are only waited for, before the job is stalled (R3).
pub const REJECTED_GRACE: Duration = Duration::from_secs(300);

/// What is now true, what this process should remember, and when to look again.
pub fn settle(o: &Observed, plan: &Plan, outcome: &Outcome) -> Verdict {
    let mut s = Settling::begin(o);
    match outcome {
        Outcome::Done => s.done(plan),
        Outcome::Lost => s.leave(Again::Live),
        Outcome::Stopping => s.leave(Again::OnChange),
        Outcome::NotYet(waiting) => s.not_yet(plan, waiting),
        Outcome::Submit(submit) => s.submitted(submit),
        Outcome::Candidates(found) => s.candidates(plan, found),
        Outcome::Status(status) => s.status(status),
        Outcome::Collected(collected) => s.collected(collected),
        Outcome::Cancel(cancel) => s.cancelled(cancel),
    }
    s.finish()
}

/// A verdict in the making.
struct Settling<'a> {
    o: &'a Observed,
    record: ScrapeJobStatus,
    standing: Option<Standing>,
    memory: Memory,
    again: Option<Again>,
    /// Whether the service has just told how the job stands.
    fresh: bool,
    events: Vec<super::Event>,
}

impl<'a> Settling<'a> {
    /// Starts from what is recorded, with what is known anyway folded in.
    fn begin(o: &'a Observed) -> Self {
        let mut record =
            if o.recorded.is_written() { o.recorded.clone() } else { ScrapeJobStatus::default() };
        record.start_time.get_or_insert(Time(o.now));
        if record.type_.is_none() {
            record.type_.clone_from(&o.job.spec.type_);
        }
        if let AccountFacts::Usable(account) = &o.account {
            let used = JobAccount { kind: account.kind, name: account.name.clone(), client_id: None };
            let recorded = record.account.get_or_insert(used);
            recorded.client_id = recorded.client_id.take().or_else(|| account.client_id.clone());
        }
        let mut this = Self {
            o,
            record,
            standing: None,
            memory: o.memory.clone(),
            again: None,
            fresh: false,
            events: Vec::new(),
        };
        if let Some(id) = &o.job.spec.job_id {
            this.record.job_id = Some(id.clone());
        }
        if follow::believed(o)
            && let Some(latest) = &o.watched.latest
        {
            this.fold(latest);
        }
        this
    }

    fn finish(mut self) -> Verdict {
        if let Some(Standing::Held(..)) = &self.standing {
            self.record.held_on = Some(hold_key(self.o));
        } else if self.standing.is_some() {
            self.record.held_on = None;
        }
        if let Some(Standing::Ended(..)) = &self.standing {
            self.record.finish_time.get_or_insert(Time(self.o.now));
        }
        if !matches!(
            self.standing,
            Some(Standing::Waiting(Reason::RateLimited | Reason::WaitingForBudget, _)) | None
        ) {
            self.record.retry_after = None;
        }
        let mut events = events::of(self.o, self.standing.as_ref(), &self.record);
        events.append(&mut self.events);
        let again = self.again.unwrap_or_else(|| self.usual_pause());
        let freshness = if self.fresh {
            Freshness::Fresh
        } else if self.o.recorded.finished {
            // What is over is not looked at any more, whatever becomes of its account.
            Freshness::Unchanged
        } else if self.o.recorded.job_id.is_some() || self.o.job.spec.job_id.is_some() {
            follow::freshness(self.o)
        } else {
            Freshness::Unchanged
        };
        Verdict {
            record: self.record,
            standing: self.standing,
            freshness,
            memory: self.memory,
            events,
            again,
        }
    }

    fn leave(&mut self, again: Again) {
        self.again = Some(again);
    }

    fn done(&mut self, plan: &Plan) {
        match plan {
            Plan::Rest(Standing::Following(..)) => {
                self.standing = Some(follow::standing(self.o, &self.record));
            }
            Plan::Rest(standing) => self.standing = Some(standing.clone()),
            Plan::Adopt(job_id) => self.adopt(job_id),
            // The write that a finalizer needs is not a change of meaning: the status stays, and the watch wakes us.
            Plan::Protect(_) | Plan::Release(_) => self.leave(Again::OnChange),
            Plan::Submit(_) | Plan::LookUp(_) | Plan::Confirm | Plan::Collect { .. } | Plan::Cancel => {
                self.leave(Again::After(Duration::from_secs(5)));
            }
        }
    }

    fn adopt(&mut self, job_id: &str) {
        let before = unknown_submission(self.o).unwrap_or_default();
        let account = self.o.account.usable();
        self.record.job_id = Some(job_id.to_owned());
        self.record.submit_time = Some(Time(self.o.now));
        self.record.submission = Some(SubmissionRecord {
            origin: Some(Origin::Adopted),
            body_hash: before.body_hash.or_else(|| self.o.job.body.as_ref().map(|body| body.hash.clone())),
            endpoint: account.map(|account| account.endpoint.clone()),
            client_id: account.and_then(|account| account.client_id.clone()),
            credential: account.map(|account| account.credential.clone()),
            ..before
        });
        self.standing = Some(follow::standing(self.o, &self.record));
    }

    /// It is not its turn: told once, after a while, and never as more than a wait.
    fn not_yet(&mut self, plan: &Plan, waiting: &Waiting) {
        let told_at = waiting.since + TELL_WAIT_AFTER;
        if self.o.now < told_at {
            let left = Duration::try_from(told_at.duration_since(self.o.now)).unwrap_or(TELL_WAIT_AFTER);
            return self.leave(Again::After(left));
        }
        self.again = Some(Again::After(Duration::from_secs(60)));
        self.standing = Some(match plan {
            Plan::Submit(attempt) if attempt.number() == 1 => {
                if self.o.recorded.retry_after.is_none() {
                    self.record.retry_after = waiting.paused_until.or(waiting.estimate).map(Time);
                }
                match waiting.paused_until {
                    Some(_) => Standing::Waiting(Reason::RateLimited, "the account pauses; the job goes on when the pause is over".to_owned()),
                    None => Standing::Waiting(Reason::WaitingForBudget, "waiting for its turn in the account's request budget".to_owned()),
                }
            }
            Plan::Submit(_) | Plan::LookUp(_) => {
                Standing::Unknown("the outcome of a submit is not known; waiting for the account's request budget to look it up".to_owned())
            }
            Plan::Cancel | Plan::Confirm => Standing::Cancelling("waiting for the account's request budget to cancel the job".to_owned()),
            Plan::Collect { .. } | Plan::Rest(_) | Plan::Adopt(_) | Plan::Protect(_) | Plan::Release(_) => {
                follow::standing(self.o, &self.record)
            }
        });
    }

    fn candidates(&mut self, plan: &Plan, found: &Result<Vec<super::Candidate>, Trouble>) {
        let free: Vec<String> = found
            .iter()
            .flatten()
            .filter(|candidate| !candidate.claimed)
            .map(|candidate| candidate.job_id.clone())
            .collect();
        let wanted = match plan {
            Plan::LookUp(wanted) => *wanted,
            Plan::Rest(_)
            | Plan::Submit(_)
            | Plan::Adopt(_)
            | Plan::Confirm
            | Plan::Collect { .. }
            | Plan::Protect(_)
            | Plan::Cancel
            | Plan::Release(_) => LookUp::ToHold,
        };
        if found.is_err() && (self.memory.tries < 3 || wanted == LookUp::ToRelease) {
            self.retry();
            self.standing = Some(Standing::Unknown(
                "the outcome of a submit is not known, and the list of jobs cannot be read yet".to_owned(),
            ));
            return;
        }
        self.memory.tries = 0;
        match (wanted, free.as_slice()) {
            (LookUp::ToRelease, _) => {
                self.memory.candidates = Some(free);
                self.leave(Again::After(Duration::ZERO));
            }
            (LookUp::ToAdopt, [only]) => self.adopt(only),
            (LookUp::ToAdopt | LookUp::ToHold, _) => self.hold_ambiguous(&free, found.is_err()),
        }
    }

    fn hold_ambiguous(&mut self, candidates: &[String], unread: bool) {
        let named = if unread {
            "the list of jobs could not be read".to_owned()
        } else if candidates.is_empty() {
            "the list of jobs names none that it could have made".to_owned()
        } else {
            let more = if candidates.len() > 5 { ", …" } else { "" };
            format!(
                "it may have made {}{more}",
                candidates.iter().take(5).cloned().collect::<Vec<_>>().join(", ")
            )
        };
        // A restored intent is the only record of the submit: from here on the status carries it.
        self.record.submission = unknown_submission(self.o);
        self.standing = Some(Standing::Held(
            Reason::SubmissionAmbiguous,
            format!(
                "a submit was sent and its outcome is not known; {named}; set spec.submission.onAmbiguous to Adopt to take the only such job, or to Resubmit to submit again and perhaps pay twice"
            ),
        ));
    }

    fn collected(&mut self, collected: &Collected) {
        let mut failed = None;
        match &collected.details {
            Ok(details) => {
                let remote = self.record.remote.get_or_insert_with(Remote::default);
                remote.started_at = past(details.started_at, self.o.now).or(remote.started_at.take());
                remote.completed_at = past(details.completed_at, self.o.now).or(remote.completed_at.take());
                remote.processing_time_seconds.clone_from(&details.processing_time_seconds);
                remote.pages_crawled = details.pages_crawled.or(remote.pages_crawled);
                remote.priority = details.priority.or(remote.priority);
            }
            Err(trouble) => failed = Some(trouble),
        }
        match &collected.summary {
            Ok(summary) => {
                if let Some(bytes) = summary.bytes {
                    self.record.results = Some(Results { count: summary.count, bytes: Some(bytes) });
                }
                if summary.error_message.is_some() {
                    self.record
                        .remote
                        .get_or_insert_with(Remote::default)
                        .error_message
                        .clone_from(&summary.error_message);
                }
            }
            Err(trouble) => failed = Some(trouble),
        }
        if failed.is_some() {
            self.memory.failed_reads += 1;
            self.memory.first_failed_read.get_or_insert(self.o.now);
        }
        let after = Observed { memory: self.memory.clone(), ..self.o.clone() };
        match follow::terminal_state(self.o) {
            Some(state) if failed.is_none() || !follow::reads_left(&after) => {
                self.standing = Some(follow::ended(self.o, &state, &self.record, failed.is_some()));
            }
            Some(_) | None => {
                self.again = Some(Again::After(pause(self.memory.failed_reads)));
                self.standing = Some(follow::standing(self.o, &self.record));
            }
        }
    }

    /// Takes over what the service says of the job, but never lets it fall back (R14).
    fn fold(&mut self, job: &RemoteJob) {
        let remote = self.record.remote.get_or_insert_with(Remote::default);
        let known = remote.state.as_deref().map(super::RemoteState::parse);
        if known.as_ref().is_some_and(super::RemoteState::is_terminal) && !job.state.is_terminal() {
            return;
        }
        remote.state = Some(job.state.word().to_owned());
        remote.worker_id = job.worker_id.clone().or(remote.worker_id.take());
        remote.created_at = past(job.created_at, self.o.now).or(remote.created_at.take());
        remote.updated_at = past(job.updated_at, self.o.now).or(remote.updated_at.take());
        if job.error_message.is_some() {
            remote.error_message.clone_from(&job.error_message);
        }
        if self.record.type_.is_none() {
            self.record.type_.clone_from(&job.type_);
        }
        if self.o.job.spec.job_id.is_some() && self.record.submission.is_none() {
            self.record.submission = self.o.account.usable().map(|account| SubmissionRecord {
                origin: Some(Origin::Mirrored),
                endpoint: Some(account.endpoint.clone()),
                client_id: account.client_id.clone(),
                credential: Some(account.credential.clone()),
                ..SubmissionRecord::default()
            });
        }
    }

    fn retry(&mut self) {
        self.memory.tries = self.memory.tries.saturating_add(1);
        self.again = Some(Again::After(pause(self.memory.tries)));
    }

    /// When to look again where nothing special was said.
    fn usual_pause(&mut self) -> Again {
        match &self.standing {
            Some(Standing::Following(..)) => Again::After(follow::stale_after(self.o)),
            Some(Standing::Waiting(..)) => {
                self.memory.tries = self.memory.tries.saturating_add(1);
                Again::After(pause(self.memory.tries))
            }
            Some(Standing::Rejected(since, _)) => {
                let grace = since.saturating_add(REJECTED_GRACE).map_or(Duration::ZERO, |end| {
                    Duration::try_from(end.duration_since(self.o.now)).unwrap_or_default()
                });
                if grace.is_zero() { Again::OnChange } else { Again::After(grace) }
            }
            Some(Standing::Unknown(_) | Standing::Cancelling(_)) => {
                self.memory.tries = self.memory.tries.saturating_add(1);
                Again::After(pause(self.memory.tries.min(3)))
            }
            Some(Standing::Suspended | Standing::Submitting | Standing::Held(..) | Standing::Ended(..))
            | None => Again::OnChange,
        }
    }
}

/// 2 s, 4 s, 8 s, … up to ten minutes.
fn pause(tries: u32) -> Duration {
    Duration::from_secs(1 << tries.min(10)).min(LONGEST_PAUSE)
}

/// A time as Kubernetes may store it: never in the future, which a date column would show as invalid.
fn past(time: Option<Timestamp>, now: Timestamp) -> Option<Time> {
    time.map(|time| Time(time.min(now)))
}
