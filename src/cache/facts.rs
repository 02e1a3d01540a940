//! A job in the words of decisions: what it says of itself, and what it is called.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::job::CachedJob;
use crate::api::{FINALIZER, INTENT, NotAName, ObjectName, ScrapeJob, ScrapeJobStatus};
use crate::decide::{Intent, IntentFacts, JobFacts, restored};

/// The key of an object in the queues and for the poller.
pub fn key(job: &ScrapeJob) -> String {
    format!("{}/{}", job.namespace().unwrap_or_default(), job.name_any())
}

/// The id of the job at the service; empty where there is none.
pub fn job_id(job: &ScrapeJob) -> &str {
    let recorded = job.status.as_ref().and_then(|status| status.job_id.as_deref());
    recorded.or(job.spec.job_id.as_deref()).unwrap_or_default()
}

/// The intent annotation, as found.
pub fn intent_of(job: &ScrapeJob) -> IntentFacts {
    Intent::read(job.annotations().get(INTENT).map(String::as_str))
}

/// The status to decide on: an unknown outcome where it has lost the record of a submit. Where there is none at all nothing
/// was looked at yet.
pub fn recorded(job: &ScrapeJob, intent: &IntentFacts) -> ScrapeJobStatus {
    let uid = job.uid().unwrap_or_default();
    job.status.clone().map(|status| restored(status, intent, (&uid, &job.spec))).unwrap_or_default()
}

/// The object in the words of decisions, apart from its status.
pub fn job_facts(job: &CachedJob) -> JobFacts {
    let deleted_at: Option<Timestamp> = job.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    JobFacts {
        namespace: job.namespace().unwrap_or_default(),
        name: job.name_any(),
        uid: job.uid().unwrap_or_default(),
        generation: job.metadata.generation.unwrap_or(0),
        deleted_at,
        protected: job.finalizers().iter().any(|finalizer| finalizer == FINALIZER),
        body: job.kept().cloned(),
        unfit: job.body.as_ref().and_then(|body| body.as_ref().err()).cloned(),
        faults: job.faults.clone(),
        marks: job.marks.clone(),
        spec: job.spec.clone(),
    }
}

/// Whether a job is over and all of it is read, and nobody wants anything more of it that its account is needed for.
pub fn is_at_rest(job: &ScrapeJob) -> bool {
    let over = |status: &ScrapeJobStatus| {
        status.finished && status.owed.is_empty() && status.run() == job.spec.run()
    };
    job.metadata.deletion_timestamp.is_none() && job.status.as_ref().is_some_and(over)
}

/// Whether nothing was ever begun for a job, and it names none of others, so that what others have says nothing of it.
pub fn is_new(job: &ScrapeJob) -> bool {
    let unbegun = |status: &ScrapeJobStatus| {
        let runs = status.history.is_empty() && !status.finished;
        runs && status.job_id.is_none() && status.submission.is_none() && status.tried_at.is_none()
    };
    let unnamed = job.spec.job_id.is_none() && !job.annotations().contains_key(INTENT);
    unnamed && job.metadata.deletion_timestamp.is_none() && job.status.as_ref().is_none_or(unbegun)
}

/// Why nothing can be done for a job that names an account which cannot exist. It never was submitted, so that its deletion
/// is the only thing that still has to go its way.
pub fn misnamed(job: &ScrapeJob) -> Option<NotAName> {
    let named = job.spec.account_ref.as_ref().filter(|_| job.metadata.deletion_timestamp.is_none())?;
    ObjectName::parse(&named.name).err()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::misnamed;
    use crate::api::{AccountRef, ScrapeJob};

    #[test]
    fn a_job_whose_account_cannot_exist_is_left_alone_until_it_is_deleted() {
        let named = |name: Option<&str>| {
            let mut job: ScrapeJob = serde_json::from_value(json!({
                "apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": {"name": "acme"}, "spec": {},
            }))
            .unwrap();
            job.spec.account_ref = name.map(|name| AccountRef { kind: None, name: name.to_owned() });
            job
        };
        assert!(misnamed(&named(Some("team"))).is_none() && misnamed(&named(None)).is_none());
        let mut odd = named(Some("?limit=500"));
        assert!(misnamed(&odd).is_some());
        odd.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert!(misnamed(&odd).is_none());
    }
}
