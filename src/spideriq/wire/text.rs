//! Texts and times of the service: cut, cleaned, and read in every form that it writes them in.

use jiff::Timestamp;
use jiff::civil::DateTime;

/// Longest text that is kept, in bytes: what a status or an event can hold.
const LONGEST: usize = 1024;

/// A text that can be shown on one line: nothing that steers a terminal or hides in a text, none of the token, no more
/// than 1024 bytes.
pub(in crate::spideriq) fn text(raw: &str, secret: &str) -> String {
    let mut clean = shown(raw, secret, &[]);
    clean.truncate(clean.floor_char_boundary(LONGEST));
    clean
}

/// The same of any length, with its lines and tabs.
pub(in crate::spideriq) fn lines(raw: &str, secret: &str) -> String {
    shown(raw, secret, &['\n', '\t'])
}

fn shown(raw: &str, secret: &str, kept: &[char]) -> String {
    let visible = raw.chars().filter(|c| !is_invisible(*c));
    let breaks = |c: char| c.is_control() || ['\u{2028}', '\u{2029}'].contains(&c);
    let mut clean: String = visible.map(|c| if breaks(c) && !kept.contains(&c) { ' ' } else { c }).collect();
    // A triple is one secret and three parts of one; the client id in front is public.
    for part in std::iter::once(secret).chain(secret.split(':').skip(1)).filter(|part| part.len() >= 4) {
        clean = clean.replace(part, "[redacted]");
    }
    clean
}

/// Whether a character shows nothing, and turns the text around it or hides in it: Unicode's format characters, and the
/// letters and marks that are drawn as nothing.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
    )
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
    use super::{lines, text, timestamp};

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
    fn a_text_loses_what_turns_or_hides_it() {
        assert_eq!(text("a\u{202e}b\u{2066}c\u{2069}\u{200b}\u{feff}d\u{ad}e\u{e0041}", "x"), "abcde");
        assert_eq!(text("a\u{2028}b\u{2029}c\u{85}d", "x"), "a b c d");
        // The token is found where it hides as well.
        assert_eq!(text("sk_\u{200b}bbb and s\u{2060}k_bbb", "sk_bbb"), "[redacted] and [redacted]");
        // Writing that people read stays as it is.
        for kept in
            ["na\u{ef}ve \u{1f600} \u{5e9}\u{5dc}\u{5d5}\u{5dd} e\u{301} \u{fffd}", "\u{65e5}\u{672c}"]
        {
            assert_eq!(text(kept, "x"), kept);
        }
        assert_eq!(
            lines("# a\n\tb\r\n\u{202e}c \u{1b}[31m sk_bbb", "sk_bbb"),
            "# a\n\tb \nc  [31m [redacted]"
        );
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
