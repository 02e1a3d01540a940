//! `spiderMaps` (contract section 6.2).

use serde_json::{Map, Value};

use super::schema::{Kind, Preset, Problem, Shape, field, problem};
use Kind::{AnyObject, Flag, Text, Url, Whole};
use Preset::Absent;

pub(super) static SHAPE: Shape = Shape {
    fields: &[
        field("search_query", Text(1, 255), Absent),
        field("query", Text(1, 255), Absent),
        field("url", Url, Absent),
        field("max_results", Whole(1, 100), Preset::Whole(20)),
        field("extract_reviews", Flag, Preset::Flag(false)),
        field("extract_photos", Flag, Preset::Flag(false)),
        field("lang", Text(2, 16), Preset::Text("en")),
        field("validate_phones", Flag, Preset::Flag(true)),
        field("store_images", Flag, Preset::Flag(true)),
        field("headless", Flag, Preset::Flag(true)),
        field("skip_proxy", Flag, Preset::Flag(false)),
        field("workflow", AnyObject, Absent),
        field("test", Flag, Preset::Flag(false)),
    ],
    strict: false,
};

/// The rules between fields; `query` becomes `search_query`.
pub(super) fn between(payload: &mut Map<String, Value>) -> Vec<Problem> {
    if let Some(query) = payload.remove("query") {
        payload.entry("search_query").or_insert(query);
    }
    if payload.contains_key("search_query") == payload.contains_key("url") {
        return vec![problem("payload.search_query", "Exactly one of search_query and url is required")];
    }
    Vec::new()
}
