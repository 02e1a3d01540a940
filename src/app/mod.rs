//! Builds everything, runs it until a signal, and lets running effects finish.

mod missing;
mod operator;
mod seen;

pub use operator::{Operator, Parts};

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::controller::Options;
use crate::health::{Health, Role};
use crate::kubernetes::{self, News};
use crate::leader::{Candidate, Election, Leadership, Notes};
use crate::serve::{self, Sources};
use crate::telemetry::{Metrics, Page};

use self::missing::known;
use self::operator::signal;
use self::seen::Seen;

/// How often it is told that the runtime turns: several times in what it may take, and not more often than it is worth to
/// wake a thread where nothing happens.
const TURNS_EVERY: Duration = Duration::from_secs(5);

/// Runs the operator: at once, or as one of several that stand in an election.
///
/// # Errors
/// One sentence that says what to do: no kubeconfig, no CRDs, no rights; or that the lease was lost.
pub async fn run(options: Options, listen: SocketAddr, election: Option<Election>) -> anyhow::Result<()> {
    let clock = Clock::system();
    let news = News::new(clock.clone());
    let (metrics, health) = (Metrics::default(), Health::default());
    let client = kubernetes::connect(&news, &metrics).await?;
    news.expect(&options.namespaces);
    let seen = Seen { health: health.clone(), news, context: Arc::default() };
    health.report("caches", Some("the caches are not synced yet".to_owned()));
    let sources = Sources {
        not_ready: Box::new(seen.not_ready()),
        page: Page::new(&metrics, seen.snapshot()),
        state: Box::new(seen.state()),
    };
    serve::start(listen, health.clone(), sources)?;
    let turns = tokio::spawn(turn(health.clone()));
    let parts = Parts {
        client,
        clock,
        transport: None,
        options,
        metrics,
        health,
        leadership: Leadership::without_election(),
        notes: Notes::default(),
    };
    let ended = async {
        tokio::select! {
            () = signal() => return Ok(()),
            known = known(&parts) => known?,
        }
        match election {
            None => operate(parts, &seen, signal()).await.map(drop),
            Some(election) => contend(parts, &seen, election).await,
        }
    };
    let ended = ended.await;
    turns.abort();
    ended
}

/// Tells that the runtime turns.
async fn turn(health: Health) {
    loop {
        health.turn();
        tokio::time::sleep(TURNS_EVERY).await;
    }
}

/// Runs an operator until `signal` ends. Returns whether everything that was under way has ended, too.
async fn operate(parts: Parts, seen: &Seen, signal: impl Future<Output = ()>) -> anyhow::Result<bool> {
    parts.health.take(Role::Working);
    let mut operator = Operator::start(parts);
    seen.operator(&mut operator);
    operator.until(signal).await
}

/// Waits for the lease, and runs an operator for as long as it is held: it lets the next begin at the end, or ends
/// the process because it was lost.
async fn contend(parts: Parts, seen: &Seen, election: Election) -> anyhow::Result<()> {
    let mut signal = pin!(signal());
    let mut candidate = Candidate::start(parts.client.clone(), parts.clock.clone(), election);
    seen.follower(candidate.standing());
    tokio::select! {
        () = &mut signal => {
            candidate.retire().await;
            return Ok(());
        }
        won = candidate.won() => won?,
    }
    let (leadership, notes) = (candidate.leadership(), candidate.notes());
    let health = parts.health.clone();
    let mut lost = None;
    let stop = async {
        tokio::select! {
            () = signal => {}
            why = candidate.lost() => {
                health.report("lease", Some(why.to_string()));
                lost = Some(why);
            }
        }
    };
    let drained = operate(Parts { leadership, notes, ..parts }, seen, stop).await?;
    if let Some(why) = lost {
        return Err(why.into());
    }
    if drained {
        candidate.retire().await;
    }
    Ok(())
}
