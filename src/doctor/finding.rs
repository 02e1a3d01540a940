//! What is looked at, and what comes of it.

use std::fmt;

use crate::api::ObjectName;

/// What is looked at.
#[derive(Debug)]
pub struct Installation {
    /// Namespaces that are watched; none for all.
    pub namespaces: Vec<ObjectName>,
    /// The namespace of the operator, its lease and the Secrets of cluster accounts.
    pub home: ObjectName,
    /// The lease; none where replicas stand in no election.
    pub lease: Option<ObjectName>,
}

/// What came of one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be.
    Fine(String),
    /// Somebody else has to do something, and the operator works.
    Note(String),
    /// The operator cannot work, and what to do.
    Wrong(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine(what) => write!(f, "fine   {what}"),
            Self::Note(what) => write!(f, "note   {what}"),
            Self::Wrong(what) => write!(f, "WRONG  {what}"),
        }
    }
}
