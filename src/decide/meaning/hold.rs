//! What holds a job: what it waits to see changed before it is decided on anew.

use sha2::{Digest, Sha256};

use super::submission::{Intended, intended};
use crate::api::{Reason, State};
use crate::decide::facts::Observed;
use crate::decide::message::Message;
use crate::decide::plan::Standing;
use crate::decide::record::{IntentFacts, KeptBody};

/// A hold lasts until the Secret, the account or `onAmbiguous` changes, or somebody asks for a look.
pub(in crate::decide) fn still_held(o: &Observed) -> Option<Standing> {
    let reason = o.recorded.reason.as_deref().and_then(Reason::parse)?;
    let same = o.recorded.held_on.as_deref() == Some(hold_key(o).as_str());
    let clears_by_itself = matches!(reason, Reason::SpendCapReached | Reason::NotServed);
    (o.recorded.current_state() == State::Held && same && !clears_by_itself)
        .then(|| Standing::Held(reason, Message::Said(o.recorded.message.clone().unwrap_or_default())))
}

/// What a held job waits to see changed, as a short hash.
pub(in crate::decide) fn hold_key(o: &Observed) -> String {
    let body = o.job.body.as_ref().map(KeptBody::hold_name).unwrap_or_default();
    let requested = o.job.marks.requested.as_deref().unwrap_or_default();
    let undecided = o.intent == IntentFacts::Unreadable
        || matches!(intended(o), Intended::Unclear(_) | Intended::Unproven(_));
    let client = o.account.usable().and_then(|account| account.client_id.as_deref()).unwrap_or_default();
    let all = format!(
        "{}/{client}/{:?}/{body}/{requested}/{undecided}",
        o.account.fingerprint(),
        o.job.spec.on_ambiguous()
    );
    hex::encode(Sha256::digest(all)).chars().take(16).collect()
}
