//! The store of jobs: their courses, the index of earlier submits, and the view per client.
//!
//! Nothing runs between two looks: what fell due is settled at the next one, in order, so an idle service costs nothing.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::ops::Bound;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::job::{Job, NewJob};
use crate::clock::Micros;

/// The order of no jobs.
static NOTHING: BTreeSet<(Micros, usize)> = BTreeSet::new();

/// Key of earlier submits: (client, type, canonical payload), hashed.
pub(crate) type DedupKey = [u8; 32];

/// A change that has just been settled.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) id: String,
    pub(crate) client: String,
    pub(crate) kind: String,
    pub(crate) at: Micros,
    pub(crate) from: Option<String>,
    pub(crate) to: String,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    jobs: Vec<Job>,
    by_id: HashMap<String, usize>,
    by_client: HashMap<String, Vec<usize>>,
    /// The jobs that a client sees, by their last change: a page of them costs the same however many there are.
    by_change: HashMap<String, BTreeSet<(Micros, usize)>>,
    /// What falls due: time, job, step of its course, number of that course.
    due: BinaryHeap<Reverse<(Micros, usize, usize, u64)>>,
    earlier: HashMap<DedupKey, (usize, Micros)>,
}

/// The key under which equal submits are one (contract section 3). Keys of objects are sorted first.
pub(crate) fn dedup_key(client: &str, kind: &str, payload: &Value, priority: Option<i64>) -> DedupKey {
    let mut text = format!("{client}\0{kind}\0");
    canonical(payload, &mut text);
    if let Some(priority) = priority {
        text.push('\0');
        text.push_str(&priority.to_string());
    }
    Sha256::digest(text.as_bytes()).into()
}

fn canonical(value: &Value, out: &mut String) {
    if let Value::Object(map) = value {
        let mut keys: Vec<_> = map.iter().collect();
        keys.sort_by_key(|(key, _)| *key);
        for (key, value) in keys {
            out.push_str(&Value::from(key.as_str()).to_string());
            out.push(':');
            canonical(value, out);
            out.push(',');
        }
        out.push('}');
    } else if let Value::Array(items) = value {
        for item in items {
            canonical(item, out);
            out.push(',');
        }
        out.push(']');
    } else {
        out.push_str(&value.to_string());
    }
}

impl Store {
    /// Adds a job. Steps of its course that are already due follow at the next [`Store::settle`].
    pub(crate) fn add(&mut self, new: NewJob) -> Moved {
        let job = Job::new(new);
        let index = self.jobs.len();
        if let Some(step) = job.course.get(1) {
            self.due.push(Reverse((job.created_at.saturating_add(step.after), index, 1, 0)));
        }
        self.by_id.insert(job.id.clone(), index);
        self.by_client.entry(job.client.clone()).or_default().push(index);
        self.by_change.entry(job.client.clone()).or_default().insert((job.latest().1, index));
        let moved = moved(&job, None, job.created_at);
        self.jobs.push(job);
        moved
    }

    /// Moves every job along to `now`; the changes, oldest first.
    pub(crate) fn settle(&mut self, now: Micros) -> Vec<Moved> {
        let mut changes = Vec::new();
        while self.due.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((at, index, number, course))) = self.due.pop() else { break };
            let Some(job) = self.jobs.get_mut(index).filter(|job| job.course_number == course) else {
                continue;
            };
            let Some(step) = job.course.get(number).cloned() else { continue };
            let (from, before) = (job.state().to_owned(), job.latest().1);
            if job.enter(&step.state, at, step.shown) {
                changes.push(moved(job, Some(from), at));
                turned(&mut self.by_change, (job, index), before);
            }
            if let Some(next) = job.course.get(number + 1) {
                let next_at = job.created_at.saturating_add(next.after);
                self.due.push(Reverse((next_at, index, number + 1, course)));
            }
        }
        changes
    }

    /// When the next job changes by itself.
    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    /// Puts a job into a state and gives up its course; `None` when there is no such job or it is in that state.
    pub(crate) fn force(&mut self, id: &str, state: &str, now: Micros) -> Option<Moved> {
        let index = *self.by_id.get(id)?;
        let job = self.jobs.get_mut(index)?;
        job.course_number += 1;
        // The script's message was meant for the script's end.
        job.outcome.error_message = None;
        let (from, before) = (job.state().to_owned(), job.latest().1);
        if !job.enter(state, now, true) {
            return None;
        }
        turned(&mut self.by_change, (job, index), before);
        Some(moved(job, Some(from), now))
    }

    /// Hides a job from its client, or shows it again; says whether there is one.
    pub(crate) fn hide(&mut self, id: &str, hidden: bool) -> bool {
        let Some(index) = self.by_id.get(id).copied() else { return false };
        let Some(job) = self.jobs.get_mut(index) else { return false };
        job.hidden = hidden;
        let (seen, place) = (self.by_change.entry(job.client.clone()).or_default(), (job.latest().1, index));
        if hidden {
            seen.remove(&place)
        } else {
            seen.insert(place)
        };
        true
    }

    /// Any job, hidden or not.
    pub(crate) fn find(&self, id: &str) -> Option<&Job> {
        self.by_id.get(id).and_then(|index| self.jobs.get(*index))
    }

    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut Job> {
        self.by_id.get(id).and_then(|index| self.jobs.get_mut(*index))
    }

    /// A job as its client sees it: not one that is hidden or another client's.
    pub(crate) fn visible(&self, client: &str, id: &str) -> Option<&Job> {
        self.find(&id.to_ascii_lowercase()).filter(|job| !job.hidden && job.client == client)
    }

    /// The jobs of a client that it sees, in the order they were made.
    pub(crate) fn of_client(&self, client: &str) -> impl Iterator<Item = &Job> {
        let indexes = self.by_client.get(client).map(Vec::as_slice).unwrap_or_default();
        indexes.iter().filter_map(|index| self.jobs.get(*index)).filter(|job| !job.hidden)
    }

    /// How many these are, and they in the order of their last change, the newest first.
    pub(crate) fn changed_last(&self, client: &str, now: Micros) -> (usize, impl Iterator<Item = &Job>) {
        let seen = self.by_change.get(client).unwrap_or(&NOTHING);
        // Some may have been made for a later time.
        let (until, later) = ((now, usize::MAX), (Bound::Excluded((now, usize::MAX)), Bound::Unbounded));
        let count = seen.len() - seen.range(later).count();
        (count, seen.range(..=until).rev().filter_map(|(_, index)| self.jobs.get(*index)))
    }

    pub(crate) fn all(&self) -> &[Job] {
        &self.jobs
    }

    /// The job that an equal submit made within the window.
    pub(crate) fn earlier(&self, key: &DedupKey, now: Micros, window: Micros) -> Option<&Job> {
        let (index, at) = self.earlier.get(key)?;
        self.jobs.get(*index).filter(|_| now - at < window)
    }

    /// Notes the newest job as the one that equal submits get from now on.
    pub(crate) fn remember(&mut self, key: DedupKey, now: Micros) {
        if let Some(index) = self.jobs.len().checked_sub(1) {
            self.earlier.insert(key, (index, now));
        }
    }
}

/// A job has changed: where it stands in the order of changes.
fn turned(
    order: &mut HashMap<String, BTreeSet<(Micros, usize)>>,
    (job, index): (&Job, usize),
    before: Micros,
) {
    if let Some(seen) = order.get_mut(&job.client)
        && seen.remove(&(before, index))
    {
        seen.insert((job.latest().1, index));
    }
}

fn moved(job: &Job, from: Option<String>, at: Micros) -> Moved {
    Moved {
        id: job.id.clone(),
        client: job.client.clone(),
        kind: job.kind.clone(),
        at,
        from,
        to: job.state().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Outcome, Step};
    use serde_json::json;

    fn new(id: &str, steps: &[(Micros, &str)]) -> NewJob {
        let step =
            |(after, state): &(Micros, &str)| Step { after: *after, state: (*state).to_owned(), shown: true };
        NewJob {
            id: id.to_owned(),
            client: "cli".to_owned(),
            kind: "spiderSite".to_owned(),
            payload: json!({}),
            priority: 0,
            created_at: 0,
            course: steps.iter().map(step).collect(),
            outcome: Outcome::default(),
        }
    }

    #[test]
    fn changes_settle_in_the_order_of_their_times_across_jobs() {
        let mut store = Store::default();
        store.add(new("a", &[(0, "queued"), (10, "processing"), (30, "completed")]));
        store.add(new("b", &[(0, "queued"), (20, "failed")]));
        assert!(store.settle(9).is_empty());
        let got: Vec<_> = store.settle(100).into_iter().map(|m| (m.at, m.id, m.to)).collect();
        let want = [(10, "a", "processing"), (20, "b", "failed"), (30, "a", "completed")];
        assert_eq!(got, want.map(|(at, id, to)| (at, id.to_owned(), to.to_owned())));
        assert_eq!(store.find("a").unwrap().seen_at(29), Some(("processing", 10)));
    }

    #[test]
    fn a_forced_state_ends_the_course() {
        let mut store = Store::default();
        store.add(new("a", &[(0, "queued"), (10, "processing")]));
        assert_eq!(store.force("a", "cancelled", 5).unwrap().from.as_deref(), Some("queued"));
        assert!(store.settle(100).is_empty());
        assert_eq!(store.find("a").unwrap().latest(), ("cancelled", 5));
    }

    #[test]
    fn the_key_sees_values_and_not_the_order_of_fields() {
        let key = |client, kind, text, priority| {
            dedup_key(client, kind, &serde_json::from_str(text).unwrap(), priority)
        };
        let first = key("c", "t", r#"{"a":1,"b":{"x":[1,2],"y":null}}"#, None);
        assert_eq!(first, key("c", "t", r#"{"b":{"y":null,"x":[1,2]},"a":1}"#, None));
        for other in [
            key("d", "t", r#"{"a":1,"b":{"x":[1,2],"y":null}}"#, None),
            key("c", "u", r#"{"a":1,"b":{"x":[1,2],"y":null}}"#, None),
            key("c", "t", r#"{"a":1,"b":{"x":[2,1],"y":null}}"#, None),
            key("c", "t", r#"{"a":1,"b":{"x":[1,2],"y":null}}"#, Some(0)),
            key("c", "t", r#"{"a":"1","b":{"x":[1,2],"y":null}}"#, None),
        ] {
            assert_ne!(first, other);
        }
    }
}
