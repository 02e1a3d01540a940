//! Jobs that others made, and objects that mirror them.

use std::time::Duration;

use serde_json::{Value, json};

use super::fate::Plan;
use super::run::{run, run_interrupted};
use super::scenario::{Deed, Scenario, scenario};

const ID: &str = "550e8400-e29b-41d4-a716-446655440000";

fn mirror() -> Value {
    json!({"jobID": ID})
}

fn mirror_that_cancels() -> Value {
    json!({"jobID": ID, "deletionPolicy": "Cancel"})
}

pub fn mirrors() -> Vec<Scenario> {
    const LONG: &str = "https://long-theirs.example";
    vec![
        scenario(
            "a job of others is mirrored",
            vec![(0, Deed::Theirs(ID, "https://theirs.example")), (1, Deed::Create("mirror", mirror()))],
            300,
        ),
        scenario(
            "the mirror of a job goes, and the job stays",
            vec![
                (0, Deed::Theirs(ID, LONG)),
                (1, Deed::Create("mirror", mirror())),
                (30, Deed::Delete("mirror")),
            ],
            300,
        ),
        scenario(
            "the mirror of a job goes, and the job with it",
            vec![
                (0, Deed::Theirs(ID, LONG)),
                (1, Deed::Create("mirror", mirror_that_cancels())),
                (30, Deed::Delete("mirror")),
            ],
            300,
        ),
        scenario(
            "one of two mirrors of a job goes, and the job stays",
            vec![
                (0, Deed::Theirs(ID, LONG)),
                (1, Deed::Create("one", mirror_that_cancels())),
                (1, Deed::Create("two", mirror())),
                (30, Deed::Delete("one")),
            ],
            200,
        ),
    ]
}

/// What is under way for an object that goes meanwhile ends, and nothing follows.
#[test]
fn nobody_asks_about_the_job_of_an_object_that_is_gone() {
    let Some(mirrored) = mirrors().into_iter().next() else { return };
    let at_once = Plan { latency: Duration::from_millis(5), ..Plan::default() };
    for step in 0..run(&mirrored, 1, at_once.clone()).fate.steps() {
        let ended = run_interrupted(&mirrored, 1, at_once.clone(), Some((step, Deed::Delete("mirror"))));
        if !ended.api.store().list("ScrapeJob", None).is_empty() {
            // It was not made yet.
            continue;
        }
        let trace = ended.fate.trace();
        let after = trace.lines().skip_while(|line| !line.contains("user, meanwhile: Delete"));
        let asked = after.filter(|line| line.contains("service > GET /api/v1/jobs")).count();
        assert!(asked <= 1, "step {step}, {asked} requests:\n{trace}");
    }
}
