//! What people read of a job, in a status or an event: every sentence that this room says, and nowhere else.
//!
//! What others find out stands with them, in sentences of the same form: of a payload that is never sent in
//! `api/job/payload.rs`, of a Secret in `account/secrets/credentials.rs`, and of an address in
//! `spideriq/connection/endpoint.rs`.
//!
//! A decision names the message, and the words are made here. So a test asks which message it is and not how it reads, and
//! a message can be worded anew without a decision being touched.
//!
//! The form is: what is so; why; what to do. A sentence has at most 25 words, and what others said (the service, the API
//! server) stands in it behind a colon.

mod account;
mod cancel;
mod end;
mod hold;
mod note;
mod object;
mod phrase;
mod wait;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::api::MESSAGE_MAX;

pub use account::{Account, Remark};
pub use cancel::{Cancel, CancelWaits};
pub use end::{End, Named, RunWord, Told, Unread};
pub use hold::{Ambiguous, Hold, Unknown, Unsettled};
pub use note::{Gone, IntentLost, Left, Lost, NOT_CANCELLED, Note};
pub use object::Object;
pub use wait::{Follow, Wait};

/// One message for people.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The job is not accepted, and time or somebody else will help.
    Wait(Wait),
    /// A person has to do something.
    Hold(Hold),
    /// The outcome of a submit is not known.
    Unknown(Unknown),
    /// The job is accepted and not over.
    Follow(Follow),
    /// The job is being cancelled.
    Cancel(Cancel),
    /// The run is over.
    End(End),
    /// What one run has to do with another.
    Run(RunWord),
    /// What an event says.
    Note(Note),
    /// What keeps an object from being written.
    Object(Object),
    /// How an account stands.
    Account(Account),
    /// As it is recorded already, or as another room says it.
    Said(String),
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(message) => message.fmt(f),
            Self::Hold(message) => message.fmt(f),
            Self::Unknown(message) => message.fmt(f),
            Self::Follow(message) => message.fmt(f),
            Self::Cancel(message) => message.fmt(f),
            Self::End(message) => message.fmt(f),
            Self::Run(message) => message.fmt(f),
            Self::Note(message) => message.fmt(f),
            Self::Object(message) => message.fmt(f),
            Self::Account(message) => message.fmt(f),
            Self::Said(words) => f.write_str(words),
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

macro_rules! from {
    ($($kind:ident: $of:ty),*) => {$(
        impl From<$of> for Message {
            fn from(message: $of) -> Self {
                Self::$kind(message)
            }
        }
    )*};
}
from!(Wait: Wait, Hold: Hold, Unknown: Unknown, Follow: Follow, Cancel: Cancel, End: End, Run: RunWord, Note: Note, Object: Object,
    Account: Account);

impl From<Unsettled> for Message {
    fn from(why: Unsettled) -> Self {
        Self::Hold(why.into())
    }
}

/// What stands before the reason for which a time to live is held back.
const KEPT: &str = " It is not deleted after spec.ttlSecondsAfterFinished, because";
/// The same as earlier builds said it.
const KEPT_BEFORE: &str = "; kept in spite of spec.ttlSecondsAfterFinished:";

impl Message {
    /// The words of an end, with why the object is kept longer than its time to live: for the sake of this program. They
    /// may have said it before.
    #[must_use]
    pub fn kept_for(&self, program: Option<&str>) -> Self {
        let said = self.to_string();
        let before =
            [KEPT, KEPT_BEFORE].iter().find_map(|kept| said.split_once(kept)).map(|(before, _)| before);
        let Some(program) = program else {
            return before.map_or_else(|| self.clone(), |before| Self::Said(before.to_owned()));
        };
        let why = format!(
            "{KEPT} {program} would create it, and pay for it, again. To delete it, remove it from the source of {program}, or set spec.ttlPolicy to Force."
        );
        let before = before.unwrap_or(&said);
        let room = MESSAGE_MAX.saturating_sub(why.len() + 1);
        let end = (0..=room).rev().find(|end| before.is_char_boundary(*end)).unwrap_or(0);
        let before = before.get(..end).unwrap_or(before);
        Self::Said(format!("{}.{why}", before.trim_end_matches('.')))
    }
}
