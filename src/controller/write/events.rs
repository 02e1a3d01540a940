//! Publishes events: what people are told beside a status.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::api::{MESSAGE_MAX, Reason};
use crate::controller::context::Context;
use crate::health::waiting;
use crate::kubernetes::{said_of, said_of_status};

impl Context {
    /// Publishes events, and returns those that nobody has heard of yet: the API server did not answer. What it refuses
    /// counts as told, since it would refuse it again.
    #[must_use = "what names a job that nothing else does has to be told"]
    pub(in crate::controller) async fn publish(
        &self,
        reference: &ObjectReference,
        events: &[crate::decide::Event],
    ) -> Vec<crate::decide::Event> {
        let mut untold = Vec::new();
        for event in events {
            let costs = matches!(event.reason, Reason::Orphaned | Reason::LeftRunning);
            let job = reference.uid.as_deref().filter(|_| reference.kind.as_deref() == Some("ScrapeJob"));
            // Whoever has an object change its state in a loop floods nobody; what may still cost money is always told.
            if !costs && job.is_some_and(|uid| !self.paces.may_tell(uid, self.clock.instant())) {
                continue;
            }
            let note: String = bounded(&event.note.to_string());
            let published = Event {
                type_: if event.warning { EventType::Warning } else { EventType::Normal },
                reason: event.reason.as_str().to_owned(),
                note: Some(note.clone()),
                action: "Reconcile".to_owned(),
                secondary: None,
            };
            let name = reference.name.as_deref().unwrap_or_default();
            tracing::info!(object = name, reason = event.reason.as_str(), note, "event");
            let mut result = self.record(&published, reference).await;
            if let (Told::Refused, Some(namespace), true) =
                (&result, &reference.namespace, costs || event.warning)
            {
                // Nothing can be created in a namespace that is going, nor about the longest names; what costs money is
                // said beside it.
                let with_name = format!("{name}: {note}");
                let beside = Event { note: Some(bounded(&with_name)), ..published };
                result = self.record(&beside, &about_namespace(namespace)).await;
            }
            if result == Told::Unanswered {
                untold.push(event.clone());
            } else if event.reason == Reason::Orphaned {
                self.metrics.orphaned();
            }
        }
        untold
    }

    /// Publishes one event that the status, a metric or the log tells as well.
    pub(in crate::controller) async fn tell(&self, reference: &ObjectReference, event: crate::decide::Event) {
        // Whoever misses it finds the same there.
        drop(self.publish(reference, &[event]).await);
    }

    /// Publishes one event, with a few tries. The recorder is a new one each time, which remembers nothing: else a
    /// second event of the same reason would be a mere count of the first, and its words, which may name another job,
    /// would be lost.
    async fn record(&self, event: &Event, about: &ObjectReference) -> Told {
        let reporter = Reporter { controller: "spideriq-operator".to_owned(), instance: None };
        let name = about.name.as_deref().unwrap_or_default();
        for pause in TOLD_AGAIN {
            waiting(tokio::time::sleep(pause)).await;
            let recorder = Recorder::new(self.client.clone(), reporter.clone());
            let error = match waiting(tokio::time::timeout(TOLD_WITHIN, recorder.publish(event, about))).await
            {
                Ok(Ok(())) => return Told::Yes,
                // No right, no such namespace, a name too long: trying again does not help, but where it is asked to.
                Ok(Err(kube::Error::Api(refusal)))
                    if (400..500).contains(&refusal.code)
                        && ![401, 408, 409, 429].contains(&refusal.code) =>
                {
                    tracing::warn!(object = name, reason = said_of_status(&refusal), "an event is not taken");
                    return Told::Refused;
                }
                Ok(Err(error)) => said_of(&error),
                Err(_) => "no answer in time".to_owned(),
            };
            tracing::warn!(object = name, error, "an event could not be published");
        }
        Told::Unanswered
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The API server has it.
    Yes,
    /// It does not want it, now or later.
    Refused,
    /// Nobody knows.
    Unanswered,
}

/// The pauses before each try to publish an event.
const TOLD_AGAIN: [std::time::Duration; 3] =
    [std::time::Duration::ZERO, std::time::Duration::from_millis(500), std::time::Duration::from_secs(2)];

/// How long the API server may take to take an event.
const TOLD_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Events about a namespace are kept in the namespace `default`.
fn about_namespace(name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Namespace".to_owned()),
        name: Some(name.to_owned()),
        ..ObjectReference::default()
    }
}

/// The API server refuses a note of more than 1 kB.
fn bounded(note: &str) -> String {
    note.get(..note.floor_char_boundary(MESSAGE_MAX)).unwrap_or_default().to_owned()
}
