//! The objects of the simulated API server: versions, generations, finalizers, the status beside the spec, and a log
//! of changes for watches. A test compares it with the real one.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A kind, a namespace and a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

/// One change, for watches.
#[derive(Clone, Debug)]
pub struct Change {
    pub version: u64,
    pub key: Key,
    /// ADDED, MODIFIED or DELETED.
    pub how: &'static str,
    pub object: Value,
}

/// Why a request was refused: the code, and words.
pub type Refusal = (u16, String);

/// All objects.
#[derive(Debug, Default)]
pub struct Store {
    objects: BTreeMap<Key, Value>,
    /// The newest version.
    pub version: u64,
    born: u64,
    /// Changes, oldest first.
    log: Vec<Change>,
    /// No watch can begin before this version any more.
    pub forgotten: u64,
    /// Writes that changed something, by whom and to what; and those that did not.
    pub writes: Vec<(String, Key)>,
    pub empty: Vec<(String, Key)>,
    /// Writes that found that the object had changed.
    pub conflicts: Vec<Key>,
    /// A namespace whose jobs cannot be listed for now, and the code that says so.
    pub unlisted: Option<(String, u16)>,
    /// Whether events are refused.
    pub no_events: bool,
    /// Whether claims on accounts are refused as if the API server had no room for them.
    pub no_claims: bool,
    /// Fields of a job's status that its CRD lacks (`submission/nonce`, `history/*/runID`): dropped wherever it is read,
    /// and for good with the next write.
    trimmed: Vec<&'static str>,
    /// What a policy refuses the operator: writes of jobs, and of their statuses.
    pub refused: (bool, bool),
    /// Lists of which not every page was read: their version, and what was there then.
    pub lists: BTreeMap<u64, (u64, Vec<Value>)>,
    begun: u64,
    /// How long each page of objects takes but the first of a list.
    pub slow_pages: Option<Duration>,
}

/// How many lists are kept of which not every page was read.
const LISTS: usize = 16;

/// How a patch is to be carried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Of the status, not of the rest.
    pub status: bool,
    /// Refused where a field would be dropped.
    pub strict: bool,
    /// Only tried.
    pub dry: bool,
}

impl Store {
    /// An object as it is read.
    pub fn get(&self, key: &Key) -> Option<Value> {
        self.objects.get(key).map(|object| self.read(key, object))
    }

    /// The objects of a kind, in one namespace or all.
    pub fn list(&self, kind: &str, namespace: Option<&str>) -> Vec<Value> {
        let of = |key: &Key| key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace);
        self.objects.iter().filter(|(key, _)| of(key)).map(|(key, object)| self.read(key, object)).collect()
    }

    /// Keeps what a list shows until its last page is read; says by which number.
    pub fn begin_list(&mut self, items: Vec<Value>) -> u64 {
        self.begun += 1;
        self.lists.insert(self.begun, (self.version, items));
        while self.lists.len() > LISTS {
            self.lists.pop_first();
        }
        self.begun
    }

    /// Replaces the CRD by one that lacks these fields: every watch ends, and what is stored stays as it is.
    pub fn trim(&mut self, fields: &[&'static str]) {
        self.trimmed = fields.to_vec();
        self.version += 1;
        self.forget();
    }

    /// The changes after a version, oldest first.
    pub fn since(&self, version: u64) -> &[Change] {
        &self.log[self.log.partition_point(|change| change.version <= version)..]
    }

    /// Forgets what has happened, as a compaction does.
    pub fn forget(&mut self) {
        self.forgotten = self.version;
    }

    /// Creates an object.
    pub fn create(&mut self, key: &Key, mut object: Value, now: Timestamp) -> Result<Value, Refusal> {
        if self.objects.contains_key(key) {
            return Err((409, format!("{} already exists", key.name)));
        }
        self.born += 1;
        let metadata = member(&mut object, "metadata");
        metadata.insert("name".to_owned(), key.name.clone().into());
        if !key.namespace.is_empty() {
            metadata.insert("namespace".to_owned(), key.namespace.clone().into());
        }
        metadata.insert("uid".to_owned(), format!("uid-{}", self.born).into());
        metadata.insert("generation".to_owned(), 1.into());
        metadata.insert("creationTimestamp".to_owned(), now.to_string().into());
        if let Some(object) = object.as_object_mut() {
            object.remove("status");
        }
        Ok(self.put(key, object, "ADDED"))
    }

    /// A merge patch of an object or of its status.
    pub fn patch(&mut self, key: &Key, how: How, patch: &Value, by: &str) -> Result<Value, Refusal> {
        let How { status, strict, dry } = how;
        let Some(mut before) = self.objects.get(key).cloned() else {
            return Err((404, format!("{} not found", key.name)));
        };
        if by != "user" && key.kind == "ScrapeJob" && (if status { self.refused.1 } else { self.refused.0 }) {
            return Err((
                422,
                format!("{} is forbidden: a policy denied the request: not on Fridays", key.name),
            ));
        }
        if by != "user" && self.no_claims && !dry && patch["status"]["operator"].is_object() {
            return Err((500, "etcdserver: no space".to_owned()));
        }
        self.prune(key, &mut before);
        let unknown = self.unknown(key, patch);
        if strict && !unknown.is_empty() {
            let named: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
            let quoted = before.to_string();
            let why =
                format!("patch: Invalid value: {quoted:?}: strict decoding error: {}", named.join(", "));
            return Err((422, why));
        }
        let asked = |field: &str| patch.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        let has = |field: &str| before.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        if !status && asked("uid").is_some_and(|uid| Some(uid) != has("uid")) {
            return Err((422, "metadata.uid: field is immutable".to_owned()));
        }
        if asked("resourceVersion").is_some_and(|version| Some(version) != has("resourceVersion")) {
            self.conflicts.push(key.clone());
            return Err((409, "the object has been modified".to_owned()));
        }
        let mut after = before.clone();
        let object = after.as_object_mut().unwrap();
        if status {
            let mut part = object.remove("status").unwrap_or_else(|| json!({}));
            merge(&mut part, patch.get("status").unwrap_or(&Value::Null));
            object.insert("status".to_owned(), part);
        } else {
            let mut patch = patch.clone();
            patch.as_object_mut().unwrap().remove("status");
            merge(&mut after, &patch);
            let fresh: Vec<&Value> = list(&after, "finalizers")
                .filter(|f| !list(&before, "finalizers").any(|old| old == *f))
                .collect();
            if has("deletionTimestamp").is_some() && !fresh.is_empty() {
                return Err((
                    422,
                    "metadata.finalizers: no new finalizers can be added if the object is being deleted"
                        .to_owned(),
                ));
            }
            if after.get("spec") != before.get("spec") {
                let generation = before.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
                after["metadata"]["generation"] = (generation + 1).into();
            }
        }
        after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        self.prune(key, &mut after);
        if dry {
            return Ok(self.read(key, &after));
        }
        if after == before {
            self.empty.push((by.to_owned(), key.clone()));
            return Ok(self.read(key, &before));
        }
        self.writes.push((by.to_owned(), key.clone()));
        if list(&after, "finalizers").next().is_none() {
            member(&mut after, "metadata").remove("finalizers");
        }
        if after.pointer("/metadata/deletionTimestamp").is_some()
            && after["metadata"].get("finalizers").is_none()
        {
            // What is answered still has the version before, and what a watch tells still has the finalizer.
            self.put(key, before, "DELETED");
            return Ok(self.read(key, &after));
        }
        Ok(self.put(key, after, "MODIFIED"))
    }

    /// Puts an object in its own place without annotations and finalizers, as `kubectl replace` does.
    pub fn replace(&mut self, key: &Key) -> Result<Value, Refusal> {
        let patch = json!({"metadata": {"annotations": null, "finalizers": null}});
        self.patch(key, How::default(), &patch, "user")
    }

    /// Deletes an object, or marks it while finalizers hold it.
    pub fn delete(&mut self, key: &Key, options: &Value, now: Timestamp) -> Result<Value, Refusal> {
        let Some(mut object) = self.objects.get(key).cloned() else {
            return Err((404, format!("{} not found", key.name)));
        };
        for field in ["uid", "resourceVersion"] {
            let asked = &options["preconditions"][field];
            if !asked.is_null() && *asked != object["metadata"][field] {
                return Err((409, format!("precondition failed: {field}")));
            }
        }
        if list(&object, "finalizers").next().is_none() {
            self.put(key, object, "DELETED");
            return Ok(json!({"apiVersion": "v1", "kind": "Status", "status": "Success"}));
        }
        if object.pointer("/metadata/deletionTimestamp").is_none() {
            let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
            let metadata = member(&mut object, "metadata");
            metadata.insert(
                "deletionTimestamp".to_owned(),
                now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
            );
            metadata.insert("generation".to_owned(), (generation + 1).into());
            return Ok(self.put(key, object, "MODIFIED"));
        }
        Ok(self.read(key, &object))
    }

    fn put(&mut self, key: &Key, mut object: Value, how: &'static str) -> Value {
        self.version += 1;
        member(&mut object, "metadata").insert("resourceVersion".to_owned(), self.version.to_string().into());
        if how == "DELETED" {
            self.objects.remove(key);
        } else {
            self.objects.insert(key.clone(), object.clone());
        }
        let object = self.read(key, &object);
        self.log.push(Change { version: self.version, key: key.clone(), how, object: object.clone() });
        object
    }

    /// An object as it is read.
    fn read(&self, key: &Key, object: &Value) -> Value {
        let mut object = read(key, object);
        self.prune(key, &mut object);
        object
    }

    /// Drops what the CRD lacks.
    fn prune(&self, key: &Key, object: &mut Value) {
        if key.kind != "ScrapeJob" {
            return;
        }
        for path in &self.trimmed {
            if let Some(status) = object.get_mut("status") {
                prune(status, &path.split('/').collect::<Vec<_>>());
            }
        }
    }

    /// The paths of a patch that the CRD lacks; null for one of them is nothing to be dropped.
    fn unknown(&self, key: &Key, patch: &Value) -> Vec<String> {
        if key.kind != "ScrapeJob" {
            return Vec::new();
        }
        let status = &patch["status"];
        self.trimmed
            .iter()
            .flat_map(|path| unknown(status, "status", &path.split('/').collect::<Vec<_>>()))
            .collect()
    }
}

fn prune(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Object(fields), [last]) => drop(fields.remove(*last)),
        (Value::Array(items), ["*", rest @ ..]) => items.iter_mut().for_each(|item| prune(item, rest)),
        (Value::Object(fields), [first, rest @ ..]) => {
            if let Some(value) = fields.get_mut(*first) {
                prune(value, rest);
            }
        }
        _ => {}
    }
}

fn unknown(value: &Value, at: &str, path: &[&str]) -> Vec<String> {
    match (value, path) {
        (Value::Null, _) => Vec::new(),
        (_, []) => vec![at.to_owned()],
        (Value::Array(items), ["*", rest @ ..]) => items
            .iter()
            .enumerate()
            .flat_map(|(n, item)| unknown(item, &format!("{at}[{n}]"), rest))
            .collect(),
        (value, [first, rest @ ..]) => unknown(&value[*first], &format!("{at}.{first}"), rest),
    }
}

/// An object as it is read: with the default status that the CRD computes.
fn read(key: &Key, object: &Value) -> Value {
    let mut object = object.clone();
    let fields = object.as_object_mut().unwrap();
    let status = match key.kind.as_str() {
        "ScrapeJob" => {
            json!({"observedGeneration": -1, "state": "Pending", "reason": "WaitingForController", "finished": false, "conditions": []})
        }
        "ScrapeAccount" | "ClusterScrapeAccount" => json!({"observedGeneration": -1, "conditions": []}),
        _ => return object,
    };
    fields.entry("status").or_insert(status);
    object
}

fn list<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.pointer(&format!("/metadata/{field}")).and_then(Value::as_array).into_iter().flatten()
}

fn member<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    let fields = object.as_object_mut().unwrap();
    fields.entry(field).or_insert_with(|| json!({})).as_object_mut().unwrap()
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        if !patch.is_null() {
            *target = patch.clone();
        }
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().unwrap();
    for (name, value) in patch {
        match value {
            Value::Null => {
                fields.remove(name);
            }
            Value::Object(_) => merge(fields.entry(name).or_insert_with(|| json!({})), value),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}
