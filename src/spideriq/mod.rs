//! Speaks the service's HTTP: requests, answers, errors.
//!
//! It may know the service's contract. It must never know Kubernetes, retry by itself, follow a redirect,
//! or let a token out into a log, an error or a URL.

mod client;
mod connection;
mod credentials;
mod error;
mod events;
mod lists;
mod signals;
mod wire;

pub use client::{Answer, Client, Format, SubmitAnswer};
pub use connection::{Endpoint, EndpointError, Failure, Transport};
pub use credentials::{Credentials, CredentialsError};
pub use error::{Class, Error};
pub use events::{Event, Events};
pub use lists::{Listed, PAGE};
pub use signals::Signals;
pub use wire::{
    Accepted, Details, JobState, JobStatus, ListPage, ListRow, Summary, SummaryState, Whoami, is_job_id,
};
