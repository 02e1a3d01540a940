//! A request as the budget sees it: what it is for, what it is about, and what came of it.

use std::sync::Arc;

use jiff::Timestamp;

/// What a request is for, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Cancelling, because somebody waits for a deletion.
    Cancel,
    /// Submitting.
    Submit,
    /// Reading the list for what an unknown submit may have made.
    LookUp,
    /// Reading what has changed of all jobs, or all jobs that are not over where somebody waits for that.
    List,
    /// Looking at one job.
    Poll,
    /// Reading results.
    Results,
    /// Reading all jobs that are not over while nobody waits for it.
    Net,
    /// Asking whose the credentials are of an account that has work.
    Whoami,
    /// The same of an account without work.
    Idle,
}

impl Lane {
    /// Every lane, highest first.
    pub const ALL: [Self; 9] = [
        Self::Cancel,
        Self::Submit,
        Self::LookUp,
        Self::List,
        Self::Poll,
        Self::Results,
        Self::Net,
        Self::Whoami,
        Self::Idle,
    ];

    /// How many turns in a row may pass over it while somebody waits in it: the next one is its own. So each lane but the
    /// first has its share of the turns, however many wait in the others; three of ten are left for cancels, or
    /// one of ten where the list of jobs is read as well.
    pub(super) const fn patience(self) -> u32 {
        match self {
            Self::Cancel => u32::MAX,
            // The last two wait together only where accounts are not accepted yet, and nothing else does.
            Self::Submit | Self::List | Self::Idle => 4,
            Self::LookUp | Self::Poll => 6,
            Self::Results => 8,
            Self::Net | Self::Whoami => 16,
        }
    }

    /// Whether others would lose more by waiting for the next turn than it does.
    pub(super) const fn has_time(self) -> bool {
        matches!(self, Self::Results | Self::Net)
    }

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Submit => "submit",
            Self::LookUp => "lookup",
            Self::List => "list",
            Self::Poll => "poll",
            Self::Results => "results",
            Self::Net => "net",
            Self::Whoami => "whoami",
            Self::Idle => "idle",
        }
    }
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What fails alone: an object.
    pub name: String,
    /// The type of a submit: the service may not know where to take one.
    pub kind: Option<String>,
}

impl From<&str> for Subject {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), kind: None }
    }
}

/// A place in the queue, and later the grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

/// What came of a request, as far as the budget cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The service answered, whatever it said.
    Answered,
    /// It carried a submit out and charged for it: the spend cap is not reached.
    Spent,
    /// It asked to wait; until when, if it said.
    Throttled(Option<Timestamp>),
    /// It failed in a way that a pause may heal; how, in words.
    Failed(Arc<str>),
    /// The service knows no address for submits of this type; its words.
    NotServed(Arc<str>),
    /// Nothing more may be spent: no submit until then, and then a single one that tries.
    Capped(Timestamp),
}

/// What the service said of its own count, which beats ours: others may use the same client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests left.
    pub remaining: Option<u32>,
    /// Requests that it allows in a minute.
    pub limit: Option<u32>,
    /// When the count starts anew.
    pub reset: Option<Timestamp>,
}
