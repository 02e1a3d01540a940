//! What is due next: the most overdue one first.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use tokio::time::Instant;

/// Keys in the order in which they are due.
#[derive(Debug)]
pub struct Queue<K> {
    order: BTreeSet<(Instant, K)>,
    due: HashMap<K, Instant>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { order: BTreeSet::new(), due: HashMap::new() }
    }
}

impl<K: Clone + Ord + Hash> Queue<K> {
    /// Puts a key in its place, or moves it there.
    pub fn put(&mut self, key: K, due: Instant) {
        self.remove(&key);
        self.due.insert(key.clone(), due);
        self.order.insert((due, key));
    }

    /// The same, unless its place is sooner.
    pub fn put_sooner(&mut self, key: K, due: Instant) {
        if self.due.get(&key).is_none_or(|at| *at > due) {
            self.put(key, due);
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &K) {
        if let Some(due) = self.due.remove(key) {
            self.order.remove(&(due, key.clone()));
        }
    }

    /// When the next key is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Takes the most overdue key.
    pub fn take(&mut self, now: Instant) -> Option<K> {
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
        queue.remove(&"gone".to_owned());
        assert_eq!(queue.next_due(), Some(at(1)));
        assert_eq!(queue.take(at(0)), None, "nothing is due yet");
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(at(10))).collect();
        assert_eq!(taken, ["early", "moved", "late"]);
        assert_eq!(queue.next_due(), None);
    }
}
