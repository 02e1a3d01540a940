//! What is kept of every object, awake or not: what others ask of it.

use std::fmt;

use k8s_openapi::jiff::Timestamp;

use super::shared::Number;
use crate::api::{ConditionStatus, Reason, ScrapeJobStatus, State, find};
use crate::cache::{CachedJob, is_at_rest, misnamed};

/// An id; one that is a UUID, as nearly all are, takes no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Uuid([u8; 16]),
    Other(Box<str>),
}

/// Where a UUID has its hyphens.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Id {
    pub(super) fn new(text: &str) -> Self {
        Self::uuid(text).unwrap_or_else(|| Self::Other(text.into()))
    }

    /// The UUID that a text is, if it is written as the id of one always is: else it could not be told apart from it.
    fn uuid(text: &str) -> Option<Self> {
        let hyphen = |at: usize| HYPHENS.contains(&at);
        let written = |(at, byte): (usize, u8)| match byte {
            b'-' => hyphen(at),
            b'0'..=b'9' | b'a'..=b'f' => !hyphen(at),
            _ => false,
        };
        if text.len() != 36 || !text.bytes().enumerate().all(written) {
            return None;
        }
        let digits: String = text.chars().filter(|digit| *digit != '-').collect();
        let mut bytes = [0; 16];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(Self::Uuid(bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(text) => f.write_str(text),
            Self::Uuid(bytes) => {
                let digits = hex::encode(bytes);
                digits.chars().enumerate().try_for_each(|(at, digit)| {
                    // Before the digits 8, 12, 16 and 20.
                    let hyphen = matches!(at, 8 | 12 | 16 | 20);
                    if hyphen { write!(f, "-{digit}") } else { write!(f, "{digit}") }
                })
            }
        }
    }
}

/// What a record is counted as in its namespace.
#[expect(clippy::struct_excessive_bools, reason = "each is one count")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::controller) struct Class {
    pub(in crate::controller) state: State,
    /// Why it is held, where it is.
    pub(in crate::controller) held: Option<&'static str>,
    /// Whether what it shows may be old.
    pub(in crate::controller) unsynced: bool,
    /// Whether it has failed, or needs somebody.
    pub(in crate::controller) stalled: bool,
    /// Whether something of it cannot be read.
    pub(in crate::controller) undecodable: bool,
    /// Whether it names an account that cannot exist.
    pub(in crate::controller) misnamed: bool,
}

/// What a record is counted as with its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// None is left.
    None,
    /// None but what a person has to begin, or to end.
    Idle,
    /// It has a job that is not over.
    Active,
    /// It waits for one.
    Waiting,
}

/// What is kept of an object.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) namespace: Number,
    pub(super) name: Box<str>,
    pub(super) uid: Id,
    /// The length of its text in bytes.
    pub(super) bytes: u32,
    /// Its resourceVersion; the API server compares them as numbers.
    pub(super) version: Option<u64>,
    /// Whether the store has the whole object.
    pub(super) awake: bool,
    pub(super) account: Number,
    pub(super) client: Number,
    /// When a submit was tried last, in seconds since 1970; 0 for never.
    pub(super) tried: u32,
    pub(super) class: Class,
    pub(super) work: Work,
    /// Whether an account of this installation recorded its job.
    pub(super) recorded: bool,
    pub(super) job: Option<Id>,
    /// The jobs of its earlier runs.
    pub(super) earlier: Box<[Id]>,
}

impl Record {
    pub(super) fn new(
        job: &CachedJob,
        awake: bool,
        (namespace, account, client): (Number, Number, Number),
    ) -> Self {
        let unwritten = ScrapeJobStatus::default();
        let status = job.status.as_ref().unwrap_or(&unwritten);
        let submission = status.submission.as_ref();
        let tried = status.tried_at.as_ref().or(submission.and_then(|record| record.tried_at.as_ref()));
        let earlier = status.history.iter().filter_map(|run| run.job_id.as_deref()).map(Id::new);
        Self {
            namespace,
            name: job.metadata.name.as_deref().unwrap_or_default().into(),
            uid: Id::new(job.metadata.uid.as_deref().unwrap_or_default()),
            bytes: u32::try_from(job.bytes).unwrap_or(u32::MAX),
            version: job.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()),
            awake,
            account,
            client,
            tried: tried.map_or(0, |time| seconds(time.0)),
            class: class(job, status),
            work: work(job, status),
            recorded: submission.is_some_and(|record| record.credential.is_some()),
            job: status.job_id.as_deref().map(Id::new),
            earlier: earlier.collect(),
        }
    }

    /// The jobs that it has, or had.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Id> {
        self.job.iter().chain(&self.earlier)
    }
}

/// A time in seconds since 1970.
pub(super) fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_second()).unwrap_or(0)
}

fn class(job: &CachedJob, status: &ScrapeJobStatus) -> Class {
    let state = status.current_state();
    let held = status.reason.as_deref().filter(|_| state == State::Held);
    let says = |type_: &str, word: ConditionStatus| {
        find(&status.conditions, type_).is_some_and(|condition| condition.status == word)
    };
    Class {
        state,
        held: held.and_then(Reason::parse).map(Reason::as_str),
        // What is over is not looked at again, whatever was not known at its end.
        unsynced: !status.finished && says("Synced", ConditionStatus::False),
        stalled: says("Stalled", ConditionStatus::True),
        undecodable: !job.faults.is_none(),
        misnamed: misnamed(job).is_some(),
    }
}

fn work(job: &CachedJob, status: &ScrapeJobStatus) -> Work {
    match (status.finished, status.job_id.is_some(), status.current_state()) {
        _ if is_at_rest(job) => Work::None,
        (true, _, _) | (_, _, State::Suspended | State::Held) => Work::Idle,
        (false, true, _) => Work::Active,
        (false, false, _) => Work::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::Id;

    #[test]
    fn an_id_reads_as_it_was_written_and_takes_little_where_it_is_a_uuid() {
        let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert!(matches!(Id::new(uuid), Id::Uuid(_)));
        let others = [
            "",
            "job-1",
            "0F8FAD5B-D9CB-469F-A165-70867728950E",
            "0f8fad5bd9cb469fa16570867728950e",
            "0f8fad5b-d9cb-469f-a165-70867728950-",
            "0f8fad5b-d9cb-469f-a16570867728950ea",
            "-f8fad5b-d9cb-469f-a165-70867728950e",
        ];
        for text in others {
            assert!(matches!(Id::new(text), Id::Other(_)), "{text}");
        }
        for text in others.into_iter().chain([uuid]) {
            assert_eq!(Id::new(text).to_string(), text);
        }
        assert!(size_of::<super::Record>() <= 144, "{} bytes", size_of::<super::Record>());
    }
}
