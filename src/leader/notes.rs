//! What a process that works leaves on its Lease for the next one: a few words by name. What they mean is not known here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The annotation of the Lease that has them, as JSON.
pub(super) const ANNOTATION: &str = "spideriq.ai/notes";
/// How many there may be, and how long the name and the words of one.
const MOST: usize = 200;
const LONGEST: usize = 64;

/// Words by name, which the Lease carries from one process to the next with every renewal.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What an earlier process has left.
    found: BTreeMap<String, String>,
    /// What this one leaves.
    kept: BTreeMap<String, String>,
}

impl Notes {
    /// Notes that an earlier process has left.
    pub fn of(found: BTreeMap<String, String>) -> Self {
        let state = State { found, kept: BTreeMap::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an earlier process has left by this name.
    pub fn found(&self, name: &str) -> Option<String> {
        self.lock().found.get(name).cloned()
    }

    /// Leaves these words for the next process. Longer ones than a line are not left.
    pub fn keep(&self, name: &str, words: String) {
        if name.len() <= LONGEST && words.len() <= LONGEST {
            self.lock().kept.insert(name.to_owned(), words);
        }
    }

    /// All that the next process is to find: what this one keeps, and what it has found and nobody kept anew. Of too many
    /// the found ones are left out first.
    pub fn all(&self) -> BTreeMap<String, String> {
        let state = self.lock();
        let mut all: BTreeMap<String, String> =
            state.kept.iter().take(MOST).map(|(name, words)| (name.clone(), words.clone())).collect();
        for (name, words) in &state.found {
            if all.len() < MOST {
                all.entry(name.clone()).or_insert_with(|| words.clone());
            }
        }
        all
    }

    /// Takes over what stands on the Lease. Whoever may write a Lease may write this: what is no note is none.
    pub(super) fn read(&self, annotation: Option<&str>) {
        let words = annotation.filter(|words| words.len() <= MOST * LONGEST * 4);
        let found: BTreeMap<String, String> =
            words.and_then(|words| serde_json::from_str(words).ok()).unwrap_or_default();
        let short = |(name, words): &(String, String)| name.len() <= LONGEST && words.len() <= LONGEST;
        self.lock().found = found.into_iter().filter(short).take(MOST).collect();
    }

    /// The annotation; nothing where there are none.
    pub(super) fn write(&self) -> Option<String> {
        let all = self.all();
        if all.is_empty() { None } else { serde_json::to_string(&all).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, MOST, Notes};

    #[test]
    fn what_nobody_keeps_anew_is_handed_on() {
        let first = Notes::default();
        assert_eq!(first.write(), None);
        first.keep("a", "1".to_owned());
        first.keep("b", "1".to_owned());
        let second = Notes::default();
        second.read(first.write().as_deref());
        assert_eq!(second.found("a").as_deref(), Some("1"));
        second.keep("a", "2".to_owned());
        assert_eq!(second.write().as_deref(), Some(r#"{"a":"2","b":"1"}"#));
    }

    #[test]
    fn what_is_no_note_is_none_and_there_are_never_too_many() {
        let long = "x".repeat(LONGEST + 1);
        let notes = Notes::default();
        for odd in ["", "[]", "{\"a\": 1}", "{\"a\"", &format!("{{\"a\": \"{long}\"}}"), &"x".repeat(1 << 20)]
        {
            notes.read(Some(odd));
            assert_eq!(notes.write(), None, "{odd:.40}");
        }
        notes.keep("a", long.clone());
        notes.keep(&long, String::new());
        assert_eq!(notes.write(), None);
        for n in 0..=MOST {
            notes.keep(&n.to_string(), String::new());
        }
        assert_eq!(notes.all().len(), MOST);
    }
}
