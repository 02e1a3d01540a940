//! One look through all objects: each of ours loses the finalizer, and nothing else of it changes.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::{GetParams, ListParams, ObjectMeta, Patch, PatchParams};
use kube::core::Request;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::{FINALIZER, INTENT, Reason, ScrapeJob};
use crate::kubernetes::{Trouble, answer, clean};

/// Objects in a page of their list: each may have more than a megabyte.
const PAGE: u32 = 20;
/// How many are written at once.
const AT_ONCE: usize = 8;
/// How often one is written that others write meanwhile.
const TRIES: usize = 5;

/// What all looks have in common.
pub(super) struct Looks<'a> {
    pub(super) client: &'a Client,
    /// Installations that work elsewhere, by what they write on objects.
    pub(super) others: HashSet<String>,
    /// Objects about whose job people were told.
    pub(super) told: Mutex<HashSet<String>>,
}

/// What a look through all objects came to.
#[derive(Default)]
pub(super) struct Pass {
    /// How many lost the finalizer.
    pub(super) let_go: usize,
    /// What still has it, or could not be looked at, and why.
    pub(super) left: Vec<(String, String)>,
    /// How many are those of installations that work elsewhere.
    pub(super) of_others: usize,
}

/// What is read of an object; the rest, its payload above all, is passed over at any depth.
#[derive(Deserialize)]
struct Job {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    deletion_policy: Option<String>,
}

#[derive(Default, Deserialize)]
struct Status {
    operator: Option<String>,
    #[serde(rename = "jobID")]
    job_id: Option<String>,
    submission: Option<Value>,
    #[serde(default)]
    finished: bool,
}

impl Job {
    fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// What its deletion would have cancelled, in words: a job that it has, or may have, submitted.
    fn leaves(&self) -> Option<String> {
        let Status { job_id, submission, finished, .. } = &self.status;
        let intended = self.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(INTENT));
        let ours = submission.is_some() || intended;
        if *finished || !ours || self.spec.deletion_policy.as_deref() == Some("Orphan") {
            return None;
        }
        Some(job_id.as_deref().map_or_else(
            || "a job that a submit of unknown outcome may have made".to_owned(),
            |id| format!("job {}", clean(id)),
        ))
    }
}

#[derive(Deserialize)]
pub(super) struct Page<T> {
    #[serde(default)]
    metadata: ListMeta,
    pub(super) items: Vec<T>,
}

impl<T> Page<T> {
    /// What the next page is asked for by, if there is one.
    pub(super) fn next(&self) -> Option<String> {
        self.metadata.continue_.clone().filter(|token| !token.is_empty())
    }
}

/// What came of one object.
enum Came {
    LetGo,
    /// The same of one that was being deleted; which it is, and what it leaves running.
    Gone(String, Option<String>),
    /// It needs nothing of us, or went.
    Free,
    OfOthers,
    Left(String, String),
}

impl Looks<'_> {
    /// Looks through the objects of these parts of the kind, as long as that `stands`. What went with a job that may go on is
    /// told at once.
    ///
    /// # Errors
    /// Why it does not stand any more.
    pub(super) async fn look_through<S: Future<Output = anyhow::Result<()>>>(
        &self,
        apis: &[Api<ScrapeJob>],
        stands: &impl Fn() -> S,
        tell: &mut impl FnMut(String),
    ) -> anyhow::Result<Pass> {
        let mut pass = Pass::default();
        for api in apis {
            let mut token = None;
            loop {
                stands().await?;
                let page = match read::<Job>(self.client, api.resource_url(), token).await {
                    Ok(page) => page,
                    // No kind, or no namespace: nothing in it.
                    Err(Trouble::Missing) => break,
                    Err(trouble) => {
                        let part = api.namespace().unwrap_or("all namespaces");
                        pass.left.push((format!("those of {part}"), trouble.why()));
                        break;
                    }
                };
                token = page.next();
                let mut came =
                    stream::iter(page.items).map(|job| self.let_one_go(job)).buffer_unordered(AT_ONCE);
                while let Some(came) = came.next().await {
                    pass.take(came, tell);
                }
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(pass)
    }

    /// Takes the finalizer off one object, if it is still the one that was read.
    async fn let_one_go(&self, mut job: Job) -> Came {
        let namespace = job.metadata.namespace.clone().unwrap_or_default();
        let name = job.metadata.name.clone().unwrap_or_default();
        let jobs: Api<ScrapeJob> = Api::namespaced(self.client.clone(), &namespace);
        let shown = format!("{namespace}/{name}");
        for _ in 0..TRIES {
            let finalizers = job.metadata.finalizers.clone().unwrap_or_default();
            if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
                return Came::Free;
            }
            if job.status.operator.as_ref().is_some_and(|operator| self.others.contains(operator)) {
                return Came::OfOthers;
            }
            let goes = job.metadata.deletion_timestamp.is_some();
            let leaves = job.leaves();
            if let (true, Some(left)) = (goes, &leaves) {
                self.orphaned(&job, left).await;
            }
            let others: Vec<&String> = finalizers.iter().filter(|other| *other != FINALIZER).collect();
            let patch = json!({"metadata": {
                "uid": job.metadata.uid,
                "resourceVersion": job.metadata.resource_version,
                "finalizers": others,
            }});
            let patched =
                answer(jobs.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(patch))).await;
            match patched {
                Ok(_) if goes => return Came::Gone(shown, leaves),
                Ok(_) => return Came::LetGo,
                Err(Trouble::Missing) => return Came::Free,
                // What it has submitted may be recorded by now.
                Err(Trouble::Changed) => match self.read_again(&jobs, &name).await {
                    Ok(now) => job = now,
                    Err(Trouble::Missing) => return Came::Free,
                    Err(trouble) => return Came::Left(shown, trouble.why()),
                },
                Err(trouble) => return Came::Left(shown, trouble.why()),
            }
        }
        Came::Left(shown, "somebody else writes it all the time".to_owned())
    }

    async fn read_again(&self, jobs: &Api<ScrapeJob>, name: &str) -> Result<Job, Trouble> {
        let request = Request::new(jobs.resource_url()).get(name, &GetParams::default());
        parsed(self.client, request).await
    }

    /// Tells people once of what nobody will cancel, as the operator itself does; it is printed, too. Where nothing can be
    /// created any more, because the namespace goes, it is said beside it.
    async fn orphaned(&self, job: &Job, left: &str) {
        if !self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(job.uid().to_owned()) {
            return;
        }
        let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let mut about = ObjectReference::from(ObjectRef::<ScrapeJob>::new(name).within(namespace));
        about.uid.clone_from(&job.metadata.uid);
        let beside = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Namespace".to_owned()),
            name: Some(namespace.to_owned()),
            ..ObjectReference::default()
        };
        for about in [about, beside] {
            let event = Event {
                type_: EventType::Warning,
                reason: Reason::Orphaned.as_str().to_owned(),
                note: Some(format!(
                    "The operator was drained while ScrapeJob {name} was being deleted: {left} was not cancelled, and may go on running."
                )),
                action: "Drain".to_owned(),
                secondary: None,
            };
            let reporter = Reporter { controller: "spideriq-operator".to_owned(), instance: None };
            let recorder = Recorder::new(self.client.clone(), reporter);
            if answer(recorder.publish(&event, &about)).await.is_ok() {
                break;
            }
        }
    }
}

impl Pass {
    fn take(&mut self, came: Came, tell: &mut impl FnMut(String)) {
        match came {
            Came::Free => {}
            Came::OfOthers => self.of_others += 1,
            Came::LetGo => self.let_go += 1,
            Came::Gone(name, leaves) => {
                self.let_go += 1;
                let leaves = leaves.map(|left| format!("; {left} may go on running")).unwrap_or_default();
                tell(format!("{name} was being deleted and is let go{leaves}"));
            }
            Came::Left(name, why) => self.left.push((name, why)),
        }
    }
}

/// A page of a list, of which no more is kept than is asked for.
///
/// # Errors
/// See [`Trouble`].
pub(super) async fn read<T: DeserializeOwned>(
    client: &Client,
    url: &str,
    token: Option<String>,
) -> Result<Page<T>, Trouble> {
    let params = ListParams { limit: Some(PAGE), continue_token: token, ..ListParams::default() };
    parsed(client, Request::new(url).list(&params)).await
}

async fn parsed<T: DeserializeOwned>(
    client: &Client,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<T, Trouble> {
    let request = request.map_err(|error| Trouble::Unanswered(error.to_string()))?;
    let text = answer(client.request_text(request)).await?;
    // The words of an error may quote what was read.
    serde_json::from_str(&text).map_err(|_| Trouble::Unanswered("it cannot be read".to_owned()))
}
