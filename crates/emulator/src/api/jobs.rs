//! One job: status (contract section 2.1, J3), results (J4) and cancel (J6).

use serde_json::json;

use super::render::{self, Format};
use super::reply::{Refusal, Reply};
use super::route::Call;
use crate::jobs::{Job, results};
use crate::service::World;

pub(super) fn status(world: &World, call: &Call, client: &str, id: &str) -> Result<Reply, Refusal> {
    let format = Format::read(call, &world.switches)?;
    let job = find(world, client, id)?;
    let reply = match format {
        Format::Json => Reply::json(200, &render::StatusBody::of(job, world.switches.status_error_message)),
        Format::Yaml => Reply::yaml(200, render::status_yaml(job)),
        Format::Markdown => Reply::markdown(200, render::status_markdown(job)),
    };
    Ok(reply.about(&job.id))
}

pub(super) fn results(world: &World, call: &Call, client: &str, id: &str) -> Result<Reply, Refusal> {
    let format = Format::read(call, &world.switches)?;
    let job = find(world, client, id)?;
    let state = job.state();
    let reply = match state {
        "completed" | "partial" => render::results(format, &render::ResultsBody::of(job, results::data(job))),
        "failed" | "cancelled" => {
            let message = format!("Job {state}");
            let body = json!({"success": false, "job_id": job.id, "type": job.kind, "status": state, "message": message,
                "data": null, "error_message": job.error_message()});
            Reply::json(410, &body)
        }
        _ => {
            let message = format!("Job is {state}. Results are not available yet.");
            Reply::json(
                202,
                &json!({"success": false, "job_id": job.id, "status": state, "message": message}),
            )
        }
    };
    Ok(reply.about(&job.id))
}

pub(super) fn cancel(world: &mut World, client: &str, id: &str) -> Result<Reply, Refusal> {
    let job = find(world, client, id)?;
    let id = job.id.clone();
    let code = world.switches.cancel_ended_code;
    if job.ended() && code != 200 {
        let text = format!("Cannot cancel job with status: {}", job.state());
        return Err(Refusal::new(code, "JOB_NOT_CANCELLABLE", &text));
    }
    if !job.ended()
        && let Some(moved) = world.store.force(&id, "cancelled", world.clock.now())
    {
        world.note_change(moved, "cancel");
    }
    let body = json!({"success": true, "job_id": id, "status": find(world, client, &id)?.state(), "message": "Job cancelled"});
    Ok(Reply::json(200, &body).about(&id))
}

fn find<'a>(world: &'a World, client: &str, id: &str) -> Result<&'a Job, Refusal> {
    let code = world.switches.invalid_uuid_code;
    if code != 404 && !is_uuid(id) {
        let problem = crate::jobs::payload::problem("job_id", "Input should be a valid UUID");
        return Err(Refusal::invalid(code, "path", &[problem]));
    }
    world.visible(client, id).ok_or_else(Refusal::job_not_found)
}

fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    let fits = |(n, b): (usize, u8)| if dashes.contains(&n) { b == b'-' } else { b.is_ascii_hexdigit() };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}
