//! A page: which one is asked for, what an answer has to be like to be one, and what it is where it is none.

use crate::spideriq::{JobState, ListPage, ListRow, Listed};

/// A page of fewer rows is the last one. A service that does not heed how many it was asked for gives so many (contract
/// section 2.1).
pub(super) const SHORT: usize = 50;

/// A page to be read; pages count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) of: Listed,
    pub(super) page: usize,
}

impl Ask {
    /// A page of what changed.
    pub(super) const fn changed(page: usize) -> Self {
        Self { of: Listed::Changed, page }
    }

    /// Whether its rows are such as were asked for, but for some that have just changed.
    pub(super) fn is_answered_by(self, page: &ListPage) -> bool {
        let fits = |row: &ListRow| match (self.of, row.job.as_ref().map(|job| &job.state)) {
            (Listed::Changed, state) => state.is_some(),
            (Listed::Queued, state) => state == Some(&JobState::Queued),
            (Listed::Processing, state) => matches!(state, Some(JobState::Processing | JobState::Other(_))),
        };
        page.rows.iter().filter(|row| fits(row)).count() * 2 >= page.length
    }
}

/// A page in the order of the last change.
pub(super) struct Page<'a> {
    /// The rows that say when they changed last, in seconds.
    pub(super) rows: Vec<(&'a ListRow, i64)>,
    /// How many rows there were, also such as cannot be read.
    length: usize,
}

impl<'a> Page<'a> {
    /// A page whose rows are in order; nothing where they are not, or most do not say when they changed. An odd row, which
    /// may be of anybody's job, says nothing of the others.
    pub(super) fn of(page: &'a ListPage) -> Option<Self> {
        let dated = |row: &'a ListRow| Some((row, row.job.as_ref()?.updated_at?.as_second()));
        let rows: Vec<(&ListRow, i64)> = page.rows.iter().filter_map(dated).collect();
        let in_order = rows.is_sorted_by(|(_, newer), (_, older)| newer >= older);
        (in_order && rows.len() * 2 >= page.length).then_some(Self { rows, length: page.length })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &'a ListRow> {
        self.rows.iter().map(|(row, _)| *row)
    }

    /// Whether no other follows it.
    pub(super) fn is_last(&self) -> bool {
        self.length < SHORT
    }

    pub(super) fn goes_below(&self, floor: i64) -> bool {
        self.rows.last().is_some_and(|(_, stamp)| *stamp < floor)
    }
}

/// What came of it, where it is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The service refuses the list for good.
    Refused,
    /// It cannot be read.
    Unreadable,
    /// It took too long.
    Slow,
    /// Something else, which the budget waits for.
    Passing,
}

/// Why jobs are followed one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The service refuses the list, or has none.
    Refused,
    /// What it answers is no list in the order of the last change.
    Unreadable,
    /// It answers too late, again and again.
    Slow,
    /// It does not show what the jobs themselves do, again and again.
    Partial,
}

/// What a row is to those who follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// Nobody follows the job.
    Foreign,
    /// It is known so.
    Known,
    /// Somebody is shown it for the first time.
    Shown,
    /// It has changed, as an event has said before.
    Heard,
    /// It has changed since it was known.
    News,
}
