//! The task that reads: it asks what is next, reads it with a token that may, and tells those who follow.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::floor::Moment;
use super::followed::Follower;
use super::machine::{Fault, Own};
use super::page::{Ask, Page};
use super::{Hears, Reader, Shared, State, TOKENS};
use crate::clock::sleep_until;
use crate::spideriq::{Error, JobStatus, ListPage, Listed};

/// What is read next, and when.
struct Next {
    /// What changed.
    changed: Option<(Moment, Ask)>,
    /// All that is not over.
    all: Option<(Moment, Ask)>,
    /// When the list is good for nothing any more, if nothing is read.
    ends: Option<Moment>,
}

impl Shared {
    pub(super) async fn run(self: Arc<Self>) {
        let (mut reading, mut reading_all): (Option<BoxFuture<'_, ()>>, Option<BoxFuture<'_, ()>>) =
            (None, None);
        loop {
            self.tell_whether_it_is_good();
            let Next { changed, all, ends } = self.next();
            let at = |moment: Option<Moment>| moment.map(|moment| self.origin.0 + moment);
            tokio::select! {
                // In this order, so that a simulation can be repeated.
                biased;
                () = self.changed.notified() => {}
                () = async { if let Some(reading) = &mut reading { reading.await } }, if reading.is_some() => {
                    reading = None;
                }
                () = async { if let Some(reading) = &mut reading_all { reading.await } }, if reading_all.is_some() => {
                    reading_all = None;
                }
                () = sleep_until(at(changed.map(|(at, _)| at))), if reading.is_none() => {
                    reading = changed.map(|(_, ask)| self.read(ask).boxed());
                }
                () = sleep_until(at(all.map(|(at, _)| at))), if reading_all.is_none() => {
                    self.begin_round();
                    reading_all = all.map(|(_, ask)| self.read(ask).boxed());
                }
                () = sleep_until(at(ends)) => {}
            }
        }
    }

    fn next(&self) -> Next {
        let (state, now) = (self.lock(), self.now());
        let ends = state.machine.good_until().filter(|_| state.relied);
        let jobs = state.jobs.len();
        // What nobody follows is not read.
        if jobs == 0 || state.readers.is_empty() {
            return Next { changed: None, all: None, ends };
        }
        let per_minute = (self.per_minute)();
        let all = state.machine.next_of_all(now, (jobs, per_minute));
        Next { changed: Some(state.machine.next(now, per_minute)), all, ends }
    }

    /// A page of all that is not over is asked for.
    fn begin_round(&self) {
        let State { machine, jobs, .. } = &mut *self.lock();
        if machine.net.ask(self.now()) {
            jobs.round_begins();
        }
    }

    /// Reads one page, with the token that was taken last, or where that may not read it with the next.
    async fn read(&self, ask: Ask) {
        let (readers, before) = {
            let state = self.lock();
            let first = state.reads.clone();
            let (before, after) = (state.readers.range(..first.clone()), state.readers.range(first..));
            let some = after.chain(before).take(TOKENS);
            let some: Vec<(String, Reader)> =
                some.map(|(name, reader)| (name.clone(), reader.clone())).collect();
            (some, state.machine.left())
        };
        let nobody = Err(Error::Connect("nobody reads the list".to_owned()));
        let mut read = (self.clock.instant(), nobody);
        for (name, reader) in readers {
            read = (reader.list)(ask.of, ask.page).await;
            let refused = matches!(read.1, Err(Error::Unauthorized { .. } | Error::Forbidden(_)));
            // The next one after it is the next to be tried.
            self.lock().reads = if refused { format!("{name}\0") } else { name };
            if !refused {
                break;
            }
        }
        let (sent, read) = read;
        let begun = sent.saturating_duration_since(self.origin.0);
        let (news, suspects) = self.take(ask, begun, &read);
        for ((reader, key), job) in news {
            if let Some(hears) = self.reader(&reader) {
                hears.hear(&key, job);
            }
        }
        for (reader, key) in suspects {
            if let Some(hears) = self.reader(&reader) {
                hears.look(&key);
            }
        }
        if self.lock().machine.left() != before {
            self.everybody().iter().for_each(|hears| hears.turned());
        }
    }

    fn reader(&self, name: &str) -> Option<Arc<dyn Hears>> {
        self.lock().readers.get(name).and_then(|reader| reader.hears.upgrade())
    }

    /// Takes a page: who is to be told of which job, and who has to look at his own.
    fn take(
        &self,
        ask: Ask,
        begun: Moment,
        read: &Result<ListPage, Error>,
    ) -> (Vec<(Follower, JobStatus)>, Vec<Follower>) {
        let ended = self.now();
        let (mut news, mut suspects) = (Vec::new(), Vec::new());
        let State { machine, jobs, .. } = &mut *self.lock();
        let failed = match read {
            Ok(page) if ask.of == Listed::Changed => match Page::of(page) {
                Some(page) => {
                    let owns: Vec<Own> = page.rows().map(|row| jobs.take(row, &mut news)).collect();
                    machine.took(ask, (begun, ended), &page, (&owns, jobs.new_ones()));
                    if machine.looks_cost_less(jobs.len()) {
                        suspects = jobs.suspect_all();
                    }
                    None
                }
                None => Some(Fault::Unreadable),
            },
            Ok(page) if ask.is_answered_by(page) => {
                page.rows.iter().for_each(|row| jobs.take_active(row, &mut news));
                let last = machine.net.took(page.length, jobs.len(), ended);
                if last && !machine.net.reads_again(jobs.count_unmet(), ended) {
                    suspects = jobs.round_ends();
                    machine.all_was_read();
                }
                None
            }
            Ok(_) => Some(Fault::Unreadable),
            Err(error) => Some(fault(error)),
        };
        if let Some(fault) = failed {
            machine.failed(ask, fault, ended);
        }
        if let Some(mark) = machine.mark(ended) {
            (self.keep)(mark);
        }
        (news, suspects)
    }

    /// Tells those who rely on the list when it is good for nothing any more.
    fn tell_whether_it_is_good(&self) {
        let now = self.now();
        let good = {
            let mut state = self.lock();
            let good = state.machine.known_at(now).is_some() && state.jobs.len() > 0;
            let was = std::mem::replace(&mut state.relied, good);
            good || !was
        };
        if !good {
            self.everybody().iter().for_each(|hears| hears.left_alone());
        }
    }

    fn everybody(&self) -> Vec<Arc<dyn Hears>> {
        self.lock().readers.values().filter_map(|reader| reader.hears.upgrade()).collect()
    }
}

/// What an answer that is no page means for the list as a whole.
fn fault(error: &Error) -> Fault {
    match error {
        Error::Unauthorized { .. }
        | Error::Forbidden(_)
        | Error::NotFound(_)
        | Error::Invalid(_)
        | Error::Refused { .. }
        | Error::Redirected(_) => Fault::Refused,
        Error::Malformed(_) | Error::TooLarge => Fault::Unreadable,
        Error::Timeout => Fault::Slow,
        Error::Connect(_)
        | Error::Interrupted(_)
        | Error::Throttled { .. }
        | Error::SpendCap(_)
        | Error::Server { .. } => Fault::Passing,
    }
}
