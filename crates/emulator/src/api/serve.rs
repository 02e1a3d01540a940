//! Every request goes one way: read, meet the faults, be admitted, be answered, be written down, be delivered.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;

use super::deliver::{Delivery, canned, deliver};
use super::reply::{Note, Refusal, Reply};
use super::route::{Call, Route};
use super::{events, jobs, list, submit, system};
use crate::rules::{Effect, Fault, Moment, Sight};
use crate::service::journal::{Event, ReplyFate, RequestEvent};
use crate::service::meters::Verdict;
use crate::service::tokens::digest;
use crate::service::{Control, World};

/// A request body larger than this is refused: the largest documented payload has a file of 10 MB in Base64.
const MAX_BODY: usize = 16 << 20;

/// Answers a request to the service.
pub(crate) async fn serve(State(control): State<Control>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        let refusal = Refusal::new(413, "BODY_TOO_LARGE", "Request body could not be read");
        let reply = refusal.into_reply(&control.world().switches);
        return deliver(Delivery::plain(reply)).await;
    };
    let call = Call::read(&parts, body);
    let (world, streams) = (control.clone(), call.route == Route::Events);
    // In a task of its own: the service goes on with a request whose client has gone. That is how replies get lost.
    match tokio::spawn(carry_out(control, call)).await {
        Ok(delivery) => {
            let client = delivery.reply.note.client.clone().filter(|_| streams && delivery.is_plain());
            let mut response = deliver(delivery).await;
            if let Some(client) = client {
                let begun = std::mem::take(response.body_mut());
                *response.body_mut() = events::body(world, client, begun);
            }
            response
        }
        Err(_) => deliver(Delivery::plain(Reply::of(500, "text/plain", Vec::new()))).await,
    }
}

async fn carry_out(control: Control, call: Call) -> Delivery {
    let (fault, delay, delay_reply) = {
        let mut world = control.world();
        let fault = world.sight(&call);
        let delay = world.draw(fault.as_ref().and_then(|(_, fault)| fault.delay));
        let delay_reply = world.draw(fault.as_ref().and_then(|(_, fault)| fault.delay_reply));
        (fault, delay, delay_reply)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let delivery = control.world().act(&call, fault);
    if !delay_reply.is_zero() {
        tokio::time::sleep(delay_reply).await;
    }
    delivery
}

impl World {
    fn sight(&mut self, call: &Call) -> Option<(String, Fault)> {
        let caller = self.tokens.caller(call.bearer.as_deref());
        self.meet(&Sight {
            route: call.route.name(),
            path: &call.path,
            token: call.bearer.as_deref().unwrap_or_default(),
            client: caller.client.as_deref().unwrap_or_default(),
            kind: call.route.kind().unwrap_or_default(),
            body: &call.body,
        })
    }

    /// Does what the request asks, as far as the fault lets it, and writes it down.
    fn act(&mut self, call: &Call, fault: Option<(String, Fault)>) -> Delivery {
        let (name, effect) = fault.map_or((None, Effect::None), |(name, fault)| (Some(name), fault.effect()));
        let (handled, fate) = match &effect {
            Effect::None | Effect::Trickle(_) => (true, ReplyFate::Sent),
            Effect::Drop(moment) => (*moment == Moment::After, ReplyFate::Dropped),
            Effect::Hang(moment) => (*moment == Moment::After, ReplyFate::Hung),
            Effect::Reply(reply) => (reply.handled, ReplyFate::Replaced),
            Effect::Cut(_) => (true, ReplyFate::Cut),
        };
        let mut reply = if handled { self.answer(call) } else { Reply::default() };
        if let Effect::Reply(with) = &effect {
            let note = std::mem::take(&mut reply.note);
            reply = Reply { note, ..canned(with, &self.switches) };
        }
        self.write_down(call, &reply, (handled, fate, name));
        Delivery { reply, effect }
    }

    fn write_down(
        &mut self,
        call: &Call,
        reply: &Reply,
        (handled, fate, fault): (bool, ReplyFate, Option<String>),
    ) {
        let caller = self.tokens.caller(call.bearer.as_deref());
        let Note { payload, job_id, from_cache, .. } = reply.note.clone();
        let event = RequestEvent {
            route: call.route.name(),
            method: call.method.clone(),
            path: call.path.clone(),
            client: caller.client,
            token: caller.fingerprint,
            body_sha256: digest(&call.body),
            kind: call.route.kind().map(str::to_owned),
            payload,
            status: (reply.status != 0).then_some(reply.status),
            handled,
            reply: fate,
            fault,
            job_id: job_id.or_else(|| call.route.job_id().map(str::to_owned)),
            from_cache,
        };
        let now = self.clock.now();
        self.note(now, Event::Request(event));
    }

    /// The service's own reply.
    fn answer(&mut self, call: &Call) -> Reply {
        let mut verdict = None;
        let result = self.admit_and_answer(call, &mut verdict);
        let mut reply = result.unwrap_or_else(|refusal| refusal.into_reply(&self.switches));
        if let Some(verdict) = verdict {
            self.add_limit_headers(&mut reply, verdict);
        }
        reply
    }

    fn admit_and_answer(&mut self, call: &Call, verdict: &mut Option<Verdict>) -> Result<Reply, Refusal> {
        match &call.route {
            Route::Health => return Ok(system::health(self)),
            Route::WrongMethod => return Err(Refusal::new(405, "METHOD_NOT_ALLOWED", "Method Not Allowed")),
            Route::Other => return Err(Refusal::new(404, "NOT_FOUND", "Not Found")),
            Route::Submit(_)
            | Route::Status(_)
            | Route::Results(_)
            | Route::List
            | Route::Cancel(_)
            | Route::Whoami
            | Route::Events => {}
        }
        let token = self.tokens.authenticate(call.bearer.as_deref())?;
        let client = token.client.as_str();
        if self.limits.enabled {
            let submit = call.route.kind().is_some();
            let said = self.meters.admit(&self.limits, client, submit, self.clock.wall());
            *verdict = Some(said);
            if !said.admitted {
                let text = format!("Rate limit exceeded: {} per minute", said.limit);
                return Err(Refusal::new(429, "RATE_LIMIT_EXCEEDED", &text));
            }
        }
        match &call.route {
            Route::Submit(kind) => submit::submit(self, call, client, kind),
            Route::Status(id) => jobs::status(self, call, client, id),
            Route::Results(id) => jobs::results(self, call, client, id),
            Route::Cancel(id) => jobs::cancel(self, client, id),
            Route::List => list::list(self, call, client),
            Route::Events => Ok(events::open(client)),
            Route::Whoami | Route::Health | Route::WrongMethod | Route::Other => Ok(system::whoami(&token)),
        }
    }

    fn add_limit_headers(&self, reply: &mut Reply, verdict: Verdict) {
        let mut add = |name: &str, value: String| reply.headers.push((name.to_owned(), value));
        let up = |micros: i64| micros.saturating_add(999_999).div_euclid(1_000_000).max(0);
        if self.limits.headers || !verdict.admitted {
            add("x-ratelimit-limit", verdict.limit.to_string());
            add("x-ratelimit-remaining", verdict.remaining.to_string());
            add("x-ratelimit-reset", up(verdict.reset).to_string());
        }
        if self.limits.retry_after && !verdict.admitted {
            add("retry-after", up(verdict.wait).max(1).to_string());
        }
    }
}
