//! The body of a submit in one canonical form, and its hash.

use serde::Serialize;
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use super::number::read_by_v1;

/// The priorities that the schema admits.
const PRIORITIES: std::ops::RangeInclusive<i32> = 0..=10;

/// A way to make the canonical payload and with it the hash (`docs/adr/0015`). Hashes of different versions are never
/// compared, and a release keeps every older version's way: a change without a new version would make recorded submits
/// look changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// Floats lose their last digits.
    V1,
    /// Floats are sent as the doubles that they are.
    V2,
}

impl Version {
    /// Every version that this release can make.
    const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// What its hashes begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::V1 => "v1:",
            Self::V2 => "v2:",
        }
    }

    /// The version that a recorded hash was made with; `None` for one of another release.
    fn of(recorded: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| recorded.starts_with(version.prefix()))
    }
}

/// The body of a submit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Body {
    /// What a first submit sends, canonical JSON: keys sorted, null values of maps removed at every depth, never items
    /// of lists, every number the double that the API server stores.
    pub json: String,
    /// The version and the SHA-256 of that JSON in hexadecimal. As long as version 1 makes the same of it, it is one of
    /// version 1, which every release can repeat.
    pub hash: String,
    exact: Made,
    /// What version 1 makes, where that is another.
    by_v1: Option<Made>,
    priority: Option<i32>,
}

/// What a version makes of a payload.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Made {
    /// The canonical payload.
    payload: String,
    /// The SHA-256 of the body around it.
    digest: String,
}

/// What a recorded hash says of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decide) enum Recorded {
    /// It was made of this very body.
    Same,
    /// It was made of another one.
    Other,
    /// It was made by another release, in a way that this one does not know.
    Unclear,
}

impl Recorded {
    /// What a recorded hash says of the body with these hashes.
    pub(super) fn by(recorded: &str, hashes: &[String; 2]) -> Self {
        match Version::of(recorded) {
            None => Self::Unclear,
            Some(_) if hashes.iter().any(|hash| hash == recorded) => Self::Same,
            Some(_) => Self::Other,
        }
    }
}

impl Body {
    /// The body that this payload and priority make.
    pub fn new(payload: &Map<String, Value>, priority: Option<i32>) -> Self {
        let made = |read| {
            let payload = canonical(payload, read).to_string();
            let digest = hex::encode(Sha256::digest(whole(&payload, priority)));
            Made { payload, digest }
        };
        let by_v1 = payload.values().any(is_changed_by_v1).then(|| made(read_by_v1));
        let exact = made(std::convert::identity);
        let version = if by_v1.is_none() { Version::V1 } else { Version::V2 };
        let hash = version.prefix().to_owned() + &exact.digest;
        Self { json: whole(&exact.payload, priority), hash, exact, by_v1, priority }
    }

    /// The hashes of this body, one for each version.
    pub(super) fn hashes(&self) -> [String; 2] {
        Version::ALL.map(|version| version.prefix().to_owned() + &self.made(version).digest)
    }

    /// What a recorded hash says of this body.
    pub(in crate::decide) fn recorded(&self, hash: &str) -> Recorded {
        Recorded::by(hash, &self.hashes())
    }

    /// What was sent with a recorded hash, if it was made of this body.
    pub fn as_recorded(&self, hash: &str) -> Option<String> {
        let version = Version::of(hash).filter(|_| self.recorded(hash) == Recorded::Same)?;
        Some(whole(&self.made(version).payload, self.priority))
    }

    /// The hash of the body with this payload and no priority.
    pub fn payload_hash(&self) -> String {
        let prefix = Version::of(&self.hash).map_or("", Version::prefix);
        prefix.to_owned() + &hex::encode(Sha256::digest(whole(&self.exact.payload, None)))
    }

    /// The hashes of all bodies with this payload: whatever their priority, by which the service does not compare, and
    /// whatever the version.
    pub fn equal_hashes(&self) -> impl Iterator<Item = String> {
        Version::ALL.into_iter().flat_map(|version| self.equal_hashes_of(version))
    }

    /// Size of the canonical payload in bytes.
    pub fn payload_bytes(&self) -> usize {
        self.exact.payload.len()
    }

    fn made(&self, version: Version) -> &Made {
        match version {
            Version::V1 => self.by_v1.as_ref().unwrap_or(&self.exact),
            Version::V2 => &self.exact,
        }
    }

    fn equal_hashes_of(&self, version: Version) -> impl Iterator<Item = String> {
        // They differ behind the payload, which may be long and is digested once.
        let begun = Sha256::new_with_prefix(before_priority(&self.made(version).payload));
        PRIORITIES.map(Some).chain([None]).map(move |priority| {
            let digest = begun.clone().chain_update(priority_and_end(priority)).finalize();
            version.prefix().to_owned() + &hex::encode(digest)
        })
    }
}

/// Whether this release knows how a recorded hash was made.
pub(in crate::decide) fn knows_version(recorded: &str) -> bool {
    Version::of(recorded).is_some()
}

/// Whether every release knows how a hash is made.
pub(super) fn is_known_to_all(hash: &str) -> bool {
    Version::of(hash) == Some(Version::V1)
}

/// The body around a canonical payload: `payload` sorts before `priority`.
fn whole(payload: &str, priority: Option<i32>) -> String {
    before_priority(payload) + &priority_and_end(priority)
}

fn before_priority(payload: &str) -> String {
    format!("{{\"payload\":{payload}")
}

fn priority_and_end(priority: Option<i32>) -> String {
    priority.map_or_else(|| "}".to_owned(), |priority| format!(",\"priority\":{priority}}}"))
}

/// `serde_json` keeps maps sorted by key, so what is left to do is to drop nulls, and to read floats as a version does.
fn canonical(map: &Map<String, Value>, read: fn(f64) -> f64) -> Value {
    let members = map.iter().filter(|(_, value)| !value.is_null());
    Value::Object(members.map(|(key, value)| (key.clone(), canonical_value(value, read))).collect())
}

fn canonical_value(value: &Value, read: fn(f64) -> f64) -> Value {
    match value {
        Value::Object(map) => canonical(map, read),
        Value::Array(items) => Value::Array(items.iter().map(|item| canonical_value(item, read)).collect()),
        Value::Number(number) => float(number).map_or_else(|| value.clone(), |double| read(double).into()),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

fn is_changed_by_v1(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().any(is_changed_by_v1),
        Value::Array(items) => items.iter().any(is_changed_by_v1),
        Value::Number(number) => {
            float(number).is_some_and(|double| read_by_v1(double).to_bits() != double.to_bits())
        }
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// A number that is no integer of 64 bits.
fn float(number: &Number) -> Option<f64> {
    number.as_f64().filter(|_| number.is_f64())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Body, Recorded};
    use crate::api::Payload;
    use crate::decide::KeptBody;

    fn kept(payload: &serde_json::Value, priority: Option<i32>) -> KeptBody {
        KeptBody::of(&Payload::from_text(&payload.to_string()), priority).unwrap()
    }

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
        for payload in [json!({"a": 1}), json!({"a": [117.633_313_914_000_17]})] {
            let kept = [Some(0), Some(9)].map(|priority| kept(&payload, priority));
            let (low, high) = (body(payload.clone(), Some(0)), body(payload.clone(), Some(9)));
            let without = body(payload, None);
            assert_ne!(low.hash, high.hash);
            assert_ne!(low.hash, without.hash, "a left-out priority is not zero");
            assert_eq!(kept[0].has_payload_of(&high.hash), Some(true));
            assert_eq!(kept[1].has_payload_of(&without.hash), Some(true));
            assert_eq!(kept[0].has_payload_of(&body(json!({"a": 2}), Some(9)).hash), Some(false));
            assert!(low.equal_hashes().any(|hash| hash == high.hash));
        }
    }

    #[test]
    fn the_hash_of_version_1_never_changes() {
        let body = body(json!({"url": "https://acme.example", "max_pages": 10}), Some(5));
        assert_eq!(body.json, r#"{"payload":{"max_pages":10,"url":"https://acme.example"},"priority":5}"#);
        assert_eq!(body.hash, "v1:8dbc67a6672812c72e677a163a886cd4650e3ce30b7abfc3bb53a1d85188b406");
        assert_eq!(body.recorded(&body.hash), Recorded::Same);
        // What the next release will record of it.
        let next = body.hash.replace("v1:", "v2:");
        assert_eq!(
            (body.recorded(&next), body.as_recorded(&next)),
            (Recorded::Same, Some(body.json.clone()))
        );
    }

    /// What a release that knew version 1 alone made of it: taken from its own build.
    const OF_VERSION_1: (&str, &str) = (
        r#"{"payload":{"a":1.577777777777,"b":117.63331139400016,"c":0.9215686321258544,"d":-1.8134499788284304},"priority":5}"#,
        "v1:dd0cb6aaf7661216d4335b88503e9264112845107e2233762a3ea7f30f6b73af",
    );

    #[test]
    fn floats_are_sent_as_they_are_and_what_version_1_recorded_is_repeated_as_it_was() {
        let exact = r#"{"a":1.5777777777770001,"b":117.63331139400017,"c":0.9215686321258545,"d":-1.8134499788284302}"#;
        let body = body(serde_json::from_str(exact).unwrap(), Some(5));
        assert_eq!(body.json, format!(r#"{{"payload":{exact},"priority":5}}"#));
        assert!(body.hash.starts_with("v2:"), "a release that repeats version 1 would send other bytes");
        assert_eq!(body.recorded(&body.hash), Recorded::Same);
        let (json, hash) = OF_VERSION_1;
        assert_eq!((body.recorded(hash), body.as_recorded(hash).as_deref()), (Recorded::Same, Some(json)));
        let kept = kept(&serde_json::from_str(exact).unwrap(), Some(5));
        for recorded in [hash, &body.hash] {
            assert_eq!(kept.has_payload_of(recorded), Some(true), "{recorded}");
            assert_eq!(kept.recorded(recorded), Recorded::Same, "{recorded}");
        }
        assert_eq!(kept.hold_name(), hash, "what is held stays held");
    }

    #[test]
    fn a_hash_of_another_release_is_neither_the_same_nor_another() {
        let body = body(json!({"a": 1}), None);
        for unknown in ["v3:00", "v10:00", "", "V1:00", "sha256:00"] {
            assert_eq!(body.recorded(unknown), Recorded::Unclear, "{unknown}");
            assert_eq!(kept(&json!({"a": 1}), None).has_payload_of(unknown), None, "{unknown}");
        }
        assert_eq!(body.recorded("v1:00"), Recorded::Other);
        assert_eq!(body.recorded("v2:00"), Recorded::Other);
    }

    #[test]
    fn no_number_is_another_one_in_the_body() {
        let numbers = "[-9223372036854775808,-9.223372036854776e+18,-0.0,0,5e-324,1e-7,1,1.0,9007199254740993,1e+21,18446744073709551615,1.8446744073709552e+19,1.7976931348623157e+308]";
        let json = body(json!({"n": serde_json::from_str::<serde_json::Value>(numbers).unwrap()}), None).json;
        assert_eq!(json, format!(r#"{{"payload":{{"n":{numbers}}}}}"#));
    }
}
