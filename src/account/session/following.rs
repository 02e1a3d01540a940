//! How the jobs of a session are followed: by the list that it shares with the client's other accounts, and by looks at single
//! jobs, each paid from its budget.

use std::sync::{Arc, PoisonError};

use super::Session;
use crate::account::news::News;
use crate::account::turn::soon_turn;
use crate::budget::{Lane, Verdict};
use crate::decide::account::Asked;
use crate::poll::{self, Followed, List, Poller, Stream, Why};
use crate::spideriq::{Error, Events, JobStatus};

impl Session {
    /// Follows jobs from now on: what rested follows nothing.
    pub(in crate::account) fn start_following(self: &Arc<Self>) {
        let mut poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
        if poller.is_some() {
            return;
        }
        let looking = Arc::downgrade(self);
        let look = Arc::new(move |job: Followed| {
            let session = looking.upgrade();
            let look: futures::future::BoxFuture<'static, Result<JobStatus, Error>> = Box::pin(async move {
                let session = session.ok_or(Error::Interrupted("the account changed".to_owned()))?;
                session.status(Lane::Poll, &job.group, &job.key, &job.job_id).await
            });
            look
        });
        let (listing, clock) = (Arc::downgrade(self), self.clock.clone());
        let list: List = Arc::new(move |wanted| {
            let session = listing.upgrade();
            let clock = clock.clone();
            Box::pin(async move {
                match session {
                    Some(session) => session.list(wanted).await,
                    None => {
                        Some((clock.instant(), Err(Error::Interrupted("the account changed".to_owned()))))
                    }
                }
            })
        });
        let streaming = Arc::downgrade(self);
        let stream: Stream = Arc::new(move || {
            let session = streaming.upgrade();
            Box::pin(async move {
                let session = session.ok_or(Error::Interrupted("the account changed".to_owned()))?;
                session.events().await
            })
        });
        let (accounts, key) = (self.channels.accounts.clone(), self.key.clone());
        let started = Poller::start(poll::Parts {
            look,
            tail: (Arc::clone(&self.tail), self.key.to_string(), list),
            stream,
            clock: self.clock.clone(),
            changed: self.channels.objects.clone(),
            turned: Box::new(move || {
                // The receiver goes only when the process stops.
                let _ = accounts.send(News::Account(key.clone()));
            }),
        });
        started.set_used(self.lock().settings.used);
        *poller = Some(started);
    }

    /// Reads a page of the client's jobs when its turn comes; nothing where another release works meanwhile, so that another
    /// account reads it. That the list is refused says nothing of the account; and it is paid by the client alone, whose
    /// jobs it shows.
    async fn list(&self, wanted: poll::Wanted) -> Option<poll::Read> {
        let lane = if wanted.soon { Lane::List } else { Lane::Net };
        let at = (lane, self.key.namespace.as_str(), "the list of jobs");
        let permit = soon_turn((&self.claims, &self.key.scope()), &self.gate.of(""), at).await?.begun();
        let sent = self.clock.instant();
        let answer = self.client.list(wanted.of, wanted.page).await;
        let of_the_list = matches!(
            answer.result,
            Err(Error::Forbidden(_)
                | Error::NotFound(_)
                | Error::Invalid(_)
                | Error::Refused { .. }
                | Error::Malformed(_)
                | Error::TooLarge)
        );
        if of_the_list {
            permit.settle(Verdict::Answered, answer.signals.counted);
            return Some((sent, answer.result));
        }
        Some((sent, self.settle(permit, answer, Asked::List)))
    }

    /// Opens the stream of the client's events when its turn comes. Whatever comes of it says nothing of the account: it may
    /// be that a proxy lets no stream pass, or no token in an address.
    async fn events(&self) -> Result<Events, Error> {
        let at = (Lane::List, self.key.namespace.as_str(), "the stream of events");
        let permit = soon_turn((&self.claims, &self.key.scope()), &self.gate.of(""), at).await;
        let not_ours = || Error::Connect("another release works here".to_owned());
        let permit = permit.ok_or_else(not_ours)?.begun();
        let answer = self.client.events().await;
        match &answer.result {
            Err(Error::Throttled { .. }) => return self.settle(permit, answer, Asked::List),
            // It counts as sent, and as nothing else.
            Err(Error::Connect(_) | Error::Timeout | Error::Interrupted(_)) => drop(permit),
            Ok(_) | Err(_) => {
                permit.settle(Verdict::Answered, answer.signals.counted);
            }
        }
        answer.result
    }

    /// Why the list of jobs cannot be used, if it cannot.
    pub fn list_is_left(&self) -> Option<Why> {
        self.polling(Poller::left).flatten()
    }

    /// Follows nothing any more: the account cannot be used, and only deletions still cancel with it.
    pub fn stop_following(&self) {
        self.poller.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Runs something with the poller.
    pub fn polling<T>(&self, with: impl FnOnce(&Poller) -> T) -> Option<T> {
        self.poller.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(with)
    }
}
