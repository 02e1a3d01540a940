//! What the status of an account tells the next process, and people.

use k8s_openapi::jiff::Timestamp;

use super::standing::AccountState;
use crate::api::{ConditionStatus, Credential, Reason, ScrapeAccountStatus, find};
use crate::decide::message::Message;
use crate::decide::plan::Event;

/// Since when the credentials are accepted.
pub fn accepted_since(status: &ScrapeAccountStatus) -> Option<Timestamp> {
    let authenticated = find(&status.conditions, "Authenticated")?;
    (authenticated.status == ConditionStatus::True).then_some(authenticated.last_transition_time.0)
}

/// Whether this very version of the Secret was accepted.
pub fn is_accepted(status: Option<&ScrapeAccountStatus>, credential: &Credential) -> bool {
    status
        .is_some_and(|status| uses(status, &credential.resource_version) && accepted_since(status).is_some())
}

/// Whether it tells of the account and the Secret as they are now.
pub fn is_of(status: &ScrapeAccountStatus, generation: i64, secret: &str) -> bool {
    status.observed_generation == Some(generation) && uses(status, secret)
}

fn uses(status: &ScrapeAccountStatus, secret: &str) -> bool {
    status.credential.as_ref().is_some_and(|used| used.resource_version == secret)
}

/// When the reached spend cap was to be tried again.
pub fn capped(status: &ScrapeAccountStatus) -> Option<Timestamp> {
    status.spend_cap_retry_time.as_ref().map(|time| time.0)
}

/// What people are told when an account becomes usable, or ceases to be.
pub fn transition(
    before: &ScrapeAccountStatus,
    (after, state): (&ScrapeAccountStatus, &AccountState),
) -> Vec<Event> {
    // Once: from then on the status says so.
    let said = |status: &ScrapeAccountStatus, words: &str| {
        find(&status.conditions, "Ready").is_some_and(|ready| ready.message.contains(words))
    };
    let warning = state.warning.iter().map(ToString::to_string);
    let warned = warning.filter(|words| !said(before, words) && said(after, words));
    let warned = warned.map(|words| Event {
        warning: true,
        reason: Reason::CredentialsMissing,
        note: Message::Said(words),
    });
    let ready = |status: &ScrapeAccountStatus| find(&status.conditions, "Ready").cloned();
    let Some(now) = ready(after) else { return Vec::new() };
    let same = ready(before).is_some_and(|then| then.status == now.status && then.reason == now.reason);
    let reason = Reason::parse(&now.reason).filter(|_| !same);
    let warning = now.status != ConditionStatus::True;
    let news = reason.map(|reason| Event { warning, reason, note: Message::Said(now.message) });
    news.into_iter().chain(warned).collect()
}
