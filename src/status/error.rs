//! Why a write did not happen.

/// Why a write did not happen, or may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The object changed or went: look again, live, and decide anew.
    #[error("the object changed meanwhile: {0}")]
    Lost(String),
    /// Nobody knows whether it was carried out.
    #[error("no answer from the API server: {0}")]
    Unanswered(String),
    /// The API server will not have it: a policy, a missing right, no room. Nothing was written.
    #[error("the API server refused the write: {0}")]
    Refused(String),
    /// It would have dropped these fields, and so refused the whole write. Nothing was written.
    #[error("the API server does not know the fields {}", .0.join(", "))]
    UnknownFields(Vec<String>),
    /// It took the write and dropped these fields.
    #[error("the API server did not keep the fields {}", .0.join(", "))]
    Dropped(Vec<String>),
}

impl WriteError {
    /// The fields that the API server does not keep, where that is what it says.
    pub fn not_kept(&self) -> Option<&[String]> {
        match self {
            Self::UnknownFields(fields) | Self::Dropped(fields) => Some(fields),
            Self::Lost(_) | Self::Unanswered(_) | Self::Refused(_) => None,
        }
    }
}
