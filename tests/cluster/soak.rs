//! Twenty tenants for a while, beside kills and lost replies: first without, then with five of them who try everything
//! against the others. What the fifteen see must be the same.
//!
//! Measured is the time from an object to the first request that is sent for it.
//!
//! `make soak MINUTES=n` puts the release build through it; a run of all tests has a short one of the build at hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fmt, fs};

use emulator::journal::Event;
use serde_json::{Value, json};
use testbed::{Options, Own};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::proxy::Proxy;
use super::reach::Silent;
use super::support::{World, condition, state_of};
use super::tenants::{self, Place, TABLE, Victim};

const RULES: &str =
    "jobs: [{match: {contains: known}, queued: 1, end: processing}, {queued: 1, processing: 2}]";
/// Tenants who only use the operator.
const GOOD: usize = 15;
/// Tenants who try everything against them.
const HOSTILE: usize = 5;
/// Every so often each good tenant makes a job.
const ROUND: Duration = Duration::from_secs(10);
/// Every so often each hostile one does all that it can, and what it has made stays until the next time. The API server has
/// the same cores here: one that is kept busy without a pause makes everybody wait, whatever the operator does.
const ATTACK: Duration = Duration::from_secs(120);
/// How long it waits between two requests.
const BETWEEN: Duration = Duration::from_millis(50);
/// How many of a thousand pieces are lost on the way to or from either server.
const LOST: u32 = 5;
/// The chart's limit, in KiB.
const MEMORY: u64 = 256 * 1024;
/// The most that may be logged a second, in bytes.
const LOG: u64 = 10 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifteen_tenants_see_nothing_of_five_who_try_everything() {
    let minutes = env::var("SOAK_MINUTES").ok().and_then(|minutes| minutes.parse::<f64>().ok());
    // Of a short run there is only one half: it has too few jobs, and a debug build too much to do, for a ratio.
    let Some(minutes) = minutes else {
        println!("beside the five: {}", soak("beside", Duration::from_secs(30), HOSTILE).await);
        return;
    };
    let half = Duration::from_secs_f64(minutes * 30.0);
    let calm = soak("calm", half, 0).await;
    println!("without the five: {calm}");
    let beside = soak("beside", half, HOSTILE).await;
    println!("beside them: {beside}");
    let (calm, beside) = (calm.between.slowest_of_hundred, beside.between.slowest_of_hundred);
    assert!(beside <= calm * 2, "from object to request: p99 {beside:.1?} beside them, {calm:.1?} without");
}

/// What the good tenants saw, and what the process needed.
struct Seen {
    /// What the API server itself took to make each object: the operator waits for it, too, four times before a request.
    made_in: Waits,
    /// Of rounds without a crash.
    between: Waits,
    /// Of rounds with one: what it breaks off has an unknown outcome, and is not sent again before a minute is over.
    crashed: Waits,
    attacks: usize,
    kills: usize,
    losses: (u32, u32),
    /// In KiB.
    memory: u64,
    /// In bytes a second.
    logged: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { made_in, between, crashed, attacks, kills, losses: (api, service), memory, logged } = self;
        write!(
            f,
            "from object to request {between}; in rounds with a crash {crashed}; the API server's own answer {made_in}; {attacks} attacks, {kills} kills, {api} and {service} losses towards API server and service; at most {} MiB, {logged} bytes logged a second",
            memory / 1024
        )
    }
}

/// How long jobs waited from their object to their request.
struct Waits {
    jobs: usize,
    middle: Duration,
    slowest_of_hundred: Duration,
    slowest: Duration,
}

impl Waits {
    fn of(mut waits: Vec<Duration>) -> Self {
        waits.sort();
        let at =
            |share: usize| waits.get((waits.len().max(1) - 1) * share / 100).copied().unwrap_or_default();
        Self { jobs: waits.len(), middle: at(50), slowest_of_hundred: at(99), slowest: at(100) }
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { jobs, middle, slowest_of_hundred, slowest } = self;
        write!(f, "of {jobs} jobs p50 {middle:.1?}, p99 {slowest_of_hundred:.1?}, at most {slowest:.1?}")
    }
}

async fn soak(name: &str, lasts: Duration, hostile: usize) -> Seen {
    let own = Own::start(Options { controller_manager: true }).unwrap();
    let mut world = World::everywhere((*own).clone(), &format!("soak-{name}"), RULES).await;
    if let Some(program) = env::var_os("OPERATOR") {
        world.program = program.into();
    }
    let (silent, unlisted) = (Silent::start().await, Silent::start().await);
    world.arguments =
        vec!["--leader-elect=false".to_owned(), format!("--allowed-endpoint={}", silent.endpoint())];
    // As the chart has it.
    world.variables.push(("RUST_LOG", "info".to_owned()));
    let (api, service) =
        (Proxy::start(world.api_server()).await, Proxy::start(world.service_address()).await);
    world.by_way_of(api.address, service.address);
    for tenant in 0..GOOD {
        let token = format!("cli_good{tenant}:sk_good{tenant}:secret_good{tenant}");
        world.service.add_token(&token).unwrap();
        world.enter(&good(tenant), "");
        world.secret("default", &token);
        world.account_alone("default", "");
    }
    world.service.add_token("cli_own:sk_own:secret_own").unwrap();
    let attacks = Arc::new(AtomicUsize::new(0));
    let mut hostiles = Vec::new();
    for tenant in 0..hostile {
        let user = format!("bad-{tenant}");
        world.enter(&user, "");
        tenants::bind(&world, &user, "edit").await;
    }
    world.start();
    // Tenants who are all new wait for each other: a minute has room for 20 first requests (`docs/adr/0016`).
    for tenant in 0..GOOD {
        world.namespace = good(tenant);
        let proven = |account: &Value| condition(account, "Authenticated").0 == "True";
        world.until_of("ScrapeAccount", "default", "Authenticated", proven).await;
    }
    api.lose(LOST);
    service.lose(LOST);

    let (begun, mut round, mut kills, mut memory) = (Instant::now(), 0, 0, 0);
    // The same moments in either half: one at the end of a round has the next round wait for the start.
    let mut crash_at = fastrand::Rng::with_seed(1);
    for tenant in 0..hostile {
        let attacker = Attacker {
            client: world.client(),
            user: format!("bad-{tenant}"),
            home: world.home.clone(),
            service: world.endpoint.clone(),
            silent: silent.address,
            unlisted: unlisted.address,
            attacks: Arc::clone(&attacks),
        };
        // They begin one after the other, so that there is always one at it.
        let after = lasts.min(ATTACK) / u32::try_from(HOSTILE).unwrap() * u32::try_from(tenant).unwrap();
        hostiles.push(tokio::spawn(attacker.attack(after)));
    }
    let mut created: Vec<Created> = Vec::new();
    while begun.elapsed() < lasts {
        let next = Instant::now() + ROUND;
        let made = (0..GOOD).map(|tenant| create(&world, tenant, round));
        created.extend(futures::future::join_all(made).await);
        if hostile > 0 {
            knock(&world).await;
        }
        let crash = crashes(round).then(|| Instant::now() + ROUND.mul_f64(crash_at.f64()));
        while Instant::now() < next {
            tokio::time::sleep(Duration::from_millis(100)).await;
            memory = memory.max(resident(world.pid()));
            if kills < (round + 1) / 3 && crash.is_some_and(|crash| Instant::now() >= crash) {
                world.kill();
                world.start();
                kills += 1;
            }
        }
        round += 1;
    }
    let logged = world.logged().len() as u64 / begun.elapsed().as_secs().max(1);
    hostiles.iter().for_each(tokio::task::JoinHandle::abort);
    api.lose(0);
    service.lose(0);
    for tenant in 0..GOOD {
        world.namespace = good(tenant);
        for round in 0..round {
            let over = |job: &Value| state_of(job) == "Completed";
            world.until_of("ScrapeJob", &format!("job-{round}"), "over", over).await;
        }
    }
    let (crashed, between) = requested(&world, &created);
    let seen = Seen {
        made_in: Waits::of(created.iter().map(|created| created.made_in).collect()),
        between: Waits::of(between),
        crashed: Waits::of(crashed),
        attacks: attacks.load(Ordering::Relaxed),
        kills,
        losses: (api.losses(), service.losses()),
        memory,
        logged,
    };
    assert!(memory < MEMORY && logged < LOG, "{seen}");
    assert_eq!(unlisted.heard(), 0, "an endpoint that nobody allowed was asked");
    seen
}

fn good(tenant: usize) -> String {
    format!("good-{tenant}")
}

/// What a good tenant's job of a round asks for.
fn page(tenant: usize, round: usize) -> String {
    format!("https://good-{tenant}-{round}.example")
}

/// A job of a good tenant: what it asks for, since when, and in which round.
struct Created {
    /// Namespace and name.
    name: String,
    url: String,
    at: SystemTime,
    round: usize,
    /// What the API server took to make it.
    made_in: Duration,
}

/// Whether the process is killed in a round.
fn crashes(round: usize) -> bool {
    round % 3 == 2
}

/// Makes the job of a tenant and a round.
async fn create(world: &World, tenant: usize, round: usize) -> Created {
    let (at, url) = (SystemTime::now(), page(tenant, round));
    let name = format!("{}/job-{round}", good(tenant));
    let job = json!({
        "apiVersion": "spideriq.ai/v1alpha1",
        "kind": "ScrapeJob",
        "metadata": {"name": format!("job-{round}")},
        "spec": {"type": "spiderSite", "payload": {"url": url}},
    });
    let path = tenants::path(&good(tenant), "scrapejobs");
    let request = http::Request::post(path).header("content-type", "application/json");
    world.client().request_text(request.body(job.to_string().into_bytes()).unwrap()).await.unwrap();
    Created { name, url, at, round, made_in: at.elapsed().unwrap_or_default() }
}

/// How long each job waited from its object to its request, in rounds with a crash and in the others; each was paid for
/// exactly once.
fn requested(world: &World, created: &[Created]) -> (Vec<Duration>, Vec<Duration>) {
    let page = world.service.journal(0);
    assert_eq!(page.dropped, 0);
    let mut made: BTreeMap<String, usize> = BTreeMap::new();
    let theirs = |client: &str| client.starts_with("cli_good");
    for job in world.service.jobs().into_iter().filter(|job| theirs(&job.client)) {
        *made.entry(job.payload["url"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    for Created { url, .. } in created {
        assert_eq!(made.get(url), Some(&1), "S1: {url}");
    }
    let mut first: BTreeMap<String, i64> = BTreeMap::new();
    for entry in page.entries {
        let Event::Request(request) = entry.event else { continue };
        let url = request.payload.as_ref().and_then(|payload| payload["url"].as_str());
        if let Some(url) = url.filter(|_| request.client.as_deref().is_some_and(theirs)) {
            first.entry(url.to_owned()).or_insert(entry.wall_ms);
        }
    }
    let logged = world.logged();
    let sent = sent(&logged);
    let waited = |Created { name, url, at, .. }: &Created| {
        let at = i64::try_from(at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap();
        // A request that was lost on its way was sent all the same: its repeat is not what is measured.
        let request = sent.get(name.as_str()).map_or(first[url], |sent| first[url].min(*sent));
        Duration::from_millis(u64::try_from(request - at).unwrap_or(0))
    };
    tell_slowest(&logged, created, waited);
    let (crashed, between): (Vec<&Created>, Vec<&Created>) =
        created.iter().partition(|created| crashes(created.round));
    (crashed.into_iter().map(waited).collect(), between.into_iter().map(waited).collect())
}

/// When the operator first sent a request for each job, by namespace and name, in milliseconds since 1970.
fn sent(logged: &str) -> BTreeMap<&str, i64> {
    let mut sent = BTreeMap::new();
    for line in logged.lines() {
        let Some((before, after)) = line.split_once("submit: submitting job=\"") else { continue };
        let at: Option<jiff::Timestamp> = before.split(' ').next().and_then(|at| at.parse().ok());
        if let Some((at, (name, _))) = at.zip(after.split_once('"')) {
            sent.entry(name).or_insert(at.as_millisecond());
        }
    }
    sent
}

/// Prints what the operator said of the slowest jobs of rounds without a crash, and of what all wait for, meanwhile.
fn tell_slowest(logged: &str, created: &[Created], waited: impl Fn(&Created) -> Duration) {
    let mut slowest: Vec<&Created> = created.iter().filter(|created| !crashes(created.round)).collect();
    slowest.sort_by_key(|created| std::cmp::Reverse(waited(created)));
    let stamp = |at: SystemTime| jiff::Timestamp::try_from(at).unwrap().to_string();
    for slow in slowest.into_iter().take(4) {
        let (from, to) = (stamp(slow.at), stamp(slow.at + waited(slow)));
        println!("slow: {} for {:.1?} since {from}", slow.name, waited(slow));
        let tenant = slow.name.split('/').next().unwrap_or_default();
        let of_all =
            ["starting version", "cannot be read; trying", "a claim was not written", "keeps every field"];
        let concerns = |line: &&str| {
            let at = line.split(' ').next().unwrap_or_default();
            let of_it =
                line.contains(&format!("{tenant}/")) || line.contains(&format!("namespace {tenant} "));
            (from.as_str()..=to.as_str()).contains(&at)
                && (of_it || of_all.iter().any(|words| line.contains(words)))
        };
        logged
            .lines()
            .filter(concerns)
            .take(12)
            .for_each(|line| println!("  {}", line.get(..300).unwrap_or(line)));
    }
}

/// A tenant who does all that it can in its own namespace, again and again.
struct Attacker {
    client: kube::Client,
    user: String,
    home: String,
    service: String,
    silent: std::net::SocketAddr,
    unlisted: std::net::SocketAddr,
    attacks: Arc<AtomicUsize>,
}

impl Attacker {
    async fn attack(self, after: Duration) {
        tokio::time::sleep(after).await;
        // A job of somebody else that it has heard of.
        let victims = [Victim {
            namespace: good(0),
            name: "job-0".to_owned(),
            uid: "550e8400-e29b-41d4-a716-446655440001".to_owned(),
            id: "550e8400-e29b-41d4-a716-446655440002".to_owned(),
            page: page(0, 0),
        }];
        for round in 0.. {
            let next = tokio::time::Instant::now() + ATTACK;
            let place = Place {
                who: &format!("round-{round}"),
                namespace: &self.user,
                home: &self.home,
                service: &self.service,
                silent: self.silent,
                unlisted: self.unlisted,
                victims: &victims,
            };
            // What was left is deleted first, and not last, so that it is there for a while.
            let (last, first) = TABLE.split_last().unwrap();
            for (_, _, does) in [last].into_iter().chain(first) {
                tenants::attempt(&self.client, &self.user, &does(&place), BETWEEN).await;
            }
            self.attacks.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep_until(next).await;
        }
    }
}

/// Connections that never say what they want.
async fn knock(world: &World) {
    let logged = world.logged();
    let Some((_, address)) = logged.rsplit_once("/readyz and /metrics address=") else { return };
    let address = address.split_whitespace().next().unwrap_or_default();
    for _ in 0..40 {
        if let Ok(mut half) = TcpStream::connect(address).await {
            let _ = half.write_all(b"GET / HTTP/1.1\r\n").await;
            tokio::spawn(async move {
                tokio::time::sleep(ROUND).await;
                drop(half);
            });
        }
    }
}

/// Resident memory of a process, in KiB; 0 once it is gone.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
