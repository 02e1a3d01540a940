//! Everything at once: two replicas that are killed at any moment, replies that are lost on both sides, an API server
//! that restarts. The service's journal and the audit log are the judges.
//!
//! `make storm ROUNDS=n` puts the release build through n rounds; a run of all tests has one, of the build at hand.

use std::collections::BTreeMap;
use std::env;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use emulator::journal;
use futures::StreamExt;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde_json::Value;
use testbed::{Options, Own, Part};

use super::proxy::Proxy;
use super::replica::Replica;
use super::support::{World, job, state_of};

const RULES: &str = "jobs: [{match: {contains: endless}, queued: 1, end: processing}, {match: {contains: fails}, queued: 1, processing: 1, end: failed}, {match: {contains: shared}, queued: 1, processing: 20}, {queued: 1, processing: 2}]";
/// How many jobs a round has.
const JOBS: usize = 200;
/// How many of a thousand pieces are lost on the way to or from either server.
const LOST: u32 = 15;
/// How long nothing is safe, without a lease; then everything has to come to rest.
const LASTS: Duration = Duration::from_secs(30);

/// What becomes of a job, each tenth of them the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Of a type whose submits always make a new job: what nobody knows is held.
    Mail,
    /// Runs without an end, and is deleted.
    Deleted,
    /// Has the same payload as the next, and is deleted.
    Leaves,
    /// Has the same payload as the one before, and sees its end.
    Stays,
    /// Ends badly.
    Fails,
    /// Runs without an end, and is cancelled.
    Stopped,
    /// Ends well.
    Plain,
}

impl Fate {
    fn of(n: usize) -> Self {
        let fates = [Self::Mail, Self::Deleted, Self::Leaves, Self::Stays, Self::Fails, Self::Stopped];
        fates.get(n % 10).copied().unwrap_or(Self::Plain)
    }

    /// The page of the n-th job: two that share have one.
    fn url(self, n: usize) -> String {
        let word = match self {
            Self::Mail => "mail",
            Self::Deleted | Self::Stopped => "endless",
            Self::Leaves | Self::Stays => return format!("https://shared-{}.example", n / 10),
            Self::Fails => "fails",
            Self::Plain => "plain",
        };
        format!("https://{word}-{n}.example")
    }

    fn manifest(self, n: usize) -> String {
        let type_ = if self == Self::Mail { "spiderMail" } else { "spiderSite" };
        job(&name(n), &format!("type: {type_}, payload: {{url: \"{}\"}}", self.url(n)))
    }

    fn goes(self) -> bool {
        matches!(self, Self::Deleted | Self::Leaves)
    }
}

fn name(n: usize) -> String {
    format!("job-{n}")
}

/// How often each object went back from an end, as a watch of its own saw it.
type Revived = Arc<Mutex<Vec<String>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_jobs_in_a_storm_are_paid_for_once_and_none_is_lost() {
    let rounds = env::var("STORM_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    for round in 0..rounds {
        storm(round).await;
    }
}

async fn storm(round: usize) {
    let begun = Instant::now();
    let mut own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world = World::everywhere((*own).clone(), "storm", RULES).await;
    if let Some(program) = env::var_os("OPERATOR") {
        world.program = program.into();
    }
    // With the lease in every other round: it decides who works, and is never what protects.
    let leads = !round.is_multiple_of(2);
    if !leads {
        world.arguments = vec!["--leader-elect=false".to_owned()];
    }
    // Who takes a lease over has to wait for it, and is left some time to work.
    let (lasts, pauses) = if leads { (LASTS * 2, 500..8000) } else { (LASTS, 100..1000) };
    let api = Proxy::start(world.api_server()).await;
    let service =
        Proxy::start(world.service.base_url()[7..].trim_end_matches("/api/v1").parse().unwrap()).await;
    world.by_way_of(api.address, service.address);
    world.account("default", "");
    let revived = watch(&world);

    let mut replicas = [0, 1].map(|number| Replica::start(&world, &number.to_string()));
    let manifests: Vec<String> = (0..JOBS).map(|n| Fate::of(n).manifest(n)).collect();
    api.lose(LOST);
    service.lose(LOST);
    let (mut kills, mut applied, mut restarted) = (0, 0, false);
    let storm = Instant::now();
    // A slow machine gets longer for it.
    while storm.elapsed() < lasts || (storm.elapsed() < lasts * 4 && !(restarted && applied == JOBS)) {
        // They come in the first half of the storm, and some of them go, or are cancelled, in the second.
        let past = |share: f64| storm.elapsed().as_secs_f64() > lasts.as_secs_f64() * share;
        if applied < JOBS {
            world.apply(&manifests[applied..applied + JOBS / 5].join("\n---\n"));
            applied += JOBS / 5;
        } else if past(0.4) && !restarted {
            own.kill(Part::ApiServer).unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            own.start_again(Part::ApiServer).unwrap();
            restarted = true;
            change_of_mind(&world);
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(pauses.clone()))).await;
        let victim = fastrand::usize(0..replicas.len());
        replicas[victim].kill();
        kills += 1;
        replicas[victim] = Replica::start(&world, &format!("{victim}-{kills}"));
    }
    api.lose(0);
    service.lose(0);
    assert!(restarted && applied == JOBS, "the storm was over too early: {applied} jobs");
    let losses = (api.losses(), service.losses());
    let judged = judge(&world).await;
    let (writes, most) = writes(&world);
    // Seven are what a calm life takes. Two that both work correct each other's view of the service.
    assert!(!leads || (writes <= JOBS * 8 && most <= 20), "{writes} writes, {most} of one object");
    assert!(revived.lock().unwrap().is_empty(), "S4: {:?}", revived.lock().unwrap());
    println!(
        "round {round}: {kills} kills, {} and {} losses towards API server and service; {judged}, {writes} writes, at most {most} of one; {:?}",
        losses.0,
        losses.1,
        begun.elapsed()
    );
}

/// Some are deleted, some cancelled.
fn change_of_mind(world: &World) {
    let chosen = |wanted: fn(Fate) -> bool| (0..JOBS).filter(move |n| wanted(Fate::of(*n))).map(name);
    let gone: Vec<String> = chosen(Fate::goes).collect();
    let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    world.kubectl(&[&["delete", "scrapejobs", "--wait=false"], gone.as_slice()].concat()).unwrap();
    for stopped in chosen(|fate| fate == Fate::Stopped) {
        let cancel = r#"{"spec": {"cancel": true}}"#;
        world.kubectl(&["patch", "scrapejob", &stopped, "--type=merge", "--patch", cancel]).unwrap();
    }
}

/// Watches for a job that leaves an end: S4.
fn watch(world: &World) -> Revived {
    let revived = Revived::default();
    let (jobs, noted) = (world.api("ScrapeJob"), Arc::clone(&revived));
    tokio::spawn(async move {
        let mut ended: BTreeMap<String, String> = BTreeMap::new();
        let mut changes = watcher(jobs, watcher::Config::default()).boxed();
        while let Some(change) = changes.next().await {
            if change.is_err() {
                // Else it takes the processor from the server that is to come back.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = change else {
                continue;
            };
            let now = object.data["status"]["state"].as_str().unwrap_or_default().to_owned();
            let uid = object.uid().unwrap_or_default();
            if let Some(end) = ended.get(&uid).filter(|end| **end != now) {
                noted.lock().unwrap().push(format!("{} went from {end} to {now}", object.name_any()));
            } else if ["Completed", "Failed", "Cancelled"].contains(&now.as_str()) {
                ended.insert(uid, now);
            }
        }
    });
    revived
}

/// Waits until everything is at rest, and says what came of it.
async fn judge(world: &World) -> String {
    let mut held = 0;
    let mut made: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut objects = Vec::new();
    for n in 0..JOBS {
        let fate = Fate::of(n);
        let at_rest = |object: &Value| match fate {
            Fate::Deleted | Fate::Leaves => object.is_null(),
            Fate::Mail => ["Completed", "Held"].contains(&state_of(object)),
            Fate::Stays | Fate::Plain => state_of(object) == "Completed",
            Fate::Fails => state_of(object) == "Failed",
            Fate::Stopped => state_of(object) == "Cancelled",
        };
        objects.push(world.until_of("ScrapeJob", &name(n), &format!("{fate:?}"), at_rest).await);
    }
    let page = world.service.journal(0);
    assert_eq!(page.dropped, 0);
    let jobs = world.service.jobs();
    for job in &jobs {
        made.entry(job.payload["url"].as_str().unwrap().to_owned()).or_default().push(job.job_id.clone());
    }
    let twice: Vec<_> = made.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "S1: paid for more than once: {twice:?}");

    let notes = notes(world).await;
    for (n, object) in objects.iter().enumerate() {
        let fate = Fate::of(n);
        let id = made.get(&fate.url(n)).map(|ids| ids[0].as_str());
        match fate {
            Fate::Mail if state_of(object) == "Held" => {
                assert_eq!(object["status"]["reason"], "SubmissionAmbiguous", "{object}");
                held += 1;
            }
            // An end that comes while nobody knows the outcome of a submit names what that may have made.
            Fate::Deleted | Fate::Stopped => {
                let over = jobs.iter().all(|job| Some(job.job_id.as_str()) != id || job.state == "cancelled");
                let named = id.is_some_and(|id| notes.iter().any(|note| note.contains(id)));
                assert!(over || named, "S2: job {id:?} of {} runs, and nobody says so", name(n));
            }
            Fate::Leaves => {}
            Fate::Mail | Fate::Stays | Fate::Fails | Fate::Plain => {
                assert_eq!(object["status"]["jobID"].as_str(), id, "lost: {object}");
            }
        }
    }
    let url_of = |id: &str| {
        jobs.iter()
            .find(|job| job.job_id == id)
            .map(|job| job.payload["url"].as_str().unwrap().to_owned())
            .unwrap()
    };
    let mut cancelled = 0;
    for entry in page.entries {
        if let journal::Event::Job(change) = entry.event
            && change.cause == "cancel"
        {
            let url = url_of(&change.job_id);
            assert!(url.contains("endless"), "S5: job {} of {url} was cancelled", change.job_id);
            cancelled += 1;
        }
    }
    format!("{} jobs made, {held} held, {cancelled} cancelled", jobs.len())
}

/// The words of the events that name a job which is left.
async fn notes(world: &World) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(world.client(), &world.namespace);
    let events = events.list(&ListParams::default()).await.unwrap().items.into_iter();
    let left =
        |event: &Event| event.reason.as_deref().is_some_and(|it| it == "Orphaned" || it == "LeftRunning");
    events.filter(left).filter_map(|event| event.note).collect()
}

/// How often the API server carried out a write of the operator: in all, and of one object.
fn writes(world: &World) -> (usize, usize) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in world.bed.audit(0).unwrap().0 {
        if entry.user == world.user()
            && entry.resource == "scrapejobs"
            && entry.is_write()
            && entry.code == 200
        {
            *counts.entry(entry.name).or_default() += 1;
        }
    }
    (counts.values().sum(), counts.values().max().copied().unwrap_or(0))
}
