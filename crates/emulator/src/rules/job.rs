//! Scripts for jobs: how long in which state, how it ends, and with what.

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use super::switches::Engine;
use crate::clock::{Micros, seconds};

/// Which submits a script is for, and the script. All times are seconds of job time.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobRule {
    /// Which submits; everything by default.
    #[serde(rename = "match")]
    pub matches: JobMatch,
    /// Only for that many submits that match.
    pub first: Option<u32>,
    /// Time from the submit to the first attempt.
    pub queued: Span,
    /// Time of each attempt.
    pub processing: Span,
    /// Attempts needed, 1 to 100. Each but the last goes back to `queued` for `backoff`.
    pub attempts: u32,
    /// Time between two attempts.
    pub backoff: Span,
    /// State at the end: `completed`, `failed`, `cancelled` (as by the service's watchdog), `partial`, or any other word.
    /// `queued` never leaves the queue, `processing` never ends.
    pub end: String,
    /// The whole course by hand, instead of the five fields above.
    pub steps: Option<Vec<ScriptStep>>,
    /// What the results hold.
    pub result: Outcome,
}

/// Which submits a rule is for; every condition given must hold.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobMatch {
    /// The job's type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// A part of the payload's `url`, `search_query` or `research.question`.
    pub contains: Option<String>,
    /// Values of payload fields, with defaults filled, by dotted path.
    pub fields: BTreeMap<String, Value>,
    /// The client's id.
    pub client: Option<String>,
}

/// One state of a course by hand.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptStep {
    /// The state's word.
    pub state: String,
    /// How long it lasts; without it, for ever.
    #[serde(rename = "for", default)]
    pub lasts: Option<Span>,
}

/// A fixed time in seconds, or `[least, most]` drawn evenly from the seed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Span {
    /// Seconds.
    Fixed(f64),
    /// Least and most seconds.
    Between(f64, f64),
}

/// What results hold, and the few numbers that the status shows of them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outcome {
    /// `data`, literally; without it, what is built in for the type.
    pub data: Option<Value>,
    /// `error_message`; a failed job has a text by default.
    pub error_message: Option<String>,
    /// Number of pages, of types that crawl.
    pub pages_crawled: Option<u64>,
    /// Bytes of filler added to built-in data as `markdown_compendium`.
    pub padding: usize,
}

/// One step of a job's course.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// Time since the submit.
    pub(crate) after: Micros,
    pub(crate) state: String,
    /// False when the service does not tell (contract section 3: a first attempt that still reads `queued`).
    pub(crate) shown: bool,
}

impl Default for JobRule {
    fn default() -> Self {
        Self {
            matches: JobMatch::default(),
            first: None,
            queued: Span::Fixed(1.0),
            processing: Span::Fixed(4.0),
            attempts: 1,
            backoff: Span::Fixed(1.0),
            end: "completed".to_owned(),
            steps: None,
            result: Outcome::default(),
        }
    }
}

impl Span {
    pub(crate) fn draw(self, random: &mut fastrand::Rng) -> Micros {
        match self {
            Self::Fixed(value) => seconds(value),
            Self::Between(least, most) => seconds(least + (most - least) * random.f64()),
        }
    }

    pub(super) fn check(self) -> anyhow::Result<()> {
        let (least, most) = match self {
            Self::Fixed(value) => (value, value),
            Self::Between(least, most) => (least, most),
        };
        ensure!(
            least >= 0.0 && least <= most && most.is_finite(),
            "a time is seconds, or [least, most], not negative"
        );
        Ok(())
    }
}

impl JobRule {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for span in [self.queued, self.processing, self.backoff] {
            span.check()?;
        }
        ensure!((1..=100).contains(&self.attempts), "attempts must be from 1 to 100");
        ensure!(!self.end.is_empty(), "end must not be empty");
        let Some(steps) = &self.steps else { return Ok(()) };
        ensure!(!steps.is_empty(), "steps must not be empty");
        for (n, step) in steps.iter().enumerate() {
            ensure!(
                step.lasts.is_some() || n + 1 == steps.len(),
                "steps[{n}]: only the last one may last for ever"
            );
            step.lasts.map_or(Ok(()), Span::check)?;
        }
        Ok(())
    }

    /// The course of one job, its first step at zero.
    pub(crate) fn course(&self, engine: Engine, random: &mut fastrand::Rng) -> Vec<Step> {
        let mut course = Vec::new();
        let mut after = 0;
        let mut push =
            |after, state: &str, shown| course.push(Step { after, state: state.to_owned(), shown });
        if let Some(steps) = &self.steps {
            for step in steps {
                push(after, &step.state, true);
                after += step.lasts.map_or(0, |span| span.draw(random));
            }
            return course;
        }
        push(0, "queued", true);
        if self.end == "queued" {
            return course;
        }
        after += self.queued.draw(random);
        for attempt in 1..=self.attempts {
            push(after, "processing", attempt > 1 || engine == Engine::Documented);
            after += self.processing.draw(random);
            if attempt < self.attempts {
                push(after, "queued", true);
                after += self.backoff.draw(random);
            }
        }
        if self.end != "processing" {
            push(after, &self.end, true);
        }
        course
    }
}

impl JobMatch {
    pub(crate) fn hits(&self, client: &str, kind: &str, payload: &Value) -> bool {
        let same = |wanted: &Option<String>, got: &str| wanted.as_ref().is_none_or(|w| w == got);
        let texts = ["url", "search_query", "research.question"];
        let contains = self.contains.as_ref().is_none_or(|part| {
            texts.iter().any(|path| {
                dig(payload, path).and_then(Value::as_str).is_some_and(|text| text.contains(part))
            })
        });
        let fields = self.fields.iter().all(|(path, value)| dig(payload, path) == Some(value));
        same(&self.kind, kind) && same(&self.client, client) && contains && fields
    }
}

/// The value at a dotted path.
fn dig<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rules;

    fn check(rule: &str, engine: Engine, want: &str) {
        let rules = Rules::parse(&format!("jobs: [{rule}]")).unwrap();
        let course = rules.jobs.unwrap()[0].course(engine, &mut fastrand::Rng::with_seed(1));
        let got: Vec<_> = course
            .iter()
            .map(|s| format!("{}{}@{}", s.state, if s.shown { "" } else { "?" }, s.after / 1_000_000))
            .collect();
        assert_eq!(got.join(" "), want, "{rule}");
    }

    #[test]
    fn courses() {
        use Engine::{Documented, Retries};
        check("{}", Documented, "queued@0 processing@1 completed@5");
        check("{}", Retries, "queued@0 processing?@1 completed@5");
        check("{end: queued}", Documented, "queued@0");
        check("{end: processing, queued: 0}", Documented, "queued@0 processing@0");
        check("{end: enriching}", Documented, "queued@0 processing@1 enriching@5");
        check(
            "{attempts: 2, end: failed}",
            Documented,
            "queued@0 processing@1 queued@5 processing@6 failed@10",
        );
        check("{attempts: 2}", Retries, "queued@0 processing?@1 queued@5 processing@6 completed@10");
        let steps = "{steps: [{state: queued, for: 2}, {state: polling, for: 3}, {state: partial}]}";
        check(steps, Documented, "queued@0 polling@2 partial@5");
    }

    #[test]
    fn drawn_times_stay_between_and_follow_the_seed() {
        let draw = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            (0..100).map(|_| Span::Between(1.0, 2.0).draw(&mut random)).collect::<Vec<_>>()
        };
        assert!(draw(7).iter().all(|t| (1_000_000..=2_000_000).contains(t)));
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
