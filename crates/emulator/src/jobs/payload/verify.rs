//! `spiderVerify` (contract section 6.4).

use serde_json::{Map, Value};

use super::schema::{Kind, Preset, Problem, Shape, field, problem};
use Kind::{Flag, Text, Texts, Whole};
use Preset::Absent;

pub(super) static SHAPE: Shape = Shape {
    fields: &[
        field("email", Text(3, 320), Absent),
        field("emails", Texts(1, 100), Absent),
        field("check_gravatar", Flag, Preset::Flag(false)),
        field("check_dnsbl", Flag, Preset::Flag(false)),
        field("smtp_timeout_secs", Whole(10, 120), Preset::Whole(45)),
        field("from_email", Text(3, 320), Absent),
        field("hello_name", Text(1, 255), Absent),
        field("fuzziq_enabled", Flag, Absent),
        field("fuzziq_unique_only", Flag, Absent),
        field("test", Flag, Preset::Flag(false)),
    ],
    strict: false,
};

/// The rules between fields.
pub(super) fn between(payload: &mut Map<String, Value>) -> Vec<Problem> {
    if payload.contains_key("email") == payload.contains_key("emails") {
        return vec![problem("payload.email", "Exactly one of email and emails is required")];
    }
    Vec::new()
}
