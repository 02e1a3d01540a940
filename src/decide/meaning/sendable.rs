//! Whether a submit may be sent with an account now.

use crate::api::Reason;
use crate::decide::facts::{AccountFacts, AccountUse};
use crate::decide::message::{Message, Wait};
use crate::decide::plan::Standing;

/// The account, if a submit may be sent with it now; else how the job stands.
pub(in crate::decide) fn sendable(account: &AccountFacts) -> Result<&AccountUse, Standing> {
    match account {
        AccountFacts::Missing { kind, name } => {
            let wait = Wait::NoAccount { kind: *kind, name: name.clone() };
            Err(Standing::Waiting(Reason::AccountNotFound, wait.into()))
        }
        AccountFacts::Unusable { reason, message, fingerprint: _ } => {
            let own = matches!(
                reason,
                Reason::CredentialsMissing | Reason::NamespaceNotAllowed | Reason::ServiceUnavailable
            );
            let reason = if own { *reason } else { Reason::AccountNotReady };
            Err(Standing::Waiting(reason, Message::Said(message.clone())))
        }
        AccountFacts::Rejected { since, message, fingerprint: _ } => {
            Err(Standing::Rejected(*since, Wait::Rejected(message.clone()).into()))
        }
        AccountFacts::Usable(account) => {
            if let Some((reason, words)) = &account.barred {
                return Err(Standing::Waiting(*reason, Message::Said(words.clone())));
            }
            if let Some((since, words)) = &account.rejected {
                return Err(Standing::Rejected(*since, Wait::Rejected(words.clone()).into()));
            }
            if account.suspended {
                let wait = Wait::AccountSuspended(account.title());
                return Err(Standing::Waiting(Reason::AccountNotReady, wait.into()));
            }
            Ok(account)
        }
    }
}
