//! One situation: what is known about one object, built from what differs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spideriq_operator::api::{
    AccountKind, Credential, Origin, Reason, Remote, ScrapeJob, ScrapeJobSpec, ScrapeJobStatus, State,
    StoredJob, SubmissionRecord,
};
use spideriq_operator::decide::{
    AccountFacts, AccountUse, Faults, Freshness, IntentFacts, JobFacts, KeptBody, Marks, Memory, Message,
    Named, Observed, Outcome, Party, Plan, RemoteJob, RemoteState, Share, Standing, Verdict, Watched, next,
    settle, share,
};
use spideriq_operator::status::{compute, same_meaning};

/// The moment of every situation.
pub fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

/// A time so many seconds before that moment.
pub fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() - seconds).unwrap()
}

/// A job with this spec, in JSON, that nobody has looked at yet; its account can be used.
pub fn fresh(spec: serde_json::Value) -> Observed {
    let spec: ScrapeJobSpec = serde_json::from_value(spec).unwrap();
    let body = spec.payload.as_ref().map(|payload| KeptBody::of(payload, spec.priority).unwrap());
    Observed {
        now: now(),
        steady: now(),
        job: JobFacts {
            namespace: "team-a".to_owned(),
            name: "acme".to_owned(),
            uid: "uid-1".to_owned(),
            generation: 1,
            deleted_at: None,
            protected: false,
            spec,
            body,
            unfit: None,
            faults: Faults::default(),
            marks: Marks::default(),
        },
        recorded: ScrapeJobStatus::default(),
        intent: IntentFacts::None,
        account: AccountFacts::Usable(account()),
        watched: Watched::default(),
        memory: Memory::default(),
        nonce: "nonce-2".to_owned(),
    }
}

/// A spiderSite job.
pub fn site() -> serde_json::Value {
    serde_json::json!({"type": "spiderSite", "payload": {"url": "https://acme.example"}})
}

/// An account that can be used.
pub fn account() -> AccountUse {
    AccountUse {
        kind: AccountKind::ScrapeAccount,
        name: "default".to_owned(),
        endpoint: "https://spideriq.ai/api/v1".to_owned(),
        client_id: Some("cli_a".to_owned()),
        alias: None,
        credential: Credential { uid: "secret-1".to_owned(), resource_version: "7".to_owned() },
        suspended: false,
        barred: None,
        named: Named::Own,
        rejected: None,
        spend_cap: false,
        fingerprint: "account-1".to_owned(),
    }
}

/// The record of an attempt whose answer nobody has.
pub fn attempted(o: &Observed, seconds_ago: i64) -> SubmissionRecord {
    SubmissionRecord {
        body_hash: o.job.body.as_ref().map(|body| body.hash.clone()),
        nonce: Some("nonce-1".to_owned()),
        attempt: Some(1),
        started_at: Some(Time(ago(seconds_ago))),
        endpoint: Some(account().endpoint),
        client_id: account().client_id,
        credential: Some(account().credential),
        ..SubmissionRecord::default()
    }
}

/// A job that was accepted and is in this state, as it is stored and as it was seen last.
pub fn accepted(state: &str) -> Observed {
    let mut o = fresh(site());
    o.job.protected = true;
    let submission = SubmissionRecord { origin: Some(Origin::Submitted), ..attempted(&o, 600) };
    let shown = match state {
        "queued" => State::Queued,
        _ => State::Processing,
    };
    o.recorded = ScrapeJobStatus {
        observed_generation: Some(1),
        state: Some(shown.as_str().to_owned()),
        reason: Some(shown.as_str().to_owned()),
        job_id: Some("job-1".to_owned()),
        submission: Some(submission),
        remote: Some(Remote { state: Some(state.to_owned()), ..Remote::default() }),
        start_time: Some(Time(ago(600))),
        ..ScrapeJobStatus::default()
    };
    o.watched.latest = Some(remote(state));
    o.watched.read_at = Some(ago(1));
    o
}

/// A job as the service tells it.
pub fn remote(state: &str) -> RemoteJob {
    RemoteJob {
        state: RemoteState::parse(state),
        type_: Some("spiderSite".to_owned()),
        created_at: Some(ago(600)),
        updated_at: Some(ago(60)),
        worker_id: None,
        error_message: None,
    }
}

/// Decides, carries out nothing, and says what is then true.
pub fn rest(o: &Observed) -> Verdict {
    settle(o, &next(o), &Outcome::Done)
}

/// The status that a standing makes on top of a recorded one.
pub fn shown(standing: Standing, o: &Observed) -> ScrapeJobStatus {
    let mut verdict = Verdict { freshness: Freshness::Unchanged, ..rest(o) };
    if let Standing::Ended(..) = &standing {
        verdict.record.finish_time.get_or_insert(Time(o.now));
    }
    verdict.standing = Some(standing);
    status_of(&verdict, o)
}

/// The status that a verdict makes.
pub fn status_of(verdict: &Verdict, o: &Observed) -> ScrapeJobStatus {
    let ready_when = o.job.spec.ready_when.unwrap_or_default();
    compute(verdict, &o.recorded, ready_when, o.job.generation, o.now).unwrap()
}

/// Whether a look at this situation writes anything.
pub fn writes(o: &Observed) -> bool {
    let verdict = rest(o);
    verdict.standing.is_some() && !same_meaning(&status_of(&verdict, o), &o.recorded)
}

/// The conditions by type, each with its status.
pub fn conditions(status: &ScrapeJobStatus) -> BTreeMap<String, String> {
    status
        .conditions
        .iter()
        .map(|condition| (condition.type_.clone(), format!("{:?}", condition.status)))
        .collect()
}

/// Every way in which a run can stand, in short.
/// Whether a condition holds; nothing where it is not there.
pub fn has(status: &ScrapeJobStatus, type_: &str) -> String {
    conditions(status).get(type_).cloned().unwrap_or_default()
}

pub fn standings() -> Vec<Standing> {
    let words = || Message::Said("words".to_owned());
    vec![
        Standing::Waiting(Reason::AccountNotFound, words()),
        Standing::Waiting(Reason::CredentialsMissing, words()),
        Standing::Waiting(Reason::AccountNotReady, words()),
        Standing::Waiting(Reason::RateLimited, words()),
        Standing::Waiting(Reason::WaitingForBudget, words()),
        Standing::Waiting(Reason::ServiceUnavailable, words()),
        Standing::Rejected(ago(10), words()),
        Standing::Rejected(ago(301), words()),
        Standing::Suspended,
        Standing::Submitting,
        Standing::Unknown(words()),
        Standing::Held(Reason::SubmissionAmbiguous, words()),
        Standing::Held(Reason::Refused, words()),
        Standing::Following(State::Queued, Reason::Queued, words()),
        Standing::Following(State::Processing, Reason::Processing, words()),
        Standing::Following(State::Processing, Reason::CollectingResults, words()),
        Standing::Cancelling(words()),
        Standing::Ended(State::Completed, Reason::Completed, words()),
        Standing::Ended(State::Failed, Reason::RemoteFailed, words()),
        Standing::Ended(State::Failed, Reason::InvalidPayload, words()),
        Standing::Ended(State::Failed, Reason::DeadlineExceeded, words()),
        Standing::Ended(State::Cancelled, Reason::CancelledRemotely, words()),
        Standing::Ended(State::Cancelled, Reason::CancelledAsRequested, words()),
    ]
}

/// The plan in one word, for tables.
pub fn word(plan: &Plan) -> String {
    match plan {
        Plan::Rest(
            Standing::Waiting(reason, _) | Standing::Held(reason, _) | Standing::Ended(_, reason, _),
        ) => {
            format!("rest {reason:?}")
        }
        Plan::Rest(Standing::Following(state, ..)) => format!("rest {state:?}"),
        Plan::Rest(Standing::Rejected(..)) => "rest Rejected".to_owned(),
        Plan::Rest(Standing::Unknown(_)) => "rest Unknown".to_owned(),
        Plan::Rest(Standing::Cancelling(_)) => "rest Cancelling".to_owned(),
        Plan::Rest(standing) => format!("rest {standing:?}"),
        Plan::Submit(attempt) => format!("submit {}", attempt.number()),
        Plan::Adopt(id) => format!("adopt {id}"),
        Plan::LookUp(why) => format!("look up {why:?}"),
        Plan::Leave => "leave".to_owned(),
        Plan::Look => "look".to_owned(),
        Plan::Latch(reason) => format!("latch {reason:?}"),
        Plan::Abandon(event) => format!("abandon {:?}", event.reason),
        Plan::Begin(None) => "begin".to_owned(),
        Plan::Begin(Some(event)) => format!("begin {:?}", event.reason),
        Plan::Expire => "expire".to_owned(),
        Plan::Confirm => "confirm".to_owned(),
        Plan::Read(owed) => format!("read {owed:?}"),
        Plan::Protect(_) => "protect".to_owned(),
        Plan::Cancel => "cancel".to_owned(),
        Plan::Release(None) => "release".to_owned(),
        Plan::Release(Some(event)) => format!("release {:?}", event.reason),
    }
}

/// What the other job has to do with ours, both as the API server has them.
pub fn shares(ours: &ScrapeJob, other: &ScrapeJob) -> Share {
    let kept = |job: &ScrapeJob| KeptBody::of(job.spec.payload.as_ref()?, job.spec.priority).ok();
    let touched = |job: &ScrapeJob| {
        let stored: StoredJob = serde_json::from_str(&serde_json::to_string(job).unwrap()).unwrap();
        job.metadata.creation_timestamp.as_ref().map(|time| time.0).max(stored.edited)
    };
    let bodies = (kept(ours), kept(other));
    let ours = Party { job: ours, body: bodies.0.as_ref(), touched: touched(ours) };
    share(&ours, &Party { job: other, body: bodies.1.as_ref(), touched: touched(other) })
}
