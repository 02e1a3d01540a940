//! What a start costs whom: nobody's new job waits for all that others store.

use std::time::Duration;

use emulator::journal::Event;
use serde_json::{Value, json};

use super::aliases::World;
use super::lists::{between, ended, mirrored, requests, rules};
use super::run::{seconds, simulate};
use super::scenario::{Deed, mail, site};
use super::store::{How, Key};

const ACCOUNTS: [(&str, &str); 2] =
    [("crowd", "cli_crowd:sk_crowd:secret_crowd"), ("team", "cli_team:sk_team:secret_team")];
/// Whoever is alone in both namespaces.
const ONE_CLIENT: [(&str, &str); 2] =
    [("crowd", "cli_team:sk_crowd:secret_crowd"), ("team", "cli_team:sk_team:secret_team")];

fn key(namespace: &str, name: &str) -> Key {
    Key { kind: "ScrapeJob".to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

fn job(world: &World, namespace: &str, name: &str) -> Value {
    world.api.store().get(&key(namespace, name)).unwrap()
}

/// How many submits the service has answered.
fn submits(world: &World) -> usize {
    let entries = world.service.journal(0).entries.into_iter();
    let submit = |event: &Event| matches!(event, Event::Request(request) if request.route == "submit");
    entries.filter(|entry| submit(&entry.event)).count()
}

/// Jobs that a list shows before any of the other namespace, page by page.
fn crowd(world: &World, many: usize) {
    for n in 0..many {
        let mut spec = site("crowd");
        spec["suspend"] = true.into();
        world.create("ScrapeJob", "crowd", &format!("job-{n:03}"), json!({"spec": spec}));
    }
}

/// Made before the start, and while the list is under way.
#[test]
fn a_new_job_is_submitted_while_the_list_of_all_jobs_is_under_way() {
    simulate(1, async {
        let world = World::with(ACCOUNTS, "[]");
        crowd(&world, 200);
        world.api.with(|store, _| store.slow_pages = Some(Duration::from_secs(8)));
        world.create("ScrapeJob", "team", "before", json!({"spec": site("before")}));
        let of = |name: &str| Key { kind: "ScrapeAccount".to_owned(), ..key("crowd", name) };
        let spec = world.api.store().get(&of("default")).unwrap()["spec"].clone();
        world.create("ScrapeAccount", "crowd", "idle", json!({"spec": spec}));
        let is_opened =
            |name: &str| world.api.store().get(&of(name)).unwrap()["status"]["conditions"].is_array();
        let operator = world.operator();
        seconds(2).await;
        world.create("ScrapeJob", "team", "new", json!({"spec": site("new")}));
        // Its own namespace is read between two pages.
        seconds(7).await;
        for name in ["before", "new"] {
            assert_eq!(job(&world, "team", name)["status"]["state"], "Queued", "{name}");
        }
        assert!(is_opened("default") && !is_opened("idle"), "nobody knows whether it has work");
        // It is followed with all others, once they are there.
        seconds(200).await;
        assert!(is_opened("idle"));
        assert_eq!(job(&world, "crowd", "job-000")["status"]["state"], "Suspended");
        assert_eq!(world.fate.violations(), Vec::<String>::new());
        drop(operator);
    });
}

/// Of the client alone what was submitted before is read, and of each of its namespaces.
#[test]
fn what_was_submitted_before_a_start_counts_before_all_jobs_are_listed() {
    for accounts in [ACCOUNTS, ONE_CLIENT] {
        simulate(1, async {
            let world = World::with(accounts, "[]");
            crowd(&world, 200);
            let operator = world.operator();
            seconds(60).await;
            let name = |n: usize| format!("a-{n}");
            // Of those of the other namespace four are the client's own, or none is.
            for n in 0..4 {
                world.create("ScrapeJob", "crowd", &name(n), json!({"spec": mail(&name(n))}));
            }
            for n in 4..8 {
                world.create("ScrapeJob", "team", &name(n), json!({"spec": mail(&name(n))}));
            }
            // What people annotate is of any size, and is not read for it.
            let notes = json!({"metadata": {"annotations": {"notes": "x".repeat(100_000)}}});
            for n in 4..8 {
                let key = key("team", &name(n));
                world.api.with(|store, _| store.patch(&key, How::default(), &notes, "user")).unwrap();
            }
            let long = key("team", &name(0));
            let spec = json!({"spec": {"suspend": true, "type": "spiderMail", "payload": {"url": "https://long.example"}}, "metadata": {}});
            world.create("ScrapeJob", "team", &name(0), spec);
            world.api.with(|store, _| store.patch(&long, How::default(), &notes, "user")).unwrap();
            seconds(3).await;
            assert_eq!(submits(&world), 8);
            drop(operator);
            world.api.with(|store, _| store.slow_pages = Some(Duration::from_secs(8)));
            let operator = world.operator();
            seconds(1).await;
            for n in 8..18 {
                world.create("ScrapeJob", "team", &name(n), json!({"spec": mail(&name(n))}));
            }
            seconds(20).await;
            let room = if accounts == ONE_CLIENT { 2 } else { 6 };
            assert_eq!(submits(&world), 8 + room, "ten in a minute");
            seconds(600).await;
            assert_eq!(submits(&world), 18);
            assert_eq!(world.fate.violations(), Vec::<String>::new());
            drop(operator);
        });
    }
}

/// Whatever the list shows first: a part of what is followed would have the list of changes begin without the rest, of which
/// each would cost a look.
#[test]
fn what_is_in_flight_costs_no_looks_however_slowly_it_is_listed() {
    let mut deeds = mirrored(300, 0);
    deeds.extend([(200, Deed::Pages(4)), (201, Deed::Crash)]);
    let ended = ended(rules(60), deeds, 260);
    let after = between(&ended, 201, 260);
    let looks = requests(&after, "status");
    assert!(looks <= 1, "{looks} looks after the start");
    assert!(requests(&after, "list") >= 3, "it is followed again");
}

/// What is deleted before its part of the list was read is cancelled once it was, and what another object shares is not.
#[test]
fn a_job_that_others_may_share_is_left_alone_until_all_are_listed() {
    simulate(1, async {
        let world = World::with(ONE_CLIENT, "[]");
        crowd(&world, 60);
        world.create("ScrapeJob", "crowd", "acme", json!({"spec": site("acme")}));
        let operator = world.operator();
        seconds(60).await;
        world.create("ScrapeJob", "team", "acme", json!({"spec": site("acme")}));
        seconds(60).await;
        let id = job(&world, "crowd", "acme")["status"]["jobID"].clone();
        assert!(id.is_string() && id == job(&world, "team", "acme")["status"]["jobID"]);
        drop(operator);
        world.api.with(|store, _| store.slow_pages = Some(Duration::from_secs(5)));
        world.delete("crowd");
        let operator = world.operator();
        seconds(200).await;
        let cancels = world
            .service
            .journal(0)
            .entries
            .into_iter()
            .filter(|entry| matches!(&entry.event, Event::Request(request) if request.route == "cancel"));
        assert_eq!(cancels.count(), 0, "{:?}", world.fate.violations());
        assert_eq!(world.fate.violations(), Vec::<String>::new());
        drop(operator);
    });
}
