//! What the API server, and what stands in it, keeps the operator from.

use std::fmt;

use super::phrase::quoted;
use crate::api::INSTALL_CRDS;

/// What keeps an object from being written, or a job from being recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// The API server refuses the writes of this object; what it said.
    WriteRefused(String),
    /// This job was accepted, and that cannot be written.
    NotRecorded {
        /// The id.
        job_id: String,
        /// What the API server said.
        words: String,
    },
    /// This job was accepted for an object that no longer takes it.
    NotTaken(String),
    /// The account that the spec names has a name that is none; what is wrong with it.
    AccountName(String),
    /// The Secret that the spec names has a name that is none; what is wrong with it.
    SecretName(String),
    /// The CRDs are of another version; the fields that they would lose.
    CrdsOutdated(String),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteRefused(words) => write!(
                f,
                "The operator cannot update this object: {}. Allow the operator's ServiceAccount to change it. The operator then goes on by itself.",
                quoted(words)
            ),
            Self::NotRecorded { job_id, words } => write!(
                f,
                "SpiderIQ accepted job {job_id} for this object, and that cannot be recorded: {}. The operator goes on trying. Allow its ServiceAccount to change this object. Do not restart the operator before: only this process knows the job.",
                quoted(words)
            ),
            Self::NotTaken(job_id) => write!(
                f,
                "SpiderIQ accepted job {job_id} for this object, but the object was deleted or has another job or run by now. Cancel the job at SpiderIQ if it is not wanted."
            ),
            Self::AccountName(error) => {
                write!(f, "spec.accountRef.name: {}. Create another ScrapeJob.", quoted(error))
            }
            Self::SecretName(error) => {
                write!(f, "spec.secretRef.name: {}. Correct the name.", quoted(error))
            }
            Self::CrdsOutdated(fields) => write!(
                f,
                "The CRDs of this cluster are not those of this version of the operator, and would lose {fields}. Nothing is submitted or written until those are installed ({INSTALL_CRDS})."
            ),
        }
    }
}
