//! The jobs that somebody follows, and what each of them knows. Of all other jobs nothing is kept.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::floor::Moment;
use super::page::Own;
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
    /// How many follow one, and of how many nothing was read yet.
    followings: usize,
    new: usize,
    /// How many readings of all that is not over have begun.
    rounds: u64,
    /// When an event said that a job is over of which nothing else has said so.
    ending: BTreeMap<String, Moment>,
}

#[derive(Debug, Default)]
struct Job {
    followings: BTreeMap<Follower, Following>,
    /// The last round during which it was seen as it was then, or first followed.
    met: u64,
}

#[derive(Debug)]
struct Following {
    /// How far he knows the job to be; none where he has not seen it.
    rank: Option<u8>,
    told: Told,
    since: Moment,
    /// An event has said that the job runs, or that it is over, before anything else did.
    hinted: bool,
}

/// How a follower learns what changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// By the list: every change after what he knows.
    ByList,
    /// By the list, it was thought; but a reading of all did not show the job, which is to be looked at now.
    Suspect,
    /// By the list from now on; what changed before was not read, so that the job is to be looked at now.
    Cut,
    /// By nothing yet.
    New,
    /// By nothing: no list has ever shown the job, which is to be looked at now.
    Unlisted,
    /// By looks of his own: the job goes on, and no list shows it.
    Alone,
}

/// What a look at a job says of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing.
    AsKnown,
    /// It should have told of a change.
    Missed,
    /// It does not show the job.
    Unlisted,
    /// An event was first, and true.
    Heard,
}

impl Following {
    fn is_over(&self) -> bool {
        self.rank == Some(OVER)
    }
}

/// So long after an event that was not true no other is heard of that job: the list tells of it.
const HEARD_AGAIN: Duration = Duration::from_secs(15);

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

fn follower((reader, key): (&str, &str)) -> Follower {
    (reader.to_owned(), key.to_owned())
}

impl Jobs {
    /// How many jobs are followed.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// How many follow one: of a job several may.
    pub(super) fn followings(&self) -> usize {
        self.followings
    }

    /// How many follow a job of which nothing was read yet.
    pub(super) fn new_ones(&self) -> usize {
        self.new
    }

    /// How many jobs no list shows, as far as is known, although they go on.
    pub(super) fn unlisted(&self) -> usize {
        let alone = |job: &&Job| job.followings.values().any(|following| following.told == Told::Alone);
        self.of.values().filter(alone).count()
    }

    /// Somebody follows a job from now on; `covered`: the list tells every change after what he knows.
    pub(super) fn follow(
        &mut self,
        job_id: &str,
        by: (&str, &str),
        (known, covered): (Option<&Known>, bool),
        now: Moment,
    ) {
        let rounds = self.rounds;
        let job = self.of.entry(name(job_id)).or_insert_with(|| Job { met: rounds, ..Job::default() });
        let rank = known.map(|known| rank(&known.state));
        let told = if covered && rank.is_some() { Told::ByList } else { Told::New };
        job.followings.entry(follower(by)).or_insert_with(|| {
            self.followings += 1;
            self.new += usize::from(told == Told::New);
            Following { rank, told, since: now, hinted: false }
        });
    }

    pub(super) fn unfollow(&mut self, job_id: &str, by: (&str, &str)) {
        let Some(job) = self.of.get_mut(&name(job_id)) else { return };
        let Some(gone) = job.followings.remove(&follower(by)) else { return };
        if job.followings.is_empty() {
            self.of.remove(&name(job_id));
        }
        self.followings -= 1;
        self.new -= usize::from(gone.told == Told::New);
    }

    /// A reader follows nothing any more.
    pub(super) fn leave(&mut self, reader: &str) {
        let (mut gone, mut new) = (0, 0);
        self.of.retain(|_, job| {
            job.followings.retain(|(of, _), following| {
                let stays = of != reader;
                gone += usize::from(!stays);
                new += usize::from(!stays && following.told == Told::New);
                stays
            });
            !job.followings.is_empty()
        });
        self.followings -= gone;
        self.new -= new;
    }

    /// How this follower comes to know what changes of a job, and since when he follows it; nothing where he does not.
    pub(super) fn told(&self, job_id: &str, by: (&str, &str)) -> Option<(Told, Moment)> {
        let following = self.of.get(&name(job_id))?.followings.get(&follower(by))?;
        Some((following.told, following.since))
    }

    /// A follower has looked at the job itself, and knows it from then on.
    pub(super) fn saw(&mut self, job_id: &str, by: (&str, &str), state: &JobState) -> Look {
        let rounds = self.rounds;
        let Some(job) = self.of.get_mut(&name(job_id)) else { return Look::AsKnown };
        job.met = rounds;
        // What one has seen the list has not kept back from another.
        let known = job.followings.values().filter_map(|following| following.rank).max();
        let Some(following) = job.followings.get_mut(&follower(by)) else { return Look::AsKnown };
        let (now, was) = (rank(state), following.told);
        let news = following.rank.is_some_and(|before| before < now);
        following.rank = following.rank.max(Some(now));
        let heard = std::mem::take(&mut following.hinted) && news;
        let alone = match was {
            Told::ByList | Told::Cut | Told::New => false,
            // One that was moved past the reading, or is in a state that neither list has, was told of until now.
            Told::Suspect => news,
            Told::Unlisted | Told::Alone => true,
        };
        following.told = if alone && now < OVER { Told::Alone } else { Told::ByList };
        self.new -= usize::from(was == Told::New);
        if following.told == Told::Alone && was != Told::Alone {
            Look::Unlisted
        } else if matches!(was, Told::ByList | Told::Suspect) && news && known < Some(now) {
            Look::Missed
        } else if heard {
            Look::Heard
        } else {
            Look::AsKnown
        }
    }

    /// Takes a row of a list; who is to be told of it goes into `news`. That a list of changes shows a job as it was says
    /// nothing of how it is.
    pub(super) fn take(&mut self, row: &ListRow, news: &mut Vec<(Follower, JobStatus)>) -> Own {
        let Some(job) = self.of.get_mut(&name(&row.job_id)) else { return Own::Foreign };
        let Some(status) = &row.job else { return Own::Known };
        let (now, before) = (rank(&status.state), news.len());
        let (mut changed, mut heard) = (false, false);
        for (follower, following) in &mut job.followings {
            let was = std::mem::replace(&mut following.told, Told::ByList);
            self.new -= usize::from(was == Told::New);
            if following.rank < Some(now) {
                following.rank = Some(now);
                heard |= std::mem::take(&mut following.hinted);
                changed |= was == Told::ByList;
                news.push((follower.clone(), status.clone()));
            }
        }
        if news.len() == before {
            return Own::Known;
        }
        job.met = self.rounds;
        match (heard, changed) {
            (true, _) => Own::Heard,
            (false, true) => Own::News,
            (false, false) => Own::Shown,
        }
    }

    /// The same of a row of all that is not over.
    pub(super) fn take_active(&mut self, row: &ListRow, news: &mut Vec<(Follower, JobStatus)>) {
        let _ = self.take(row, news);
        if let Some(job) = self.of.get_mut(&name(&row.job_id)) {
            job.met = self.rounds;
        }
    }

    /// An event says that a job runs: who knows it to wait.
    pub(super) fn waiting(&self, job_id: &str) -> Vec<Follower> {
        let followings = self.of.get(&name(job_id)).into_iter().flat_map(|job| &job.followings);
        let waits = followings.filter(|(_, following)| following.rank == Some(0) && !following.hinted);
        waits.map(|(follower, _)| follower.clone()).collect()
    }

    /// A follower was told that his job runs. The row that says so is still news to him: it says more.
    pub(super) fn hinted(&mut self, job_id: &str, by: &Follower) {
        let following = self.of.get_mut(&name(job_id)).and_then(|job| job.followings.get_mut(by));
        if let Some(following) = following {
            following.hinted = true;
        }
    }

    /// An event says that a job is over. An event is no proof: whoever follows it is told by a row, or looks; where neither
    /// shows it within a while, the event was not true.
    pub(super) fn may_be_over(&mut self, job_id: &str, now: Moment) -> Vec<Follower> {
        let Some(job) = self.of.get_mut(&name(job_id)) else { return Vec::new() };
        let heard = self.ending.get(&name(job_id));
        if heard.is_some_and(|heard| now.saturating_sub(*heard) < HEARD_AGAIN) {
            return Vec::new();
        }
        let running = job.followings.iter_mut().filter(|(_, following)| !following.is_over());
        let followers: Vec<Follower> = running
            .map(|(follower, following)| {
                following.hinted = true;
                follower.clone()
            })
            .collect();
        if !followers.is_empty() {
            self.ending.insert(name(job_id), now);
        }
        followers
    }

    /// Whether a job is over, as an event has just said, and nothing else yet.
    pub(super) fn awaits_an_end(&mut self, now: Moment) -> bool {
        let of = &self.of;
        self.ending.retain(|name, heard| {
            let awaited = of.get(name).is_some_and(|job| job.followings.values().any(|at| !at.is_over()));
            awaited && now.saturating_sub(*heard) < HEARD_AGAIN
        });
        !self.ending.is_empty()
    }

    /// A round begins.
    pub(super) fn round_begins(&mut self) {
        self.rounds += 1;
    }

    /// How many jobs a round has not shown that are not known to be over.
    pub(super) fn count_unmet(&self) -> usize {
        let runs = |job: &&Job| job.followings.values().any(|following| !following.is_over());
        self.of.values().filter(|job| job.met < self.rounds).filter(runs).count()
    }

    /// A round is over: who follows what it has not shown has to look at it himself. `cut`: what changed before was not
    /// all read, so that the list has not kept back what he finds.
    pub(super) fn round_ends(&mut self, cut: bool) -> Vec<Follower> {
        let rounds = self.rounds;
        self.look_where(
            |job| job.met < rounds,
            |told| match told {
                // It is looked at often enough.
                Told::Alone => Told::Alone,
                Told::New | Told::Unlisted => Told::Unlisted,
                Told::ByList | Told::Suspect | Told::Cut => {
                    if cut {
                        Told::Cut
                    } else {
                        Told::Suspect
                    }
                }
            },
        )
    }

    /// What changed was not all read: whoever follows anything has to look at it himself.
    pub(super) fn cut(&mut self) -> Vec<Follower> {
        self.look_where(|_| true, |_| Told::Cut)
    }

    /// The list is used again: what no list has shown may be in it now.
    pub(super) fn begin_again(&mut self) {
        for following in self.of.values_mut().flat_map(|job| job.followings.values_mut()) {
            if matches!(following.told, Told::Alone | Told::Unlisted) {
                following.told = Told::New;
                self.new += 1;
            }
        }
    }

    fn look_where(&mut self, of: impl Fn(&Job) -> bool, told: impl Fn(Told) -> Told) -> Vec<Follower> {
        let mut look = Vec::new();
        for job in self.of.values_mut().filter(|job| of(job)) {
            for (follower, following) in &mut job.followings {
                let was = following.told;
                if following.is_over() {
                    continue;
                }
                following.told = told(was);
                self.new -= usize::from(was == Told::New);
                if following.told != Told::Alone {
                    look.push(follower.clone());
                }
            }
        }
        // A simulation that is to be repeated needs an order.
        look.sort();
        look
    }
}
