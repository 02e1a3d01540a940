//! The task that reads: it asks what is next, reads it with a token that may, and tells those who follow.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::floor::Moment;
use super::followed::Follower;
use super::page::{Ask, Fault, Own, Page};
use super::{Hears, Read, Reader, Shared, State, TOKENS, Wanted};
use crate::clock::sleep_until;
use crate::poll::nudge::{Flow, Stream};
use crate::spideriq::{Error, Event, JobStatus, ListPage, Listed};

/// What is read next, and when.
struct Next {
    /// What changed.
    changed: Option<(Moment, Ask)>,
    /// All that is not over.
    all: Option<(Moment, Ask)>,
    /// When the list is good for nothing any more, if nothing is read.
    ends: Option<Moment>,
    /// From when on a stream of events is to be open; nothing where none is to be.
    listens: Option<Moment>,
}

impl Shared {
    pub(super) async fn run(self: Arc<Self>) {
        let mut reading: Option<BoxFuture<'_, ()>> = None;
        let mut reading_all: Option<BoxFuture<'_, ()>> = None;
        let mut listening: Option<BoxFuture<'_, ()>> = None;
        loop {
            self.tell_whether_it_is_good();
            let Next { changed, all, ends, listens } = self.next();
            if listens.is_none() && listening.take().is_some() {
                self.stopped_listening();
            }
            let at = |moment: Option<Moment>| moment.and_then(|moment| self.origin.0.checked_add(moment));
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
                () = async { if let Some(listening) = &mut listening { listening.await } }, if listening.is_some() => {
                    listening = None;
                }
                () = sleep_until(at(listens)), if listening.is_none() => {
                    listening = Some(self.listen().boxed());
                }
                () = sleep_until(at(ends)) => {}
            }
        }
    }

    fn next(&self) -> Next {
        let (mut state, now) = (self.lock(), self.now());
        let ends = state.machine.good_until(now).filter(|_| state.relied);
        let jobs = state.jobs.len();
        let State { machine, jobs: followed, .. } = &mut *state;
        machine.await_row(followed.awaits_an_end(now));
        // What nobody follows is not read.
        if jobs == 0 || state.readers.is_empty() {
            return Next { changed: None, all: None, ends, listens: None };
        }
        let listens = state.may_listen().then_some(state.listens.again);
        let per_minute = (self.per_minute)();
        let all = state.machine.next_of_all(now, (jobs, per_minute));
        Next { changed: Some(state.machine.next(now, per_minute)), all, ends, listens }
    }

    /// Opens a stream of events and listens to it until it ends.
    async fn listen(&self) {
        let Some((name, stream)) = self.lock().next_stream() else { return };
        self.lock().listens.by = Some(name.clone());
        let mut events = match stream().await {
            Ok(events) => events,
            Err(error) => return self.closed(&name, None, fault(&error) == Fault::Refused),
        };
        let opened = self.now();
        self.lock().machine.stream(true, opened);
        self.changed.notify_one();
        let (mut flow, mut said) = (Flow::default(), false);
        while let Ok(event) = events.next().await {
            let now = self.now();
            said = true;
            if !flow.takes(now) {
                break;
            }
            self.heard(&event, now);
        }
        // One that was open and said nothing does not work.
        self.closed(&name, said.then(|| self.now().saturating_sub(opened)), false);
    }

    /// The stream of this reader is not open any more; it worked for so long, if it did.
    fn closed(&self, name: &str, worked: Option<Duration>, refused: bool) {
        let now = self.now();
        let mut state = self.lock();
        // Where another account may open one, that is soon.
        let others = state.readers.iter().filter(|(_, reader)| reader.stream.is_some());
        let others = others.filter(|(other, _)| other.as_str() != name).count();
        let all = refused && state.listens.refused >= others;
        state.listens.refused = if refused && !all { state.listens.refused + 1 } else { 0 };
        let pause = state.listens.tries.ended(worked.unwrap_or_default(), all, fastrand::f64());
        (state.listens.by, state.listens.after) = (None, name.to_owned());
        state.listens.again = now + pause;
        state.machine.stream(false, now);
        drop(state);
        self.changed.notify_one();
    }

    /// Nobody wants the stream any more that is open.
    fn stopped_listening(&self) {
        let mut state = self.lock();
        state.listens.by = None;
        state.machine.stream(false, self.now());
    }

    /// An event is a hint. That a job runs is shown, which is no end; that one is over is shown by the list, which is read at
    /// once: one page shows all that have ended. Where it is not used each is looked at.
    fn heard(&self, event: &Event, now: Moment) {
        match event {
            Event::Alive => {}
            Event::Started(id) => {
                let waiting = self.lock().jobs.waiting(id);
                for follower in waiting {
                    if self.reader(&follower.0).is_some_and(|hears| hears.started(&follower.1)) {
                        self.lock().jobs.hinted(id, &follower);
                    }
                }
            }
            Event::Ended(id) => {
                let (left, followers) = {
                    let mut state = self.lock();
                    (state.machine.left().is_some(), state.jobs.may_be_over(id, now))
                };
                self.changed.notify_one();
                for (reader, key) in followers.into_iter().filter(|_| left) {
                    if let Some(hears) = self.reader(&reader) {
                        hears.look(&key);
                    }
                }
            }
        }
    }

    /// A page of all that is not over is asked for.
    fn begin_round(&self) {
        let State { machine, jobs, .. } = &mut *self.lock();
        if machine.net.ask(jobs.len(), self.now()) {
            jobs.round_begins();
        }
    }

    /// Reads one page, with the token that was taken last, or where that may not read it with the next.
    async fn read(&self, ask: Ask) {
        let (readers, soon) = {
            let state = self.lock();
            let soon = ask.of == Listed::Changed || state.machine.waits_for_all();
            let first = state.reads.clone();
            let (before, after) = (state.readers.range(..first.clone()), state.readers.range(first..));
            let some = after.chain(before).take(TOKENS);
            let some: Vec<(String, Reader)> =
                some.map(|(name, reader)| (name.clone(), reader.clone())).collect();
            (some, soon)
        };
        let nobody = Err(Error::Connect("nobody reads the list".to_owned()));
        let mut read = (self.clock.instant(), nobody);
        for (name, reader) in readers {
            let answer = (reader.list)(Wanted { of: ask.of, page: ask.page, soon }).await;
            let refused =
                |read: &Read| matches!(read.1, Err(Error::Unauthorized { .. } | Error::Forbidden(_)));
            let goes_on = answer.as_ref().is_none_or(refused);
            read = answer.unwrap_or(read);
            // The next one after it is the next to be tried.
            self.lock().reads = if goes_on { format!("{name}\0") } else { name };
            if !goes_on {
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
        let left = machine.left().is_some();
        let failed = match read {
            Ok(page) if ask.of == Listed::Changed => match Page::of(page) {
                Some(page) => {
                    let owns: Vec<Own> = page.rows().map(|row| jobs.take(row, &mut news)).collect();
                    machine.took(ask, (begun, ended), &page, (&owns, jobs.new_ones()));
                    if machine.looks_cost_less(jobs.len(), ended) {
                        suspects = jobs.cut();
                    }
                    if left {
                        jobs.begin_again();
                    }
                    None
                }
                None => Some(Fault::Unreadable),
            },
            Ok(page) if ask.is_answered_by(page) => {
                page.rows.iter().for_each(|row| jobs.take_active(row, &mut news));
                let last = machine.net.took(page.length, jobs.len(), ended);
                if last && machine.net.is_believed(jobs.count_unmet(), jobs.len(), ended) {
                    let cut = machine.all_was_read();
                    suspects = jobs.round_ends(cut);
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
        let (good, left, told) = {
            let mut state = self.lock();
            let left = state.machine.left();
            let told = std::mem::replace(&mut state.told, left);
            let good = state.machine.known_at(now).is_some() && state.jobs.len() > 0;
            let was = std::mem::replace(&mut state.relied, good);
            (good || !was, left, told)
        };
        if !good {
            self.everybody().iter().for_each(|hears| hears.left_alone());
        }
        if left != told {
            self.everybody().iter().for_each(|hears| hears.turned());
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

impl State {
    /// Whether a stream of events is to be open: one of an account that does not want it any more is closed.
    fn may_listen(&self) -> bool {
        let wants = |reader: &Reader| reader.stream.is_some();
        match &self.listens.by {
            Some(name) => self.readers.get(name).is_some_and(wants),
            None => self.readers.values().any(wants),
        }
    }

    /// Who opens a stream next: each in turn.
    fn next_stream(&self) -> Option<(String, Stream)> {
        let after = (Bound::Excluded(self.listens.after.clone()), Bound::Unbounded);
        let mut in_turn = self.readers.range(after).chain(&self.readers);
        in_turn.find_map(|(name, reader)| Some((name.clone(), reader.stream.clone()?)))
    }
}
