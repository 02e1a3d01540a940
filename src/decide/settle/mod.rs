//! Turns a plan and what came of it into what is now true, in one place.

mod cancel;
mod events;
mod look_up;
mod reads;
mod run;
mod submit;
mod waits;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::{CancelReason, JobAccount, Origin, Reason, Remote, ScrapeJobStatus, SubmissionRecord, find};
use crate::decide::facts::{
    AccountFacts, Memory, Observed, RemoteJob, RemoteState, Trouble, WAIT_STORED_EVERY,
};
use crate::decide::meaning::end::deadline;
use crate::decide::meaning::hold::hold_key;
use crate::decide::meaning::remote::{believed, freshness, payload_changed, reads_end_in, stale_after};
use crate::decide::meaning::standing::standing;
use crate::decide::meaning::submission::{Intended, intended, settles_in, unknown_submission};
use crate::decide::message::Follow;
use crate::decide::plan::{Again, Event, Freshness, Outcome, Plan, Standing, Verdict};

/// How often an end or an unknown outcome that is held up is looked at.
const LOOKS_AGAIN: Duration = Duration::from_secs(8);
/// How often results are asked for that the service is still making.
const UNREADY: Duration = Duration::from_secs(30);
/// The longest pause between two looks at something that waits and that nothing announces.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The longest that a timer runs: a deadline may be years away.
const LONGEST_TIMER: Duration = Duration::from_secs(24 * 3600);
/// How long rejected credentials are only waited for, before the job is stalled (R3).
pub const REJECTED_GRACE: Duration = Duration::from_secs(300);

/// What is now true, what this process should remember, and when to look again.
pub fn settle(o: &Observed, plan: &Plan, outcome: &Outcome) -> Verdict {
    let mut s = Settling::begin(o);
    match outcome {
        Outcome::Done => s.done(plan),
        Outcome::Lost => s.leave(Again::Live),
        Outcome::WriteRefused(words) => s.write_refused(plan, words),
        Outcome::Stopping => s.leave(Again::OnChange),
        Outcome::Unsent(before) => s.unsent(before.as_deref()),
        Outcome::NotYet(waiting) => s.not_yet(plan, waiting),
        Outcome::Reading => s.unread(Again::OnChange),
        Outcome::Unready => s.unread(Again::After(UNREADY)),
        Outcome::Submit(submit) => s.submitted(submit),
        Outcome::Candidates(found) => s.candidates(plan, found),
        Outcome::Status(status) if *plan == Plan::Look => s.looked(status),
        Outcome::Status(status) => s.status(status),
        Outcome::Details(details) => s.detailed(details),
        Outcome::Summary(summary) => s.summarised(summary),
        Outcome::Cancel(cancel) => s.cancelled(cancel),
    }
    let undone = matches!(
        outcome,
        Outcome::NotYet(_)
            | Outcome::Reading
            | Outcome::Unready
            | Outcome::Lost
            | Outcome::WriteRefused(_)
            | Outcome::Stopping
    );
    s.finish(undone)
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
    events: Vec<Event>,
}

impl<'a> Settling<'a> {
    /// Starts from what is recorded, with what is known anyway folded in.
    fn begin(o: &'a Observed) -> Self {
        let mut record =
            if o.recorded.is_written() { o.recorded.clone() } else { ScrapeJobStatus::default() };
        record.start_time.get_or_insert(Time(o.now));
        if !o.recorded.is_written() {
            record.run_id.clone_from(&o.job.spec.run_id);
        }
        if record.type_.is_none() {
            record.type_.clone_from(&o.job.spec.type_);
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
        this.name_client();
        this.keep_begun(o.recorded.submission.as_ref().and_then(|record| record.started_at.as_ref()));
        if believed(o)
            && let Some(latest) = &o.watched.latest
        {
            this.fold(latest);
        }
        this
    }

    /// Keeps when the first attempt was by the clock that never jumps: known exactly of our own, else as far as the wall
    /// clock told when this process first saw the record.
    fn keep_begun(&mut self, recorded: Option<&Time>) {
        if let Some(Time(recorded)) = recorded {
            let steady = self.o.steady.checked_sub(self.o.attempted_ago(*recorded));
            self.memory.begun = steady.ok().map(|steady| (*recorded, steady));
        }
    }

    /// The client of a submit that was made before the service had named it: the Secret is still the same.
    fn name_client(&mut self) {
        if let (Some(record), Some(account)) = (&mut self.record.submission, self.o.account.usable())
            && !self.o.recorded.finished
            && record.credential.as_ref() == Some(&account.credential)
            && record.endpoint.as_ref() == Some(&account.endpoint)
        {
            record.client_id = record.client_id.take().or_else(|| account.client_id.clone());
        }
    }

    /// `undone`: the plan's effect was not carried out.
    fn finish(mut self, undone: bool) -> Verdict {
        if !undone && self.standing.is_some() && self.o.job.marks.requested.is_some() {
            self.record.last_handled_reconcile_at.clone_from(&self.o.job.marks.requested);
        }
        if let Some(Standing::Held(..)) = &self.standing {
            self.record.held_on = Some(hold_key(self.o));
        } else if self.standing.is_some() {
            self.record.held_on = None;
        }
        if let Some(Standing::Ended(_, _, message)) = &mut self.standing {
            self.record.finish_time.get_or_insert(Time(self.o.now));
            *message = message.kept_for(self.o.job.kept_for());
        }
        if !matches!(self.standing, Some(Standing::Ended(..)) | None) {
            self.record.owed.clear();
        }
        if !matches!(
            self.standing,
            Some(Standing::Waiting(Reason::RateLimited | Reason::WaitingForBudget, _)) | None
        ) {
            self.record.retry_after = None;
        }
        // What only an intent knew is recorded, so that no later change of the object hides it.
        let this_run = !self.o.recorded.is_written() || self.record.run() == self.o.recorded.run();
        if self.standing.is_some() && this_run && self.record.submission.is_none() {
            self.record.submission = self.told_by_the_intent();
        }
        // What waits may still be given another account, and what is over needs none.
        let over = self.o.recorded.finished && this_run;
        if !over
            && (self.record.job_id.is_some() || self.record.submission.is_some())
            && let AccountFacts::Usable(account) = &self.o.account
        {
            let used = JobAccount { kind: account.kind, name: account.name.clone(), client_id: None };
            let recorded = self.record.account.get_or_insert(used);
            recorded.client_id = recorded.client_id.take().or_else(|| account.client_id.clone());
        }
        if let Some(begun) = self.o.job.deleted_at.filter(|_| self.o.job.protected && self.standing.is_some())
        {
            let waited = self.o.end_waited(begun).as_secs();
            self.record.cancel_wait_seconds = Some(i32::try_from(waited).unwrap_or(i32::MAX));
        }
        let mut events = events::of(self.o, self.standing.as_ref(), &self.record);
        events.append(&mut self.events);
        if !matches!(self.standing, Some(Standing::Waiting(..)) | None) {
            self.memory.waits = 0;
        }
        self.note_unreadable();
        let usual = self.usual_pause();
        let again = self.in_time(self.again.unwrap_or(usual));
        let freshness = self.freshness();
        Verdict {
            record: self.record,
            standing: self.standing,
            freshness,
            memory: self.memory,
            events,
            again,
        }
    }

    /// The submit that only the intent tells of.
    fn told_by_the_intent(&self) -> Option<SubmissionRecord> {
        let used_up = match (intended(self.o), &self.standing) {
            // Whoever's it was.
            (Intended::Unclear(intent) | Intended::Unproven(intent), Some(Standing::Ended(..))) => {
                Some(intent.record())
            }
            _ => None,
        };
        unknown_submission(self.o).or(used_up)
    }

    fn freshness(&self) -> Freshness {
        if payload_changed(self.o, &self.record) {
            return Freshness::Stale(Reason::PayloadChangedWithoutRunID, Follow::PayloadChanged.into());
        }
        if self.fresh {
            return Freshness::Fresh;
        }
        let same_run = self.record.run_id == self.o.recorded.run_id;
        let followed = self.o.recorded.job_id.is_some() || self.o.job.spec.job_id.is_some();
        // What is over is not looked at any more, whatever becomes of its account.
        if same_run && followed && !self.o.recorded.finished {
            return freshness(self.o);
        }
        let was_changed = find(&self.o.recorded.conditions, "Synced")
            .is_some_and(|synced| synced.reason == Reason::PayloadChangedWithoutRunID.as_str());
        if same_run && was_changed { Freshness::Fresh } else { Freshness::Unchanged }
    }

    /// No later than the run's deadline, the bound of its end, or the end of what is finished.
    fn in_time(&self, again: Again) -> Again {
        let until = |at: Timestamp| Duration::try_from(at.duration_since(self.o.now)).unwrap_or_default();
        let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
        let left = match &self.standing {
            // What is past has had its effect, or does not hold any more.
            Some(Standing::Ended(..)) if !self.record.owed.is_empty() => Some(reads_end_in(self.o)),
            Some(Standing::Ended(..)) => self.o.job.expires(time(&self.record.finish_time)).map(until),
            // What is left alone is not hurried, either.
            None if self.o.recorded.finished && !self.record.owed.is_empty() => {
                Some(reads_end_in(self.o)).filter(|left| !left.is_zero())
            }
            Some(_) | None => match self.record.cancel_reason {
                // What it has waited is stored on the way.
                _ if self.o.job.deleted_at.is_some() => self.o.job.deleted_at.map(|begun| {
                    let part =
                        self.o.end_waited(begun).as_secs() % u64::from(WAIT_STORED_EVERY.unsigned_abs());
                    let stored = Duration::from_secs(u64::from(WAIT_STORED_EVERY.unsigned_abs()) - part);
                    self.o.end_waits(begun).min(stored.max(LOOKS_AGAIN))
                }),
                Some(CancelReason::Superseded) => {
                    time(&self.record.cancel_time).map(|begun| self.o.end_waits(begun))
                }
                Some(_) => None,
                None => deadline(self.o, &self.record).map(until),
            }
            .filter(|left| !left.is_zero()),
        };
        let Some(left) = left else { return again };
        let left = left.min(LONGEST_TIMER);
        match again {
            Again::Live => Again::Live,
            Again::After(pause) => Again::After(pause.min(left)),
            Again::OnChange => Again::After(left),
        }
    }

    fn leave(&mut self, again: Again) {
        self.again = Some(again);
    }

    fn done(&mut self, plan: &Plan) {
        match plan {
            Plan::Rest(Standing::Following(..)) => {
                self.standing = Some(standing(self.o, &self.record));
            }
            // The first look at a mirrored job.
            Plan::Rest(Standing::Waiting(..))
                if self.o.job.spec.job_id.is_some() && self.record.remote.is_some() =>
            {
                self.standing = Some(standing(self.o, &self.record));
            }
            Plan::Rest(standing @ Standing::Ended(..)) => self.rest_ended(standing),
            Plan::Rest(standing) => self.standing = Some(standing.clone()),
            Plan::Adopt(job_id) => self.adopt(job_id),
            Plan::Latch(reason) => self.latch(*reason),
            Plan::Abandon(event) => self.abandon(event),
            Plan::Begin(_) => self.begin_run(),
            // The write that a finalizer needs is not a change of meaning: the status stays, and the watch wakes us.
            Plan::Leave | Plan::Expire | Plan::Protect(_) | Plan::Release(_) => self.leave(Again::OnChange),
            Plan::Submit(_) | Plan::LookUp(_) | Plan::Look | Plan::Confirm | Plan::Read(_) | Plan::Cancel => {
                self.leave(Again::After(Duration::from_secs(5)));
            }
        }
    }

    /// Takes over what the service says of the job, but never lets it fall back (R14).
    fn fold(&mut self, job: &RemoteJob) {
        let remote = self.record.remote.get_or_insert_with(Remote::default);
        let known = remote.state.as_deref().map(RemoteState::parse);
        if known.as_ref().is_some_and(RemoteState::is_terminal) && !job.state.is_terminal() {
            return;
        }
        // Two looks may be answered by two copies of the service: the older news is none.
        let recorded = remote.updated_at.as_ref().map(|time| time.0);
        let older = job.updated_at.zip(recorded).is_some_and(|(seen, recorded)| seen < recorded);
        if older && !job.state.is_terminal() {
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

    /// What a look that somebody asked for has found.
    fn looked(&mut self, status: &Result<RemoteJob, Trouble>) {
        if let Ok(job) = status {
            self.fold(job);
            self.fresh = true;
            if job.state.is_terminal() {
                self.leave(Again::After(Duration::ZERO));
            }
        }
        self.standing = Some(standing(self.o, &self.record));
    }

    fn retry(&mut self) {
        self.memory.tries = self.memory.tries.saturating_add(1);
        self.again = Some(Again::After(pause(self.memory.tries)));
    }

    /// When to look again where nothing special was said.
    fn usual_pause(&mut self) -> Again {
        match &self.standing {
            Some(Standing::Following(..)) if self.o.watched.listed => Again::OnChange,
            Some(Standing::Following(..)) => Again::After(stale_after(self.o)),
            Some(Standing::Waiting(..)) => {
                self.memory.waits = self.memory.waits.saturating_add(1);
                Again::After(pause(self.memory.waits))
            }
            Some(Standing::Rejected(since, _)) => {
                let grace = since.saturating_add(REJECTED_GRACE).map_or(Duration::ZERO, |end| {
                    Duration::try_from(end.duration_since(self.o.now)).unwrap_or_default()
                });
                if grace.is_zero() { Again::OnChange } else { Again::After(grace) }
            }
            Some(Standing::Unknown(_) | Standing::Cancelling(_)) => {
                Again::After(settles_in(self.o).unwrap_or(LOOKS_AGAIN))
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
