//! The journal: what really happened, for tests to compare with.
//!
//! Bounded, ordered, and free of tokens. Written under the service's lock; never interprets what it holds.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

/// One line of the journal.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Number of the entry, from 1, without gaps.
    pub seq: u64,
    /// Job-clock time with microseconds (`…Z`).
    pub at: String,
    /// Wall time in milliseconds since the Unix epoch: what an observer's own clock would have shown.
    pub wall_ms: i64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// A request was decided upon.
    Request(RequestEvent),
    /// A job came to be or changed its state.
    Job(JobEvent),
}

/// A request and what was done with it.
#[derive(Clone, Debug, Serialize)]
pub struct RequestEvent {
    /// `submit`, `status`, `results`, `list`, `cancel`, `whoami`, `events`, `health` or `other`.
    pub route: &'static str,
    /// HTTP method.
    pub method: String,
    /// Path with query; the value of a `token` parameter is left out.
    pub path: String,
    /// The client that the token belongs to, when known.
    pub client: Option<String>,
    /// Fingerprint of the token sent.
    pub token: Option<String>,
    /// SHA-256 of the body received, in hexadecimal.
    pub body_sha256: String,
    /// Job type, of submits.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Payload with its defaults, of submits that were valid.
    pub payload: Option<Value>,
    /// Status code sent, or that would have been sent; absent when the service gave none.
    pub status: Option<u16>,
    /// Whether the service acted on the request (a fault may answer in its place).
    pub handled: bool,
    /// What became of the reply.
    pub reply: ReplyFate,
    /// The fault that hit, by name or number.
    pub fault: Option<String>,
    /// The job that the request was about.
    pub job_id: Option<String>,
    /// Of accepted submits: whether an earlier job was given.
    pub from_cache: Option<bool>,
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyFate {
    /// Sent whole.
    Sent,
    /// The connection was closed without a byte of it.
    Dropped,
    /// Never sent.
    Hung,
    /// A fault's own reply was sent.
    Replaced,
    /// Cut off before its end.
    Cut,
}

/// A change of a job.
#[derive(Clone, Debug, Serialize)]
pub struct JobEvent {
    /// The job.
    pub job_id: String,
    /// Its client.
    pub client: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// State before; absent at creation.
    pub from: Option<String>,
    /// State after.
    pub to: String,
    /// `submit`, `script`, `cancel` or `admin`.
    pub cause: &'static str,
}

/// A part of the journal.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// Number of the newest entry, to ask from the next time.
    pub last: u64,
    /// Entries lost for ever because the journal was full.
    pub dropped: u64,
    /// Entries after the number asked for, oldest first.
    pub entries: Vec<Entry>,
}

/// Keeps the newest entries up to its cap.
#[derive(Debug)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    cap: usize,
    last: u64,
    dropped: u64,
}

impl Journal {
    pub(crate) fn new(cap: usize) -> Self {
        Self { entries: VecDeque::new(), cap: cap.max(1), last: 0, dropped: 0 }
    }

    pub(crate) fn push(&mut self, at: String, wall_ms: i64, event: Event) {
        self.last += 1;
        self.entries.push_back(Entry { seq: self.last, at, wall_ms, event });
        if self.entries.len() > self.cap {
            self.entries.pop_front();
            self.dropped += 1;
        }
    }

    /// Entries after number `since`.
    pub(crate) fn page(&self, since: u64) -> Page {
        let start = self.entries.partition_point(|entry| entry.seq <= since);
        let entries = self.entries.iter().skip(start).cloned().collect();
        Page { last: self.last, dropped: self.dropped, entries }
    }

    /// Forgets the entries; numbers go on.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.dropped = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_journal_drops_the_oldest_and_counts_them() {
        let mut journal = Journal::new(2);
        for id in ["a", "b", "c"] {
            let event = JobEvent {
                job_id: id.to_owned(),
                client: "cli".to_owned(),
                kind: "spiderSite".to_owned(),
                from: None,
                to: "queued".to_owned(),
                cause: "submit",
            };
            journal.push(String::new(), 0, Event::Job(event));
        }
        let seqs = |page: &Page| page.entries.iter().map(|e| e.seq).collect::<Vec<_>>();
        let page = journal.page(0);
        assert_eq!((seqs(&page), page.last, page.dropped), (vec![2, 3], 3, 1));
        assert_eq!(seqs(&journal.page(2)), [3]);
        journal.clear();
        assert_eq!((journal.page(0).last, journal.page(0).entries.len()), (3, 0));
    }
}
