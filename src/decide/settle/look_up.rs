//! What came of a look at the list of jobs, for a submit whose outcome is not known.

use std::time::Duration;

use super::Settling;
use crate::api::Reason;
use crate::decide::facts::Trouble;
use crate::decide::message::{Ambiguous, Cancel, Unknown, Unsettled};
use crate::decide::plan::{Again, Candidate, Listed, LookUp, Plan, Standing};

/// How many candidates a hold names.
const NAMED: usize = 5;

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
            self.standing = Some(match wanted {
                LookUp::ToRelease => Standing::Cancelling(Cancel::ListUnread.into()),
                LookUp::ToHold | LookUp::ToAdopt => Standing::Unknown(Unknown::ListUnread.into()),
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
        let why = Unsettled::Ambiguous(Ambiguous {
            named: candidates.iter().take(NAMED).cloned().collect(),
            more: unread || candidates.len() > NAMED,
            on_ambiguous: self.o.job.spec.on_ambiguous(),
        });
        self.standing = Some(Standing::Held(Reason::SubmissionAmbiguous, why.into()));
    }
}
