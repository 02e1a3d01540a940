//! Which fields of a status the schemas do not have that an API server publishes.

use serde_json::Value;

use super::full_status;
use crate::api::GROUP;

/// Where the API server publishes the schemas of the group, to everybody who may log in.
pub const PUBLISHED: &str = "/openapi/v3/apis/spideriq.ai/v1alpha1";

/// The paths of a full status that the schema of this kind does not have; nothing where the page has no such schema.
pub fn not_published(page: &Value, kind: &str) -> Option<Vec<String>> {
    let full = full_status(kind)?;
    let schemas = page.pointer("/components/schemas")?.as_object()?;
    let is = |name: &Value, field: &str, word: &str| name.get(field).and_then(Value::as_str) == Some(word);
    let ours = |schema: &&Value| {
        let named = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
        named.into_iter().flatten().any(|name| is(name, "kind", kind) && is(name, "group", GROUP))
    };
    let schema = schemas.values().find(ours)?;
    Some(absent_below(schema.pointer("/properties/status").unwrap_or(&Value::Null), full, "status"))
}

fn absent_below(schema: &Value, full: &Value, at: &str) -> Vec<String> {
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return Vec::new();
    }
    match full {
        Value::Object(fields) => {
            let known = schema.get("properties");
            let below = |(name, value): (&String, &Value)| {
                let path = format!("{at}.{name}");
                match known.and_then(|known| known.get(name)) {
                    Some(field) => absent_below(field, value, &path),
                    None => vec![path],
                }
            };
            fields.iter().flat_map(below).collect()
        }
        Value::Array(items) => {
            let schema = schema.get("items").unwrap_or(&Value::Null);
            let below = |(n, item): (usize, &Value)| absent_below(schema, item, &format!("{at}[{n}]"));
            items.iter().enumerate().flat_map(below).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::not_published;
    use crate::api::crds;

    #[test]
    fn the_published_schema_names_what_it_lacks() {
        let crd = serde_json::to_value(&crds().unwrap()[0]).unwrap();
        let mut schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        schema["x-kubernetes-group-version-kind"] = json!([{"group": "spideriq.ai", "kind": "ScrapeJob"}]);
        let page = |schema: &serde_json::Value| {
            let other = json!({"x-kubernetes-group-version-kind": [{"group": "", "kind": "ScrapeJob"}]});
            json!({"components": {"schemas": {"a": other, "b": schema}}})
        };
        assert_eq!(not_published(&page(&schema), "ScrapeJob"), Some(Vec::new()));
        for (pointer, path) in [
            ("/properties/status/properties/submission/properties/nonce", "status.submission.nonce"),
            ("/properties/status/properties/history/items/properties/runID", "status.history[0].runID"),
            ("/properties/status/properties/usedRunIDs", "status.usedRunIDs"),
        ] {
            let mut less = schema.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            less.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
            assert_eq!(not_published(&page(&less), "ScrapeJob"), Some(vec![path.to_owned()]));
        }
        assert_eq!(not_published(&page(&schema), "ScrapeAccount"), None);
    }
}
