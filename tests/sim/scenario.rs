//! What users do in a run: at which second, to which object.

use serde_json::{Value, json};

/// One thing that a user does.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Creates a job with this spec.
    Create(&'static str, Value),
    /// Merges this into its spec.
    Edit(&'static str, Value),
    /// Deletes it.
    Delete(&'static str),
    /// Puts this token into the account's Secret.
    Token(&'static str),
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

fn site(name: &str) -> Value {
    json!({"type": "spiderSite", "payload": {"url": format!("https://{name}.example")}})
}

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    let short = "jobs: [{match: {contains: fails}, queued: 2, processing: 3, end: failed}, {match: {contains: long}, queued: 2, end: processing}, {queued: 2, processing: 3}]";
    vec![
        Scenario {
            name: "one job",
            rules: short,
            deeds: vec![(1, Deed::Create("acme", site("acme")))],
            lasts: 600,
        },
        Scenario {
            name: "several jobs, one fails",
            rules: short,
            deeds: vec![
                (1, Deed::Create("a", site("a"))),
                (1, Deed::Create("b", site("b"))),
                (2, Deed::Create("fails", site("fails"))),
                (9, Deed::Create("c", site("c"))),
            ],
            lasts: 900,
        },
        Scenario {
            name: "equal payloads share a job, and the first goes",
            rules: short,
            deeds: vec![
                (1, Deed::Create("one", site("long-shared"))),
                (20, Deed::Create("two", site("long-shared"))),
                (40, Deed::Delete("one")),
                (60, Deed::Delete("two")),
            ],
            lasts: 900,
        },
        Scenario {
            name: "deleted while it runs",
            rules: short,
            deeds: vec![(1, Deed::Create("long", site("long"))), (30, Deed::Delete("long"))],
            lasts: 900,
        },
        Scenario {
            name: "deleted just after it was made",
            rules: short,
            deeds: vec![(10, Deed::Create("brief", site("long-brief"))), (10, Deed::Delete("brief"))],
            lasts: 900,
        },
        Scenario {
            name: "suspended, and let go",
            rules: short,
            deeds: vec![
                (
                    1,
                    Deed::Create("held", {
                        let mut spec = site("held");
                        spec["suspend"] = true.into();
                        spec
                    }),
                ),
                (20, Deed::Edit("held", json!({"suspend": false}))),
            ],
            lasts: 600,
        },
        Scenario {
            name: "the token changes while a job runs",
            rules: short,
            deeds: vec![
                (1, Deed::Create("before", site("before"))),
                (12, Deed::Token("cli_sim:sk_sim:secret_next")),
                (13, Deed::Create("after", site("after"))),
            ],
            lasts: 900,
        },
        Scenario {
            name: "the service is down for two minutes",
            rules: short,
            deeds: vec![
                (1, Deed::Create("first", site("first"))),
                (11, Deed::Faults("[{match: {path: /}, reply: {status: 503}}]")),
                (12, Deed::Create("second", site("second"))),
                (130, Deed::Faults("[]")),
            ],
            lasts: 1800,
        },
    ]
}
