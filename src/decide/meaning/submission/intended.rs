//! What the intent says of a submit that the status knows nothing of: a restored backup, a status that was removed.

use super::intent::Fit;
use super::record::Submission;
use crate::decide::facts::{Named, Observed};
use crate::decide::record::{Intent, IntentFacts};

/// What the intent says.
#[derive(Clone, Copy, Debug)]
pub(in crate::decide) enum Intended<'a> {
    /// Nothing of this submit.
    Nothing,
    /// It was made, or may have been.
    Ours(&'a Intent),
    /// The same, if it was by this client.
    Unclear(&'a Intent),
    /// The same, if it can be believed: the account is the cluster's.
    Unproven(&'a Intent),
}

pub(in crate::decide) fn intended(o: &Observed) -> Intended<'_> {
    let IntentFacts::Found(intent) = &o.intent else { return Intended::Nothing };
    // With our own uid and without a job it was written, and nothing was sent: that needs a status.
    let never_sent = intent.uid == o.job.uid && intent.job_id.is_none();
    if never_sent || Submission::of(&o.recorded) != Submission::Nothing {
        return Intended::Nothing;
    }
    let shared = o.account.usable().is_some_and(|account| account.named != Named::Own);
    match intent.fit(&o.job, o.account.usable()) {
        Fit::Other => Intended::Nothing,
        Fit::Same | Fit::Unclear if shared => Intended::Unproven(intent),
        Fit::Same => Intended::Ours(intent),
        Fit::Unclear => Intended::Unclear(intent),
    }
}

/// The job that an intent names as ours.
pub(in crate::decide) fn adoptable(o: &Observed) -> Option<String> {
    match intended(o) {
        Intended::Ours(intent) => intent.job_id.clone(),
        Intended::Nothing | Intended::Unclear(_) | Intended::Unproven(_) => None,
    }
}
