//! What is known of a followed job.

use std::sync::Arc;

use jiff::Timestamp;

use crate::spideriq::{Error, JobStatus};

/// What is known of a followed job.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// The newest good look.
    pub latest: Option<JobStatus>,
    /// When that was, by the clock that never jumps.
    pub read_at: Option<Timestamp>,
    /// The first and the last time, without a good look between, that the service did not know the job;
    /// by the clock that never jumps.
    pub missing: Option<(Timestamp, Timestamp)>,
    /// What went wrong since the newest good look.
    pub trouble: Option<Arc<Error>>,
    /// Whether the list tells what changes of it, and tells when it no longer does.
    pub listed: bool,
}

impl Observation {
    /// Takes over what a look found; says whether the object has to be told.
    pub(super) fn take(&mut self, result: Result<JobStatus, Error>, now: Timestamp) -> bool {
        match result {
            Ok(job) => {
                let told = self.latest.as_ref() != Some(&job) || self.trouble.is_some();
                *self = Self { latest: Some(job), read_at: Some(now), ..Self::default() };
                told
            }
            Err(error) => {
                let vanished = matches!(error, Error::NotFound { .. });
                if vanished {
                    self.missing = Some((self.missing.map_or(now, |(first, _)| first), now));
                }
                self.trouble = Some(Arc::new(error));
                vanished
            }
        }
    }
}
