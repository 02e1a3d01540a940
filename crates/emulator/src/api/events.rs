//! `GET /events/stream` (contract section 8.2): a hint for each change of a job, best effort and without replay.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::reply::{Note, Reply};
use crate::clock::zulu;
use crate::service::{Change, Control};

/// How often a stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The head of the stream, and its first event.
pub(super) fn open(client: &str) -> Reply {
    let connected = frame("connected", &json!({"client_id": client, "message": "Connected to event stream"}));
    let reply = Reply::of(200, "text/event-stream", connected.into());
    Reply { note: Note { client: Some(client.to_owned()), ..Note::default() }, ..reply }
}

fn frame(event: &str, data: &serde_json::Value) -> Bytes {
    Bytes::from(format!("event: {event}\ndata: {data}\n\n"))
}

struct Stream {
    control: Control,
    client: String,
    changes: Receiver<Change>,
    ready: VecDeque<Bytes>,
    /// When it last said that it is alive.
    beats: tokio::time::Interval,
    sent: u64,
}

/// The first event, and then one for each change of the client's jobs, until nobody reads it any more.
pub(super) fn body(control: Control, client: String, begun: Body) -> Body {
    let changes = control.changes();
    let stream = Stream {
        control,
        client,
        changes,
        ready: VecDeque::new(),
        beats: tokio::time::interval(HEARTBEAT),
        sent: 0,
    };
    let silent = stream.control.world().events.silent;
    let events = stream::unfold(stream, |mut stream| async {
        let next = stream.next().await?;
        Some((Ok::<_, Infallible>(next), stream))
    });
    if silent {
        return Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    }
    Body::from_stream(begun.into_data_stream().map(|bytes| Ok(bytes.unwrap_or_default())).chain(events))
}

impl Stream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            let (due, ends_after) = {
                let world = self.control.world();
                (world.next_due(), world.events.ends_after)
            };
            if ends_after.is_some_and(|most| self.sent >= most) {
                return None;
            }
            tokio::select! {
                biased;
                change = self.changes.recv() => match change {
                    Ok(change) => self.tell(&change),
                    // Best effort.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
                // A look at the service moves what fell due, and so tells of it.
                () = tokio::time::sleep(due) => {}
                _ = self.beats.tick() => {
                    let now = zulu(self.control.world().clock.now());
                    self.ready.push_back(frame("heartbeat", &json!({"timestamp": now})));
                }
            }
        }
    }

    fn tell(&mut self, change: &Change) {
        if change.client != self.client {
            return;
        }
        let (event, id, at) = (change.event(), &change.job_id, zulu(change.at));
        let Some(event) = event else { return };
        let mut data = match event {
            "job.queued" => json!({"job_id": id, "type": change.kind, "created_at": at}),
            "job.started" => json!({"job_id": id, "worker_id": "worker-main-1", "started_at": at}),
            "job.completed" => json!({"job_id": id, "processing_time": 1.5, "results_count": 1}),
            _ => json!({"job_id": id, "error_message": "Worker failed after 3 attempts"}),
        };
        let (lies, times, forged) = self.control.world().event_lies();
        if let Some(data) = data.as_object_mut().filter(|_| lies.padding > 0) {
            data.insert("padding".to_owned(), "x".repeat(lies.padding).into());
        }
        for id in forged {
            self.ready.push_back(frame("job.completed", &json!({"job_id": id})));
        }
        for _ in 0..times {
            self.ready.push_back(frame(event, &data));
        }
        self.sent += 1;
    }
}
