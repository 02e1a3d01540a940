//! What can go wrong with a request, and what that means for whoever asked.
//!
//! The words stand behind a colon in a sentence that names SpiderIQ and says what to do, so that they do neither. The two
//! that speak of the credentials are the beginning of such a sentence.

use jiff::Timestamp;
use serde_json::Value;

use super::wire::{clean, text};

/// A request that did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection: not a byte was sent.
    #[error("no connection: {0}")]
    Connect(String),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke after something was sent.
    #[error("the connection broke: {0}")]
    Interrupted(String),
    /// 401.
    #[error("SpiderIQ rejected the token: {message}")]
    Unauthorized {
        /// Whether it says that the token has expired.
        expired: bool,
        /// Its words.
        message: String,
    },
    /// 403.
    #[error("SpiderIQ refuses this client: {0}")]
    Forbidden(String),
    /// 402: the monthly spend cap.
    #[error("the client has reached its monthly spend cap: {0}")]
    SpendCap(String),
    /// 404.
    #[error("not found: {0}")]
    NotFound(String),
    /// 400 and 422.
    #[error("the request was refused: {0}")]
    Invalid(String),
    /// Any other 4xx.
    #[error("HTTP {code}: {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// 429. Its words stay out of what is shown: they may count seconds.
    #[error("HTTP 429, which asks to wait")]
    Throttled {
        /// Until when, if it says.
        until: Option<Timestamp>,
        /// Whether waiting helps at all; a plan's bound is not a rate.
        waiting_helps: bool,
        /// Its words.
        message: String,
    },
    /// 5xx. Its words stay out of what is shown: they may differ from answer to answer.
    #[error("HTTP {code}")]
    Server {
        /// HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// 3xx: redirects are never followed, because the token would go along.
    #[error("a redirect (HTTP {0}), which is not followed")]
    Redirected(u16),
    /// An answer that cannot be read.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
    /// An answer larger than any sensible one.
    #[error("the answer is too large")]
    TooLarge,
}

/// What an error means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Time may heal it.
    Retry,
    /// The service says when to come back, or that it will not be now.
    WaitUntil(Option<Timestamp>),
    /// Time alone will not help.
    Stall,
    /// What was asked for is not there.
    Gone,
}

/// Codes of 429 answers that name a bound of the plan: without a time to come back, waiting does not help.
const BOUNDS_OF_THE_PLAN: [&str; 2] = ["bulk_records_per_job_exceeded", "MAX_CAMPAIGNS_PER_CLIENT"];

impl Error {
    /// What it means for whoever asked.
    pub const fn class(&self) -> Class {
        match self {
            Self::Connect(_)
            | Self::Timeout
            | Self::Interrupted(_)
            | Self::Server { .. }
            | Self::Malformed(_)
            | Self::TooLarge => Class::Retry,
            Self::Throttled { until, waiting_helps: true, .. } => Class::WaitUntil(*until),
            Self::NotFound(_) => Class::Gone,
            Self::Throttled { waiting_helps: false, .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden(_)
            | Self::SpendCap(_)
            | Self::Invalid(_)
            | Self::Refused { .. }
            | Self::Redirected(_) => Class::Stall,
        }
    }

    /// Whether the service knows no such address, or takes nothing there.
    pub const fn is_no_address(&self) -> bool {
        matches!(self, Self::NotFound(_) | Self::Refused { code: 405, .. })
    }

    /// The error of an answer with this code and body. `until` is when the headers say to come back.
    pub(super) fn of_answer(
        code: u16,
        body: &[u8],
        until: Option<Timestamp>,
        now: Timestamp,
        secret: &str,
    ) -> Self {
        let body = Body::read(body, secret);
        let message = body.message;
        match code {
            300..=399 => Self::Redirected(code),
            400 | 422 => Self::Invalid(message),
            401 => Self::Unauthorized { expired: body.code.as_deref() == Some("token_expired"), message },
            402 => Self::SpendCap(message),
            403 => Self::Forbidden(message),
            404 => Self::NotFound(message),
            429 => {
                let asked = body.retry_after_seconds.and_then(|seconds| super::signals::later(now, seconds));
                let until = until.or(asked);
                let bound = body.code.as_deref().is_some_and(|code| BOUNDS_OF_THE_PLAN.contains(&code));
                Self::Throttled { until, waiting_helps: until.is_some() || !bound, message }
            }
            400..=499 => Self::Refused { code, message },
            500..=599 => Self::Server { code, message },
            _ => Self::Malformed(format!("HTTP {code}")),
        }
    }
}

/// As much of an error body is read: what is longer says nothing more.
const LONGEST_BODY: usize = 64 * 1024;

/// What the three shapes of an error body say (contract section 7).
struct Body {
    code: Option<String>,
    message: String,
    retry_after_seconds: Option<f64>,
}

impl Body {
    fn read(bytes: &[u8], secret: &str) -> Self {
        let bytes = bytes.get(..LONGEST_BODY).unwrap_or(bytes);
        let Ok(body) = serde_json::from_slice::<Value>(&clean(bytes)) else {
            let plain = String::from_utf8_lossy(bytes);
            let plain = plain.trim_start_matches('\u{feff}').trim();
            // HTML and the like come from something in between and mean nothing to a user.
            let words =
                if plain.is_empty() || plain.starts_with('<') { "no readable message" } else { plain };
            return Self { code: None, message: text(words, secret), retry_after_seconds: None };
        };
        let inner = ["error", "detail"].iter().find_map(|key| body.get(*key)).unwrap_or(&body);
        let word = |keys: &[&str]| {
            keys.iter().find_map(|key| inner.get(*key).or_else(|| body.get(*key))).and_then(Value::as_str)
        };
        let code = word(&["code", "reason_code"]).or_else(|| inner.get("error").and_then(Value::as_str));
        let message = match inner {
            Value::String(message) => message.clone(),
            // FastAPI's list of what is wrong with a body.
            Value::Array(faults) => faults.iter().take(5).map(fault).collect::<Vec<_>>().join("; "),
            Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
                let said =
                    word(&["message", "reason_human", "error_message", "detail"]).unwrap_or("no message");
                let advice =
                    word(&["suggested_action"]).map(|advice| format!(" ({advice})")).unwrap_or_default();
                format!("{said}{advice}")
            }
        };
        let seconds = ["retry_after_seconds", "retry_after"]
            .iter()
            .find_map(|key| inner.get(*key).or_else(|| body.get(*key)))
            .and_then(Value::as_f64);
        Self { code: code.map(str::to_owned), message: text(&message, secret), retry_after_seconds: seconds }
    }
}

fn fault(fault: &Value) -> String {
    let place = fault.get("loc").and_then(Value::as_array).map(|path| {
        path.iter()
            .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(".")
    });
    let said = fault.get("msg").and_then(Value::as_str).unwrap_or("invalid");
    place.map_or_else(|| said.to_owned(), |place| format!("{place}: {said}"))
}

#[cfg(test)]
mod tests {
    use super::{Class, Error};
    use jiff::Timestamp;

    fn error(code: u16, body: &str) -> Error {
        Error::of_answer(code, body.as_bytes(), None, Timestamp::UNIX_EPOCH, "sk_canary")
    }

    #[test]
    fn every_shape_of_error_body_is_read() {
        let cases = [
            (404, r#"{"detail": "Job not found"}"#, Error::NotFound("Job not found".into())),
            (
                401,
                r#"{"detail": {"error": "token_expired", "message": "too old"}}"#,
                Error::Unauthorized { expired: true, message: "too old".into() },
            ),
            (
                422,
                r#"{"error": {"code": "SCHEMA_VALIDATION_FAILED", "message": "bad", "suggested_action": "mend"}}"#,
                Error::Invalid("bad (mend)".into()),
            ),
            (
                422,
                r#"{"detail": [{"loc": ["body", "payload", "url"], "msg": "missing", "type": "x"}]}"#,
                Error::Invalid("body.payload.url: missing".into()),
            ),
            (
                503,
                "<html>Bad gateway</html>",
                Error::Server { code: 503, message: "no readable message".into() },
            ),
            (500, "oops sk_canary\r\nX", Error::Server { code: 500, message: "oops [redacted]  X".into() }),
            (302, "", Error::Redirected(302)),
            (418, r#"{"detail": "tea"}"#, Error::Refused { code: 418, message: "tea".into() }),
        ];
        for (code, body, expected) in cases {
            assert_eq!(error(code, body), expected, "{code} {body}");
        }
    }

    #[test]
    fn odd_bytes_hide_no_words() {
        let cases: [(&[u8], &str); 6] = [
            (b"\xef\xbb\xbf{\"detail\": \"half \\ud83d\"}", "half \u{fffd}"),
            (b"{\"detail\": \"a\xff\nb\", \"x\": NaN, \"y\": 1e999}", "a\u{fffd} b"),
            (b"{\"detail\": \"one\", \"detail\": \"two\"}", "two"),
            (b"oops \xff \xe2\x80\xaetxt", "oops \u{fffd} txt"),
            (b"\xef\xbb\xbf<html>", "no readable message"),
            (b"\xef\xbb\xbf \n", "no readable message"),
        ];
        for (body, words) in cases {
            let said = Error::of_answer(404, body, None, Timestamp::UNIX_EPOCH, "sk_canary");
            assert_eq!(said, Error::NotFound(words.to_owned()), "{}", String::from_utf8_lossy(body));
        }
        let deep = format!(r#"{{"detail": "words", "x": {}1{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
        assert_eq!(error(404, &deep), Error::NotFound("words".into()));
        let long = error(404, &"{\"detail\": [".repeat(1_000_000));
        assert!(matches!(long, Error::NotFound(words) if words.len() <= 1024));
    }

    #[test]
    fn a_bound_of_the_plan_is_not_waited_for_and_a_rate_is() {
        assert_eq!(error(429, r#"{"detail": "slow down"}"#).class(), Class::WaitUntil(None));
        assert_eq!(
            error(429, r#"{"error": {"code": "MAX_CAMPAIGNS_PER_CLIENT", "message": "x"}}"#).class(),
            Class::Stall
        );
        let timed = error(
            429,
            r#"{"detail": "x", "reason_code": "bulk_records_per_job_exceeded", "retry_after_seconds": 30}"#,
        );
        assert_eq!(timed.class(), Class::WaitUntil(Some(Timestamp::from_second(30).unwrap())));
    }
}
