//! What a person who looks into the process is shown: what no status tells, and no secret.

use kube::runtime::reflector::ObjectRef;
use serde_json::{Map, Value, json};

use super::Context;
use crate::decide::Again;

impl Context {
    /// How the process stands; with a job's namespace and name also what was decided about that last, and why.
    pub fn debug(&self, job: Option<&str>) -> Value {
        let now = self.snapshot();
        let accounts = now.accounts.iter().map(|account| {
            let waiting: Map<String, Value> =
                account.waiting.iter().map(|(lane, count)| ((*lane).to_owned(), (*count).into())).collect();
            json!({
                "namespace": account.namespace,
                "name": account.account,
                "requestsLeft": account.requests_left,
                "pauseSeconds": account.pause_seconds,
                "submitPauseSeconds": account.submit_pause_seconds,
                "truthAgeSeconds": account.truth_age_seconds,
                "waiting": waiting,
            })
        });
        let accounts: Vec<Value> = accounts.collect();
        let counted = |counts: &[(&'static str, usize)]| -> Map<String, Value> {
            counts.iter().map(|(word, count)| ((*word).to_owned(), (*count).into())).collect()
        };
        let mut told = json!({
            "leading": now.leading,
            "jobsKnown": self.all_are_known(),
            "kept": counted(&now.kept),
            "looks": counted(&now.looks),
            "unrecorded": now.unrecorded,
            "complaint": self.complaint(),
            "accounts": accounts,
        });
        if let (Some(job), Some(told)) = (job, told.as_object_mut()) {
            let (namespace, name) = job.split_once('/').unwrap_or_default();
            told.insert("job".to_owned(), self.debug_job(namespace, name));
        }
        told
    }

    /// One object; null where none is known by that name.
    fn debug_job(&self, namespace: &str, name: &str) -> Value {
        let Some(known) = self.jobs.known(namespace, name) else { return Value::Null };
        let cached = self.jobs.get(&ObjectRef::new(name).within(namespace));
        let status = cached.as_ref().and_then(|job| job.status.as_ref());
        let (remembered, now) = (self.memories.get(&known.uid), self.clock.instant());
        let decided = remembered.decided.as_ref().map(|decided| {
            let again = match decided.again {
                Again::Live => json!("at once"),
                Again::OnChange => json!("when something changes"),
                Again::After(pause) => json!(format!("{} s later", pause.as_secs())),
            };
            let ago = now.saturating_duration_since(decided.at).as_secs();
            json!({"plan": decided.plan, "outcome": decided.outcome, "secondsAgo": ago, "again": again})
        });
        let tried = status.and_then(|status| status.tried_at.as_ref()).map(|time| time.0.to_string());
        json!({
            "uid": known.uid,
            "resourceVersion": known.version.map(|version| version.to_string()),
            "bytes": known.bytes,
            "keptWhole": known.awake,
            "account": self.known.resolve(known.uses).to_string(),
            "state": status.and_then(|status| status.state.as_deref()),
            "reason": status.and_then(|status| status.reason.as_deref()),
            "message": status.and_then(|status| status.message.as_deref()),
            "jobID": status.and_then(|status| status.job_id.as_deref()),
            "triedAt": tried,
            "decided": decided,
            "restsSeconds": remembered.rest.map(|(_, until)| until.saturating_duration_since(now).as_secs()),
            "waitsForItsTurn": remembered.line.is_some(),
            "failures": remembered.failures,
            "refusedWrites": remembered.refusals + remembered.status_refusals,
        })
    }
}
