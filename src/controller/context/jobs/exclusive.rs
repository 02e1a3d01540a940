//! Keeps a look at who shares a job, with the cancel after it, apart from the submits that might be answered with the
//! job: those of an equal payload of its client. Submits do not wait for each other, nor do cancels, and nobody waits for
//! another client.

use std::time::Duration;

use tokio::sync::watch;

use crate::decide::ClientIdentity;

/// The longest that one waits for the other; then it is looked at again later.
const WAITS_FOR: Duration = Duration::from_secs(5);

/// What is under way.
#[derive(Debug, Default)]
pub(in crate::controller) struct Exclusive {
    under_way: watch::Sender<Vec<UnderWay>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Submit,
    Cancel,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct UnderWay {
    kind: Kind,
    of: ClientIdentity,
    /// Of the bodies that the service may take for one.
    hashes: Vec<String>,
}

/// What is under way until this is dropped.
#[derive(Debug)]
pub(in crate::controller) struct Exclusion<'a> {
    of: &'a Exclusive,
    mine: UnderWay,
}

impl Exclusive {
    /// Begins a submit of one of these bodies; `None` where a cancel of a job of such a body takes too long.
    pub(in crate::controller) async fn submit(
        &self,
        of: ClientIdentity,
        hashes: Vec<String>,
    ) -> Option<Exclusion<'_>> {
        self.begin(UnderWay { kind: Kind::Submit, of, hashes }).await
    }

    /// Begins a cancel of a job of this body; `None` where a submit of an equal one takes too long.
    pub(in crate::controller) async fn cancel(
        &self,
        of: ClientIdentity,
        hash: Option<&str>,
    ) -> Option<Exclusion<'_>> {
        // A job of an unknown body can be answered to no submit that is known here.
        let hashes = hash.into_iter().map(str::to_owned).collect();
        self.begin(UnderWay { kind: Kind::Cancel, of, hashes }).await
    }

    async fn begin(&self, mine: UnderWay) -> Option<Exclusion<'_>> {
        let waiting = async {
            let mut ends = self.under_way.subscribe();
            while !self.begins(&mine) {
                // The sender lives as long as this does.
                let _ = ends.changed().await;
            }
        };
        crate::health::waiting(tokio::time::timeout(WAITS_FOR, waiting)).await.ok()?;
        Some(Exclusion { of: self, mine })
    }

    /// Begins it if nothing that is under way keeps it apart.
    fn begins(&self, mine: &UnderWay) -> bool {
        let mut begun = false;
        self.under_way.send_if_modified(|under_way| {
            begun = !under_way.iter().any(|other| {
                other.kind != mine.kind
                    && other.of.may_be(&mine.of)
                    && other.hashes.iter().any(|hash| mine.hashes.contains(hash))
            });
            if begun {
                under_way.push(mine.clone());
            }
            // Only an end is news to those who wait.
            false
        });
        begun
    }
}

impl Drop for Exclusion<'_> {
    fn drop(&mut self) {
        self.of.under_way.send_modify(|under_way| {
            let mine = under_way.iter().position(|other| *other == self.mine);
            // Two of the same kind and bodies are as good as each other.
            if let Some(mine) = mine {
                under_way.swap_remove(mine);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientIdentity, Exclusive};

    fn hashes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn of(endpoint: &str, client: Option<&str>) -> ClientIdentity {
        ClientIdentity::new(Some(endpoint), client, None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancel_and_a_submit_of_one_body_wait_for_each_other_and_nobody_else_does() {
        let exclusive = Exclusive::default();
        let ours = || of("https://a", Some("cli_a"));
        let cancel = exclusive.cancel(ours(), Some("one")).await.unwrap();
        let beside = [
            exclusive.cancel(ours(), Some("one")).await,
            exclusive.cancel(ours(), None).await,
            exclusive.submit(ours(), hashes(&["two", "three"])).await,
            exclusive.submit(of("https://b", Some("cli_a")), hashes(&["one"])).await,
            exclusive.submit(of("https://a", Some("cli_b")), hashes(&["one"])).await,
        ];
        assert!(beside.iter().all(Option::is_some));
        let unknown = of("https://a", None);
        assert!(exclusive.submit(unknown, hashes(&["one"])).await.is_none(), "it may be of any client");
        assert!(exclusive.submit(ours(), hashes(&["zero", "one"])).await.is_none(), "it waits in vain");
        let by_another_name = ClientIdentity::new(Some("https://a"), Some("cli_n"), Some("cli_a"));
        assert!(exclusive.submit(by_another_name, hashes(&["one"])).await.is_none(), "it is the same client");
        let (begun, ()) = tokio::join!(exclusive.submit(ours(), hashes(&["zero", "one"])), async {
            tokio::task::yield_now().await;
            drop((cancel, beside));
        });
        let _begun = begun.unwrap();
        assert!(exclusive.cancel(ours(), Some("zero")).await.is_none());
        assert!(exclusive.cancel(ours(), Some("two")).await.is_some());
    }
}
