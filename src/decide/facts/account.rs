//! The account of a job, as decisions see it.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::client::ClientIdentity;
use crate::api::{AccountKind, Credential, DEFAULT_ACCOUNT, DEFAULT_ENDPOINT, Reason, SubmissionRecord};

/// The account of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AccountFacts {
    /// It does not exist.
    Missing {
        /// The kind that was looked for.
        kind: AccountKind,
        /// The name that was looked for.
        name: String,
    },
    /// It exists, and nothing can be sent with it for this job.
    Unusable {
        /// Why.
        reason: Reason,
        /// Why, in words.
        message: String,
        /// Changes whenever the account or its Secret does.
        fingerprint: String,
    },
    /// It exists, and the service has never accepted its credentials.
    Rejected {
        /// Since when it rejects them.
        since: Timestamp,
        /// Its words.
        message: String,
        /// Changes whenever the account or its Secret does.
        fingerprint: String,
    },
    /// Requests can be sent with it.
    Usable(AccountUse),
}

/// An account that requests can be sent with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AccountUse {
    /// Its kind.
    pub kind: AccountKind,
    /// Its name.
    pub name: String,
    /// Base address of the service.
    pub endpoint: String,
    /// The client at the service, where it is known.
    #[serde(rename = "clientID")]
    pub client_id: Option<String>,
    /// Another name of it: the token carries one, and the service named another for that very token.
    pub alias: Option<String>,
    /// The Secret in use.
    pub credential: Credential,
    /// Whether submits are held back for the whole account.
    pub suspended: bool,
    /// Why this job may not be submitted with it, if it may not: what was begun with it goes on all the same.
    pub barred: Option<(Reason, String)>,
    /// What the object may do with a job that it only names.
    pub named: Named,
    /// Since when the service rejects the credentials, and its words.
    pub rejected: Option<(Timestamp, String)>,
    /// Whether the monthly spend cap is reached.
    pub spend_cap: bool,
    /// Changes whenever the account or its Secret does.
    pub fingerprint: String,
}

/// What an object may do with a job that it did not submit but only names, in its spec or in an intent. An account of
/// the cluster is used by namespaces that do not trust each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Named {
    /// What it may do with one that it submitted: the account is the namespace's own.
    #[default]
    Own,
    /// Follow it; the account is the cluster's.
    Followed,
    /// Nothing: the account is the cluster's, and no object of the namespace has the job.
    NotAllowed,
    /// Nothing, and not even know that it exists: an object of another namespace has it.
    OfOthers,
}

impl Default for AccountUse {
    /// An account of that name at the service's own endpoint, of which nothing else is known.
    fn default() -> Self {
        Self {
            kind: AccountKind::ScrapeAccount,
            name: DEFAULT_ACCOUNT.to_owned(),
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            client_id: None,
            alias: None,
            credential: Credential { uid: String::new(), resource_version: String::new() },
            barred: None,
            named: Named::Own,
            suspended: false,
            rejected: None,
            spend_cap: false,
            fingerprint: String::new(),
        }
    }
}

impl AccountFacts {
    /// The account, if requests can be sent with it.
    pub fn usable(&self) -> Option<&AccountUse> {
        match self {
            Self::Usable(account) => Some(account),
            Self::Missing { .. } | Self::Unusable { .. } | Self::Rejected { .. } => None,
        }
    }

    /// What a held job compares to see that something changed.
    pub fn fingerprint(&self) -> &str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Unusable { fingerprint, .. } | Self::Rejected { fingerprint, .. } => fingerprint,
            Self::Usable(account) => &account.fingerprint,
        }
    }
}

impl AccountUse {
    /// Kind and name, for people.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind.as_str(), self.name)
    }

    /// Whether its endpoint is likely to be wrong, where it knows no address that it should.
    pub fn has_odd_address(&self) -> bool {
        is_odd_address(&self.endpoint)
    }

    /// Whether these credentials are proven to be of the client that made this submission:
    /// the same client at the same endpoint, or, where one of the two is not known, the very Secret that was used then.
    pub fn proves(&self, submission: &SubmissionRecord) -> bool {
        let (ours, theirs) = (self.client(), ClientIdentity::from(submission));
        let same_endpoint = submission.endpoint.as_deref() == Some(self.endpoint.as_str());
        let unknown = ours.is_unknown() || theirs.is_unknown();
        let same_secret = submission.credential.as_ref() == Some(&self.credential);
        ours.is_surely(&theirs) || (unknown && same_endpoint && same_secret)
    }

    /// The client that it is of.
    pub fn client(&self) -> ClientIdentity {
        ClientIdentity::new(Some(&self.endpoint), self.client_id.as_deref(), self.alias.as_deref())
    }
}

/// Whether an endpoint is likely to be wrong, where it knows no address that it should: the service's ends in `/api/v1`.
pub fn is_odd_address(endpoint: &str) -> bool {
    !endpoint.trim_end_matches('/').ends_with("/api/v1")
}
