//! The record of a submit, read once: what its many optional fields mean together.

use crate::api::{Origin, ScrapeJobStatus, SubmissionRecord};

/// What a status says of the submit of its run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::decide) enum Submission<'a> {
    /// Nothing was sent for this run.
    Nothing,
    /// The service refused the payload: only the hash of what was sent is kept, and it certainly made no job.
    Refused(&'a SubmissionRecord),
    /// An attempt is recorded and no job: its request is under way, or nobody knows what came of it.
    Attempted(&'a SubmissionRecord),
    /// The spec names the job, and the service was seen to know it.
    Mirrored(&'a SubmissionRecord),
    /// The service accepted a submit of this object, or answered it, or the object took the job over.
    Accepted(Origin, &'a SubmissionRecord),
    /// There is a job, and nothing says how the object came to it: it is named and was not seen yet, it is shown again
    /// after it ended earlier, or the record is lost.
    Unexplained(Option<&'a SubmissionRecord>),
}

impl<'a> Submission<'a> {
    /// Reads it.
    pub(in crate::decide) fn of(status: &'a ScrapeJobStatus) -> Self {
        let record = status.submission.as_ref();
        let origin = record.and_then(|record| record.origin);
        match (record, origin, status.job_id.is_some()) {
            (Some(record), Some(Origin::Mirrored), _) => Self::Mirrored(record),
            (Some(record), Some(origin), true) => Self::Accepted(origin, record),
            (record, _, true) => Self::Unexplained(record),
            (Some(record), _, false) if record.nonce.is_some() => Self::Attempted(record),
            (Some(record), _, false) => Self::Refused(record),
            (None, _, false) => Self::Nothing,
        }
    }

    /// The record itself.
    pub(in crate::decide) const fn record(self) -> Option<&'a SubmissionRecord> {
        match self {
            Self::Nothing => None,
            Self::Refused(record)
            | Self::Attempted(record)
            | Self::Mirrored(record)
            | Self::Accepted(_, record) => Some(record),
            Self::Unexplained(record) => record,
        }
    }

    /// How the object came to the job.
    pub(in crate::decide) const fn origin(self) -> Option<Origin> {
        match self {
            Self::Mirrored(_) => Some(Origin::Mirrored),
            Self::Accepted(origin, _) => Some(origin),
            Self::Nothing | Self::Refused(_) | Self::Attempted(_) | Self::Unexplained(_) => None,
        }
    }
}
