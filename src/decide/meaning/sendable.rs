//! Whether a submit may be sent with an account now.

use crate::api::{AccountKind, Reason};
use crate::decide::facts::{AccountFacts, AccountUse};
use crate::decide::plan::Standing;

/// The account, if a submit may be sent with it now; else how the job stands.
pub(in crate::decide) fn sendable(account: &AccountFacts) -> Result<&AccountUse, Standing> {
    match account {
        AccountFacts::Missing { kind, name } => {
            let place = match kind {
                AccountKind::ScrapeAccount => " in this namespace",
                AccountKind::ClusterScrapeAccount => "",
            };
            let message = format!("{} {name} does not exist{place}; create it", kind.as_str());
            Err(Standing::Waiting(Reason::AccountNotFound, message))
        }
        AccountFacts::Unusable { reason, message, fingerprint: _ } => {
            let own = matches!(
                reason,
                Reason::CredentialsMissing | Reason::NamespaceNotAllowed | Reason::ServiceUnavailable
            );
            let reason = if own { *reason } else { Reason::AccountNotReady };
            Err(Standing::Waiting(reason, message.clone()))
        }
        AccountFacts::Rejected { since, message, fingerprint: _ } => {
            Err(Standing::Rejected(*since, message.clone()))
        }
        AccountFacts::Usable(account) => {
            if let Some((reason, words)) = &account.barred {
                return Err(Standing::Waiting(*reason, words.clone()));
            }
            if let Some((since, words)) = &account.rejected {
                return Err(Standing::Rejected(*since, words.clone()));
            }
            if account.suspended {
                return Err(Standing::Waiting(
                    Reason::AccountNotReady,
                    format!("{} is suspended; set its spec.suspend to false to go on", account.title()),
                ));
            }
            Ok(account)
        }
    }
}
