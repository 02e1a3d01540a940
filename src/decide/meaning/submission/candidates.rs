//! Which jobs of the list a submit of unknown outcome may have made.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::api::SubmissionRecord;
use crate::decide::plan::Candidate;

/// By how much the clocks of two machines may differ.
const CLOCK_MARGIN: Duration = Duration::from_secs(60);

/// A job as the service's list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its id.
    pub job_id: String,
    /// Its type, where the list names it.
    pub type_: Option<String>,
    /// Its start page, where the list names it.
    pub url: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

/// The job that is looked for: of the same type and, where the list names one, the same address, made since the first
/// attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sought {
    /// Whether others use the account, too.
    shared: bool,
    type_: Option<String>,
    url: Option<String>,
    /// Since when it may have been made.
    pub since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Sought {
    /// What a submit with this record may have made, of this type and address. `intended` is when its intent was written.
    pub fn of(
        submission: Option<&SubmissionRecord>,
        intended: Option<Timestamp>,
        shared: bool,
        (type_, url): (Option<&str>, Option<&str>),
        now: Timestamp,
    ) -> Self {
        let since = submission.and_then(|submission| submission.started_at.as_ref()).map(|time| time.0);
        // With an account that others use, too, an intent without a status proves nothing.
        let since = since.or_else(|| intended.filter(|_| !shared));
        // A first attempt in the future says nothing: the clock was put back.
        let since = since.filter(|at| *at <= now);
        let until = submission.and_then(|record| match &record.tried_at {
            None if record.attempt.is_none_or(|attempt| attempt <= 1) => record.started_at.as_ref(),
            tried_at => tried_at.as_ref(),
        });
        Self {
            shared,
            type_: type_.map(str::to_owned),
            url: url.map(str::to_owned),
            since: since.and_then(|at| at.checked_sub(CLOCK_MARGIN).ok()),
            until: until.and_then(|at| at.0.checked_add(CLOCK_MARGIN).ok()),
        }
    }

    /// Whether it may be this one.
    fn fits(&self, row: &Row) -> bool {
        if self.shared { self.is_surely(row) } else { self.may_be(row) }
    }

    /// Of the jobs of others as few are named as can be.
    fn is_surely(&self, row: &Row) -> bool {
        let made = row.created_at.zip(self.since).is_some_and(|(created, since)| created >= since);
        let early = row.created_at.zip(self.until).is_none_or(|(created, until)| created <= until);
        made && early && row.type_ == self.type_ && row.url == self.url
    }

    fn may_be(&self, row: &Row) -> bool {
        let of_type = row.type_.is_none() || row.type_ == self.type_;
        let later = row.created_at.zip(self.since).is_none_or(|(created, since)| created >= since);
        let same = row.url.as_ref().zip(self.url.as_ref()).is_none_or(|(theirs, ours)| theirs == ours);
        of_type && later && same
    }
}

/// Those of the list that it may be. `claimed` says whether another object already has a job, `contested` whether an
/// unknown submit of another object may have made any of them as well.
pub fn candidates(
    rows: Vec<Row>,
    sought: &Sought,
    claimed: impl Fn(&str) -> bool,
    contested: bool,
) -> Vec<Candidate> {
    let fitting = rows.into_iter().filter(|row| sought.fits(row));
    fitting
        .map(|row| Candidate {
            claimed: claimed(&row.job_id),
            contested,
            job_id: row.job_id,
            created_at: row.created_at,
        })
        .collect()
}
