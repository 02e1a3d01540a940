//! Reads live who shares the jobs that are about to be cancelled: one reading for all that asked before it began, page by
//! page, so that a namespace that is torn down is not read once for each of its jobs.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::{Api, ResourceExt};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::context::{CachedJob, Context};
use super::super::watch::Pages;
use crate::api::StoredJob;
use crate::decide::{Share, share};

/// How long the API server may take for one page.
const PAGE_WITHIN: Duration = Duration::from_secs(30);
/// How long all of it may take.
const READ_WITHIN: Duration = Duration::from_secs(120);
/// How long what it found holds good.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// What a reading found for one job.
#[derive(Clone, Debug)]
pub(super) struct Sharers {
    /// Other objects that have to do with the job.
    pub(super) of: Vec<(Share, Arc<CachedJob>)>,
    read_at: Instant,
}

impl Sharers {
    /// Whether it may still be acted on.
    pub(super) fn hold_good(&self, now: Instant) -> bool {
        now.duration_since(self.read_at) <= GOOD_FOR
    }
}

/// The readings: at most one is under way.
#[derive(Debug, Default)]
pub(in crate::controller) struct Readings {
    asked: Mutex<Vec<Asked>>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Asked {
    ours: CachedJob,
    found: Vec<(Share, Arc<CachedJob>)>,
    answer: oneshot::Sender<Result<Sharers, String>>,
}

impl Readings {
    fn asked(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who shares this job, by a reading that begins after this was called.
    ///
    /// # Errors
    /// Why the jobs could not be read.
    pub(super) async fn sharers(&self, context: &Context, ours: &CachedJob) -> Result<Sharers, String> {
        let (answer, mut answered) = oneshot::channel();
        self.asked().push(Asked { ours: ours.clone(), found: Vec::new(), answer });
        let broken = |_| "the reading was broken off".to_owned();
        let _turn = tokio::select! {
            biased;
            found = &mut answered => return found.map_err(broken)?,
            turn = self.turn.lock() => turn,
        };
        let mut asked = mem::take(&mut *self.asked());
        // The last reading may have served this one while it took the turn.
        if !asked.is_empty() {
            let read = tokio::time::timeout(READ_WITHIN, read(context, &mut asked)).await;
            let read = read.unwrap_or_else(|_| Err("they could not all be read in time".to_owned()));
            let read_at = context.clock.instant();
            for Asked { found, answer, .. } in asked {
                // Whoever asked may be gone by now.
                let _ = answer.send(read.clone().map(|()| Sharers { of: found, read_at }));
            }
        }
        answered.await.map_err(broken)?
    }
}

/// Reads every job that the operator watches.
async fn read(context: &Context, asked: &mut [Asked]) -> Result<(), String> {
    for api in context.apis::<StoredJob>() {
        let api: Api<StoredJob> = api;
        let mut pages = Pages::new(api, context.replies.clone());
        loop {
            let page = tokio::time::timeout(PAGE_WITHIN, pages.next()).await;
            let page = page.map_err(|_| "the API server did not answer in time".to_owned())?;
            let Some(page) = page.map_err(|error| error.to_string())? else { break };
            page.into_iter().for_each(|other| compare(asked, other));
        }
    }
    Ok(())
}

/// Notes for whom this object is one that shares.
fn compare(asked: &mut [Asked], other: StoredJob) {
    let payload = other.read.as_ref().ok().and_then(|other| other.spec.payload.clone());
    let other = Arc::new(CachedJob::from(other));
    let kept = other.body.as_ref().and_then(|body| body.as_ref().ok());
    for Asked { ours, found, .. } in asked.iter_mut().filter(|asked| asked.ours.uid() != other.uid()) {
        let recorded = ours.status.as_ref().and_then(|status| status.submission.as_ref());
        let recorded = recorded.and_then(|record| record.body_hash.as_deref());
        // Hashing the payload once more for each who asks would be most of the work.
        let equal = kept.is_some_and(|kept| kept.has_payload_of(recorded));
        let shares = if equal {
            let mut whole = (**other).clone();
            whole.spec.payload.clone_from(&payload);
            share(ours, &whole)
        } else {
            share(ours, &other)
        };
        if shares != Share::None {
            found.push((shares, Arc::clone(&other)));
        }
    }
}
