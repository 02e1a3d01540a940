//! Scenarios of credentials that are wrong, opaque, or of somebody else, and of what was submitted with others before.

use serde_json::json;

use super::run::{OPAQUE_TOKEN, OTHER_TOKEN, TOKEN};
use super::scenario::{Deed, Scenario, mail, scenario, site, with};

pub fn accounts() -> Vec<Scenario> {
    const REJECTED: &str = "[{match: {path: /}, reply: {status: 401}}]";
    vec![
        scenario(
            "the token is wrong for seven minutes",
            vec![
                (0, Deed::Token("cli_sim:sk_sim:wrong")),
                (1, Deed::Create("acme", site("acme"))),
                (420, Deed::Token(TOKEN)),
            ],
            1200,
        ),
        scenario(
            "the token is rejected for seven minutes while a job runs, and good again",
            vec![
                (1, Deed::Create("long", with("long", &json!({"poll": {"intervalSeconds": 60}})))),
                (30, Deed::Faults(REJECTED)),
                (31, Deed::Create("waits", site("waits"))),
                (430, Deed::Faults("[]")),
            ],
            1400,
        ),
        scenario(
            "the token is rejected for seven minutes by a service that does not tell whose it is",
            vec![
                (
                    0,
                    Deed::Faults(
                        "[{match: {path: whoami}, reply: {status: 404}}, {match: {path: /}, reply: {status: 401}}]",
                    ),
                ),
                (1, Deed::Create("waits", site("waits"))),
                (420, Deed::Faults("[{match: {path: whoami}, reply: {status: 404}}]")),
            ],
            1800,
        ),
        scenario(
            "an outcome is not known while the token is of another client",
            vec![
                (0, Deed::Faults("[{match: {route: submit}, drop: after}]")),
                (1, Deed::Create("acme", site("acme"))),
                (30, Deed::Token(OTHER_TOKEN)),
                (60, Deed::Faults("[]")),
                (120, Deed::Token(TOKEN)),
            ],
            900,
        ),
        scenario(
            "the service says only later whose a token is, and another of the same client follows",
            vec![
                (0, Deed::Token(OPAQUE_TOKEN)),
                (0, Deed::Faults("[{match: {path: whoami}, reply: {status: 503}}]")),
                (1, Deed::Create("long", site("long"))),
                (60, Deed::Faults("[]")),
                (200, Deed::Token(TOKEN)),
                (240, Deed::Delete("long")),
            ],
            600,
        ),
        scenario(
            "the account goes while the service is asked whose it is",
            vec![
                (0, Deed::Token(OPAQUE_TOKEN)),
                (0, Deed::Faults("[{match: {path: whoami}, delay_reply: 8}]")),
                (4, Deed::DeleteAccount),
                (20, Deed::Create("acme", site("acme"))),
            ],
            120,
        ),
        scenario(
            "a job restored under an opaque token",
            vec![
                (0, Deed::Token(OPAQUE_TOKEN)),
                (1, Deed::Create("mail", mail("mail"))),
                (60, Deed::Restore("mail")),
            ],
            600,
        ),
        scenario(
            "a job restored under an opaque token while it runs",
            vec![
                (0, Deed::Token(OPAQUE_TOKEN)),
                (1, Deed::Create("long", site("long"))),
                (60, Deed::Restore("long")),
                (200, Deed::Delete("long")),
            ],
            900,
        ),
    ]
}
