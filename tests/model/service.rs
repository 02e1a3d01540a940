//! The service: it makes jobs, or finds them, lists them, and cancels them. And who shares a job.

use spideriq_operator::api::ScrapeJob;
use spideriq_operator::decide::{CancelOutcome, Candidate, KeptBody, Listed, Party, RemoteJob, Share, share};

use super::setup::{Break, Setup, remote};
use super::world::{Answer, Chain, Job, JobState, Law, Object, Snap, Told, World, job_name, job_number};

/// A request to submit arrives: an equal payload finds the earlier job, whatever its state, if the type is one for
/// which the service looks.
pub fn handle(setup: &Setup, world: &mut World, flight: usize) {
    let flight = world.flights.remove(flight);
    let earlier = world.jobs.iter().position(|job| setup.deduplicates && job.payload == flight.payload);
    let job = earlier.unwrap_or(world.jobs.len());
    if earlier.is_none() {
        world.jobs.push(Job {
            payload: flight.payload,
            state: JobState::Queued,
            maker: (flight.object, flight.run),
            born: world.clock,
            known: false,
        });
    }
    if let Some(replica) = flight.waits {
        answered(world, (replica, flight.object), Answer::Accepted { job, cached: earlier.is_some() });
    }
}

/// A request has ended for the process that sent it.
pub fn answered(world: &mut World, (replica, object): (usize, usize), answer: Answer) {
    let chain = &mut world.views[replica][object].chain;
    if let Chain::Sent { decision, base, nonce } = chain.clone() {
        *chain = Chain::Answered { decision, base, nonce, answer };
    }
}

/// The job's status, read now.
pub fn look(world: &World, base: &Snap) -> RemoteJob {
    let job = base.object.status.job_id.as_deref().and_then(job_number).unwrap();
    remote(&world.jobs[job])
}

/// The body that a spec makes.
fn kept(job: &ScrapeJob) -> Option<KeptBody> {
    KeptBody::of(job.spec.payload.as_ref()?, job.spec.priority).ok()
}

/// What a live list of the jobs says of sharing this one.
pub fn is_shared(setup: &Setup, world: &World, object: usize, base: &Snap) -> Option<CancelOutcome> {
    let ours = setup.job(&base.object);
    let others = world.objects.iter().enumerate().filter(|(other, _)| *other != object);
    let mut live = others.filter_map(|(_, other)| other.as_ref());
    // All are of one client.
    let shared = live.any(|other| {
        let other = setup.job(other);
        let (ours_makes, theirs) = (kept(&ours), kept(&other));
        let party = |job, body| Party { job, body, touched: None };
        // A broken model overlooks those who have the job's id, or all others.
        let follows = other.status.as_ref().is_some_and(|status| status.job_id.is_some());
        match share(&party(&ours, ours_makes.as_ref()), &party(&other, theirs.as_ref())) {
            Share::None | Share::OtherName => false,
            Share::Recorded | Share::Wants if follows => !setup.breaks(Break::WaitersOnly),
            Share::Recorded | Share::Wants => !setup.breaks(Break::FollowersOnly),
        }
    });
    shared.then(|| CancelOutcome::Left("another ScrapeJob uses it, too".to_owned()))
}

/// The name of a run.
pub fn run_name(run: u8) -> String {
    if run == 0 { String::new() } else { format!("r{run}") }
}

/// The cancel arrives. One that a process decided on from an old cache may be for an object that is gone: its job has
/// been cancelled, or named, by then, and the list is live all the same.
pub fn cancel(setup: &Setup, world: &mut World, object: usize, base: &Snap) -> CancelOutcome {
    let job = base.object.status.job_id.as_deref().and_then(job_number).unwrap();
    if world.jobs[job].state != JobState::Queued {
        return CancelOutcome::AlreadyOver;
    }
    let others: Vec<usize> = (0..world.objects.len()).filter(|other| *other != object).collect();
    if others.iter().any(|other| follows(world, *other, job)) {
        world.broken.insert(Law::S5);
    }
    if others.iter().any(|other| receives(setup, world, *other, job)) {
        world.broken.insert(Law::S3);
    }
    world.jobs[job].state = JobState::Cancelled;
    CancelOutcome::Sent
}

/// The object, if it stays and is not cancelled.
fn wanted(world: &World, object: usize) -> Option<&Object> {
    world.objects[object].as_deref().filter(|found| found.deleted.is_none() && !found.wish.cancel)
}

/// Whether an object follows this job.
fn follows(world: &World, object: usize, job: usize) -> bool {
    wanted(world, object)
        .is_some_and(|found| found.status.job_id == Some(job_name(job)) && !found.status.finished)
}

/// Whether a request of an object that has begun will be, or was, answered with this job.
fn receives(setup: &Setup, world: &World, object: usize, job: usize) -> bool {
    let arrives = world.flights.iter().any(|flight| {
        flight.object == object && setup.deduplicates && flight.payload == world.jobs[job].payload
    });
    let answered = world.views.iter().any(|views| {
        matches!(&views[object].chain, Chain::Answered { answer: Answer::Accepted { job: theirs, .. }, .. } if *theirs == job)
    });
    wanted(world, object).is_some() && (arrives || answered)
}

/// The list, as a replica reads it for an unknown outcome: claimed is what its cache shows to have an owner.
pub fn candidates(setup: &Setup, world: &World, (replica, object): (usize, usize), base: &Snap) -> Listed {
    let cached =
        || world.views[replica].iter().enumerate().filter_map(|(at, view)| Some((at, view.cache.as_ref()?)));
    let contested = cached().any(|(at, cache)| at != object && cache.object.unknown().is_some());
    // The address tells the payloads apart; the spec of another run says nothing of this one's.
    let same_run = base.object.status.run() == run_name(base.object.wish.run);
    let fits = |job: &Job| !same_run || job.payload == setup.payload(base.object.wish);
    let listed = world.jobs.iter().enumerate().filter(|(_, job)| fits(job));
    let row = |(job, made): (usize, &Job)| Candidate {
        job_id: job_name(job),
        created_at: remote(made).created_at,
        claimed: cached().any(|(_, cache)| {
            let status = &cache.object.status;
            let mut earlier = status.history.iter().filter_map(|run| run.job_id.as_ref());
            status.job_id == Some(job_name(job)) || earlier.any(|earlier| *earlier == job_name(job))
        }),
        contested,
    };
    Listed { jobs: listed.map(row).collect(), partly: false }
}

/// An object goes: what runs for it alone has to be named by then.
pub fn left_behind(world: &mut World, object: usize) {
    let Some(going) = world.objects[object].clone() else { return };
    let left = (0..world.jobs.len()).any(|job| {
        let ours = world.jobs[job].maker.0 == object || going.status.job_id == Some(job_name(job));
        let elsewhere = world.objects.iter().enumerate().any(|(other, found)| {
            other != object && found.as_ref().is_some_and(|found| found.status.job_id == Some(job_name(job)))
        });
        let told = is_told(world, job);
        ours && world.jobs[job].state == JobState::Queued && !elsewhere && !told
    });
    if left {
        world.broken.insert(Law::S2);
    }
}

/// Whether an event named a job, or said of the run that made it that its outcome is not known.
pub fn is_told(world: &World, job: usize) -> bool {
    let (object, run) = world.jobs[job].maker;
    world.told.contains(&Told::Job(job)) || world.told.contains(&Told::Unknown(object, run))
}
