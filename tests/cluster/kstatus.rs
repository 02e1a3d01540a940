//! Every way in which a run can stand, also those that take long to reach: what both kstatus libraries make of each
//! follows from the three answers to "is it well?" (R1), and is what Helm and Flux act on.

#[path = "../pure/situation.rs"]
#[expect(dead_code, reason = "the tables of the pure places use more of it")]
mod situation;

use serde_json::{Value, json};
use spideriq_operator::api::{ReadyWhen, Reason, State};
use spideriq_operator::decide::Standing;
use testbed::Testbed;

use situation::{accepted, fresh, shown, site, standings};

/// What kstatus should say of a standing.
fn meant(standing: &Standing, ready_when: ReadyWhen) -> &'static str {
    match standing {
        Standing::Waiting(..) | Standing::Submitting | Standing::Unknown(_) => "InProgress",
        Standing::Rejected(since, _) if *since > situation::ago(300) => "InProgress",
        // What time alone does not help.
        Standing::Rejected(..) | Standing::Held(..) => "Failed",
        Standing::Following(..) | Standing::Cancelling(_) => match ready_when {
            ReadyWhen::Accepted => "Current",
            ReadyWhen::Completed | ReadyWhen::Finished => "InProgress",
        },
        Standing::Suspended
        | Standing::Ended(State::Completed, ..)
        | Standing::Ended(_, Reason::CancelledAsRequested, _) => "Current",
        Standing::Ended(..) if ready_when == ReadyWhen::Completed => "Failed",
        Standing::Ended(..) => "Current",
    }
}

#[test]
fn both_libraries_read_every_standing_as_it_is_meant() {
    let bed = Testbed::attach().unwrap();
    let (mut objects, mut expected) = (Vec::new(), Vec::new());
    for ready_when in [ReadyWhen::Completed, ReadyWhen::Finished, ReadyWhen::Accepted] {
        for standing in standings() {
            let running =
                matches!(standing, Standing::Following(..) | Standing::Cancelling(_) | Standing::Ended(..));
            let mut o = if running { accepted("processing") } else { fresh(site()) };
            o.job.spec.ready_when = Some(ready_when);
            let name = format!("{ready_when:?} {standing:?}");
            expected.push((name.clone(), meant(&standing, ready_when)));
            objects.push(json!({
                "apiVersion": "spideriq.ai/v1alpha1",
                "kind": "ScrapeJob",
                "metadata": {"name": name, "namespace": "team-a", "generation": o.job.generation},
                "status": shown(standing, &o),
            }));
        }
    }
    let objects: Vec<String> = objects.iter().map(Value::to_string).collect();
    let said = bed.kstatus(&objects.join("\n")).unwrap();
    assert_eq!(said.len(), expected.len());
    for ((name, original, fork), (standing, meant)) in said.into_iter().zip(expected) {
        assert_eq!((name.as_str(), original.as_str(), fork.as_str()), (standing.as_str(), meant, meant));
    }
}
