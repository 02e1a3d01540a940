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
