//! What has to hold: in every state, or in every state of rest.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use spideriq_operator::api::{Reason, State};
use stateright::{Checker, Model, Property};

use super::service::{is_told, run_name};
use super::setup::Setup;
use super::steps::{Action, actions, step};
use super::world::{Chain, JobState, Law, Object, World, job_name};

/// A configuration as the checker wants it.
pub struct Checked {
    pub setup: Setup,
    /// States from which rest is known to be reached by fair steps alone.
    reached: Mutex<HashSet<u64>>,
}

impl Checked {
    pub fn new(setup: Setup) -> Self {
        Self { setup, reached: Mutex::default() }
    }

    /// The first fair step that changes something.
    fn fair(&self, world: &World) -> Option<World> {
        let mut fair = actions(&self.setup, world).into_iter().filter(Action::is_fair);
        fair.find_map(|action| step(&self.setup, world, &action))
    }

    /// L1: from here, without another fault, rest is reached; its memory makes each state cost one step.
    fn comes_to_rest(&self, world: &World) -> bool {
        let mut chain = HashSet::new();
        let mut at = world.clone();
        loop {
            let mut hasher = DefaultHasher::new();
            at.hash(&mut hasher);
            let key = hasher.finish();
            if self.reached.lock().unwrap().contains(&key) {
                break;
            }
            if !chain.insert(key) {
                return false;
            }
            match self.fair(&at) {
                Some(next) => at = next,
                None => break,
            }
        }
        self.reached.lock().unwrap().extend(chain);
        true
    }
}

impl Model for Checked {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.setup.begin()]
    }

    fn actions(&self, state: &World, found: &mut Vec<Action>) {
        found.extend(actions(&self.setup, state));
    }

    fn next_state(&self, state: &World, action: Action) -> Option<World> {
        step(&self.setup, state, &action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("S1 a run is billed once", |_, world: &World| billed_once(world)),
            Property::always("S2 every job is named", |model: &Self, world: &World| {
                !world.broken.contains(&Law::S2) && (model.fair(world).is_some() || all_named(world))
            }),
            Property::always("S3 what another is about to receive is not cancelled", |_, world: &World| {
                !world.broken.contains(&Law::S3)
            }),
            Property::always("S4 terminal is final", |_, world: &World| !world.broken.contains(&Law::S4)),
            Property::always("S5 what another uses is not cancelled", |_, world: &World| {
                !world.broken.contains(&Law::S5)
            }),
            Property::always("S9 nothing is sent for what is gone", |_, world: &World| {
                !world.broken.contains(&Law::S9)
            }),
            Property::always("L1 what is wanted is reached", |model: &Self, world: &World| {
                model.comes_to_rest(world) && (model.fair(world).is_some() || ends_well(&model.setup, world))
            }),
            Property::always("L2 deletion ends", |model: &Self, world: &World| {
                let going = world.objects.iter().flatten().any(|object| object.deleted.is_some());
                !going || model.fair(world).is_some()
            }),
        ]
    }
}

fn billed_once(world: &World) -> bool {
    let mut runs = HashSet::new();
    world.jobs.iter().all(|job| runs.insert(job.maker))
}

/// Whether each job that was made is named by an object, its history, a nonce whose outcome is unknown, or an event;
/// or was, and is over.
fn all_named(world: &World) -> bool {
    let objects = || world.objects.iter().flatten();
    (0..world.jobs.len()).all(|job| {
        let (name, made) = (job_name(job), &world.jobs[job]);
        let by_status = objects().any(|object| object.status.job_id.as_ref() == Some(&name));
        let by_history = objects()
            .any(|object| object.status.history.iter().any(|run| run.job_id.as_ref() == Some(&name)));
        let (maker, run) = made.maker;
        let by_nonce = world.objects[maker]
            .as_ref()
            .is_some_and(|object| object.status.run() == run_name(run) && object.unknown().is_some());
        let was = made.known && made.state != JobState::Queued;
        by_status || by_history || by_nonce || was || is_told(world, job)
    })
}

/// Whether every object is as it should be once nothing moves any more.
fn ends_well(setup: &Setup, world: &World) -> bool {
    let idle = world.views.iter().flatten().all(|view| view.chain == Chain::Idle) && world.flights.is_empty();
    idle && world.objects.iter().flatten().all(|object| ends_as_documented(setup, object))
}

fn ends_as_documented(setup: &Setup, object: &Object) -> bool {
    let status = &object.status;
    let state = status.current_state();
    let reason = status.reason.as_deref().and_then(Reason::parse);
    let held = !setup.deduplicates || setup.on_ambiguous == "Hold";
    let ended = match state {
        State::Completed => true,
        State::Cancelled => object.wish.cancel || reason == Some(Reason::CancelledRemotely),
        State::Failed => reason == Some(Reason::CachedFailure),
        State::Held => held && reason == Some(Reason::SubmissionAmbiguous),
        _ => false,
    };
    ended && status.run() == run_name(object.wish.run) && (!status.finished || !object.protected)
}

/// What a check found.
pub struct Found {
    pub states: usize,
    /// The law that does not hold, with the steps to where it does not.
    pub broken: HashMap<&'static str, Vec<Action>>,
}

/// Visits every state that can be reached, or stops at the first law that does not hold.
pub fn check(setup: Setup) -> Found {
    let checker = Checked::new(setup).checker().threads(2).finish_when(stateright::HasDiscoveries::Any);
    let checker = checker.spawn_bfs().join();
    let broken = checker.discoveries().into_iter().map(|(law, path)| (law, path.into_actions())).collect();
    Found { states: checker.unique_state_count(), broken }
}
