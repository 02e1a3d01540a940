//! What the operator counts and times, and the page that a scrape reads.
//!
//! It may know the format of that page. It must never know who counts, and holds words and numbers only: nothing
//! that comes from outside becomes a label, but for the names of namespaces and accounts.

mod families;
mod page;
mod process;

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

pub use families::{ALL, Described, PREFIX, PROCESS};
pub use page::{AccountGauges, Page, Snapshot};

/// What may come of a submit.
const SUBMITTED: [&str; 4] = ["accepted", "cached", "refused", "unknown"];
/// How a run may end.
const ENDED: [&str; 3] = ["Completed", "Failed", "Cancelled"];
/// What is looked at, and what comes of it.
const LOOKED_AT: [&str; 3] = ["ScrapeJob", "ScrapeAccount", "ClusterScrapeAccount"];
const LOOKED: [&str; 3] = ["written", "unchanged", "retried"];
/// What is asked of the service.
const ROUTES: [&str; 7] = ["submit", "status", "results", "list", "cancel", "whoami", "events"];
/// What waits for its turn, by what it is for.
const LANES: [&str; 9] = ["cancel", "submit", "lookup", "list", "poll", "results", "net", "whoami", "idle"];

type Word = (&'static str, &'static str);
type One = [Word; 1];
type Two = [Word; 2];
type Code = (&'static str, String);
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Counters and times, shared by everything that counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    reconciles: Family<Two, Counter>,
    reconcile_seconds: Histograms<One>,
    requests: Family<[Code; 2], Counter>,
    request_seconds: Histograms<One>,
    budget_wait_seconds: Histograms<One>,
    submits: Family<One, Counter>,
    finished: Family<One, Counter>,
    run_seconds: Histograms<One>,
    queue_seconds: Histogram,
    orphaned: Counter,
    api_requests: Family<(Two, [Code; 1]), Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        // 1 ms to 16 s: a look at an object, its submit included.
        let short: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        // 0.1 s to 55 min: a turn in the budget.
        let long: fn() -> Histogram = || Histogram::new(exponential_buckets(0.1, 2.0, 16));
        // 1 s to 9 h: a job.
        let run: fn() -> Histogram = || Histogram::new(exponential_buckets(1.0, 2.0, 16));
        let metrics = Self {
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(short),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(short),
            budget_wait_seconds: Family::new_with_constructor(long),
            submits: Family::default(),
            finished: Family::default(),
            run_seconds: Family::new_with_constructor(run),
            queue_seconds: run(),
            orphaned: Counter::default(),
            api_requests: Family::default(),
        };
        metrics.begin_at_zero();
        metrics
    }
}

impl Metrics {
    /// A series that begins above 0 never looks as if it had grown; so each that can be told of beforehand begins at 0.
    fn begin_at_zero(&self) {
        for kind in LOOKED_AT {
            drop(self.reconcile_seconds.get_or_create(&[("kind", kind)]));
            for result in LOOKED {
                drop(self.reconciles.get_or_create(&[("kind", kind), ("result", result)]));
            }
        }
        for route in ROUTES {
            drop(self.request_seconds.get_or_create(&[("route", route)]));
        }
        for lane in LANES {
            drop(self.budget_wait_seconds.get_or_create(&[("lane", lane)]));
        }
        for outcome in SUBMITTED {
            drop(self.submits.get_or_create(&[("outcome", outcome)]));
        }
        for outcome in ENDED {
            drop(self.finished.get_or_create(&[("outcome", outcome)]));
            drop(self.run_seconds.get_or_create(&[("outcome", outcome)]));
        }
    }

    /// One look at an object of this kind ended so (`written`, `unchanged` or `retried`).
    pub fn reconciled(&self, kind: &'static str, result: &'static str, took: Duration) {
        debug_assert!(
            LOOKED_AT.contains(&kind) && LOOKED.contains(&result),
            "{kind} {result} begins at 0, too"
        );
        self.reconciles.get_or_create(&[("kind", kind), ("result", result)]).inc();
        self.reconcile_seconds.get_or_create(&[("kind", kind)]).observe(took.as_secs_f64());
    }

    /// One request to the service ended: with this HTTP status, or without an answer. The time is until its headers.
    pub fn requested(&self, route: &'static str, code: Option<u16>, took: Duration) {
        debug_assert!(ROUTES.contains(&route), "{route} begins at 0, too");
        let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        self.requests.get_or_create(&[("route", route.to_owned()), ("code", code)]).inc();
        self.request_seconds.get_or_create(&[("route", route)]).observe(took.as_secs_f64());
    }

    /// A request got its turn after this long.
    pub fn waited(&self, lane: &'static str, waited: Duration) {
        debug_assert!(LANES.contains(&lane), "{lane} begins at 0, too");
        self.budget_wait_seconds.get_or_create(&[("lane", lane)]).observe(waited.as_secs_f64());
    }

    /// One submit was answered so.
    pub fn submitted(&self, outcome: &'static str) {
        self.submits.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// The end of a run was recorded (`Completed`, `Failed` or `Cancelled`).
    pub fn finished(&self, outcome: &'static str) {
        self.finished.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// How long the job of a run that ended so has lasted, and waited before, by the service's own times, where it tells them.
    pub fn took(&self, outcome: &'static str, lasted: Option<Duration>, waited: Option<Duration>) {
        if let Some(lasted) = lasted {
            self.run_seconds.get_or_create(&[("outcome", outcome)]).observe(lasted.as_secs_f64());
        }
        if let Some(waited) = waited {
            self.queue_seconds.observe(waited.as_secs_f64());
        }
    }

    /// One request to the API server was answered so, or not at all.
    pub fn asked_api(&self, (verb, resource): (&'static str, &'static str), code: Option<u16>) {
        let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        self.api_requests.get_or_create(&([("verb", verb), ("resource", resource)], [("code", code)])).inc();
    }

    /// A job was left that nothing here follows.
    pub fn orphaned(&self) {
        self.orphaned.inc();
    }
}
