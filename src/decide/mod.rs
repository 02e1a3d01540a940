//! What should happen next with one object, and what is true after it was tried.
//!
//! It may know the published API and nothing else: no client, no clock, no randomness, and no JSON but that of the body and of
//! the intent, which it owns.
//! It must never act; everything it says is data that can be printed, compared and tested.
//!
//! Of a job, `facts` and `record` are what is known, `meaning` reads them once, `next` makes a plan of it, and `settle` says what is
//! true after the plan was tried. What answers change about an account, and what follows from it, is in `account`.

pub mod account;
mod facts;
mod meaning;
pub mod message;
mod next;
mod plan;
mod record;
mod settle;

pub use facts::{
    AccountFacts, AccountUse, ClientIdentity, Details, Faults, JobFacts, Marks, Memory, Named, Observed,
    RemoteJob, RemoteState, Stop, Summary, Trouble, WAIT_STORED_EVERY, Waiting, Watched, is_odd_address,
    since,
};
pub use meaning::remote::poll_interval;
pub use meaning::sharing::{Party, Share, share};
pub use meaning::submission::{Row, Sought, candidates, restored, was_sent};
pub use message::Message;
pub use next::next;
pub use plan::{
    Accepted, Again, Attempt, CancelOutcome, Candidate, Event, Freshness, Listed, LookUp, Outcome, Plan,
    Refusal, Standing, SubmitAnswer, SubmitOutcome, Verdict,
};
pub use record::{
    Body, Chain, Intent, IntentFacts, KeptBody, Step, Written, as_stored, equality, is_intended,
    is_same_record, recording,
};
pub use settle::{REJECTED_GRACE, settle};
