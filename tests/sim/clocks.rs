//! Scenarios of clocks that go wrong.

use super::scenario::{Deed, Scenario, scenario, site};

pub fn clocks() -> Vec<Scenario> {
    vec![
        scenario(
            "deleted after the clock went an hour ahead",
            vec![
                (1, Deed::Create("long", site("long"))),
                (30, Deed::Clock(3600)),
                (40, Deed::Delete("long")),
            ],
            900,
        ),
        scenario(
            "deleted after the clock went an hour back, and the service is down",
            vec![
                (1, Deed::Create("long", site("long"))),
                (30, Deed::Clock(-3600)),
                (35, Deed::Faults("[{match: {path: /jobs}, reply: {status: 503}}]")),
                (40, Deed::Delete("long")),
            ],
            900,
        ),
    ]
}

/// A pause that is asked for before the clock goes back; a process that comes later restores it by the new clock.
pub fn throttled() -> Scenario {
    scenario(
        "throttled, and then the clock went an hour back",
        vec![
            (
                0,
                Deed::Faults(
                    "[{match: {route: submit}, when: {first: 1}, reply: {status: 429, headers: {retry-after: '60'}}}]",
                ),
            ),
            (1, Deed::Create("acme", site("throttled"))),
            (30, Deed::Clock(-3600)),
        ],
        400,
    )
}

/// The reply to a submit is lost, and the wall clock jumps before the outcome is looked up: the process that sent it
/// knows all the same how long ago that was.
pub fn jumps_while_unknown() -> Vec<Scenario> {
    let jump = |name, ahead| {
        scenario(
            name,
            vec![
                (0, Deed::Faults("[{match: {route: submit}, when: {first: 1}, drop: after}]")),
                (1, Deed::Create("acme", site("acme"))),
                // The budget of a new process lets the first submit out after some seconds.
                (10, Deed::Clock(ahead)),
            ],
            400,
        )
    };
    vec![
        jump("a lost reply, and a day later at once", 25 * 3600),
        jump("a lost reply, and an hour back", -3600),
    ]
}
