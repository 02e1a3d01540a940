//! Whether a request's address is one that is made of names: nothing else is sent, whoever made it up.

use http::{Method, Uri};

use crate::api::ObjectName;

/// What the address of one object may be asked with.
const OF_ONE: [&str; 7] = [
    "resourceVersion",
    "dryRun",
    "fieldManager",
    "fieldValidation",
    "force",
    "gracePeriodSeconds",
    "propagationPolicy",
];

/// Whether the address has the shape that kube gives to names: `/apis/GROUP/VERSION[/namespaces/NS]/KIND[/NAME[/PART]]`.
///
/// A name that holds a slash, a query or an encoded character makes another one of it.
pub(super) fn is_plain(method: &Method, uri: &Uri) -> bool {
    let path = uri.path().strip_prefix('/').unwrap_or_default();
    let segments: Vec<&str> = path.split('/').collect();
    if !segments.iter().all(|segment| ObjectName::parse(segment).is_ok()) {
        return false;
    }
    let (["api", _, rest @ ..] | ["apis", _, _, rest @ ..]) = segments.as_slice() else {
        // What belongs to no kind: the version, the schemas.
        return true;
    };
    let rest = if let ["namespaces", _, rest @ ..] = rest
        && !rest.is_empty()
    {
        rest
    } else {
        rest
    };
    match rest {
        [_kind] => true,
        [_kind, _name] => keys(uri).all(|key| OF_ONE.contains(&key)),
        [_kind, _name, part] => *part == "status" && *method != Method::GET,
        _ => false,
    }
}

fn keys(uri: &Uri) -> impl Iterator<Item = &str> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').map_or(pair, |(key, _)| key))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::is_plain;

    #[test]
    fn an_address_that_a_name_has_bent_is_not_asked() {
        let secrets = "/api/v1/namespaces/team/secrets";
        let plain = |path: &str| path.parse().is_ok_and(|uri| is_plain(&Method::GET, &uri));
        for good in [
            format!("{secrets}/x"),
            format!("{secrets}/x?&resourceVersion=0"),
            format!("{secrets}?&limit=500&watch=true"),
            "/api/v1/namespaces".to_owned(),
            "/api/v1/namespaces/team".to_owned(),
            "/apis/spideriq.ai/v1alpha1/scrapejobs?&limit=1".to_owned(),
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scrapejobs.spideriq.ai".to_owned(),
            "/openapi/v3/apis/spideriq.ai/v1alpha1".to_owned(),
        ] {
            assert!(plain(&good), "{good}");
        }
        for name in [
            "?limit=500",
            "x?limit=500",
            "x?watch=true",
            "../x",
            "..",
            ".",
            "a/b",
            "a/status",
            "%2e%2e",
            "a%2fb",
            "a%3flimit=1",
            "",
            "A",
            "a//b",
            "x?&labelSelector=a",
        ] {
            let path = format!("{secrets}/{name}");
            assert!(!plain(&path), "{path}");
        }
        // A namespace that is none, and one that is left out.
        for path in
            ["/api/v1/namespaces/../secrets/x", "/api/v1/namespaces//secrets", "/api/v1/namespaces/a/"]
        {
            assert!(!plain(path), "{path}");
        }
        let status = "/apis/spideriq.ai/v1alpha1/namespaces/team/scrapejobs/a/status?&fieldManager=x";
        assert!(is_plain(&Method::PATCH, &status.parse().unwrap()));
    }
}
