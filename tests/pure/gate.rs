//! The gate before a budget: what a permit tells it, and what becomes of one that is dropped.

use spideriq_operator::budget::{Budget, Counted, Gate, Lane, Limits, SUBMITS_PROBE, Verdict};
use spideriq_operator::clock::Clock;
use spideriq_operator::telemetry::Metrics;
use tokio::sync::mpsc;

#[tokio::test]
async fn an_ordinary_answer_is_no_news_of_a_spend_cap() {
    let (turns, _keys) = mpsc::unbounded_channel();
    let limits = Limits { requests_per_minute: 6000, burst: 2000, submits_per_minute: 600 };
    let clock = Clock::system();
    let budget = Budget::unused(limits, clock.steady());
    let gate = Gate::new(budget, clock.clone(), turns, Metrics::default());
    let settle =
        async |lane, verdict| gate.acquire(lane, "a", "job").await.settle(verdict, Counted::default());
    assert!(settle(Lane::Submit, Verdict::Capped(clock.now() + SUBMITS_PROBE)).await);
    // By a real clock, of which no two looks are the same.
    for _ in 0..10 {
        assert!(!settle(Lane::Poll, Verdict::Answered).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_request_was_begun_is_spent_whatever_becomes_of_it() {
    let (turns, _keys) = mpsc::unbounded_channel();
    let clock = Clock::system();
    let budget = Budget::unused(Limits::default(), clock.steady());
    let gate = Gate::new(budget, clock, turns, Metrics::default());
    assert_eq!(gate.available(), 20);
    drop(gate.acquire(Lane::Poll, "a", "job").await);
    assert_eq!(gate.available(), 20, "nothing was sent");
    drop(gate.acquire(Lane::Poll, "a", "job").await.begun());
    assert_eq!(gate.available(), 19, "it may arrive");
}
