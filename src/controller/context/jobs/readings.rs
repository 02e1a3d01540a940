//! What is read before a cancel: one reading for all that asked before it began, so that nothing is read once for each job of
//! a namespace that is torn down.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::ResourceExt;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::cache::CachedJob;
use crate::clock::Clock;
use crate::decide::{Share, share};

/// How long all of it may take.
const READ_WITHIN: Duration = Duration::from_secs(120);

/// How long what it found holds good.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// An answer that is read for all who asked before its reading began; one reading is under way at the most.
#[derive(Debug)]
pub(in crate::controller) struct OneReading<T> {
    begun: AtomicU64,
    last: tokio::sync::Mutex<Option<(u64, T)>>,
}

impl<T> Default for OneReading<T> {
    fn default() -> Self {
        Self { begun: AtomicU64::new(0), last: tokio::sync::Mutex::new(None) }
    }
}

impl<T: Clone> OneReading<T> {
    /// The answer of a reading that begins after this was called.
    pub(in crate::controller) async fn read(&self, read: impl Future<Output = T>) -> T {
        let before = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if let Some((_, answer)) = last.as_ref().filter(|(number, _)| *number > before) {
            return answer.clone();
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = read.await;
        *last = Some((number, answer.clone()));
        answer
    }
}

/// What a reading found for one job.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Sharers {
    /// Other objects that have to do with the job.
    pub(in crate::controller) of: Vec<(Share, Arc<CachedJob>)>,
    read_at: Instant,
}

impl Sharers {
    /// Whether it may still be acted on.
    pub(in crate::controller) fn hold_good(&self, now: Instant) -> bool {
        now.duration_since(self.read_at) <= GOOD_FOR
    }
}

/// The readings: at most one of each is under way.
#[derive(Debug, Default)]
pub(in crate::controller) struct Readings {
    /// Whether the kind itself is being deleted.
    pub(in crate::controller) kind_is_going: OneReading<Result<bool, String>>,
    asked: Mutex<Vec<Asked>>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
pub(in crate::controller) struct Asked {
    pub(in crate::controller) ours: CachedJob,
    found: Vec<(Share, Arc<CachedJob>)>,
    answer: oneshot::Sender<Result<Sharers, String>>,
}

impl Readings {
    fn asked(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who shares this job, by a reading of this way that begins after this was called.
    ///
    /// # Errors
    /// Why the jobs could not be read.
    pub(in crate::controller) async fn serve(
        &self,
        ours: &CachedJob,
        clock: &Clock,
        read: impl AsyncFnOnce(&mut [Asked]) -> Result<(), String>,
    ) -> Result<Sharers, String> {
        let (answer, mut answered) = oneshot::channel();
        self.asked().push(Asked { ours: ours.clone(), found: Vec::new(), answer });
        let broken = |_| "the reading was broken off".to_owned();
        let _turn = tokio::select! {
            biased;
            found = &mut answered => return found.map_err(broken)?,
            turn = self.turn.lock() => turn,
        };
        let mut asked = mem::take(&mut *self.asked());
        // The reading before may have served this one while it took the turn.
        if !asked.is_empty() {
            let read = tokio::time::timeout(READ_WITHIN, read(&mut asked)).await;
            let read = read.unwrap_or_else(|_| Err("they could not all be read in time".to_owned()));
            let read_at = clock.instant();
            for Asked { found, answer, .. } in asked {
                // Whoever asked may be gone by now.
                let _ = answer.send(read.clone().map(|()| Sharers { of: found, read_at }));
            }
        }
        answered.await.map_err(broken)?
    }
}

/// Notes for whom this object is one that shares.
pub(in crate::controller) fn compare(asked: &mut [Asked], other: &Arc<CachedJob>) {
    for Asked { ours, found, .. } in asked.iter_mut().filter(|asked| asked.ours.uid() != other.uid()) {
        let shares = share(&ours.party(), &other.party());
        if shares != Share::None {
            found.push((shares, Arc::clone(other)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use serde_json::json;
    use tokio::sync::Semaphore;

    use super::{Asked, GOOD_FOR, OneReading, Readings, compare};
    use crate::clock::Clock;
    use crate::controller::context::CachedJob;

    fn text(name: &str, more: &serde_json::Value) -> String {
        let mut job = json!({"metadata": {"name": name, "uid": name}, "spec": {"type": "spiderSite"}});
        for (part, value) in more.as_object().unwrap() {
            match job[part].as_object_mut() {
                Some(part) => part.extend(value.as_object().unwrap().clone()),
                None => job[part] = value.clone(),
            }
        }
        job.to_string()
    }

    fn ours(name: &str) -> CachedJob {
        let status = json!({"jobID": "job-1", "type": "spiderSite", "submission": {"bodyHash": "v1:none"}});
        serde_json::from_str(&text(name, &json!({ "status": status }))).unwrap()
    }

    /// Names of what a reading of one other job found for this one.
    async fn found(
        readings: &Readings,
        clock: &Clock,
        name: &str,
        reads: &Arc<AtomicUsize>,
        gate: &Semaphore,
    ) -> Vec<String> {
        let ours = ours(name);
        let sharers = readings.serve(&ours, clock, async |asked: &mut [Asked]| {
            let number = reads.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            let follows = json!({"status": {"jobID": "job-1"}});
            let seen = serde_json::from_str(&text(&format!("seen-{number}"), &follows)).unwrap();
            compare(asked, &Arc::new(seen));
            Ok(())
        });
        let sharers = sharers.await.unwrap();
        assert!(sharers.hold_good(clock.instant()) && !sharers.hold_good(clock.instant() + GOOD_FOR * 2));
        sharers.of.iter().map(|(_, other)| other.metadata.name.clone().unwrap()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_serves_who_asked_before_it_began_and_nobody_else() {
        let clock = Clock::simulated("2026-01-01T00:00:00Z".parse().unwrap());
        let (readings, reads, gate) = (Readings::default(), Arc::default(), Semaphore::new(0));
        let ask = |name: &'static str, after: u64| {
            let (readings, clock, reads, gate) = (&readings, &clock, &reads, &gate);
            async move {
                tokio::time::sleep(Duration::from_secs(after)).await;
                found(readings, clock, name, reads, gate).await
            }
        };
        let open = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            gate.add_permits(10);
        };
        let (first, second, third, fourth, ()) =
            tokio::join!(ask("a", 0), ask("b", 1), ask("c", 1), ask("d", 2), open);
        assert_eq!(first, ["seen-0"]);
        assert_eq!(
            (second, third, fourth),
            (vec!["seen-1".to_owned()], vec!["seen-1".to_owned()], vec!["seen-1".to_owned()])
        );
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_read_once_for_all_who_asked_before_its_reading_began() {
        let (shared, reads) = (OneReading::default(), AtomicUsize::new(0));
        let ask = |after: u64| {
            let (shared, reads) = (&shared, &reads);
            async move {
                tokio::time::sleep(Duration::from_secs(after)).await;
                let read = async {
                    let number = reads.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    number
                };
                shared.read(read).await
            }
        };
        assert_eq!(tokio::join!(ask(0), ask(1), ask(2), ask(4), ask(6)), (0, 1, 1, 1, 2));
        // One that is broken off answers nobody, and keeps nobody.
        let hangs = shared.read(std::future::pending());
        assert!(tokio::time::timeout(Duration::from_secs(1), hangs).await.is_err());
        assert_eq!(ask(0).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_is_broken_off_leaves_nobody_waiting() {
        let clock = Clock::simulated("2026-01-01T00:00:00Z".parse().unwrap());
        let readings = Readings::default();
        let job = ours("a");
        let hangs = readings.serve(&job, &clock, async |_: &mut [Asked]| std::future::pending().await);
        assert!(tokio::time::timeout(Duration::from_secs(1), hangs).await.is_err(), "who asked went");
        let fails = readings.serve(&job, &clock, async |_: &mut [Asked]| Err("no".to_owned()));
        assert_eq!(fails.await.unwrap_err(), "no");
        let hangs = readings.serve(&job, &clock, async |_: &mut [Asked]| std::future::pending().await);
        assert!(hangs.await.unwrap_err().contains("in time"));
    }

    #[test]
    fn an_equal_payload_is_compared_by_what_is_kept_of_it() {
        let payload = json!({"url": "https://acme.example"});
        let hash = crate::decide::Body::new(payload.as_object().unwrap(), Some(4)).hash;
        let status = json!({"jobID": "job-1", "type": "spiderSite", "submission": {"bodyHash": hash}});
        let ours: CachedJob = serde_json::from_str(&text("ours", &json!({ "status": status }))).unwrap();
        let (answer, _answered) = tokio::sync::oneshot::channel();
        let mut asked = [Asked { ours, found: Vec::new(), answer }];
        for (name, payload) in [("equal", payload), ("other", json!({"url": "https://other.example"}))] {
            let other = serde_json::from_str(&text(name, &json!({"spec": {"payload": payload}}))).unwrap();
            compare(&mut asked, &Arc::new(other));
        }
        let [asked] = asked;
        let names: Vec<_> = asked.found.iter().map(|(_, other)| other.metadata.name.as_deref()).collect();
        assert_eq!(names, [Some("equal")]);
        assert!(asked.found[0].1.spec.payload.is_none(), "the payload is not kept");
    }
}
