//! The words between the stages: a plan goes out, an outcome comes back, a verdict is written.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::facts::{Details, Memory, RemoteJob, Summary, Trouble, Waiting};
use super::message::{Message, Note};
use super::record::Intent;
use crate::api::{CancelReason, Owed, Reason, ScrapeJobStatus, State, SubmissionRecord};

/// What should happen next. At most one effect, and only `Submit` and `Cancel` cannot be repeated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Plan {
    /// Nothing but to tell how it stands.
    Rest(Standing),
    /// Nothing at all, not even a word: somebody asked for the object to be left alone.
    Leave,
    /// The chain of a submit: intent, status, request.
    Submit(Box<Attempt>),
    /// Take over this job, which is known to be ours.
    Adopt(String),
    /// Read the list of jobs for candidates of an unknown outcome.
    LookUp(LookUp),
    /// Read the job's status now, because somebody asked for a look.
    Look,
    /// Read the job's status now, because it was cancelled.
    Confirm,
    /// Read what is owed of a job that is over.
    Read(Owed),
    /// Put the finalizer on, and the intent back where it is gone.
    Protect(Option<Box<Intent>>),
    /// Record why the run is going to be cancelled, before the service is told.
    Latch(CancelReason),
    /// Cancel the job, unless another object shares it.
    Cancel,
    /// Tell people what is left at the service, and end the run that is being cancelled as it is.
    Abandon(Event),
    /// Begin the wanted run, after this event about the one before.
    Begin(Option<Event>),
    /// Delete the object: it finished long enough ago.
    Expire,
    /// Take the finalizer off, after this event.
    Release(Option<Event>),
}

impl Plan {
    /// In a word, for people.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Rest(_) => "rest",
            Self::Leave => "leave",
            Self::Submit(_) => "submit",
            Self::Adopt(_) => "adopt",
            Self::LookUp(_) => "lookUp",
            Self::Look => "look",
            Self::Confirm => "confirm",
            Self::Read(_) => "read",
            Self::Protect(_) => "protect",
            Self::Latch(_) => "latch",
            Self::Cancel => "cancel",
            Self::Abandon(_) => "abandon",
            Self::Begin(_) => "begin",
            Self::Expire => "expire",
            Self::Release(_) => "release",
        }
    }

    /// Whether its effect is a request, which waits for its turn.
    pub fn takes_turn(&self) -> bool {
        match self {
            Self::Submit(_) | Self::LookUp(_) | Self::Look | Self::Confirm | Self::Read(_) | Self::Cancel => {
                true
            }
            Self::Rest(_)
            | Self::Leave
            | Self::Adopt(_)
            | Self::Protect(_)
            | Self::Latch(_)
            | Self::Abandon(_)
            | Self::Begin(_)
            | Self::Expire
            | Self::Release(_) => false,
        }
    }
}

/// One attempt of a submit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    /// The annotation; written only where it is not there yet.
    pub intent: Intent,
    /// The record to be written before the request goes out.
    pub record: SubmissionRecord,
    /// The record of the attempt before it, if there was one.
    pub before: Option<Box<SubmissionRecord>>,
    /// Job type.
    pub type_: String,
    /// Whether the spend cap is reached: all wait in line until one submit of the client has found it raised.
    pub capped: bool,
    /// Whether somebody asks for a look: what pauses for long is tried at once.
    pub asked: bool,
}

impl Attempt {
    /// Which attempt it is, counted from 1.
    pub fn number(&self) -> i32 {
        self.record.attempt.unwrap_or(1)
    }
}

/// Why the list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum LookUp {
    /// To name the candidates to the person who decides.
    ToHold,
    /// To take the only candidate.
    ToAdopt,
    /// To name the candidates while the object goes.
    ToRelease,
}

/// What came of a plan's effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// There was none to carry out, or it needs no word.
    Done,
    /// A write found that the object had changed: look again, live, and decide anew.
    Lost,
    /// The API server refuses the write, again and again; its words.
    WriteRefused(String),
    /// The process is about to stop, and the effect was not begun.
    Stopping,
    /// The process is about to stop: the record of an attempt was written and its request was not sent. What was
    /// recorded before that attempt holds again.
    Unsent(Option<Box<SubmissionRecord>>),
    /// The effect is not begun: it is not its turn yet.
    NotYet(Waiting),
    /// The read goes on, and the object is looked at again when it is over.
    Reading,
    /// The service is still making what was to be read.
    Unready,
    /// Of a submit.
    Submit(Box<SubmitOutcome>),
    /// Of a look at the list.
    Candidates(Result<Listed, Trouble>),
    /// Of a look at the job.
    Status(Result<RemoteJob, Trouble>),
    /// Of a look at the details.
    Details(Result<Details, Trouble>),
    /// Of a look at the results.
    Summary(Result<Summary, Trouble>),
    /// Of a cancel.
    Cancel(CancelOutcome),
}

impl Outcome {
    /// In a word, for people.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Lost => "lost",
            Self::WriteRefused(_) => "writeRefused",
            Self::Stopping => "stopping",
            Self::Unsent(_) => "unsent",
            Self::NotYet(_) => "notYet",
            Self::Reading => "reading",
            Self::Unready => "unready",
            Self::Submit(_) => "submit",
            Self::Candidates(_) => "candidates",
            Self::Status(_) => "status",
            Self::Details(_) => "details",
            Self::Summary(_) => "summary",
            Self::Cancel(_) => "cancel",
        }
    }
}

/// What came of a submit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubmitOutcome {
    /// The record as it was last written before the request: nonce and try may have been renewed.
    pub record: SubmissionRecord,
    /// What the service said.
    pub answer: SubmitAnswer,
}

/// What the service said to a submit (`docs/adr/0003`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SubmitAnswer {
    /// It made, or found, this job.
    Accepted(Accepted),
    /// It certainly made none.
    Refused(Refusal),
    /// Nobody can tell.
    Unknown {
        /// What happened, in words.
        why: String,
        /// Whether it was a success without a usable id.
        without_id: bool,
    },
}

/// An accepted submit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Accepted {
    /// The job's id.
    #[serde(rename = "jobID")]
    pub job_id: String,
    /// The job as the answer tells it.
    pub job: RemoteJob,
    /// Whether the service says that this is an earlier job.
    pub from_cache: Option<bool>,
    /// The service's clock when it answered.
    pub server_date: Option<Timestamp>,
    /// Jobs that an earlier attempt may have made, looked for after a repeat that the service did not de-duplicate;
    /// `None` where the list could not be read.
    pub strays: Option<Listed>,
}

/// A refused submit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Refusal {
    /// 400, 422: the payload.
    Payload(String),
    /// A bound that waiting does not help, or a 4xx that means nothing else.
    Pointless(String),
    /// 404, 405: the service knows no address for submits of this type.
    NotServed {
        /// Since when.
        since: Timestamp,
        /// Its words.
        words: String,
    },
    /// Everything that is the account's trouble or the network's.
    Trouble(Trouble),
}

/// What a look at the list of jobs found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listed {
    /// Jobs that the submit may have made.
    pub jobs: Vec<Candidate>,
    /// Whether there may be more of them, because the list is longer than was read.
    #[serde(default)]
    pub partly: bool,
}

/// A job that may be what an unknown submit made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Candidate {
    /// Its id.
    #[serde(rename = "jobID")]
    pub job_id: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Whether another object already has it.
    pub claimed: bool,
    /// Whether an unknown submit of another object may have made it as well.
    pub contested: bool,
}

/// What came of a cancel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CancelOutcome {
    /// The service took it: the status decides what came of it.
    Sent,
    /// The service took it, and says of this very job that it is cancelled.
    Cancelled,
    /// The service says that the job was over already: the status decides.
    AlreadyOver,
    /// The service does not know the job.
    NotFound,
    /// It was not sent, and never will be, for this reason.
    Left(String),
    /// It was not sent: who else uses the job is being asked, which is waited for for seconds.
    Asking(String),
    /// It failed.
    Failed(Trouble),
}

/// How a run stands: the one input of the conditions besides the record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Standing {
    /// Not accepted; time or somebody else will help.
    Waiting(Reason, Message),
    /// Not accepted; the credentials have been rejected since then.
    Rejected(Timestamp, Message),
    /// Held back by the spec.
    Suspended,
    /// A submit is under way.
    Submitting,
    /// The outcome of a submit is being settled.
    Unknown(Message),
    /// A person has to decide.
    Held(Reason, Message),
    /// Accepted and not over; the state is one of Queued and Processing.
    Following(State, Reason, Message),
    /// A cancel is under way.
    Cancelling(Message),
    /// Over; the state is one of the terminal three.
    Ended(State, Reason, Message),
}

/// Whether the mirror is fresh.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Freshness {
    /// The newest look was good.
    Fresh,
    /// There was no good look for too long.
    Stale(Reason, Message),
    /// There is nothing to say, or nothing new.
    Unchanged,
}

/// What is now true, and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The data of the status; its conditions and flat words are computed from the rest.
    pub record: ScrapeJobStatus,
    /// How the run stands; `None` leaves the status alone.
    pub standing: Option<Standing>,
    /// Whether the mirror is fresh.
    pub freshness: Freshness,
    /// What this process should remember from here on.
    pub memory: Memory,
    /// What people should be told, once.
    pub events: Vec<Event>,
    /// When to look again, if nothing changes before.
    pub again: Again,
}

/// When to look again, if nothing changes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Again {
    /// At once, reading live instead of from the cache.
    Live,
    /// After this long.
    After(Duration),
    /// Only when something changes.
    OnChange,
}

/// An event for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Whether it is a warning.
    pub warning: bool,
    /// One word of the closed list.
    pub reason: Reason,
    /// Words for people.
    pub note: Message,
}

impl Event {
    /// The warning that names what nothing here follows any more.
    pub(super) fn orphaned(note: Note) -> Self {
        Self { warning: true, reason: Reason::Orphaned, note: note.into() }
    }
}
