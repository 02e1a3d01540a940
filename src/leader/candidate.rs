//! Contends for the lease for as long as the process lives: one loop that asks the verdict and carries it out.
//!
//! It runs in a task of its own, so that nothing that an effect waits for can delay a renewal.

use std::time::Duration;

use futures::StreamExt;
use futures::future::OptionFuture;
use futures::stream::BoxStream;
use kube::Client;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use super::lease::{Error, Leases, Stored};
use super::notes::Notes;
use super::verdict::{Ledger, RETRY_EVERY, Verdict};
use super::{Election, Leadership};
use crate::clock::Clock;

/// How long giving the lease up may take, a renewal under way included.
const RETIRE_WITHIN: Duration = Duration::from_secs(5);

/// What whoever stands by says of a Lease that nobody is to have.
const DRAINED: &str = "drained: no replica works until `spideriq-operator drain --undo`";

/// How this process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not seen the lease yet.
    Looking,
    /// Another works; this one is ready to.
    Following,
    /// None is to work.
    Drained,
    /// This one works.
    Leading,
}

/// This process in the election. Dropped, it renews no more.
#[derive(Debug)]
pub struct Candidate {
    leadership: Leadership,
    notes: Notes,
    standing: watch::Receiver<Standing>,
    retire: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Candidate {
    /// Begins to contend.
    pub fn start(client: Client, clock: Clock, election: Election) -> Self {
        let origin = clock.instant();
        let leadership = Leadership::of(clock.clone(), origin);
        let (tell, standing) = watch::channel(Standing::Looking);
        let (retire, retired) = oneshot::channel();
        let notes = Notes::default();
        let contender = Contender {
            me: election.identity.clone(),
            leases: Leases::new(client, clock.clone(), election, notes.clone()),
            clock,
            origin,
            leadership: leadership.clone(),
            tell,
        };
        Self { leadership, notes, standing, retire, task: tokio::spawn(contender.run(retired)) }
    }

    /// Whether this process may begin effects, asked at that moment.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// What the process before has left, once this one leads, and what this one leaves.
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// How this process stands, as it changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Waits until this process leads.
    ///
    /// # Errors
    /// If the lease can never be had.
    pub async fn won(&mut self) -> Result<(), Error> {
        tokio::select! {
            ended = &mut self.task => Err(why(ended)),
            Ok(_) = self.standing.wait_for(|standing| *standing == Standing::Leading) => Ok(()),
        }
    }

    /// Waits until this process leads no more, and says why.
    pub async fn lost(&mut self) -> Error {
        why((&mut self.task).await)
    }

    /// Ends the candidacy; if this process leads, gives the lease up, so that another begins at once. Nothing that it
    /// was for may still be under way.
    pub async fn retire(self) {
        let Self { retire, mut task, .. } = self;
        // It may have ended by itself.
        if retire.send(()).is_ok() && tokio::time::timeout(RETIRE_WITHIN, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Why the task of a candidate ended that was not told to.
fn why(ended: Result<Result<(), Error>, JoinError>) -> Error {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => Error::Lost("the candidacy has ended".to_owned()),
        Err(error) => Error::Lost(format!("the candidacy broke off: {error}")),
    }
}

struct Contender {
    me: String,
    leases: Leases,
    clock: Clock,
    origin: Instant,
    leadership: Leadership,
    tell: watch::Sender<Standing>,
}

impl Contender {
    fn now(&self) -> Duration {
        self.clock.instant().saturating_duration_since(self.origin)
    }

    /// Ends well once it was told to, and else with why this process leads no more or never will.
    async fn run(self, mut retired: oneshot::Receiver<()>) -> Result<(), Error> {
        let Some(mut stored) = self.first_look(&mut retired).await? else { return Ok(()) };
        let mut ledger = Ledger::new(self.me.clone(), stored.as_ref().map(Stored::record), self.now());
        let mut watched: Option<BoxStream<'static, Option<Stored>>> = None;
        loop {
            let leads = ledger.renewed().is_some();
            match ledger.judge(self.now()) {
                Verdict::Lost => {
                    self.leadership.end();
                    return Err(Error::Lost(why_lost(&ledger, &self.me)));
                }
                Verdict::Acquire | Verdict::Renew => self.hold(&mut ledger, &mut stored).await?,
                Verdict::Wait(pause) => {
                    self.say(leads, &ledger);
                    // Of a lease of our own we know more than a watch tells.
                    if leads {
                        watched = None;
                    } else if watched.is_none() {
                        watched = Some(self.leases.changes().boxed());
                    }
                    let next = OptionFuture::from(watched.as_mut().map(StreamExt::next));
                    tokio::select! {
                        biased;
                        told = &mut retired => {
                            return if told.is_ok() { self.give_up(stored.filter(|_| leads)).await } else { Ok(()) };
                        }
                        Some(Some(seen)) = next => {
                            stored = seen;
                            ledger.saw(stored.as_ref().map(Stored::record), self.now());
                        }
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }

    /// The lease as it is at the start, once the API server answers; nothing if this process is to end before.
    async fn first_look(&self, retired: &mut oneshot::Receiver<()>) -> Result<Option<Option<Stored>>, Error> {
        loop {
            let unanswered = match self.leases.read().await {
                Ok(stored) => return Ok(Some(stored)),
                Err(Error::Unanswered(why)) => why,
                Err(refused) => return Err(refused),
            };
            tracing::warn!(why = unanswered, "the lease could not be read; looking again");
            tokio::select! {
                _ = &mut *retired => return Ok(None),
                () = tokio::time::sleep(RETRY_EVERY) => {}
            }
        }
    }

    /// Takes or renews the lease, and looks at it where that failed.
    async fn hold(&self, ledger: &mut Ledger, stored: &mut Option<Stored>) -> Result<(), Error> {
        let leads = ledger.renewed().is_some();
        let sent = self.now();
        match self.leases.hold(stored.as_ref()).await {
            Ok(written) => {
                ledger.wrote(written.record(), sent, self.now());
                *stored = Some(written);
                if leads && !self.leadership.prolong(sent) {
                    return Err(Error::Lost("the lease was renewed too late".to_owned()));
                }
                if !leads && ledger.renewed().is_some() {
                    self.leadership.begin(sent);
                }
                return Ok(());
            }
            Err(error @ Error::Refused(..)) if !leads => return Err(error),
            Err(Error::Changed) if !leads => tracing::debug!("another was faster to the lease"),
            Err(error) => tracing::warn!(%error, "the lease was not written"),
        }
        ledger.failed(self.now());
        if let Ok(seen) = self.leases.read().await {
            ledger.saw(seen.as_ref().map(Stored::record), self.now());
            *stored = seen;
        }
        Ok(())
    }

    /// Tells how this process stands, where that is news.
    fn say(&self, leads: bool, ledger: &Ledger) {
        let lease = ledger.lease();
        let standing = match lease {
            _ if leads => Standing::Leading,
            Some(lease) if lease.drained => Standing::Drained,
            Some(_) | None => Standing::Following,
        };
        if *self.tell.borrow() == standing {
            return;
        }
        let (identity, holder) =
            (&self.me, lease.and_then(|lease| lease.holder.as_deref()).unwrap_or_default());
        match standing {
            Standing::Leading => tracing::info!(identity, "leading"),
            Standing::Drained => tracing::warn!(identity, "{DRAINED}"),
            Standing::Looking | Standing::Following => {
                tracing::info!(identity, holder, "following: ready to take over");
            }
        }
        self.tell.send_replace(standing);
    }

    /// Lets another begin at once, where the lease is ours.
    async fn give_up(&self, ours: Option<Stored>) -> Result<(), Error> {
        self.leadership.end();
        if let Some(ours) = ours {
            match self.leases.release(&ours).await {
                Ok(_) => tracing::info!("the lease is given up"),
                Err(error) => tracing::warn!(%error, "the lease was not given up; it runs out by itself"),
            }
        }
        Ok(())
    }
}

fn why_lost(ledger: &Ledger, me: &str) -> String {
    if ledger.lease().is_some_and(|lease| lease.drained) {
        return "the operator was drained".to_owned();
    }
    match ledger.lease().map(|lease| lease.holder.as_deref()) {
        Some(Some(holder)) if holder == me => "the lease could not be renewed in time".to_owned(),
        Some(Some(holder)) => format!("the lease was lost to {holder}"),
        Some(None) => "the lease was given up by somebody".to_owned(),
        None => "the lease was deleted".to_owned(),
    }
}
