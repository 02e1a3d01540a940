//! Payload schemas (contract section 6): checks a payload and fills its defaults.
//!
//! Tables say what the fields are; the few rules between fields are functions beside the tables.

mod maps;
mod schema;
mod site;
mod verify;

use serde_json::{Map, Value, json};

use crate::rules::UnknownKeys;
use schema::{Field, Kind, Preset, Shape};
pub(crate) use schema::{Problem, problem};

/// The rules between the fields of a type.
type Between = fn(&mut Map<String, Value>) -> Vec<Problem>;

/// Checks a payload against its type and fills the defaults. Types without a table here pass as they are.
pub(crate) fn validate(kind: &str, payload: &Value, unknown: UnknownKeys) -> Result<Value, Vec<Problem>> {
    let (shape, between): (&Shape, Between) = match kind {
        "spiderSite" => (&site::SHAPE, site::between),
        "spiderMaps" => (&maps::SHAPE, maps::between),
        "spiderVerify" => (&verify::SHAPE, verify::between),
        _ => return Ok(payload.clone()),
    };
    let mut check = Check { unknown, problems: Vec::new() };
    let mut filled = check.object("payload", shape, payload.as_object().unwrap_or(&Map::new()));
    check.problems.extend(between(&mut filled));
    if check.problems.is_empty() { Ok(Value::Object(filled)) } else { Err(check.problems) }
}

struct Check {
    unknown: UnknownKeys,
    problems: Vec<Problem>,
}

impl Check {
    fn object(&mut self, place: &str, shape: &Shape, given: &Map<String, Value>) -> Map<String, Value> {
        let mut filled = Map::new();
        for field in shape.fields {
            let place = format!("{place}.{}", field.name);
            let value = match given.get(field.name).filter(|v| !v.is_null()) {
                Some(value) => self.value(&place, field.kind, value),
                None => self.absent(&place, field),
            };
            if let Some(value) = value {
                filled.insert(field.name.to_owned(), value);
            }
        }
        for (key, value) in given {
            if shape.fields.iter().any(|field| field.name == key) {
                continue;
            }
            if shape.strict || self.unknown == UnknownKeys::Reject {
                self.problems.push(problem(&format!("{place}.{key}"), "Extra inputs are not permitted"));
            } else if self.unknown == UnknownKeys::Keep {
                filled.insert(key.clone(), value.clone());
            }
        }
        filled
    }

    fn absent(&mut self, place: &str, field: &Field) -> Option<Value> {
        match (field.preset, field.kind) {
            (Preset::Required, _) => {
                self.problems.push(problem(place, "Field required"));
                None
            }
            (Preset::Filled, Kind::Object(shape)) => {
                Some(Value::Object(self.object(place, shape, &Map::new())))
            }
            (Preset::Absent | Preset::Filled, _) => None,
            (Preset::Flag(value), _) => Some(json!(value)),
            (Preset::Whole(value), _) => Some(json!(value)),
            (Preset::Number(value), _) => Some(json!(value)),
            (Preset::Text(value), _) => Some(json!(value)),
            (Preset::Texts(value), _) => Some(json!(value)),
        }
    }

    fn value(&mut self, place: &str, kind: Kind, value: &Value) -> Option<Value> {
        if let (Kind::Object(shape), Some(given)) = (kind, value.as_object()) {
            return Some(Value::Object(self.object(place, shape, given)));
        }
        let complaint = kind.complaint(value);
        if let Some(text) = complaint {
            self.problems.push(problem(place, text));
            return None;
        }
        Some(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload's fate: `Ok`, or the places complained of.
    fn check(kind: &str, payload: &str, want: &str) {
        let payload: Value = serde_json::from_str(payload).unwrap();
        let got = match validate(kind, &payload, UnknownKeys::Drop) {
            Ok(_) => "ok".to_owned(),
            Err(problems) => {
                problems.iter().map(|p| p.place.trim_start_matches("payload.")).collect::<Vec<_>>().join(" ")
            }
        };
        assert_eq!(got, want, "{kind} {payload}");
    }

    #[test]
    fn payloads() {
        let site = |payload, want| check("spiderSite", payload, want);
        site(r#"{"url":"https://a.example"}"#, "ok");
        site(r#"{"url":"https://a.example","unknown":1}"#, "ok");
        site("{}", "url");
        site(r#"{"url":"a.example"}"#, "url");
        site(r#"{"url":"ftp://a.example"}"#, "url");
        site(r#"{"url":"https://a.example","max_pages":51,"timeout":9}"#, "max_pages timeout");
        site(r#"{"url":"https://a.example","mode":"deep"}"#, "mode");
        site(r#"{"url":"https://a.example","mode":"research"}"#, "research");
        site(r#"{"url":"https://a.example","research":{"question":"what?"}}"#, "research");
        site(r#"{"url":"https://a.example","mode":"research","research":{"question":"what?"}}"#, "ok");
        site(
            r#"{"url":"https://a.example","mode":"research","research":{"question":"what?","x":1}}"#,
            "research.x",
        );
        site(r#"{"url":"https://a.example","product_description":"p"}"#, "icp_description");
        site(r#"{"url":"https://a.example","product_description":"p","icp_description":"i"}"#, "ok");
        site(r#"{"url":"https://a.example","custom_ai_prompt":{"enabled":true}}"#, "custom_ai_prompt");
        let off = r#"{"url":"https://a.example","compendium":{"enabled":false},
            "custom_ai_prompt":{"enabled":true,"user_prompt":"p"}}"#;
        site(off, "custom_ai_prompt");
        let maps = |payload, want| check("spiderMaps", payload, want);
        maps(r#"{"search_query":"cafes"}"#, "ok");
        maps(r#"{"query":"cafes"}"#, "ok");
        maps(r#"{"url":"https://maps.example/x"}"#, "ok");
        maps("{}", "search_query");
        maps(r#"{"search_query":"cafes","url":"https://maps.example/x"}"#, "search_query");
        maps(r#"{"search_query":"cafes","max_results":0}"#, "max_results");
        let verify = |payload, want| check("spiderVerify", payload, want);
        verify(r#"{"email":"a@example.com"}"#, "ok");
        verify(r#"{"emails":["a@example.com"]}"#, "ok");
        verify(r#"{"emails":[]}"#, "emails email");
        verify(r#"{"email":"a@example.com","emails":["a@example.com"]}"#, "email");
        verify("{}", "email");
        check("spiderLanding", r#"{"anything":1}"#, "ok");
    }

    #[test]
    fn defaults_and_aliases_make_payloads_equal() {
        let fill = |kind, payload| validate(kind, &payload, UnknownKeys::Drop).unwrap();
        let short = fill("spiderSite", json!({"url": "https://a.example", "junk": 1}));
        let long = json!({"url": "https://a.example", "mode": "contacts", "max_pages": 10, "compendium": {"enabled": true}});
        assert_eq!(short, fill("spiderSite", long));
        assert_eq!(
            fill("spiderMaps", json!({"query": "cafes"})),
            fill("spiderMaps", json!({"search_query": "cafes"}))
        );
        let kept =
            |n| validate("spiderMaps", &json!({"query": "cafes", "junk": n}), UnknownKeys::Keep).unwrap();
        assert_ne!(kept(1), kept(2));
    }
}
