//! What a test may ask the service to be like: scripts for jobs, faults for requests, limits, and one switch for each
//! point on which the contract's sources disagree.
//!
//! Plain data and its reading; knows nothing of HTTP or of the state that it acts upon.

mod events;
mod fault;
mod job;
mod limits;
mod switches;

use anyhow::Context;
use serde::{Deserialize, Serialize};

pub use events::EventLies;
pub use fault::{CannedReply, Effect, Fault, Moment, RequestMatch, Trickle, When};
pub use job::{JobMatch, JobRule, Outcome, ScriptStep, Span};
pub use limits::{Limit, Limits, Window};
pub use switches::{
    Deduplication, Engine, ErrorShape, ListLies, SubmitBody, SubmitTime, Switches, Ties, UnknownKeys,
};

pub(crate) use fault::{Armed, Sight};
pub(crate) use job::Step;

/// Everything that can be set. A section that is given replaces that section; one that is absent stays as it was.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// How jobs go. The first rule that matches a submit holds; the built-in one is 1 s queued, 4 s processing, completed.
    pub jobs: Option<Vec<JobRule>>,
    /// What goes wrong. The first fault that fires on a request holds.
    pub faults: Option<Vec<Fault>>,
    /// Rate limits.
    pub limits: Option<Limits>,
    /// De-duplication of submits.
    pub deduplication: Option<Deduplication>,
    /// Points on which the contract's sources disagree.
    pub switches: Option<Switches>,
    /// What the list shows that is not so.
    pub list: Option<ListLies>,
    /// What the stream of events does that it should not.
    pub events: Option<EventLies>,
}

impl Rules {
    /// Reads rules from JSON or YAML.
    ///
    /// # Errors
    /// When the text is neither, has a field that does not exist, or a value that makes no sense.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let rules: Self = read(text)?;
        rules.check()?;
        Ok(rules)
    }

    /// Refuses values that can be written but mean nothing.
    ///
    /// # Errors
    /// Names the section, the position and the reason.
    pub fn check(&self) -> anyhow::Result<()> {
        for (n, rule) in self.jobs.iter().flatten().enumerate() {
            rule.check().with_context(|| format!("jobs[{n}]"))?;
        }
        for (n, fault) in self.faults.iter().flatten().enumerate() {
            fault.check().with_context(|| format!("faults[{n}]"))?;
        }
        self.events.as_ref().map_or(Ok(()), EventLies::check)?;
        if let Some(switches) = &self.switches {
            switches.check()?;
        }
        self.limits.as_ref().map_or(Ok(()), Limits::check)
    }
}

/// Reads JSON or YAML.
pub(crate) fn read<T: serde::de::DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    if text.trim_start().starts_with(['{', '[']) {
        return serde_json::from_str(text).context("not as documented");
    }
    serde_saphyr::from_str(text).context("not as documented")
}
