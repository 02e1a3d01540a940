//! What came of the reads at the end of a job (R7): the run ends with what is read by then, and the rest is owed.

use std::time::Duration;

use super::{Settling, past, pause};
use crate::api::{Owed, Remote, Results};
use crate::decide::facts::{Details, Observed, RemoteState, Summary, Trouble};
use crate::decide::meaning::end::{ended, owed, recorded_end};
use crate::decide::meaning::remote::{believed, reads_end_in, reason_comes_in, terminal_state};
use crate::decide::meaning::standing::standing;
use crate::decide::message::Unread;
use crate::decide::plan::{Again, Standing};

impl Settling<'_> {
    /// The details are kept in memory until the summary is there, so that both are one write.
    pub(super) fn detailed(&mut self, details: &Result<Details, Trouble>) {
        let Ok(details) = details else { return self.read_failed() };
        self.memory.details = Some(details.clone());
        self.leave(Again::After(Duration::ZERO));
    }

    pub(super) fn summarised(&mut self, summary: &Result<Summary, Trouble>) {
        let Ok(summary) = summary else { return self.read_failed() };
        if let Some(bytes) = summary.bytes {
            self.record.results = Some(Results { count: summary.count, bytes: Some(bytes) });
        }
        if summary.error_message.is_some() {
            let remote = self.record.remote.get_or_insert_with(Remote::default);
            remote.error_message.clone_from(&summary.error_message);
        }
        self.end(Unread::Nothing);
    }

    /// A read at the end failed: it is tried again until enough is enough.
    fn read_failed(&mut self) {
        self.memory.failed_reads += 1;
        let after = Observed { memory: self.memory.clone(), ..self.o.clone() };
        if reads_end_in(&after).is_zero() {
            return self.end(Unread::GivenUp);
        }
        self.unread(Again::After(pause(self.memory.failed_reads)));
    }

    /// It is not read yet: its turn has not come, it takes long, or it failed. The run ends all the same, but a failed one
    /// whose reason may come in a moment.
    pub(super) fn unread(&mut self, again: Again) {
        self.leave(again);
        if self.o.recorded.finished {
            return;
        }
        let left = reason_comes_in(self.o);
        if terminal_state(self.o) == Some(RemoteState::Failed) && !left.is_zero() {
            let pause = if let Again::After(pause) = again { pause } else { left };
            return self.leave(Again::After(pause.min(left)));
        }
        self.end(Unread::Yet);
    }

    /// What is over stays as it is, but for what was still owed.
    pub(super) fn rest_ended(&mut self, planned: &Standing) {
        let (finished, owes) = (self.o.recorded.finished, !self.o.recorded.owed.is_empty());
        if !finished && terminal_state(self.o).is_some() {
            return self.end(Unread::Yet);
        }
        if owes && reads_end_in(self.o).is_zero() {
            return self.end(Unread::GivenUp);
        }
        if owes && self.o.recorded.owed == [Owed::Details] && self.memory.details.is_some() {
            return self.end(Unread::Nothing);
        }
        self.standing = Some(planned.clone());
    }

    fn end(&mut self, unread: Unread) {
        match terminal_state(self.o) {
            Some(state) => self.end_as(&state, unread),
            // Another version of the operator has written over it: nothing is owed of this end.
            None if self.o.recorded.finished => {
                self.record.owed.clear();
                self.standing = Some(recorded_end(self.o, self.o.recorded.current_state()));
            }
            None => self.standing = Some(standing(self.o, &self.record)),
        }
    }

    /// The run is over as the service told it; once that is recorded its outcome stays (R8).
    pub(super) fn end_as(&mut self, state: &RemoteState, unread: Unread) {
        self.take_details();
        let read = |read: &Owed| *read == Owed::Details && self.memory.details.is_some();
        let left = owed(state, &self.record).iter().copied().filter(|owed| !read(owed));
        self.record.owed = if unread == Unread::Yet { left.collect() } else { Vec::new() };
        let told = ended(self.o, state, &self.record, unread);
        self.standing = Some(if self.o.recorded.finished { self.as_recorded(told) } else { told });
    }

    /// The recorded outcome, with these words where they are about the same.
    fn as_recorded(&self, told: Standing) -> Standing {
        let (recorded, why) = (self.o.recorded.current_state(), self.o.recorded.reason.as_deref());
        if let Standing::Ended(state, reason, _) = &told
            && *state == recorded
            && Some(reason.as_str()) == why
        {
            return told;
        }
        recorded_end(self.o, recorded)
    }

    /// Keeps since when the reads of a job that is over fail, or cannot be made.
    pub(super) fn note_unreadable(&mut self) {
        let over = terminal_state(self.o).is_some();
        let unreadable = over && (self.memory.failed_reads > 0 || !believed(self.o));
        self.memory.unreadable_since =
            unreadable.then(|| self.o.memory.unreadable_since.unwrap_or(self.o.steady));
    }

    /// Records the details that were read.
    fn take_details(&mut self) {
        if let Some(details) = self.memory.details.clone() {
            let remote = self.record.remote.get_or_insert_with(Remote::default);
            remote.started_at = past(details.started_at, self.o.now).or(remote.started_at.take());
            remote.completed_at = past(details.completed_at, self.o.now).or(remote.completed_at.take());
            remote.processing_time_seconds.clone_from(&details.processing_time_seconds);
            remote.pages_crawled = details.pages_crawled.or(remote.pages_crawled);
            remote.priority = details.priority.or(remote.priority);
        }
    }
}
