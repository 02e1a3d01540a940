//! `spideriq-operator drain`: no replica works any more, and no object needs one in order to go (`docs/adr/0031`).
//!
//! Objects, their records and the jobs at the service stay as they are, so that a later installation goes on with them.

use std::time::Duration;

use anyhow::bail;
use futures::{StreamExt, stream};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::api::{FINALIZER, INSTALL_CRDS, ObjectName, PUBLISHED, ScrapeJob, not_published};
use crate::clock::Clock;
use crate::kubernetes::{Trouble, answer, page};
use crate::leader::{self, LEASE};

/// Objects in a page of their list, of which the metadata alone is read.
const PAGE: u32 = 500;
/// How many are written at once.
const AT_ONCE: usize = 8;
/// How often one is written that others write meanwhile.
const TRIES: usize = 5;
/// How often all are looked through: what was made or written meanwhile is found the next time.
const PASSES: usize = 3;
/// How many are named of those that could not be written, or that went.
const NAMED: usize = 20;

/// What is drained.
#[derive(Debug)]
pub struct Installation {
    /// Namespaces that are watched; none for all.
    pub namespaces: Vec<ObjectName>,
    /// The namespace of the operator and its lease.
    pub home: ObjectName,
    /// The lease.
    pub lease: ObjectName,
}

/// What came of one object.
enum Came {
    /// It had no finalizer of ours.
    Free,
    /// It is rid of it.
    LetGo,
    /// The same, and it was being deleted: its job goes on.
    Gone(String),
    /// It still has it; its name, and why.
    Left(String, String),
}

/// Marks the lease, waits until whoever works has stopped, and takes the finalizer off every object. With `for_uninstall` the
/// mark counts for the ServiceAccount alone that this runs as, so that a new installation works. Each step is told.
///
/// # Errors
/// One sentence that says what to do: a right that is missing, an API server that does not answer, CRDs that would drop
/// fields, or objects that still have the finalizer.
pub async fn drain(
    (client, clock): (Client, Clock),
    installation: &Installation,
    for_uninstall: bool,
    mut tell: impl FnMut(String),
) -> anyhow::Result<()> {
    keeps_records(&client).await?;
    let Installation { home, lease, .. } = installation;
    let place = (home.clone(), lease.clone());
    let holder = leader::drain(client.clone(), clock, place, for_uninstall).await?;
    tell(format!("the lease {home}/{lease} is marked: no replica takes it"));
    if let Some(holder) = holder {
        let holder = crate::kubernetes::clean(&holder);
        tell(format!("waiting {} s, within which {holder} stops", LEASE.as_secs()));
        tokio::time::sleep(LEASE).await;
    }
    let mut gone = Vec::new();
    let mut let_go = 0_usize;
    for pass in 1.. {
        let (found, left) = pass_through(&client, installation, &mut gone).await?;
        let_go += found;
        match left.first() {
            // What was made during the first look is seen by the second.
            None if found == 0 => break,
            None if pass < PASSES => {}
            None => bail!(
                "something goes on putting finalizers on ScrapeJobs: does an operator run without a lease, or by another one than {home}/{lease}? Stop it, and drain again"
            ),
            Some(_) if pass < PASSES => tokio::time::sleep(Duration::from_secs(1)).await,
            Some((name, why)) => bail!(
                "{} ScrapeJobs still have the finalizer, of them {name}: {why}; mend that, and drain again",
                left.len()
            ),
        }
    }
    tell(format!(
        "{let_go} ScrapeJobs are rid of the finalizer {FINALIZER}; they, their records and their jobs are left"
    ));
    if !gone.is_empty() {
        let named = gone.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        tell(format!(
            "{} of them were being deleted and are gone, with a job that may go on running: {named}",
            gone.len()
        ));
    }
    Ok(())
}

/// Takes the mark back, so that one of the replicas works again; says what came of it.
///
/// # Errors
/// If the lease cannot be read or written.
pub async fn undo((client, clock): (Client, Clock), of: &Installation) -> anyhow::Result<&'static str> {
    let place = (of.home.clone(), of.lease.clone());
    Ok(if leader::undrain(client, clock, place).await? {
        "the mark is taken back: one of the replicas works again within 15 s, and protects what it goes on with"
    } else {
        "the lease is not marked; nothing was done"
    })
}

/// Every write of an object also loses what its CRD does not keep, which may be the record that something was paid for.
async fn keeps_records(client: &Client) -> anyhow::Result<()> {
    let published = match page(client, PUBLISHED).await {
        Ok(published) => published,
        // Without the kind there is no object of it.
        Err(Trouble::Missing) => return Ok(()),
        Err(trouble) => bail!("the schemas of the CRDs cannot be read: {}", trouble.why()),
    };
    let missing = not_published(&published, "ScrapeJob").unwrap_or_default();
    if let Some(field) = missing.first() {
        bail!(
            "the CRD of ScrapeJob drops {field}, and a write would lose what it drops: first `{INSTALL_CRDS}`"
        );
    }
    Ok(())
}

/// Looks through all objects once: how many were let go, and which still have the finalizer.
async fn pass_through(
    client: &Client,
    installation: &Installation,
    gone: &mut Vec<String>,
) -> anyhow::Result<(usize, Vec<(String, String)>)> {
    let apis: Vec<Api<ScrapeJob>> = if installation.namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        let namespaces = installation.namespaces.iter();
        namespaces.map(|name| Api::namespaced(client.clone(), name.as_str())).collect()
    };
    let (mut let_go, mut left) = (0, Vec::new());
    for api in apis {
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let listed = match answer(api.list_metadata(&params)).await {
                Ok(listed) => listed,
                // No kind, or no namespace: nothing in it.
                Err(Trouble::Missing) => break,
                Err(trouble) => bail!("the ScrapeJobs cannot be listed: {}", trouble.why()),
            };
            let came =
                stream::iter(listed.items).map(|job| let_one_go(client, job)).buffer_unordered(AT_ONCE);
            for came in came.collect::<Vec<_>>().await {
                let_go += usize::from(matches!(came, Came::LetGo | Came::Gone(_)));
                match came {
                    Came::Free | Came::LetGo => {}
                    Came::Gone(name) => gone.push(name),
                    Came::Left(name, why) => left.push((name, why)),
                }
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => break,
            }
        }
    }
    Ok((let_go, left))
}

/// Takes the finalizer off one object, if it is still the one that was read.
async fn let_one_go(client: &Client, mut job: PartialObjectMeta<ScrapeJob>) -> Came {
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    let jobs: Api<ScrapeJob> = Api::namespaced(client.clone(), &namespace);
    let shown = format!("{namespace}/{name}");
    for _ in 0..TRIES {
        if !job.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
            return Came::Free;
        }
        let others: Vec<&String> = job.finalizers().iter().filter(|other| *other != FINALIZER).collect();
        let patch = json!({"metadata": {
            "uid": job.metadata.uid,
            "resourceVersion": job.metadata.resource_version,
            "finalizers": others,
        }});
        let patched = answer(jobs.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(patch))).await;
        match patched {
            Ok(_) if job.metadata.deletion_timestamp.is_some() => return Came::Gone(shown),
            Ok(_) => return Came::LetGo,
            Err(Trouble::Missing) => return Came::Free,
            Err(Trouble::Changed) => match answer(jobs.get_metadata(&name)).await {
                Ok(now) => job = now,
                Err(Trouble::Missing) => return Came::Free,
                Err(trouble) => return Came::Left(shown, trouble.why()),
            },
            Err(trouble) => return Came::Left(shown, trouble.why()),
        }
    }
    Came::Left(shown, "somebody else writes it all the time".to_owned())
}
