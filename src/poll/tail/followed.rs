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
    of: HashMap<String, Job>,
    /// How many followings are new, and how many are looked at alone although nothing is new.
    new: usize,
    alone: usize,
    /// How many readings of all that is not over have begun.
    rounds: u64,
}

#[derive(Debug, Default)]
struct Job {
    followings: Vec<Following>,
    /// The last round during which it was seen as it was then, or first followed.
    met: u64,
}

#[derive(Debug)]
struct Following {
    follower: Follower,
    /// How far he knows the job to be; none where he has not seen it.
    rank: Option<u8>,
    told: Told,
}

/// How a follower learns what changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// By the list: every change after what he knows.
    ByList,
    /// By nothing yet.
    New,
    /// By the list, it was thought; but a reading of all did not show the job, which is to be looked at now.
    Suspect,
    /// By nothing: no list has ever shown the job, which is to be looked at now.
    Unlisted,
    /// By looks of his own: the job goes on, and no list shows it.
    Alone,
}

impl Following {
    fn is(&self, (reader, key): (&str, &str)) -> bool {
        self.follower.0 == reader && self.follower.1 == key
    }

    fn is_over(&self) -> bool {
        self.rank == Some(OVER)
    }
}

/// States have an order, and never fall back (R14).
fn rank(state: &JobState) -> u8 {
    match state {
        JobState::Queued => 0,
        JobState::Processing | JobState::Other(_) => 1,
        JobState::Completed | JobState::Failed | JobState::Cancelled => OVER,
    }
}

const OVER: u8 = 2;

/// Ids differ in case alone where one job is told twice.
fn name(job_id: &str) -> String {
    job_id.to_ascii_lowercase()
}

impl Jobs {
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// How many followings nothing has been read for yet.
    pub(super) fn new_ones(&self) -> usize {
        self.new
    }

    /// How many jobs no list shows, as far as is known, although they go on.
    pub(super) fn unlisted(&self) -> usize {
        self.alone
    }

    fn count(&mut self, told: Told, by: isize) {
        let counter = match told {
            Told::New => &mut self.new,
            Told::Alone => &mut self.alone,
            Told::ByList | Told::Suspect | Told::Unlisted => return,
        };
        *counter = counter.saturating_add_signed(by);
    }

    /// Somebody follows a job; `covered`: the list tells every change after what he knows.
    pub(super) fn follow(
        &mut self,
        job_id: &str,
        (reader, key): (&str, &str),
        known: Option<&Known>,
        covered: bool,
    ) {
        let rounds = self.rounds;
        let job = self.of.entry(name(job_id)).or_insert_with(|| Job { met: rounds, ..Job::default() });
        if job.followings.iter().any(|following| following.is((reader, key))) {
            return;
        }
        let rank = known.map(|known| rank(&known.state));
        let told = if covered && rank.is_some() { Told::ByList } else { Told::New };
        job.followings.push(Following { follower: (reader.to_owned(), key.to_owned()), rank, told });
        self.count(told, 1);
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
        let Some(job) = self.of.get_mut(name) else { return };
        let gone: Vec<Told> =
            job.followings.extract_if(.., |following| goes(following)).map(|gone| gone.told).collect();
        if job.followings.is_empty() {
            self.of.remove(name);
        }
        for told in gone {
            self.count(told, -1);
        }
    }

    /// How this follower comes to know what changes of a job; nothing where he does not follow it.
    pub(super) fn told(&self, job_id: &str, follower: (&str, &str)) -> Option<Told> {
        let followings = &self.of.get(&name(job_id))?.followings;
        followings.iter().find(|following| following.is(follower)).map(|following| following.told)
    }

    /// A follower has looked at the job itself, and knows it from then on; says whether the list should have told him.
    pub(super) fn saw(&mut self, job_id: &str, follower: (&str, &str), state: &JobState) -> bool {
        let rounds = self.rounds;
        let Some(job) = self.of.get_mut(&name(job_id)) else { return false };
        job.met = rounds;
        let Some(following) = job.followings.iter_mut().find(|following| following.is(follower)) else {
            return false;
        };
        let (now, before, was) = (rank(state), following.rank, following.told);
        following.rank = Some(before.unwrap_or(0).max(now));
        let news = before.is_some_and(|before| before < now);
        let alone = match was {
            Told::ByList | Told::New => false,
            // One that was moved past the reading, or is in a state that neither list has, was told of until now.
            Told::Suspect => news,
            Told::Unlisted | Told::Alone => true,
        };
        following.told = if alone && now < OVER { Told::Alone } else { Told::ByList };
        let is = following.told;
        self.count(was, -1);
        self.count(is, 1);
        was != Told::New && news
    }

    /// Takes a row of a list; who is to be told of it goes into `news`. That a list of changes shows a job as it was says
    /// nothing of how it is.
    pub(super) fn take(&mut self, row: &ListRow, news: &mut Vec<(Follower, JobStatus)>) -> Own {
        let rounds = self.rounds;
        let Some(job) = self.of.get_mut(&name(&row.job_id)) else { return Own::Foreign };
        let Some(status) = &row.job else { return Own::Known };
        let (now, told) = (rank(&status.state), news.len());
        let (mut new, mut alone) = (0, 0);
        for following in &mut job.followings {
            match std::mem::replace(&mut following.told, Told::ByList) {
                Told::New => new += 1,
                Told::Alone => alone += 1,
                Told::ByList | Told::Suspect | Told::Unlisted => {}
            }
            if following.rank.is_none_or(|before| before < now) {
                following.rank = Some(now);
                news.push((following.follower.clone(), status.clone()));
            }
        }
        let own = if news.len() > told { Own::News } else { Own::Known };
        if own == Own::News {
            job.met = rounds;
        }
        self.count(Told::New, -new);
        self.count(Told::Alone, -alone);
        own
    }

    /// The same of a row of all that is not over.
    pub(super) fn take_active(&mut self, row: &ListRow, news: &mut Vec<(Follower, JobStatus)>) {
        let _ = self.take(row, news);
        let rounds = self.rounds;
        if let Some(job) = self.of.get_mut(&name(&row.job_id)) {
            job.met = rounds;
        }
    }

    /// A round begins.
    pub(super) fn round_begins(&mut self) {
        self.rounds += 1;
    }

    fn unmet(&mut self) -> impl Iterator<Item = &mut Following> {
        let rounds = self.rounds;
        let unmet = self.of.values_mut().filter(move |job| job.met < rounds);
        unmet.flat_map(|job| &mut job.followings).filter(|following| !following.is_over())
    }

    /// How many followings a round has not shown that are not known to be over.
    pub(super) fn count_unmet(&mut self) -> usize {
        self.unmet().count()
    }

    /// Whoever follows anything has to look at it himself.
    pub(super) fn suspect_all(&mut self) -> Vec<Follower> {
        self.rounds += 1;
        self.round_ends()
    }

    /// A round is over: who follows what it has not shown has to look at it himself.
    pub(super) fn round_ends(&mut self) -> Vec<Follower> {
        let (mut suspects, mut new) = (Vec::new(), 0);
        for following in self.unmet() {
            following.told = match following.told {
                // It is looked at often enough.
                Told::Alone => continue,
                Told::New => {
                    new += 1;
                    Told::Unlisted
                }
                Told::Unlisted => Told::Unlisted,
                Told::ByList | Told::Suspect => Told::Suspect,
            };
            suspects.push(following.follower.clone());
        }
        self.count(Told::New, -new);
        // A simulation that is to be repeated needs an order.
        suspects.sort();
        suspects
    }
}
