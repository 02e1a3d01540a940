//! A model of the submit: the real decisions as the rules of a small world of objects, replicas, a service and faults,
//! every state of which is visited.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test"
)]

mod laws;
mod replica;
mod service;
mod setup;
mod steps;
mod world;

use laws::check;
use setup::{Break, Setup};
use world::{Ask, Faults};

/// Every law holds in every state, and there are enough of them for that to mean something.
fn holds(name: &str, floor: usize, setup: Setup) {
    let begun = std::time::Instant::now();
    let found = check(setup);
    println!("{name}: {} states in {:?}", found.states, begun.elapsed());
    for (law, steps) in &found.broken {
        println!("{law}, after:");
        for step in steps {
            println!("  {step:?}");
        }
    }
    assert!(found.broken.is_empty(), "{name}: {:?}", found.broken.keys());
    assert!(found.states >= floor, "{name}: only {} states", found.states);
}

/// A broken model breaks this law: what holds above does not hold of anything.
fn breaks(law: &str, setup: Setup) {
    let how = setup.broken;
    let found = check(setup);
    println!("{how:?}: {law} after {} states", found.states);
    assert!(found.broken.contains_key(law), "{how:?}: {:?}", found.broken.keys());
}

const CRASH_AND_LOSS: Faults = Faults { crashes: 1, lost: 1, refusals: 0 };

/// Two replicas that both believe that they lead.
fn two() -> Setup {
    Setup { replicas: 2, slow: true, ..Setup::default() }
}

#[test]
fn deletion_with_every_fault() {
    let faults = Faults { refusals: 1, ..CRASH_AND_LOSS };
    let setup = Setup { faults, slow: true, asks: vec![Ask::Delete(0)], ..Setup::default() };
    holds("deletion, a type that is de-duplicated", 15_000, setup.clone());
    holds("deletion, a type that acts again", 8_000, Setup { deduplicates: false, ..setup });
}

#[test]
fn a_cancel_with_a_crash_and_a_loss() {
    let setup = Setup { faults: CRASH_AND_LOSS, asks: vec![Ask::Cancel(0)], ..Setup::default() };
    holds("cancel, a type that is de-duplicated", 4_000, Setup { slow: true, ..setup.clone() });
    holds("cancel, a type that acts again", 3_000, Setup { deduplicates: false, ..setup });
}

#[test]
fn another_run_with_a_crash_and_a_loss() {
    let setup = Setup { faults: CRASH_AND_LOSS, slow: true, asks: vec![Ask::Rerun(0)], ..Setup::default() };
    holds("another run of the same payload", 5_000, Setup { new_payload: false, ..setup.clone() });
    holds("another run of a type that acts again", 5_000, Setup { deduplicates: false, ..setup });
}

#[test]
fn two_replicas() {
    let faults = Faults { lost: 1, ..Faults::default() };
    let setup = Setup { deduplicates: false, ..two() };
    holds("two replicas and a loss, a type that acts again", 10_000, Setup { faults, ..setup.clone() });
    holds("two replicas and deletion", 10_000, Setup { asks: vec![Ask::Delete(0)], ..setup });
}

#[test]
fn two_replicas_and_a_crash() {
    let faults = Faults { crashes: 1, ..Faults::default() };
    let setup = Setup { faults, deduplicates: false, ..two() };
    holds("two replicas and a crash, a type that acts again", 80_000, setup);
}

#[test]
fn two_replicas_and_a_cancel() {
    holds("two replicas and a cancel", 15_000, Setup { asks: vec![Ask::Cancel(0)], ..two() });
}

#[test]
fn two_objects_of_one_payload() {
    let setup = Setup { objects: 2, asks: vec![Ask::Delete(0)], ..Setup::default() };
    holds("two objects that share a job", 10_000, setup);
    let rerun = Setup { objects: 2, asks: vec![Ask::Rerun(0)], slow: true, ..Setup::default() };
    holds("two objects that share a job, and one runs again", 5_000, rerun);
}

const S1: &str = "S1 a run is billed once";
const S3: &str = "S3 what another is about to receive is not cancelled";
const S4: &str = "S4 terminal is final";
const S5: &str = "S5 what another uses is not cancelled";
const S9: &str = "S9 nothing is sent for what is gone";

#[test]
fn without_the_second_write_a_crash_pays_twice() {
    let faults = Faults { crashes: 1, ..Faults::default() };
    let broken = Some(Break::NoSecondWrite);
    breaks(S1, Setup { deduplicates: false, faults, broken, ..Setup::default() });
}

#[test]
fn without_the_precondition_two_replicas_pay_twice() {
    breaks(S1, Setup { deduplicates: false, broken: Some(Break::NoFence), ..two() });
}

#[test]
fn without_the_wait_a_request_outlives_its_object() {
    let asks = vec![Ask::Delete(0)];
    breaks(S9, Setup { deduplicates: false, broken: Some(Break::NoWait), asks, ..two() });
}

#[test]
fn without_those_who_follow_it_a_shared_job_is_cancelled() {
    let asks = vec![Ask::Delete(0)];
    breaks(S5, Setup { objects: 2, broken: Some(Break::WaitersOnly), asks, slow: true, ..Setup::default() });
}

#[test]
fn without_those_who_wait_a_job_is_cancelled_that_is_about_to_be_received() {
    let asks = vec![Ask::Delete(0)];
    breaks(
        S3,
        Setup { objects: 2, broken: Some(Break::FollowersOnly), asks, slow: true, ..Setup::default() },
    );
}

#[test]
fn without_a_look_at_the_run_a_late_answer_revives_it() {
    let asks = vec![Ask::Cancel(0)];
    breaks(S4, Setup { deduplicates: false, broken: Some(Break::WriteOverAnything), asks, ..two() });
}
