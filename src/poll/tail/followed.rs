//! The jobs that somebody follows, and what each of them knows. Of all other jobs nothing is kept.

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

/// The followed jobs. Of one job each follower knows something else: one may have looked at it, or begun later.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    of: HashMap<String, Vec<Following>>,
    unseen: usize,
}

#[derive(Debug)]
struct Following {
    follower: Follower,
    /// How far he knows the job to be; none where he has not seen it.
    rank: Option<u8>,
    /// Whether the list tells every change after that.
    covered: bool,
}

impl Following {
    fn is(&self, (reader, key): (&str, &str)) -> bool {
        self.follower.0 == reader && self.follower.1 == key
    }
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

    /// How many followers have not seen their job.
    pub(super) fn unseen(&self) -> usize {
        self.unseen
    }

    /// Somebody follows a job; `covered`: the list tells every change after what he knows.
    pub(super) fn follow(
        &mut self,
        job_id: &str,
        (reader, key): (&str, &str),
        known: Option<&Known>,
        covered: bool,
    ) {
        let followings = self.of.entry(name(job_id)).or_default();
        if followings.iter().any(|following| following.is((reader, key))) {
            return;
        }
        let rank = known.map(|known| rank(&known.state));
        self.unseen += usize::from(rank.is_none());
        let follower = (reader.to_owned(), key.to_owned());
        followings.push(Following { follower, rank, covered: covered && rank.is_some() });
    }

    pub(super) fn unfollow(&mut self, job_id: &str, follower: (&str, &str)) {
        self.drop_where(&name(job_id), |following| following.is(follower));
    }

    /// A reader follows nothing any more.
    pub(super) fn leave(&mut self, reader: &str) {
        let names: Vec<String> = self.of.keys().cloned().collect();
        for name in names {
            self.drop_where(&name, |following| following.follower.0 == reader);
        }
    }

    fn drop_where(&mut self, name: &str, goes: impl Fn(&Following) -> bool) {
        let Some(followings) = self.of.get_mut(name) else { return };
        let gone = followings.extract_if(.., |following| goes(following));
        self.unseen -= gone.filter(|following| following.rank.is_none()).count();
        if followings.is_empty() {
            self.of.remove(name);
        }
    }

    fn find(&mut self, job_id: &str, follower: (&str, &str)) -> Option<&mut Following> {
        self.of.get_mut(&name(job_id))?.iter_mut().find(|following| following.is(follower))
    }

    /// Whether the list tells this follower what changes of a job.
    pub(super) fn is_covered(&self, job_id: &str, follower: (&str, &str)) -> bool {
        let followings = self.of.get(&name(job_id));
        followings.is_some_and(|all| all.iter().any(|following| following.is(follower) && following.covered))
    }

    /// A follower has looked at the job itself, and knows it from then on; says whether the list should have told him.
    pub(super) fn saw(&mut self, job_id: &str, follower: (&str, &str), state: &JobState) -> bool {
        let Some(following) = self.find(job_id, follower) else { return false };
        let (now, before, covered) = (rank(state), following.rank, following.covered);
        following.rank = Some(before.unwrap_or(0).max(now));
        following.covered = true;
        self.unseen -= usize::from(before.is_none());
        covered && before.is_some_and(|before| before < now)
    }

    /// Takes a row of the list; who is to be told of it goes into `news`.
    pub(super) fn take(&mut self, row: &ListRow, news: &mut Vec<(Follower, JobStatus)>) -> Own {
        let Some(followings) = self.of.get_mut(&name(&row.job_id)) else { return Own::Foreign };
        let Some(status) = &row.job else { return Own::Known };
        let (now, told) = (rank(&status.state), news.len());
        for following in followings {
            following.covered = true;
            if following.rank.is_none_or(|before| before < now) {
                self.unseen -= usize::from(following.rank.replace(now).is_none());
                news.push((following.follower.clone(), status.clone()));
            }
        }
        if news.len() > told { Own::News } else { Own::Known }
    }
}
