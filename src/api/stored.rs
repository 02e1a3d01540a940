//! An object as the API server has it, read part by part from its text: what cannot be read is named, and takes nothing
//! else along.
//!
//! The API server stores what a process cannot read: objects nested thousands deep, fields of a newer release. One such
//! object must not spoil the list that it stands in. So the text is split without recursion, and only small parts of it
//! become trees.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{ClusterScrapeAccount, Payload, ScrapeAccount, ScrapeJob};

/// How many places of one object are given up before all of it is.
const GIVEN_UP: usize = 32;
/// The longest words of why a place cannot be read, in characters.
const WHY_MAX: usize = 160;

/// A kind that is read part by part.
pub trait Readable: Resource<DynamicType = ()> + DeserializeOwned {
    /// The parts of it that are read.
    const PARTS: &'static [&'static str];
    /// Takes the payload, which never becomes part of a tree. `None` for a kind that has none.
    const TAKES_PAYLOAD: Option<fn(&mut Self, Payload)> = None;
}

/// What our own kinds have.
const OURS: &[&str] = &["metadata", "spec", "status"];

impl Readable for ScrapeJob {
    const PARTS: &'static [&'static str] = OURS;
    const TAKES_PAYLOAD: Option<fn(&mut Self, Payload)> =
        Some(|job, payload| job.spec.payload = Some(payload));
}
impl Readable for ScrapeAccount {
    const PARTS: &'static [&'static str] = OURS;
}
impl Readable for ClusterScrapeAccount {
    const PARTS: &'static [&'static str] = OURS;
}
impl Readable for Secret {
    const PARTS: &'static [&'static str] = &["metadata", "type", "data"];
}
impl<K: Resource<DynamicType = ()>> Readable for PartialObjectMeta<K> {
    const PARTS: &'static [&'static str] = &["metadata"];
}

/// A job as the API server has it.
pub type StoredJob = Stored<ScrapeJob>;

/// An object as the API server has it.
#[derive(Clone, Debug)]
pub struct Stored<K> {
    /// The object without what cannot be read; of one without the least of its kind, the metadata.
    pub read: Result<K, Box<ObjectMeta>>,
    /// What cannot be read.
    pub unread: Vec<Unread>,
    /// When its spec was last changed, as far as its managed fields tell.
    pub edited: Option<Timestamp>,
    /// Length of its text in bytes.
    pub bytes: usize,
}

/// A place of an object that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Where it is, for example `spec.ttlPolicy`; empty for all of it.
    pub path: String,
    /// Why, in words that may quote it.
    pub why: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.path.is_empty() { "the object" } else { &self.path };
        write!(to, "{place}: {}", self.why)
    }
}

impl<K> Stored<K> {
    /// The object, if its spec and metadata can be read. A status can be made again.
    pub fn usable(&self) -> Option<&K> {
        let good = self.unread.iter().all(|unread| unread.path.starts_with("status"));
        self.read.as_ref().ok().filter(|_| good)
    }

    /// What cannot be read, in words; empty where everything can.
    pub fn fault(&self) -> String {
        self.unread.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Stored<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.read.as_ref().map_or_else(AsRef::as_ref, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.read.as_mut().map_or_else(AsMut::as_mut, K::meta_mut)
    }
}

impl<'de, K: Readable> Deserialize<'de> for Stored<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Taken as it stands and without recursion, whatever is in it. In a watch event that holds because the API server
        // writes the kind of the change before the object.
        let text = Box::<RawValue>::deserialize(from)?;
        Ok(read(text.get()))
    }
}

/// Reads an object from its text.
fn read<K: Readable>(text: &str) -> Stored<K> {
    let mut unread = Vec::new();
    let Split { mut tree, payload, edited } = split::<K>(text, &mut unread);
    let mut read = None;
    for _ in 0..GIVEN_UP {
        match serde_path_to_error::deserialize::<_, K>(&tree) {
            Ok(object) => read = Some(object),
            Err(error) => {
                if let Some(path) = give_up(&mut tree, error.path()) {
                    unread.push(unreadable(path, error.inner()));
                    continue;
                }
                unread.push(unreadable(String::new(), error.inner()));
            }
        }
        break;
    }
    let metadata =
        || tree.get("metadata").and_then(|part| ObjectMeta::deserialize(part).ok()).unwrap_or_default();
    let mut read = read.ok_or_else(|| Box::new(metadata()));
    if let (Ok(object), Some(take), Some(payload)) = (&mut read, K::TAKES_PAYLOAD, payload) {
        take(object, payload);
    }
    Stored { read, unread, edited, bytes: text.len() }
}

/// What an object's text is split into.
struct Split {
    /// The members of its parts, each read by itself.
    tree: Value,
    /// The payload, which is not.
    payload: Option<Payload>,
    edited: Option<Timestamp>,
}

fn split<K: Readable>(text: &str, unread: &mut Vec<Unread>) -> Split {
    let mut tree = Map::new();
    let (mut payload, mut last) = (None, None);
    for part in ["metadata", "spec"].into_iter().take(if K::TAKES_PAYLOAD.is_some() { 2 } else { 1 }) {
        tree.insert(part.to_owned(), Value::Object(Map::new()));
    }
    for (name, part) in members(text).unwrap_or_default() {
        if !K::PARTS.contains(&name.as_str()) {
            continue;
        }
        let Some(members) = members(part.get()) else {
            match serde_json::from_str(part.get()) {
                Ok(value) => drop(tree.insert(name, value)),
                Err(error) => unread.push(unreadable(name, &error)),
            }
            continue;
        };
        let mut values = Map::new();
        for (member, value) in members {
            match (name.as_str(), member.as_str()) {
                // They may be as deep as anything: what they tell of a payload.
                ("metadata", "managedFields") => last = edited(value.get()),
                ("spec", "payload") if K::TAKES_PAYLOAD.is_some() => {
                    payload = Some(value.get()).filter(|text| *text != "null").map(Payload::from_text);
                }
                _ => match serde_json::from_str(value.get()) {
                    Ok(value) => drop(values.insert(member, value)),
                    Err(error) => unread.push(unreadable(format!("{name}.{member}"), &error)),
                },
            }
        }
        tree.insert(name, Value::Object(values));
    }
    Split { tree: Value::Object(tree), payload, edited: last }
}

/// When a spec was last changed, by the managed fields: whose entry has any field of it. None of them becomes a tree.
fn edited(managed_fields: &str) -> Option<Timestamp> {
    let entries: Vec<&RawValue> = serde_json::from_str(managed_fields).ok()?;
    let times = entries.into_iter().filter_map(|entry| {
        let entry = members(entry.get())?;
        let of_spec = members(entry.get("fieldsV1")?.get())?.contains_key("f:spec");
        let time = serde_json::from_str::<Time>(entry.get("time")?.get()).ok()?;
        of_spec.then_some(time.0)
    });
    times.max()
}

/// The members of a JSON object as text; of two with one name the last.
fn members(text: &str) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(text).ok()
}

/// Takes the place with this path out of the tree; says which one it was.
fn give_up(tree: &mut Value, path: &serde_path_to_error::Path) -> Option<String> {
    use serde_path_to_error::Segment;
    let mut steps = Vec::new();
    for segment in path {
        match segment {
            Segment::Map { key } => steps.push(key.clone()),
            Segment::Seq { index } => steps.push(index.to_string()),
            Segment::Enum { .. } | Segment::Unknown => break,
        }
    }
    // What is missing has no place: then the one around it goes.
    while let Some((last, around)) = steps.split_last() {
        let pointer = around
            .iter()
            .fold(String::new(), |pointer, step| pointer + "/" + &step.replace('~', "~0").replace('/', "~1"));
        let gone = match tree.pointer_mut(&pointer) {
            Some(Value::Object(map)) => map.remove(last).is_some(),
            Some(Value::Array(items)) => {
                let index = last.parse().ok().filter(|index| *index < items.len());
                index.map(|index: usize| items.remove(index)).is_some()
            }
            Some(_) | None => false,
        };
        if gone {
            return Some(steps.join("."));
        }
        steps.pop();
    }
    None
}

fn unreadable(path: String, error: &serde_json::Error) -> Unread {
    let why = error.to_string();
    Unread { path, why: why.chars().filter(|c| !c.is_control()).take(WHY_MAX).collect() }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use kube::core::{ObjectList, WatchEvent};
    use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
    use serde_json::{Value, json};

    use super::{Stored, StoredJob, read};
    use crate::api::{ScrapeAccount, ScrapeJob};

    fn nested(depth: usize) -> String {
        format!("{}1{}", r#"{"f:a":"#.repeat(depth), "}".repeat(depth))
    }

    /// A stored job whose text has this in place of its payload.
    fn with_payload(name: &str, payload: &str) -> String {
        let object = json!({
            "apiVersion": "spideriq.ai/v1alpha1",
            "kind": "ScrapeJob",
            "metadata": {"name": name, "namespace": "a", "uid": "u", "resourceVersion": "7", "finalizers": ["spideriq.ai/job"]},
            "spec": {"type": "spiderSite", "payload": "HERE", "priority": 3},
            "status": {"jobID": "job-1", "finished": false, "submission": {"nonce": "n", "bodyHash": "v1:00"}},
        });
        object.to_string().replace("\"HERE\"", payload)
    }

    /// Runs on a stack as small as any thread's here.
    fn on_a_small_stack(what: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new().stack_size(512 * 1024).spawn(what).unwrap().join().unwrap();
    }

    #[test]
    fn no_depth_of_one_item_spoils_a_list_a_watch_or_a_reply() {
        on_a_small_stack(|| {
            for depth in [1, 63, 64, 122, 123, 127, 128, 2_000, 9_000, 9_500] {
                let deep = with_payload("deep", &nested(depth));
                let list = format!(
                    r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{deep},{}]}}"#,
                    with_payload("flat", "{}")
                );
                let list: ObjectList<StoredJob> = serde_json::from_str(&list).unwrap();
                let names: Vec<String> = list.items.iter().map(ResourceExt::name_any).collect();
                assert_eq!(names, ["deep", "flat"], "{depth}");
                let event: WatchEvent<StoredJob> =
                    serde_json::from_str(&format!(r#"{{"type":"MODIFIED","object":{deep}}}"#)).unwrap();
                let WatchEvent::Modified(job) = event else { panic!("{depth}") };
                assert!(job.unread.is_empty(), "{depth}: {}", job.fault());
                let job = job.read.unwrap();
                let status = job.status.as_ref().unwrap();
                assert_eq!(job.finalizers(), ["spideriq.ai/job"]);
                assert_eq!(status.job_id.as_deref(), Some("job-1"));
                assert_eq!(status.submission.as_ref().unwrap().nonce.as_deref(), Some("n"));
                assert_eq!(job.spec.payload.as_ref().unwrap().members().is_ok(), depth <= 64, "{depth}");
                let _reply: StoredJob = serde_json::from_str(&deep).unwrap();
            }
        });
    }

    #[test]
    fn managed_fields_of_any_depth_are_passed_over_in_every_kind() {
        on_a_small_stack(|| {
            let fields = format!(r#"[{{"manager":"m","fieldsV1":{}}}]"#, nested(9_000));
            let job = with_payload("a", "{}").replacen(
                r#""name":"#,
                &format!(r#""managedFields":{fields},"name":"#),
                1,
            );
            assert_eq!(read::<ScrapeJob>(&job).fault(), "");
            let account = format!(
                r#"{{"metadata":{{"name":"a","managedFields":{fields}}},"spec":{{"secretRef":{{"name":"s"}}}}}}"#
            );
            assert!(read::<ScrapeAccount>(&account).usable().is_some());
        });
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_counts() {
        let cases = [
            (r#""priority":3"#, r#""priority":"high""#, "spec.priority"),
            (r#""priority":3"#, r#""priority":1e400"#, "spec.priority"),
            (r#""priority":3"#, r#""priority":3,"ttlPolicy":"OfTomorrow""#, "spec.ttlPolicy"),
            (
                r#""priority":3"#,
                r#""priority":3,"accountRef":{"kind":"Odd","name":"x"}"#,
                "spec.accountRef.kind",
            ),
            (r#""priority":3"#, r#""priority":3,"accountRef":{"kind":"ScrapeAccount"}"#, "spec.accountRef"),
            (
                r#""finished":false"#,
                r#""finished":false,"history":[{"runID":7},{"runID":"a"}]"#,
                "status.history.0.runID",
            ),
            (r#""nonce":"n""#, r#""nonce":"n","origin":"OfTomorrow""#, "status.submission.origin"),
            (r#""nonce":"n""#, r#""nonce":"n","try":99999999999"#, "status.submission.try"),
            (r#""name":"a""#, r#""name":"a","annotations":{"x":7,"y":"z"}"#, "metadata.annotations.x"),
        ];
        for (from, to, path) in cases {
            let text = with_payload("a", "{}").replacen(from, to, 1);
            let stored = read::<ScrapeJob>(&text);
            let paths: Vec<&str> = stored.unread.iter().map(|unread| unread.path.as_str()).collect();
            assert_eq!(paths, [path], "{}", stored.fault());
            let status = stored.read.unwrap().status.unwrap();
            assert_eq!(status.job_id.as_deref(), Some("job-1"));
            assert_eq!(status.submission.unwrap().body_hash.as_deref(), Some("v1:00"));
        }
    }

    #[test]
    fn an_account_without_the_least_of_its_kind_is_its_metadata() {
        let stored = read::<ScrapeAccount>(r#"{"metadata":{"name":"a","resourceVersion":"7"},"spec":{}}"#);
        assert_eq!((stored.name_any().as_str(), stored.resource_version().as_deref()), ("a", Some("7")));
        assert!(stored.usable().is_none() && stored.fault().contains("secretRef"), "{}", stored.fault());
        let odd_status =
            r#"{"metadata":{"name":"a"},"spec":{"secretRef":{"name":"s"}},"status":{"conditions":7}}"#;
        assert!(read::<ScrapeAccount>(odd_status).usable().is_some());
    }

    #[test]
    fn of_a_name_that_stands_twice_the_last_counts() {
        let text = with_payload("a", r#"{"a":1},"priority":4,"payload":{"a":2}"#);
        let job = read::<ScrapeJob>(&text).read.unwrap();
        assert_eq!(job.spec.priority, Some(3));
        assert_eq!(job.spec.payload.unwrap().text(), r#"{"a":2}"#);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}", cut in any::<proptest::sample::Index>(), depth in 0_usize..9_500) {
            let _ = serde_json::from_str::<StoredJob>(&text);
            let _ = read::<ScrapeJob>(&text);
            let whole = with_payload(&text.replace(['"', '\\'], "").replace(|c: char| c.is_control(), ""), &nested(depth));
            let mut at = cut.index(whole.len());
            while !whole.is_char_boundary(at) {
                at -= 1;
            }
            prop_assert!(serde_json::from_str::<StoredJob>(&whole[..at]).is_err());
            let _ = read::<ScrapeJob>(&whole[..at]);
        }

        #[test]
        fn no_member_of_any_kind_takes_the_job_id_along(odd in odd_values(), at in 0_usize..6) {
            let place = ["spec.priority", "spec.accountRef", "spec.poll", "status.remote", "status.history", "metadata.labels"][at];
            let (part, member) = place.split_once('.').unwrap();
            let mut object: Value = serde_json::from_str(&with_payload("a", "{}")).unwrap();
            object[part][member] = odd;
            let stored: Stored<ScrapeJob> = read(&object.to_string());
            let job = stored.read.unwrap();
            prop_assert!(job.status.unwrap().job_id.as_deref() == Some("job-1") && job.metadata.name.is_some());
        }
    }

    fn odd_values() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::{Just, Strategy, prop};
        let leaf = proptest::prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            proptest::prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("name|kind|state|runID|intervalSeconds|[a-z]{1,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
