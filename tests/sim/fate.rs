//! What goes wrong, and when: the one place that draws numbers.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

/// What happens to one message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It arrives.
    Arrives,
    /// It is lost.
    Lost,
    /// The process that sent it, or waits for it, dies.
    Crash,
}

/// A plan of faults.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The process dies at this step, counted from 0 over requests and answers of both sides.
    pub crash_at: Option<u64>,
    /// This message is lost, counted the same.
    pub lose_at: Option<u64>,
    /// How many of a thousand messages to or from the API server are lost.
    pub lost_api: u32,
    /// The same for the service.
    pub lost_service: u32,
    /// How many of a thousand steps the process dies at.
    pub crashes: u32,
    /// The longest that a message takes.
    pub latency: Duration,
    /// The longest that a change takes to reach a watch.
    pub watch_lag: Duration,
    /// How many of a thousand changes end the watch that should tell them; a list is the only way on from there.
    pub broken_watches: u32,
    /// Seconds by which the operator's clock is ahead of all others.
    pub clock_ahead: i64,
    /// After so many steps nothing goes wrong any more.
    pub until: u64,
    /// Whether a second replica works beside the first, without a lease.
    pub two: bool,
}

/// The fate of one run.
#[derive(Clone)]
pub struct Fate {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    plan: Plan,
    random: fastrand::Rng,
    step: u64,
    /// How many messages were lost, lives ended and watches broken.
    hits: u64,
    /// Whether one of them may hide from the operator what the service has done.
    hidden: bool,
    trace: String,
    violations: Vec<String>,
    /// What somebody does at which step.
    interruption: Option<(u64, Box<dyn FnOnce() + Send>)>,
}

/// One life of the operator's process: once over, nothing that is left of it reaches anybody.
#[derive(Clone)]
pub struct Life {
    pub fate: Fate,
    over: Arc<AtomicBool>,
    /// Tells that the process is to die.
    pub crash: Arc<Notify>,
}

impl Fate {
    pub fn new(seed: u64, plan: Plan) -> Self {
        let shared = Shared {
            plan,
            random: fastrand::Rng::with_seed(seed),
            step: 0,
            hits: 0,
            hidden: false,
            trace: String::new(),
            violations: Vec::new(),
            interruption: None,
        };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// A life of the process.
    pub fn life(&self) -> Life {
        Life { fate: self.clone(), over: Arc::new(AtomicBool::new(false)), crash: Arc::new(Notify::new()) }
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.shared.lock().unwrap().step
    }

    /// Has somebody do something at a step, before its message arrives.
    pub fn interrupt(&self, step: u64, act: impl FnOnce() + Send + 'static) {
        self.shared.lock().unwrap().interruption = Some((step, Box::new(act)));
    }

    fn interruption(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let mut shared = self.shared.lock().unwrap();
        let step = shared.step;
        shared.interruption.take_if(|(at, _)| *at <= step).map(|(_, act)| act)
    }

    /// The plan.
    pub fn plan(&self) -> Plan {
        self.shared.lock().unwrap().plan.clone()
    }

    /// Whether a watch breaks instead of telling the next change.
    pub fn watch_breaks(&self, kind: &str) -> bool {
        let mut shared = self.shared.lock().unwrap();
        let broken = shared.plan.broken_watches;
        let breaks = shared.step < shared.plan.until && shared.random.u32(0..1000) < broken;
        shared.hits += u64::from(breaks);
        drop(shared);
        if breaks {
            self.note(&format!("the watch of {kind} breaks, and what happened before is forgotten"));
        }
        breaks
    }

    /// How often something went wrong so far.
    pub fn hits(&self) -> u64 {
        self.shared.lock().unwrap().hits
    }

    /// Whether an answer of the service may never have reached the operator, or the process that had it died.
    pub fn hides_an_answer(&self) -> bool {
        self.shared.lock().unwrap().hidden
    }

    /// Everything that happened, a line each.
    pub fn trace(&self) -> String {
        self.shared.lock().unwrap().trace.clone()
    }

    /// What was seen to go wrong while it ran.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().unwrap().violations.clone()
    }

    /// Something must not have happened.
    pub fn violated(&self, what: &str) {
        self.note(what);
        self.shared.lock().unwrap().violations.push(what.to_owned());
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: &str) {
        let mut shared = self.shared.lock().unwrap();
        let step = shared.step;
        writeln!(shared.trace, "{step:>5} {line}").unwrap();
    }

    /// How long a change takes to reach a watch.
    pub fn watch_lag(&self) -> Duration {
        self.draw(|plan| plan.watch_lag)
    }

    fn draw(&self, most: impl Fn(&Plan) -> Duration) -> Duration {
        let mut shared = self.shared.lock().unwrap();
        let most = u64::try_from(most(&shared.plan).as_micros()).unwrap();
        Duration::from_micros(shared.random.u64(0..=most))
    }

    fn turn(&self, service: bool) -> Turn {
        let mut shared = self.shared.lock().unwrap();
        let step = shared.step;
        shared.step += 1;
        let plan = shared.plan.clone();
        let turn = if plan.crash_at == Some(step) {
            Turn::Crash
        } else if plan.lose_at == Some(step) {
            Turn::Lost
        } else if step >= plan.until {
            Turn::Arrives
        } else {
            let lost = if service { plan.lost_service } else { plan.lost_api };
            match shared.random.u32(0..1000) {
                drawn if drawn < plan.crashes => Turn::Crash,
                drawn if drawn < plan.crashes + lost => Turn::Lost,
                _ => Turn::Arrives,
            }
        };
        shared.hits += u64::from(turn != Turn::Arrives);
        shared.hidden |= turn == Turn::Crash || (service && turn == Turn::Lost);
        turn
    }
}

impl Life {
    /// One message on its way; false if it is lost. Never returns once the life is over.
    pub async fn message(&self, service: bool, what: &str) -> bool {
        self.check().await;
        tokio::time::sleep(self.fate.draw(|plan| plan.latency)).await;
        self.check().await;
        if let Some(act) = self.fate.interruption() {
            act();
        }
        let turn = self.fate.turn(service);
        self.fate.note(&format!("{what}: {turn:?}"));
        match turn {
            Turn::Arrives => true,
            Turn::Lost => false,
            Turn::Crash => {
                self.end();
                self.crash.notify_one();
                std::future::pending().await
            }
        }
    }

    /// Ends this life.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Waits for ever once the life is over.
    pub async fn check(&self) {
        if self.over.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}
