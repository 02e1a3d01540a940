//! Submit, status, list and whoami. Every field but the id and the state may be missing (contract section 2).

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::pick::{Pick, members};
use super::text::{text, timestamp};

/// The service's states; a word that this release does not know is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waiting for a worker.
    Queued,
    /// A worker has it.
    Processing,
    /// Ended well; `partial` counts as this: the contract calls it terminal, and what there is can be read.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended by a cancel.
    Cancelled,
    /// Anything else; never terminal.
    Other(String),
}

impl JobState {
    fn read(word: &str, secret: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "queued" => Self::Queued,
            "processing" => Self::Processing,
            "completed" | "partial" => Self::Completed,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            _ => Self::Other(text(word, secret).chars().take(64).collect()),
        }
    }

    /// Whether the job is over.
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// Whether a text can be the id of a job: one plain path segment, so that a request cannot be sent elsewhere.
pub fn is_job_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=128).contains(&text.len())
        && text.bytes().all(plain)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a text can be a job type: one plain path segment.
pub(in crate::spideriq) fn is_type(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
}

/// A job, as its status in JSON tells it (contract section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStatus {
    /// Its state.
    pub state: JobState,
    /// Its type.
    pub type_: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When its state last changed, in whole seconds.
    pub updated_at: Option<Timestamp>,
    /// The worker that has it.
    pub worker_id: Option<String>,
    /// The service's words on a failure; seen live, not on the page.
    pub error_message: Option<String>,
}

/// An accepted submit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The job's id.
    pub job_id: String,
    /// The job, as far as the answer tells it; for an earlier job in whatever state that is.
    pub job: JobStatus,
    /// Whether the service says that it is an earlier job.
    pub from_cache: Option<bool>,
}

/// A row of the list of jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRow {
    /// The job's id.
    pub job_id: String,
    /// Its type.
    pub type_: Option<String>,
    /// The address that it is about, where it has one.
    pub url: Option<String>,
    /// When it was made, by our own clock.
    pub created_at: Option<Timestamp>,
    /// The job as the row tells it, where it tells a state.
    pub job: Option<JobStatus>,
}

/// Who the credentials belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whoami {
    /// The client.
    pub client_id: Option<String>,
}

impl Whoami {
    pub(in crate::spideriq) fn read(body: &[u8], secret: &str) -> Result<Self, String> {
        let said = members(body, &[("authenticated", Pick::Plain), ("client_id", Pick::Plain)])?;
        let client_id = said.get("client_id").and_then(Value::as_str);
        let client_id = client_id.map(|id| text(id, secret).chars().take(128).collect::<String>());
        let client_id = client_id.filter(|id| !id.is_empty());
        let accepted = match said.get("authenticated") {
            Some(accepted) => *accepted == Value::Bool(true),
            None => client_id.is_some(),
        };
        // What would be answered to anybody accepts no token.
        if !accepted {
            return Err("it does not say whose the credentials are".to_owned());
        }
        Ok(Self { client_id })
    }
}

/// The members of a job wherever one is told.
const JOB: &[(&str, Pick)] = &[
    ("job_id", Pick::Plain),
    ("type", Pick::Plain),
    ("status", Pick::Plain),
    ("created_at", Pick::Plain),
    ("updated_at", Pick::Plain),
    ("worker_id", Pick::Plain),
    ("error_message", Pick::Plain),
    ("from_cache", Pick::Plain),
    ("url", Pick::Plain),
];

/// What is told of a job. Values of a wrong type count as missing.
struct Told(Map<String, Value>);

impl Told {
    fn read(body: &[u8]) -> Result<Self, String> {
        members(body, JOB).map(Self)
    }

    fn word(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn job(&self, state: JobState, secret: &str) -> JobStatus {
        let shown = |name: &str, most: usize| {
            self.word(name).map(|raw| text(raw, secret).chars().take(most).collect::<String>())
        };
        JobStatus {
            state,
            type_: shown("type", 63),
            created_at: self.word("created_at").and_then(timestamp),
            updated_at: self.word("updated_at").and_then(timestamp),
            worker_id: shown("worker_id", 128),
            error_message: shown("error_message", 1024),
        }
    }
}

impl JobStatus {
    /// Reads a status in JSON. The id in it must be the one that was asked for.
    pub(in crate::spideriq) fn read(body: &[u8], asked: &str, secret: &str) -> Result<Self, String> {
        let told = Told::read(body)?;
        if let Some(other) = told.word("job_id").filter(|id| !id.eq_ignore_ascii_case(asked)) {
            return Err(format!("it is about another job: {}", text(other, secret)));
        }
        let state = told.word("status").ok_or("it has no status")?;
        Ok(told.job(JobState::read(state, secret), secret))
    }
}

/// The body of an answered submit.
pub(in crate::spideriq) struct SubmitBody;

impl SubmitBody {
    /// An id that can be read, of a body that ended, is an accepted job, whatever else it holds.
    pub(in crate::spideriq) fn read(body: &[u8], secret: &str) -> Result<Accepted, String> {
        let told = Told::read(body)?;
        let id = told.word("job_id").ok_or("it has no job_id")?;
        if !is_job_id(id) {
            return Err("its job_id is not one plain word".to_owned());
        }
        let state = told.word("status").map_or(JobState::Queued, |word| JobState::read(word, secret));
        Ok(Accepted {
            job_id: id.to_owned(),
            job: told.job(state, secret),
            from_cache: told.0.get("from_cache").and_then(Value::as_bool),
        })
    }
}

/// A page of the list of jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The rows that can be read.
    pub rows: Vec<ListRow>,
    /// How many there were.
    pub length: usize,
}

impl ListPage {
    pub(in crate::spideriq) fn read(body: &[u8], secret: &str) -> Result<Self, String> {
        let mut told = members(body, &[("jobs", Pick::Items(&Pick::Members(JOB)))])?;
        let Some(Value::Array(jobs)) = told.remove("jobs") else {
            return Err("it has no list of jobs".to_owned());
        };
        let length = jobs.len();
        let row = |job: Value| {
            let Value::Object(job) = job else { return None };
            let told = Told(job);
            let job_id = told.word("job_id").filter(|id| is_job_id(id))?.to_owned();
            let url = told.word("url").map(str::to_owned);
            let state = told.word("status").map(|word| JobState::read(word, secret));
            let job = told.job(state.clone().unwrap_or(JobState::Queued), secret);
            let (type_, created_at) = (job.type_.clone(), job.created_at);
            Some(ListRow { job_id, type_, url, created_at, job: state.map(|_| job) })
        };
        Ok(Self { rows: jobs.into_iter().filter_map(row).collect(), length })
    }
}

/// The body of an answered cancel. It has to be JSON; what came of the cancel the status decides, unless this says it.
pub(in crate::spideriq) struct CancelBody;

impl CancelBody {
    /// Whether it says that this very job is cancelled.
    pub(in crate::spideriq) fn read(body: &[u8], asked: &str) -> Result<bool, String> {
        let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let cancelled = body
            .get("status")
            .and_then(Value::as_str)
            .is_some_and(|word| word.trim().eq_ignore_ascii_case("cancelled"));
        let given = |field| body.get(field).filter(|value| !value.is_null());
        let ours =
            given("job_id").is_none_or(|id| id.as_str().is_some_and(|id| id.eq_ignore_ascii_case(asked)));
        let success = given("success").is_none_or(|success| *success == Value::Bool(true));
        Ok(cancelled && ours && success)
    }
}

#[cfg(test)]
mod tests {
    use super::{CancelBody, JobState, JobStatus, SubmitBody, is_job_id};

    const ID: &str = "550e8400-e29b-41d4-a716-446655440000";

    #[test]
    fn a_status_is_read_as_on_the_page_and_with_fields_missing_or_odd() {
        let page = format!(
            r#"{{"success": true, "job_id": "{ID}", "type": "spiderSite", "status": "processing",
                "created_at": "2025-10-27T10:00:00Z", "updated_at": "2025-10-27T10:01:15Z", "worker_id": "w-1"}}"#
        );
        let job = JobStatus::read(page.as_bytes(), ID, "x").unwrap();
        assert_eq!((job.state, job.worker_id.as_deref()), (JobState::Processing, Some("w-1")));
        assert_eq!(job.updated_at.unwrap().to_string(), "2025-10-27T10:01:15Z");

        let odd = JobStatus::read(
            br#"{"status": "paused", "created_at": 7, "worker_id": null, "type": []}"#,
            ID,
            "x",
        );
        assert_eq!(odd.unwrap().state, JobState::Other("paused".to_owned()));

        for bad in [
            "",
            "[]",
            "{}",
            r#"{"status": 5}"#,
            r#"{"status": "queued", "job_id": "other"}"#,
            "<html>",
            "{\"status\": \"que",
        ] {
            assert!(JobStatus::read(bad.as_bytes(), ID, "x").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_submit_without_a_usable_id_is_not_accepted() {
        let read = |body: &str| SubmitBody::read(body.as_bytes(), "x");
        let accepted =
            read(&format!(r#"{{"job_id": "{ID}", "status": "completed", "from_cache": true}}"#)).unwrap();
        assert_eq!((accepted.job.state, accepted.from_cache), (JobState::Completed, Some(true)));
        assert_eq!(read(&format!(r#"{{"job_id": "{ID}"}}"#)).unwrap().job.state, JobState::Queued);
        for bad in [
            r#"{"status": "queued"}"#,
            r#"{"job_id": "../admin"}"#,
            r#"{"job_id": 5}"#,
            r#"{"job_id": ""}"#,
            "ok",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_is_one_plain_word() {
        for good in [ID, "a", "A_b-9"] {
            assert!(is_job_id(good), "{good}");
        }
        for bad in ["", "-a", "a/b", "a.b", "a b", "%2e", "é", &"a".repeat(129)] {
            assert!(!is_job_id(bad), "{bad}");
        }
    }

    #[test]
    fn only_a_word_about_this_very_job_says_that_it_is_cancelled() {
        let read = |body: &str| CancelBody::read(body.replace("ID", ID).as_bytes(), ID);
        for good in [
            r#"{"success": true, "job_id": "ID", "status": "cancelled", "message": "Job cancelled"}"#,
            r#"{"status": " CANCELLED "}"#,
            r#"{"success": null, "job_id": null, "status": "cancelled"}"#,
        ] {
            assert_eq!(read(good), Ok(true), "{good}");
        }
        for other in [
            "{}",
            "[]",
            "null",
            r#""cancelled""#,
            r#"{"message": "cancelled"}"#,
            r#"{"status": "cancelling"}"#,
            r#"{"status": "processing", "job_id": "ID", "success": true}"#,
            r#"{"status": ["cancelled"]}"#,
            r#"{"status": "cancelled", "success": false}"#,
            r#"{"status": "cancelled", "success": "no"}"#,
            r#"{"status": "cancelled", "job_id": "550e8400-e29b-41d4-a716-446655440001"}"#,
            r#"{"status": "cancelled", "job_id": 7}"#,
        ] {
            assert_eq!(read(other), Ok(false), "{other}");
        }
        assert!(read("<html>").is_err() && read("").is_err());
    }
}
