//! What a table of fields is made of, and what a value must be to fit in.

use serde_json::Value;

/// One reason to refuse a body; serialises as an item of the classic 422 list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) place: String,
    pub(crate) text: String,
}

pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) preset: Preset,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Characters, least and most.
    Text(usize, usize),
    /// Absolute http(s), up to 2048 characters.
    Url,
    Whole(i64, i64),
    Number(f64, f64),
    Flag,
    Word(&'static [&'static str]),
    /// A list of texts, least and most items.
    Texts(usize, usize),
    Object(&'static Shape),
    /// Any object.
    AnyObject,
}

pub(super) struct Shape {
    pub(super) fields: &'static [Field],
    /// Whether unknown keys are refused whatever the switch says.
    pub(super) strict: bool,
}

/// What an absent field becomes.
#[derive(Clone, Copy)]
pub(super) enum Preset {
    Required,
    Absent,
    Flag(bool),
    Whole(i64),
    Number(f64),
    Text(&'static str),
    Texts(&'static [&'static str]),
    /// The object with all its own defaults.
    Filled,
}

pub(super) const fn field(name: &'static str, kind: Kind, preset: Preset) -> Field {
    Field { name, kind, preset }
}

pub(crate) fn problem(place: &str, text: impl Into<String>) -> Problem {
    Problem { place: place.to_owned(), text: text.into() }
}

impl Kind {
    pub(super) fn complaint(self, value: &Value) -> Option<String> {
        let length = |text: &str| text.chars().count();
        match self {
            Self::Text(least, most) => (!value.as_str().is_some_and(|t| (least..=most).contains(&length(t))))
                .then(|| format!("Input should be a string of {least} to {most} characters")),
            Self::Url => (!value.as_str().is_some_and(is_url))
                .then(|| "Input should be an absolute http(s) URL of at most 2048 characters".to_owned()),
            Self::Whole(least, most) => (!value.as_i64().is_some_and(|n| (least..=most).contains(&n)))
                .then(|| format!("Input should be an integer from {least} to {most}")),
            Self::Number(least, most) => (!value.as_f64().is_some_and(|n| (least..=most).contains(&n)))
                .then(|| format!("Input should be a number from {least} to {most}")),
            Self::Flag => (!value.is_boolean()).then(|| "Input should be a boolean".to_owned()),
            Self::Word(words) => (!value.as_str().is_some_and(|t| words.contains(&t)))
                .then(|| format!("Input should be one of: {}", words.join(", "))),
            Self::Texts(least, most) => {
                let good = |items: &Vec<Value>| {
                    (least..=most).contains(&items.len()) && items.iter().all(Value::is_string)
                };
                (!value.as_array().is_some_and(good))
                    .then(|| format!("Input should be a list of {least} to {most} strings"))
            }
            Self::Object(_) | Self::AnyObject => {
                (!value.is_object()).then(|| "Input should be an object".to_owned())
            }
        }
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    text.chars().count() <= 2048
        && host.is_some_and(|host| !host.is_empty() && !host.starts_with(':'))
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}
