//! The admin routes: [`Control`] over HTTP, without authentication, hence for loopback only.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rules::{Fault, Rules, read};
use crate::service::{Control, JobSpec};

type Answer = Result<Json<Value>, Problem>;

/// The router of everything below `/_admin`.
pub(crate) fn router() -> Router<Control> {
    Router::new()
        .route("/_admin/journal", get(journal).delete(clear_journal))
        .route("/_admin/jobs", get(jobs).post(create_jobs))
        .route("/_admin/jobs/{id}/state", put(set_state))
        .route("/_admin/jobs/{id}/hidden", put(set_hidden))
        .route("/_admin/rules", get(rules).put(set_rules))
        .route("/_admin/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/_admin/tokens", get(tokens).post(add_token))
        .route("/_admin/tokens/expire", post(expire_token))
        .route("/_admin/tokens/revoke", post(revoke_token))
        .route("/_admin/clients/{id}", put(set_client))
        .route("/_admin/clock", get(clock).post(advance))
}

/// A refusal that names its reason.
struct Problem(StatusCode, String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::BAD_REQUEST, format!("{error:#}"))
    }
}

fn found(found: bool) -> Answer {
    if found { Ok(Json(json!({}))) } else { Err(Problem(StatusCode::NOT_FOUND, "not found".to_owned())) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn journal(State(control): State<Control>, Query(query): Query<Since>) -> Json<Value> {
    Json(json!(control.journal(query.since)))
}

async fn clear_journal(State(control): State<Control>) -> Json<Value> {
    control.clear_journal();
    Json(json!({}))
}

async fn jobs(State(control): State<Control>) -> Json<Value> {
    Json(json!({"jobs": control.jobs()}))
}

async fn create_jobs(State(control): State<Control>, body: String) -> Answer {
    let ids = control.create_jobs(read::<JobSpec>(&body)?)?;
    Ok(Json(json!({"job_ids": ids})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewState {
    state: String,
    error_message: Option<String>,
    data: Option<Value>,
}

async fn set_state(State(control): State<Control>, Path(id): Path<String>, body: String) -> Answer {
    let new: NewState = read(&body)?;
    found(control.set_state(&id, &new.state, new.error_message, new.data))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hidden {
    hidden: bool,
}

async fn set_hidden(State(control): State<Control>, Path(id): Path<String>, body: String) -> Answer {
    found(control.set_hidden(&id, read::<Hidden>(&body)?.hidden))
}

async fn rules(State(control): State<Control>) -> Json<Value> {
    Json(json!(control.rules()))
}

async fn set_rules(State(control): State<Control>, body: String) -> Answer {
    control.set_rules(Rules::parse(&body)?)?;
    Ok(Json(json!(control.rules())))
}

async fn faults(State(control): State<Control>) -> Json<Value> {
    Json(json!({"faults": control.faults()}))
}

/// One fault, or a list of them.
async fn add_faults(State(control): State<Control>, body: String) -> Answer {
    let many: Value = read(&body)?;
    let faults: Vec<Fault> = if many.is_array() { read(&body)? } else { vec![read(&body)?] };
    control.add_faults(faults)?;
    Ok(Json(json!({"faults": control.faults()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: Option<String>,
}

async fn clear_faults(State(control): State<Control>, Query(query): Query<Named>) -> Json<Value> {
    control.clear_faults(query.name.as_deref());
    Json(json!({"faults": control.faults()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    token: String,
}

async fn tokens(State(control): State<Control>) -> Json<Value> {
    Json(json!({"tokens": control.tokens()}))
}

async fn add_token(State(control): State<Control>, body: String) -> Answer {
    let fingerprint = control.add_token(&read::<TokenBody>(&body)?.token)?;
    Ok(Json(json!({"fingerprint": fingerprint})))
}

async fn expire_token(State(control): State<Control>, body: String) -> Answer {
    found(control.expire_token(&read::<TokenBody>(&body)?.token))
}

async fn revoke_token(State(control): State<Control>, body: String) -> Answer {
    found(control.revoke_token(&read::<TokenBody>(&body)?.token))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientBody {
    active: bool,
}

async fn set_client(State(control): State<Control>, Path(id): Path<String>, body: String) -> Answer {
    control.set_client_active(&id, read::<ClientBody>(&body)?.active);
    Ok(Json(json!({})))
}

async fn clock(State(control): State<Control>) -> Json<Value> {
    let (now, wall_ms) = control.clock();
    Json(json!({"now": now, "wall_ms": wall_ms}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance: f64,
}

async fn advance(State(control): State<Control>, body: String) -> Answer {
    let by = read::<Advance>(&body)?.advance;
    if !(0.0..=1e10).contains(&by) {
        return Err(Problem(StatusCode::BAD_REQUEST, "advance: seconds, not negative".to_owned()));
    }
    control.advance(by);
    Ok(clock(State(control)).await)
}
