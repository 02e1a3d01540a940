//! Everything that may happen next, one step at a time.

use spideriq_operator::decide::{
    Accepted, Listed, Outcome, Plan, Refusal, Step, SubmitAnswer, SubmitOutcome, Trouble, Written,
    is_same_record,
};

use super::replica::{conclude, reconcile, store_status, submitting};
use super::service::{answered, cancel, candidates, handle};
use super::setup::{Break, Setup, at, fresh_nonce, is_bounded, remote};
use super::world::{Answer, Ask, Chain, Flight, JobState, Object, View, World, job_name};

/// One step. Where two numbers are together, they are a replica and an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The watch brings the newest object to a cache.
    Refresh(usize, usize),
    Reconcile(usize, usize),
    /// The next step of a submit, or of a cancel whose list was read.
    Continue(usize, usize),
    /// Write 2 is carried out, and its answer does not come.
    Unanswered(usize, usize),
    /// A replica has seen a nonce for 18 s.
    Settle(usize, usize),
    /// A request reaches the service.
    Handle(usize),
    /// A request that nobody waits for never reaches the service.
    Drop(usize),
    /// A request is refused with 429.
    Refuse(usize),
    /// A process waits for an answer no longer: the request may reach the service later, or never.
    GiveUp(usize),
    Crash(usize),
    /// The service completes a job.
    Complete(usize),
    /// A bound of an object's end passes.
    Bound,
    User(Ask),
}

impl Action {
    /// Whether it takes minutes.
    fn is_slow(&self) -> bool {
        matches!(self, Self::Complete(_) | Self::Bound)
    }

    /// Whether it happens sooner or later by itself: no fault, and no wish of the user.
    pub fn is_fair(&self) -> bool {
        match self {
            Self::Refresh(..)
            | Self::Reconcile(..)
            | Self::Continue(..)
            | Self::Settle(..)
            | Self::Handle(_)
            | Self::Complete(_)
            | Self::Bound => true,
            Self::Unanswered(..)
            | Self::Drop(_)
            | Self::Refuse(_)
            | Self::GiveUp(_)
            | Self::Crash(_)
            | Self::User(_) => false,
        }
    }
}

/// Every step that there may be; some change nothing. What only time brings comes last.
pub fn actions(setup: &Setup, world: &World) -> Vec<Action> {
    let pairs = || (0..setup.replicas).flat_map(|r| (0..setup.objects).map(move |o| (r, o)));
    let flights = 0..world.flights.len();
    let mut all: Vec<Action> = pairs().map(|(r, o)| Action::Refresh(r, o)).collect();
    all.extend(pairs().map(|(r, o)| Action::Continue(r, o)));
    all.extend(flights.clone().map(Action::Handle));
    all.extend(pairs().map(|(r, o)| Action::Reconcile(r, o)));
    all.extend(pairs().map(|(r, o)| Action::Settle(r, o)));
    all.extend((0..world.jobs.len()).map(Action::Complete));
    all.push(Action::Bound);
    all.extend(flights.clone().map(Action::Drop));
    if world.faults.lost > 0 {
        all.extend(flights.clone().map(Action::GiveUp));
        all.extend(pairs().map(|(r, o)| Action::Unanswered(r, o)));
    }
    if world.faults.refusals > 0 {
        all.extend(flights.map(Action::Refuse));
    }
    if world.faults.crashes > 0 {
        all.extend((0..setup.replicas).map(Action::Crash));
    }
    all.extend(world.asks.iter().map(|ask| Action::User(*ask)));
    all
}

/// The world after a step; `None` where it cannot be taken, or changes nothing.
pub fn step(setup: &Setup, before: &World, action: &Action) -> Option<World> {
    let mut world = before.clone();
    if setup.slow && action.is_slow() && !rests(setup, before) {
        return None;
    }
    take(setup, &mut world, action)?;
    world.normalise();
    (world != *before).then_some(world)
}

/// Whether nothing but time changes anything.
fn rests(setup: &Setup, world: &World) -> bool {
    let quick = |action: &Action| action.is_fair() && !action.is_slow();
    !actions(setup, world)
        .iter()
        .filter(|action| quick(action))
        .any(|action| step(setup, world, action).is_some())
}

fn take(setup: &Setup, world: &mut World, action: &Action) -> Option<()> {
    match *action {
        Action::Refresh(r, o) => {
            let newest = world.read(o);
            let view = &mut world.views[r][o];
            if newest.is_none() && view.cache.is_some() {
                *view = View { chain: view.chain.clone(), ..View::of(None) };
            }
            view.behind = false;
            view.cache = newest;
            Some(())
        }
        Action::Reconcile(r, o) => reconcile(setup, world, (r, o)),
        Action::Continue(r, o) => proceed(setup, world, (r, o)),
        Action::Unanswered(r, o) => {
            world.faults.lost -= 1;
            let Chain::Intended { .. } = world.views[r][o].chain else { return None };
            second_write(setup, world, (r, o), false)
        }
        Action::Settle(r, o) => {
            // A request begins within 5 s of sending the write that names its nonce, and ends within 8 s: whoever has
            // seen the nonce for 18 s knows that it is over. That is all that those bounds are for.
            let base = world.base(r, o)?;
            let nonce = base.object.unknown()?;
            let under_way = world.views.iter().any(|views| views[o].chain.may_send(Some(nonce)))
                || world.flights.iter().any(|flight| flight.nonce == nonce);
            if under_way {
                return None;
            }
            world.views[r][o].settled = Some(nonce.to_owned());
            Some(())
        }
        Action::Handle(flight) => {
            handle(setup, world, flight);
            Some(())
        }
        Action::Drop(flight) => {
            world.flights[flight].waits.is_none().then(|| drop(world.flights.remove(flight)))
        }
        Action::Refuse(flight) => {
            world.faults.refusals -= 1;
            let replica = world.flights[flight].waits?;
            let object = world.flights.remove(flight).object;
            answered(world, (replica, object), Answer::Throttled);
            Some(())
        }
        Action::GiveUp(flight) => {
            world.faults.lost -= 1;
            let replica = world.flights[flight].waits.take()?;
            let object = world.flights[flight].object;
            answered(world, (replica, object), Answer::Nothing);
            Some(())
        }
        Action::Crash(r) => {
            world.faults.crashes -= 1;
            world
                .flights
                .iter_mut()
                .filter(|flight| flight.waits == Some(r))
                .for_each(|flight| flight.waits = None);
            // The cache of the next process is as old as it may be.
            world.views[r].iter_mut().for_each(|view| *view = View::of(view.cache.take()));
            Some(())
        }
        Action::Complete(job) => {
            let job = &mut world.jobs[job];
            (job.state == JobState::Queued).then(|| job.state = JobState::Completed)
        }
        Action::Bound => {
            // Minutes against seconds: no request that began before is under way any more.
            let bounded: Vec<usize> = (0..setup.objects)
                .filter(|o| world.objects[*o].as_ref().is_some_and(|found| is_bounded(found, world.clock)))
                .collect();
            let under_way = !world.flights.is_empty()
                || world.views.iter().flatten().any(|view| view.chain.may_send(None));
            (!bounded.is_empty() && !under_way).then(|| world.clock += 1)
        }
        Action::User(ask) => user(world, ask),
    }
}

fn user(world: &mut World, ask: Ask) -> Option<()> {
    world.asks.remove(&ask);
    let (Ask::Delete(o) | Ask::Cancel(o) | Ask::Rerun(o)) = ask;
    let mut found = (**world.objects[o].as_ref()?).clone();
    match ask {
        Ask::Delete(_) if !found.protected => {
            super::service::left_behind(world, o);
            world.store(o, None);
            return Some(());
        }
        Ask::Delete(_) => found.deleted = Some(world.clock),
        Ask::Cancel(_) | Ask::Rerun(_) if found.deleted.is_some() => return None,
        Ask::Cancel(_) => found.wish.cancel = true,
        Ask::Rerun(_) => found.wish.run = 1,
    }
    world.store(o, Some(found));
    Some(())
}

fn proceed(setup: &Setup, world: &mut World, at: (usize, usize)) -> Option<()> {
    let (r, o) = at;
    match world.views[r][o].chain.clone() {
        Chain::Idle | Chain::Sent { .. } => None,
        Chain::Intended { .. } => second_write(setup, world, at, true),
        Chain::Recorded { decision, base, nonce } => {
            let Plan::Submit(_) = &decision.plan else { return None };
            if world.objects[o].is_none() {
                world.broken.insert(super::world::Law::S9);
            }
            let wish = base.object.wish;
            let payload = setup.payload(wish);
            world.flights.push(Flight {
                object: o,
                run: wish.run,
                nonce: nonce.clone(),
                payload,
                waits: Some(r),
            });
            world.views[r][o].chain = Chain::Sent { decision, base, nonce };
            Some(())
        }
        Chain::Answered { decision, base, nonce, answer } => {
            let Plan::Submit(attempt) = &decision.plan else { return None };
            let mut record = attempt.record.clone();
            record.nonce = Some(nonce);
            let answer = match answer {
                Answer::Nothing => SubmitAnswer::Unknown { why: "no answer".to_owned(), without_id: false },
                Answer::Throttled => {
                    SubmitAnswer::Refused(Refusal::Trouble(Trouble::Throttled(None, "wait".to_owned())))
                }
                Answer::Accepted { job, cached } => {
                    let mut strays = Listed::default();
                    if attempt.number() > 1 && !cached {
                        strays = candidates(setup, world, at, &base);
                        strays.jobs.retain(|stray| stray.job_id != job_name(job));
                    }
                    SubmitAnswer::Accepted(Accepted {
                        job_id: job_name(job),
                        job: remote(&world.jobs[job]),
                        from_cache: Some(cached),
                        server_date: Some(self::at(world.clock)),
                        strays: Some(strays),
                    })
                }
            };
            let outcome = Outcome::Submit(Box::new(SubmitOutcome { record, answer }));
            conclude(setup, world, at, &decision, &base, (outcome, Some(base.clone())));
            Some(())
        }
        Chain::Listed { decision, base } => {
            let outcome = Outcome::Cancel(cancel(setup, world, o, &base));
            conclude(setup, world, at, &decision, &base, (outcome, None));
            Some(())
        }
    }
}

/// Write 2: the nonce, preconditioned on write 1. One that is lost or not answered is made again with a fresh nonce,
/// as long as a live read shows the very same submit.
fn second_write(setup: &Setup, world: &mut World, at: (usize, usize), answered: bool) -> Option<()> {
    let (r, o) = at;
    let Chain::Intended { decision, intended, base, mut submit } = world.views[r][o].chain.clone() else {
        return None;
    };
    let free = !world.views[r].iter().any(|view| matches!(view.chain, Chain::Listed { .. }));
    if !free {
        return None;
    }
    let nonce = submit.nonce().to_owned();
    if setup.breaks(Break::NoSecondWrite) {
        world.views[r][o].chain = Chain::Recorded { decision, base, nonce };
        return Some(());
    }
    let fenced = base.newest || setup.breaks(Break::NoFence);
    if let Some(found) = world.objects[o].clone().filter(|_| fenced) {
        let status = submitting(&decision, &base, &nonce, world.clock);
        let stored = store_status(world, o, &found, status)?;
        if answered {
            world.views[r][o].chain = Chain::Recorded { decision, base: stored, nonce };
            return Some(());
        }
    } else if !answered {
        return None;
    }
    let fresh = fresh_nonce(world);
    submit.recorded(Written::Lost, fresh.clone());
    let live = world.read(o).filter(|live| is_same_submit(&intended.object, &live.object, submit.nonces()));
    submit.read(live.is_some(), fresh);
    if let Some(live) = live.filter(|_| submit.step() == Step::Record) {
        world.views[r][o].chain = Chain::Intended { decision, intended, base: live, submit };
    } else {
        conclude(setup, world, at, &decision, &base, (Outcome::Lost, None));
    }
    Some(())
}

fn is_same_submit(before: &Object, live: &Object, ours: &[String]) -> bool {
    live.deleted.is_none()
        && live.wish == before.wish
        && live.intent == before.intent
        && is_same_record(&before.status, &live.status, ours)
}
