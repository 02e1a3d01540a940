//! One list for all that follow jobs of a client: what it shows costs as many requests as there are changes, not as there are
//! jobs (`docs/adr/0024`).
//!
//! It only ever says that a job changed. What it does not show is no news, least of all that a job is gone.

mod floor;
mod followed;
mod machine;
mod pace;
#[cfg(test)]
mod tests;

pub use followed::Known;
pub use machine::Why;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::floor::Moment;
use self::followed::Jobs;
use self::machine::{Ask, Fault, Machine, Own, Page};
use crate::clock::{Clock, sleep_until};
use crate::spideriq::{Error, JobStatus, ListPage};

/// One reading of a page of the list, paid from the client's budget by whoever gives this function. Pages count from 1, hold
/// [`crate::spideriq::PAGE`] jobs, and are in the order of the last change, the latest first.
pub type List = Arc<dyn Fn(usize) -> BoxFuture<'static, Read> + Send + Sync>;

/// What came of it, and when it was asked for: after it has waited for its turn.
pub type Read = (Instant, Result<ListPage, Error>);

/// With how many tokens a page is tried at the most: each try is paid.
const TOKENS: usize = 3;

/// How often a job is looked at by itself of which the list tells: a fault of the list is found so, and a job that is gone.
/// For all jobs together five times a minute at the most.
const SELDOM: Duration = Duration::from_secs(60);
const FOR_EACH: Duration = Duration::from_secs(12);

/// Who reads the list, and is told what it shows.
pub(in crate::poll) trait Hears: Send + Sync {
    /// A followed job is so now.
    fn hear(&self, key: &str, job: JobStatus);

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
}

#[derive(Default)]
struct State {
    machine: Machine,
    jobs: Jobs,
    readers: BTreeMap<String, Reader>,
    /// From which reader on a token is taken.
    reads: String,
    /// Whether readers rely on it.
    relied: bool,
    /// How many readers there ever were.
    named: u64,
}

#[derive(Clone)]
struct Reader {
    list: List,
    hears: Weak<dyn Hears>,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tail")
    }
}

impl Tail {
    /// A list that nobody reads yet.
    pub fn new(clock: Clock, per_minute: impl Fn() -> u32 + Send + Sync + 'static) -> Arc<Self> {
        let origin = (clock.instant(), clock.steady());
        let shared = Shared {
            state: Mutex::default(),
            changed: Notify::new(),
            clock,
            origin,
            per_minute: Box::new(per_minute),
        };
        Arc::new(Self { shared: Arc::new(shared), task: OnceLock::new() })
    }

    /// A name by which one more is known, whoever has had this one before.
    pub(super) fn name_of(&self, name: &str) -> String {
        let mut state = self.shared.lock();
        state.named += 1;
        format!("{name} {}", state.named)
    }

    /// Reads the list for one more from now on, with its token.
    pub(super) fn join(&self, reader: &str, list: List, hears: Weak<dyn Hears>) {
        let mut state = self.shared.lock();
        state.readers.insert(reader.to_owned(), Reader { list, hears });
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
        state.jobs.follow(job_id, (reader, key), known, covered);
        if known.is_none() {
            state.machine.seek();
        }
        state.machine.hurry(now);
        drop(state);
        self.shared.changed.notify_one();
    }

    pub(super) fn unfollow(&self, job_id: &str, (reader, key): (&str, &str)) {
        self.shared.lock().jobs.unfollow(job_id, (reader, key));
    }

    /// A look of a follower at the job itself showed it so.
    pub(super) fn saw(&self, job_id: &str, follower: (&str, &str), job: &JobStatus) {
        let mut state = self.shared.lock();
        if state.jobs.saw(job_id, follower, &job.state) {
            let (stamp, now) = (job.updated_at.map(Timestamp::as_second), self.shared.now());
            state.machine.missed(stamp, now);
            drop(state);
            self.shared.changed.notify_one();
        }
    }

    /// How seldom a follower may look at a job itself, because the list tells him what changes of it; `None` where it does not.
    pub(super) fn looks_in(&self, job_id: &str, follower: (&str, &str)) -> Option<Duration> {
        let state = self.shared.lock();
        state.machine.known_at(self.shared.now())?;
        let all = FOR_EACH.saturating_mul(u32::try_from(state.jobs.len()).unwrap_or(u32::MAX));
        state.jobs.is_covered(job_id, follower).then(|| SELDOM.max(all))
    }

    /// Whether the list is about to be read, so that a first look may wait for it.
    pub(super) fn is_read(&self) -> bool {
        let state = self.shared.lock();
        state.machine.left().is_none() && !state.readers.is_empty()
    }

    /// When all that it tells of was known last, by the clock that never jumps; `None` where that is too long ago, or the list
    /// does not tell this follower of the job.
    pub(super) fn known_at(&self, job_id: &str, follower: (&str, &str)) -> Option<Timestamp> {
        let state = self.shared.lock();
        let at =
            state.machine.known_at(self.shared.now()).filter(|_| state.jobs.is_covered(job_id, follower))?;
        self.shared.origin.1.checked_add(at).ok()
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

    async fn run(self: Arc<Self>) {
        let mut reading: Option<BoxFuture<'_, ()>> = None;
        loop {
            self.tell_whether_it_is_good();
            let (next, ends) = self.next();
            let at = |moment: Option<Moment>| moment.map(|moment| self.origin.0 + moment);
            tokio::select! {
                // In this order, so that a simulation can be repeated.
                biased;
                () = self.changed.notified() => {}
                () = async { if let Some(reading) = &mut reading { reading.await } }, if reading.is_some() => {
                    reading = None;
                }
                () = sleep_until(at(next.map(|(at, _)| at))), if reading.is_none() => {
                    reading = next.map(|(_, ask)| self.read(ask).boxed());
                }
                () = sleep_until(at(ends)) => {}
            }
        }
    }

    /// What is read next, and when; and when the list is good for nothing any more, if nothing is.
    fn next(&self) -> (Option<(Moment, Ask)>, Option<Moment>) {
        let state = self.lock();
        // What nobody follows is not read.
        let reads = state.jobs.len() > 0 && !state.readers.is_empty();
        let next = reads.then(|| state.machine.next(self.now(), (self.per_minute)()));
        (next, state.machine.good_until().filter(|_| state.relied))
    }

    /// Reads one page, with the token that was taken last, or where that may not read it with the next.
    async fn read(&self, ask: Ask) {
        let (readers, before) = {
            let state = self.lock();
            let first = state.reads.clone();
            let (before, after) = (state.readers.range(..first.clone()), state.readers.range(first..));
            let some = after.chain(before).take(TOKENS);
            let some: Vec<(String, Reader)> =
                some.map(|(name, reader)| (name.clone(), reader.clone())).collect();
            (some, state.machine.left())
        };
        let nobody = Err(Error::Connect("nobody reads the list".to_owned()));
        let mut read = (self.clock.instant(), nobody);
        for (name, reader) in readers {
            read = (reader.list)(ask.page).await;
            let refused = matches!(read.1, Err(Error::Unauthorized { .. } | Error::Forbidden(_)));
            // The next one after it is the next to be tried.
            self.lock().reads = if refused { format!("{name}\0") } else { name };
            if !refused {
                break;
            }
        }
        let (sent, read) = read;
        let begun = sent.saturating_duration_since(self.origin.0);
        let news = self.take(ask, begun, &read);
        for ((reader, key), job) in news {
            let hears = self.lock().readers.get(&reader).and_then(|reader| reader.hears.upgrade());
            if let Some(hears) = hears {
                hears.hear(&key, job);
            }
        }
        if self.lock().machine.left() != before {
            self.everybody().iter().for_each(|hears| hears.turned());
        }
    }

    fn take(
        &self,
        ask: Ask,
        begun: Moment,
        read: &Result<ListPage, Error>,
    ) -> Vec<(followed::Follower, JobStatus)> {
        let ended = self.now();
        let mut news = Vec::new();
        let State { machine, jobs, .. } = &mut *self.lock();
        let page = match read.as_ref().map(Page::of) {
            Ok(Some(page)) => page,
            Ok(None) => {
                machine.failed(ask, Fault::Unreadable, ended);
                return news;
            }
            Err(error) => {
                machine.failed(ask, fault(error), ended);
                return news;
            }
        };
        let owns: Vec<Own> = page.rows().map(|row| jobs.take(row, &mut news)).collect();
        machine.took(ask, (begun, ended), &page, (&owns, jobs.unseen()));
        news
    }

    /// Tells those who rely on the list when it is good for nothing any more.
    fn tell_whether_it_is_good(&self) {
        let now = self.now();
        let good = {
            let mut state = self.lock();
            let good = state.machine.known_at(now).is_some() && state.jobs.len() > 0;
            let was = std::mem::replace(&mut state.relied, good);
            good || !was
        };
        if !good {
            self.everybody().iter().for_each(|hears| hears.left_alone());
        }
    }

    fn everybody(&self) -> Vec<Arc<dyn Hears>> {
        self.lock().readers.values().filter_map(|reader| reader.hears.upgrade()).collect()
    }
}

/// What an answer that is no page means for the list as a whole.
fn fault(error: &Error) -> Fault {
    match error {
        Error::Unauthorized { .. }
        | Error::Forbidden(_)
        | Error::NotFound(_)
        | Error::Invalid(_)
        | Error::Refused { .. }
        | Error::Redirected(_) => Fault::Refused,
        Error::Malformed(_) | Error::TooLarge => Fault::Unreadable,
        Error::Timeout => Fault::Slow,
        Error::Connect(_)
        | Error::Interrupted(_)
        | Error::Throttled { .. }
        | Error::SpendCap(_)
        | Error::Server { .. } => Fault::Passing,
    }
}
