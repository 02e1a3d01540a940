//! The results of a job: counted and measured while they stream by, never held whole.

use std::io::{self, Read};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use super::clean::Cleaner;
use super::pick::{Pick, members, whole};
use super::text::text;

/// What the results endpoint says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whether there are results.
    pub state: SummaryState,
    /// Number of records: `data.results_count`, else `data.pages_crawled`.
    pub count: Option<i64>,
    /// Size of the body in bytes, decoded.
    pub bytes: u64,
    /// The service's words on a failure.
    pub error_message: Option<String>,
}

/// Whether there are results; the service tells it by the HTTP status (contract section 2.1, J4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryState {
    /// 200.
    Ready,
    /// 202: the job is not over.
    Pending,
    /// 410: it failed or was cancelled.
    Gone,
}

const ENVELOPE: &[(&str, Pick)] = &[
    ("error_message", Pick::Plain),
    ("message", Pick::Plain),
    ("data", Pick::Members(&[("results_count", Pick::Plain), ("pages_crawled", Pick::Plain)])),
];

/// Reads the chunks of a body as they come; blocks, so it belongs on a thread of its own.
pub(in crate::spideriq) fn summarise(
    chunks: mpsc::Receiver<Bytes>,
    state: SummaryState,
    secret: &str,
) -> Result<Summary, String> {
    let mut chunks = Chunks::new(chunks);
    let envelope = members(io::BufReader::with_capacity(16 * 1024, &mut chunks), ENVELOPE)?;
    let word = |name: &str| envelope.get(name).and_then(Value::as_str).filter(|words| !words.is_empty());
    let words = match state {
        SummaryState::Gone => word("error_message").or(word("message")),
        SummaryState::Ready | SummaryState::Pending => word("error_message"),
    };
    let count = |name: &str| envelope.get("data").and_then(|data| data.get(name)).and_then(whole);
    Ok(Summary {
        state,
        count: count("results_count").or(count("pages_crawled")),
        bytes: chunks.bytes,
        error_message: words.map(|words| text(words, secret)),
    })
}

/// A reader over chunks that arrive on a channel, cleaned as they come.
struct Chunks {
    incoming: mpsc::Receiver<Bytes>,
    cleaner: Option<Cleaner>,
    clean: Vec<u8>,
    /// How much of `clean` was read.
    read: usize,
    /// How much arrived.
    bytes: u64,
}

impl Chunks {
    fn new(incoming: mpsc::Receiver<Bytes>) -> Self {
        Self { incoming, cleaner: Some(Cleaner::default()), clean: Vec::new(), read: 0, bytes: 0 }
    }
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.read >= self.clean.len() {
            let Some(mut cleaner) = self.cleaner.take() else { return Ok(0) };
            self.clean.clear();
            self.read = 0;
            match self.incoming.blocking_recv() {
                Some(chunk) => {
                    self.bytes += chunk.len() as u64;
                    cleaner.feed(&chunk, &mut self.clean);
                    self.cleaner = Some(cleaner);
                }
                None => cleaner.end(&mut self.clean),
            }
        }
        let amount = self.clean.get(self.read..).unwrap_or_default().read(into)?;
        self.read += amount;
        Ok(amount)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::mpsc;

    use super::{Summary, SummaryState, summarise};

    fn read(body: &str, state: SummaryState) -> Result<Summary, String> {
        let (sender, receiver) = mpsc::channel(1024);
        for chunk in body.as_bytes().chunks(7) {
            sender.try_send(Bytes::copy_from_slice(chunk)).unwrap();
        }
        drop(sender);
        summarise(receiver, state, "x")
    }

    #[test]
    fn results_are_counted_by_the_first_count_that_there_is() {
        let cases = [
            (
                r#"{"data": {"results_count": 3, "pages_crawled": 9, "businesses": [{"results_count": 7}]}}"#,
                Some(3),
            ),
            (r#"{"data": {"pages_crawled": 12}}"#, Some(12)),
            (r#"{"data": {"results_count": "many", "pages_crawled": null}}"#, None),
            (r#"{"data": null}"#, None),
            (r#"{"data": [1, 2]}"#, None),
            (r#"{"success": false}"#, None),
        ];
        for (body, count) in cases {
            let summary = read(body, SummaryState::Ready).unwrap();
            assert_eq!((summary.count, summary.bytes), (count, body.len() as u64), "{body}");
        }
    }

    #[test]
    fn the_words_of_a_failure_are_kept_and_broken_bodies_refused() {
        let gone =
            read(r#"{"status": "failed", "error_message": "no\nroute", "data": null}"#, SummaryState::Gone)
                .unwrap();
        assert_eq!(gone.error_message.as_deref(), Some("no route"));
        for bad in ["", "<html>", r#"{"data": {"#, r#"{"data": 1} x"#, "[]"] {
            assert!(read(bad, SummaryState::Ready).is_err(), "{bad}");
        }
    }
}
