//! Whether to take the lease, to renew it, to wait, or to stand down.
//!
//! Pure: it knows what was seen of the lease and when by this process's own monotonic clock, as the time since the
//! process began to contend. It must never compare wall clocks, which differ between machines and jump.

use std::time::Duration;

/// How long a lease that is not renewed keeps the others away. Longer is a later take-over after a crash.
pub const LEASE: Duration = Duration::from_secs(15);
/// How long after a renewal was **sent** effects may begin. The request of an effect goes out at most 5 seconds after
/// it began (`controller/act/submit.rs`), so that with less than 5 seconds between this and `LEASE` it could go out
/// while another leads.
pub const ACT_WITHIN: Duration = Duration::from_secs(10);
/// How long after a renewal the next is sent. Half of `ACT_WITHIN`: one that is lost can be made again.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How long after a failed write the next is tried.
pub const RETRY_EVERY: Duration = Duration::from_secs(1);
/// The longest that a lease of somebody else is respected, whatever it says of itself.
const LONGEST: Duration = Duration::from_secs(60);

/// A lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who has it; none if it was given up.
    pub holder: Option<String>,
    /// Its resourceVersion, which every write changes.
    pub version: String,
    /// How long it says that it lasts.
    pub lasts: Duration,
    /// Whether nobody is to have it, until somebody takes that back.
    pub drained: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Write ourselves in as the holder.
    Acquire,
    /// Write it again.
    Renew,
    /// Nothing for so long, unless the lease changes.
    Wait(Duration),
    /// We have led and lead no more: stop for good.
    Lost,
}

/// What a process knows of the lease and of its own writes. All times are since it began to contend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    me: String,
    /// As last seen; none where there is no lease.
    lease: Option<Record>,
    /// When this very record was first seen here.
    since: Duration,
    /// When the last accepted write of ours was sent; none while we do not lead.
    renewed: Option<Duration>,
    /// When the last write failed.
    tried: Option<Duration>,
}

impl Ledger {
    /// The knowledge of a process that has just seen the lease for the first time.
    pub const fn new(me: String, lease: Option<Record>, now: Duration) -> Self {
        Self { me, lease, since: now, renewed: None, tried: None }
    }

    /// The lease as last seen.
    pub const fn lease(&self) -> Option<&Record> {
        self.lease.as_ref()
    }

    /// When the last accepted write of ours was sent; none while we do not lead.
    pub const fn renewed(&self) -> Option<Duration> {
        self.renewed
    }

    /// The lease was read. Only a change counts: the same record again keeps the time since which it is known.
    pub fn saw(&mut self, lease: Option<Record>, now: Duration) {
        let version = |lease: &Option<Record>| lease.as_ref().map(|record| record.version.clone());
        if version(&lease) != version(&self.lease) {
            (self.since, self.tried) = (now, None);
        }
        self.lease = lease;
    }

    /// A write of ours that was sent then was accepted. An answer that comes when effects may begin no more is too
    /// late to lead by: they were refused meanwhile.
    pub fn wrote(&mut self, record: Record, sent: Duration, now: Duration) {
        self.saw(Some(record), now);
        if may_act(sent, now) && self.renewed.is_none_or(|before| may_act(before, now)) {
            self.renewed = Some(sent);
        }
    }

    /// A write of ours failed, or nobody knows.
    pub const fn failed(&mut self, now: Duration) {
        self.tried = Some(now);
    }

    /// What is to be done now.
    pub fn judge(&self, now: Duration) -> Verdict {
        let retry = self.tried.map_or(Duration::ZERO, |tried| tried + RETRY_EVERY);
        let holder = self.lease.as_ref().and_then(|lease| lease.holder.as_ref());
        let drained = self.lease.as_ref().is_some_and(|lease| lease.drained);
        let Some(renewed) = self.renewed else {
            if drained {
                return Verdict::Wait(LONGEST);
            }
            let free = match &self.lease {
                // Ours without our knowing: the answer to the write that took it was lost.
                Some(lease) if holder.is_some_and(|holder| *holder != self.me) => {
                    self.since + lease.lasts.clamp(LEASE, LONGEST)
                }
                Some(_) | None => Duration::ZERO,
            };
            return due(free.max(retry), now).map_or(Verdict::Acquire, Verdict::Wait);
        };
        if drained || !may_act(renewed, now) || holder != Some(&self.me) {
            return Verdict::Lost;
        }
        let next = retry.max(renewed + RENEW_EVERY).min(renewed + ACT_WITHIN);
        due(next, now).map_or(Verdict::Renew, Verdict::Wait)
    }
}

/// Whether effects may begin, where the last accepted renewal was sent then.
pub fn may_act(renewed: Duration, now: Duration) -> bool {
    now < renewed + ACT_WITHIN
}

/// How long it is until then; none if it has come.
fn due(then: Duration, now: Duration) -> Option<Duration> {
    then.checked_sub(now).filter(|pause| !pause.is_zero())
}
