//! Picks the few values that are needed out of an answer of any size and shape, and keeps nothing else.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What is picked. Whatever is of another shape counts as `null`, so that it hides nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pick {
    /// A text, a number or a truth value.
    Plain,
    /// These members of an object; of a name that comes twice, the last value that can be read.
    Members(&'static [(&'static str, Pick)]),
    /// Each item of a list.
    Items(&'static Pick),
}

/// The members that are picked, of a body that is one whole JSON object; it has been cleaned before.
pub(super) fn members(
    body: impl Read,
    picked: &'static [(&'static str, Pick)],
) -> Result<Map<String, Value>, String> {
    let mut reader = serde_json::Deserializer::from_reader(body);
    let value = Pick::Members(picked).deserialize(&mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    match value {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err("it is not a JSON object".to_owned())
        }
    }
}

/// A whole number, however it is written: `3`, `3.0` and `3e0` are one.
pub(super) fn whole(value: &Value) -> Option<i64> {
    /// Doubles count one by one up to here.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, reason = "it is whole and within the range")]
    let of_double = |double: f64| (double.fract() == 0.0 && double.abs() <= EXACT).then_some(double as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(of_double))
}

impl<'de> DeserializeSeed<'de> for Pick {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Pick {
    fn plain(self, value: impl Into<Value>) -> Value {
        match self {
            Self::Plain => value.into(),
            Self::Members(_) | Self::Items(_) => Value::Null,
        }
    }
}

impl<'de> Visitor<'de> for Pick {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(self.plain(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(self.plain(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(self.plain(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(self.plain(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(self.plain(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Self::Items(pick) = self else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut picked = Vec::new();
        while let Some(item) = items.next_element_seed(*pick)? {
            picked.push(item);
        }
        Ok(Value::Array(picked))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Self::Members(wanted) = self else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut picked = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let Some((name, pick)) = wanted.iter().find(|(wanted, _)| *wanted == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value_seed(*pick)?;
            if !value.is_null() {
                picked.insert((*name).to_owned(), value);
            }
        }
        Ok(Value::Object(picked))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Pick, members, whole};

    const PICKED: &[(&str, Pick)] = &[
        ("id", Pick::Plain),
        ("data", Pick::Members(&[("count", Pick::Plain)])),
        ("rows", Pick::Items(&Pick::Members(&[("id", Pick::Plain)]))),
    ];

    #[test]
    fn what_is_picked_is_not_hidden_by_anything_beside_it() {
        let cases = [
            (r#"{"id": "a", "x": {"id": "b"}}"#, json!({"id": "a"})),
            (r#"{"id": {"id": "b"}, "data": 5, "rows": {}}"#, json!({})),
            (
                r#"{"id": ["b"], "data": [1], "rows": [1, {"id": 2}, null, [], {"y": 1}]}"#,
                json!({"rows": [null, {"id": 2}, null, null, {}]}),
            ),
            (r#"{"id": "a", "id": "b", "id": null, "id": []}"#, json!({"id": "b"})),
            (r#"{"data": {"count": 3, "count": {}}}"#, json!({"data": {"count": 3}})),
            ("{}", json!({})),
        ];
        for (body, expected) in cases {
            assert_eq!(Value::Object(members(body.as_bytes(), PICKED).unwrap()), expected, "{body}");
        }
        for bad in ["", "[]", "5", "null", "[\"id\", \"a\"]", "{\"id\": \"a\"", "{} {}", "{\"id\" \"a\"}"] {
            assert!(members(bad.as_bytes(), PICKED).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let cases = [
            ("3", Some(3)),
            ("3.0", Some(3)),
            ("3e2", Some(300)),
            ("-0.0", Some(0)),
            ("3.5", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("1e300", None),
            ("\"3\"", None),
            ("true", None),
        ];
        for (text, expected) in cases {
            assert_eq!(whole(&serde_json::from_str(text).unwrap()), expected, "{text}");
        }
    }
}
