//! Credentials that the service has not accepted yet: what it said of them, and how their account stands meanwhile.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::standing::AccountHealth;
use crate::api::{ClientIdSource, Reason, ScrapeAccountStatus};
use crate::decide::facts::ClientIdentity;
use crate::decide::facts::is_odd_address;
use crate::decide::message::Account;

/// How long nothing is said of an account that waits for its turn to be proven: most wait for a moment only.
const SOON: Duration = Duration::from_secs(3);
/// The first pause after an answer that says nothing; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest such pause of an account that has work.
const LONGEST_AT_WORK: Duration = Duration::from_secs(60);
/// The longest pause of all, and how long rejected credentials are left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// What is told by itself is looked at again no later than this.
pub const LATER: Duration = Duration::from_secs(300);

/// What the service accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The client: as the service named it, else as the accepted token does.
    pub client_id: Option<String>,
    /// Another name of it, which the same token carries.
    pub alias: Option<String>,
    /// Where the name is from; `None` while the service has still to say whose the credentials are.
    pub source: Option<ClientIdSource>,
    /// Since when it accepts them.
    pub since: Timestamp,
}

impl Proof {
    /// The client as the service `named` it, else as the token itself `claimed`; `told` is whether the service has said all
    /// that it ever will.
    pub fn new(named: Option<String>, claimed: Option<String>, told: bool, since: Timestamp) -> Self {
        let source = match (&named, told) {
            (Some(_), _) => Some(ClientIdSource::Service),
            (None, true) => Some(ClientIdSource::Token),
            (None, false) => None,
        };
        let (client_id, alias) = ClientIdentity::of_token(claimed, named);
        Self { client_id, alias, source, since }
    }

    /// What an earlier process wrote of the same token. An earlier release did not write where the name is from: one that
    /// the token does not carry was given by the service, and any other is asked about again.
    pub fn recorded(status: &ScrapeAccountStatus, claimed: Option<String>, since: Timestamp) -> Self {
        let foreign = ClientIdentity::is_foreign(status.client_id.as_deref(), claimed.as_deref());
        let source = status.client_id_source.or(foreign.then_some(ClientIdSource::Service));
        let named = status.client_id.clone().filter(|_| source == Some(ClientIdSource::Service));
        Self::new(named, claimed, source.is_some(), since)
    }
}

/// What the service has said of the credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Said {
    /// It was not asked yet.
    #[default]
    Nothing,
    /// It accepts them.
    Accepted(Proof),
    /// It rejects them since then, in these words.
    Rejected(Timestamp, String),
    /// It redirects, in these words.
    Redirected(String),
    /// It could not be reached, or gave no clear answer.
    Unclear {
        /// How, in words.
        words: String,
        /// Whether it knows no such address.
        no_address: bool,
    },
}

/// What follows for the account.
#[derive(Clone, Debug, PartialEq)]
pub enum Unproven {
    /// Nothing is said of it, and it is looked at again after so long: its turn, and the answer, are told.
    Silent(Duration),
    /// It stands so.
    Stands(AccountHealth),
}

impl Said {
    /// Whether the service is asked. What has no work and is rejected is asked about again when its Secret is another one,
    /// or it has work.
    pub fn is_asked(&self, works: bool) -> bool {
        works || !matches!(self, Self::Rejected(..) | Self::Redirected(_))
    }

    /// How long an answer holds before the service is asked again, after so many in a row that said nothing.
    pub fn holds(&self, works: bool, unclear: u32) -> Duration {
        match self {
            Self::Rejected(..) | Self::Redirected(_) => LONGEST_PAUSE,
            Self::Nothing | Self::Accepted(_) => Duration::ZERO,
            Self::Unclear { .. } => {
                let longest = if works { LONGEST_AT_WORK } else { LONGEST_PAUSE };
                FIRST_PAUSE.saturating_mul(1 << unclear.saturating_sub(1).min(16)).min(longest)
            }
        }
    }

    /// How an account of this endpoint stands that has waited for so long.
    pub fn unproven(self, works: bool, waited: Duration, endpoint: &str) -> Unproven {
        let unusable = |reason, message, stalled| AccountHealth::Unusable { reason, message, stalled };
        Unproven::Stands(match self {
            Self::Rejected(since, message) => AccountHealth::Rejected { since, message },
            Self::Redirected(how) => {
                unusable(Reason::EndpointNotAllowed, Account::Redirects(how).to_string(), true)
            }
            Self::Unclear { words, no_address } => {
                let odd_address = no_address && is_odd_address(endpoint);
                let message = Account::NotAccepted { words, odd_address }.to_string();
                unusable(Reason::ServiceUnavailable, message, false)
            }
            Self::Nothing | Self::Accepted(_) => {
                let left = SOON.saturating_sub(waited);
                if !works || !left.is_zero() {
                    return Unproven::Silent(if works { left } else { LATER });
                }
                unusable(Reason::AccountNotReady, Account::WaitsToAsk.to_string(), false)
            }
        })
    }
}
