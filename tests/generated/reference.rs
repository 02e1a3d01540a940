//! The pages of the reference: every field of a kind, from the schema that its CRD is made of, with examples from
//! `examples/every-field`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// A page, and what is missing for it to be whole.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) faults: Vec<String>,
}

/// The page of a kind. Each field shows the first of the examples that has it.
pub(super) fn page(crd: &Value, examples: &[Value]) -> Page {
    let kind = word(&crd["spec"]["names"]["kind"]);
    let version = &crd["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut page = Page { text: String::new(), faults: Vec::new() };
    page.say(&format!("# {kind}\n"));
    page.say("Made by `make generate` from the types that the CRD is made of.\n");
    page.say(&lines(word(&schema["description"])));
    let short = word(&crd["spec"]["names"]["shortNames"][0]);
    page.say(&format!(
        "\nIts `apiVersion` is `{}/{}`, its short name `{short}`, and it belongs to {}.\n`kubectl explain {short}.spec` shows the same in a terminal.",
        word(&crd["spec"]["group"]),
        word(&version["name"]),
        if crd["spec"]["scope"] == "Namespaced" { "a namespace" } else { "the cluster" },
    ));
    page.index(schema);
    for (part, title) in [("spec", "Spec"), ("status", "Status")] {
        page.say(&format!("\n## {title}\n"));
        let node = &schema["properties"][part];
        page.say(&lines(word(&node["description"])));
        page.rules(&rules(node, ""));
        let at = Place { path: vec![part.to_owned()], inherited: ruled(node) };
        page.fields(node, &at, examples);
    }
    page
}

/// Where a field stands, and the rules that fields above it have about it: the place that each names, and its words.
struct Place {
    path: Vec<String>,
    inherited: Vec<(String, String)>,
}

impl Place {
    fn child(&self, name: &str, node: &Value) -> Self {
        let inherited = self.inherited.iter().filter_map(|(place, words)| {
            let rest = place.strip_prefix('.')?.strip_prefix(name)?;
            (rest.is_empty() || rest.starts_with('.')).then(|| (rest.to_owned(), words.clone()))
        });
        let path = self.path.iter().cloned().chain([name.to_owned()]).collect();
        Self { path, inherited: inherited.chain(ruled(node)).collect() }
    }

    fn name(&self) -> String {
        self.path.join(".").replace(".[]", "[]")
    }
}

impl Page {
    fn say(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// The fields of the spec, each with its way to it.
    fn index(&mut self, schema: &Value) {
        let mut names = Vec::new();
        all(&schema["properties"]["spec"], "spec", &mut names);
        let short = |name: &str| name.trim_start_matches("spec.").to_owned();
        let links = names.iter().map(|name| format!("[{}](#{})", short(name), anchor(name)));
        self.say(&format!("\nFields of the spec: {}.", links.collect::<Vec<_>>().join(", ")));
    }

    fn fields(&mut self, node: &Value, at: &Place, examples: &[Value]) {
        let required: Vec<&str> = node["required"].as_array().into_iter().flatten().map(word).collect();
        for (name, field) in node["properties"].as_object().into_iter().flatten() {
            let place = at.child(name, field);
            self.field(field, &place, required.contains(&name.as_str()), examples);
        }
    }

    fn field(&mut self, field: &Value, at: &Place, required: bool, examples: &[Value]) {
        let name = at.name();
        let description = word(&field["description"]);
        if description.is_empty() {
            self.faults.push(format!("{name} has no description"));
        }
        self.say(&format!("\n### {name}\n"));
        self.say(&lines(description));
        let spec = name.starts_with("spec.");
        let mut facts = vec![format!("Type: {}", type_of(field))];
        if spec {
            facts.push(match (required, default(description)) {
                (true, _) => "Required".to_owned(),
                (false, Some(default)) => format!("Default: {default}"),
                (false, None) => {
                    if !description.contains("Left out") {
                        self.faults.push(format!("{name} does not say what holds where it is left out"));
                    }
                    "Optional".to_owned()
                }
            });
        }
        facts.extend(bounds(field).map(|bounds| format!("Bounds: {bounds}")));
        self.say("");
        for fact in facts {
            self.say(&format!("* {fact}"));
        }
        let here = at.inherited.iter().filter(|(place, _)| place.is_empty());
        self.rules(&here.map(|(_, words)| words.clone()).collect::<Vec<_>>());
        match examples.iter().find_map(|example| excerpt(example, &at.path)) {
            Some(example) => {
                let yaml = serde_saphyr::to_string(&example).unwrap();
                self.say(&format!("\n```yaml\n{}\n```", yaml.trim_end()));
            }
            None if spec => self.faults.push(format!("{name} is in no file of examples/every-field")),
            None => {}
        }
        self.fields(field, at, examples);
        if field["items"]["properties"].is_object() {
            let items = at.child("[]", &field["items"]);
            self.fields(&field["items"], &items, examples);
        }
    }

    fn rules(&mut self, rules: &[String]) {
        if rules.is_empty() {
            return;
        }
        self.say("\nThe API server refuses what breaks these rules, in these words:\n");
        for rule in rules {
            self.say(&format!("* {rule}"));
        }
    }
}

/// The names of all fields below a node.
fn all(node: &Value, at: &str, names: &mut Vec<String>) {
    for (name, field) in node["properties"].as_object().into_iter().flatten() {
        let name = format!("{at}.{name}");
        names.push(name.clone());
        all(field, &name, names);
        all(&field["items"], &format!("{name}[]"), names);
    }
}

/// What a heading of this name is linked by.
fn anchor(name: &str) -> String {
    let kept = name.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c));
    kept.collect::<String>().to_lowercase()
}

/// The rules of a node: the place that each is about, below the node, and its words.
fn ruled(node: &Value) -> Vec<(String, String)> {
    let all = node["x-kubernetes-validations"].as_array().into_iter().flatten();
    let ruled = all.map(|rule| {
        let when = if word(&rule["rule"]).contains("oldSelf") { "On a change: " } else { "" };
        (word(&rule["fieldPath"]).to_owned(), format!("{when}\"{}\"", word(&rule["message"])))
    });
    ruled.collect()
}

/// The words of the rules of a node about that place.
fn rules(node: &Value, place: &str) -> Vec<String> {
    ruled(node).into_iter().filter(|(at, _)| at == place).map(|(_, words)| words).collect()
}

/// What a value of the type looks like.
fn type_of(field: &Value) -> String {
    match word(&field["type"]) {
        "array" => format!("list of {}", type_of(&field["items"])),
        "object" if field["additionalProperties"].is_object() => {
            format!("map of {}", type_of(&field["additionalProperties"]))
        }
        "string" if field["format"] == "date-time" => "time, as RFC 3339".to_owned(),
        "integer" => "whole number".to_owned(),
        other => other.to_owned(),
    }
}

/// What a description says of the value that holds where the field is left out.
fn default(description: &str) -> Option<String> {
    if let Some((before, _)) = description.split_once(" (default)") {
        return before.rsplit(' ').next().map(|word| format!("`{word}`"));
    }
    let (_, after) = description.split_once("Default ")?;
    let value = after.split(". ").next()?.trim_end_matches('.').split(';').next()?.trim_matches('`');
    let plain = !value.contains(' ');
    Some(if plain { format!("`{value}`") } else { value.to_owned() })
}

/// What the schema bounds.
fn bounds(field: &Value) -> Option<String> {
    let mut all = Vec::new();
    let number = |name: &str| field[name].as_f64().map(|number| format!("{number}"));
    match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => all.push(format!("{least} to {most}")),
        (Some(least), None) => all.push(format!("at least {least}")),
        (None, Some(most)) => all.push(format!("at most {most}")),
        (None, None) => {}
    }
    let of = [
        ("minLength", "at least", "characters"),
        ("maxLength", "at most", "characters"),
        ("maxItems", "at most", "items"),
        ("maxProperties", "at most", "keys"),
    ];
    all.extend(of.iter().filter_map(|(name, how, what)| {
        number(name).filter(|count| !(*name == "minLength" && count == "0")).map(|count| {
            let what = if count == "1" { what.trim_end_matches('s') } else { what };
            format!("{how} {count} {what}")
        })
    }));
    if let Some(words) = field["enum"].as_array() {
        let words: Vec<String> = words.iter().map(|word| format!("`{}`", self::word(word))).collect();
        all.push(format!("one of {}", words.join(", ")));
    }
    if let Some(pattern) = field["pattern"].as_str() {
        all.push(format!("matches `{pattern}`"));
    }
    (!all.is_empty()).then(|| all.join("; "))
}

/// The part of an object that leads to this field, and the field.
fn excerpt(object: &Value, path: &[String]) -> Option<Value> {
    let Some((name, rest)) = path.split_first() else { return Some(object.clone()) };
    if name == "[]" {
        return excerpt(object.get(0)?, rest).map(|item| json!([item]));
    }
    let value = excerpt(object.get(name)?, rest)?;
    Some(Value::Object(Map::from_iter([(name.clone(), value)])))
}

/// One sentence a line.
fn lines(text: &str) -> String {
    let mut said = String::new();
    write!(said, "{}", text.replace(". ", ".\n")).unwrap();
    said
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
