//! One look of a replica at one object: the real `next`, the effect, the real `settle`, the real `compute`, the write.

use spideriq_operator::api::{Owed, ReadyWhen, ScrapeJobStatus};
use spideriq_operator::decide::message::Note;
use spideriq_operator::decide::{
    Chain as Submit, Event, Freshness, Intent, IntentFacts, Memory, Message, Outcome, Plan, Standing, Step,
    SubmitAnswer, Verdict, is_intended, next, recording, settle,
};
use spideriq_operator::status::{compute, same_meaning};

use super::service::{self, is_shared};
use super::setup::{Break, Setup, at, fresh_nonce};
use super::world::{Chain, Decision, Keyed, Law, Object, Snap, Told, World, job_name, job_number};

/// A look from the cache, or a live one where that is needed. Whatever has no effect at the service is one step here:
/// all that can happen between its read and its write is that the write is lost, as it is from a stale cache.
pub fn reconcile(setup: &Setup, world: &mut World, at: (usize, usize)) -> Option<()> {
    let (replica, object) = at;
    if world.views[replica][object].chain != Chain::Idle {
        return None;
    }
    let Some(base) = world.base(replica, object) else {
        world.views[replica][object].live = false;
        return Some(());
    };
    let observed = setup.observe(world, at, &base);
    let plan = next(&observed);
    let decision = Decision { observed, plan };
    let (outcome, left) = match &decision.plan {
        Plan::Rest(_) | Plan::Leave | Plan::Adopt(_) | Plan::Latch(_) | Plan::Begin(None) => {
            (Outcome::Done, None)
        }
        Plan::Begin(Some(event)) | Plan::Abandon(event) => {
            tell(world, object, &base, event);
            (Outcome::Done, None)
        }
        Plan::Release(event) => {
            if let Some(event) = event {
                tell(world, object, &base, event);
            }
            if release(world, object, &base) {
                world.views[replica][object].behind = true;
                world.views[replica][object].live = false;
                forget_old(world, at);
                return Some(());
            }
            (Outcome::Lost, None)
        }
        Plan::Protect(intent) => {
            let intent = intent.as_ref().map(|intent| annotation(intent)).or(base.object.intent.clone());
            written(world, object, &base, Object { protected: true, intent, ..(*base.object).clone() })
        }
        Plan::Submit(attempt) => {
            let before = base.clone();
            let found = Intent::read(base.object.intent.as_deref());
            let attempted = (attempt.intent.uid.as_str(), attempt.number());
            let there = is_intended(&found, base.object.protected, attempted);
            let mut submit = Submit::begin(attempt.record.nonce.clone().unwrap(), there);
            let mut intended = base.clone();
            if submit.step() == Step::Intend {
                let intent = Some(annotation(&attempt.intent));
                let write = Object { protected: true, intent, ..(*base.object).clone() };
                match written(world, object, &base, write) {
                    (_, Some(stored)) => intended = stored,
                    (lost, None) => {
                        conclude(setup, world, at, &decision, &base, (lost, None));
                        return Some(());
                    }
                }
                submit.intended();
            }
            let decision = Keyed::named(name(world, at, &before), decision);
            let base = intended.clone();
            world.views[replica][object].chain = Chain::Intended { decision, intended, base, submit };
            return Some(());
        }
        Plan::Cancel => {
            if world.views[replica].iter().any(|view| view.chain.excludes()) {
                return None;
            }
            let Some(left) = is_shared(setup, world, object, &base) else {
                let decision = Keyed::named(name(world, at, &base), decision);
                world.views[replica][object].chain = Chain::Listed { decision, base };
                return Some(());
            };
            (Outcome::Cancel(left), None)
        }
        Plan::LookUp(_) => (Outcome::Candidates(Ok(service::candidates(setup, world, at, &base))), None),
        Plan::Confirm | Plan::Look => (Outcome::Status(Ok(service::look(world, &base))), None),
        Plan::Read(Owed::Details) => {
            let details = Outcome::Details(Ok(spideriq_operator::decide::Details::default()));
            conclude(setup, world, at, &decision, &base, (details, None));
            return reconcile(setup, world, at);
        }
        Plan::Read(Owed::Results) => {
            (Outcome::Summary(Ok(spideriq_operator::decide::Summary::default())), None)
        }
        Plan::Expire => panic!("no object of the model has a time to live"),
    };
    conclude(setup, world, at, &decision, &base, (outcome, left));
    Some(())
}

/// What follows an effect: settle, write where the meaning changed, remember, tell.
pub fn conclude(
    setup: &Setup,
    world: &mut World,
    (replica, object): (usize, usize),
    decision: &Decision,
    base: &Snap,
    (outcome, left): (Outcome, Option<Snap>),
) {
    let verdict = settle(&decision.observed, &decision.plan, &outcome);
    let accepted = match &outcome {
        Outcome::Submit(submit) => match &submit.answer {
            SubmitAnswer::Accepted(accepted) => job_number(&accepted.job_id),
            SubmitAnswer::Refused(_) | SubmitAnswer::Unknown { .. } => None,
        },
        _ => None,
    };
    let current = left.as_ref().unwrap_or(base);
    let result = match accepted {
        Some(job) => record_job(setup, world, object, current, (&verdict, job)),
        None => write(world, object, current, &verdict),
    };
    if result.is_ok() {
        for event in &verdict.events {
            tell(world, object, base, event);
        }
    }
    let view = &mut world.views[replica][object];
    view.chain = Chain::Idle;
    // Pauses only delay, so that how often and since when is not counted.
    let memory = Memory {
        tries: 0,
        waits: 0,
        attempted_at: None,
        begun: None,
        ended_here: false,
        unsent: false,
        nonce_seen_for: std::time::Duration::ZERO,
        ending_seen_for: std::time::Duration::ZERO,
        ..verdict.memory
    };
    view.memory = Keyed::new(memory);
    if let Outcome::Submit(submit) = &outcome {
        view.ended.clone_from(&submit.record.nonce);
    }
    if result.is_ok() || left.is_some() {
        view.behind = view.cache.as_ref().is_some_and(|cache| !cache.newest);
    }
    view.live = result.is_err() || outcome == Outcome::Lost;
    forget_old(world, (replica, object));
}

/// Where nobody crashes any more, a cache that is known to be behind is never read: reading live is the same as reading
/// a cache that has caught up.
fn forget_old(world: &mut World, (replica, object): (usize, usize)) {
    let newest = world.read(object);
    let view = &mut world.views[replica][object];
    if world.faults.crashes == 0 && view.behind && newest.is_some() {
        view.cache = newest;
        view.behind = false;
    }
}

/// Writes the status where its meaning changed, preconditioned on what it was decided on.
fn write(world: &mut World, object: usize, base: &Snap, verdict: &Verdict) -> Result<(), ()> {
    let recorded = &base.object.status;
    let generation = 1 + i64::from(base.object.wish.run) + i64::from(base.object.wish.cancel);
    let Some(status) = compute(verdict, recorded, ReadyWhen::default(), generation, at(world.clock)) else {
        return Ok(());
    };
    if recorded.is_written() && same_meaning(&status, recorded) {
        return Ok(());
    }
    if !base.newest || world.objects[object].is_none() {
        return Err(());
    }
    store_status(world, object, &base.object, status);
    Ok(())
}

/// The write with the job's id: repeated until it is seen, or until the object does not take it any more. Its pauses
/// are not modelled: it may come at any time after the answer.
fn record_job(
    setup: &Setup,
    world: &mut World,
    object: usize,
    base: &Snap,
    (verdict, job): (&Verdict, usize),
) -> Result<(), ()> {
    let first = write(world, object, base, verdict);
    if first.is_ok() {
        return first;
    }
    let live = world.read(object);
    let theirs = live.as_ref().map(|live| live.object.status.job_id.clone());
    match (live, theirs) {
        (Some(_), Some(Some(theirs))) if theirs == job_name(job) => Ok(()),
        (Some(live), Some(None)) if takes(setup, base, &live) => write(world, object, &live, verdict),
        (Some(_) | None, _) => {
            world.told.insert(Told::Job(job));
            Err(())
        }
    }
}

/// Whether the status still speaks of the run that the job was submitted for, and the run is not over.
fn takes(setup: &Setup, base: &Snap, live: &Snap) -> bool {
    let (before, now) = (&base.object.status, &live.object.status);
    setup.breaks(Break::WriteOverAnything) || (before.run() == now.run() && !now.finished)
}

/// Takes the finalizer off; the intent outlives the status in a backup, so it says what came of it.
fn release(world: &mut World, object: usize, base: &Snap) -> bool {
    if !base.newest {
        return false;
    }
    let found = &base.object;
    if found.deleted.is_some() {
        service::left_behind(world, object);
        world.store(object, None);
        return true;
    }
    let intent = match Intent::read(found.intent.as_deref()) {
        IntentFacts::Found(intent) => {
            let (job_id, outcome) = (found.status.job_id.clone(), found.status.state.clone());
            Some(annotation(&Intent { job_id, outcome, ..*intent }))
        }
        IntentFacts::None | IntentFacts::Unreadable => found.intent.clone(),
    };
    world.store(object, Some(Object { protected: false, intent, ..(**found).clone() }));
    true
}

fn written(world: &mut World, object: usize, base: &Snap, write: Object) -> (Outcome, Option<Snap>) {
    // A new finalizer is refused while an object is being deleted; that it is old is refused as well.
    if !base.newest || world.objects[object].is_none() {
        return (Outcome::Lost, None);
    }
    (Outcome::Done, world.store(object, Some(write)))
}

/// Stores a status, and holds it against the laws that are about the step.
pub fn store_status(
    world: &mut World,
    object: usize,
    before: &Object,
    status: ScrapeJobStatus,
) -> Option<Snap> {
    let old = &before.status;
    if old.finished && old.run_id == status.run_id && old.state != status.state {
        world.broken.insert(Law::S4);
    }
    if let Some(job) = status.job_id.as_deref().and_then(job_number) {
        world.jobs[job].known = true;
    }
    world.store(object, Some(Object { status: Keyed::new(status), ..before.clone() }))
}

/// The status of write 2.
pub fn submitting(decision: &Decision, base: &Snap, nonce: &str, clock: u8) -> ScrapeJobStatus {
    let Plan::Submit(attempt) = &decision.plan else { panic!("only a submit has a second write") };
    let recorded = &base.object.status;
    let mut record = attempt.record.clone();
    record.nonce = Some(nonce.to_owned());
    let spec = &decision.observed.job.spec;
    let (data, known) = recording(recorded, &record, (spec.type_.as_ref(), spec.run_id.as_ref()), at(clock));
    let verdict = Verdict {
        record: data,
        standing: Some(known.map_or(Standing::Submitting, |known| Standing::Unknown(Message::Said(known)))),
        freshness: Freshness::Unchanged,
        memory: Memory::default(),
        events: Vec::new(),
        again: spideriq_operator::decide::Again::OnChange,
    };
    let generation = decision.observed.job.generation;
    compute(&verdict, recorded, ReadyWhen::default(), generation, at(clock)).unwrap()
}

/// Tells people: what the event names, and whether it says that an outcome is not known.
pub fn tell(world: &mut World, object: usize, base: &Snap, event: &Event) {
    if !event.warning && event.reason != spideriq_operator::api::Reason::LeftRunning {
        return;
    }
    let named = (0..world.jobs.len()).filter(|job| event.note.to_string().contains(&job_name(*job)));
    let named: Vec<Told> = named.map(Told::Job).collect();
    world.told.extend(named);
    let ends = event.reason == spideriq_operator::api::Reason::Orphaned;
    if ends && matches!(event.note, Message::Note(Note::SubmitLost(_))) {
        let run = base.object.status.run().trim_start_matches('r').parse().unwrap_or(0);
        world.told.insert(Told::Unknown(object, run));
    }
}

/// What a decision depends on.
fn name(world: &World, (replica, object): (usize, usize), base: &Snap) -> String {
    let view = &world.views[replica][object];
    let jobs: Vec<_> = world.jobs.iter().map(|job| (job.state, job.born)).collect();
    let seen = (&view.memory, &view.ended, &view.settled);
    format!("{object} {:?} {seen:?} {} {:?} {jobs:?}", base.object, world.clock, fresh_nonce(world))
}

fn annotation(intent: &Intent) -> String {
    serde_json::to_string(intent).unwrap()
}
