//! Makes an answer fit for a strict JSON reader, so that an odd value hides nothing but itself.
//!
//! Services write what JSON has no word for: halves of surrogates, `NaN`, a byte order mark, broken UTF-8. Each of them
//! becomes the nearest thing that can be read, as the bytes stream by; structure is never invented, so that a body that
//! was cut off stays one.

/// The deepest nesting that is kept; what lies deeper is not needed and becomes `null`.
const DEEPEST: usize = 64;
/// The longest number that is kept.
const LONGEST_NUMBER: usize = 256;
/// The most bytes that are kept of a text: a reader holds it whole.
const LONGEST_TEXT: usize = 64 * 1024;
/// What stands for a character that cannot be read.
const UNREADABLE: &[u8] = "\u{fffd}".as_bytes();

/// A cleaner in the middle of a body.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    place: Place,
    /// Whether `place` is in a text.
    in_text: bool,
    /// How many bytes of that text there were.
    length: usize,
    /// A word or number outside of texts, as far as it has come.
    word: Vec<u8>,
    /// The first half of a surrogate pair, whose second half has to follow.
    half: Option<u16>,
    /// How many lists and objects are open.
    depth: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// Before anything, or behind a whole character.
    #[default]
    Between,
    /// Behind a backslash.
    Escape,
    /// Within the four digits of an escape: their value, and how many there were.
    Digits(u16, u8),
    /// Within a character of several bytes: those that there were, how many, and how many it has.
    Character([u8; 4], usize, usize),
}

/// The same body, fit for a strict reader.
pub(in crate::spideriq) fn clean(body: &[u8]) -> Vec<u8> {
    let mut cleaner = Cleaner::default();
    let mut clean = Vec::with_capacity(body.len());
    cleaner.feed(body, &mut clean);
    cleaner.end(&mut clean);
    clean
}

impl Cleaner {
    /// Takes the next bytes, and adds to `out` what can be said of them by now.
    pub(super) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for byte in bytes {
            self.take(*byte, out);
        }
    }

    /// Ends the body.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.end_word(out);
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.place {
            Place::Between if self.in_text => self.take_in_text(byte, out),
            Place::Between => self.take_outside(byte, out),
            Place::Escape => self.take_escaped(byte, out),
            Place::Digits(value, count) => self.take_digit((value, count), byte, out),
            Place::Character(seen, count, whole) => self.take_part((seen, count, whole), byte, out),
        }
    }

    fn take_outside(&mut self, byte: u8, out: &mut Vec<u8>) {
        if byte.is_ascii_alphanumeric() || b"+-._".contains(&byte) {
            // One byte more than is kept tells that it is too long.
            if self.word.len() <= LONGEST_NUMBER {
                self.word.push(byte);
            }
            return;
        }
        self.end_word(out);
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == DEEPEST + 1 {
                    out.extend_from_slice(b" null ");
                }
                self.put(&[byte], out);
            }
            b'}' | b']' => {
                self.put(&[byte], out);
                self.depth = self.depth.saturating_sub(1);
            }
            b'"' => {
                self.put(b"\"", out);
                self.in_text = true;
                self.length = 0;
            }
            0x80.. => self.begin_character(byte, out),
            _ => self.put(&[byte], out),
        }
    }

    /// `NaN`, `Infinity` and whatever begins like a number and is none that a double can hold, become `null`.
    fn end_word(&mut self, out: &mut Vec<u8>) {
        let word = std::mem::take(&mut self.word);
        let Some(first) = word.first() else { return };
        let endless = [&b"NaN"[..], b"Infinity"].contains(&word.as_slice());
        let like_a_number = first.is_ascii_digit() || b"+-.".contains(first);
        let kept = !endless && (!like_a_number || is_number(&word));
        self.put(if kept { &word } else { b"null" }, out);
    }

    fn take_in_text(&mut self, byte: u8, out: &mut Vec<u8>) {
        if byte == b'\\' {
            self.place = Place::Escape;
            return;
        }
        self.end_half(out);
        match byte {
            b'"' => {
                self.in_text = false;
                self.put(b"\"", out);
            }
            0x80.. => self.begin_character(byte, out),
            0..0x20 => self.put(b" ", out),
            _ => self.put(&[byte], out),
        }
    }

    fn take_escaped(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.place = Place::Between;
        match byte {
            b'u' => self.place = Place::Digits(0, 0),
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.end_half(out);
                self.put(&[b'\\', byte], out);
            }
            _ => {
                self.end_half(out);
                self.put(UNREADABLE, out);
                self.take(byte, out);
            }
        }
    }

    fn take_digit(&mut self, (value, count): (u16, u8), byte: u8, out: &mut Vec<u8>) {
        let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
        let Some(digit) = digit else {
            self.place = Place::Between;
            self.end_half(out);
            self.put(UNREADABLE, out);
            return self.take(byte, out);
        };
        let value = value << 4 | digit;
        if count < 3 {
            self.place = Place::Digits(value, count + 1);
            return;
        }
        self.place = Place::Between;
        match (value, self.half) {
            (0xDC00..=0xDFFF, Some(first)) => {
                self.half = None;
                self.put(format!("\\u{first:04x}\\u{value:04x}").as_bytes(), out);
            }
            (0xD800..=0xDBFF, _) => {
                self.end_half(out);
                self.half = Some(value);
            }
            (0xDC00..=0xDFFF, None) => self.put(UNREADABLE, out),
            (_, _) => {
                self.end_half(out);
                self.put(format!("\\u{value:04x}").as_bytes(), out);
            }
        }
    }

    /// A first half whose second half did not follow.
    fn end_half(&mut self, out: &mut Vec<u8>) {
        if self.half.take().is_some() {
            self.put(UNREADABLE, out);
        }
    }

    fn begin_character(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            0xC2..=0xDF => self.place = Place::Character([byte, 0, 0, 0], 1, 2),
            0xE0..=0xEF => self.place = Place::Character([byte, 0, 0, 0], 1, 3),
            0xF0..=0xF4 => self.place = Place::Character([byte, 0, 0, 0], 1, 4),
            _ => self.put(UNREADABLE, out),
        }
    }

    fn take_part(&mut self, (mut seen, count, whole): ([u8; 4], usize, usize), byte: u8, out: &mut Vec<u8>) {
        self.place = Place::Between;
        if !(0x80..0xC0).contains(&byte) {
            self.put(UNREADABLE, out);
            return self.take(byte, out);
        }
        if let Some(next) = seen.get_mut(count) {
            *next = byte;
        }
        if count + 1 < whole {
            self.place = Place::Character(seen, count + 1, whole);
            return;
        }
        let character = seen.get(..whole).and_then(|bytes| std::str::from_utf8(bytes).ok());
        match character {
            // A byte order mark belongs to no value.
            Some("\u{feff}") if !self.in_text => self.put(b" ", out),
            Some(character) => self.put(character.as_bytes(), out),
            None => self.put(UNREADABLE, out),
        }
    }

    /// Keeps bytes, unless they lie too deep or too far behind in a text.
    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.in_text {
            self.length += bytes.len();
        }
        if self.depth <= DEEPEST && (!self.in_text || self.length <= LONGEST_TEXT) {
            out.extend_from_slice(bytes);
        }
    }
}

/// Whether it is a number of JSON that a double can hold.
fn is_number(word: &[u8]) -> bool {
    word.len() <= LONGEST_NUMBER && serde_json::from_slice::<f64>(word).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{Cleaner, clean};

    fn read(body: &[u8]) -> Option<Value> {
        serde_json::from_slice(&clean(body)).ok()
    }

    #[test]
    fn odd_values_hide_nothing_but_themselves() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let long = "9".repeat(100_000);
        let words = "x".repeat(100_000);
        let cases: Vec<(Vec<u8>, Value)> = vec![
            (br#""x \udce2 y""#.to_vec(), json!("x \u{fffd} y")),
            (br#""w\ud83d""#.to_vec(), json!("w\u{fffd}")),
            (br#""\ud83d\ud83d\ude00\ude00""#.to_vec(), json!("\u{fffd}\u{1f600}\u{fffd}")),
            (br#""\ud83d\n\uD83Dx\u0041""#.to_vec(), json!("\u{fffd}\n\u{fffd}xA")),
            (br#""\uD83D\uDE00 \\ud83d""#.to_vec(), json!("\u{1f600} \\ud83d")),
            (br#""\u12 \x \' \u00g0""#.to_vec(), json!("\u{fffd} \u{fffd}x \u{fffd}' \u{fffd}g0")),
            (b"\"\x00\r\n\t\x7f\"".to_vec(), json!("    \u{7f}")),
            (
                b"\"\xff \xed\xa0\x80 \xe2\x82 \xc3\xa9 \xf0\x9f\x98\x80 \xc0\xaf\"".to_vec(),
                json!("\u{fffd} \u{fffd} \u{fffd} \u{e9} \u{1f600} \u{fffd}\u{fffd}"),
            ),
            (b"\xef\xbb\xbf {\"a\": \"\xef\xbb\xbf\"}\xef\xbb\xbf".to_vec(), json!({"a": "\u{feff}"})),
            (
                b"[NaN, -Infinity, Infinity, 1e400, -1e400, 01, +1, .5, 1., 0x1f, 1e5, -0.5, true]".to_vec(),
                json!([null, null, null, null, null, null, null, null, null, null, 1e5, -0.5, true]),
            ),
            (format!("[{deep}, {long}, 2]").into_bytes(), json!([deepest(), null, 2])),
            (format!(r#"["{words}", "{words}"]"#).into_bytes(), json!([&words[..65_536], &words[..65_536]])),
            (
                br#"{"a": "NaN, -Infinity ] }", "NaN": 1}"#.to_vec(),
                json!({"a": "NaN, -Infinity ] }", "NaN": 1}),
            ),
        ];
        for (body, expected) in cases {
            let shown: String = String::from_utf8_lossy(&body).chars().take(80).collect();
            assert_eq!(read(&body), Some(expected), "{shown}");
        }
    }

    /// What is kept of a nest of lists within a list: 63 of them, with nothing in the innermost.
    fn deepest() -> Value {
        (0..62).fold(json!([null]), |inner, _| json!([inner]))
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for bad in [
            "",
            "ok",
            "<html>",
            "{\"a\": \"que",
            "{\"a\": [1, 2",
            "[1] x",
            "{a: 1}",
            "\"",
            "\"\\",
            "\"\\ud83d",
            "\u{feff}",
            "[1,]",
            "nan",
            &"[".repeat(1000),
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn json_stays_what_it_means(text in "[\\PC\n]*", number: f64, whole: i64) {
            let value = json!({"text": text, "n": [number, whole], "more": {text.clone(): null}});
            prop_assert_eq!(read(value.to_string().as_bytes()), Some(value.clone()));
            prop_assert_eq!(read(serde_json::to_string_pretty(&value).unwrap().as_bytes()), Some(value));
        }

        /// Cut anywhere, it comes out the same, is valid UTF-8 in texts, and never grows by more than it may.
        #[test]
        fn chunks_make_no_difference(body in bytes(), cut in 0_usize..64) {
            let whole = clean(&body);
            prop_assert!(whole.len() <= 4 * body.len() + 8, "{} of {}", whole.len(), body.len());
            let mut cleaner = Cleaner::default();
            let mut parts = Vec::new();
            for chunk in body.chunks(cut.max(1)) {
                cleaner.feed(chunk, &mut parts);
            }
            cleaner.end(&mut parts);
            prop_assert_eq!(&parts, &whole);
            prop_assert!(std::str::from_utf8(&whole).is_ok());
            prop_assert_eq!(clean(&whole), whole, "what is clean stays as it is");
        }

        /// Within a text any bytes can stand, and the values beside it are read.
        #[test]
        fn no_bytes_of_a_text_hide_what_stands_beside_it(odd in bytes()) {
            let odd: Vec<u8> = odd.into_iter().filter(|byte| *byte != b'"' && *byte != b'\\').collect();
            let body = [br#"{"odd": ""#, odd.as_slice(), br#"", "job_id": "a"}"#].concat();
            prop_assert_eq!(read(&body).unwrap()["job_id"].clone(), json!("a"));
        }
    }

    /// Bytes that come near to JSON, and any.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let near = prop::sample::select(vec![
            &b"{"[..],
            b"}",
            b"[",
            b"]",
            b"\"",
            b"\\",
            b"\\u",
            b"d83d",
            b"\\ude00",
            b"NaN",
            b"-Infinity",
            b"1e999",
            b",",
            b":",
            b" ",
            b"\xef\xbb\xbf",
            b"\xed\xa0\x80",
            b"\xf0\x9f",
            b"null",
            b"0",
        ]);
        let near = prop::collection::vec(near, 0..64).prop_map(|parts| parts.concat());
        prop_oneof![near, prop::collection::vec(any::<u8>(), 0..256)]
    }
}
