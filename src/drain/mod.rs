//! `spideriq-operator drain`: no replica works any more, and no object needs one in order to go (`docs/adr/0031`).
//!
//! Objects, their records and the jobs at the service stay as they are, so that a later installation goes on with them.

mod objects;

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{anyhow, bail};
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::Deserialize;

use self::objects::{Looks, Pass, read};
use crate::api::{
    ClusterScrapeAccount, INSTALL_CRDS, ObjectName, PUBLISHED, ScrapeAccount, ScrapeJob, not_published,
};
use crate::clock::Clock;
use crate::kubernetes::{Trouble, answer, page};
use crate::leader::{self, LEASE};

/// How often all objects are looked through at the most.
const PASSES: usize = 8;
/// How often finalizers may be there again after a look that had left none: what was made meanwhile has one.
const AGAIN: usize = 2;
/// How long until the next look: whoever puts finalizers back has done so by then.
const PAUSE: Duration = Duration::from_secs(3);

/// What is drained.
#[derive(Debug)]
pub struct Installation {
    /// Namespaces that are watched; none for all.
    pub namespaces: Vec<ObjectName>,
    /// The namespace of the operator and its lease.
    pub home: ObjectName,
    /// The lease.
    pub lease: ObjectName,
    /// What names the installation on what it writes.
    pub id: String,
}

/// How the operator stands meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It may run: its lease is marked.
    Running,
    /// The same before it is uninstalled: the mark ends with the `ServiceAccount` that this runs as.
    ForUninstall,
    /// It does not run: there is no lease to look at.
    Stopped,
}

/// Marks the lease, waits until whoever works has stopped, and takes the finalizer off every object of the installation.
/// Each step is told.
///
/// # Errors
/// One sentence that says what to do: a right that is missing, an API server that does not answer, CRDs that would drop
/// fields, a lease that is not there, or objects that still have the finalizer.
pub async fn drain(
    (client, clock): (Client, Clock),
    installation: &Installation,
    how: How,
    mut tell: impl FnMut(String),
) -> anyhow::Result<()> {
    keeps_records(&client).await?;
    let (apis, unreadable) = readable(apis(&client, installation)).await?;
    let others = others(&client, installation).await?;
    let looks = Looks { client: &client, others, told: Mutex::default() };
    if how == How::Stopped {
        tell("no lease is looked at: the operator does not run".to_owned());
        let_go(&looks, &apis, || async { Ok(()) }, &mut tell).await?;
        return all_read(&unreadable);
    }
    let Installation { home, lease, .. } = installation;
    let place = || (home.clone(), lease.clone());
    let undo = format!("spideriq-operator drain --undo --operator-namespace {home} --lease-name {lease}");
    let stopped =
        |error| anyhow!("{error}. While the lease is marked nothing works; `{undo}` takes that back");
    match leader::drain(client.clone(), clock.clone(), place(), how == How::ForUninstall).await {
        // It may have been marked all the same.
        Err(error @ leader::Error::Unanswered(_)) => return Err(stopped(error.into())),
        marked => marked?,
    }
    tell(format!("the lease {home}/{lease} is marked: no replica takes it"));
    tell(format!("waiting {} s, within which whoever had it stops", LEASE.as_secs()));
    tokio::time::sleep(LEASE).await;
    let stands = || async {
        if leader::is_drained(client.clone(), clock.clone(), place()).await? {
            return Ok(());
        }
        bail!("somebody took the mark off the lease, and the operator works again; drain once more")
    };
    let let_go = let_go(&looks, &apis, stands, &mut tell).await;
    let_go.and_then(|()| all_read(&unreadable)).map_err(stopped)
}

/// Takes the mark back, so that one of the replicas works again; says what came of it.
///
/// # Errors
/// If the lease cannot be read or written.
pub async fn undo((client, clock): (Client, Clock), of: &Installation) -> anyhow::Result<&'static str> {
    let place = (of.home.clone(), of.lease.clone());
    Ok(if leader::undrain(client, clock, place).await? {
        "the mark is taken back: one of the replicas works again within 15 s"
    } else {
        "the lease is not marked; nothing was done"
    })
}

/// Looks through all objects until none has the finalizer, as long as that `stands`.
async fn let_go<S: Future<Output = anyhow::Result<()>>>(
    looks: &Looks<'_>,
    apis: &[Api<ScrapeJob>],
    stands: impl Fn() -> S,
    tell: &mut impl FnMut(String),
) -> anyhow::Result<()> {
    let (mut let_go, mut again, mut none_left) = (0_usize, 0, false);
    let mut still = Vec::new();
    for _ in 0..PASSES {
        let Pass { let_go: found, left, of_others } = looks.look_through(apis, &stands, tell).await?;
        let_go += found;
        if found == 0 && left.is_empty() {
            tell(format!("{let_go} ScrapeJobs are let go; they, their records and their jobs are left"));
            if of_others > 0 {
                tell(format!(
                    "{of_others} more are those of installations that work elsewhere, and are left to them"
                ));
            }
            return Ok(());
        }
        again += usize::from(none_left);
        if again > AGAIN {
            bail!(
                "something goes on putting finalizers on ScrapeJobs: does an operator run by another lease, or by none?"
            )
        }
        none_left |= left.is_empty();
        still = left;
        tokio::time::sleep(PAUSE).await;
    }
    match still.first() {
        Some((what, why)) => bail!("{} were not let go, of them {what}: {why}", still.len()),
        None => bail!("new ScrapeJobs are made all the time; drain again"),
    }
}

/// The installations that claim an account: their objects are left to them. What an installation wrote that claims none any
/// more is nobody's.
async fn others(client: &Client, installation: &Installation) -> anyhow::Result<HashSet<String>> {
    #[derive(Deserialize)]
    struct Account {
        status: Option<Status>,
    }
    #[derive(Deserialize)]
    struct Status {
        operator: Option<Claim>,
    }
    #[derive(Deserialize)]
    struct Claim {
        id: String,
    }
    let mut urls: Vec<String> = Vec::new();
    if installation.namespaces.is_empty() {
        urls.push(ScrapeAccount::url_path(&(), None));
        urls.push(ClusterScrapeAccount::url_path(&(), None));
    }
    for namespace in &installation.namespaces {
        urls.push(ScrapeAccount::url_path(&(), Some(namespace.as_str())));
    }
    let mut found = HashSet::new();
    for url in urls {
        let mut token = None;
        loop {
            let page = match read::<Account>(client, &url, token).await {
                Ok(page) => page,
                // What may not be read has objects that cannot be listed either, or is nobody's.
                Err(Trouble::Missing | Trouble::Forbidden(_)) => break,
                Err(trouble) => {
                    bail!("the accounts cannot be listed, and nothing was done: {}", trouble.why())
                }
            };
            token = page.next();
            let claims = page.items.into_iter().filter_map(|account| account.status?.operator);
            found.extend(claims.map(|claim| claim.id));
            if token.is_none() {
                break;
            }
        }
    }
    found.remove(&installation.id);
    Ok(found)
}

fn apis(client: &Client, installation: &Installation) -> Vec<Api<ScrapeJob>> {
    if installation.namespaces.is_empty() {
        return vec![Api::all(client.clone())];
    }
    let namespaces = installation.namespaces.iter();
    namespaces.map(|name| Api::namespaced(client.clone(), name.as_str())).collect()
}

/// Those that can be listed, asked before anything is done; and the namespaces that cannot, with why.
async fn readable(apis: Vec<Api<ScrapeJob>>) -> anyhow::Result<(Vec<Api<ScrapeJob>>, Vec<String>)> {
    let (mut can_be, mut cannot) = (Vec::new(), Vec::new());
    for api in apis {
        let part = api.namespace().unwrap_or("all namespaces").to_owned();
        match answer(api.list_metadata(&ListParams::default().limit(1))).await {
            // No kind: no object.
            Ok(_) | Err(Trouble::Missing) => can_be.push(api),
            Err(Trouble::Forbidden(why)) if api.namespace().is_some() => {
                cannot.push(format!("{part} ({why})"));
            }
            Err(trouble) => {
                bail!("the ScrapeJobs of {part} cannot be listed, and nothing was done: {}", trouble.why())
            }
        }
    }
    if can_be.is_empty() {
        bail!("no namespace can be listed, and nothing was done: {}", cannot.join(", "));
    }
    Ok((can_be, cannot))
}

/// A namespace that went took the right to list it along; one that is there may have objects with the finalizer.
fn all_read(unreadable: &[String]) -> anyhow::Result<()> {
    if unreadable.is_empty() {
        return Ok(());
    }
    bail!(
        "all others are let go, but these namespaces cannot be listed: {}; if they are gone, nothing is left to be done",
        unreadable.join(", ")
    )
}

/// Every write of an object also loses what its CRD does not keep, which may be the record that something was paid for.
async fn keeps_records(client: &Client) -> anyhow::Result<()> {
    let published = match page(client, PUBLISHED).await {
        Ok(published) => published,
        // Without the kind there is no object of it.
        Err(Trouble::Missing) => return Ok(()),
        Err(trouble) => bail!("the schemas of the CRDs cannot be read: {}", trouble.why()),
    };
    let Some(missing) = not_published(&published, "ScrapeJob") else {
        bail!("the API server does not publish the schema of ScrapeJob: first `{INSTALL_CRDS}`");
    };
    if let Some(field) = missing.first() {
        bail!(
            "the CRD of ScrapeJob drops {field}, and a write would lose what it drops: first `{INSTALL_CRDS}`"
        );
    }
    Ok(())
}
