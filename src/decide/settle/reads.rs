//! What came of the reads at the end of a job.

use std::time::Duration;

use super::{Settling, past, pause};
use crate::api::{Remote, Results};
use crate::decide::facts::{Details, Observed, Summary, Trouble};
use crate::decide::meaning::end::ended;
use crate::decide::meaning::remote::{reads_left, terminal_state};
use crate::decide::meaning::standing::standing;
use crate::decide::plan::Again;

impl Settling<'_> {
    /// The details are kept in memory until the summary is there, so that the end of a job is one write.
    pub(super) fn detailed(&mut self, details: &Result<Details, Trouble>) {
        match details {
            Ok(details) => {
                self.memory.details = Some(details.clone());
                self.leave(Again::After(Duration::ZERO));
            }
            Err(_) => self.read_failed(),
        }
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
        self.close(false);
    }

    /// A read at the end failed: it is tried again until enough is enough (R7).
    fn read_failed(&mut self) {
        self.memory.failed_reads += 1;
        let after = Observed { memory: self.memory.clone(), ..self.o.clone() };
        if reads_left(&after) {
            self.again = Some(Again::After(pause(self.memory.failed_reads)));
            self.standing = Some(standing(self.o, &self.record));
        } else {
            self.close(true);
        }
    }

    /// The run is over as the service told it.
    fn close(&mut self, reads_failed: bool) {
        self.take_details();
        self.standing = Some(match terminal_state(self.o) {
            Some(state) => ended(self.o, &state, &self.record, reads_failed),
            None => standing(self.o, &self.record),
        });
    }

    /// Records the details that were read.
    pub(super) fn take_details(&mut self) {
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
