//! What a process that works leaves on its Lease for the next one: a few words by name. What they mean is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The annotation of the Lease that has them, as JSON.
pub(super) const ANNOTATION: &str = "spideriq.ai/notes";
/// How many there may be, and how long the name and the words of one.
const MOST: usize = 400;
const LONGEST: usize = 64;

/// Words by name, which the Lease carries from one process to the next with every renewal.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<State>>);

/// What a process has to say at the moment at which its notes are written.
pub(super) type Teller = Arc<dyn Fn() -> Vec<(String, String)> + Send + Sync>;

/// What is known of the process before this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    #[default]
    Unknown,
    /// There was none.
    None,
    /// It has left its notes as it ended.
    Ended,
    /// It has left notes, and worked for some more seconds.
    Lost,
}

#[derive(Default)]
struct State {
    before: Before,
    /// What an earlier process has left.
    found: BTreeMap<String, String>,
    /// What was taken of it.
    taken: BTreeSet<String>,
    /// What this one leaves.
    kept: BTreeMap<String, String>,
    teller: Option<Teller>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("found", &self.found).field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl Notes {
    /// Notes that an earlier process has left.
    pub fn of(found: BTreeMap<String, String>, before: Before) -> Self {
        let state = State { before, found, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// What is known of the process before this one.
    pub fn before(&self) -> Before {
        self.lock().before
    }

    /// From now on the notes are what this says, too, each time that they are written; what it has said before is no
    /// note any more.
    pub fn tell(&self, teller: Teller) {
        self.lock().teller = Some(teller);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an earlier process has left by this name, or this one keeps by now.
    pub fn found(&self, name: &str) -> Option<String> {
        let state = self.lock();
        state.kept.get(name).or_else(|| state.found.get(name)).cloned()
    }

    /// What an earlier process has left by this name and nobody has taken yet, and what is known of that process; nothing
    /// where it left none, and nobody knows that there was none. What it did is true of one moment alone.
    pub fn take(&self, name: &str) -> Option<(Option<String>, Before)> {
        let mut state = self.lock();
        if state.taken.len() >= MOST || !state.taken.insert(name.to_owned()) {
            return None;
        }
        match (state.before, state.found.get(name)) {
            (Before::None, _) => Some((None, Before::None)),
            (before @ (Before::Ended | Before::Lost), Some(words)) => Some((Some(words.clone()), before)),
            (Before::Ended | Before::Lost, None) | (Before::Unknown, _) => None,
        }
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
        // Whoever tells has locks of his own, and may be about to ask for a note.
        let teller = self.lock().teller.clone();
        let told = teller.map(|tell| tell()).unwrap_or_default();
        let state = self.lock();
        let kept = state.kept.iter().map(|(name, words)| (name.clone(), words.clone()));
        let mut all: BTreeMap<String, String> = told.into_iter().chain(kept).take(MOST).collect();
        for (name, words) in &state.found {
            if all.len() < MOST {
                all.entry(name.clone()).or_insert_with(|| words.clone());
            }
        }
        all
    }

    /// Takes over what stands on the Lease of an earlier holder, who has given it up or not; nothing where there is none.
    /// Whoever may write a Lease may write this: what is no note is none.
    pub(super) fn read(&self, lease: Option<(Option<&str>, bool)>) {
        let annotation = lease.and_then(|(annotation, _)| annotation);
        let before = match lease {
            None => Before::None,
            // A holder that leaves no notes says nothing of what it did.
            Some((None, _)) => Before::Unknown,
            Some((Some(_), true)) => Before::Ended,
            Some((Some(_), false)) => Before::Lost,
        };
        let words = annotation.filter(|words| words.len() <= MOST * LONGEST * 4);
        let found: BTreeMap<String, String> =
            words.and_then(|words| serde_json::from_str(words).ok()).unwrap_or_default();
        let short = |(name, words): &(String, String)| name.len() <= LONGEST && words.len() <= LONGEST;
        let found: BTreeMap<String, String> = found.into_iter().filter(short).take(MOST).collect();
        let mut state = self.lock();
        state.before = if found.is_empty() && before != Before::None { Before::Unknown } else { before };
        state.found = found;
    }

    /// The annotation; nothing where there are none.
    pub(super) fn write(&self) -> Option<String> {
        let all = self.all();
        if all.is_empty() { None } else { serde_json::to_string(&all).ok() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Before, LONGEST, MOST, Notes};

    #[test]
    fn what_nobody_keeps_anew_is_handed_on() {
        let first = Notes::default();
        assert_eq!(first.write(), None);
        first.keep("a", "1".to_owned());
        first.keep("b", "1".to_owned());
        let second = Notes::default();
        second.read(Some((first.write().as_deref(), true)));
        assert_eq!(second.before(), Before::Ended);
        assert_eq!(second.found("a").as_deref(), Some("1"));
        second.keep("a", "2".to_owned());
        assert_eq!(second.write().as_deref(), Some(r#"{"a":"2","b":"1"}"#));
    }

    /// What a process says of itself is written anew each time, and taken by the next one once.
    #[test]
    fn what_is_told_is_told_anew_each_time_and_taken_once() {
        let first = Notes::default();
        assert_eq!(first.take("a"), None, "nobody knows");
        first.read(None);
        assert_eq!((first.take("b"), first.take("b")), (Some((None, Before::None)), None));
        first.tell(Arc::new(|| vec![("a".to_owned(), "1".to_owned())]));
        let second = Notes::of(first.all(), Before::Lost);
        assert_eq!(second.take("a"), Some((Some("1".to_owned()), Before::Lost)));
        assert_eq!((second.take("a"), second.take("other")), (None, None));
        assert_eq!(second.all().len(), 1, "what is not told anew yet is handed on");
        second.tell(Arc::new(|| vec![("a".to_owned(), "2".to_owned())]));
        assert_eq!(second.all().into_values().collect::<Vec<_>>(), ["2"]);
    }

    #[test]
    fn what_is_no_note_is_none_and_there_are_never_too_many() {
        let long = "x".repeat(LONGEST + 1);
        let notes = Notes::default();
        for odd in ["", "[]", "{\"a\": 1}", "{\"a\"", &format!("{{\"a\": \"{long}\"}}"), &"x".repeat(1 << 20)]
        {
            notes.read(Some((Some(odd), true)));
            assert_eq!((notes.write(), notes.before()), (None, Before::Unknown), "{odd:.40}");
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
