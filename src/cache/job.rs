//! A job as the operator keeps it: what decisions look at, and nothing that a tenant can make as large as it likes.

use std::borrow::Cow;
use std::ops::Deref;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use serde::{Deserialize, Deserializer};

use super::marks::marks;
use crate::api::{INTENT, ScrapeJob, ScrapeJobSpec, ScrapeJobStatus, StoredJob};
use crate::decide::{Faults, KeptBody, Marks, Party};

/// The most of the intent that is kept, in bytes; ours have under 1 KiB.
const ANNOTATION_KEPT: usize = 4096;

/// A job as the cache has it, and as every look at it is told. Its spec has no payload; of that, `body` is kept. Of the
/// annotations the intent is kept, of all others and of the labels what they mean.
#[derive(Clone, Debug)]
pub struct CachedJob {
    /// Boxed, since every future of a look holds some.
    job: Box<ScrapeJob>,
    /// What is kept of its payload, or why that can never be sent; `None` where the spec has none.
    pub body: Option<Result<KeptBody, String>>,
    /// What its annotations and labels say.
    pub marks: Marks,
    /// What of it cannot be read.
    pub faults: Faults,
    /// When it was made, or its spec last changed.
    touched: Option<Timestamp>,
    /// Length of its text in bytes.
    pub bytes: usize,
}

impl From<StoredJob> for CachedJob {
    fn from(stored: StoredJob) -> Self {
        let in_spec = |path: &str| path.starts_with("spec");
        let words = |of: &dyn Fn(&str) -> bool| {
            let words: Vec<String> = stored
                .unread
                .iter()
                .filter(|unread| of(&unread.path))
                .take(3)
                .map(ToString::to_string)
                .collect();
            Some(words.join("; ")).filter(|words| !words.is_empty())
        };
        let faults = Faults { spec: words(&in_spec), record: words(&|path| !in_spec(path)) };
        let (bytes, edited) = (stored.bytes, stored.edited);
        let mut job = stored.read.unwrap_or_else(|metadata| {
            let job = ScrapeJob::new("", ScrapeJobSpec::default());
            ScrapeJob { metadata: *metadata, ..job }
        });
        let marks = marks(&job);
        let touched = job.metadata.creation_timestamp.as_ref().map(|time| time.0).max(edited);
        let payload = job.spec.payload.take();
        let body = payload
            .map(|payload| KeptBody::of(&payload, job.spec.priority).map_err(|unfit| unfit.to_string()));
        job.metadata.managed_fields = None;
        job.metadata.labels = None;
        job.metadata.owner_references = None;
        if let Some(annotations) = &mut job.metadata.annotations {
            annotations.retain(|name, _| name == INTENT);
            annotations.values_mut().for_each(spoil);
        }
        Self { job: Box::new(job), body, marks, faults, touched, bytes }
    }
}

/// An annotation that is longer than any of ours stays unreadable, and is not kept whole for it.
fn spoil(annotation: &mut String) {
    if annotation.len() > ANNOTATION_KEPT {
        annotation.truncate(annotation.floor_char_boundary(ANNOTATION_KEPT));
        annotation.insert(0, '!');
    }
}

impl From<ScrapeJob> for CachedJob {
    fn from(job: ScrapeJob) -> Self {
        Self::from(StoredJob { read: Ok(job), unread: Vec::new(), edited: None, bytes: 0 })
    }
}

impl<'de> Deserialize<'de> for CachedJob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        StoredJob::deserialize(from).map(Self::from)
    }
}

impl Deref for CachedJob {
    type Target = ScrapeJob;

    fn deref(&self) -> &ScrapeJob {
        &self.job
    }
}

impl Resource for CachedJob {
    type DynamicType = ();
    type Scope = <ScrapeJob as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        ScrapeJob::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        ScrapeJob::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        ScrapeJob::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        ScrapeJob::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.job.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.job.metadata
    }
}

impl crate::status::Reply for CachedJob {
    fn stored(&self) -> serde_json::Value {
        crate::status::stored(self.job.status.as_ref())
    }
}

impl CachedJob {
    /// What there is left of an object that is gone: what it was called.
    pub fn remains(namespace: &str, name: &str, uid: String) -> Self {
        let mut job = ScrapeJob::new(name, ScrapeJobSpec::default());
        job.metadata.namespace = Some(namespace.to_owned());
        job.metadata.uid = Some(uid);
        Self::from(job)
    }

    /// What is kept of its payload, if that can be sent.
    pub fn kept(&self) -> Option<&KeptBody> {
        self.body.as_ref().and_then(|body| body.as_ref().ok())
    }

    /// It as one of two that may share a job.
    pub fn party(&self) -> Party<'_> {
        Party { job: self, body: self.kept(), touched: self.touched }
    }

    /// Puts this in place of its status: what is true, and could not be written.
    pub fn set_status(&mut self, status: ScrapeJobStatus) {
        self.job.status = Some(status);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ANNOTATION_KEPT, CachedJob};
    use crate::api::INTENT;
    use crate::decide::{Intent, IntentFacts};

    #[test]
    fn what_a_tenant_makes_large_is_not_kept_and_what_it_means_is() {
        let long = "\u{e4}".repeat(100_000);
        let job = json!({
            "metadata": {
                "name": "acme",
                "annotations": {INTENT: long, "foreign": long, "spideriq.ai/paused": "true"},
                "labels": {"app.kubernetes.io/managed-by": "Helm", "foreign": "x"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}],
                "managedFields": [{"manager": long}],
            },
            "spec": {"type": "spiderMaps", "priority": 2, "payload": {"url": "https://a.example", "workflow": 1, "x": long}},
        });
        let job: CachedJob = serde_json::from_str(&job.to_string()).unwrap();
        assert!(job.marks.paused && job.marks.applied_by == Some("Helm") && !job.marks.force_orphan);
        assert!(job.bytes > 3 * long.len() && job.faults.is_none());
        let body = job.body.as_ref().unwrap().as_ref().unwrap();
        assert!(body.workflow && body.url.as_deref() == Some("https://a.example"));
        assert!(body.payload_bytes() > long.len());
        let annotation = job.metadata.annotations.as_ref().unwrap().get(INTENT).unwrap();
        assert!(annotation.len() <= ANNOTATION_KEPT + 1);
        assert_eq!(Intent::read(Some(annotation)), IntentFacts::Unreadable);
        assert!(format!("{job:?}").len() < 3 * ANNOTATION_KEPT, "{job:?}");
    }
}
