//! Assembles the CRDs: what kube derives from the types, plus rules across fields and the default status.
//!
//! Everything is checked by the API server itself: there is no admission webhook.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

mod published;
mod sample;

pub use published::{PUBLISHED, not_published};
pub use sample::{INSTALL_CRDS, full_status, is_status_field};

use super::{ClusterScrapeAccount, ScrapeAccount, ScrapeJob};

/// The CRDs of this release, in the order in which they are installed.
///
/// # Errors
/// If a derived CRD does not have the shape that Kubernetes prescribes, which a test rules out.
pub fn crds() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    let account = ScrapeAccount::crd();
    let mut cluster_account = ClusterScrapeAccount::crd();
    columns(&account, &mut cluster_account);
    [
        assemble(&ScrapeJob::crd(), [job_rules(), job_changes()].concat().into(), job_default()),
        assemble(&account, Value::Null, account_default()),
        assemble(&cluster_account, Value::Null, account_default()),
    ]
    .into_iter()
    .collect()
}

/// Shows one kind with the columns of another.
fn columns(from: &CustomResourceDefinition, to: &mut CustomResourceDefinition) {
    for (from, to) in from.spec.versions.iter().zip(&mut to.spec.versions) {
        to.additional_printer_columns.clone_from(&from.additional_printer_columns);
    }
}

/// One CRD as YAML, as it stands in `crds/` and in the chart.
///
/// # Errors
/// If it cannot be written as YAML, which a test rules out.
pub fn to_yaml(crd: &CustomResourceDefinition) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(crd)?;
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    whole(&mut value);
    Ok(serde_saphyr::to_string(&value)?)
}

/// Writes bounds as whole numbers, which they are: the types of Kubernetes hold them as floats.
fn whole(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(whole),
        Value::Array(items) => items.iter_mut().for_each(whole),
        Value::Number(number) => {
            #[expect(clippy::cast_possible_truncation, reason = "it is checked that nothing is lost")]
            let exact = number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && float.abs() < 1e15)
                .map(|float| float as i64);
            if let Some(exact) = exact {
                *number = exact.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn assemble(
    derived: &CustomResourceDefinition,
    rules: Value,
    default_status: Value,
) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut crd = serde_json::to_value(derived)?;
    strict(&mut crd);
    if let Some(spec) =
        crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations")
    {
        *spec = rules;
    } else if let Some(Value::Object(spec)) =
        crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        && !rules.is_null()
    {
        spec.insert("x-kubernetes-validations".to_owned(), rules);
    }
    if let Some(Value::Object(status)) =
        crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status")
    {
        status.insert("default".to_owned(), default_status);
    }
    serde_json::from_value(crd)
}

/// Removes what derivation adds and we do not mean: `nullable` (an explicit null would be stored, and count as
/// present in a rule) and `default` values of structs (what is in Git must equal what is in the cluster).
fn strict(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let is_schema =
                map.contains_key("type") || map.contains_key("properties") || map.contains_key("enum");
            if is_schema {
                map.remove("nullable");
                map.remove("default");
            }
            map.values_mut().for_each(strict);
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Rules across the fields of a job. Optional comparisons are written with `has(a) == has(b)`:
/// the `?.` form of the same rule costs 100 times the API server's budget and is refused.
fn job_rules() -> Vec<Value> {
    let of_type = |kind: &str, then: &str| {
        format!("!has(self.type) || self.type != '{kind}' || !has(self.payload) || {then}")
    };
    let within = |field: &str, low: u32, high: u32| {
        format!(
            "!has(self.payload.{field}) || (self.payload.{field} >= {low} && self.payload.{field} <= {high})"
        )
    };
    vec![
        rule(
            "has(self.jobID) != has(self.type)",
            "",
            "",
            "set exactly one of spec.type (submit a job, together with spec.payload) or spec.jobID (follow an existing job)",
        ),
        rule(
            "!has(self.type) || has(self.payload)",
            ".payload",
            "FieldValueRequired",
            "payload is required with type, for example payload: {url: \"https://example.com\"}",
        ),
        rule(
            "!has(self.jobID) || !(has(self.payload) || has(self.priority) || has(self.runID) || has(self.submission))",
            "",
            "",
            "payload, priority, runID and submission describe a submit; remove them, or remove jobID",
        ),
        rule(
            &of_type("spiderSite", "has(self.payload.url)"),
            ".payload.url",
            "FieldValueRequired",
            "type spiderSite needs payload.url",
        ),
        rule(
            &of_type(
                "spiderMaps",
                "[has(self.payload.search_query), has(self.payload.query), has(self.payload.url)].filter(x, x).size() == 1",
            ),
            ".payload",
            "",
            "type spiderMaps needs exactly one of payload.search_query (or its alias query) or payload.url",
        ),
        rule(
            &of_type("spiderSite", &within("max_pages", 1, 50)),
            ".payload.max_pages",
            "",
            "max_pages of a spiderSite job is 1 to 50",
        ),
        rule(
            &of_type("spiderMaps", &within("max_results", 1, 100)),
            ".payload.max_results",
            "",
            "max_results of a spiderMaps job is 1 to 100",
        ),
    ]
}

/// One rule; without a path it is about the spec, without a reason about its value.
fn rule(rule: &str, path: &str, reason: &str, message: &str) -> Value {
    let mut entry = json!({"rule": rule, "message": message});
    if let Some(entry) = entry.as_object_mut() {
        if !path.is_empty() {
            entry.insert("fieldPath".to_owned(), json!(path));
        }
        if !reason.is_empty() {
            entry.insert("reason".to_owned(), json!(reason));
        }
    }
    entry
}

/// Rules about what may change. Payload and priority belong to a run, and change only with it.
fn job_changes() -> Vec<Value> {
    let unchanged = |field: &str| {
        format!(
            "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
        )
    };
    let of_a_run = |unchanged: &str| {
        format!(
            "(has(self.runID) != has(oldSelf.runID) || (has(self.runID) && self.runID != oldSelf.runID)) || ({unchanged})"
        )
    };
    vec![
        rule(
            &unchanged("jobID"),
            ".jobID",
            "",
            "jobID cannot be changed, added or removed; create another ScrapeJob",
        ),
        rule(&unchanged("type"), ".type", "", "type cannot be changed; create another ScrapeJob"),
        rule(
            "has(self.accountRef) == has(oldSelf.accountRef) && (!has(self.accountRef) || (self.accountRef.name == oldSelf.accountRef.name && (has(self.accountRef.kind) ? self.accountRef.kind : 'ScrapeAccount') == (has(oldSelf.accountRef.kind) ? oldSelf.accountRef.kind : 'ScrapeAccount')))",
            ".accountRef",
            "",
            "accountRef cannot be changed, added or removed; create another ScrapeJob",
        ),
        rule(
            &of_a_run(
                "has(self.payload) == has(oldSelf.payload) && (!has(self.payload) || (self.payload == oldSelf.payload && oldSelf.payload == self.payload))",
            ),
            ".payload",
            "",
            "payload may change only together with runID; set a new runID to start (and be charged for) a new run",
        ),
        rule(
            &of_a_run(&unchanged("priority")),
            ".priority",
            "",
            "priority may change only together with runID; set a new runID to start (and be charged for) a new run",
        ),
    ]
}

/// Without a default status Helm 4 and Flux call a brand-new object finished.
/// It is computed when the object is read and never stored; 1970 is what the schema's required time costs.
fn job_default() -> Value {
    json!({
        "observedGeneration": -1,
        "state": "Pending",
        "reason": "WaitingForController",
        "finished": false,
        "conditions": [ready_unknown()],
    })
}

fn account_default() -> Value {
    json!({"observedGeneration": -1, "conditions": [ready_unknown()]})
}

fn ready_unknown() -> Value {
    json!({
        "type": "Ready",
        "status": "Unknown",
        "reason": "WaitingForController",
        "message": "Waiting for the controller",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    })
}
