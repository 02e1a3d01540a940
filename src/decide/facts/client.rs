//! Which client of the service an account, a record or an intent is of: the one place that compares two of them.
//!
//! A token may carry a name of its own, and the service name its client by another. So two names can be one client's, and
//! what was recorded by one of them is that client's still.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::api::{ScrapeJob, SubmissionRecord};

/// A client of the service, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ClientIdentity {
    /// Base address of the service; `None` where a record of an earlier release does not tell.
    endpoint: Option<String>,
    /// Its name: as the service gave it, else as the accepted token carries it.
    id: Option<String>,
    /// Its other names.
    aliases: BTreeSet<String>,
    /// Whether the service itself gave the name. Two clients that it named differently are two, whatever a token claims:
    /// else whoever writes another's name into a token of his own could hold up what that one cancels.
    given: bool,
}

impl ClientIdentity {
    /// What is known of a client; the alias is another name of it, which the token carries.
    pub fn new(endpoint: Option<&str>, id: Option<&str>, alias: Option<&str>) -> Self {
        let aliases = alias.into_iter().filter(|alias| id != Some(alias)).map(str::to_owned).collect();
        Self { endpoint: endpoint.map(str::to_owned), id: id.map(str::to_owned), aliases, given: false }
    }

    /// The same, where the service itself gave the name, or did not.
    #[must_use]
    pub fn given(self, given: bool) -> Self {
        Self { given: given && self.id.is_some(), ..self }
    }

    /// The client of a token that the service accepted, where `claimed` is the name that the token carries and `named` the
    /// one that the service gave: its name, and its alias if the two differ.
    pub fn of_token(claimed: Option<String>, named: Option<String>) -> (Option<String>, Option<String>) {
        match named {
            Some(named) => {
                let alias = claimed.filter(|claimed| *claimed != named);
                (Some(named), alias)
            }
            None => (claimed, None),
        }
    }

    /// Whether a recorded name is another one than the token itself carries, so that only the service can have given it.
    pub fn is_foreign(recorded: Option<&str>, claimed: Option<&str>) -> bool {
        recorded.is_some() && recorded != claimed
    }

    /// Whether both are proven to be one client. Only then may what the one made be adopted, believed or repeated with the
    /// other.
    pub fn is_surely(&self, other: &Self) -> bool {
        let (Some(here), Some(there)) = (&self.endpoint, &other.endpoint) else { return false };
        let (Some(ours), Some(theirs)) = (&self.id, &other.id) else { return false };
        // An alias that both have proves nothing: the service has given each of them another name.
        let named = ours == theirs || self.aliases.contains(theirs) || other.aliases.contains(ours);
        here == there && named
    }

    /// Whether both may be one client: they share a name, or cannot be told apart. Then they are kept apart in time, and
    /// neither cancels what the other uses.
    pub fn may_be(&self, other: &Self) -> bool {
        let unnamed = self.is_unknown() || other.is_unknown();
        let named = || self.names().any(|ours| other.names().any(|theirs| ours == theirs));
        let told_apart = self.given && other.given && self.id != other.id;
        self.may_be_beside(other) && !told_apart && (unnamed || named())
    }

    /// Whether both may be at one service.
    pub fn may_be_beside(&self, other: &Self) -> bool {
        let endpoints = self.endpoint.as_ref().zip(other.endpoint.as_ref());
        endpoints.is_none_or(|(here, there)| here == there)
    }

    /// Whether an account with these names tells more of a client than its name: it has another one, or is called so.
    pub fn tells(id: Option<&str>, alias: Option<&str>, asked: Option<&str>) -> bool {
        id.is_some() && (alias.is_some() || id == asked)
    }

    /// Its name.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether this is its first name: another one that the service gives is news.
    pub fn is_called(&self, name: &str) -> bool {
        self.id.as_deref() == Some(name)
    }

    /// Whether the service was never heard to name it, and no token did.
    pub fn is_unknown(&self) -> bool {
        self.id.is_none()
    }

    /// The same client with every name by which these accounts know it. A record has one name, which a token carried or
    /// the service gave; only an account that has both tells that they are one client's.
    #[must_use]
    pub fn known_by(mut self, accounts: &[Self]) -> Self {
        let Some(id) = self.id.clone() else { return self };
        self.given |= accounts
            .iter()
            .any(|account| account.given && account.id == self.id && account.may_be_beside(&self));
        loop {
            let before = self.aliases.len();
            for account in accounts {
                if account.id.is_some() && account.may_be(&self) {
                    let names = account.names().filter(|name| **name != id).cloned();
                    self.aliases.extend(names);
                }
            }
            if self.aliases.len() == before {
                return self;
            }
        }
    }

    /// The client that an object's status names: any, where it has no record of a submission.
    pub fn recorded(job: &ScrapeJob) -> Self {
        let submission = job.status.as_ref().and_then(|status| status.submission.as_ref());
        submission.map(Self::from).unwrap_or_default()
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.id.iter().chain(&self.aliases)
    }
}

impl From<&SubmissionRecord> for ClientIdentity {
    fn from(record: &SubmissionRecord) -> Self {
        Self::new(record.endpoint.as_deref(), record.client_id.as_deref(), None)
    }
}
