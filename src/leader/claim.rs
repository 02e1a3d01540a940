//! Which release of the operator works in a namespace, or with an account of the cluster: a verdict on the claims that
//! its accounts bear (`docs/adr/0019`).
//!
//! Pure: ages are by this process's own steady clock. It must never compare wall clocks, which differ between machines.

use std::time::Duration;

/// How long after a renewal was **sent** the next is.
pub const RENEW_EVERY: Duration = Duration::from_secs(60);
/// How long after a renewal was **sent** something may be sent to the service. What begins at the end of it is over
/// before anybody else takes the claim for gone.
pub const SEND_WITHIN: Duration = Duration::from_secs(120);
/// How long a claim of somebody else that is not seen to change counts as alive.
pub const ALIVE_FOR: Duration = Duration::from_secs(180);
/// The longest that a Lease is taken for held, whatever it says of itself.
const LONGEST_LEASE: Duration = Duration::from_secs(60);

/// What accounts are ordered by: when one was made, in seconds of the API server's clock, then its uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age {
    /// `metadata.creationTimestamp`.
    pub created: i64,
    /// `metadata.uid`.
    pub uid: String,
}

/// An account, as far as it may bear a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Its place in the order.
    pub age: Age,
    /// Whether it was deleted: what it bore was true a moment ago, and nothing can be written to it.
    pub gone: bool,
    /// What it bears.
    pub claim: Borne,
}

/// The claim on an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Borne {
    /// None.
    Nothing,
    /// One of this release.
    Ours,
    /// One of another.
    Theirs {
        /// How long it was seen unchanged.
        unchanged_for: Duration,
        /// Whether the Lease that it names is known to be held by nobody any more.
        lapsed: bool,
    },
}

impl Borne {
    const fn is_theirs(self) -> bool {
        matches!(self, Self::Theirs { .. })
    }

    fn is_alive(self) -> bool {
        match self {
            Self::Theirs { unchanged_for, lapsed } => !lapsed && unchanged_for < ALIVE_FOR,
            Self::Nothing | Self::Ours => false,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is nothing that could bear a claim, and nothing to be sent with.
    Free,
    /// Have the claim of this release on this account, and renew it there.
    Hold(Age),
    /// Take the claim off this account first: one that is gone, or a second one of our own.
    Clear(Age),
    /// Take our own claim off this account: another release holds an older one.
    Withdraw(Age),
    /// Do nothing: another release works, by its claim on this account.
    Yield(Age),
}

/// What to do where these accounts are. `holds`: whether this very process has renewed a claim of ours lately enough.
///
/// Of several live claims the one on the oldest account holds. Who does not hold yet begins beside none that is alive,
/// and takes every claim that is gone off first: whoever made it and comes back then finds that it has lost.
pub fn judge(bearers: &[Bearer], holds: bool) -> Verdict {
    let oldest = |wanted: &dyn Fn(&&Bearer) -> bool| {
        bearers.iter().filter(wanted).min_by(|first, second| first.age.cmp(&second.age))
    };
    let ours = oldest(&|bearer| !bearer.gone && bearer.claim == Borne::Ours);
    let theirs = oldest(&|bearer| bearer.claim.is_alive() && !(holds && bearer.gone));
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if !theirs.gone && theirs.age < ours.age => {
            return Verdict::Withdraw(ours.age.clone());
        }
        (Some(_), Some(_)) if holds => {}
        (_, Some(theirs)) => return Verdict::Yield(theirs.age.clone()),
        (_, None) => {}
    }
    let Some(target) = ours.or_else(|| oldest(&|bearer| !bearer.gone)) else { return Verdict::Free };
    let needless = |bearer: &&Bearer| {
        let claimed = bearer.claim == Borne::Ours || (bearer.claim.is_theirs() && !bearer.claim.is_alive());
        !bearer.gone && claimed && bearer.age != target.age
    };
    match oldest(&needless) {
        Some(needless) => Verdict::Clear(needless.age.clone()),
        None => Verdict::Hold(target.age.clone()),
    }
}

/// Whether something may be sent to the service, where the last accepted renewal was sent so long ago.
pub fn may_send(since_renewal: Duration) -> bool {
    since_renewal < SEND_WITHIN
}

/// Whether nobody holds a Lease any more that says that it lasts so long and was seen unchanged for that time. One that
/// says nothing lasts as long as ours.
pub fn has_lapsed(lasts: Duration, unchanged_for: Duration) -> bool {
    let lasts = if lasts.is_zero() { super::LEASE } else { lasts.min(LONGEST_LEASE) };
    unchanged_for >= lasts
}
