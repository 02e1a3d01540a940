//! Two releases of the operator over one namespace: one works, whatever becomes of it, and nothing is done by both.

mod late;
mod world;

use std::time::Duration;

use serde_json::{Value, json};
use spideriq_operator::decide::message::Account;

use crate::run::{key, seconds, simulate};
use crate::store::{How, Key};

use self::world::{World, lease, release};

/// A service that goes on asking to wait, so that the account has something to say all the time.
const THROTTLED: &str = "jobs: [{queued: 2, end: processing}]
faults: [{match: {route: status}, reply: {status: 429, headers: {Retry-After: \"7\"}}}]";
const QUICK: &str = "jobs: [{queued: 2, processing: 3}]";
const LONG: &str = "jobs: [{queued: 2, end: processing}]";

#[test]
fn of_two_releases_one_works_and_the_other_says_so_once() {
    simulate(1, async {
        let world = World::new(THROTTLED);
        let (first, second) = (world.start(release("first", false)), world.start(release("second", false)));
        (0..5).for_each(|n| world.job(&format!("job-{n}")));
        seconds(60).await;
        let holder = world.holder();
        let told = world.told();
        assert_eq!(told.len(), 1, "{told:?}");
        let other = holder.as_str().unwrap().to_owned();
        let own = if other == "first" { "second" } else { "first" }.to_owned();
        let says = Account::AnotherOperator { other, own, scope: "namespace team-a".to_owned() };
        assert_eq!(told[0], says.to_string());
        let (before, conflicts) = (world.account_writes(), world.api.store().conflicts.len());
        seconds(600).await;
        assert_eq!((world.holder(), world.told().len()), (holder.clone(), 1));
        // 10 renewals, and what a pause that begins and ends all the time gives to write, once in 5 s at the most.
        let written = world.account_writes() - before;
        assert!((10..=10 + 120).contains(&written), "{written} writes in 10 minutes");
        let lost = world.api.store().conflicts.len() - conflicts;
        assert!(lost <= 5, "{lost} writes against each other");
        for n in 0..5 {
            let job = world.read("ScrapeJob", &format!("job-{n}"));
            assert_eq!(job["status"]["operator"], holder, "{job}");
        }
        world.none_twice();
        drop((first, second));
    });
}

#[test]
fn a_killed_process_is_followed_by_another_of_its_release_at_once_and_by_another_release_in_time() {
    simulate(1, async {
        let world = World::new(QUICK);
        let first = world.start(release("first", false));
        world.job("one");
        world.until("one", "Completed", 30).await;
        first.kill();
        let again = world.start(release("first", false));
        world.job("two");
        let took = world.until("two", "Completed", 30).await;
        assert!(took <= 15, "{took} s for a process that comes back");
        again.kill();
        // It was renewed a moment ago, and nobody says that it is gone.
        let second = world.start(release("second", false));
        let before = world.requests();
        world.job("three");
        seconds(120).await;
        assert_eq!(world.requests(), before, "nothing is sent beside a claim that may be alive");
        world.until("three", "Completed", 120).await;
        assert_eq!(world.holder(), "second");
        world.none_twice();
        drop(second);
    });
}

#[test]
fn a_lease_that_is_gone_or_runs_out_ends_a_claim_at_once() {
    for deleted in [true, false] {
        simulate(1, async {
            let world = World::new(QUICK);
            world.renew("first", 1);
            let first = world.start(release("first", true));
            world.job("one");
            world.until("one", "Completed", 30).await;
            let second = world.start(release("second", true));
            world.job("two");
            // Both see it; the one whose claim is alive works.
            world.until("two", "Completed", 30).await;
            assert_eq!(world.holder(), "first");
            world.renew("first", 2);
            first.kill();
            if deleted {
                world.api.with(|store, now| store.delete(&lease("first"), &Value::Null, now)).unwrap();
            }
            world.job("three");
            let took = world.until("three", "Completed", 60).await;
            assert!(took <= 40, "{took} s, deleted: {deleted}");
            assert_eq!(world.holder(), "second");
            world.none_twice();
            drop(second);
        });
    }
}

#[test]
fn a_lease_that_is_renewed_keeps_its_release_working() {
    simulate(1, async {
        let world = World::new(LONG);
        world.renew("first", 1);
        let first = world.start(release("first", true));
        world.job("one");
        world.until("one", "Processing", 30).await;
        let second = world.start(release("second", true));
        world.job("two");
        for n in 2..80 {
            world.renew("first", n);
            seconds(5).await;
        }
        assert_eq!((world.holder(), world.told().len()), (json!("first"), 1));
        world.none_twice();
        drop((first, second));
    });
}

#[test]
fn a_graceful_stop_hands_over_at_once() {
    simulate(1, async {
        let world = World::new(LONG);
        let first = world.start(release("first", false));
        world.job("one");
        world.until("one", "Processing", 30).await;
        let second = world.start(release("second", false));
        world.job("two");
        seconds(30).await;
        assert_eq!(world.holder(), "first");
        first.stop().await;
        world.job("three");
        seconds(3).await;
        assert_eq!(world.holder(), "second");
        world.until("three", "Processing", 30).await;
        assert_eq!(world.read("ScrapeJob", "one")["status"]["state"], "Processing");
        world.none_twice();
        drop(second);
    });
}

#[test]
fn a_graceful_stop_takes_off_a_claim_that_rests_but_never_one_of_another_release() {
    simulate(1, async {
        let world = World::new(QUICK);
        let first = world.start(release("first", false));
        world.job("one");
        world.until("one", "Completed", 30).await;
        seconds(90).await;
        let second = world.start(release("second", false));
        first.stop().await;
        assert_eq!(world.holder(), Value::Null);
        let first = world.start(release("first", false));
        world.job("two");
        world.until("two", "Completed", 30).await;
        let holder = world.holder();
        let (stays, goes) = if holder == "first" { (first, second) } else { (second, first) };
        goes.stop().await;
        assert_eq!(world.holder(), holder);
        // Nor where that one has its claim on the very account that was claimed before.
        let status = json!({"status": {"operator": {"id": "third", "renewals": 1}}});
        let how = How { status: true, ..How::default() };
        world
            .api
            .with(|store, _| store.patch(&key("ScrapeAccount", "default"), how, &status, "user"))
            .unwrap();
        seconds(5).await;
        stays.stop().await;
        assert_eq!(world.holder(), "third");
    });
}

#[test]
fn an_account_that_is_deleted_and_made_again_stays_with_its_release() {
    simulate(1, async {
        let world = World::new(LONG);
        let first = world.start(release("first", false));
        world.job("one");
        world.until("one", "Processing", 60).await;
        let second = world.start(release("second", false));
        seconds(5).await;
        // It comes back behind the other one, which from here on sees everything a moment before.
        first.kill();
        let first = world.start(release("first", false));
        seconds(20).await;
        let holder = world.holder();
        for n in 0..3 {
            world
                .api
                .with(|store, now| store.delete(&key("ScrapeAccount", "default"), &Value::Null, now))
                .unwrap();
            seconds(20 * n).await;
            world.account("default");
            let name = format!("job-{n}");
            world.job(&name);
            world.until(&name, "Processing", 240).await;
            assert_eq!(world.holder(), holder, "round {n}");
        }
        world.none_twice();
        drop((first, second));
    });
}

/// A claim of a release that is no more comes back with a backup, or stands on a newer account.
#[test]
fn a_restored_claim_of_a_release_that_is_no_more_is_waited_for_no_longer_than_4_minutes() {
    let claim = json!({"id": "long-gone", "renewals": 7, "lease": {"namespace": "elsewhere", "name": "../../secrets"}});
    let restore = |world: &World, name: &str| {
        let how = How { status: true, ..How::default() };
        let status = json!({"status": {"observedGeneration": 1, "operator": claim, "conditions": []}});
        world.api.with(|store, _| store.patch(&key("ScrapeAccount", name), how, &status, "user")).unwrap();
    };
    simulate(1, async {
        let world = World::new(QUICK);
        restore(&world, "default");
        let first = world.start(release("first", false));
        world.job("one");
        seconds(150).await;
        assert_eq!(world.requests(), 0);
        world.until("one", "Completed", 90).await;
        // On a newer account it stops nobody who works, and is taken off.
        world.job("two");
        seconds(1).await;
        world.account("newer");
        restore(&world, "newer");
        world.until("two", "Completed", 30).await;
        // Put over the claim of who works, it is waited for.
        restore(&world, "default");
        world.job("three");
        world.until("three", "Completed", 240).await;
        assert_eq!(world.holder(), "first");
        drop(first);
    });
}

/// A process that was frozen, or whose renewals do not get through, sends nothing after 2 minutes.
#[test]
fn nothing_is_sent_while_the_claim_cannot_be_renewed() {
    simulate(1, async {
        let world = World::new(LONG);
        let first = world.start(release("first", false));
        world.job("one");
        world.until("one", "Processing", 30).await;
        world.api.with(|store, _| store.no_claims = true);
        seconds(180).await;
        let before = world.requests();
        seconds(300).await;
        assert_eq!(world.requests(), before, "looks at a job beside a claim that is not renewed");
        world.api.with(|store, _| store.no_claims = false);
        seconds(120).await;
        assert!(world.requests() > before, "it goes on by itself");
        drop(first);
    });
}

#[test]
fn a_namespace_at_rest_costs_no_renewals_and_its_work_goes_on_at_once() {
    simulate(1, async {
        let world = World::new(QUICK);
        let first = world.start(release("first", false));
        world.job("one");
        world.until("one", "Completed", 30).await;
        seconds(200).await;
        let before = world.account_writes();
        seconds(3600).await;
        assert_eq!(world.account_writes(), before);
        world.job("two");
        let took = world.until("two", "Completed", 30).await;
        assert!(took <= 15, "{took} s");
        drop(first);
    });
}

#[test]
fn a_status_that_flaps_is_written_once_in_5_s_and_ends_as_it_is() {
    simulate(1, async {
        let world = World::new(LONG);
        let first = world.start(release("first", false));
        world.job("one");
        world.until("one", "Processing", 30).await;
        let suspend = |suspend: bool| {
            let spec = json!({"spec": {"suspend": suspend}});
            world.api.with(|store, _| {
                store.patch(&key("ScrapeAccount", "default"), How::default(), &spec, "user").unwrap();
            });
        };
        let ready = |world: &World| {
            let account = world.read("ScrapeAccount", "default");
            let conditions = account["status"]["conditions"].as_array().unwrap().clone();
            conditions.into_iter().find(|condition| condition["type"] == "Ready").unwrap()["reason"].clone()
        };
        let before = world.account_writes();
        for n in 0..120 {
            suspend(n % 2 == 0);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let written = world.account_writes() - before;
        // And a renewal or two, and the counts of its jobs.
        assert!((3..=12 + 3).contains(&written), "{written} writes in a minute");
        suspend(true);
        seconds(6).await;
        assert_eq!(ready(&world), "Suspended", "what is true then is written");
        suspend(false);
        seconds(6).await;
        assert_eq!(ready(&world), "Available");
        drop(first);
    });
}

#[test]
fn of_two_releases_that_see_an_account_of_the_cluster_one_works_with_it() {
    simulate(1, async {
        let world = World::new(QUICK);
        world.shared_account_only();
        let both = ["first", "second"].map(|id| world.start_in(&[], release(id, false)));
        (0..3).for_each(|n| world.job(&format!("job-{n}")));
        for n in 0..3 {
            world.until(&format!("job-{n}"), "Completed", 60).await;
        }
        let shared = Key {
            kind: "ClusterScrapeAccount".to_owned(),
            namespace: String::new(),
            name: "default".to_owned(),
        };
        let account = world.api.store().get(&shared).unwrap();
        let holder = account["status"]["operator"]["id"].clone();
        for n in 0..3 {
            assert_eq!(world.read("ScrapeJob", &format!("job-{n}"))["status"]["operator"], holder);
        }
        assert_eq!(world.told().len(), 1, "{:?}", world.told());
        world.none_twice();
        drop(both);
    });
}

/// What a release for some namespaces leaves to one that sees accounts of the cluster.
#[test]
fn a_release_for_some_namespaces_leaves_alone_what_another_one_does_with_an_account_of_the_cluster() {
    for namespaced_first in [true, false] {
        simulate(1, async {
            let world = World::new(LONG);
            world.shared_account_only();
            let some = || world.start(release("some", false));
            let early = namespaced_first.then(some);
            if namespaced_first {
                // It says what is missing, as long as nobody else has said anything.
                world.job("one");
                seconds(10).await;
                assert_eq!(world.read("ScrapeJob", "one")["status"]["reason"], "AccountNotFound");
            }
            let all = world.start_in(&[], release("all", false));
            world.job("two");
            let names_it =
                json!({"spec": {"accountRef": {"kind": "ClusterScrapeAccount", "name": "default"}}});
            world.job("three");
            world.api.with(|store, _| {
                store.patch(&key("ScrapeJob", "three"), How::default(), &names_it, "user").unwrap();
            });
            world.until("two", "Processing", 60).await;
            world.until("three", "Processing", 60).await;
            let late = (!namespaced_first).then(some);
            seconds(60).await;
            let writes = || {
                let store = world.api.store();
                store.writes.iter().filter(|(by, key)| by != "user" && key.kind == "ScrapeJob").count()
            };
            let before = writes();
            seconds(600).await;
            assert_eq!(writes(), before, "two write against each other");
            for name in ["two", "three"] {
                assert_eq!(world.read("ScrapeJob", name)["status"]["operator"], "all");
            }
            if namespaced_first {
                assert_eq!(world.read("ScrapeJob", "one")["status"]["operator"], "all");
            }
            world.none_twice();
            drop((early, late, all));
        });
    }
}
