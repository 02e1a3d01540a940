//! The emulated service as one life of the operator reaches it, without a network.

use std::fmt;
use std::time::Duration;

use emulator::InProcess;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use reqwest::{Request, Response};
use spideriq_operator::spideriq::{Failure, Transport};

use super::api_server::ApiServer;
use super::fate::Life;

/// The way to the service.
pub struct Way {
    pub service: InProcess,
    pub life: Life,
    pub api: ApiServer,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Way")
    }
}

impl Transport for Way {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, Failure>> {
        let (service, life, api) = (self.service.clone(), self.life.clone(), self.api.clone());
        let timeout = request.timeout().copied().unwrap_or(Duration::from_secs(10));
        Box::pin(async move {
            let sent = tokio::time::timeout(timeout, go(service, life, api, request)).await;
            sent.unwrap_or(Err(Failure::Timeout))
        })
    }
}

async fn go(service: InProcess, life: Life, api: ApiServer, request: Request) -> Result<Response, Failure> {
    let broken = || Failure::Broken("the connection broke".to_owned());
    let what = format!("{} {}", request.method(), request.url().path());
    if !life.message(true, &format!("service > {what}")).await {
        // Lost on its way: the sender cannot tell this from a lost answer.
        return Err(broken());
    }
    if request.method() == reqwest::Method::DELETE {
        let id = request.url().path().rsplit('/').next().unwrap_or_default();
        check_cancel(&service, &life, &api, id);
    }
    let mut asked = http::Request::builder().method(request.method()).uri(request.url().as_str());
    for (name, value) in request.headers() {
        asked = asked.header(name, value);
    }
    let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default().to_vec();
    let answer = service.call(asked.body(axum::body::Body::from(body)).unwrap()).await;
    if !life.message(true, &format!("service < {what}")).await {
        return Err(broken());
    }
    let (mut parts, body) = answer.ok_or_else(broken)?.into_parts();
    // As every HTTP server does; the client compares the two clocks by it.
    let date =
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&api.clock.now()).unwrap();
    parts.headers.insert("date", date.parse().unwrap());
    let stream = body.into_data_stream().map_err(std::io::Error::other).boxed();
    Ok(http::Response::from_parts(parts, reqwest::Body::wrap_stream(stream)).into())
}

/// S5: nobody cancels what another live object uses, or may be about to receive.
fn check_cancel(service: &InProcess, life: &Life, api: &ApiServer, id: &str) {
    let payload =
        service.jobs().into_iter().find(|job| job.job_id == id).map(|job| job.payload["url"].clone());
    for object in api.store().list("ScrapeJob", None) {
        let (metadata, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
        // Who cancels it for itself has said so first.
        let stays = metadata["deletionTimestamp"].is_null() && status["cancelReason"].is_null();
        let uses = status["jobID"] == id && status["finished"] != true;
        let next_run = status["observedGeneration"] != -1 && status["runID"] != spec["runID"];
        let may_receive = (next_run || (status["jobID"].is_null() && status["finished"] != true))
            && spec["suspend"] != true
            && spec["cancel"] != true
            && Some(&spec["payload"]["url"]) == payload.as_ref();
        if stays && (uses || may_receive) {
            life.fate.violated(&format!("S5: job {id} is cancelled, and {} uses it", metadata["name"]));
        }
    }
}
