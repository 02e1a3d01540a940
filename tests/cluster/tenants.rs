//! What tenants of one namespace may try against others, as real users of the real API server, and that the others see
//! nothing of it: whatever it was, their next job is made and ends, what they delete is cancelled and nothing else of
//! theirs, nothing is paid for twice, and nothing of them is in what the tenants can read.

mod acts;
mod intents;
mod place;
mod tenant;

use std::time::Duration;

use emulator::JobView;
use emulator::journal::Event;
use serde_json::{Value, json};
use testbed::{Options, Own};

pub use self::acts::TABLE;
pub use self::place::{Place, Victim};
use self::tenant::{EVE, MALLORY};
pub use self::tenant::{attempt, path};
use super::reach::Silent;
use super::support::World;

/// What the acts reach for runs until it is told to end; all else ends by itself.
const RULES: &str =
    "jobs: [{match: {contains: known}, queued: 0.1, end: processing}, {queued: 0.1, processing: 0.1}]";
/// What is in every name, page and token of the neighbours, but for what the tenants are told.
const MARK: &str = "quarry";
const HOSTILE: &str = "hostile";
const ADMITTED: &str = "spideriq: \"yes\"";
/// One neighbour with an account of its own, and one with the account of the cluster, which admits the tenants as well.
const NEIGHBOURS: [&str; 2] = ["quarry-acme", "quarry-hub"];
const CLIENTS: [&str; 2] = ["cli_acme", "cli_hub"];
/// Far more than the neighbours need, and far less than what an account or a client that is held up waits for.
const SOON: Duration = Duration::from_secs(60);

fn token(client: &str) -> String {
    format!("cli_{client}:sk_quarry{client}:secret_quarry{client}")
}

/// What becomes of the neighbours' jobs, one round after the other.
struct Neighbours {
    round: usize,
    /// What ran when the round began.
    victims: Vec<Victim>,
    /// Ids of what their owners have deleted.
    cancelled: Vec<String>,
}

impl Neighbours {
    /// Makes what is to run while the tenants act next.
    fn begin(&mut self, world: &mut World) {
        self.round += 1;
        for neighbour in NEIGHBOURS {
            neighbour.clone_into(&mut world.namespace);
            let page = known_page(neighbour, self.round);
            let spec = format!("type: spiderSite, payload: {{url: \"{page}\"}}");
            world.job(&format!("runs-{}", self.round), &spec);
        }
    }

    /// Waits until it runs.
    async fn run(&mut self, world: &mut World) {
        self.victims.clear();
        for neighbour in NEIGHBOURS {
            neighbour.clone_into(&mut world.namespace);
            let name = format!("runs-{}", self.round);
            let job = world.until_of("ScrapeJob", &name, "submitted", has_a_job).await;
            let text = |path: &str| job.pointer(path).and_then(Value::as_str).unwrap().to_owned();
            self.victims.push(Victim {
                namespace: neighbour.to_owned(),
                name,
                uid: text("/metadata/uid"),
                id: text("/status/jobID"),
                page: text("/spec/payload/url"),
            });
        }
    }

    /// What they do next goes as if they were alone.
    async fn go_on(&mut self, world: &mut World) {
        for victim in &self.victims {
            world.namespace.clone_from(&victim.namespace);
            world.kubectl(&["delete", "scrapejob", &victim.name, "--wait=false"]).unwrap();
        }
        let nexts = next(self.round);
        for (namespace, name, page) in &nexts {
            if !NEIGHBOURS.contains(&namespace.as_str()) {
                world.enter(namespace, "");
                world.secret("default", &token("acme"));
                world.account_alone("default", "");
            }
            world.namespace.clone_from(namespace);
            world.job(name, &format!("type: spiderSite, payload: {{url: \"{page}\"}}"));
        }
        self.begin(world);
        for (namespace, name, _) in nexts {
            world.namespace = namespace;
            world.until_of("ScrapeJob", &name, "submitted", has_a_job).await;
        }
        for victim in &self.victims {
            world.namespace.clone_from(&victim.namespace);
            world.until_of("ScrapeJob", &victim.name, "gone", Value::is_null).await;
            self.cancelled.push(victim.id.clone());
        }
        let mut cancelled: Vec<String> =
            theirs(world).filter(|job| job.state == "cancelled").map(|job| job.job_id).collect();
        cancelled.sort();
        self.cancelled.sort();
        assert_eq!(cancelled, self.cancelled, "what its owner deleted is cancelled, and nothing else");
        self.run(world).await;
    }
}

fn has_a_job(job: &Value) -> bool {
    job["status"]["jobID"].is_string()
}

/// The page of what runs in a round, which the tenants are told.
fn known_page(neighbour: &str, round: usize) -> String {
    format!("https://known-{round}-{}.example", neighbour.replace(MARK, "x"))
}

/// What comes next, of which they are told nothing, as namespace, name and page.
fn next(round: usize) -> [(String, String, String); 2] {
    // Often of a newcomer, whose account was never used before; a minute has room for 20 of these (`docs/adr/0016`).
    let newcomer = round.is_multiple_of(3).then(|| format!("quarry-acme-{round}"));
    [newcomer.unwrap_or_else(|| NEIGHBOURS[0].to_owned()), NEIGHBOURS[1].to_owned()].map(|namespace| {
        let page = format!("https://{namespace}-next-{round}.example");
        (namespace, format!("quarry-next-{round}"), page)
    })
}

/// The neighbours' jobs at the service. The tenants may use the client of the cluster's account, too, for other pages.
fn theirs(world: &World) -> impl Iterator<Item = JobView> {
    let is = |job: &JobView| {
        let page = job.payload["url"].as_str().unwrap_or_default();
        let of = |n: usize| page.contains(&NEIGHBOURS[n].replace(MARK, "")) && job.client == CLIENTS[n];
        of(0) || of(1)
    };
    world.service.jobs().into_iter().filter(is)
}

/// Nothing of the neighbours is in what the tenants can read, but for what they wrote there.
async fn nothing_shows(world: &World) {
    let hidden = |job: &JobView| job.payload["url"].as_str().is_some_and(|page| page.contains(MARK));
    let ids: Vec<String> = theirs(world).filter(hidden).map(|job| job.job_id).collect();
    for resource in ["scrapejobs", "scrapeaccounts", "events"] {
        let told = tenant::reads(&world.client(), EVE, path(HOSTILE, resource)).await;
        let shown = ids.iter().map(String::as_str).chain([MARK]).find(|shown| told.contains(shown));
        let near = shown.and_then(|shown| told.find(shown)).map(|at| {
            told[..at].chars().rev().take(600).collect::<Vec<_>>().into_iter().rev().collect::<String>()
        });
        assert!(shown.is_none(), "{resource} shows {shown:?} after {near:?}");
    }
}

/// Gives a user a role of the cluster in the world's namespace, and waits until that role lets jobs be made.
pub async fn bind(world: &World, user: &str, role: &str) {
    let (role, to) = (format!("--clusterrole={role}"), format!("--user={user}"));
    world.kubectl(&["create", "rolebinding", user, &role, &to]).unwrap();
    // The cluster's role takes the chart's up a little later.
    let asked = ["auth", "can-i", "create", "scrapejobs.spideriq.ai", "--as", user];
    world.until_true(&format!("{asked:?}"), |world| world.kubectl(&asked).is_ok()).await;
}

/// The tenants' namespace, their roles, and the account of the cluster that admits it.
async fn prepare(world: &mut World) {
    for client in ["own", "other", "planted"] {
        world.service.add_token(&format!("cli_{client}:sk_{client}:secret_{client}")).unwrap();
    }
    for client in ["acme", "hub"] {
        world.service.add_token(&token(client)).unwrap();
    }
    world.secret("hub", &token("hub"));
    world.bed.run("kubectl", &["apply", "--filename", "-"], &format!(
        "{{apiVersion: spideriq.ai/v1alpha1, kind: ClusterScrapeAccount, metadata: {{name: default}}, spec: {{secretRef: {{name: hub}}, endpoint: \"{}\", limits: {{requestsPerMinute: 6000, burst: 1000, submitsPerMinute: 1200}}, allowMirror: true, namespaceSelector: {{matchLabels: {{spideriq: \"yes\"}}}}}}}}",
        world.endpoint
    )).unwrap();
    for (namespace, labels) in [(NEIGHBOURS[0], ""), (NEIGHBOURS[1], ADMITTED), (HOSTILE, ADMITTED)] {
        world.enter(namespace, labels);
    }
    NEIGHBOURS[0].clone_into(&mut world.namespace);
    world.secret("default", &token("acme"));
    world.account_alone("default", "");
    HOSTILE.clone_into(&mut world.namespace);
    bind(world, MALLORY, &format!("{}-spideriq-operator-edit", world.home)).await;
    bind(world, EVE, "edit").await;
    for (user, verb, what, may) in [
        (EVE, "list", "scrapeaccounts.spideriq.ai", true),
        (MALLORY, "create", "secrets", false),
        (MALLORY, "list", "scrapejobs.spideriq.ai", false),
    ] {
        let asked = world.kubectl(&["auth", "can-i", verb, what, "--as", user]);
        assert_eq!(asked.is_ok(), may, "{user} {verb} {what}");
    }
}

#[tokio::test]
async fn whatever_two_tenants_try_their_neighbours_see_nothing_of_it() {
    let own = Own::start(Options { controller_manager: true }).unwrap();
    let mut world = World::everywhere((*own).clone(), "tenants", RULES).await;
    let (silent, unlisted) = (Silent::start().await, Silent::start().await);
    // It takes over at once where the one before was killed.
    world.arguments =
        vec!["--leader-elect=false".to_owned(), format!("--allowed-endpoint={}", silent.endpoint())];
    prepare(&mut world).await;
    world.start();
    let mut neighbours = Neighbours { round: 0, victims: Vec::new(), cancelled: Vec::new() };
    // The operator begins anew beside all that they have left, and once more when they have deleted it.
    let begins = ("a start beside all that is left", "nothing goes on", None);
    let (last, first) = TABLE.split_last().unwrap();
    let act = |(act, sees, does): &acts::Row| (*act, *sees, Some(*does));
    let rounds = first.iter().map(act).chain([begins, act(last), begins]);
    neighbours.begin(&mut world);
    neighbours.run(&mut world).await;
    for (act, sees, does) in rounds {
        let begun = std::time::Instant::now();
        if let Some(does) = does {
            let (home, service) = (world.home.clone(), world.endpoint.clone());
            let deeds = |who| {
                let (silent, unlisted) = (silent.address, unlisted.address);
                does(&Place {
                    who,
                    namespace: HOSTILE,
                    home: &home,
                    service: &service,
                    silent,
                    unlisted,
                    victims: &neighbours.victims,
                })
            };
            let client = world.client();
            let (mallorys, eves) = (deeds(MALLORY), deeds(EVE));
            tokio::join!(tenant::act(&client, MALLORY, &mallorys), tenant::act(&client, EVE, &eves));
        } else {
            world.kill();
            world.start();
        }
        let (acted, begun) = (begun.elapsed(), std::time::Instant::now());
        let went_on = tokio::time::timeout(SOON, neighbours.go_on(&mut world)).await;
        assert!(went_on.is_ok(), "{act}: {sees}");
        nothing_shows(&world).await;
        eprintln!("{act}: {acted:.1?} and {:.1?}", begun.elapsed());
    }
    for round in 1..neighbours.round {
        for (namespace, name, _) in next(round) {
            world.namespace = namespace;
            world.until(&name, "Completed").await;
        }
    }
    nothing_shows(&world).await;
    assert!(silent.heard() > 0, "the accounts that hang were never opened");
    assert_eq!(unlisted.heard(), 0, "an endpoint that nobody allowed was asked");
    judge(&world, neighbours.round - 1);
}

/// What the service saw of it all.
fn judge(world: &World, rounds: usize) {
    let page = world.service.journal(0);
    assert_eq!(page.dropped, 0);
    let (mut submits, mut strange) = (Vec::new(), Vec::new());
    for entry in page.entries {
        let Event::Request(request) = entry.event else { continue };
        let client = request.client.as_deref();
        // A token that the service does not know asks who it is, and nothing more; one of the cluster's Secrets is never sent.
        let allowed = match client {
            None => ["whoami", "list"].contains(&request.route),
            Some(client) => client != "cli_planted",
        };
        if !allowed || request.route == "other" {
            strange.push(format!("{client:?} {} {}", request.method, request.path));
        }
        if request.route == "submit" && CLIENTS.map(Some).contains(&client) {
            submits.push(request.payload.as_ref().map_or(Value::Null, |payload| payload["url"].clone()));
        }
    }
    assert!(strange.is_empty(), "{strange:#?}");
    for round in 1..=rounds {
        let known = NEIGHBOURS.map(|neighbour| known_page(neighbour, round));
        let next = next(round).map(|(_, _, page)| page);
        for page in known.into_iter().chain(next) {
            let url = json!(page);
            assert_eq!(submits.iter().filter(|submit| **submit == url).count(), 1, "submits of {url}");
        }
    }
    let log = world.logged();
    for word in ["sk_quarry", "secret_quarry", "sk_own", "secret_own", "ghp_"] {
        let line = log.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "{line:?}");
    }
}
