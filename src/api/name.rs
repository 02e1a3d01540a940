//! What may be the name of an object: the one thing that becomes part of an address of the API server.

use std::fmt;
use std::str::FromStr;

/// The pattern of such a name in a schema: a DNS-1123 subdomain.
pub(super) const PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// The longest such name.
pub(super) const LONGEST: usize = 253;
/// How much of what is none is shown.
const SHOWN: usize = 64;

/// The name of an object or a namespace. It holds no character that means anything in an address or a selector, and it
/// cannot be made but by [`ObjectName::parse`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(String);

/// What is no name, as far as it can be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be the name of an object; a name has lower case letters, digits, '-' and '.', begins and ends with a letter or digit, and is not longer than 253 characters"
)]
pub struct NotAName(String);

impl ObjectName {
    /// Reads a name.
    ///
    /// # Errors
    /// If no object can have it.
    pub fn parse(text: &str) -> Result<Self, NotAName> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let outer = |byte: Option<&u8>| byte.is_some_and(|byte| *byte != b'-');
        let word = |word: &str| {
            let bytes = word.as_bytes();
            bytes.iter().all(|byte| inner(*byte)) && outer(bytes.first()) && outer(bytes.last())
        };
        if text.len() <= LONGEST && text.split('.').all(word) {
            return Ok(Self(text.to_owned()));
        }
        let plain = |character: &char| character.is_ascii_graphic() || *character == ' ';
        Err(NotAName(text.chars().filter(plain).take(SHOWN).collect()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::ObjectName;

    #[test]
    fn what_means_something_in_an_address_is_in_no_name() {
        let longest = "a".repeat(253);
        for good in ["a", "a-b", "a.b", "0", "a--b", "scrapejobs.spideriq.ai", longest.as_str()] {
            assert_eq!(ObjectName::parse(good).unwrap().as_str(), good);
        }
        let longer = "a".repeat(254);
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a#b",
            "a?b",
            "?limit=500",
            "%2e%2e",
            "a%2fb",
            "a b",
            "a,b=c",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-",
            "a.-b",
            "A",
            "ä",
            "a\n",
            "a\0",
            "a\u{202e}b",
            "a:b",
            "a;b",
            "a\\b",
            longer.as_str(),
        ] {
            let error = ObjectName::parse(bad).unwrap_err().to_string();
            assert!(!error.contains(['\n', '\0', '\u{202e}']) && error.len() < 400, "{error}");
        }
    }
}
