//! What the operator asked of the emulated service, and what that is told to answer.

use emulator::journal::{Event, JobEvent, RequestEvent};
use emulator::rules::Rules;

use super::support::World;

impl World {
    /// The requests that the service saw on a route, oldest first.
    pub fn requests(&self, route: &str) -> Vec<RequestEvent> {
        let entries = self.service.journal(0).entries.into_iter();
        entries
            .filter_map(|entry| match entry.event {
                Event::Request(request) if request.route == route => Some(request),
                Event::Request(_) | Event::Job(_) => None,
            })
            .collect()
    }

    /// The jobs that submits have made, oldest first.
    pub fn made(&self) -> Vec<JobEvent> {
        let entries = self.service.journal(0).entries.into_iter();
        entries
            .filter_map(|entry| match entry.event {
                Event::Job(job) if job.from.is_none() && job.cause == "submit" => Some(job),
                Event::Request(_) | Event::Job(_) => None,
            })
            .collect()
    }

    /// Adds faults, written as YAML.
    pub fn faults(&self, faults: &str) {
        let rules = Rules::parse(&format!("faults: {faults}")).unwrap();
        self.service.add_faults(rules.faults.unwrap_or_default()).unwrap();
    }
}
