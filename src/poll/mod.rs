//! Follows many jobs of one account and says which of them changed: by the list that all accounts of a client share, and one
//! by one what that does not show.
//!
//! It may know the service's client. It must never name Kubernetes: an object is an opaque key here, and nobody outside of
//! this room knows how news came.

mod nudge;
mod observation;
mod queue;
mod tail;
mod truth;

pub use nudge::Stream;
pub use observation::Observation;
pub use queue::Queue;
pub use tail::{Known, List, Mark, Read, Tail, Wanted, Why};
pub use truth::Truths;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::clock::{Clock, sleep_until};
use crate::spideriq::{Error, JobState, JobStatus};
use tail::{Hears, Looks};

/// How long a first look waits for the list to show the job.
const LIST_FIRST: Duration = Duration::from_secs(5);

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
    /// How often it should be looked at, where it is by itself.
    pub interval: Duration,
    /// What is recorded of it.
    pub known: Option<Known>,
}

/// Follows the jobs of one account; ends when it is dropped.
pub struct Poller {
    shared: Arc<Shared>,
    list: List,
    stream: Stream,
    task: AbortHandle,
}

struct Shared {
    state: Mutex<State>,
    changed: mpsc::UnboundedSender<String>,
    work: Notify,
    clock: Clock,
    /// The list, and the name by which it knows this one.
    tail: Arc<Tail>,
    name: String,
    /// Is told where jobs are followed another way than before.
    turned: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue<String>,
    jobs: HashMap<String, Tracked>,
    /// Whether the list is used, and events are.
    used: Used,
}

/// By what jobs are followed, besides looks at each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// By the list of the client's jobs.
    pub list: bool,
    /// By its events, beside the list.
    pub events: bool,
}

#[derive(Debug)]
struct Tracked {
    followed: Followed,
    observation: Observation,
    /// Looks in a row that failed.
    failures: u32,
    /// When it was last looked at by itself, or told of.
    heard: Instant,
    /// Since when it is followed.
    since: Instant,
}

/// What a poller is made of.
pub struct Parts {
    /// One look at one job.
    pub look: Look,
    /// The list of the client's jobs, the name of the account, and how it reads a page.
    pub tail: (Arc<Tail>, String, List),
    /// How the account opens the stream of the client's events.
    pub stream: Stream,
    /// Time.
    pub clock: Clock,
    /// Keys of changed jobs.
    pub changed: mpsc::UnboundedSender<String>,
    /// Is called when jobs are followed another way than before.
    pub turned: Box<dyn Fn() + Send + Sync>,
}

impl Poller {
    /// Starts a poller. It sleeps while it follows nothing.
    pub fn start(parts: Parts) -> Self {
        let Parts { look, tail: (tail, name, list), stream, clock, changed, turned } = parts;
        let (state, name) = (Mutex::default(), tail.name_of(&name));
        let shared = Arc::new(Shared { state, changed, work: Notify::new(), clock, tail, name, turned });
        let task = tokio::spawn(Arc::clone(&shared).run(look)).abort_handle();
        Self { shared, list, stream, task }
    }

    /// What is to be used from now on.
    pub fn set_used(&self, used: Used) {
        let Shared { tail, name, .. } = &*self.shared;
        let followed: Vec<Followed> = {
            let mut state = self.shared.lock();
            if std::mem::replace(&mut state.used, used) == used {
                return;
            }
            state.jobs.values().map(|tracked| tracked.followed.clone()).collect()
        };
        if !used.list {
            tail.leave(name);
            self.shared.left_alone();
            return;
        }
        let hears: Arc<dyn Hears> = Arc::clone(&self.shared) as Arc<dyn Hears>;
        let stream = used.events.then(|| Arc::clone(&self.stream));
        tail.join(name, (Arc::clone(&self.list), stream), Arc::downgrade(&hears));
        for job in followed {
            tail.follow(&job.job_id, (name, &job.key), job.known.as_ref());
        }
    }

    /// Follows a job from now on; one that is followed already keeps what is known of it.
    pub fn follow(&self, job: Followed) {
        let Shared { tail, name, clock, .. } = &*self.shared;
        let now = clock.instant();
        let before = {
            let mut state = self.shared.lock();
            if let Some(tracked) = state.jobs.get_mut(&job.key)
                && tracked.followed.job_id == job.job_id
            {
                // Its next look is queued or under way; another interval counts from the one after that.
                tracked.followed = job;
                return;
            }
            let observation = Observation::default();
            let tracked = Tracked { followed: job.clone(), observation, failures: 0, heard: now, since: now };
            state.jobs.insert(job.key.clone(), tracked)
        };
        if let Some(before) = before {
            tail.unfollow(&before.followed.job_id, (name, &job.key));
        }
        tail.follow(&job.job_id, (name, &job.key), job.known.as_ref());
        let due = if self.shared.lock().used.list && tail.is_read() { now + LIST_FIRST } else { now };
        self.shared.lock().queue.put(job.key, due);
        self.shared.work.notify_one();
    }

    /// Stops following a job, and forgets what is known of it.
    pub fn unfollow(&self, key: &str) {
        let gone = {
            let mut state = self.shared.lock();
            state.queue.remove(&key.to_owned());
            state.jobs.remove(key)
        };
        if let Some(gone) = gone {
            self.shared.tail.unfollow(&gone.followed.job_id, (&self.shared.name, key));
        }
    }

    /// What is known of the job with this id; nothing where the object follows another one.
    pub fn latest(&self, key: &str, job_id: &str) -> Observation {
        let known = {
            let state = self.shared.lock();
            let tracked = state.jobs.get(key).filter(|tracked| tracked.followed.job_id == job_id);
            tracked.map(|tracked| tracked.observation.clone())
        };
        let Some(known) = known else { return Observation::default() };
        let listed = self.shared.tail.known_at(job_id, (&self.shared.name, key));
        let good = listed.filter(|_| known.trouble.is_none());
        Observation { read_at: known.read_at.max(good), listed: good.is_some(), ..known }
    }

    /// Why jobs are followed one by one, if they are although the list is to be used.
    pub fn left(&self) -> Option<Why> {
        self.shared.tail.left()
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.tail.leave(&self.shared.name);
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poller")
    }
}

impl Hears for Shared {
    fn hear(&self, key: &str, job: JobStatus) {
        let now = self.clock.steady();
        let told = {
            let mut state = self.lock();
            let Some(tracked) = state.jobs.get_mut(key) else { return };
            tracked.failures = 0;
            tracked.heard = self.clock.instant();
            let told = tracked.observation.take(Ok(job), now);
            if tracked.is_over() {
                state.queue.remove(&key.to_owned());
            }
            told
        };
        if told {
            // The receiver goes only when the process stops.
            let _ = self.changed.send(key.to_owned());
        }
    }

    fn look(&self, key: &str) {
        let now = self.clock.instant();
        let mut state = self.lock();
        if state.jobs.get(key).is_some_and(|tracked| !tracked.is_over()) {
            state.queue.put_sooner(key.to_owned(), now);
        }
        drop(state);
        self.work.notify_one();
        // Until then nothing tells of it. The receiver goes only when the process stops.
        let _ = self.changed.send(key.to_owned());
    }

    fn started(&self, key: &str) -> bool {
        let now = self.clock.steady();
        let mut state = self.lock();
        let Some(tracked) = state.jobs.get_mut(key) else { return false };
        let waits = |job: &&JobStatus| job.state == JobState::Queued;
        let Some(job) = tracked.observation.latest.as_ref().filter(waits).cloned() else { return false };
        tracked.heard = self.clock.instant();
        let _ = tracked.observation.take(Ok(JobStatus { state: JobState::Processing, ..job }), now);
        drop(state);
        // The receiver goes only when the process stops.
        let _ = self.changed.send(key.to_owned());
        true
    }

    /// Every job is looked at by itself again, and those who have it know that nothing else tells of it.
    fn left_alone(&self) {
        let now = self.clock.instant();
        let mut keys: Vec<String> = {
            let mut state = self.lock();
            let running = state.jobs.iter().filter(|(_, tracked)| !tracked.is_over());
            let due: Vec<_> = running.map(|(key, job)| (key.clone(), now + job.followed.interval)).collect();
            for (key, at) in due {
                state.queue.put_sooner(key, at);
            }
            state.jobs.keys().cloned().collect()
        };
        // A simulation that is to be repeated needs an order.
        keys.sort();
        for key in keys {
            let _ = self.changed.send(key);
        }
        self.work.notify_one();
    }

    fn turned(&self) {
        (self.turned)();
    }
}

impl Tracked {
    fn is_over(&self) -> bool {
        self.observation.latest.as_ref().is_some_and(|job| job.state.is_terminal())
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
                    let next = self.due(now);
                    if let Some(followed) = next {
                        looks.spawn(Arc::clone(&self).look(Arc::clone(&look), followed));
                    }
                }
            }
        }
    }

    /// The job to be looked at now, if one is: what the list tells of is seldom looked at.
    fn due(&self, now: Instant) -> Option<Followed> {
        let (key, followed, heard) = {
            let mut state = self.lock();
            let key = state.queue.take(now)?;
            let tracked = state.jobs.get(&key)?;
            (key, tracked.followed.clone(), tracked.heard)
        };
        let later = match self.tail.looks(&followed.job_id, (&self.name, &key)) {
            Some(Looks::After(pause)) => heard + pause,
            Some(Looks::NotYet) => now + LIST_FIRST,
            None => now,
        };
        if later > now {
            self.lock().queue.put(key, later);
            return None;
        }
        Some(followed)
    }

    async fn look(self: Arc<Self>, look: Look, followed: Followed) {
        let result = look(followed.clone()).await;
        let (now, instant) = (self.clock.steady(), self.clock.instant());
        let at = (self.name.as_str(), followed.key.as_str());
        if let Ok(job) = &result {
            self.tail.saw(&followed.job_id, at, job);
        }
        // After a failure nothing but another look tells.
        let seldom = match result.is_ok().then(|| self.tail.looks(&followed.job_id, at)).flatten() {
            Some(Looks::After(pause)) => Some(pause),
            Some(Looks::NotYet) | None => None,
        };
        let (told, over) = {
            let mut state = self.lock();
            let Some(tracked) = state.jobs.get_mut(&followed.key) else { return };
            if tracked.followed.job_id != followed.job_id {
                return;
            }
            tracked.failures = if result.is_ok() { 0 } else { tracked.failures.saturating_add(1) };
            tracked.heard = instant;
            let told = tracked.observation.take(result, now);
            let over = tracked.is_over();
            if !over {
                let interval = tracked.followed.interval;
                let pause = seldom.unwrap_or_else(|| pause(interval, tracked.failures));
                state.queue.put(followed.key.clone(), instant + pause);
            }
            (told, over)
        };
        if told || over {
            // The receiver goes only when the process stops.
            let _ = self.changed.send(followed.key);
        }
    }
}

/// The pause until the next look: after the second failure in a row twice as long each time, so that a job that always
/// fails leaves the turns to the others. A job that the service does not know at once is asked about again soon.
fn pause(interval: Duration, failures: u32) -> Duration {
    let longest = LONGEST_PAUSE.max(interval);
    interval.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}
