//! Scenarios of a service that fails in one way or another, and of people who step in meanwhile.

use serde_json::{Value, json};

use super::oracle::calm;
use super::run::run;
use super::scenario::{Deed, Scenario, mail, scenario, site, with};

/// The first submit is carried out, and its answer lost.
const LOST: &str = "[{match: {route: submit}, when: {first: 1}, drop: after}]";

pub fn troubles() -> Vec<Scenario> {
    [unknown(), refusals(), ends(), deletions()].concat()
}

fn submission(spec: &Value, rules: &Value) -> Value {
    let mut spec = spec.clone();
    spec["submission"] = rules.clone();
    spec
}

/// What people do about a submit whose outcome is not known.
fn unknown() -> Vec<Scenario> {
    let lost = |name, spec: Value, then: Vec<(u64, Deed)>| {
        // By then its turn comes at once.
        let begin = vec![(0, Deed::Faults(LOST)), (10, Deed::Create("acme", spec))];
        scenario(name, [begin, then].concat(), 900)
    };
    vec![
        lost(
            "an unknown outcome of a type that acts again is submitted again, as its spec says",
            submission(&mail("mail"), &json!({"onAmbiguous": "Resubmit"})),
            Vec::new(),
        ),
        lost(
            "an unknown outcome of a type that acts again is taken over, as its spec says",
            submission(&mail("mail"), &json!({"onAmbiguous": "Adopt"})),
            Vec::new(),
        ),
        lost(
            "suspended while an outcome is not known",
            site("acme"),
            vec![
                (12, Deed::Edit("acme", json!({"suspend": true}))),
                (60, Deed::Edit("acme", json!({"suspend": false}))),
            ],
        ),
        lost(
            "cancelled while an outcome is not known",
            site("long"),
            vec![(12, Deed::Edit("acme", json!({"cancel": true})))],
        ),
        lost("deleted while an outcome is not known", site("long"), vec![(12, Deed::Delete("acme"))]),
        lost(
            "another run while an outcome is not known",
            with("long", &json!({"runID": "1"})),
            vec![(12, Deed::Edit("acme", with("other", &json!({"runID": "2"}))))],
        ),
        scenario(
            "the service accepts a submit without naming the job",
            vec![
                (
                    0,
                    Deed::Faults(
                        "[{match: {route: submit}, when: {first: 1}, reply: {status: 200, body: {}, handled: true}}]",
                    ),
                ),
                (1, Deed::Create("acme", site("acme"))),
            ],
            900,
        ),
        scenario(
            "the service fails after it made the job",
            vec![
                (
                    0,
                    Deed::Faults(
                        "[{match: {route: submit, type: Site}, when: {first: 1}, reply: {status: 500, handled: true}}, {match: {route: submit, type: Mail}, when: {first: 1}, reply: {status: 500, handled: true}}]",
                    ),
                ),
                (1, Deed::Create("site", site("acme"))),
                (60, Deed::Create("mail", mail("mail"))),
            ],
            900,
        ),
    ]
}

/// Nobody is left who would find out that the cap is raised: the account is no longer said to be at it.
#[test]
fn a_spend_cap_that_nobody_tries_is_forgotten() {
    let deeds = |delete: bool| {
        let deed = if delete { Deed::Delete("one") } else { Deed::Events(true) };
        vec![
            (0, Deed::Faults("[{match: {route: submit}, reply: {status: 402}}]")),
            (1, Deed::Create("one", site("one"))),
            (60, deed),
        ]
    };
    for (delete, reason) in [(true, "Available"), (false, "SpendCapReached")] {
        let ended = run(&scenario("a spend cap", deeds(delete), 9000), 1, calm());
        let account = ended.api.store().list("ScrapeAccount", None).remove(0);
        let conditions = account["status"]["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
        assert_eq!(ready["reason"], reason, "{account}");
    }
}

/// Those in line whose job is not wanted any more keep nobody from the turn that somebody asked for.
#[test]
fn a_turn_goes_to_no_job_that_is_held_back() {
    let name = |n: usize| &*format!("job-{n}").leak();
    let mut deeds = vec![(0, Deed::Faults("[{match: {route: submit}, reply: {status: 402}}]"))];
    deeds.extend((0..50).map(|n| (1, Deed::Create(name(n), site(name(n))))));
    deeds.extend((0..49).map(|n| (300, Deed::Edit(name(n), json!({"suspend": true})))));
    deeds.push((400, Deed::Faults("[]")));
    deeds.push((500, Deed::Annotate(name(49), "spideriq.ai/reconcile-requested-at", "now")));
    let ended = run(&scenario("a line of held jobs", deeds, 600), 1, calm());
    assert_eq!(ended.service.jobs().len(), 1);
}

/// What the service does not want.
fn refusals() -> Vec<Scenario> {
    vec![
        scenario(
            "the spend cap is reached, and raised",
            vec![
                (0, Deed::Faults("[{match: {route: submit}, reply: {status: 402}}]")),
                (1, Deed::Create("one", site("one"))),
                (1, Deed::Create("two", site("two"))),
                (600, Deed::Faults("[]")),
            ],
            9000,
        ),
        scenario(
            "the spend cap is raised, and a look is asked for",
            vec![
                (0, Deed::Faults("[{match: {route: submit}, reply: {status: 402}}]")),
                (1, Deed::Create("one", site("one"))),
                (1, Deed::Create("two", site("two"))),
                (1, Deed::Create("three", site("three"))),
                (300, Deed::Faults("[]")),
                (400, Deed::Annotate("two", "spideriq.ai/reconcile-requested-at", "now")),
            ],
            9000,
        ),
        scenario(
            "the endpoint redirects for seven minutes",
            vec![
                (
                    0,
                    Deed::Faults(
                        "[{match: {path: /}, reply: {status: 302, headers: {location: 'https://other.example'}}}]",
                    ),
                ),
                (1, Deed::Create("acme", site("acme"))),
                (420, Deed::Faults("[]")),
            ],
            1800,
        ),
        scenario(
            "throttled while a job runs",
            vec![
                (1, Deed::Create("acme", site("acme"))),
                (
                    9,
                    Deed::Faults(
                        "[{match: {route: status}, when: {first: 2}, reply: {status: 429, headers: {retry-after: '30'}}}]",
                    ),
                ),
            ],
            900,
        ),
        scenario(
            "the account is suspended, and let go",
            vec![
                (0, Deed::Account(json!({"suspend": true}))),
                (1, Deed::Create("acme", site("acme"))),
                (60, Deed::Account(json!({"suspend": false}))),
            ],
            600,
        ),
        scenario(
            "a payload that failed is asked for again",
            vec![(1, Deed::Create("first", site("fails"))), (200, Deed::Create("again", site("fails")))],
            900,
        ),
    ]
}

/// Jobs that end in an odd way.
fn ends() -> Vec<Scenario> {
    vec![
        scenario(
            "the service does not know a job for a moment",
            vec![
                (1, Deed::Create("acme", site("acme"))),
                (8, Deed::Faults("[{match: {route: status}, when: {first: 2}, reply: {status: 404}}]")),
            ],
            900,
        ),
        scenario(
            "the service forgets a job",
            vec![
                (1, Deed::Create("long", site("long"))),
                (30, Deed::Faults("[{match: {route: status}, reply: {status: 404}}]")),
            ],
            900,
        ),
        scenario(
            "results that cannot be read",
            vec![
                (0, Deed::Faults("[{match: {route: results}, reply: {status: 500}}]")),
                (1, Deed::Create("acme", site("acme"))),
            ],
            1800,
        ),
        scenario(
            "a deadline of one of two that share a job",
            vec![
                (1, Deed::Create("one", with("long", &json!({"activeDeadlineSeconds": 60})))),
                (20, Deed::Create("two", site("long"))),
            ],
            200,
        ),
    ]
}

/// Objects that go, or come back, while the job runs.
fn deletions() -> Vec<Scenario> {
    let long = || (1, Deed::Create("long", site("long")));
    vec![
        scenario(
            "the Secret, the account and the job are deleted at once",
            vec![long(), (30, Deed::DeleteSecret), (30, Deed::DeleteAccount), (31, Deed::Delete("long"))],
            900,
        ),
        scenario(
            "let go by force while the service is down",
            vec![
                long(),
                (30, Deed::Faults("[{match: {path: /}, reply: {status: 503}}]")),
                (40, Deed::Annotate("long", "spideriq.ai/force-orphan", "true")),
                (40, Deed::Delete("long")),
            ],
            200,
        ),
        scenario("made anew while its job runs", vec![long(), (30, Deed::Recreate("long"))], 400),
        scenario(
            "restored while its job runs, and deleted",
            vec![long(), (60, Deed::Restore("long")), (200, Deed::Delete("long"))],
            900,
        ),
        scenario(
            "a type that acts again is restored while its job runs",
            vec![(1, Deed::Create("mail", mail("long"))), (60, Deed::Restore("mail"))],
            400,
        ),
    ]
}
