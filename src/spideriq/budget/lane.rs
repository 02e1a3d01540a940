//! What requests are for, in order of precedence.

/// What a request is for, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Cancelling, because somebody waits for a deletion.
    Cancel,
    /// Submitting.
    Submit,
    /// Following.
    Poll,
    /// Reading results.
    Results,
    /// Asking whose the credentials are of an account that has work.
    Whoami,
    /// The same of an account without work.
    Idle,
}

impl Lane {
    /// Every lane, highest first.
    pub const ALL: [Self; 6] =
        [Self::Cancel, Self::Submit, Self::Poll, Self::Results, Self::Whoami, Self::Idle];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Submit => "submit",
            Self::Poll => "poll",
            Self::Results => "results",
            Self::Whoami => "whoami",
            Self::Idle => "idle",
        }
    }
}
