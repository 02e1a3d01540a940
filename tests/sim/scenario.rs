//! What users do in a run: at which second, to which object.

use serde_json::{Value, json};

use super::clocks::clocks;
use super::credentials::accounts;
use super::mirrors::mirrors;
use super::troubles::troubles;

/// One thing that a user does.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Creates a job with this spec.
    Create(&'static str, Value),
    /// Merges this into its spec.
    Edit(&'static str, Value),
    /// Puts this annotation on it.
    Annotate(&'static str, &'static str, &'static str),
    /// Deletes it.
    Delete(&'static str),
    /// Puts it in its own place without what the operator has written to its metadata.
    Replace(&'static str),
    /// Takes its finalizers off, deletes it, and creates it again.
    Recreate(&'static str),
    /// Brings it back as a backup has it: without its status, under another uid.
    Restore(&'static str),
    /// Kills the operator, which starts again.
    Crash,
    /// Makes the operator's clock wrong by so many seconds.
    Clock(i64),
    /// Deletes the kind itself, and so every job.
    DeleteKind,
    /// Whether the API server takes events.
    Events(bool),
    /// Installs a CRD of jobs that lacks these fields of the status, or, with none, ours again.
    Crd(&'static [&'static str]),
    /// Whether a policy refuses what the operator writes to jobs, and to their statuses.
    Policy(bool, bool),
    /// Deletes the account.
    DeleteAccount,
    /// Deletes its Secret.
    DeleteSecret,
    /// Merges this into the spec of the account.
    Account(Value),
    /// Puts this token into the account's Secret.
    Token(&'static str),
    /// So many jobs of the same client and type are made by others.
    Others(usize),
    /// So many jobs of others, each of which begins to run and ends at some moments of so many seconds.
    Busy(usize, u64),
    /// How many seconds each page of objects takes from here on, but the first of a list.
    Pages(u64),
    /// A job with this id is made by others, for this page.
    Theirs(&'static str, &'static str),
    /// What goes wrong at the service from here on, as the emulator's rules have it.
    Faults(&'static str),
}

/// A run without anything going wrong.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// The emulator's rules.
    pub rules: &'static str,
    /// Deeds, each at its second.
    pub deeds: Vec<(u64, Deed)>,
    /// How long it takes until everything has come to rest, also after faults.
    pub lasts: u64,
}

pub fn site(name: &str) -> Value {
    json!({"type": "spiderSite", "payload": {"url": format!("https://{name}.example")}})
}

/// A job of a type that the service does not de-duplicate: each submit acts, and is charged.
pub fn mail(name: &str) -> Value {
    json!({"type": "spiderMail", "payload": {"url": format!("https://{name}.example")}})
}

/// The same with more of a spec.
pub fn with(name: &str, more: &Value) -> Value {
    let mut spec = site(name);
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    spec
}

/// Another run of a job, for another page.
fn run(id: &str, name: &str) -> Value {
    json!({"runID": id, "payload": {"url": format!("https://{name}.example")}})
}

/// Jobs whose name has `fails` in it fail, those with `long` never end, all others are completed.
const SHORT: &str = "jobs: [{match: {contains: fails}, queued: 2, processing: 3, end: failed}, {match: {contains: long}, queued: 2, end: processing}, {queued: 2, processing: 3}]";

/// Every scenario; `SIM_SCENARIO` leaves those whose name has these words in it.
pub fn all() -> Vec<Scenario> {
    let wanted = std::env::var("SIM_SCENARIO").unwrap_or_default();
    let mut all = [lives(), verbs(), clocks(), acting(), accounts(), mirrors(), troubles()].concat();
    all.retain(|scenario| scenario.name.contains(&wanted));
    all
}

impl Scenario {
    /// Whether two objects have one payload: who of them submits it, and so may cancel it, is chance.
    pub fn is_shared(&self) -> bool {
        let pages: Vec<&Value> = self
            .deeds
            .iter()
            .filter_map(
                |(_, deed)| if let Deed::Create(_, spec) = deed { Some(&spec["payload"]) } else { None },
            )
            .collect();
        pages.iter().enumerate().any(|(at, page)| pages[..at].contains(page))
    }

    /// Whether somebody changes their mind, or has to be asked: then a fault may keep a job from ever being submitted.
    pub fn is_fickle(&self) -> bool {
        self.deeds.iter().any(|(_, deed)| match deed {
            // What nobody knows of such a job is held.
            Deed::Create(_, spec) => spec["type"] == "spiderMail",
            Deed::Delete(_) | Deed::DeleteKind | Deed::Recreate(_) => true,
            Deed::Edit(_, spec) => spec.get("runID").is_some() || spec.get("cancel").is_some(),
            Deed::Annotate(..)
            | Deed::Replace(_)
            | Deed::Restore(_)
            | Deed::Crash
            | Deed::Clock(_)
            | Deed::DeleteAccount
            | Deed::DeleteSecret
            | Deed::Account(_)
            | Deed::Events(_)
            | Deed::Crd(_)
            | Deed::Policy(..)
            | Deed::Token(_)
            | Deed::Others(_)
            | Deed::Busy(..)
            | Deed::Pages(_)
            | Deed::Theirs(..)
            | Deed::Faults(_) => false,
        })
    }
}

pub fn scenario(name: &'static str, deeds: Vec<(u64, Deed)>, lasts: u64) -> Scenario {
    Scenario { name, rules: SHORT, deeds, lasts }
}

/// What users ask for in the spec of a job.
fn verbs() -> Vec<Scenario> {
    vec![
        scenario(
            "another run after the first",
            vec![
                (1, Deed::Create("again", with("first", &json!({"runID": "1"})))),
                (30, Deed::Edit("again", run("2", "second"))),
            ],
            900,
        ),
        scenario(
            "another run while the first runs",
            vec![
                (1, Deed::Create("again", with("long-first", &json!({"runID": "1"})))),
                (30, Deed::Edit("again", run("2", "second"))),
            ],
            900,
        ),
        scenario(
            "another run of an equal payload while the first runs",
            vec![
                (1, Deed::Create("again", with("long", &json!({"runID": "1"})))),
                (30, Deed::Edit("again", run("2", "long"))),
            ],
            400,
        ),
        scenario(
            "rolled back while the second run is under way",
            vec![
                (1, Deed::Create("again", with("first", &json!({"runID": "1"})))),
                (40, Deed::Edit("again", run("2", "long-second"))),
                (60, Deed::Edit("again", run("1", "first"))),
            ],
            1200,
        ),
        scenario(
            "cancelled while it runs",
            vec![(1, Deed::Create("stop", site("long"))), (30, Deed::Edit("stop", json!({"cancel": true})))],
            900,
        ),
        scenario(
            "cancelled just after it was made",
            vec![(10, Deed::Create("stop", site("long"))), (10, Deed::Edit("stop", json!({"cancel": true})))],
            900,
        ),
        scenario(
            "cancelled by one of two that share a job",
            vec![
                (1, Deed::Create("one", site("long-shared"))),
                (20, Deed::Create("two", site("long-shared"))),
                (60, Deed::Edit("one", json!({"cancel": true}))),
            ],
            200,
        ),
        scenario(
            "another run by one of two that share a job, and a third comes",
            vec![
                (1, Deed::Create("one", with("long-shared", &json!({"runID": "1"})))),
                (20, Deed::Create("two", site("long-shared"))),
                (39, Deed::Create("three", site("long-shared"))),
                (40, Deed::Edit("one", run("2", "other"))),
                (60, Deed::Delete("two")),
            ],
            200,
        ),
        scenario(
            "the kind is deleted while a job runs",
            vec![(1, Deed::Create("long", site("long"))), (30, Deed::DeleteKind)],
            900,
        ),
        scenario(
            "too slow for its deadline",
            vec![(1, Deed::Create("slow", with("long", &json!({"activeDeadlineSeconds": 60}))))],
            900,
        ),
        scenario(
            "gone a minute after its end",
            vec![(1, Deed::Create("brief", with("brief", &json!({"ttlSecondsAfterFinished": 60}))))],
            900,
        ),
        scenario(
            "looked at, paused, and let go",
            vec![
                (1, Deed::Create("look", site("look"))),
                (2, Deed::Annotate("look", "spideriq.ai/paused", "true")),
                (60, Deed::Annotate("look", "spideriq.ai/paused", "false")),
                (61, Deed::Annotate("look", "spideriq.ai/reconcile-requested-at", "now")),
            ],
            900,
        ),
    ]
}

/// Jobs that come, run, and go.
fn lives() -> Vec<Scenario> {
    vec![
        scenario("one job", vec![(1, Deed::Create("acme", site("acme")))], 600),
        scenario(
            "several jobs, one fails",
            vec![
                (1, Deed::Create("a", site("a"))),
                (1, Deed::Create("b", site("b"))),
                (2, Deed::Create("fails", site("fails"))),
                (9, Deed::Create("c", site("c"))),
            ],
            900,
        ),
        scenario(
            "equal payloads share a job, and the first goes",
            vec![
                (1, Deed::Create("one", site("long-shared"))),
                (20, Deed::Create("two", site("long-shared"))),
                (40, Deed::Delete("one")),
                (60, Deed::Delete("two")),
            ],
            900,
        ),
        scenario(
            "deleted while it runs",
            vec![(1, Deed::Create("long", site("long"))), (30, Deed::Delete("long"))],
            900,
        ),
        scenario(
            "deleted just after it was made",
            vec![(10, Deed::Create("brief", site("long-brief"))), (10, Deed::Delete("brief"))],
            900,
        ),
        scenario(
            "suspended, and let go",
            vec![
                (1, Deed::Create("held", with("held", &json!({"suspend": true})))),
                (20, Deed::Edit("held", json!({"suspend": false}))),
            ],
            600,
        ),
        scenario(
            "the token changes while a job runs",
            vec![
                (1, Deed::Create("before", site("before"))),
                (12, Deed::Token("cli_sim:sk_sim:secret_next")),
                (13, Deed::Create("after", site("after"))),
            ],
            900,
        ),
        scenario(
            "the service is down for two minutes",
            vec![
                (1, Deed::Create("first", site("first"))),
                (11, Deed::Faults("[{match: {path: /}, reply: {status: 503}}]")),
                (12, Deed::Create("second", site("second"))),
                (130, Deed::Faults("[]")),
            ],
            1800,
        ),
    ]
}

/// Jobs of which a second submit would be a second job.
fn acting() -> Vec<Scenario> {
    vec![
        scenario("a type that acts again", vec![(1, Deed::Create("mail", mail("mail")))], 600),
        scenario(
            "two of a type that acts again, and the first goes",
            vec![
                (1, Deed::Create("one", mail("long-one"))),
                (1, Deed::Create("two", mail("two"))),
                (40, Deed::Delete("one")),
            ],
            900,
        ),
        scenario(
            "another run of a type that acts again",
            vec![
                (1, Deed::Create("mail", with_run("1", &mail("long-mail")))),
                (30, Deed::Edit("mail", run("2", "long-other"))),
            ],
            200,
        ),
        scenario(
            "a type that acts again goes with an unknown outcome, behind many jobs of others",
            vec![
                (0, Deed::Faults("[{match: {route: submit}, when: {first: 1}, drop: after}]")),
                (1, Deed::Create("mail", mail("long-mail"))),
                (8, Deed::Others(150)),
                (60, Deed::Delete("mail")),
            ],
            400,
        ),
        scenario(
            "a type that acts again goes with an unknown outcome, while no events can be written",
            vec![
                (0, Deed::Faults("[{match: {route: submit}, when: {first: 1}, drop: after}]")),
                (1, Deed::Create("mail", mail("long-mail"))),
                (50, Deed::Events(false)),
                (60, Deed::Delete("mail")),
                (90, Deed::Events(true)),
            ],
            400,
        ),
        scenario(
            "a type that acts again, and its payload is refused",
            vec![
                (0, Deed::Faults("[{match: {route: submit}, reply: {status: 422}}]")),
                (1, Deed::Create("mail", mail("refused"))),
            ],
            200,
        ),
        scenario(
            "a type that acts again, and is throttled at first",
            vec![
                (
                    0,
                    Deed::Faults(
                        "[{match: {route: submit}, when: {first: 1}, reply: {status: 429, headers: {retry-after: '5'}}}]",
                    ),
                ),
                (1, Deed::Create("mail", mail("throttled"))),
            ],
            400,
        ),
    ]
}

fn with_run(id: &str, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["runID"] = id.into();
    spec
}
