//! What is true of an account, and when it is looked at again.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::health::{Health, RETRY_REJECTED};
use crate::api::{
    AccountJobs, AccountSync, ClientIdSource, ConditionStatus, Reason, ScrapeAccountStatus, find,
};
use crate::decide::message::{Account, Remark};

/// How often an account that the service gave no clear word about is asked about again.
pub const RETRY_UNKNOWN: Duration = Duration::from_secs(60);
/// How soon a Secret that is missing or wrong is read again where nothing watches it; each time twice as late.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// What is known of an account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountState {
    /// How it stands.
    pub health: AccountHealth,
    /// The client at the service.
    pub client_id: Option<String>,
    /// Where that name is from; `None` while the service has still to say whose the credentials are.
    pub client_id_source: Option<ClientIdSource>,
    /// The version of the Secret in use.
    pub resource_version: Option<String>,
    /// Until when the service asked to wait.
    pub paused_until: Option<Timestamp>,
    /// Until when the service asked to submit nothing.
    pub submits_paused_until: Option<Timestamp>,
    /// How its jobs are followed.
    pub sync: Option<AccountSync>,
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
        /// The service's words, where this process heard them.
        words: Option<String>,
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

impl AccountHealth {
    /// Why nothing can be sent with it, as its jobs are told; and since when it is rejected, where that is why.
    pub fn why(&self) -> ((Reason, String), Option<Timestamp>) {
        match self {
            Self::Unusable { reason, message, .. } => ((*reason, message.clone()), None),
            Self::Rejected { since, message } => {
                ((Reason::CredentialsRejected, message.clone()), Some(*since))
            }
            Self::SpendCap { words, .. } => {
                ((Reason::SpendCapReached, Account::SpendCap(words.clone()).to_string()), None)
            }
            Self::Usable { .. } => ((Reason::AccountNotReady, String::new()), None),
        }
    }

    /// How an account stands of which the service said this. `cap` is when a submit tries the reached spend cap, and the
    /// service's words.
    pub fn of(health: Health, cap: Option<(Timestamp, Option<String>)>, suspended: bool) -> Self {
        let authenticated = health.accepted.is_some();
        if let Some((_, words)) = health.redirected {
            let message = Account::Redirects(words).to_string();
            Self::Unusable { reason: Reason::EndpointNotAllowed, message, stalled: true }
        } else if let Some((since, message)) = health.rejected {
            Self::Rejected { since, message }
        } else if let Some((tried_at, words)) = cap {
            Self::SpendCap { authenticated, tried_at, words }
        } else {
            Self::Usable { authenticated, suspended }
        }
    }
}

/// When the account has to be looked at again, if nothing tells that it changed.
///
/// A reached spend cap that may be tried is forgotten after `untried`.
pub fn looks_again_in(
    state: &AccountState,
    (works, watched): (bool, bool),
    recorded: &ScrapeAccountStatus,
    (now, untried): (Timestamp, Duration),
) -> Option<Duration> {
    let (authenticated, tried_at) = match &state.health {
        AccountHealth::Unusable { .. } if !watched => {
            // The longer it stays so, the less often its Secret is read.
            let ready = find(&recorded.conditions, "Ready");
            let since = ready.filter(|ready| ready.status != ConditionStatus::True);
            let since = since.map_or(now, |ready| ready.last_transition_time.0);
            let stays = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            return Some(stays.clamp(FIRST_RETRY, RETRY_REJECTED));
        }
        AccountHealth::Unusable { .. } | AccountHealth::Rejected { .. } => return Some(RETRY_REJECTED),
        AccountHealth::SpendCap { authenticated, tried_at, .. } => (*authenticated, Some(*tried_at)),
        AccountHealth::Usable { authenticated, .. } => (*authenticated, None),
    };
    let after = |until: Timestamp| {
        Duration::try_from(until.duration_since(now)).unwrap_or_default() + Duration::from_secs(1)
    };
    match (state.paused_until, tried_at) {
        // The end of the pause is a change that nothing else tells.
        (Some(until), _) => Some(after(until)),
        _ if works && !authenticated => Some(RETRY_UNKNOWN),
        // Nor that nobody has tried the spend cap.
        (None, Some(until)) => Some(after(until) + untried),
        (None, None) => (works && !watched).then_some(RETRY_REJECTED),
    }
}
