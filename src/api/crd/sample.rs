//! A status with a valid value in every field, made from the schema itself: what shows whether an API server keeps them
//! all, and which names are ours.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::crds;

/// What mends a cluster whose CRDs are not those of this release.
pub const INSTALL_CRDS: &str = "spideriq-operator crds | kubectl apply --server-side -f -";

/// A full status of each kind.
static SAMPLES: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    // That they have the shape that Kubernetes prescribes is tested.
    let crds = crds().unwrap_or_default();
    crds.into_iter().filter_map(|crd| Some((crd.spec.names.kind.clone(), of(&crd)?))).collect()
});

fn of(crd: &impl serde::Serialize) -> Option<Value> {
    let crd = serde_json::to_value(crd).ok()?;
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status").map(value)
}

/// A status of this kind with a valid value in every field, and in no list more than one item.
pub fn full_status(kind: &str) -> Option<&'static Value> {
    SAMPLES.get(kind)
}

/// Whether a path as the API server words it (`status.history[0].runID`) names a field of ours.
pub fn is_status_field(path: &str) -> bool {
    let Some(path) = path.strip_prefix("status.") else { return false };
    SAMPLES.values().any(|status| {
        path.split('.').try_fold(status, |at, step| at.get(step.split('[').next()?).map(first)).is_some()
    })
}

/// The item of a list, or the value itself.
fn first(value: &Value) -> &Value {
    value.get(0).unwrap_or(value)
}

/// A value that the schema admits.
fn value(schema: &Value) -> Value {
    if let Some(word) = schema.pointer("/enum/0") {
        return word.clone();
    }
    let word = |name: &str| schema.get(name).and_then(Value::as_str);
    match word("type") {
        Some("array") => schema.get("items").map(|items| json!([value(items)])).unwrap_or_default(),
        Some("boolean") => true.into(),
        Some("integer" | "number") => 1.into(),
        Some("string") if word("format") == Some("date-time") => "1970-01-01T00:00:00Z".into(),
        Some("string") => "x".into(),
        Some(_) | None => {
            let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            Value::Object(fields.map(|(name, field)| (name.clone(), value(field))).collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{full_status, is_status_field};
    use crate::api::{ScrapeAccountStatus, ScrapeJobStatus};

    #[test]
    fn a_full_status_can_be_read_and_says_everything() {
        let full = full_status("ScrapeJob").unwrap();
        let read: ScrapeJobStatus = serde_json::from_value(full.clone()).unwrap();
        assert_eq!(&serde_json::to_value(read).unwrap(), full);
        for kind in ["ScrapeAccount", "ClusterScrapeAccount"] {
            let full = full_status(kind).unwrap();
            let read: ScrapeAccountStatus = serde_json::from_value(full.clone()).unwrap();
            assert_eq!(&serde_json::to_value(read).unwrap(), full);
        }
        for field in ["submission", "jobID", "runID", "history", "usedRunIDs", "cancelReason", "cancelTime"] {
            assert!(!full[field].is_null(), "{field}");
        }
    }

    #[test]
    fn a_name_of_ours_is_told_from_any_other() {
        for ours in
            ["status.submission", "status.submission.nonce", "status.history[0].runID", "status.retryAfter"]
        {
            assert!(is_status_field(ours), "{ours}");
        }
        for other in [
            "status",
            "status.other",
            "spec.payload",
            "submission",
            "status.submission.other",
            "status.jobID.x",
            "",
        ] {
            assert!(!is_status_field(other), "{other}");
        }
    }
}
