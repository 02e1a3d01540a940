//! A manifest in YAML or JSON, as the API server would have it: `kubectl` reads YAML in the older way, and the API server
//! keeps a number as an integer of 64 bits or as a double.

use serde_json::{Number, Value};

use crate::decide::as_stored;

/// The one object of a file. Documents without content, such as the one after a trailing `---`, are none.
///
/// # Errors
/// What is wrong with it, in words.
pub fn manifest(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| error.to_string())?;
    let mut objects = documents.into_iter().filter(|document| !document.is_null());
    match (objects.next(), objects.next()) {
        (Some(one), None) => Ok(stored(one)),
        (None, _) => Err("it is empty".to_owned()),
        (Some(_), Some(_)) => Err("it holds several objects; leave one".to_owned()),
    }
}

/// What the API server makes of a value: `1.0` and `1e3` are the integers that they mean, and what no integer of 64 bits
/// holds is a double.
fn stored(value: Value) -> Value {
    match value {
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, stored(value))).collect(),
        Value::Array(items) => items.into_iter().map(stored).collect(),
        Value::Number(number) => stored_number(&number),
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

fn stored_number(number: &Number) -> Value {
    if number.is_i64() {
        return Value::Number(number.clone());
    }
    let double = number.as_f64().unwrap_or_default();
    // It has no negative zero among its integers.
    let text = if double == 0.0 { "0".to_owned() } else { as_stored(double) };
    serde_json::from_str(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::manifest;

    /// What `kubectl create` and `kubectl get --output json` make of each.
    const KEPT: [(&str, &str); 35] = [
        ("1.0", "1"),
        ("-1.0", "-1"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1.5e3", "1500"),
        ("1e-3", "0.001"),
        (".5", "0.5"),
        ("1.", "1"),
        ("+1", "1"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0777", "511"),
        ("-0777", "-511"),
        ("0o777", "511"),
        ("0x1F", "31"),
        ("0b101", "5"),
        ("1_000", "1000"),
        ("08", "8"),
        ("0123.5", "123.5"),
        ("9007199254740993", "9007199254740993"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854776000"),
        ("18446744073709551616", "18446744073709552000"),
        ("1e21", "1e+21"),
        ("117.63331139400017", "117.63331139400017"),
        ("true", "true"),
        ("yes", "true"),
        ("off", "false"),
        ("~", "null"),
        ("", "null"),
        ("'0777'", "\"0777\""),
        ("12:30", "\"12:30\""),
        ("2026-01-01", "\"2026-01-01\""),
        ("1.2.3", "\"1.2.3\""),
        ("[1.0, {b: 0777}]", "[1,{\"b\":511}]"),
    ];

    #[test]
    fn a_value_means_here_what_it_means_to_the_api_server() {
        let mut faults = Vec::new();
        for (written, kept) in KEPT {
            let read = manifest(&format!("a: {written}\n"));
            let expected: Value = serde_json::from_str(kept).unwrap();
            if read != Ok(json!({ "a": expected })) {
                faults.push(format!("{written}: {read:?} and not {kept}"));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn a_file_holds_one_object_between_any_separators() {
        for text in [
            "a: 1",
            "---\na: 1\n---\n",
            "---\n# nothing\n---\na: 1\n",
            "a: 1\n---\n---\n",
            "a: 1\n...\n",
            "{\"a\": 1}",
        ] {
            assert_eq!(manifest(text), Ok(json!({"a": 1})), "{text}");
        }
        for (text, words) in [
            ("", "empty"),
            ("---\n", "empty"),
            ("a: 1\n---\nb: 1\n", "several"),
            ("a: [", ""),
            ("a: .inf", "non-finite"),
        ] {
            assert!(manifest(text).unwrap_err().contains(words), "{text}");
        }
    }
}
