//! What there is to be told of accounts, and where.

use tokio::sync::mpsc;

use super::key::AccountKey;

/// What there is to be told of accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Of this account alone.
    Account(AccountKey),
    /// Of its client: every account of it that is in use has to say so.
    Client(AccountKey),
}

/// Where the registry tells what happens.
#[derive(Clone, Debug)]
pub struct Channels {
    /// Keys of objects whose turn has come, or whose job changed.
    pub objects: mpsc::UnboundedSender<String>,
    /// Accounts that have to be looked at.
    pub accounts: mpsc::UnboundedSender<News>,
}
