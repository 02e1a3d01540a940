//! Decides about a situation that is written down, without a cluster and without the service.

mod manifest;

pub use manifest::manifest;

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Owed, ScrapeJob};
use crate::cache::{CachedJob, intent_of, job_facts, recorded};
use crate::decide::{
    self, AccountFacts, AccountUse, Again, Event, LookUp, Memory, Observed, Outcome, Plan, Standing, Verdict,
    Watched,
};
use crate::status::{compute, difference, same_meaning};

/// What is known beside the object itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Facts {
    /// The moment.
    pub now: Timestamp,
    /// The account; left out, one that can be used.
    #[serde(default = "usable")]
    pub account: AccountFacts,
    /// What polling knows of the job.
    #[serde(default)]
    pub watched: Watched,
    /// What the process remembers.
    #[serde(default)]
    pub memory: Memory,
    /// What came of the plan's effect; left out, only what would be done is said.
    #[serde(default)]
    pub outcome: Option<Outcome>,
}

fn usable() -> AccountFacts {
    AccountFacts::Usable(AccountUse::default())
}

/// What would be done, and what would be true then.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// The plan in a few words.
    pub plan: String,
    /// Why, or what that means.
    pub because: String,
    /// What people are told before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tells: Option<String>,
    /// What is true afterwards, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<Then>,
}

/// What is true after a plan.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Then {
    /// State and reason; absent where the status is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Status and reason of each condition.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, String>,
    /// What is written to the status beside that.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub writes: Value,
    /// What people are told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// When it is looked at again, if nothing changes before.
    pub again: String,
}

/// Everything that a decision may look at.
pub fn observed(job: &ScrapeJob, facts: &Facts) -> Observed {
    let intent = intent_of(job);
    Observed {
        now: facts.now,
        steady: facts.now,
        job: job_facts(&CachedJob::from(job.clone())),
        recorded: recorded(job, &intent),
        intent,
        account: facts.account.clone(),
        watched: facts.watched.clone(),
        memory: facts.memory.clone(),
        nonce: "nonce-of-this-attempt".to_owned(),
    }
}

/// Decides.
pub fn plan(job: &ScrapeJob, facts: &Facts) -> Planned {
    let observed = observed(job, facts);
    let plan = decide::next(&observed);
    let (words, because, effect) = describe(&plan);
    let outcome = facts.outcome.clone().or_else(|| (!effect).then_some(Outcome::Done));
    let then = outcome.map(|outcome| then(&observed, &decide::settle(&observed, &plan, &outcome)));
    let tells = if let Plan::Release(event) | Plan::Begin(event) = &plan {
        event.as_ref()
    } else if let Plan::Abandon(event) = &plan {
        Some(event)
    } else {
        None
    };
    Planned { plan: words, because, tells: tells.map(told), then }
}

/// The plan in a few words, why, and whether it has an effect whose outcome has to be known.
fn describe(plan: &Plan) -> (String, String, bool) {
    let (words, because, effect) = match plan {
        Plan::Rest(standing) => ("rest", rests(standing), false),
        Plan::Leave => ("leave alone", "the annotation spideriq.ai/paused asks for it".to_owned(), false),
        Plan::Submit(attempt) => {
            let words = format!("submit, attempt {}", attempt.number());
            let because = match (attempt.capped, attempt.asked) {
                (false, _) => "intent, status, request: each write preconditioned on the one before",
                (true, false) => {
                    "the spend cap is reached: in line until one submit of the account has found it raised"
                }
                (true, true) => {
                    "the spend cap is reached, and a look is asked for: the next submit of the account tries it at once"
                }
            };
            return (words, because.to_owned(), true);
        }
        Plan::Adopt(job_id) => {
            return (format!("adopt job {job_id}"), "the intent names it as ours".to_owned(), false);
        }
        Plan::LookUp(why) => {
            let because = match why {
                LookUp::ToHold => "to name the candidates to the person who decides",
                LookUp::ToAdopt => "to take the only job that the submit can have made",
                LookUp::ToRelease => "to name what may be left running when the run ends",
            };
            ("read the list of jobs once", because.to_owned(), true)
        }
        Plan::Look => ("read the job's status now", "somebody asked for a look".to_owned(), true),
        Plan::Confirm => {
            ("read the job's status now", "it was cancelled; the status decides".to_owned(), true)
        }
        Plan::Read(Owed::Details) => ("read the job's details", "it is completed".to_owned(), true),
        Plan::Read(Owed::Results) => ("read the summary of the results", "the job is over".to_owned(), true),
        Plan::Protect(intent) => {
            let what = if intent.is_some() { "finalizer and intent" } else { "finalizer" };
            (what, "a live job that deletion may have to cancel is protected".to_owned(), false)
        }
        Plan::Latch(reason) => {
            return (format!("record {reason:?}"), "before the service is told".to_owned(), false);
        }
        Plan::Cancel => {
            ("cancel the job", "unless a live list shows that another object shares it".to_owned(), true)
        }
        Plan::Abandon(_) => ("end the run", "something may still run at the service".to_owned(), false),
        Plan::Begin(_) => ("begin the wanted run", "the run before is ended".to_owned(), false),
        Plan::Expire => ("delete the object", "spec.ttlSecondsAfterFinished are over".to_owned(), true),
        Plan::Release(_) => {
            ("take the finalizer off", "nothing is left to do at the service".to_owned(), false)
        }
    };
    (words.to_owned(), because, effect)
}

fn told(event: &Event) -> String {
    let kind = if event.warning { "Warning" } else { "Normal" };
    format!("{kind} {}: {}", event.reason.as_str(), event.note)
}

fn rests(standing: &Standing) -> String {
    match standing {
        Standing::Waiting(_, message)
        | Standing::Rejected(_, message)
        | Standing::Unknown(message)
        | Standing::Held(_, message)
        | Standing::Following(_, _, message)
        | Standing::Cancelling(message)
        | Standing::Ended(_, _, message) => message.to_string(),
        Standing::Suspended => "spec.suspend holds back the submit".to_owned(),
        Standing::Submitting => "the submit is being sent".to_owned(),
    }
}

fn then(o: &Observed, verdict: &Verdict) -> Then {
    let ready_when = o.job.spec.ready_when.unwrap_or_default();
    let status = compute(verdict, &o.recorded, ready_when, o.job.generation, o.now);
    let written =
        status.as_ref().filter(|status| !o.recorded.is_written() || !same_meaning(status, &o.recorded));
    let mut writes = written.map_or(Value::Null, |status| difference(&o.recorded, status));
    if let Value::Object(fields) = &mut writes {
        // Said above, in a form that can be read.
        fields.retain(|field, _| {
            !["conditions", "state", "reason", "message", "finished"].contains(&field.as_str())
        });
    }
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    Then {
        state: status.as_ref().map(|status| format!("{} {}", word(&status.state), word(&status.reason))),
        message: status.as_ref().and_then(|status| status.message.clone()),
        conditions: status
            .iter()
            .flat_map(|status| &status.conditions)
            .map(|condition| {
                (condition.type_.clone(), format!("{:?} {}", condition.status, condition.reason))
            })
            .collect(),
        writes,
        events: verdict.events.iter().map(told).collect(),
        again: match verdict.again {
            Again::Live => "at once, live".to_owned(),
            Again::After(pause) if pause.is_zero() => "at once".to_owned(),
            Again::After(pause) => format!("after {} s", pause.as_secs()),
            Again::OnChange => "on a change".to_owned(),
        },
    }
}
