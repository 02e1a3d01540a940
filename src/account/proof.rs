//! What the service said when it accepted credentials: no session begins without.

use jiff::Timestamp;

/// What the service accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The client: as the service named it, else as the accepted token does.
    pub client_id: Option<String>,
    /// Another name of it, which the same token carries.
    pub alias: Option<String>,
    /// Whether the service told whose the credentials are, or never will.
    pub told: bool,
    /// Since when it accepts them.
    pub since: Timestamp,
}

impl Proof {
    /// The client as the service `named` it, else as the token itself `claimed`.
    pub fn new(named: Option<String>, claimed: Option<String>, told: bool, since: Timestamp) -> Self {
        let client_id = named.or_else(|| claimed.clone());
        let alias = claimed.filter(|claimed| client_id.as_ref() != Some(claimed));
        Self { client_id, alias, told, since }
    }
}
