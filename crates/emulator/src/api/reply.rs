//! Replies and refusals: what the service says, before it is known how it reaches the client.

use serde::Serialize;
use serde_json::{Value, json};

use crate::jobs::payload::Problem;
use crate::rules::{ErrorShape, Switches};
use crate::service::tokens::Denial;

/// A reply as the service makes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) note: Note,
}

/// What the journal learns of a request from its handling.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note {
    pub(crate) payload: Option<Value>,
    pub(crate) job_id: Option<String>,
    pub(crate) from_cache: Option<bool>,
    /// Whose events are to follow.
    pub(crate) client: Option<String>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self::of(status, "application/json", body)
    }

    pub(crate) fn yaml(status: u16, body: String) -> Self {
        Self::of(status, "text/yaml; charset=utf-8", body.into_bytes())
    }

    pub(crate) fn markdown(status: u16, body: String) -> Self {
        Self::of(status, "text/markdown; charset=utf-8", body.into_bytes())
    }

    pub(crate) fn of(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body, note: Note::default() }
    }

    /// Names the job that the request was about.
    pub(crate) fn about(mut self, job_id: &str) -> Self {
        self.note.job_id = Some(job_id.to_owned());
        self
    }
}

/// A request refused; its body's shape is chosen at the end (contract section 7).
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    detail: Option<Value>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned(), detail: None }
    }

    /// Gives the classic body something else than a string.
    pub(crate) fn detail(mut self, detail: Value) -> Self {
        self.detail = Some(detail);
        self
    }

    /// A body or query that breaks the schema; places are dotted and begin with `payload`, `query`, …
    pub(crate) fn invalid(status: u16, part: &str, problems: &[Problem]) -> Self {
        let texts: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.place, p.text)).collect();
        let item = |p: &Problem| {
            let place: Vec<_> =
                [part].into_iter().chain(p.place.split('.')).filter(|p| !p.is_empty()).collect();
            json!({"loc": place, "msg": p.text, "type": "value_error"})
        };
        let refusal = Self::new(status, "SCHEMA_VALIDATION_FAILED", &texts.join("; "));
        refusal.detail(problems.iter().map(item).collect())
    }

    /// The page's own 404.
    pub(crate) fn job_not_found() -> Self {
        Self::new(404, "JOB_NOT_FOUND", "Job not found")
    }

    pub(crate) fn into_reply(self, switches: &Switches) -> Reply {
        let body = match switches.error_shape {
            ErrorShape::Detail => json!({"detail": self.detail.unwrap_or_else(|| self.message.into())}),
            ErrorShape::Plain => json!({"detail": self.message}),
            ErrorShape::Envelope => json!({"error": {"code": self.code, "message": self.message,
                "suggested_action": "See the API reference"}}),
        };
        Reply::json(self.status, &body)
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Missing => Self::new(401, "AUTHENTICATION_REQUIRED", "Not authenticated"),
            Denial::UnknownPat => {
                let detail = json!({"error": "token_invalid", "message": "Token is invalid or was revoked"});
                Self::new(401, "TOKEN_INVALID", "Token is invalid or was revoked").detail(detail)
            }
            Denial::UnknownTriple => Self::new(401, "INVALID_CREDENTIALS", "Invalid credentials"),
            Denial::Unreadable => {
                let text = "Invalid token format. Expected: client_id:api_key:api_secret";
                Self::new(401, "TOKEN_INVALID", text)
            }
            Denial::Expired { at, pat } => {
                let detail =
                    json!({"error": "token_expired", "message": "Token has expired", "expires_at": at});
                let refusal = Self::new(401, "TOKEN_EXPIRED", "Token has expired");
                if pat { refusal.detail(detail) } else { refusal }
            }
            Denial::Inactive => Self::new(403, "CLIENT_INACTIVE", "Client account is inactive"),
        }
    }
}
