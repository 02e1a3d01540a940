//! One state of the world: the objects as the API server has them, the replicas, the service, and what lies between.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex};

use serde::Serialize;
use spideriq_operator::api::ScrapeJobStatus;
use spideriq_operator::decide::{Chain as Submit, Memory, Observed, Plan};

/// A value that is compared by its canonical JSON. Each text is numbered once, so that a state is small and is hashed
/// in no time.
#[derive(Clone)]
pub struct Keyed<T> {
    id: usize,
    value: Arc<T>,
}

static NUMBERED: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);

impl<T: Serialize> Keyed<T> {
    pub fn new(value: T) -> Self {
        Self::named(serde_json::to_string(&value).unwrap(), value)
    }
}

impl<T> Keyed<T> {
    /// With a text that says what it is, which is cheaper than its JSON.
    pub fn named(text: String, value: T) -> Self {
        let mut numbered = NUMBERED.lock().unwrap();
        let next = numbered.len();
        Self { id: *numbered.entry(text).or_insert(next), value: Arc::new(value) }
    }
}

impl<T> Deref for Keyed<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> PartialEq for Keyed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for Keyed<T> {}

impl<T> Hash for Keyed<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<T> fmt::Debug for Keyed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.id)
    }
}

/// What the user wrote in the spec, as far as it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wish {
    pub run: u8,
    pub cancel: bool,
}

/// An object, as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    pub wish: Wish,
    /// When deletion was asked for, by the model's clock.
    pub deleted: Option<u8>,
    pub protected: bool,
    pub intent: Option<String>,
    pub status: Keyed<ScrapeJobStatus>,
}

impl Object {
    /// The nonce whose outcome nobody knows.
    pub fn unknown(&self) -> Option<&str> {
        let record = self.status.submission.as_ref().filter(|_| self.status.job_id.is_none());
        record.and_then(|record| record.nonce.as_deref())
    }
}

/// An object as somebody read it. Of its resourceVersion only this counts: whether it is still the newest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snap {
    pub object: Arc<Object>,
    pub newest: bool,
}

/// What a decision was made on.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    pub observed: Observed,
    pub plan: Plan,
}

/// Where a replica is between a decision and the write after its effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Chain {
    Idle,
    /// Write 1 is made, write 2 is not; `submit` says what comes next.
    Intended {
        decision: Keyed<Decision>,
        intended: Snap,
        base: Snap,
        submit: Submit,
    },
    /// Write 2 is made, the request has not begun.
    Recorded {
        decision: Keyed<Decision>,
        base: Snap,
        nonce: String,
    },
    /// The request is under way; it is one of the world's flights.
    Sent {
        decision: Keyed<Decision>,
        base: Snap,
        nonce: String,
    },
    /// The request has ended for this process; write 4 is not made.
    Answered {
        decision: Keyed<Decision>,
        base: Snap,
        nonce: String,
        answer: Answer,
    },
    /// The live list named nobody who shares the job; the cancel has not been sent.
    Listed {
        decision: Keyed<Decision>,
        base: Snap,
    },
}

impl Chain {
    pub fn base(&mut self) -> Option<&mut Snap> {
        match self {
            Self::Idle => None,
            Self::Intended { base, .. }
            | Self::Recorded { base, .. }
            | Self::Sent { base, .. }
            | Self::Answered { base, .. }
            | Self::Listed { base, .. } => Some(base),
        }
    }

    /// Whether a request with this nonce is about to be sent or under way; with any, for `None`.
    pub fn may_send(&self, wanted: Option<&str>) -> bool {
        match self {
            Self::Recorded { nonce, .. } | Self::Sent { nonce, .. } => {
                wanted.is_none_or(|wanted| wanted == nonce)
            }
            Self::Idle | Self::Intended { .. } | Self::Answered { .. } | Self::Listed { .. } => false,
        }
    }

    /// Whether a cancel has to wait for it: from write 2 to the answer, and from the list to the cancel.
    pub fn excludes(&self) -> bool {
        matches!(self, Self::Recorded { .. } | Self::Sent { .. } | Self::Listed { .. })
    }
}

/// What the service said to a submit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Accepted { job: usize, cached: bool },
    Throttled,
    Nothing,
}

/// What one replica holds of one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The object in the cache, which may be old.
    pub cache: Option<Snap>,
    /// Whether the cache is known to be behind an own write.
    pub behind: bool,
    /// Whether the next look must be live.
    pub live: bool,
    pub memory: Keyed<Memory>,
    /// The nonce of the request that this process ended itself.
    pub ended: Option<String>,
    /// The nonce that this process has seen for 18 s.
    pub settled: Option<String>,
    pub chain: Chain,
}

impl View {
    pub fn of(cache: Option<Snap>) -> Self {
        Self {
            cache,
            behind: false,
            live: false,
            memory: Keyed::new(Memory::default()),
            ended: None,
            settled: None,
            chain: Chain::Idle,
        }
    }
}

/// A request to submit that has left a process and has not reached the service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flight {
    pub object: usize,
    pub run: u8,
    pub nonce: String,
    pub payload: u8,
    /// The replica that waits for the answer, if it still does.
    pub waits: Option<usize>,
}

/// A job at the service; each was billed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    pub payload: u8,
    pub state: JobState,
    /// The object and the run whose request made it.
    pub maker: (usize, u8),
    /// The model's clock when it was made.
    pub born: u8,
    /// Whether a status ever named it.
    pub known: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    Queued,
    Completed,
    Cancelled,
}

/// What an event told people to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// This job.
    Job(usize),
    /// That the outcome of a submit of this object's run is not known.
    Unknown(usize, u8),
}

/// Laws that are broken by a step, not by a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// A job was left running that nothing names.
    S2,
    /// A job was cancelled that another live object is about to receive.
    S3,
    /// A terminal status was changed within a run.
    S4,
    /// A job was cancelled that another live object follows.
    S5,
    /// A request was sent for an object that is gone.
    S9,
}

/// What the user may still do, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    Delete(usize),
    Cancel(usize),
    Rerun(usize),
}

/// Faults that may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    pub crashes: u8,
    pub lost: u8,
    pub refusals: u8,
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub objects: Vec<Option<Arc<Object>>>,
    /// By replica and object.
    pub views: Vec<Vec<View>>,
    pub flights: Vec<Flight>,
    pub jobs: Vec<Job>,
    pub told: BTreeSet<Told>,
    pub broken: BTreeSet<Law>,
    pub asks: BTreeSet<Ask>,
    pub faults: Faults,
    /// Stands still, but for the bounds that pass.
    pub clock: u8,
}

impl World {
    /// Puts an object into the API server, or takes it out: whatever was read of it before is old.
    pub fn store(&mut self, object: usize, stored: Option<Object>) -> Option<Snap> {
        for views in &mut self.views {
            let view = &mut views[object];
            let read = view.cache.as_mut().into_iter().chain(view.chain.base());
            read.for_each(|snap| snap.newest = false);
        }
        self.objects[object] = stored.map(Arc::new);
        self.read(object)
    }

    /// Whether anything here names this nonce.
    pub fn names(&self, nonce: &str) -> bool {
        let quoted = format!("\"{nonce}\"");
        let object = |object: &Object| {
            let recorded = object.status.submission.as_ref().and_then(|record| record.nonce.as_deref());
            recorded == Some(nonce) || object.intent.as_ref().is_some_and(|intent| intent.contains(&quoted))
        };
        let view = |view: &View| {
            let chain = match &view.chain {
                Chain::Idle | Chain::Listed { .. } => false,
                Chain::Intended { intended, submit, .. } => {
                    object(&intended.object) || submit.nonces().iter().any(|tried| tried == nonce)
                }
                Chain::Recorded { nonce: sent, .. }
                | Chain::Sent { nonce: sent, .. }
                | Chain::Answered { nonce: sent, .. } => sent == nonce,
            };
            let known = [&view.ended, &view.settled].into_iter().any(|known| known.as_deref() == Some(nonce));
            chain || known || view.cache.as_ref().is_some_and(|cache| object(&cache.object))
        };
        self.objects.iter().flatten().any(|stored| object(stored))
            || self.views.iter().flatten().any(view)
            || self.flights.iter().any(|flight| flight.nonce == nonce)
    }

    /// Makes one of the states that mean the same.
    pub fn normalise(&mut self) {
        for (view, stored) in self.views.iter_mut().flat_map(|views| views.iter_mut().zip(&self.objects)) {
            let cached = view.cache.as_ref().map(|cache| Arc::clone(&cache.object));
            let known = |nonce: &String| {
                cached.iter().chain(stored).any(|object| object.unknown() == Some(nonce.as_str()))
            };
            // A nonce whose outcome is known is not asked for any more.
            view.settled = view.settled.take().filter(known);
            view.ended = view.ended.take().filter(known);
        }
        // Replicas have no names.
        if let [first, second] = self.views.as_mut_slice() {
            let hash = |views: &Vec<View>| {
                let mut hasher = DefaultHasher::new();
                views.hash(&mut hasher);
                hasher.finish()
            };
            if hash(second) < hash(first) {
                std::mem::swap(first, second);
                self.flights
                    .iter_mut()
                    .for_each(|flight| flight.waits = flight.waits.map(|replica| 1 - replica));
            }
        }
        self.flights.sort_by(|a, b| (a.object, &a.nonce, a.waits).cmp(&(b.object, &b.nonce, b.waits)));
    }

    /// Reads an object live.
    pub fn read(&self, object: usize) -> Option<Snap> {
        self.objects[object].clone().map(|object| Snap { object, newest: true })
    }

    /// The object that a replica decides on: from the cache, or live where that is known to be needed.
    pub fn base(&self, replica: usize, object: usize) -> Option<Snap> {
        let view = &self.views[replica][object];
        let cached = view.cache.as_ref()?;
        if view.live || view.behind { self.read(object) } else { Some(cached.clone()) }
    }
}

/// The name of a job at the service.
pub fn job_name(job: usize) -> String {
    format!("job-{job}")
}

/// The job that a name stands for.
pub fn job_number(name: &str) -> Option<usize> {
    name.strip_prefix("job-")?.parse().ok()
}
