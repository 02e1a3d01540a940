//! Texts and times of the service: cut, cleaned, and read in every form that it writes them in.

use jiff::Timestamp;
use jiff::civil::DateTime;

/// Longest text that is kept, in bytes: what a status or an event can hold.
const LONGEST: usize = 1024;

/// A text that can be shown: no control characters, none of the token, no more than 1024 bytes.
pub(in crate::spideriq) fn text(raw: &str, secret: &str) -> String {
    let mut clean: String = raw.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // A triple is one secret and three parts of one; the client id in front is public.
    for part in std::iter::once(secret).chain(secret.split(':').skip(1)).filter(|part| part.len() >= 4) {
        clean = clean.replace(part, "[redacted]");
    }
    if clean.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| clean.is_char_boundary(*end)).unwrap_or(0);
        clean.truncate(end);
    }
    clean
}

/// A time with or without a zone (then UTC) and with or without a fraction; anything else is none, and so is one before
/// 1970: Kubernetes stores no time of the first years.
pub(in crate::spideriq) fn timestamp(raw: &str) -> Option<Timestamp> {
    let raw = raw.trim();
    let zoned: Option<Timestamp> = raw.parse().ok();
    let time = zoned.or_else(|| {
        let civil: DateTime = raw.parse().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    });
    time.filter(|time| *time >= Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::{text, timestamp};

    #[test]
    fn times_in_every_form_of_the_contract() {
        let cases = [
            ("2025-10-27T10:00:00Z", Some("2025-10-27T10:00:00Z")),
            ("2025-10-27T10:00:00", Some("2025-10-27T10:00:00Z")),
            ("2026-01-18T12:31:37.073080", Some("2026-01-18T12:31:37.07308Z")),
            ("2025-10-27T12:00:00+02:00", Some("2025-10-27T10:00:00Z")),
            ("2025-10-27 10:00:00", Some("2025-10-27T10:00:00Z")),
            ("yesterday", None),
            ("-000100-01-01T00:00:00Z", None),
            ("", None),
        ];
        for (raw, expected) in cases {
            assert_eq!(timestamp(raw), expected.map(|at| at.parse().unwrap()), "{raw}");
        }
    }

    #[test]
    fn a_text_loses_control_characters_the_token_and_its_tail() {
        assert_eq!(text("a\r\nb\u{1b}[31m\0", "x"), "a  b [31m ");
        assert_eq!(
            text("t cli_a:sk_bbb:secret_c and sk_bbb", "cli_a:sk_bbb:secret_c"),
            "t [redacted] and [redacted]"
        );
        assert_eq!(text(&"é".repeat(2000), "x").len(), 1024);
    }
}
