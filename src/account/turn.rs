//! A turn in the budget, taken only where this release works.

use std::time::Duration;

use crate::budget::{Gate, Lane, Permit};
use crate::leader::{Claims, Scope};

/// A turn, once this release works there, and if it still does when the turn has come.
pub(super) async fn turn(
    (claims, scope): (&Claims, &Scope),
    gate: &Gate,
    (lane, group, subject): (Lane, &str, &str),
) -> Permit {
    loop {
        claims.until_held(scope).await;
        let permit = gate.acquire(lane, group, subject).await;
        if claims.may_send(scope) {
            return permit;
        }
    }
}

/// How long a claim is waited for that is written when a release begins to work somewhere.
const CLAIMED_WITHIN: Duration = Duration::from_secs(5);

/// The same for what another account can do as well: nothing where this release does not work there, or not any more when
/// the turn has come.
pub(super) async fn soon_turn(
    (claims, scope): (&Claims, &Scope),
    gate: &Gate,
    (lane, group, subject): (Lane, &str, &str),
) -> Option<Permit> {
    tokio::time::timeout(CLAIMED_WITHIN, claims.until_held(scope)).await.ok()?;
    let permit = gate.acquire(lane, group, subject).await;
    claims.may_send(scope).then_some(permit)
}
