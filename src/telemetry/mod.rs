//! What the operator counts and times, and the page that a scrape reads.
//!
//! It may know the format of that page. It must never know who counts, and holds words and numbers only: nothing
//! that comes from outside becomes a label, but for the names of namespaces and accounts.

mod families;
mod page;

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

pub use families::{ALL, Described, PREFIX};
pub use page::{AccountGauges, Page, Snapshot};

/// What may come of a submit.
const OUTCOMES: [&str; 4] = ["accepted", "cached", "refused", "unknown"];

type One = [(&'static str, &'static str); 1];
type Two = [(&'static str, &'static str); 2];
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
    orphaned: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        // 1 ms to 16 s: a look at an object, its submit included.
        let short: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        // 0.1 s to 55 min: a turn in the budget.
        let long: fn() -> Histogram = || Histogram::new(exponential_buckets(0.1, 2.0, 16));
        let submits = Family::default();
        // A series that begins above 0 never looks as if it had grown.
        for outcome in OUTCOMES {
            let _: &Counter = &submits.get_or_create(&[("outcome", outcome)]);
        }
        Self {
            reconciles: Family::default(),
            reconcile_seconds: Family::new_with_constructor(short),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(short),
            budget_wait_seconds: Family::new_with_constructor(long),
            submits,
            orphaned: Counter::default(),
        }
    }
}

impl Metrics {
    /// One look at an object of this kind ended so (`written`, `unchanged` or `retried`).
    pub fn reconciled(&self, kind: &'static str, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&[("kind", kind), ("result", result)]).inc();
        self.reconcile_seconds.get_or_create(&[("kind", kind)]).observe(took.as_secs_f64());
    }

    /// One request to the service ended: with this HTTP status, or without an answer. The time is until its headers.
    pub fn requested(&self, route: &'static str, code: Option<u16>, took: Duration) {
        let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        self.requests.get_or_create(&[("route", route.to_owned()), ("code", code)]).inc();
        self.request_seconds.get_or_create(&[("route", route)]).observe(took.as_secs_f64());
    }

    /// A request got its turn after this long.
    pub fn waited(&self, lane: &'static str, waited: Duration) {
        self.budget_wait_seconds.get_or_create(&[("lane", lane)]).observe(waited.as_secs_f64());
    }

    /// One submit was answered so.
    pub fn submitted(&self, outcome: &'static str) {
        self.submits.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A job was left that nothing here follows.
    pub fn orphaned(&self) {
        self.orphaned.inc();
    }
}
