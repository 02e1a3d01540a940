//! Brings a reply to the client: whole, cut off, slowly, endlessly, or not at all.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::{StreamExt, stream};
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};

use super::reply::{Refusal, Reply};
use crate::rules::{CannedReply, Effect, Switches, Trickle};

/// A reply and what happens to it on its way.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) reply: Reply,
    pub(super) effect: Effect,
}

/// Marks a response that the server must not send: it closes the connection instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Severed;

impl Delivery {
    /// Whether nothing happens to it on its way.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.effect, Effect::None)
    }

    pub(super) fn plain(reply: Reply) -> Self {
        Self { reply, effect: Effect::None }
    }
}

/// The reply that a fault gives in the service's place.
pub(super) fn canned(with: &CannedReply, switches: &Switches) -> Reply {
    let mut reply = if let Some(body) = with.bytes().unwrap_or_default() {
        let kind = if body.starts_with(b"<") { "text/html; charset=utf-8" } else { "application/json" };
        Reply::of(with.status, kind, body)
    } else {
        let status = StatusCode::from_u16(with.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = status.canonical_reason().unwrap_or("Error");
        Refusal::new(with.status, "EMULATED_FAULT", text).into_reply(switches)
    };
    for (name, value) in &with.headers {
        reply.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        reply.headers.push((name.clone(), value.clone()));
    }
    reply
}

pub(super) async fn deliver(delivery: Delivery) -> Response {
    let Delivery { reply, effect } = delivery;
    let whole = reply.body.len();
    let bytes = Bytes::from(reply.body);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
        {
            response.headers_mut().append(name, value);
        }
    }
    *response.body_mut() = match effect {
        Effect::Drop(_) => {
            response.extensions_mut().insert(Severed);
            Body::empty()
        }
        Effect::Hang(_) => std::future::pending().await,
        Effect::Cut(at) => {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(whole));
            cut(bytes.slice(..at.min(whole)))
        }
        Effect::Trickle(trickle) => {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(whole));
            slow(bytes, trickle)
        }
        Effect::Reply(with) if with.repeat != 1 => repeated(bytes, with.repeat),
        Effect::Reply(_) | Effect::None => Body::from(bytes),
    };
    if response.headers().get(CONTENT_TYPE).is_some_and(HeaderValue::is_empty) {
        response.headers_mut().remove(CONTENT_TYPE);
    }
    response
}

/// The bytes, then the end of the connection.
fn cut(bytes: Bytes) -> Body {
    let end = stream::once(async {
        // Lets what was sent reach the client before the connection ends.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    Body::from_stream(stream::iter([Ok(bytes)]).chain(end))
}

fn slow(bytes: Bytes, trickle: Trickle) -> Body {
    let pause = Duration::try_from_secs_f64(trickle.every).unwrap_or_default();
    Body::from_stream(stream::unfold(bytes, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let piece = rest.split_to(trickle.bytes.min(rest.len()));
        Some((Ok::<_, Infallible>(piece), rest))
    }))
}

/// Sent piece by piece, so that a body of any size costs no memory.
fn repeated(bytes: Bytes, times: u64) -> Body {
    Body::from_stream(stream::unfold(times, move |left| {
        let bytes = bytes.clone();
        async move { (left > 0).then(|| (Ok::<_, Infallible>(bytes), left - 1)) }
    }))
}
