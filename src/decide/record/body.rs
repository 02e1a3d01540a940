//! The body of a submit in one canonical form, and its hash.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Version of the way a hash is made. Hashes of different versions are never compared, and a release keeps every
/// older version's way: a change without a new version would make recorded submits look changed.
const VERSION: &str = "v1:";

/// The priorities that the schema admits.
const PRIORITIES: std::ops::RangeInclusive<i32> = 0..=10;

/// The body of a submit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Body {
    /// Canonical JSON: keys sorted, null values of maps removed at every depth, never items of lists.
    pub json: String,
    /// `v1:` and the SHA-256 of that JSON in hexadecimal.
    pub hash: String,
    payload_json: String,
}

impl Body {
    /// The body that this payload and priority make.
    pub fn new(payload: &Map<String, Value>, priority: Option<i32>) -> Self {
        let payload_json = Value::Object(members(payload)).to_string();
        let json = whole(&payload_json, priority);
        Self { hash: hash(&json), payload_json, json }
    }

    /// The hash of the body with this payload and no priority.
    pub fn payload_hash(&self) -> String {
        hash(&whole(&self.payload_json, None))
    }

    /// The hashes of all bodies with this payload: whatever their priority, by which the service does not compare.
    pub fn equal_hashes(&self) -> impl Iterator<Item = String> {
        // The payload is read once, whatever comes after it.
        let begun = Sha256::new().chain_update(BEGIN).chain_update(&self.payload_json);
        PRIORITIES
            .map(Some)
            .chain([None])
            .map(move |priority| named(begun.clone().chain_update(end(priority)).finalize().as_slice()))
    }

    /// Size of the canonical payload in bytes.
    pub fn payload_bytes(&self) -> usize {
        self.payload_json.len()
    }
}

/// The body around a canonical payload: `payload` sorts before `priority`.
fn whole(payload: &str, priority: Option<i32>) -> String {
    format!("{BEGIN}{payload}{}", end(priority))
}

/// What stands before the payload.
const BEGIN: &str = "{\"payload\":";

/// What stands after it.
fn end(priority: Option<i32>) -> String {
    match priority {
        Some(priority) => format!(",\"priority\":{priority}}}"),
        None => "}".to_owned(),
    }
}

/// Whether this release knows how a recorded hash was made.
pub(in crate::decide) fn knows_version(recorded: &str) -> bool {
    recorded.starts_with(VERSION)
}

fn hash(json: &str) -> String {
    named(Sha256::digest(json).as_slice())
}

fn named(digest: &[u8]) -> String {
    format!("{VERSION}{}", hex::encode(digest))
}

/// `serde_json` keeps maps sorted by key, so what is left to do is to drop nulls.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(members(map)),
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn members(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter().filter(|(_, item)| !item.is_null()).map(|(key, item)| (key.clone(), canonical(item))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Body;

    fn body(payload: serde_json::Value, priority: Option<i32>) -> Body {
        let serde_json::Value::Object(payload) = payload else { panic!("a payload is an object") };
        Body::new(&payload, priority)
    }

    #[test]
    fn equal_meaning_makes_equal_bodies() {
        let first = body(json!({"b": 1, "a": {"y": null, "x": [null, 2]}}), None);
        let second = body(json!({"a": {"x": [null, 2]}, "c": null, "b": 1}), None);
        assert_eq!(first, second);
        assert_eq!(first.json, r#"{"payload":{"a":{"x":[null,2]},"b":1}}"#);
    }

    #[test]
    fn priority_changes_the_body_and_not_the_payload() {
        let (low, high) = (body(json!({"a": 1}), Some(0)), body(json!({"a": 1}), Some(9)));
        assert_ne!(low.hash, high.hash);
        assert_ne!(low.hash, body(json!({"a": 1}), None).hash, "a left-out priority is not zero");
        let other = body(json!({"a": 2}), Some(9));
        let equal = |body: &Body, hash: &str| body.equal_hashes().any(|equal| equal == hash);
        assert!(equal(&low, &high.hash) && equal(&low, &low.hash) && equal(&high, &low.payload_hash()));
        assert_eq!(low.payload_hash(), body(json!({"a": 1}), None).hash);
        assert!(!equal(&low, &other.hash));
    }

    #[test]
    fn the_hash_of_version_1_never_changes() {
        let body = body(json!({"url": "https://acme.example", "max_pages": 10}), Some(5));
        assert_eq!(body.json, r#"{"payload":{"max_pages":10,"url":"https://acme.example"},"priority":5}"#);
        assert_eq!(body.hash, "v1:8dbc67a6672812c72e677a163a886cd4650e3ce30b7abfc3bb53a1d85188b406");
    }
}
