//! A job as the operator keeps it: what decisions look at, and nothing that a tenant can make as large as it likes.

use std::borrow::Cow;
use std::ops::Deref;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer};

use crate::api::{INTENT, ScrapeJob, ScrapeJobSpec, ScrapeJobStatus, StoredJob};
use crate::controller::observe::marks;
use crate::decide::{Faults, KeptBody, Marks};

/// A job as the cache has it, and as every look at it is told. Its spec has no payload; of that, `body` is kept. Of the
/// annotations the intent is kept, of all others and of the labels what they mean.
#[derive(Clone, Debug)]
pub struct CachedJob {
    job: ScrapeJob,
    /// What is kept of its payload, or why that can never be sent; `None` where the spec has none.
    pub(in crate::controller) body: Option<Result<KeptBody, String>>,
    /// What its annotations and labels say.
    pub(in crate::controller) marks: Marks,
    /// What of it cannot be read.
    pub(in crate::controller) faults: Faults,
    /// Length of its text in bytes.
    pub(in crate::controller) bytes: usize,
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
        let bytes = stored.bytes;
        let mut job = stored.read.unwrap_or_else(|metadata| {
            let job = ScrapeJob::new("", ScrapeJobSpec::default());
            ScrapeJob { metadata: *metadata, ..job }
        });
        let marks = marks(&job);
        let payload = job.spec.payload.take();
        let body = payload
            .map(|payload| KeptBody::of(&payload, job.spec.priority).map_err(|unfit| unfit.to_string()));
        job.metadata.managed_fields = None;
        job.metadata.labels = None;
        job.metadata.owner_references = None;
        if let Some(annotations) = &mut job.metadata.annotations {
            annotations.retain(|name, _| name == INTENT);
        }
        Self { job, body, marks, faults, bytes }
    }
}

impl From<ScrapeJob> for CachedJob {
    fn from(job: ScrapeJob) -> Self {
        Self::from(StoredJob { read: Ok(job), unread: Vec::new(), bytes: 0 })
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
    /// What is kept of its payload, if that can be sent.
    pub(in crate::controller) fn kept(&self) -> Option<&KeptBody> {
        self.body.as_ref().and_then(|body| body.as_ref().ok())
    }

    /// Puts this in place of its status: what is true, and could not be written.
    pub(in crate::controller) fn set_status(&mut self, status: ScrapeJobStatus) {
        self.job.status = Some(status);
    }
}

impl crate::controller::watch::Measured for CachedJob {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl crate::controller::watch::Measured for StoredJob {
    fn bytes(&self) -> usize {
        self.bytes
    }
}
