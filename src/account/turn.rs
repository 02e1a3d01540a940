//! A turn in the budget, taken only where this release works.

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
