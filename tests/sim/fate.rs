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
    /// After so many steps nothing goes wrong any more.
    pub until: u64,
    /// Whether a second replica works beside the first, without a lease.
    pub two: bool,
}

/// The fate of one run.
#[derive(Clone, Debug)]
pub struct Fate {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    plan: Plan,
    random: fastrand::Rng,
    step: u64,
    trace: String,
    violations: Vec<String>,
}

/// One life of the operator's process: once over, nothing that is left of it reaches anybody.
#[derive(Clone, Debug)]
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
            trace: String::new(),
            violations: Vec::new(),
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

    /// Whether a second replica works beside the first.
    pub fn two(&self) -> bool {
        self.shared.lock().unwrap().plan.two
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
        if plan.crash_at == Some(step) {
            return Turn::Crash;
        }
        if step >= plan.until {
            return Turn::Arrives;
        }
        let lost = if service { plan.lost_service } else { plan.lost_api };
        let drawn = shared.random.u32(0..1000);
        if drawn < plan.crashes {
            Turn::Crash
        } else if drawn < plan.crashes + lost {
            Turn::Lost
        } else {
            Turn::Arrives
        }
    }
}

impl Life {
    /// One message on its way; false if it is lost. Never returns once the life is over.
    pub async fn message(&self, service: bool, what: &str) -> bool {
        self.check().await;
        tokio::time::sleep(self.fate.draw(|plan| plan.latency)).await;
        self.check().await;
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
