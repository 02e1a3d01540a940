//! Which job to look at next: the most overdue one first.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

/// Keys in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Queue {
    order: BTreeSet<(Instant, String)>,
    due: HashMap<String, Instant>,
}

impl Queue {
    /// Puts a key in its place, or moves it there.
    pub(super) fn put(&mut self, key: String, due: Instant) {
        self.remove(&key);
        self.due.insert(key.clone(), due);
        self.order.insert((due, key));
    }

    /// The same, unless its place is sooner.
    pub(super) fn put_sooner(&mut self, key: String, due: Instant) {
        if self.due.get(&key).is_none_or(|at| *at > due) {
            self.put(key, due);
        }
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: &str) {
        if let Some(due) = self.due.remove(key) {
            self.order.remove(&(due, key.to_owned()));
        }
    }

    /// When the next key is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Takes the most overdue key.
    pub(super) fn take(&mut self, now: Instant) -> Option<String> {
        let (due, _) = self.order.first()?;
        if *due > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.due.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Queue;

    #[tokio::test(start_paused = true)]
    async fn the_most_overdue_key_comes_first_and_a_moved_one_only_once() {
        let now = crate::clock::Clock::system().instant();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut queue = Queue::default();
        queue.put("late".to_owned(), at(9));
        queue.put("early".to_owned(), at(1));
        queue.put("moved".to_owned(), at(0));
        queue.put("moved".to_owned(), at(5));
        queue.put("gone".to_owned(), at(2));
        queue.remove("gone");
        assert_eq!(queue.next_due(), Some(at(1)));
        assert_eq!(queue.take(at(0)), None, "nothing is due yet");
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(at(10))).collect();
        assert_eq!(taken, ["early", "moved", "late"]);
        assert_eq!(queue.next_due(), None);
    }
}
