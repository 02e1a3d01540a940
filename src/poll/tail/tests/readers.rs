//! Who reads: the accounts of a client share its list, and one that may not send keeps no other waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::poll::tail::{Hears, List, Tail};
use crate::spideriq::{JobStatus, ListPage};

struct Deaf;

impl Hears for Deaf {
    fn hear(&self, _: &str, _: JobStatus) {}
    fn look(&self, _: &str) {}
    fn started(&self, _: &str) -> bool {
        false
    }
    fn left_alone(&self) {}
    fn turned(&self) {}
}

/// A reader that may send or not, and how often it was asked.
fn reader(clock: &Clock, may_send: bool) -> (List, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, clock) = (Arc::clone(&asked), clock.clone());
    let list: List = Arc::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let read = may_send.then(|| (clock.instant(), Ok(ListPage::default())));
        Box::pin(std::future::ready(read))
    });
    (list, asked)
}

/// However many of them may not send, one that may is found, and asked from then on.
#[tokio::test(start_paused = true)]
async fn a_reader_that_may_send_is_found_behind_many_that_may_not() {
    let clock = Clock::system();
    let tail = Tail::new(clock.clone(), || 100, (None, Box::new(drop)));
    let hears: Arc<dyn Hears> = Arc::new(Deaf);
    let silent: Vec<Arc<AtomicUsize>> = (0..8)
        .map(|n| {
            let (list, asked) = reader(&clock, false);
            tail.join(&format!("a{n}"), (list, None), Arc::downgrade(&hears));
            asked
        })
        .collect();
    let (list, asked) = reader(&clock, true);
    tail.join("b", (list, None), Arc::downgrade(&hears));
    tail.follow("job-1", ("b", "k"), None);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked >= 10, "asked {asked} times");
    let in_vain: usize = silent.iter().map(|asked| asked.load(Ordering::Relaxed)).sum();
    assert_eq!(in_vain, silent.len(), "each of the others was asked once");
}
