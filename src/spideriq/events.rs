//! The service's stream of events (contract section 8.2): hints that a job changed, best effort and without replay.
//!
//! The token is a part of its address. So it goes where addresses are written down, on the service's side too: an account
//! has to ask for it, and the operator has to allow it.

use std::collections::VecDeque;
use std::fmt;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response};
use serde::Deserialize;

use super::client::{Answer, Client, TOTAL};
use super::connection::Failure;
use super::wire::is_job_id;
use super::{Error, Signals};

/// The longest line, and the longest event, in bytes: the service's own have a few hundred.
const LONGEST: usize = 64 * 1024;
/// So many bytes without an event are no stream of events.
const WITHOUT_EVENT: usize = 1024 * 1024;

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// That the stream is alive, or something that concerns no job.
    Alive,
    /// That a job runs.
    Started(String),
    /// That a job is over.
    Ended(String),
}

/// An open stream.
pub struct Events {
    response: Response,
    frames: Frames,
}

impl fmt::Debug for Events {
    /// The answer knows its address, and that has the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

impl Client {
    /// Opens the stream of the client's events.
    pub async fn events(&self) -> Answer<Events> {
        let late = || Answer { result: Err(Error::Timeout), signals: Signals::default() };
        tokio::time::timeout(TOTAL, self.opened()).await.unwrap_or_else(|_| late())
    }

    async fn opened(&self) -> Answer<Events> {
        let token = [("token", self.credentials.expose())];
        let mut request = self.request(Method::GET, &["events", "stream"], &token, TOTAL);
        request.headers_mut().remove(AUTHORIZATION);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        *request.timeout_mut() = None;
        let (response, signals) = match self.open("events", request).await {
            Ok(sent) => sent,
            Err(failure) => return Answer { result: Err(self.failed(failure)), signals: Signals::default() },
        };
        if !response.status().is_success() {
            return self.refused(response, signals).await;
        }
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let result = if kind.eq_ignore_ascii_case("text/event-stream") {
            Ok(Events { response, frames: Frames::default() })
        } else {
            Err(Error::Malformed("it is no stream of events".to_owned()))
        };
        Answer { result, signals }
    }
}

impl Events {
    /// The next event.
    ///
    /// # Errors
    /// That the stream has ended, or is none.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.frames.ready.pop_front() {
                return event.ok_or_else(|| Error::Interrupted("the service ended the stream".to_owned()));
            }
            // A service that never pauses keeps nobody else waiting.
            tokio::task::yield_now().await;
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.frames.take(&chunk).map_err(|TooLong| Error::TooLarge)?,
                Ok(None) => return Err(Error::Interrupted("the stream has ended".to_owned())),
                Err(error) => {
                    return Err(match Failure::from(error) {
                        Failure::Timeout => Error::Timeout,
                        Failure::NotSent(why) | Failure::Broken(why) => Error::Interrupted(why),
                    });
                }
            }
        }
    }
}

/// A line or an event that is longer than any sensible one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TooLong;

/// What has come in of the stream: frames of `event:` and `data:` lines, each ended by an empty line.
#[derive(Debug, Default)]
struct Frames {
    line: Vec<u8>,
    /// How many bytes have come since the last event.
    bytes: usize,
    event: Vec<u8>,
    data: Vec<u8>,
    /// Events that nobody has asked for yet; nothing where the service says that the stream ends.
    ready: VecDeque<Option<Event>>,
}

#[derive(Deserialize)]
struct About {
    job_id: String,
}

impl Frames {
    fn take(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > WITHOUT_EVENT {
            return Err(TooLong);
        }
        for byte in bytes {
            match byte {
                b'\n' => self.end_of_line()?,
                b'\r' => {}
                byte if self.line.len() < LONGEST => self.line.push(*byte),
                _ => return Err(TooLong),
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            self.end_of_frame();
            return Ok(());
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(at) => line.split_at(at),
            None => (line.as_slice(), [].as_slice()),
        };
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.event = value.to_vec(),
            b"data" if self.data.len() + value.len() < LONGEST => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"data" => return Err(TooLong),
            _ => {}
        }
        Ok(())
    }

    fn end_of_frame(&mut self) {
        let (event, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        if event.is_empty() && data.is_empty() {
            return;
        }
        let about = || {
            let about = serde_json::from_slice::<About>(&data).ok()?;
            is_job_id(&about.job_id).then_some(about.job_id)
        };
        let event = match event.as_slice() {
            b"error" => None,
            b"job.started" => Some(about().map_or(Event::Alive, Event::Started)),
            b"job.completed" | b"job.failed" => Some(about().map_or(Event::Alive, Event::Ended)),
            _ => Some(Event::Alive),
        };
        self.bytes = 0;
        self.ready.push_back(event);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Event, Frames, LONGEST, TooLong, WITHOUT_EVENT};

    fn read(pieces: &[&[u8]]) -> Result<Vec<Option<Event>>, TooLong> {
        let mut frames = Frames::default();
        for piece in pieces {
            frames.take(piece)?;
        }
        Ok(frames.ready.into())
    }

    #[test]
    fn events_of_jobs_are_read_and_all_others_are_signs_of_life() {
        let stream = b"event: connected\ndata: {\"client_id\": \"c\"}\n\nevent: job.queued\ndata: {\"job_id\": \"a\"}\n\n\
            event: job.started\r\ndata: {\"job_id\": \"a-1\", \"worker_id\": \"w\"}\r\n\r\n: a remark\n\n\n\
            event:job.completed\ndata:{\"job_id\":\ndata: \"a-1\"}\n\nevent: campaign.failed\ndata: {}\n\n\
            event: job.failed\ndata: {\"job_id\": \"../x\"}\n\nevent: job.failed\ndata: [\n\nevent: error\ndata: {}\n\n";
        let (started, ended) = (Event::Started("a-1".to_owned()), Event::Ended("a-1".to_owned()));
        let wanted =
            [Event::Alive, Event::Alive, started, ended, Event::Alive, Event::Alive, Event::Alive].map(Some);
        let wanted: Vec<_> = wanted.into_iter().chain([None]).collect();
        assert_eq!(read(&[stream]).unwrap(), wanted);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&bytes).unwrap(), wanted, "however it is cut");
    }

    #[test]
    fn what_is_longer_than_any_sensible_event_ends_the_stream() {
        let long = vec![b'x'; LONGEST + 1];
        assert_eq!(read(&[&long]), Err(TooLong));
        let line = [b"data: ".as_slice(), &vec![b'x'; LONGEST / 2], b"\n"].concat();
        assert_eq!(read(&[&line, &line]), Err(TooLong));
        for nothing in [b"\n".as_slice(), b"\r", b": x\n", b"id: 1\n\n"] {
            let endless: Vec<&[u8]> = std::iter::repeat_n(nothing, WITHOUT_EVENT + 1).collect();
            assert_eq!(read(&endless), Err(TooLong), "{nothing:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_service_says_breaks_it_or_is_kept_without_bound(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let mut frames = Frames::default();
            let _ = frames.take(&bytes);
            prop_assert!(frames.line.len() + frames.data.len() <= 2_000 && frames.ready.len() <= 2_000);
        }
    }
}
