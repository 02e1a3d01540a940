//! What a request asks of the API server, in words of a closed list.

use http::{Method, Uri};

/// The resources that are told apart.
const RESOURCES: [(&str, &str); 8] = [
    ("scrapejobs", "scrapejobs/status"),
    ("scrapeaccounts", "scrapeaccounts/status"),
    ("clusterscrapeaccounts", "clusterscrapeaccounts/status"),
    ("secrets", "other"),
    ("namespaces", "other"),
    ("leases", "other"),
    ("events", "other"),
    ("customresourcedefinitions", "other"),
];

/// The verb, as roles name it, and the resource with its part; `other` for what is none of ours.
pub(super) fn asked(method: &Method, uri: &Uri) -> (&'static str, &'static str) {
    let segments: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let below = match segments.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => &[],
    };
    let parts = match below {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        parts => parts,
    };
    let of = |name: &str| RESOURCES.into_iter().find(|(resource, _)| *resource == name);
    let resource = match parts {
        [name] | [name, _] => of(name).map(|(resource, _)| resource),
        [name, _, "status"] => of(name).map(|(_, status)| status),
        _ => None,
    };
    let watches =
        || uri.query().unwrap_or_default().split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
    let verb = match *method {
        Method::GET if parts.len() > 1 => "get",
        Method::GET if watches() => "watch",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    };
    (verb, resource.unwrap_or("other"))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::asked;

    #[test]
    fn what_is_asked_is_told_in_words_of_a_closed_list() {
        let group = "/apis/spideriq.ai/v1alpha1";
        for (method, path, verb, resource) in [
            (Method::GET, format!("{group}/scrapejobs?&limit=5"), "list", "scrapejobs"),
            (
                Method::GET,
                format!("{group}/scrapejobs?&watch=true&timeoutSeconds=290"),
                "watch",
                "scrapejobs",
            ),
            (Method::GET, format!("{group}/namespaces/a/scrapejobs?&watch=true"), "watch", "scrapejobs"),
            (Method::GET, format!("{group}/namespaces/a/scrapejobs/x"), "get", "scrapejobs"),
            (Method::PATCH, format!("{group}/namespaces/a/scrapejobs/x?"), "patch", "scrapejobs"),
            (
                Method::PATCH,
                format!("{group}/namespaces/a/scrapejobs/status/status?dryRun=All"),
                "patch",
                "scrapejobs/status",
            ),
            (Method::DELETE, format!("{group}/namespaces/a/scrapejobs/x"), "delete", "scrapejobs"),
            (
                Method::PATCH,
                format!("{group}/clusterscrapeaccounts/x/status"),
                "patch",
                "clusterscrapeaccounts/status",
            ),
            (Method::GET, "/api/v1/namespaces?&watch=true".to_owned(), "watch", "namespaces"),
            (Method::GET, "/api/v1/namespaces/a".to_owned(), "get", "namespaces"),
            (Method::GET, "/api/v1/namespaces/a/secrets/x".to_owned(), "get", "secrets"),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events?".to_owned(), "create", "events"),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/x".to_owned(),
                "update",
                "leases",
            ),
            (Method::GET, "/openapi/v3/apis/spideriq.ai/v1alpha1".to_owned(), "list", "other"),
            (Method::GET, "/version".to_owned(), "list", "other"),
            (Method::GET, format!("{group}/namespaces/a/scrapejobs/x/scale"), "get", "other"),
            (Method::GET, "/".to_owned(), "list", "other"),
            (Method::HEAD, "/api/v1/namespaces/a/pods".to_owned(), "other", "other"),
        ] {
            assert_eq!(asked(&method, &path.parse().unwrap()), (verb, resource), "{method} {path}");
        }
    }
}
