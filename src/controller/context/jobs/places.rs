//! How many objects are worked on at once, and whose: nobody's slow work takes the places of all.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Places for work. A namespace takes one more only as long as more are free than it has: however many shout, the next
/// one finds a place, and alone it has half of them.
#[derive(Debug)]
pub(in crate::controller) struct Places {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    taken: BTreeMap<String, usize>,
    waiting: BTreeMap<String, VecDeque<oneshot::Sender<Place>>>,
    /// The namespaces that wait, in the order in which they are served next.
    order: VecDeque<String>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(in crate::controller) struct Place {
    places: Arc<Places>,
    namespace: String,
}

impl Places {
    pub(in crate::controller) fn new(free: usize) -> Arc<Self> {
        let (taken, waiting, order) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        Arc::new(Self { state: Mutex::new(State { free, taken, waiting, order }) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are taken, and how many wait for one.
    pub(in crate::controller) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        // Who waits no more is taken out when it is its turn.
        let waits = |sender: &&oneshot::Sender<Place>| !sender.is_closed();
        (state.taken.values().sum(), state.waiting.values().flatten().filter(waits).count())
    }

    /// Waits for a place.
    pub(in crate::controller) async fn take(self: &Arc<Self>, namespace: &str) -> Place {
        loop {
            let waits = {
                let mut state = self.lock();
                if !state.waiting.contains_key(namespace) && state.takes(namespace) {
                    return Place { places: Arc::clone(self), namespace: namespace.to_owned() };
                }
                state.wait(namespace)
            };
            // A sender that is dropped unused means that the place has to be asked for anew.
            if let Ok(place) = waits.await {
                return place;
            }
        }
    }

    /// Gives free places to those who wait, in turns.
    fn hand_out(self: &Arc<Self>) {
        // What nobody waits for any more is dropped after the lock is, because dropping it takes that again.
        let mut unwanted = Vec::new();
        let mut state = self.lock();
        while let Some((namespace, waiting)) = state.next() {
            let place = Place { places: Arc::clone(self), namespace };
            unwanted.extend(waiting.send(place).err());
        }
        drop(state);
        drop(unwanted);
    }
}

impl State {
    /// Takes a place for a namespace, if it may have one more.
    fn takes(&mut self, namespace: &str) -> bool {
        let has = self.taken.get(namespace).copied().unwrap_or_default();
        let may = has < self.free;
        if may {
            self.free -= 1;
            self.taken.insert(namespace.to_owned(), has + 1);
        }
        may
    }

    fn wait(&mut self, namespace: &str) -> oneshot::Receiver<Place> {
        let (sender, receiver) = oneshot::channel();
        if !self.waiting.contains_key(namespace) {
            self.order.push_back(namespace.to_owned());
        }
        self.waiting.entry(namespace.to_owned()).or_default().push_back(sender);
        receiver
    }

    /// The next who gets a place; its namespace goes to the back.
    fn next(&mut self) -> Option<(String, oneshot::Sender<Place>)> {
        for _ in 0..self.order.len() {
            let namespace = self.order.pop_front()?;
            if self.takes(&namespace) {
                let waiting = self.waiting.get_mut(&namespace)?;
                let next = waiting.pop_front()?;
                if waiting.is_empty() {
                    self.waiting.remove(&namespace);
                } else {
                    self.order.push_back(namespace.clone());
                }
                return Some((namespace, next));
            }
            self.order.push_back(namespace);
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        state.free += 1;
        if let Some(taken) = state.taken.get_mut(&self.namespace) {
            *taken -= 1;
            if *taken == 0 {
                state.taken.remove(&self.namespace);
            }
        }
        drop(state);
        self.places.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::Places;

    #[tokio::test]
    async fn however_many_one_namespace_asks_for_another_finds_a_place_at_once() {
        let places = Places::new(8);
        let mut loud = Vec::new();
        while let Some(place) = places.take("loud").now_or_never() {
            loud.push(place);
        }
        assert_eq!(loud.len(), 4);
        let mut second = Vec::new();
        while let Some(place) = places.take("second").now_or_never() {
            second.push(place);
        }
        assert_eq!(second.len(), 2);
        assert_eq!(places.counts(), (6, 0));
        let third = places.take("third").now_or_never().unwrap();
        let mut waits = Box::pin(places.take("third"));
        assert!((&mut waits).now_or_never().is_none());
        assert_eq!(places.counts(), (7, 1));
        drop(waits);
        drop((loud, second, third));
        let state = places.lock();
        assert_eq!((state.free, state.taken.len()), (8, 0));
    }

    #[tokio::test]
    async fn who_waits_is_served_in_turns_and_who_goes_leaves_its_place() {
        let places = Places::new(2);
        let first = places.take("loud").await;
        let mut loud = Box::pin(places.take("loud"));
        let mut gone = Box::pin(places.take("quiet"));
        let quiet = places.take("quiet").now_or_never();
        assert!((&mut loud).now_or_never().is_none());
        assert!((&mut gone).now_or_never().is_some() || quiet.is_some());
        drop((gone, quiet));
        drop(first);
        assert!(loud.now_or_never().is_some());
        let state = places.lock();
        assert_eq!((state.free, state.waiting.len(), state.order.len()), (2, 0, 0));
    }
}
