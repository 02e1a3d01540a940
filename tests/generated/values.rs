//! The chart's page: what its values file says of each value, and whether the schema knows the same ones.

use std::fmt::Write as _;

use serde_json::Value;

/// A value that can be set.
struct Setting {
    path: String,
    default: String,
    says: String,
}

/// The settings of a values file, in its order: a key with a default, under the words that stand before it.
fn settings(text: &str) -> Vec<Setting> {
    let (mut found, mut path, mut says) = (Vec::new(), Vec::new(), Vec::<&str>::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let depth = (line.len() - line.trim_start().len()) / 2;
        if let Some(words) = line.trim_start().strip_prefix('#') {
            says.push(words.trim());
            continue;
        }
        let Some((name, default)) =
            line.trim_start().split_once(':').filter(|_| !line.trim().starts_with('-'))
        else {
            says.clear();
            continue;
        };
        path.truncate(depth);
        path.push(name);
        let deeper = |next: &&str| next.starts_with(&"  ".repeat(depth + 1)) && !next.trim().is_empty();
        let mut default = default.trim().to_owned();
        let words = says.join(" ");
        let describes = lines.peek().filter(|next| deeper(next)).map(|next| next.trim().to_owned());
        match describes {
            // A map whose keys are described one by one.
            Some(next) if next.starts_with('#') || words.is_empty() => {
                says.clear();
                continue;
            }
            Some(_) => {
                let mut block = String::new();
                while let Some(next) = lines.next_if(deeper) {
                    writeln!(block, "{}", next.get(2 * depth..).unwrap_or_default()).unwrap();
                }
                let value: Value = serde_saphyr::from_str(&block).unwrap();
                default = value.to_string();
            }
            None => {}
        }
        found.push(Setting { path: path.join("."), default, says: words });
        says.clear();
    }
    found
}

/// The page of the chart: its README, and one of the docs.
pub(super) fn page(values: &str) -> String {
    let mut page = "# Values of the chart\n\nMade by `make generate` from `values.yaml`.\n`docs/install.md` says how to install it, and how the most important of them are used.\nA value that the schema does not know, or that cannot be right, is refused before anything is installed.\n\n| Value | Default | What it is |\n|---|---|---|\n".to_owned();
    for Setting { path, default, says } in settings(values) {
        writeln!(page, "| `{path}` | `{default}` | {} |", says.replace('|', "\\|")).unwrap();
    }
    page
}

/// Keys that the schema knows and the values file has not, or the other way round.
pub(super) fn strays(values: &Value, schema: &Value) -> Vec<String> {
    let mut strays = Vec::new();
    compare(values, schema, "", &mut strays);
    strays
}

fn compare(values: &Value, schema: &Value, path: &str, strays: &mut Vec<String>) {
    let Some(known) = schema["properties"].as_object() else { return };
    let Some(values) = values.as_object() else {
        strays.push(format!("{path} is no map"));
        return;
    };
    for name in known.keys().filter(|name| !values.contains_key(*name)) {
        strays.push(format!("values.yaml has no {path}{name}"));
    }
    for (name, value) in values {
        match known.get(name) {
            None => strays.push(format!("the schema does not know {path}{name}")),
            // Of what Kubernetes itself defines the schema names more than the defaults have.
            Some(schema) if schema.get("properties").is_some() && !MORE.contains(&name.as_str()) => {
                compare(value, schema, &format!("{path}{name}."), strays);
            }
            Some(_) => {}
        }
    }
}

/// Maps whose keys are left to whoever sets them.
const MORE: [&str; 7] = [
    "livenessProbe",
    "podSecurityContext",
    "podSpec",
    "readinessProbe",
    "resources",
    "securityContext",
    "startupProbe",
];
