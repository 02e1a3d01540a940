//! `spiderSite` (contract section 6.1).

use serde_json::{Map, Value};

use super::schema::{Field, Kind, Preset, Problem, Shape, field, problem};
use Kind::{AnyObject, Flag, Number, Object, Text, Texts, Url, Whole, Word};
use Preset::{Absent, Filled, Required};

pub(super) static SHAPE: Shape = Shape { fields: FIELDS, strict: false };

const MODES: &[&str] = &["contacts", "compendium", "leads", "full", "research"];
const TARGETS: &[&str] = &["contact", "about", "team", "news", "blog"];

static FIELDS: &[Field] = &[
    field("url", Url, Required),
    field("mode", Word(MODES), Preset::Text("contacts")),
    field("overrides", AnyObject, Absent),
    field("max_pages", Whole(1, 50), Preset::Whole(10)),
    field("crawl_strategy", Word(&["bestfirst", "bfs", "dfs"]), Preset::Text("bestfirst")),
    field("target_pages", Texts(0, 100), Preset::Texts(TARGETS)),
    field("timeout", Whole(10, 120), Preset::Whole(30)),
    field("enable_spa", Flag, Preset::Flag(true)),
    field("spa_timeout", Whole(10, 120), Preset::Whole(30)),
    field("extract_team", Flag, Preset::Flag(false)),
    field("extract_company_info", Flag, Preset::Flag(false)),
    field("extract_pain_points", Flag, Preset::Flag(false)),
    field("product_description", Text(0, 1024), Absent),
    field("icp_description", Text(0, 1024), Absent),
    field("compendium", Object(&COMPENDIUM), Filled),
    field("custom_ai_prompt", Object(&PROMPT), Absent),
    field("extraction", AnyObject, Absent),
    field("analyze", AnyObject, Absent),
    field("persist", AnyObject, Absent),
    field("research", Object(&RESEARCH), Absent),
    field("fuzziq_enabled", Flag, Absent),
    field("fuzziq_unique_only", Flag, Absent),
    field("test", Flag, Preset::Flag(false)),
];

static COMPENDIUM: Shape = Shape {
    fields: &[
        field("enabled", Flag, Preset::Flag(true)),
        field("cleanup_level", Word(&["raw", "fit", "citations", "minimal"]), Preset::Text("fit")),
        field("max_chars", Whole(1_000, 1_000_000), Preset::Whole(100_000)),
        field("include_in_response", Flag, Preset::Flag(true)),
        field("remove_duplicates", Flag, Preset::Flag(true)),
        field("separator", Text(0, 1024), Absent),
        field("priority_sections", Texts(0, 100), Absent),
    ],
    strict: false,
};

static PROMPT: Shape = Shape {
    fields: &[
        field("enabled", Flag, Preset::Flag(false)),
        field("system_prompt", Text(0, 2000), Absent),
        field("user_prompt", Text(0, 4000), Absent),
        field("json_schema", AnyObject, Absent),
        field("output_field_name", Text(1, 128), Absent),
        field("model", Text(1, 128), Absent),
        field("temperature", Number(0.0, 2.0), Preset::Number(0.1)),
        field("max_tokens", Whole(100, 16_000), Preset::Whole(4_000)),
    ],
    strict: false,
};

static RESEARCH: Shape = Shape {
    fields: &[
        field("question", Text(3, 2000), Required),
        field("answer_schema", AnyObject, Absent),
        field("discover", Word(&["single", "seed", "adaptive"]), Preset::Text("single")),
        field("max_pages", Whole(1, 20), Preset::Whole(8)),
        field("include_pdfs", Flag, Preset::Flag(false)),
        field("model", Text(1, 128), Absent),
        field("respect_robots", Flag, Preset::Flag(true)),
    ],
    strict: true,
};

/// The rules between fields.
pub(super) fn between(payload: &mut Map<String, Value>) -> Vec<Problem> {
    let has = |name: &str| payload.contains_key(name);
    let text = |path: [&str; 2]| payload.get(path[0]).and_then(|v| v.get(path[1]));
    let mut problems = Vec::new();
    let mut rule = |broken: bool, place: &str, text: &str| {
        if broken {
            problems.push(problem(&format!("payload.{place}"), text));
        }
    };
    let research = payload.get("mode").and_then(Value::as_str) == Some("research");
    rule(research && !has("research"), "research", "Field required when mode is research");
    rule(!research && has("mode") && has("research"), "research", "Only allowed when mode is research");
    let both = "product_description and icp_description go together";
    rule(has("product_description") && !has("icp_description"), "icp_description", both);
    rule(has("icp_description") && !has("product_description"), "product_description", both);
    let on = |name: &str| text([name, "enabled"]).and_then(Value::as_bool) == Some(true);
    let prompt = text(["custom_ai_prompt", "system_prompt"]).or(text(["custom_ai_prompt", "user_prompt"]));
    rule(
        on("custom_ai_prompt") && (!on("compendium") || prompt.is_none()),
        "custom_ai_prompt",
        "Needs compendium.enabled and a system_prompt or user_prompt",
    );
    if let Some(schema) = text(["research", "answer_schema"]) {
        rule(schema.to_string().len() > 20_000, "research.answer_schema", "At most 20000 characters");
    }
    problems
}
