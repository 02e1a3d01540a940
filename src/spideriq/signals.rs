//! What an answer's headers say beside its body: when to come back, what is left, what time it is there.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;

use crate::budget::Counted;

/// The longest wait that is believed: a day, the longest that the service documents (contract section 4).
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The headers that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// When to come back, from `Retry-After`, else (on a 429) from `X-RateLimit-Reset`.
    pub retry_at: Option<Timestamp>,
    /// What the service counts.
    pub counted: Counted,
    /// The service's clock.
    pub date: Option<Timestamp>,
}

impl Signals {
    pub(super) fn read(code: u16, headers: &HeaderMap, now: Timestamp) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let date = header("date").and_then(http_date);
        let number = |name: &str| header(name).and_then(|text| text.parse().ok());
        let (remaining, limit) = (number("x-ratelimit-remaining"), number("x-ratelimit-limit"));
        let reset = header("x-ratelimit-reset")
            .and_then(|text| text.parse::<i64>().ok())
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .and_then(|at| coming(ours(at, date, now), now));
        let asked = header("retry-after").and_then(|text| retry_after(text, date, now));
        Self {
            retry_at: asked.or_else(|| reset.filter(|_| code == 429)),
            counted: Counted { remaining, limit, reset },
            date,
        }
    }
}

/// A time of the service by our own clock, as its `Date` shows the difference of the two; without one there is none.
pub(super) fn ours(theirs: Timestamp, date: Option<Timestamp>, now: Timestamp) -> Timestamp {
    date.and_then(|date| now.checked_add(theirs.duration_since(date)).ok()).unwrap_or(theirs)
}

/// The time that a `Retry-After` names: seconds, whole or with a fraction, or a date. Zero and less name none.
fn retry_after(text: &str, date: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    match text.parse::<f64>() {
        Ok(seconds) => later(now, seconds),
        Err(_) => http_date(text).and_then(|at| coming(ours(at, date, now), now)),
    }
}

/// A time that is still to come, at most a day away.
fn coming(at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    (at > now).then(|| at.min(now.checked_add(LONGEST).unwrap_or(Timestamp::MAX)))
}

/// `now` and so many seconds more, at most a day; `None` for none or fewer.
pub(super) fn later(now: Timestamp, seconds: f64) -> Option<Timestamp> {
    if seconds.is_nan() || seconds <= 0.0 {
        return None;
    }
    now.checked_add(Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()))).ok()
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Signals, retry_after};

    #[test]
    fn every_form_of_retry_after() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let cases = [
            ("30", Some("2026-01-01T00:00:30Z")),
            ("1.5", Some("2026-01-01T00:00:01.5Z")),
            ("0", None),
            ("-5", None),
            ("99999999999", Some("2026-01-02T00:00:00Z")),
            ("inf", Some("2026-01-02T00:00:00Z")),
            ("NaN", None),
            ("Thu, 01 Jan 2026 00:01:00 GMT", Some("2026-01-01T00:01:00Z")),
            ("Wed, 31 Dec 2025 00:00:00 GMT", None),
            ("Fri, 01 Jan 2027 00:00:00 GMT", Some("2026-01-02T00:00:00Z")),
            ("soon", None),
        ];
        for (text, expected) in cases {
            assert_eq!(retry_after(text, None, now), expected.map(|at| at.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_date_of_the_service_is_read_by_its_own_clock() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let date = Some("2026-01-01T01:00:00Z".parse().unwrap());
        let until = retry_after("Thu, 01 Jan 2026 01:00:30 GMT", date, now);
        assert_eq!(until, Some("2026-01-01T00:00:30Z".parse().unwrap()));
    }

    #[test]
    fn a_reset_is_a_time_to_come_back_only_on_a_429() {
        let now = Timestamp::from_second(1000).unwrap();
        let headers = [("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "1060")]
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        assert_eq!(Signals::read(200, &headers, now).retry_at, None);
        let throttled = Signals::read(429, &headers, now);
        assert_eq!(throttled.retry_at, Some(Timestamp::from_second(1060).unwrap()));
        assert_eq!(throttled.counted.remaining, Some(3));
    }
}
