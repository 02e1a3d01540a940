//! Follows many jobs of one account and says which of them changed.
//!
//! It may know the service's client. It must never name Kubernetes: an object is an opaque key here, so that the
//! inside of this room can become one list of an account's jobs without a change outside of it. One list for all
//! accounts of a client would be started elsewhere, too: `account/session` starts a poller for each account.

mod queue;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use crate::clock::Clock;
use crate::spideriq::{Error, JobStatus};
use queue::Queue;

/// How many looks may be under way at once: enough that one that hangs until its timeout delays nobody else.
const AT_ONCE: usize = 4;

/// The longest pause between two looks at a job that cannot be read: so long after an outage every mirror is fresh.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One look at one job, paid from the account's budget by whoever gives this function.
pub type Look = Arc<dyn Fn(Followed) -> BoxFuture<'static, Result<JobStatus, Error>> + Send + Sync>;

/// A job to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The object's key: opaque here.
    pub key: String,
    /// Who shares the budget fairly: the namespace.
    pub group: String,
    /// The job's id at the service.
    pub job_id: String,
    /// How often it should be looked at.
    pub interval: Duration,
}

/// What is known of a followed job.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// The newest good look.
    pub latest: Option<JobStatus>,
    /// When that was, by the clock that never jumps.
    pub read_at: Option<Timestamp>,
    /// The first and the last time, without a good look between, that the service did not know the job;
    /// by the clock that never jumps.
    pub missing: Option<(Timestamp, Timestamp)>,
    /// What went wrong since the newest good look.
    pub trouble: Option<Arc<Error>>,
}

/// Follows the jobs of one account; ends when it is dropped.
#[derive(Debug)]
pub struct Poller {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: mpsc::UnboundedSender<String>,
    work: Notify,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    jobs: HashMap<String, Tracked>,
}

#[derive(Debug)]
struct Tracked {
    followed: Followed,
    observation: Observation,
    /// Looks in a row that failed.
    failures: u32,
}

impl Poller {
    /// Starts a poller that tells the keys of changed jobs to `changed`. It sleeps while it follows nothing.
    pub fn start(look: Look, clock: Clock, changed: mpsc::UnboundedSender<String>) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), changed, work: Notify::new(), clock });
        let task = tokio::spawn(Arc::clone(&shared).run(look)).abort_handle();
        Self { shared, task }
    }

    /// Follows a job from now on; one that is followed already keeps what is known of it.
    pub fn follow(&self, job: Followed) {
        let mut state = self.shared.lock();
        if let Some(tracked) = state.jobs.get_mut(&job.key)
            && tracked.followed.job_id == job.job_id
        {
            // Its next look is queued or under way; another interval counts from the one after that.
            tracked.followed = job;
            return;
        }
        let key = job.key.clone();
        let due = self.shared.clock.instant();
        state
            .jobs
            .insert(key.clone(), Tracked { followed: job, observation: Observation::default(), failures: 0 });
        state.queue.put(key, due);
        drop(state);
        self.shared.work.notify_one();
    }

    /// Stops following a job, and forgets what is known of it.
    pub fn unfollow(&self, key: &str) {
        let mut state = self.shared.lock();
        state.jobs.remove(key);
        state.queue.remove(key);
    }

    /// What is known of the job with this id; nothing where the object follows another one.
    pub fn latest(&self, key: &str, job_id: &str) -> Observation {
        let state = self.shared.lock();
        let tracked = state.jobs.get(key).filter(|tracked| tracked.followed.job_id == job_id);
        tracked.map(|tracked| tracked.observation.clone()).unwrap_or_default()
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// A poisoned lock only means that a reader panicked; the state is plain data and still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>, look: Look) {
        let mut looks = JoinSet::new();
        loop {
            let due = self.lock().queue.next_due();
            let room = looks.len() < AT_ONCE;
            tokio::select! {
                // In this order, so that a simulation can be repeated.
                biased;
                () = self.work.notified() => {}
                Some(_) = looks.join_next(), if !looks.is_empty() => {}
                () = sleep_until(due), if room && due.is_some() => {
                    let now = self.clock.instant();
                    let next = {
                        let mut state = self.lock();
                        state.queue.take(now).and_then(|key| state.jobs.get(&key).map(|t| t.followed.clone()))
                    };
                    if let Some(followed) = next {
                        looks.spawn(Arc::clone(&self).look(Arc::clone(&look), followed));
                    }
                }
            }
        }
    }

    async fn look(self: Arc<Self>, look: Look, followed: Followed) {
        let result = look(followed.clone()).await;
        let now = self.clock.steady();
        let (told, over) = {
            let mut state = self.lock();
            let Some(tracked) = state.jobs.get_mut(&followed.key) else { return };
            if tracked.followed.job_id != followed.job_id {
                return;
            }
            tracked.failures = if result.is_ok() { 0 } else { tracked.failures.saturating_add(1) };
            let told = tracked.observation.take(result, now);
            let over = tracked.observation.latest.as_ref().is_some_and(|job| job.state.is_terminal());
            if !over {
                let pause = pause(tracked.followed.interval, tracked.failures);
                state.queue.put(followed.key.clone(), self.clock.instant() + pause);
            }
            (told, over)
        };
        if told || over {
            // The receiver goes only when the process stops.
            let _ = self.changed.send(followed.key);
        }
    }
}

impl Observation {
    /// Takes over what a look found; says whether the object has to be told.
    fn take(&mut self, result: Result<JobStatus, Error>, now: Timestamp) -> bool {
        match result {
            Ok(job) => {
                let told = self.latest.as_ref() != Some(&job) || self.trouble.is_some();
                *self = Self { latest: Some(job), read_at: Some(now), missing: None, trouble: None };
                told
            }
            Err(error) => {
                let vanished = matches!(error, Error::NotFound { .. });
                if vanished {
                    self.missing = Some((self.missing.map_or(now, |(first, _)| first), now));
                }
                self.trouble = Some(Arc::new(error));
                vanished
            }
        }
    }
}

/// The pause until the next look: after the second failure in a row twice as long each time, so that a job that always
/// fails leaves the turns to the others. A job that the service does not know at once is asked about again soon.
fn pause(interval: Duration, failures: u32) -> Duration {
    let longest = LONGEST_PAUSE.max(interval);
    interval.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due).await;
    }
}
