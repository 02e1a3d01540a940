//! The status in YAML: the only place of a job's times, pages and priority (contract section 5.1).

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::pick::whole;
use super::text::{text, timestamp};

/// What only the status in YAML says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// When a worker began.
    pub started_at: Option<Timestamp>,
    /// When the job ended.
    pub completed_at: Option<Timestamp>,
    /// Seconds, as the decimal that the service wrote.
    pub processing_time_seconds: Option<String>,
    /// Pages that were crawled.
    pub pages_crawled: Option<i64>,
    /// Priority at the service.
    pub priority: Option<i32>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    status: Value,
    #[serde(default)]
    started_at: Value,
    #[serde(default)]
    completed_at: Value,
    #[serde(default)]
    processing_time_seconds: Value,
    #[serde(default)]
    pages_crawled: Value,
    #[serde(default)]
    priority: Value,
}

impl Details {
    /// Reads the document; the comment line that the page's sample begins with is borne.
    pub(in crate::spideriq) fn read(body: &[u8], secret: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! {
            duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
            non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
        };
        let document: Document = serde_saphyr::from_str_with_options(&clean_yaml(body), options)
            .map_err(|error| text(&error.to_string(), secret))?;
        if !document.status.is_string() {
            return Err("the document has no status".to_owned());
        }
        let decimal = match &document.processing_time_seconds {
            Value::Number(number) => Some(number.to_string()),
            Value::String(words) => {
                words.parse::<f64>().ok().filter(|seconds| seconds.is_finite()).map(|_| words.clone())
            }
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        Ok(Self {
            started_at: document.started_at.as_str().and_then(timestamp),
            completed_at: document.completed_at.as_str().and_then(timestamp),
            processing_time_seconds: decimal.filter(|decimal| decimal.len() <= 32),
            pages_crawled: whole(&document.pages_crawled),
            priority: whole(&document.priority).and_then(|priority| i32::try_from(priority).ok()),
        })
    }
}

/// YAML has words for what JSON lacks, but none for half a surrogate, a control character or bytes that are no UTF-8.
fn clean_yaml(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let mut parts = body.trim_start_matches('\u{feff}').split("\\u");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let half = part.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        match half.filter(|half| (0xD800..=0xDFFF).contains(half)) {
            Some(_) => clean.extend(["\\ufffd", part.get(4..).unwrap_or_default()]),
            None => clean.extend(["\\u", part]),
        }
    }
    let odd = |c: char| c.is_control() && !['\n', '\r', '\t'].contains(&c);
    clean.chars().map(|c| if odd(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::Details;

    #[test]
    fn the_sample_of_the_page_is_read() {
        let page = "# GET /api/v1/jobs/{id}/status?format=yaml\njob_id: 550e8400-e29b-41d4-a716-446655440000\ntype: spiderSite\nstatus: completed\npriority: 5\ncreated_at: '2025-10-27T10:00:00'\nstarted_at: '2025-10-27T10:01:15'\ncompleted_at: '2025-10-27T10:02:45'\nprocessing_time_seconds: 90.5\npages_crawled: 12\n";
        let details = Details::read(page.as_bytes(), "x").unwrap();
        assert_eq!(details.started_at.unwrap().to_string(), "2025-10-27T10:01:15Z");
        assert_eq!(details.completed_at.unwrap().to_string(), "2025-10-27T10:02:45Z");
        assert_eq!(details.processing_time_seconds.as_deref(), Some("90.5"));
        assert_eq!((details.pages_crawled, details.priority), (Some(12), Some(5)));
    }

    #[test]
    fn odd_values_hide_nothing_but_themselves() {
        let odd = b"\xef\xbb\xbfstatus: failed\nerror: \"x \\udce2 \\ud83d\\ude00 \\\\u0041\"\nraw: \xff\x00\nn: .nan\nn: .inf\npages_crawled: 1\npages_crawled: 12.0\npriority: 5\nprocessing_time_seconds: 1e400\n";
        let details = Details::read(odd, "x").unwrap();
        assert_eq!((details.pages_crawled, details.priority), (Some(12), Some(5)));
        assert_eq!(details.processing_time_seconds, None);
        for endless in ["NaN", "inf", "-Infinity"] {
            let body = format!("status: completed\nprocessing_time_seconds: '{endless}'\n");
            assert_eq!(
                Details::read(body.as_bytes(), "x").unwrap().processing_time_seconds,
                None,
                "{endless}"
            );
        }
    }

    #[test]
    fn missing_and_odd_values_are_left_out_and_hostile_documents_refused() {
        let details =
            Details::read(b"status: completed\npages_crawled: many\nstarted_at: null\n", "x").unwrap();
        assert_eq!(details, Details::default());
        let bomb = ["a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned()]
            .into_iter()
            .chain((0..40).map(|n| format!("b{n}: [*a,*a,*a,*a,*a,*a,*a,*a]\n")))
            .collect::<Vec<_>>()
            .concat();
        for bad in ["<html></html>", "- a\n- b\n", "status: [", &bomb, &"[".repeat(5000)] {
            assert!(
                Details::read(bad.as_bytes(), "x").is_err(),
                "{}",
                bad.chars().take(40).collect::<String>()
            );
        }
    }
}
