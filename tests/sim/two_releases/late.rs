//! Two releases where messages are late or lost.

use std::time::Duration;

use serde_json::Value;

use super::world::{World, release};
use super::{LONG, QUICK};
use crate::fate::Plan;
use crate::run::{key, seconds, simulate};

#[test]
fn whatever_is_late_or_lost_one_works_in_the_end_and_nothing_is_done_twice() {
    for seed in 0..12 {
        simulate(1, async {
            let faults = Plan {
                latency: Duration::from_millis(100),
                watch_lag: Duration::from_millis(2000),
                lost_api: 30,
                broken_watches: 30,
                until: 1500,
                ..Plan::default()
            };
            let world = World::under(QUICK, seed, faults);
            for name in ["b", "c"] {
                world.account(name);
            }
            let both = ["first", "second"].map(|id| world.start(release(id, false)));
            (0..6).for_each(|n| world.job(&format!("job-{n}")));
            seconds(60).await;
            // The account that bears the claim goes, and its place is free for whoever is faster.
            world.api.with(|store, now| store.delete(&key("ScrapeAccount", "b"), &Value::Null, now)).unwrap();
            for n in 0..6 {
                world.until(&format!("job-{n}"), "Completed", 600).await;
            }
            world.job("last");
            world.until("last", "Completed", 300).await;
            let bears = |name: &str| world.read("ScrapeAccount", name)["status"]["operator"]["id"].clone();
            let claims: Vec<Value> =
                ["default", "c"].map(bears).into_iter().filter(|id| !id.is_null()).collect();
            assert_eq!(claims.len(), 1, "seed {seed}: {claims:?}");
            assert_eq!(world.read("ScrapeJob", "last")["status"]["operator"], claims[0], "seed {seed}");
            world.none_twice();
            drop(both);
        });
    }
}

/// Watches that are minutes behind cost nobody the claim that is renewed meanwhile.
#[test]
fn a_claim_is_renewed_although_the_watch_of_accounts_is_minutes_behind() {
    simulate(1, async {
        let late = Duration::from_secs(200);
        let world = World::under(LONG, 3, Plan { watch_lag: late, until: u64::MAX, ..Plan::default() });
        let first = world.start(release("first", false));
        world.job("one");
        world.until("one", "Processing", 1200).await;
        let renewals = || world.read("ScrapeAccount", "default")["status"]["operator"]["renewals"].as_i64();
        let mut before = renewals();
        for round in 0..20 {
            seconds(100).await;
            let now = renewals();
            assert!(now > before, "round {round}: {now:?}");
            before = now;
        }
        drop(first);
    });
}
