//! `POST /jobs/{type}/submit` (contract section 2.1, J1).

use serde_json::{Value, json};

use super::reply::{Refusal, Reply};
use super::route::Call;
use crate::clock::{naive_micros, zulu};
use crate::jobs::payload::{Problem, problem, validate};
use crate::jobs::{dedup_key, default_priority};
use crate::rules::{SubmitBody, SubmitTime};
use crate::service::{Order, World};

pub(super) fn submit(world: &mut World, call: &Call, client: &str, kind: &str) -> Result<Reply, Refusal> {
    let default = default_priority(kind).ok_or_else(|| Refusal::new(404, "NOT_FOUND", "Not Found"))?;
    let code = world.switches.validation_code;
    let invalid = |problems: Vec<Problem>| Refusal::invalid(code, "body", &problems);
    let body = parse(call).map_err(|text| invalid(vec![problem("", text)]))?;
    let (payload, priority) = unwrap(&body, default).map_err(invalid)?;
    let payload = validate(kind, payload, world.switches.unknown_keys).map_err(invalid)?;

    let rules = &world.deduplication;
    let key = dedup_key(client, kind, &payload, rules.priority_in_key.then_some(priority));
    let now = world.clock.now();
    let repeats = rules.never.iter().any(|never| never == kind);
    let given = world.store.earlier(&key, now, world.window()).filter(|_| !repeats);
    let earlier = given.filter(|job| rules.cancelled || job.state() != "cancelled").map(|job| job.id.clone());
    let from_cache = earlier.is_some();
    let id = earlier.unwrap_or_else(|| {
        let order = Order {
            id: None,
            client: client.to_owned(),
            kind: kind.to_owned(),
            payload: payload.clone(),
            priority,
            created_at: Some(now),
            rule: None,
            cause: "submit",
        };
        let id = world.create(order);
        world.store.remember(key, now);
        id
    });
    let mut reply = Reply::json(201, &accepted(world, &id, from_cache)).about(&id);
    reply.note.payload = Some(payload);
    reply.note.from_cache = Some(from_cache);
    Ok(reply)
}

/// JSON, or YAML when the body says so (contract section 1).
fn parse(call: &Call) -> Result<Value, String> {
    if call.yaml {
        let text = std::str::from_utf8(&call.body).map_err(|e| format!("YAML decode error: {e}"))?;
        return serde_saphyr::from_str(text).map_err(|e| format!("YAML decode error: {e}"));
    }
    serde_json::from_slice(&call.body).map_err(|e| format!("JSON decode error: {e}"))
}

/// Takes `payload` and its sibling `priority` out of the body.
fn unwrap(body: &Value, default: i64) -> Result<(&Value, i64), Vec<Problem>> {
    let mut problems = Vec::new();
    let payload = match body.get("payload") {
        None | Some(Value::Null) => {
            problems.push(problem("payload", "Field required"));
            body
        }
        Some(payload) => {
            if !payload.is_object() {
                problems.push(problem("payload", "Input should be an object"));
            }
            payload
        }
    };
    let priority = match body.get("priority") {
        None | Some(Value::Null) => Some(default),
        Some(value) => value.as_i64().filter(|n| (0..=10).contains(n)),
    };
    if priority.is_none() {
        problems.push(problem("priority", "Input should be an integer from 0 to 10"));
    }
    if problems.is_empty() { Ok((payload, priority.unwrap_or(default))) } else { Err(problems) }
}

fn accepted(world: &World, id: &str, from_cache: bool) -> Value {
    let Some(job) = world.store.find(id) else { return Value::Null };
    let created_at = match world.switches.submit_time {
        SubmitTime::Zulu => zulu(job.created_at),
        SubmitTime::Naive => naive_micros(job.created_at),
    };
    let message = if from_cache { "Returned the existing job of an equal request" } else { "Job submitted" };
    match world.switches.submit_body {
        SubmitBody::Current => {
            json!({"job_id": id, "type": job.kind, "status": job.state(), "created_at": created_at,
            "from_cache": from_cache, "message": message})
        }
        SubmitBody::Old => {
            json!({"success": true, "job_id": id, "type": job.kind, "status": job.state(), "message": message})
        }
        SubmitBody::Minimal => json!({"job_id": id, "status": job.state()}),
    }
}
