//! When nothing is to be done with an object, whatever becomes of its account: such a one needs no look, and no place in
//! memory but a record.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::facts::{intent_of, is_at_rest, job_facts, misnamed, recorded};
use super::job::CachedJob;
use crate::api::{AccountKind, ScrapeJob, ScrapeJobStatus};
use crate::decide::{
    self, AccountFacts, Again, Memory, Observed, Outcome, Plan, Standing, Verdict, Watched, was_sent,
};
use crate::status::{compute, same_meaning};

/// How an object rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// After how long something is to be done with it, where time alone brings that about.
    pub until: Option<Duration>,
}

/// How an object rests that deciding on it would leave as it is; `None` where something is to be done with it, or others
/// still ask what it is. An account cannot change that: what is over looks at none.
pub fn rest(job: &CachedJob, now: Timestamp) -> Option<Rest> {
    let status = job.status.as_ref()?;
    if !is_at_rest(job) || was_sent(status) || !job.faults.is_none() || misnamed(job).is_some() {
        return None;
    }
    let intent = intent_of(job);
    let observed = Observed {
        now,
        steady: now,
        job: job_facts(job),
        recorded: recorded(job, &intent),
        intent,
        account: AccountFacts::Missing { kind: AccountKind::ScrapeAccount, name: String::new() },
        watched: Watched::default(),
        memory: Memory::default(),
        nonce: String::new(),
    };
    let plan = decide::next(&observed);
    if !matches!(plan, Plan::Rest(Standing::Ended(..)) | Plan::Leave) {
        return None;
    }
    let verdict = decide::settle(&observed, &plan, &Outcome::Done);
    if !verdict.events.is_empty() || status_of(job, &verdict, "", now).is_some() {
        return None;
    }
    match verdict.again {
        Again::Live => None,
        Again::After(until) => Some(Rest { until: Some(until) }),
        Again::OnChange => Some(Rest { until: None }),
    }
}

/// The status to be written of an object by this installation, if its meaning differs from what is recorded.
pub fn status_of(
    job: &ScrapeJob,
    verdict: &Verdict,
    operator: &str,
    now: Timestamp,
) -> Option<ScrapeJobStatus> {
    let unwritten = ScrapeJobStatus::default();
    let recorded = job.status.as_ref().unwrap_or(&unwritten);
    let generation = job.metadata.generation.unwrap_or(0);
    let ready_when = job.spec.ready_when.unwrap_or_default();
    let mut status = compute(verdict, recorded, ready_when, generation, now)?;
    status.operator = Some(operator.to_owned());
    (!recorded.is_written() || !same_meaning(&status, recorded)).then_some(status)
}
