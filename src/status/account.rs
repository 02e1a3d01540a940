//! The status of an account: the same rules as for a job, in short (R17).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp, Unit};

use super::conditions::{Health, List};
use crate::api::{AccountJobs, ConditionStatus, Reason, ScrapeAccountStatus, StatusCredential};
use crate::decide::REJECTED_GRACE;
use crate::decide::message::{Account, Remark, Wait};

/// What is known of an account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountFacts {
    /// How it stands.
    pub health: AccountHealth,
    /// The client at the service.
    pub client_id: Option<String>,
    /// Whether the service has still to name the client.
    pub unnamed: bool,
    /// The version of the Secret in use.
    pub resource_version: Option<String>,
    /// Until when the service asked to wait.
    pub paused_until: Option<Timestamp>,
    /// Until when the service asked to submit nothing.
    pub submits_paused_until: Option<Timestamp>,
    /// Why the service is not available, where it has not answered for a while.
    pub unavailable: Option<String>,
    /// The wish for a look that was obeyed last.
    pub handled: Option<String>,
    /// Its jobs.
    pub jobs: AccountJobs,
    /// Whether its own limits allow no submit.
    pub no_submits: bool,
    /// What else people should know while it can be used.
    pub remarks: Vec<Remark>,
    /// What they have to do before it cannot be used any more.
    pub warning: Option<Remark>,
}

/// How an account stands.
#[derive(Clone, Debug, PartialEq)]
pub enum AccountHealth {
    /// Nothing can be sent with it.
    Unusable {
        /// Why.
        reason: Reason,
        /// Why, in words.
        message: String,
        /// Whether time alone will not help.
        stalled: bool,
    },
    /// The service rejects the credentials.
    Rejected {
        /// Since when.
        since: Timestamp,
        /// Its words.
        message: String,
    },
    /// The spend cap is reached.
    SpendCap {
        /// Whether the service has said that it accepts the credentials.
        authenticated: bool,
        /// When a submit tries it again.
        tried_at: Timestamp,
        /// The service's words.
        message: String,
    },
    /// It can be used.
    Usable {
        /// Whether the service has said that it accepts the credentials.
        authenticated: bool,
        /// Whether submits are held back.
        suspended: bool,
    },
}

impl Default for AccountHealth {
    fn default() -> Self {
        Self::Usable { authenticated: false, suspended: false }
    }
}

/// The status to be written, or `None` where its meaning is recorded already.
pub fn account_status(
    facts: &AccountFacts,
    recorded: &ScrapeAccountStatus,
    generation: i64,
    now: Timestamp,
) -> Option<ScrapeAccountStatus> {
    let written = recorded.is_written();
    let before = if written { recorded.conditions.as_slice() } else { &[] };
    let mut list = List::new(before, generation, now);
    let (health, reason, message) = overall(facts, now);
    match &facts.health {
        AccountHealth::Usable { authenticated: true, .. }
        | AccountHealth::SpendCap { authenticated: true, .. } => {
            list.put(
                "Authenticated",
                ConditionStatus::True,
                Reason::Authenticated,
                "SpiderIQ accepts the credentials.",
            );
        }
        AccountHealth::Rejected { message, .. } => {
            list.put(
                "Authenticated",
                ConditionStatus::False,
                Reason::CredentialsRejected,
                &rejected(message),
            );
        }
        AccountHealth::Usable { authenticated: false, .. }
        | AccountHealth::SpendCap { authenticated: false, .. }
        | AccountHealth::Unusable { .. } => {
            list.put(
                "Authenticated",
                ConditionStatus::Unknown,
                reason,
                "SpiderIQ was not asked with these credentials yet, or gave no clear answer.",
            );
        }
    }
    let (throttled, why, words) = throttled(facts);
    list.put("Throttled", throttled, why, words);
    list.health(&health, reason, &message);
    let status = ScrapeAccountStatus {
        observed_generation: Some(generation),
        client_id: facts.client_id.clone(),
        jobs: Some(facts.jobs),
        retry_after: facts.paused_until.map(whole_second),
        submits_retry_after: facts.submits_paused_until.map(whole_second),
        spend_cap_retry_time: spend_cap_retry_time(facts, recorded),
        credential: facts
            .resource_version
            .clone()
            .map(|resource_version| StatusCredential { resource_version }),
        last_handled_reconcile_at: facts.handled.clone(),
        // A claim is written by itself.
        operator: recorded.operator.clone(),
        conditions: list.after,
    };
    (!written || status != *recorded).then_some(status)
}

fn throttled(facts: &AccountFacts) -> (ConditionStatus, Reason, &'static str) {
    match (facts.paused_until, facts.submits_paused_until) {
        (Some(_), _) => (
            ConditionStatus::True,
            Reason::RateLimited,
            "SpiderIQ asked the account to wait until status.retryAfter.",
        ),
        (None, Some(_)) => (
            ConditionStatus::True,
            Reason::RateLimited,
            "SpiderIQ asked the account to submit nothing until status.submitsRetryAfter.",
        ),
        (None, None) => {
            (ConditionStatus::False, Reason::NotThrottled, "SpiderIQ does not ask the account to wait.")
        }
    }
}

fn overall(facts: &AccountFacts, now: Timestamp) -> (Health, Reason, String) {
    match &facts.health {
        AccountHealth::Unusable { reason, message, stalled } => {
            let health = if *stalled { Health::Stalled } else { Health::Reconciling };
            (health, *reason, message.clone())
        }
        AccountHealth::Rejected { since, message } => {
            let health = if now < *since + REJECTED_GRACE { Health::Reconciling } else { Health::Stalled };
            (health, Reason::CredentialsRejected, rejected(message))
        }
        AccountHealth::SpendCap { message, .. } => {
            (Health::Stalled, Reason::SpendCapReached, message.clone())
        }
        AccountHealth::Usable { .. } if facts.unavailable.is_some() => {
            let words = facts.unavailable.as_deref().unwrap_or_default();
            (
                Health::Reconciling,
                Reason::ServiceUnavailable,
                Account::Unavailable(words.to_owned()).to_string(),
            )
        }
        AccountHealth::Usable { suspended: true, .. } => {
            (Health::Ready(Reason::Suspended), Reason::Suspended, Account::Suspended.to_string())
        }
        AccountHealth::Usable { suspended: false, .. } if facts.no_submits => {
            (Health::Ready(Reason::Suspended), Reason::Suspended, Account::NoSubmits.to_string())
        }
        AccountHealth::Usable { suspended: false, .. } => {
            let remarks = facts.warning.iter().chain(&facts.remarks).cloned().collect();
            let message = Account::Available(remarks).to_string();
            (Health::Ready(Reason::Available), Reason::Available, message)
        }
    }
}

fn rejected(words: &str) -> String {
    Wait::Rejected(words.to_owned()).to_string()
}

/// What differs by less than a minute is the same: a clock that is set moves it.
fn spend_cap_retry_time(facts: &AccountFacts, recorded: &ScrapeAccountStatus) -> Option<Time> {
    let AccountHealth::SpendCap { tried_at, .. } = &facts.health else { return None };
    let before = recorded.spend_cap_retry_time.clone();
    let same = |time: &Time| time.0.duration_since(*tried_at).abs() < SignedDuration::from_mins(1);
    before.filter(same).or_else(|| Some(whole_second(*tried_at)))
}

/// The nearest whole second: a status keeps no parts of one, and what differs by less is the same.
fn whole_second(at: Timestamp) -> Time {
    Time(at.round(Unit::Second).unwrap_or(at))
}
