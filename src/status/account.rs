//! The status of an account: the same rules as for a job, in short (R17).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp, Unit};

use super::conditions::{Health, List};
use crate::api::{Condition, ConditionStatus, Reason, ScrapeAccountStatus, StatusCredential, find};
use crate::decide::REJECTED_GRACE;
use crate::decide::account::{AccountHealth, AccountState};
use crate::decide::message::{Account, Wait};

/// The status to be written, or `None` where its meaning is recorded already.
pub fn account_status(
    state: &AccountState,
    recorded: &ScrapeAccountStatus,
    generation: i64,
    now: Timestamp,
) -> Option<ScrapeAccountStatus> {
    let written = recorded.is_written();
    let before = if written { recorded.conditions.as_slice() } else { &[] };
    let mut list = List::new(before, generation, now);
    let (health, reason, message) = overall(state, before, now);
    let (authenticated, why, words) = authenticated(&state.health, reason);
    list.put("Authenticated", authenticated, why, &words);
    let (throttled, why, words) = throttled(state);
    list.put("Throttled", throttled, why, &words.to_string());
    list.health(&health, reason, &message);
    let status = ScrapeAccountStatus {
        observed_generation: Some(generation),
        client_id: state.client_id.clone(),
        client_id_source: state.client_id.as_ref().and(state.client_id_source),
        jobs: Some(state.jobs),
        retry_after: state.paused_until.map(whole_second),
        submits_retry_after: state.submits_paused_until.map(whole_second),
        spend_cap_retry_time: spend_cap_retry_time(state, recorded),
        credential: state
            .resource_version
            .clone()
            .map(|resource_version| StatusCredential { resource_version }),
        last_handled_reconcile_at: state.handled.clone(),
        // While there are any.
        sync: state.sync.filter(|_| state.jobs.active > 0),
        // A claim is written by itself.
        operator: recorded.operator.clone(),
        conditions: list.after,
    };
    (!written || status != *recorded).then_some(status)
}

fn authenticated(health: &AccountHealth, reason: Reason) -> (ConditionStatus, Reason, String) {
    match health {
        AccountHealth::Usable { authenticated: true, .. }
        | AccountHealth::SpendCap { authenticated: true, .. } => {
            (ConditionStatus::True, Reason::Authenticated, Account::Authenticated.to_string())
        }
        AccountHealth::Rejected { message, .. } => {
            (ConditionStatus::False, Reason::CredentialsRejected, rejected(message))
        }
        AccountHealth::Usable { authenticated: false, .. }
        | AccountHealth::SpendCap { authenticated: false, .. }
        | AccountHealth::Unusable { .. } => {
            (ConditionStatus::Unknown, reason, Account::NotAuthenticated.to_string())
        }
    }
}

fn throttled(state: &AccountState) -> (ConditionStatus, Reason, Account) {
    match (state.paused_until, state.submits_paused_until) {
        (Some(_), _) => (ConditionStatus::True, Reason::RateLimited, Account::Paused),
        (None, Some(_)) => (ConditionStatus::True, Reason::RateLimited, Account::SubmitsPaused),
        (None, None) => (ConditionStatus::False, Reason::NotThrottled, Account::NotPaused),
    }
}

fn overall(state: &AccountState, before: &[Condition], now: Timestamp) -> (Health, Reason, String) {
    match &state.health {
        AccountHealth::Unusable { reason, message, stalled } => {
            let health = if *stalled { Health::Stalled } else { Health::Reconciling };
            (health, *reason, message.clone())
        }
        AccountHealth::Rejected { since, message } => {
            let health = if now < *since + REJECTED_GRACE { Health::Reconciling } else { Health::Stalled };
            (health, Reason::CredentialsRejected, rejected(message))
        }
        AccountHealth::SpendCap { words, .. } => {
            // A process that has not met the cap itself leaves what is told of it.
            let told = find(before, "Stalled")
                .filter(|told| words.is_none() && told.reason == Reason::SpendCapReached.as_str());
            let message = told
                .map_or_else(|| Account::SpendCap(words.clone()).to_string(), |told| told.message.clone());
            (Health::Stalled, Reason::SpendCapReached, message)
        }
        AccountHealth::Usable { .. } if state.unavailable.is_some() => {
            let words = state.unavailable.as_deref().unwrap_or_default();
            (
                Health::Reconciling,
                Reason::ServiceUnavailable,
                Account::Unavailable(words.to_owned()).to_string(),
            )
        }
        AccountHealth::Usable { suspended: true, .. } => {
            (Health::Ready(Reason::Suspended), Reason::Suspended, Account::Suspended.to_string())
        }
        AccountHealth::Usable { suspended: false, .. } if state.no_submits => {
            (Health::Ready(Reason::Suspended), Reason::Suspended, Account::NoSubmits.to_string())
        }
        AccountHealth::Usable { suspended: false, .. } => {
            let remarks = state.warning.iter().chain(&state.remarks).cloned().collect();
            let message = Account::Available(remarks).to_string();
            (Health::Ready(Reason::Available), Reason::Available, message)
        }
    }
}

fn rejected(words: &str) -> String {
    Wait::Rejected(words.to_owned()).to_string()
}

/// What differs by less than a minute is the same: a clock that is set moves it.
fn spend_cap_retry_time(state: &AccountState, recorded: &ScrapeAccountStatus) -> Option<Time> {
    let AccountHealth::SpendCap { tried_at, .. } = &state.health else { return None };
    let before = recorded.spend_cap_retry_time.clone();
    let same = |time: &Time| time.0.duration_since(*tried_at).abs() < SignedDuration::from_mins(1);
    before.filter(same).or_else(|| Some(whole_second(*tried_at)))
}

/// The nearest whole second: a status keeps no parts of one, and what differs by less is the same.
fn whole_second(at: Timestamp) -> Time {
    Time(at.round(Unit::Second).unwrap_or(at))
}
