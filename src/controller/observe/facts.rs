//! Turns what the service and the accounts say into the words that decisions are made in.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use crate::account::{AccountKey, Session, Standing};
use crate::api::Reason;
use crate::budget::{self, Permit, Reservation};
use crate::decide::message::Account;
use crate::decide::{
    AccountFacts, AccountUse, Details, Named, Outcome, Refusal, RemoteJob, RemoteState, Stop, Summary,
    Trouble, Waiting, Watched,
};
use crate::poll::Observation;
use crate::spideriq::{self, Error, JobState, JobStatus};

/// How an account stands; `exists` says whether the API server has it, whether it was opened or not.
pub(in crate::controller) fn account(
    key: &AccountKey,
    standing: Option<Standing>,
    exists: bool,
) -> AccountFacts {
    match standing {
        None if exists => AccountFacts::Unusable {
            reason: Reason::AccountNotReady,
            message: Account::Unopened(format!("{} {}", key.kind().as_str(), key.name)).to_string(),
            fingerprint: "unopened".to_owned(),
        },
        None => AccountFacts::Missing { kind: key.kind(), name: key.name.clone() },
        Some(Standing::Unusable { message, rejected: Some(since), fingerprint, .. }) => {
            AccountFacts::Rejected { since, message, fingerprint }
        }
        Some(Standing::Unusable { reason, message, rejected: None, fingerprint }) => {
            AccountFacts::Unusable { reason, message, fingerprint }
        }
        Some(Standing::Usable(session)) => match session.health().redirected {
            None => AccountFacts::Usable(account_use(&session)),
            Some((_, words)) => AccountFacts::Unusable {
                reason: Reason::EndpointNotAllowed,
                message: Account::Redirects(words).to_string(),
                fingerprint: session.settings().fingerprint,
            },
        },
    }
}

pub(in crate::controller) fn account_use(session: &Arc<Session>) -> AccountUse {
    let settings = session.settings();
    AccountUse {
        kind: session.key.kind(),
        name: session.key.name.clone(),
        endpoint: session.endpoint.clone(),
        client_id: session.client_id.clone(),
        alias: session.alias.clone(),
        credential: session.credential.clone(),
        suspended: settings.suspended,
        barred: settings.barred,
        named: Named::Own,
        rejected: session.rejected(),
        spend_cap: session.gate.spend_cap().is_some(),
        fingerprint: settings.fingerprint,
    }
}

pub(in crate::controller) fn watched(observation: &Observation) -> Watched {
    Watched {
        latest: observation.latest.as_ref().map(job),
        read_at: observation.read_at,
        missing: observation.missing,
        trouble: observation.trouble.as_deref().map(trouble),
        listed: observation.listed,
    }
}

pub(in crate::controller) fn job(status: &JobStatus) -> RemoteJob {
    RemoteJob {
        state: match &status.state {
            JobState::Queued => RemoteState::Queued,
            JobState::Processing => RemoteState::Processing,
            JobState::Completed => RemoteState::Completed,
            JobState::Failed => RemoteState::Failed,
            JobState::Cancelled => RemoteState::Cancelled,
            JobState::Other(word) => RemoteState::Other(word.clone()),
        },
        type_: status.type_.clone(),
        created_at: status.created_at,
        updated_at: status.updated_at,
        worker_id: status.worker_id.clone(),
        error_message: status.error_message.clone(),
    }
}

pub(in crate::controller) fn details(details: spideriq::Details) -> Details {
    let spideriq::Details { started_at, completed_at, processing_time_seconds, pages_crawled, priority } =
        details;
    Details { started_at, completed_at, processing_time_seconds, pages_crawled, priority }
}

/// What a read of the results came to.
pub(in crate::controller) fn summary(read: Result<spideriq::Summary, Error>) -> Outcome {
    let summary = match read {
        Ok(summary) => summary,
        Err(error) => return Outcome::Summary(Err(trouble(&error))),
    };
    let ready = match summary.state {
        spideriq::SummaryState::Ready => true,
        spideriq::SummaryState::Gone => false,
        spideriq::SummaryState::Pending => return Outcome::Unready,
    };
    Outcome::Summary(Ok(Summary {
        count: summary.count,
        bytes: ready.then(|| i64::try_from(summary.bytes).unwrap_or(i64::MAX)),
        error_message: summary.error_message,
    }))
}

pub(in crate::controller) fn trouble(error: &Error) -> Trouble {
    let words = error.to_string();
    match error {
        Error::Unauthorized { .. } | Error::Forbidden(_) => Trouble::Rejected(words),
        Error::SpendCap(_) => Trouble::SpendCap(words),
        Error::Throttled { until, .. } => Trouble::Throttled(*until, words),
        Error::NotFound(_) => Trouble::NotFound(words),
        Error::Connect(_)
        | Error::Timeout
        | Error::Interrupted(_)
        | Error::Invalid(_)
        | Error::Refused { .. }
        | Error::Server { .. }
        | Error::Redirected(_)
        | Error::Malformed(_)
        | Error::TooLarge => Trouble::Unavailable(words),
    }
}

/// What a refused submit means: the payload, something that waiting does not help, or a trouble that it may. `since` is
/// when a first submit of the type found no address to go to.
pub(in crate::controller) fn refusal(error: &Error, since: Option<Timestamp>) -> Refusal {
    if let Some(since) = since.filter(|_| error.is_no_address()) {
        return Refusal::NotServed { since, words: error.to_string() };
    }
    match error {
        Error::Invalid(words) => Refusal::Payload(words.clone()),
        Error::Throttled { waiting_helps: false, message, .. } => {
            Refusal::Pointless(format!("the plan allows no more: {message}"))
        }
        Error::NotFound(_) | Error::Refused { .. } => Refusal::Pointless(error.to_string()),
        Error::Connect(_)
        | Error::Timeout
        | Error::Interrupted(_)
        | Error::Unauthorized { .. }
        | Error::Forbidden(_)
        | Error::SpendCap(_)
        | Error::Throttled { .. }
        | Error::Server { .. }
        | Error::Redirected(_)
        | Error::Malformed(_)
        | Error::TooLarge => Refusal::Trouble(trouble(error)),
    }
}

/// A place in the queue, or the permit.
pub(in crate::controller) fn permit(reservation: Reservation) -> Result<Permit, Waiting> {
    match reservation {
        Reservation::Granted(permit) => Ok(permit),
        Reservation::Waiting { since, estimate, stop, others } => {
            Err(Waiting { since, estimate, stop: stopped(stop), others })
        }
    }
}

fn stopped(stop: budget::Stop) -> Stop {
    match stop {
        budget::Stop::Turn => Stop::Turn,
        budget::Stop::Recovering => Stop::Recovering,
        budget::Stop::Asked(until) => Stop::Asked(until),
        budget::Stop::Failing(words) => Stop::Failing(words.to_string()),
        budget::Stop::NotServed(since, words) => Stop::NotServed { since, words: words.to_string() },
    }
}
