//! The state of the emulated service, behind one lock, and what changes it.
//!
//! Every look at it first settles what fell due; replies are made elsewhere (`api`).

use std::time::Duration;

use serde_json::Value;
use tokio::sync::broadcast;

use super::journal::{Event, JobEvent, Journal};
use super::meters::Meters;
use super::tokens::Tokens;
use crate::clock::{Clock, Micros, naive_micros, seconds};
use crate::jobs::{Job, Moved, NewJob, Store};
use crate::rules::{
    Armed, Deduplication, EventLies, JobRule, Limits, ListLies, Rules, Sight, Step, Switches,
};

/// Everything that the service knows.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) tokens: Tokens,
    pub(crate) store: Store,
    pub(crate) meters: Meters,
    pub(crate) journal: Journal,
    pub(crate) limits: Limits,
    pub(crate) deduplication: Deduplication,
    pub(crate) switches: Switches,
    pub(crate) list: ListLies,
    pub(crate) events: EventLies,
    changes: broadcast::Sender<Change>,
    /// Scripts, each with the number of jobs it has taken.
    scripts: Vec<(JobRule, u32)>,
    faults: Vec<Armed>,
    /// Two streams, so that drawn times do not change which ids come.
    ids: fastrand::Rng,
    draws: fastrand::Rng,
}

/// How many changes are kept for a stream that is not read.
const UNREAD: usize = 4096;

/// A change of a job, as those learn of it who listen.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) at: Micros,
    pub(crate) job_id: String,
    pub(crate) client: String,
    pub(crate) kind: String,
    pub(crate) to: String,
}

impl Change {
    /// The name of its event; a cancelled job has none.
    pub(crate) fn event(&self) -> Option<&'static str> {
        match self.to.as_str() {
            "queued" => Some("job.queued"),
            "processing" => Some("job.started"),
            "completed" => Some("job.completed"),
            "failed" => Some("job.failed"),
            _ => None,
        }
    }
}

/// A job to be made for a submit or by the admin route.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: Option<String>,
    pub(crate) client: String,
    pub(crate) kind: String,
    pub(crate) payload: Value,
    pub(crate) priority: i64,
    pub(crate) created_at: Option<Micros>,
    pub(crate) rule: Option<JobRule>,
    pub(crate) cause: &'static str,
}

impl World {
    pub(crate) fn new(clock: Clock, tokens: Tokens, journal_cap: usize, seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        Self {
            clock,
            tokens,
            store: Store::default(),
            meters: Meters::default(),
            journal: Journal::new(journal_cap),
            limits: Limits::default(),
            deduplication: Deduplication::default(),
            switches: Switches::default(),
            list: ListLies::default(),
            events: EventLies::default(),
            changes: broadcast::channel(UNREAD).0,
            scripts: Vec::new(),
            faults: Vec::new(),
            ids: fastrand::Rng::with_seed(seed),
            draws: fastrand::Rng::with_seed(seed.wrapping_add(1)),
        }
    }

    /// Moves all jobs to the present and notes their changes.
    pub(crate) fn settle(&mut self) {
        for moved in self.store.settle(self.clock.now()) {
            self.note_change(moved, "script");
        }
    }

    /// Notes a change of a job in the journal.
    pub(crate) fn note_change(&mut self, moved: Moved, cause: &'static str) {
        let at = moved.at;
        let Moved { id: job_id, client, kind, from, to, .. } = moved;
        let change =
            Change { at, job_id: job_id.clone(), client: client.clone(), kind: kind.clone(), to: to.clone() };
        // Nobody may listen.
        let _ = self.changes.send(change);
        self.note(at, Event::Job(JobEvent { job_id, client, kind, from, to, cause }));
    }

    /// Writes into the journal.
    pub(crate) fn note(&mut self, at: Micros, event: Event) {
        let wall_ms = self.clock.wall_of(at).div_euclid(1000);
        self.journal.push(format!("{}Z", naive_micros(at)), wall_ms, event);
    }

    /// Replaces the sections that are given.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        let Rules { jobs, faults, limits, deduplication, switches, list, events } = rules;
        if let Some(jobs) = jobs {
            self.scripts = jobs.into_iter().map(|rule| (rule, 0)).collect();
        }
        if let Some(faults) = faults {
            self.faults = faults.into_iter().map(Armed::new).collect();
        }
        self.limits = limits.unwrap_or_else(|| self.limits.clone());
        self.deduplication = deduplication.unwrap_or_else(|| self.deduplication.clone());
        self.switches = switches.unwrap_or_else(|| self.switches.clone());
        self.list = list.unwrap_or_else(|| self.list.clone());
        self.events = events.unwrap_or_else(|| self.events.clone());
    }

    /// The rules in force, every section given.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            jobs: Some(self.scripts.iter().map(|(rule, _)| rule.clone()).collect()),
            faults: Some(self.faults.iter().map(|armed| armed.fault.clone()).collect()),
            limits: Some(self.limits.clone()),
            deduplication: Some(self.deduplication.clone()),
            switches: Some(self.switches.clone()),
            list: Some(self.list.clone()),
            events: Some(self.events.clone()),
        }
    }

    /// Every change from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// In how long the next job changes by itself, but not for ever: another may be made before.
    pub(crate) fn next_due(&self) -> Duration {
        let due = self.store.next_due().map(|at| self.clock.wall_of(at) - self.clock.wall());
        let micros = due.map_or(u64::MAX, |micros| u64::try_from(micros).unwrap_or(0));
        Duration::from_micros(micros.saturating_add(1)).min(Duration::from_secs(5))
    }

    /// What is done to an event, how often it is sent, and which jobs are said to be over.
    pub(crate) fn event_lies(&mut self) -> (EventLies, usize, Vec<String>) {
        let lies = self.events.clone();
        let times = match self.draws.f64() {
            share if share < lies.lost => 0,
            share if share > 1.0 - lies.doubled => 2,
            _ => 1,
        };
        let running = self.store.all().iter().filter(|job| !job.ended()).map(|job| job.id.clone());
        let forged = running.take(lies.forged).collect();
        (lies, times, forged)
    }

    /// Counts a request at every fault; the first that fires, with its name.
    pub(crate) fn meet(&mut self, sight: &Sight<'_>) -> Option<(String, crate::rules::Fault)> {
        let mut hit = None;
        for (number, armed) in self.faults.iter_mut().enumerate() {
            if armed.meet(sight, &mut self.draws) && hit.is_none() {
                let name = armed.fault.name.clone().unwrap_or_else(|| number.to_string());
                hit = Some((name, armed.fault.clone()));
            }
        }
        hit
    }

    /// Draws a time of a fault.
    pub(crate) fn draw(&mut self, span: Option<crate::rules::Span>) -> Duration {
        let micros = span.map_or(0, |span| span.draw(&mut self.draws));
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// Length of the de-duplication window.
    pub(crate) fn window(&self) -> Micros {
        seconds(self.deduplication.window_hours * 3600.0)
    }

    /// Makes a job and moves it to the present; its id.
    pub(crate) fn create(&mut self, order: Order) -> String {
        let Order { id, client, kind, payload, priority, created_at, rule, cause } = order;
        let rule = rule.unwrap_or_else(|| self.script(&client, &kind, &payload));
        let mut course = rule.course(self.switches.engine, &mut self.draws);
        if kind == "spiderCompanyData" && rule.steps.is_none() {
            skip_queue(&mut course);
        }
        let id = id.map_or_else(|| self.new_id(), |id| id.to_ascii_lowercase());
        let created_at = created_at.unwrap_or_else(|| self.clock.now());
        let outcome = rule.result;
        let new = NewJob { id: id.clone(), client, kind, payload, priority, created_at, course, outcome };
        let moved = self.store.add(new);
        self.note_change(moved, cause);
        self.settle();
        id
    }

    fn script(&mut self, client: &str, kind: &str, payload: &Value) -> JobRule {
        let fits = |(rule, used): &&mut (JobRule, u32)| {
            rule.first.is_none_or(|most| *used < most) && rule.matches.hits(client, kind, payload)
        };
        self.scripts.iter_mut().find(fits).map_or_else(JobRule::default, |(rule, used)| {
            *used += 1;
            rule.clone()
        })
    }

    fn new_id(&mut self) -> String {
        let bits = (self.ids.u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        let part = |from, to| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }

    /// A job that the client sees.
    pub(crate) fn visible(&self, client: &str, id: &str) -> Option<&Job> {
        self.store.visible(client, id)
    }

    pub(crate) fn faults(&self) -> &[Armed] {
        &self.faults
    }

    pub(crate) fn faults_mut(&mut self) -> &mut Vec<Armed> {
        &mut self.faults
    }
}

/// Lets a course begin at `processing`: this type's submit says so at once (contract section 2.1, J1).
fn skip_queue(course: &mut Vec<Step>) {
    let Some(wait) = course.get(1).filter(|step| step.state == "processing").map(|step| step.after) else {
        return;
    };
    course.remove(0);
    for step in course.iter_mut() {
        step.after -= wait;
    }
}
