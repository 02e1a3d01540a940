//! The payload of a submit: text that is passed through, and a tree for one moment only.
//!
//! The API server stores a payload of any depth that a tenant writes, and a tree of that depth overflows the stack of
//! whoever makes it. So it is kept as text, and what is too deep or too long never becomes a tree.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::api::PAYLOAD_MAX;

/// How deep a payload may be nested, itself counted.
const DEPTH_MAX: usize = 64;

/// The longest text that is made a tree of, in bytes: room for what the API server escapes and the body leaves out.
const TEXT_MAX: usize = 2 * PAYLOAD_MAX;

/// The payload of a submit, passed to the service unchanged: its text, cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload(Arc<str>);

/// Why a payload can never be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is nested too deep.
    #[error(
        "The payload is nested {0} deep, and {DEPTH_MAX} levels are allowed. Set a new spec.runID with a flatter payload, or create another ScrapeJob."
    )]
    TooDeep(usize),
    /// It is too long to be looked at.
    #[error(
        "The payload has {0} bytes, and {PAYLOAD_MAX} (256 KiB) are allowed. Set a new spec.runID with a smaller payload, or create another ScrapeJob."
    )]
    TooLong(usize),
    /// It is no JSON object of this world.
    #[error(
        "The payload cannot be read: {0}. Set a new spec.runID with a corrected payload, or create another ScrapeJob."
    )]
    Unreadable(String),
}

impl Payload {
    /// A payload as it stands in a JSON text; whether it makes sense is asked of it later.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Its members, where they are fit to be sent.
    ///
    /// # Errors
    /// Why it is not.
    pub fn members(&self) -> Result<Map<String, Value>, Unfit> {
        if self.0.len() > TEXT_MAX {
            return Err(Unfit::TooLong(self.0.len()));
        }
        let depth = depth(&self.0);
        if depth > DEPTH_MAX {
            return Err(Unfit::TooDeep(depth));
        }
        serde_json::from_str(&self.0).map_err(|error| Unfit::Unreadable(error.to_string()))
    }
}

impl From<&Map<String, Value>> for Payload {
    fn from(members: &Map<String, Value>) -> Self {
        // A map of values always serialises.
        Self(serde_json::to_string(members).unwrap_or_default().into())
    }
}

/// From a manifest that is no object of the API server, which is read apart: see `Stored`.
impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Map::deserialize(from).map(|members| Self::from(&members))
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.members().map_err(serde::ser::Error::custom)?.serialize(to)
    }
}

/// How deep lists and maps are nested in a JSON text. No recursion: the text may be hostile.
pub(in crate::api) fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, Payload, TEXT_MAX, Unfit, depth};

    fn nested(depth: usize, open: &str, close: &str) -> String {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    }

    #[test]
    fn depth_counts_what_is_nested_and_not_what_is_quoted() {
        let cases = [
            ("1", 0),
            ("{}", 1),
            (r#"{"a":[{}]}"#, 3),
            (r#"{"a":"[[[[\"[["}"#, 1),
            ("[[],[[]]]", 3),
            ("]]][", 1),
        ];
        for (text, deep) in cases {
            assert_eq!(depth(text), deep, "{text}");
        }
    }

    #[test]
    fn a_payload_becomes_a_tree_up_to_its_bounds_and_not_beyond() {
        let deep = |depth| Payload::from_text(&nested(depth, r#"{"a":"#, "}"));
        assert!(deep(DEPTH_MAX).members().is_ok());
        for depth in [DEPTH_MAX + 1, 123, 128, 9_000] {
            assert_eq!(deep(depth).members(), Err(Unfit::TooDeep(depth)));
        }
        let long = Payload::from_text(&format!("{{\"a\":[{}[]]}}", "[],".repeat(TEXT_MAX / 3)));
        assert!(matches!(long.members(), Err(Unfit::TooLong(_))));
        for odd in ["", "7", "[]", "{", r#"{"a":1e400}"#, "nul", "\"\\ud800\""] {
            assert!(matches!(Payload::from_text(odd).members(), Err(Unfit::Unreadable(_))), "{odd}");
        }
    }
}
