//! One configuration of the model, and what its objects look like to a decision.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use spideriq_operator::api::{CancelReason, ScrapeJob, ScrapeJobSpec, ScrapeJobStatus};
use spideriq_operator::decide::{
    AccountFacts, AccountUse, Faults as Unread, Intent, JobFacts, KeptBody, Marks, Memory, Observed,
    RemoteJob, RemoteState, Watched, since,
};

use super::world::{Ask, Faults, Job, JobState, Keyed, Object, Snap, View, Wish, World};

/// One configuration.
#[derive(Clone, Debug)]
pub struct Setup {
    pub replicas: usize,
    pub objects: usize,
    /// A type that the service de-duplicates, or one that acts and charges again.
    pub deduplicates: bool,
    /// `spec.submission.onAmbiguous`.
    pub on_ambiguous: &'static str,
    /// Whether another run has another payload.
    pub new_payload: bool,
    /// Whether jobs end and bounds pass only when all else is at rest, which makes fewer states.
    pub slow: bool,
    pub asks: Vec<Ask>,
    pub faults: Faults,
    /// How the model is broken, to see that it can fail.
    pub broken: Option<Break>,
}

/// A way to break the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The request goes out without write 2.
    NoSecondWrite,
    /// Write 2 is not preconditioned on write 1.
    NoFence,
    /// An unknown outcome is settled at once, without the 18 s.
    NoWait,
    /// The list is looked through for those only that have no job yet.
    WaitersOnly,
    /// The list is looked through for those only that follow the job already.
    FollowersOnly,
    /// The write with the job's id is made whatever has become of the run meanwhile.
    WriteOverAnything,
}

impl Default for Setup {
    /// One replica and one object of a type that is de-duplicated, without faults.
    fn default() -> Self {
        Self {
            replicas: 1,
            objects: 1,
            deduplicates: true,
            on_ambiguous: "Auto",
            new_payload: true,
            slow: false,
            asks: Vec::new(),
            faults: Faults::default(),
            broken: None,
        }
    }
}

type Specs = HashMap<(bool, &'static str, u8, Wish), (ScrapeJobSpec, Option<KeptBody>)>;
static SPECS: LazyLock<Mutex<Specs>> = LazyLock::new(Mutex::default);

/// The moment of the model, so many bounds later.
pub fn at(clock: u8) -> Timestamp {
    let begin: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    begin + jiff::SignedDuration::from_mins(10 * i64::from(clock))
}

impl Setup {
    pub fn breaks(&self, how: Break) -> bool {
        self.broken == Some(how)
    }

    /// The first state: objects that nobody has looked at.
    pub fn begin(&self) -> World {
        let mut world = World {
            objects: vec![None; self.objects],
            views: Vec::new(),
            flights: Vec::new(),
            jobs: Vec::new(),
            told: std::collections::BTreeSet::default(),
            broken: std::collections::BTreeSet::default(),
            asks: self.asks.iter().copied().collect(),
            faults: self.faults,
            clock: 0,
        };
        for object in 0..self.objects {
            let status = Keyed::new(ScrapeJobStatus::default());
            let fresh =
                Object { wish: Wish::default(), deleted: None, protected: false, intent: None, status };
            world.store(object, Some(fresh));
        }
        let views: Vec<View> = (0..self.objects).map(|object| View::of(world.read(object))).collect();
        world.views = vec![views; self.replicas];
        world
    }

    pub fn payload(&self, wish: Wish) -> u8 {
        if self.new_payload { wish.run } else { 0 }
    }

    /// An object as the API server lists it.
    pub fn job(&self, object: &Object) -> ScrapeJob {
        let mut job = ScrapeJob::new("acme", self.spec(object.wish).0);
        job.metadata.deletion_timestamp = object.deleted.map(|clock| Time(at(clock)));
        job.status = Some((*object.status).clone());
        job
    }

    /// The spec and the body that a wish makes; each is made once.
    fn spec(&self, wish: Wish) -> (ScrapeJobSpec, Option<KeptBody>) {
        let key = (self.deduplicates, self.on_ambiguous, self.payload(wish), wish);
        let mut specs = SPECS.lock().unwrap();
        specs
            .entry(key)
            .or_insert_with(|| {
                let spec = self.spec_of(wish);
                let body = spec.payload.as_ref().map(|payload| KeptBody::of(payload, None).unwrap());
                (spec, body)
            })
            .clone()
    }

    fn spec_of(&self, wish: Wish) -> ScrapeJobSpec {
        let type_ = if self.deduplicates { "spiderSite" } else { "spiderPublicRecords" };
        let mut spec = json!({
            "type": type_,
            "payload": {"url": format!("https://acme.example/{}", self.payload(wish))},
            "submission": {"onAmbiguous": self.on_ambiguous},
        });
        if wish.run > 0 {
            spec["runID"] = json!(format!("r{}", wish.run));
        }
        if wish.cancel {
            spec["cancel"] = json!(true);
        }
        serde_json::from_value(spec).unwrap()
    }

    /// Everything that a replica knows of an object.
    pub fn observe(&self, world: &World, (replica, object): (usize, usize), base: &Snap) -> Observed {
        let view = &world.views[replica][object];
        let found = &base.object;
        let (spec, body) = self.spec(found.wish);
        let unknown = found.unknown();
        let is = |nonce: &Option<String>| unknown.is_some() && nonce.as_deref() == unknown;
        let seen = is(&view.settled) || self.breaks(Break::NoWait);
        let seconds = if seen { 18 } else { 0 };
        let memory = Memory {
            ended_here: is(&view.ended),
            nonce_seen_for: std::time::Duration::from_secs(seconds),
            // That a bound has passed is a step.
            ending_seen_for: std::time::Duration::from_secs(30),
            ending_before: found.deleted.map(|deleted| since(at(deleted), at(world.clock))),
            ..(*view.memory).clone()
        };
        // Polling sees at once that a job is over; that it sees it later is as if the job were over later.
        let followed =
            found.status.job_id.as_deref().filter(|_| found.deleted.is_none() && !found.status.finished);
        let over = |job: &usize| world.jobs[*job].state != JobState::Queued;
        let polled = followed.and_then(super::world::job_number).filter(over);
        Observed {
            now: at(world.clock),
            steady: at(world.clock),
            job: JobFacts {
                namespace: "team-a".to_owned(),
                name: format!("acme-{object}"),
                uid: format!("uid-{object}"),
                generation: 1 + i64::from(found.wish.run) + i64::from(found.wish.cancel),
                deleted_at: found.deleted.map(at),
                protected: found.protected,
                spec,
                body,
                unfit: None,
                faults: Unread::default(),
                marks: Marks::default(),
            },
            recorded: (*found.status).clone(),
            intent: Intent::read(found.intent.as_deref()),
            account: AccountFacts::Usable(AccountUse {
                client_id: Some("cli_a".to_owned()),
                ..AccountUse::default()
            }),
            watched: Watched {
                latest: polled.map(|job| remote(&world.jobs[job])),
                read_at: polled.map(|_| at(world.clock)),
                ..Watched::default()
            },
            memory,
            nonce: fresh_nonce(world),
        }
    }
}

/// A nonce that nothing in the world names; what is forgotten is as good as new, and keeps the world finite.
pub fn fresh_nonce(world: &World) -> String {
    (0..=u8::MAX).map(|number| format!("n{number}")).find(|nonce| !world.names(nonce)).unwrap()
}

/// A job as the service tells it.
pub fn remote(job: &Job) -> RemoteJob {
    RemoteJob {
        state: match job.state {
            JobState::Queued => RemoteState::Queued,
            JobState::Completed => RemoteState::Completed,
            JobState::Cancelled => RemoteState::Cancelled,
        },
        type_: None,
        created_at: Some(at(job.born)),
        updated_at: None,
        worker_id: None,
        error_message: None,
    }
}

/// Whether a bound of an object's end has yet to pass: of its deletion, or of a run that another one supersedes.
pub fn is_bounded(object: &Object, clock: u8) -> bool {
    let status = &object.status;
    let superseded = status.cancel_reason == Some(CancelReason::Superseded) && !status.finished;
    object.deleted == Some(clock) || (superseded && status.cancel_time == Some(Time(at(clock))))
}
