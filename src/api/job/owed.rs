//! What is still to be read of a job that is over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A read that a finished run still waits for. Details: times, pages and priority. Results: their count and size, or why the job failed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Owed {
    /// What only the status in YAML says.
    Details,
    /// The summary of the results; of a failed job the service's words on it.
    Results,
}
