//! The objects of the simulated API server: versions, generations, finalizers, the status beside the spec, and a log
//! of changes for watches. A test compares it with the real one.

use std::collections::BTreeMap;

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
    /// Whether events are refused.
    pub no_events: bool,
}

impl Store {
    /// An object as it is read.
    pub fn get(&self, key: &Key) -> Option<Value> {
        self.objects.get(key).map(|object| read(key, object))
    }

    /// The objects of a kind, in one namespace or all.
    pub fn list(&self, kind: &str, namespace: Option<&str>) -> Vec<Value> {
        let of = |key: &Key| key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace);
        self.objects.iter().filter(|(key, _)| of(key)).map(|(key, object)| read(key, object)).collect()
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
    pub fn patch(&mut self, key: &Key, status: bool, patch: &Value, by: &str) -> Result<Value, Refusal> {
        let Some(before) = self.objects.get(key).cloned() else {
            return Err((404, format!("{} not found", key.name)));
        };
        let asked = |field: &str| patch.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        let has = |field: &str| before.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        if !status && asked("uid").is_some_and(|uid| Some(uid) != has("uid")) {
            return Err((422, "the uid is another one".to_owned()));
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
                    "no new finalizers can be added if the object is being deleted".to_owned(),
                ));
            }
            if after.get("spec") != before.get("spec") {
                let generation = before.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
                after["metadata"]["generation"] = (generation + 1).into();
            }
        }
        after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        if after == before {
            self.empty.push((by.to_owned(), key.clone()));
            return Ok(read(key, &before));
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
            return Ok(read(key, &after));
        }
        Ok(self.put(key, after, "MODIFIED"))
    }

    /// Puts an object in its own place without annotations and finalizers, as `kubectl replace` does.
    pub fn replace(&mut self, key: &Key) -> Result<Value, Refusal> {
        self.patch(key, false, &json!({"metadata": {"annotations": null, "finalizers": null}}), "user")
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
        Ok(read(key, &object))
    }

    fn put(&mut self, key: &Key, mut object: Value, how: &'static str) -> Value {
        self.version += 1;
        member(&mut object, "metadata").insert("resourceVersion".to_owned(), self.version.to_string().into());
        if how == "DELETED" {
            self.objects.remove(key);
        } else {
            self.objects.insert(key.clone(), object.clone());
        }
        let object = read(key, &object);
        self.log.push(Change { version: self.version, key: key.clone(), how, object: object.clone() });
        object
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
