//! The results of a job: counted and measured while they stream by, never held whole.

use std::fmt;
use std::io::{self, Read};

use bytes::{Buf, Bytes};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use tokio::sync::mpsc;

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

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    error_message: Words,
    #[serde(default)]
    message: Words,
    #[serde(default)]
    data: Data,
}

/// Reads the chunks of a body as they come; blocks, so it belongs on a thread of its own.
pub(in crate::spideriq) fn summarise(
    chunks: mpsc::Receiver<Bytes>,
    state: SummaryState,
    secret: &str,
) -> Result<Summary, String> {
    let mut chunks = Chunks { incoming: chunks, current: Bytes::new(), bytes: 0 };
    // Serde would take a list for a struct, too.
    if chunks.first_byte() != Some(b'{') {
        return Err("it is not a JSON object".to_owned());
    }
    let envelope: Envelope = {
        let mut reader =
            serde_json::Deserializer::from_reader(io::BufReader::with_capacity(16 * 1024, &mut chunks));
        let envelope = Envelope::deserialize(&mut reader).map_err(|error| error.to_string())?;
        reader.end().map_err(|error| error.to_string())?;
        envelope
    };
    let words = match state {
        SummaryState::Gone => envelope.error_message.0.or(envelope.message.0),
        SummaryState::Ready | SummaryState::Pending => envelope.error_message.0,
    };
    Ok(Summary {
        state,
        count: envelope.data.results_count.or(envelope.data.pages_crawled),
        bytes: chunks.bytes,
        error_message: words.filter(|words| !words.is_empty()).map(|words| text(&words, secret)),
    })
}

/// A reader over chunks that arrive on a channel.
struct Chunks {
    incoming: mpsc::Receiver<Bytes>,
    current: Bytes,
    bytes: u64,
}

impl Chunks {
    /// The first byte that is no white space; waits until there is one.
    fn first_byte(&mut self) -> Option<u8> {
        loop {
            if let Some(byte) = self.current.iter().copied().find(|byte| !byte.is_ascii_whitespace()) {
                return Some(byte);
            }
            self.bytes += self.current.len() as u64;
            self.current = self.incoming.blocking_recv()?;
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.incoming.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let length = self.current.len().min(into.len());
        self.current.copy_to_slice(into.get_mut(..length).unwrap_or_default());
        self.bytes += length as u64;
        Ok(length)
    }
}

/// The two counts in `data`, whatever else and whatever type it is.
#[derive(Default)]
struct Data {
    results_count: Option<i64>,
    pages_crawled: Option<i64>,
}

/// A whole number, or anything else as none.
#[derive(Default)]
struct Whole(Option<i64>);

/// A text, or anything else as none.
#[derive(Default)]
struct Words(Option<String>);

/// Implements the visits of values that carry nothing for us, so that each visitor shows only what it reads.
macro_rules! ignore {
    ($value:expr; $($visit:ident($type:ty)),*) => {
        $(fn $visit<E: de::Error>(self, _: $type) -> Result<Self::Value, E> { Ok($value) })*
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> { Ok($value) }
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($value)
        }
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("any value") }
    };
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counts;
        impl<'de> Visitor<'de> for Counts {
            type Value = Data;
            ignore!(Data::default(); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
                let mut data = Data::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "results_count" => data.results_count = map.next_value::<Whole>()?.0,
                        "pages_crawled" => data.pages_crawled = map.next_value::<Whole>()?.0,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(data)
            }
        }
        deserializer.deserialize_any(Counts)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl<'de> Visitor<'de> for Number {
            type Value = Whole;
            ignore!(Whole(None); visit_bool(bool), visit_f64(f64), visit_str(&str));
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Whole, E> {
                Ok(Whole(Some(value)))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Whole, E> {
                Ok(Whole(i64::try_from(value).ok()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Whole, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Whole(None))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Words;
            ignore!(Words(None); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64));
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Words, E> {
                Ok(Words(Some(value.to_owned())))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Words(None))
            }
        }
        deserializer.deserialize_any(Text)
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
