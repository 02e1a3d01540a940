//! Looks through the list of jobs for those that a submit of unknown outcome may have made.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::account::Session;
use crate::api::{AccountKind, INTENT, ScrapeJob, ScrapeJobStatus};
use crate::budget::{Lane, Permit};
use crate::cache::{CachedJob, key};
use crate::controller::context::Context;
use crate::controller::observe::facts;

use crate::decide::{self, ClientIdentity, Intent, IntentFacts, Listed, Row, Sought, Trouble, was_sent};
use crate::spideriq::{ListRow, PAGE};

/// The most pages that are read of the list: a thousand jobs made since.
pub(super) const MOST_PAGES: usize = 10;
/// No page after the first is begun later than this, whatever its turns in the budget and the answers took.
const LOOKS_FOR: Duration = Duration::from_secs(20);

/// Jobs of the list that an unknown submit of this object may have made: the same type and, where the list names
/// one, the same address, made since the first attempt. A first attempt in the future says nothing: the clock was put
/// back.
pub(super) async fn candidates(
    context: &Context,
    job: &CachedJob,
    session: &Arc<Session>,
    (permit, pages): (Permit, usize),
) -> Result<Listed, Trouble> {
    let submission = job.status.as_ref().and_then(|status| status.submission.as_ref());
    let shared = session.key.kind() == AccountKind::ClusterScrapeAccount;
    // The spec of another run says nothing of the address that this one was submitted with.
    let same_run = job.status.as_ref().is_none_or(|status| status.run() == job.spec.run());
    let body = job.body.as_ref().and_then(|body| body.as_ref().ok()).filter(|_| same_run);
    let kind = (job.spec.type_.as_deref(), body.and_then(|body| body.url.as_deref()));
    let sought = Sought::of(submission, intended_at(job), shared, kind, context.clock.now());
    let (rows, partly) = made_since(context, job, session, (permit, pages), sought.since).await?;
    // Two unknown submits of one type may each take the same job for its own.
    let client = session.client();
    let contested = context.jobs.awake().iter().any(|other| {
        let unknown = other.status.as_ref().is_some_and(|status| was_sent(status) && of_account(status));
        let same = unknown && other.spec.type_ == job.spec.type_ && other.uid() != job.uid();
        same && client.may_be(&ClientIdentity::recorded(other))
    });
    let rows = rows.into_iter().map(row).collect();
    let jobs = decide::candidates(rows, &sought, |id| context.jobs.is_claimed(id), contested);
    Ok(Listed { jobs, partly })
}

/// Whether the record of a submit names the credentials of an account. A mirror that was never seen only names a job, which
/// anybody may; so does an annotation.
fn of_account(status: &ScrapeJobStatus) -> bool {
    status.submission.as_ref().is_some_and(|record| record.credential.is_some())
}

fn row(row: ListRow) -> Row {
    let ListRow { job_id, type_, url, created_at, job: _ } = row;
    Row { job_id, type_, url, created_at }
}

/// When a restored object's intent was written.
fn intended_at(job: &ScrapeJob) -> Option<Timestamp> {
    match Intent::read(job.annotations().get(INTENT).map(String::as_str)) {
        IntentFacts::Found(intent) => Some(intent.time),
        IntentFacts::None | IntentFacts::Unreadable => None,
    }
}

/// The client's jobs that were made since then, and some before; and whether there may be more.
async fn made_since(
    context: &Context,
    job: &ScrapeJob,
    session: &Arc<Session>,
    (mut permit, pages): (Permit, usize),
    since: Option<Timestamp>,
) -> Result<(Vec<ListRow>, bool), Trouble> {
    let (group, key) = (job.namespace().unwrap_or_default(), key(job));
    let mut rows: Vec<ListRow> = Vec::new();
    let mut unread = false;
    let until = context.clock.instant() + LOOKS_FOR;
    for page in 1..=pages {
        let read = session.ask(permit, async |client| client.newest(page).await).await;
        let read = read.map_err(|error| facts::trouble(&error))?;
        let oldest = read.rows.iter().filter_map(|row| row.created_at).min();
        // A row that cannot be read may be the job that is looked for.
        unread |= read.rows.len() < read.length;
        let last = read.length < PAGE || oldest.zip(since).is_some_and(|(oldest, since)| oldest < since);
        // A job that is made meanwhile shows the last one of this page again on the next.
        rows.retain(|known| !read.rows.iter().any(|row| row.job_id == known.job_id));
        rows.extend(read.rows);
        if last {
            return Ok((rows, unread));
        }
        if page == pages || context.clock.instant() >= until {
            break;
        }
        let turn = session.gate.acquire(Lane::LookUp, &group, &key);
        permit = match tokio::time::timeout_at(until, turn).await {
            Ok(permit) => permit,
            Err(_) => break,
        };
    }
    Ok((rows, true))
}
