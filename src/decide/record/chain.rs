//! The chain of a submit without IO: intent, status, request (`docs/adr/0003`). It says which step comes next; whoever carries
//! the steps out tells what came of each.
//!
//! Nothing is sent with any of its nonces before `Step::Send`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::intent::IntentFacts;
use crate::api::{ScrapeJobStatus, SubmissionRecord};

/// How often the status is written at most, each time with a fresh nonce, before the object is left to the next look.
const RECORDINGS: usize = 3;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Write 1: the finalizer and the intent, onto exactly the object that was decided on.
    Intend,
    /// Write 2: the status with the nonce, onto exactly the object as it was left or read last.
    Record,
    /// Read the object as it is stored.
    Read,
    /// Send the request that the nonce names.
    Send,
    /// Nothing was sent, and nothing is: the object is left to the next look.
    Stop,
}

/// What came of write 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was written so recently that the request may follow.
    InTime,
    /// It was written, too late for the request to follow.
    Late,
    /// It was lost, or not answered.
    Lost,
    /// It is refused, and would be again.
    Refused,
}

/// A submit under way, up to its request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    step: Step,
    /// Every nonce that was tried or is about to be; the last one is the one that is sent.
    nonces: Vec<String>,
}

impl Chain {
    /// Begins it with the nonce of the attempt; `there` where write 1 stands already.
    pub fn begin(nonce: String, there: bool) -> Self {
        Self { step: if there { Step::Record } else { Step::Intend }, nonces: vec![nonce] }
    }

    /// What is to be done next.
    pub const fn step(&self) -> Step {
        self.step
    }

    /// The nonce of the request, and of the write before it.
    pub fn nonce(&self) -> &str {
        self.nonces.last().map_or("", String::as_str)
    }

    /// Every nonce that was written, may have been, or is about to be.
    pub fn nonces(&self) -> &[String] {
        &self.nonces
    }

    /// Write 1 was carried out.
    pub fn intended(&mut self) {
        self.step = Step::Record;
    }

    /// What came of write 2; `fresh` is a nonce for the next one.
    pub fn recorded(&mut self, came: Written, fresh: String) {
        match came {
            Written::InTime => self.step = Step::Send,
            Written::Late => self.again(fresh),
            Written::Lost => self.step = Step::Read,
            Written::Refused => self.step = Step::Stop,
        }
    }

    /// What the object was read as: the very submit that is under way, or another one or nothing.
    pub fn read(&mut self, same: bool, fresh: String) {
        if same {
            self.again(fresh);
        } else {
            self.step = Step::Stop;
        }
    }

    /// This process may not go on: it leads no more, or stops.
    pub fn stop(&mut self) {
        self.step = Step::Stop;
    }

    /// Write 2 is made once more, as long as that may help.
    fn again(&mut self, fresh: String) {
        self.step = if self.nonces.len() < RECORDINGS { Step::Record } else { Step::Stop };
        if self.step == Step::Record {
            self.nonces.push(fresh);
        }
    }
}

/// Whether write 1 stands already: a repeat keeps the intent of the first attempt.
pub fn is_intended(found: &IntentFacts, protected: bool, (uid, attempt): (&str, i32)) -> bool {
    matches!(found, IntentFacts::Found(intent) if intent.uid == uid) && attempt > 1 && protected
}

/// Whether a status that was read says that the very submit is still under way: it has no job, and no nonce but the one
/// that was there and those that this chain wrote.
pub fn is_same_record(before: &ScrapeJobStatus, read: &ScrapeJobStatus, ours: &[String]) -> bool {
    let nonce = |status: &ScrapeJobStatus| status.submission.as_ref().and_then(|record| record.nonce.clone());
    let found = nonce(read);
    read.job_id.is_none() && (found == nonce(before) || found.is_some_and(|found| ours.contains(&found)))
}

/// The data of the status that write 2 makes, and the message that stays: a repeat is a look-up of what is unknown already, so
/// that only the attempt itself is news.
pub fn recording(
    recorded: &ScrapeJobStatus,
    record: &SubmissionRecord,
    (type_, run_id): (Option<&String>, Option<&String>),
    now: Timestamp,
) -> (ScrapeJobStatus, Option<String>) {
    let mut data = if recorded.is_written() { recorded.clone() } else { ScrapeJobStatus::default() };
    data.start_time.get_or_insert(Time(now));
    data.type_ = type_.cloned();
    data.run_id = run_id.cloned();
    data.submission = Some(record.clone());
    data.tried_at.clone_from(&record.tried_at);
    data.retry_after = None;
    data.held_on = None;
    let known = recorded.message.clone().filter(|_| record.attempt > Some(1));
    (data, known)
}
