//! Which runs were used before: a runID is paid for once.

use sha2::{Digest, Sha256};

use crate::api::{Reason, ScrapeJobStatus};
use crate::decide::message::{Named, RunWord};
use crate::decide::plan::Standing;

/// Whether a run of this name was used before. Either list alone says so: the other one may have been lost.
pub(in crate::decide) fn was_used(status: &ScrapeJobStatus, run: &str) -> bool {
    let earlier = || status.history.iter().any(|known| known.run_id.as_deref().unwrap_or_default() == run);
    status.used_run_ids.contains(&short_hash(run)) || earlier()
}

/// A used runID waits for a person: what is paid for once is not submitted again.
pub(in crate::decide) fn reused(run: &str) -> Standing {
    Standing::Held(Reason::RunIDReused, RunWord::Reused(Named(run.to_owned())).into())
}

/// 48 bits: among a hundred used runIDs a false match is one in a million million, and costs a new runID.
pub(in crate::decide) fn short_hash(run: &str) -> String {
    hex::encode(Sha256::digest(run)).chars().take(12).collect()
}
