//! Reads a request: which route, whose token, which query.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::Query;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::http::request::Parts;

/// A route of contract section 2.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Route {
    Submit(String),
    Status(String),
    Results(String),
    List,
    Cancel(String),
    Whoami,
    Events,
    Health,
    /// A path that exists, with another method.
    WrongMethod,
    Other,
}

/// A request with its body.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// Path and query, without the value of a `token` parameter.
    pub(crate) path: String,
    pub(crate) route: Route,
    pub(crate) query: HashMap<String, String>,
    pub(crate) bearer: Option<String>,
    pub(crate) yaml: bool,
    pub(crate) body: Bytes,
}

impl Route {
    pub(crate) fn parse(method: &Method, path: &str) -> Self {
        let Some(path) = path.strip_prefix("/api/v1/") else { return Self::Other };
        let parts: Vec<&str> = path.split('/').collect();
        let (wanted, route) = match parts.as_slice() {
            ["jobs", kind, "submit"] | ["jobs", kind @ "spiderVideo", "extract-frames", "submit"] => {
                (Method::POST, Self::Submit((*kind).to_owned()))
            }
            ["jobs", "list"] => (Method::GET, Self::List),
            ["jobs", id, "status"] => (Method::GET, Self::Status((*id).to_owned())),
            ["jobs", id, "results"] => (Method::GET, Self::Results((*id).to_owned())),
            // The legacy submit (contract section 2.1, J2) is gone.
            ["jobs", "submit"] => return Self::Other,
            ["jobs", id] => (Method::DELETE, Self::Cancel((*id).to_owned())),
            ["auth", "whoami"] => (Method::GET, Self::Whoami),
            ["events", "stream"] => (Method::GET, Self::Events),
            ["system", "health"] => (Method::GET, Self::Health),
            _ => return Self::Other,
        };
        if *method == wanted { route } else { Self::WrongMethod }
    }

    /// The name that rules and the journal use.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Submit(_) => "submit",
            Self::Status(_) => "status",
            Self::Results(_) => "results",
            Self::List => "list",
            Self::Cancel(_) => "cancel",
            Self::Whoami => "whoami",
            Self::Events => "events",
            Self::Health => "health",
            Self::WrongMethod | Self::Other => "other",
        }
    }

    /// The type, of submits.
    pub(crate) fn kind(&self) -> Option<&str> {
        if let Self::Submit(kind) = self { Some(kind) } else { None }
    }

    /// The job id in the path.
    pub(crate) fn job_id(&self) -> Option<&str> {
        match self {
            Self::Status(id) | Self::Results(id) | Self::Cancel(id) => Some(id),
            Self::Submit(_)
            | Self::List
            | Self::Whoami
            | Self::Events
            | Self::Health
            | Self::WrongMethod
            | Self::Other => None,
        }
    }
}

impl Call {
    pub(crate) fn read(parts: &Parts, body: Bytes) -> Self {
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = header(AUTHORIZATION).and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        let query =
            Query::<HashMap<String, String>>::try_from_uri(&parts.uri).map(|q| q.0).unwrap_or_default();
        let route = Route::parse(&parts.method, parts.uri.path());
        // The stream of events has its token in the address alone (contract section 8.2).
        let bearer = if route == Route::Events { query.get("token").cloned() } else { bearer };
        Self {
            method: parts.method.to_string(),
            path: without_token(parts.uri.path(), parts.uri.query()),
            route,
            query,
            bearer,
            yaml: header(CONTENT_TYPE).is_some_and(|kind| kind.contains("yaml")),
            body,
        }
    }
}

fn without_token(path: &str, query: Option<&str>) -> String {
    let Some(query) = query else { return path.to_owned() };
    let keep = |part| if str::starts_with(part, "token=") { "token=" } else { part };
    let parts: Vec<_> = query.split('&').map(keep).collect();
    format!("{path}?{}", parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        for (method, path, want) in [
            (Method::POST, "/jobs/spiderSite/submit", "submit"),
            (Method::POST, "/jobs/spiderVideo/extract-frames/submit", "submit"),
            (Method::GET, "/jobs/x/status", "status"),
            (Method::GET, "/jobs/x/results", "results"),
            (Method::GET, "/jobs/list", "list"),
            (Method::DELETE, "/jobs/x", "cancel"),
            (Method::GET, "/auth/whoami", "whoami"),
            (Method::GET, "/events/stream", "events"),
            (Method::GET, "/system/health", "health"),
            (Method::POST, "/jobs/submit", "other"),
            (Method::POST, "/jobs/x/cancel", "other"),
            (Method::GET, "/jobs/x", "other"),
        ] {
            assert_eq!(Route::parse(&method, &format!("/api/v1{path}")).name(), want, "{method} {path}");
        }
        assert_eq!(Route::parse(&Method::GET, "/jobs/list"), Route::Other, "outside of /api/v1");
    }

    #[test]
    fn a_token_in_the_query_is_never_kept() {
        assert_eq!(without_token("/x", Some("a=1&token=secret&b=2")), "/x?a=1&token=&b=2");
    }
}
