//! Makes the intent of a submit, and says whether one is about the submit at hand.

use k8s_openapi::jiff::Timestamp;

use crate::decide::facts::{AccountUse, ClientIdentity, JobFacts};
use crate::decide::record::{Intent, Recorded};

impl Intent {
    /// The intent of submitting this job with this account; `None` for a job that is never submitted.
    pub fn new(job: &JobFacts, account: &AccountUse, nonce: &str, time: Timestamp) -> Option<Self> {
        let intent = Self {
            v: Intent::VERSION,
            object: format!("{}/{}", job.namespace, job.name),
            uid: job.uid.clone(),
            type_: job.spec.type_.clone()?,
            run: job.spec.run().to_owned(),
            body_hash: String::new(),
            nonce: nonce.to_owned(),
            time,
            account: account.name.clone(),
            endpoint: account.endpoint.clone(),
            client_id: account.client_id.clone(),
            job_id: None,
            outcome: None,
        };
        Some(intent.of_body(&job.body.as_ref()?.hash))
    }

    /// Whether this intent is about this very submit: whatever differs was copied, edited or moved here. Without a
    /// usable account, where only one of the two knows its client, or where another release made the hash, nobody can
    /// tell.
    pub fn fit(&self, job: &JobFacts, account: Option<&AccountUse>) -> Fit {
        let Some(body) = &job.body else { return Fit::Other };
        let mine = self.object == format!("{}/{}", job.namespace, job.name)
            && job.spec.type_.as_ref() == Some(&self.type_)
            && self.run == job.spec.run();
        let recorded = body.recorded(&self.body_hash);
        if !mine || recorded == Recorded::Other {
            return Fit::Other;
        }
        let Some(account) = account else { return Fit::Unclear };
        let (theirs, ours) = (self.client(), account.client());
        if !ours.may_be(&theirs) {
            return Fit::Other;
        }
        // Where neither was ever named, what was begun so goes on so.
        let same = ours.is_surely(&theirs) || (ours.is_unknown() && theirs.is_unknown());
        if same && recorded == Recorded::Same { Fit::Same } else { Fit::Unclear }
    }

    /// The client that it was written for.
    fn client(&self) -> ClientIdentity {
        ClientIdentity::new(Some(&self.endpoint), self.client_id.as_deref(), None)
    }
}

/// Whether an intent is about a submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is.
    Same,
    /// It is not.
    Other,
    /// It would be, if the account were of the client that it names, or its hash of this body.
    Unclear,
}
