//! One list for all that follow jobs of a client: what it shows costs as many requests as there are changes, not as there are
//! jobs (`docs/adr/0024`).
//!
//! It only ever says that a job changed. What it does not show is no news, least of all that a job is gone.

mod floor;
mod followed;
mod machine;
mod net;
mod pace;
mod page;
mod reading;
#[cfg(test)]
mod tests;

pub use floor::Mark;
pub use followed::Known;
pub use page::Why;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::floor::Moment;
use self::followed::{Jobs, Look, Told};
use self::machine::Machine;
use super::nudge::{Stream, Tries};
use crate::clock::Clock;
use crate::spideriq::{Error, JobStatus, ListPage, Listed, PAGE};

/// One reading of a page of a list, paid from the client's budget by whoever gives this function; nothing where he may not
/// send now.
pub type List = Arc<dyn Fn(Wanted) -> BoxFuture<'static, Option<Read>> + Send + Sync>;

/// A page that is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of which list.
    pub of: Listed,
    /// Its number; pages count from 1 and hold up to [`crate::spideriq::PAGE`] jobs.
    pub page: usize,
    /// Whether somebody waits for what it shows.
    pub soon: bool,
}

/// What came of it, and when it was asked for: after it has waited for its turn.
pub type Read = (Instant, Result<ListPage, Error>);

/// With how many tokens a page is tried at the most: each try is paid.
const TOKENS: usize = 3;

/// How often a job is looked at by itself of which the list tells: a fault of the list is found so, and a job that is gone.
/// For all jobs together five times a minute at the most, and once in two minutes where all that is not over is read.
const SELDOM: Duration = Duration::from_secs(60);
const FOR_EACH: Duration = Duration::from_secs(12);
const FOR_EACH_READ: Duration = Duration::from_secs(120);

/// How long a first look waits for a list that may show the job; and for each page of followed jobs so much longer.
const FIRST_WITHIN: Duration = Duration::from_secs(180);
const FOR_EACH_PAGE: Duration = Duration::from_secs(2);

/// When somebody looks at a job himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::poll) enum Looks {
    /// So long after he looked at it, or was told of it.
    After(Duration),
    /// Not before a list was read that may show it.
    NotYet,
}

/// Who reads the list, and is told what it shows.
pub(in crate::poll) trait Hears: Send + Sync {
    /// A followed job is so now.
    fn hear(&self, key: &str, job: JobStatus);

    /// No list shows this job, or an event says that it is over: it has to be looked at.
    fn look(&self, key: &str);

    /// An event says that this job runs. Says whether that was believed: it is no harm if it is not true.
    fn started(&self, key: &str) -> bool;

    /// The list says nothing any more of what is true now.
    fn left_alone(&self);

    /// How jobs are followed is another way than before.
    fn turned(&self);
}

/// The list of one client's jobs.
pub struct Tail {
    shared: Arc<Shared>,
    task: OnceLock<AbortHandle>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    clock: Clock,
    /// When it began.
    origin: (Instant, Timestamp),
    /// How many requests a minute the client may send.
    per_minute: Box<dyn Fn() -> u32 + Send + Sync>,
    /// Keeps for the next process where this one is.
    keep: Keep,
}

/// Keeps a mark for the next process.
pub(super) type Keep = Box<dyn Fn(Mark) + Send + Sync>;

#[derive(Default)]
struct State {
    machine: Machine,
    jobs: Jobs,
    readers: BTreeMap<String, Reader>,
    /// From which reader on a token is taken.
    reads: String,
    /// Whether readers rely on it.
    relied: bool,
    /// Why it is not used, as readers were told last.
    told: Option<Why>,
    /// How many readers there ever were.
    named: u64,
    listens: Listens,
}

/// How events are listened to.
#[derive(Debug, Default)]
struct Listens {
    tries: Tries,
    /// Not before then.
    again: Moment,
    /// Whose stream is open, or is being opened.
    by: Option<String>,
    /// Whose was the last, and how many were refused one after another.
    after: String,
    refused: usize,
}

#[derive(Clone)]
struct Reader {
    list: List,
    /// How its account listens to events, where it does.
    stream: Option<Stream>,
    hears: Weak<dyn Hears>,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tail")
    }
}

impl Tail {
    /// A list that nobody reads yet; an earlier process has left off where it was `found`, if that is known.
    pub fn new(
        clock: Clock,
        per_minute: impl Fn() -> u32 + Send + Sync + 'static,
        (found, keep): (Option<Mark>, Keep),
    ) -> Arc<Self> {
        let origin = (clock.instant(), clock.steady());
        let mut state = State::default();
        if let Some(mark) = found {
            state.machine.go_on_from(mark);
        }
        let shared = Shared {
            state: Mutex::new(state),
            changed: Notify::new(),
            clock,
            origin,
            per_minute: Box::new(per_minute),
            keep,
        };
        Arc::new(Self { shared: Arc::new(shared), task: OnceLock::new() })
    }

    /// A name by which one more is known, whoever has had this one before.
    pub(super) fn name_of(&self, name: &str) -> String {
        let mut state = self.shared.lock();
        state.named += 1;
        format!("{name} {}", state.named)
    }

    /// Reads the list for one more from now on, with its token, and listens to events with it where there is a stream.
    pub(super) fn join(&self, reader: &str, (list, stream): (List, Option<Stream>), hears: Weak<dyn Hears>) {
        let mut state = self.shared.lock();
        state.readers.insert(reader.to_owned(), Reader { list, stream, hears });
        // A token of another may do what the last one could not.
        let now = self.shared.now();
        state.machine.try_again(now);
        drop(state);
        self.task.get_or_init(|| tokio::spawn(Arc::clone(&self.shared).run()).abort_handle());
        self.shared.changed.notify_one();
    }

    /// Reads it no more for this one.
    pub(super) fn leave(&self, reader: &str) {
        let mut state = self.shared.lock();
        state.readers.remove(reader);
        state.jobs.leave(reader);
        drop(state);
        self.shared.changed.notify_one();
    }

    pub(super) fn follow(&self, job_id: &str, (reader, key): (&str, &str), known: Option<&Known>) {
        let mut state = self.shared.lock();
        if !state.readers.contains_key(reader) {
            return;
        }
        let now = self.shared.now();
        if state.jobs.len() == 0 {
            state.machine.begin_anew(now);
        }
        let stamp = known.and_then(|known| known.updated_at).map(Timestamp::as_second);
        let covered = stamp.is_some_and(|stamp| state.machine.begin_at(stamp));
        state.jobs.follow(job_id, (reader, key), (known, covered), now);
        state.machine.hurry(now);
        drop(state);
        self.shared.changed.notify_one();
    }

    pub(super) fn unfollow(&self, job_id: &str, (reader, key): (&str, &str)) {
        self.shared.lock().jobs.unfollow(job_id, (reader, key));
    }

    /// A look of a follower at the job itself showed it so.
    pub(super) fn saw(&self, job_id: &str, follower: (&str, &str), job: &JobStatus) {
        let now = self.shared.now();
        let State { machine, jobs, .. } = &mut *self.shared.lock();
        match jobs.saw(job_id, follower, &job.state) {
            Look::AsKnown => return,
            Look::Missed => machine.missed(job.updated_at.map(Timestamp::as_second), jobs.len(), now),
            Look::Heard => machine.told_by_event(now),
            Look::Unlisted => machine.shows_too_few((jobs.unlisted(), jobs.len()), now),
        }
        self.shared.changed.notify_one();
    }

    /// When a follower looks at a job himself, after he looked at it or was told of it last; `None` where at his own pace,
    /// because no list tells him anything.
    pub(super) fn looks(&self, job_id: &str, follower: (&str, &str)) -> Option<Looks> {
        let state = self.shared.lock();
        let (now, (told, since)) = (self.shared.now(), state.jobs.told(job_id, follower)?);
        let pages = u32::try_from(state.jobs.len() / PAGE).unwrap_or(u32::MAX);
        let waits = now.saturating_sub(since) < FIRST_WITHIN + FOR_EACH_PAGE.saturating_mul(pages);
        if state.machine.is_about_to_begin() && waits {
            return Some(Looks::NotYet);
        }
        state.machine.known_at(now)?;
        let is_good = state.machine.net.is_good(state.jobs.len(), now);
        let each = if is_good { FOR_EACH_READ } else { FOR_EACH };
        match told {
            Told::ByList => {
                let all = each.saturating_mul(u32::try_from(state.jobs.followings()).unwrap_or(u32::MAX));
                Some(Looks::After(SELDOM.max(all)))
            }
            Told::New if waits && state.machine.net.is_read(now) => Some(Looks::NotYet),
            Told::Alone => Some(Looks::After(SELDOM)),
            Told::New | Told::Suspect | Told::Cut | Told::Unlisted => None,
        }
    }

    /// Whether the list is about to be read, so that a first look may wait for it.
    pub(super) fn is_read(&self) -> bool {
        let state = self.shared.lock();
        state.machine.left().is_none() && !state.readers.is_empty()
    }

    /// When all that it tells of was known last, by the clock that never jumps; `None` where that is too long ago, or the list
    /// does not tell this follower of the job.
    pub(super) fn known_at(&self, job_id: &str, (reader, key): (&str, &str)) -> Option<Timestamp> {
        self.all_known_at(reader, [(job_id, key)].into_iter()).pop().flatten()
    }

    /// The same of several jobs that one reader follows.
    pub(super) fn all_known_at(
        &self,
        reader: &str,
        jobs: impl Iterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
    ) -> Vec<Option<Timestamp>> {
        let state = self.shared.lock();
        let at = state.machine.known_at(self.shared.now());
        let at = at.and_then(|at| self.shared.origin.1.checked_add(at).ok());
        jobs.map(|(job_id, key)| {
            let (told, _) = state.jobs.told(job_id.as_ref(), (reader, key.as_ref()))?;
            at.filter(|_| matches!(told, Told::ByList | Told::Cut))
        })
        .collect()
    }

    /// Why jobs are followed one by one, if they are.
    pub fn left(&self) -> Option<Why> {
        self.shared.lock().machine.left()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Shared {
    /// A poisoned lock only means that a reader panicked; the state is plain data and still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        self.clock.instant().saturating_duration_since(self.origin.0)
    }
}
