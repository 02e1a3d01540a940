//! The jobs that somebody follows, and what is known of each. Of all others nothing is kept.

use std::collections::HashMap;

use super::machine::Own;
use crate::spideriq::{JobState, JobStatus, ListRow};

/// Who follows a job: a reader of the list, and the key by which he knows it.
pub(super) type Follower = (String, String);

/// What is known of a job before anything is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its state.
    pub state: JobState,
    /// When it changed last, by the service's stamp.
    pub updated_at: Option<jiff::Timestamp>,
}

/// The followed jobs.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    of: HashMap<String, Job>,
    unseen: usize,
}

#[derive(Debug)]
struct Job {
    followers: Vec<Follower>,
    /// How far it was seen to be; none where nobody has seen it.
    rank: Option<u8>,
    /// Whether the list has shown it, or an earlier process knew it: what changes of it comes by the list.
    listed: bool,
}

/// States have an order, and never fall back (R14).
fn rank(state: &JobState) -> u8 {
    match state {
        JobState::Queued => 0,
        JobState::Processing | JobState::Other(_) => 1,
        JobState::Completed | JobState::Failed | JobState::Cancelled => 2,
    }
}

/// Ids differ in case alone where one job is told twice.
fn name(job_id: &str) -> String {
    job_id.to_ascii_lowercase()
}

impl Jobs {
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// How many of them nobody has seen.
    pub(super) fn unseen(&self) -> usize {
        self.unseen
    }

    /// Somebody follows a job; says whether nothing was known of it.
    pub(super) fn follow(&mut self, job_id: &str, follower: Follower, known: Option<&Known>) -> bool {
        let rank = known.map(|known| rank(&known.state));
        let new = !self.of.contains_key(&name(job_id));
        let job = self.of.entry(name(job_id)).or_insert_with(|| Job {
            followers: Vec::new(),
            rank,
            listed: known.is_some(),
        });
        if !job.followers.contains(&follower) {
            job.followers.push(follower);
        }
        let unseen = new && job.rank.is_none();
        self.unseen += usize::from(unseen);
        unseen
    }

    pub(super) fn unfollow(&mut self, job_id: &str, (reader, key): (&str, &str)) {
        let job_id = name(job_id);
        let Some(job) = self.of.get_mut(&job_id) else { return };
        job.followers.retain(|(of, other)| of != reader || other != key);
        if job.followers.is_empty()
            && let Some(gone) = self.of.remove(&job_id)
        {
            self.unseen -= usize::from(gone.rank.is_none());
        }
    }

    /// A reader follows nothing any more.
    pub(super) fn leave(&mut self, reader: &str) {
        let unseen = &mut self.unseen;
        self.of.retain(|_, job| {
            job.followers.retain(|(of, _)| of != reader);
            let stays = !job.followers.is_empty();
            *unseen -= usize::from(!stays && job.rank.is_none());
            stays
        });
    }

    /// Whether what changes of a job comes by the list.
    pub(super) fn is_listed(&self, job_id: &str) -> bool {
        self.of.get(&name(job_id)).is_some_and(|job| job.listed)
    }

    /// A look at the job itself showed it so; says whether the list had not told of it.
    pub(super) fn saw(&mut self, job_id: &str, state: &JobState) -> bool {
        let Some(job) = self.of.get_mut(&name(job_id)) else { return false };
        let before = job.rank.replace(job.rank.unwrap_or(0).max(rank(state)));
        self.unseen -= usize::from(before.is_none());
        job.listed && before.is_some_and(|before| before < rank(state))
    }

    /// Takes a row of the list; where it is news, who is to be told goes into `news`.
    pub(super) fn take(&mut self, row: &ListRow, news: &mut Vec<(Follower, JobStatus)>) -> Own {
        let Some(job) = self.of.get_mut(&name(&row.job_id)) else { return Own::Foreign };
        let Some(status) = &row.job else { return Own::Known };
        job.listed = true;
        let now = rank(&status.state);
        if job.rank.is_some_and(|before| before >= now) {
            return Own::Known;
        }
        self.unseen -= usize::from(job.rank.replace(now).is_none());
        news.extend(job.followers.iter().map(|follower| (follower.clone(), status.clone())));
        Own::News
    }
}
