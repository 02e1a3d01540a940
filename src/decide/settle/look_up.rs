//! What came of a look at the list of jobs, for a submit whose outcome is not known.

use std::time::Duration;

use super::Settling;
use crate::api::{OnAmbiguous, Reason};
use crate::decide::facts::Trouble;
use crate::decide::plan::{Again, Candidate, Listed, LookUp, Plan, Standing};

impl Settling<'_> {
    pub(super) fn candidates(&mut self, plan: &Plan, found: &Result<Listed, Trouble>) {
        let mut listed: Vec<&Candidate> = found.iter().flat_map(|listed| &listed.jobs).collect();
        // What was made first since the first attempt is the likeliest: it is named, however many there are.
        listed.sort_by_key(|candidate| (candidate.created_at.is_none(), candidate.created_at));
        let partly = found.as_ref().is_ok_and(|listed| listed.partly);
        let free: Vec<String> = listed
            .iter()
            .filter(|candidate| !candidate.claimed)
            .map(|candidate| candidate.job_id.clone())
            .collect();
        let contested = listed.iter().any(|candidate| candidate.contested);
        let wanted = if let Plan::LookUp(wanted) = plan { *wanted } else { LookUp::ToHold };
        if found.is_err() && (self.memory.tries < 3 || wanted == LookUp::ToRelease) {
            self.retry();
            let message =
                "the outcome of a submit is not known, and the list of jobs cannot be read yet".to_owned();
            self.standing = Some(match wanted {
                LookUp::ToRelease => Standing::Cancelling(message),
                LookUp::ToHold | LookUp::ToAdopt => Standing::Unknown(message),
            });
            return;
        }
        self.memory.tries = 0;
        match (wanted, free.as_slice()) {
            (LookUp::ToRelease, _) => {
                self.memory.candidates = Some(free);
                self.memory.listed_partly = partly;
                self.leave(Again::After(Duration::ZERO));
            }
            (LookUp::ToAdopt, [only]) if !contested && !partly => self.adopt(only),
            (LookUp::ToAdopt | LookUp::ToHold, _) => self.hold_ambiguous(&free, found.is_err() || partly),
        }
    }

    fn hold_ambiguous(&mut self, candidates: &[String], unread: bool) {
        let named = if candidates.is_empty() && unread {
            "the list of jobs could not be read through".to_owned()
        } else if candidates.is_empty() {
            "the list of jobs names none that it could have made".to_owned()
        } else {
            let more = if candidates.len() > 5 || unread { ", …" } else { "" };
            format!(
                "it may have made {}{more}",
                candidates.iter().take(5).cloned().collect::<Vec<_>>().join(", ")
            )
        };
        let adopt = "set spec.submission.onAmbiguous to Adopt to take the only such job";
        let resubmit = "to Resubmit to submit again and perhaps pay twice";
        let exit = match self.o.job.spec.on_ambiguous() {
            OnAmbiguous::Auto | OnAmbiguous::Hold => format!("{adopt}, or {resubmit}"),
            OnAmbiguous::Resubmit => adopt.to_owned(),
            OnAmbiguous::Adopt => format!("set spec.submission.onAmbiguous {resubmit}"),
        };
        let again = "annotate with spideriq.ai/reconcile-requested-at to read the list again";
        self.standing = Some(Standing::Held(
            Reason::SubmissionAmbiguous,
            format!("a submit was sent and its outcome is not known; {named}; {exit}, or {again}"),
        ));
    }
}
