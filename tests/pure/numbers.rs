//! Payloads with floats whose last digits version 1 of the hash lost: what is recorded, sent, repeated and recognised.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use spideriq_operator::api::{Origin, Reason, Run, ScrapeJob, ScrapeJobStatus};
use spideriq_operator::decide::message::{Hold, RunWord};
use spideriq_operator::decide::{
    Attempt, Body, Intent, IntentFacts, Message, Observed, Outcome, Plan, Share, Standing, next, settle,
};

use super::situation::{account, ago, attempted, fresh, rest, shares, word};
use super::table::found;

/// What a release that knew version 1 alone made of this payload: taken from its own build.
const V1_BODY: &str = r#"{"payload":{"a":1.577777777777,"b":117.63331139400016,"c":0.9215686321258544,"d":-1.8134499788284304},"priority":5}"#;
const V1_HASH: &str = "v1:dd0cb6aaf7661216d4335b88503e9264112845107e2233762a3ea7f30f6b73af";
/// The hold of such an object by that release.
const V1_HELD_ON: &str = "aca079602296dfe3";
const EXACT: &str =
    r#"{"a":1.5777777777770001,"b":117.63331139400017,"c":0.9215686321258545,"d":-1.8134499788284302}"#;

fn spec() -> Value {
    json!({"type": "spiderSite", "priority": 5, "payload": serde_json::from_str::<Value>(EXACT).unwrap()})
}

/// An object that the release before has submitted, and nobody knows what came of it.
fn sent_by_v1() -> Observed {
    let mut o = fresh(spec());
    let mut record = attempted(&o, 60);
    record.body_hash = Some(V1_HASH.to_owned());
    o.recorded.submission = Some(record);
    o.memory.ended_here = true;
    o
}

fn submits(o: &Observed) -> Box<Attempt> {
    let plan = next(o);
    let Plan::Submit(attempt) = plan else { panic!("{plan:?}") };
    attempt
}

/// Bytes, record and annotation of one attempt; the bytes are made of the payload as it stands when they are sent.
fn told(attempt: &Attempt) -> (String, &str, &str, u32) {
    let recorded = attempt.record.body_hash.as_deref().unwrap();
    let body = Body::new(spec()["payload"].as_object().unwrap(), Some(5));
    let bytes = body.as_recorded(recorded).unwrap_or_default();
    (bytes, recorded, &attempt.intent.body_hash, attempt.intent.v)
}

#[test]
fn a_first_submit_sends_the_doubles_and_records_what_no_older_release_repeats() {
    let attempt = submits(&fresh(spec()));
    let exact = format!(r#"{{"payload":{EXACT},"priority":5}}"#);
    let (body, recorded, intended, form) = told(&attempt);
    assert_eq!((body.as_str(), form), (exact.as_str(), 2));
    assert!(recorded.starts_with("v2:") && recorded == intended, "{recorded} {intended}");
    // Form 1 with a hash that it cannot make would be somebody else's submit to an older release, and submitted anew.
    let mut plain = spec();
    plain["payload"] = json!({"lat": 52.520_008, "max_pages": 10});
    let attempt = submits(&fresh(plain));
    let (_, recorded, _, form) = told(&attempt);
    assert!(recorded.starts_with("v1:") && form == 1, "{recorded} {form}");
}

#[test]
fn a_repeat_sends_the_bytes_that_went_out() {
    let attempt = submits(&sent_by_v1());
    assert_eq!(told(&attempt), (V1_BODY.to_owned(), V1_HASH, V1_HASH, 1));
    assert_eq!(attempt.number(), 2);
    // And those of this release.
    let mut o = fresh(spec());
    let first = submits(&o);
    o.recorded.submission = Some(attempted(&o, 60));
    o.memory.ended_here = true;
    assert_eq!(told(&submits(&o)), told(&first));
}

#[test]
fn what_the_release_before_recorded_is_recognised() {
    let restored = |job_id: Option<&str>| {
        let mut o = fresh(spec());
        found(&mut o, |intent| {
            *intent = intent.clone().of_body(V1_HASH);
            intent.uid = "old".into();
            intent.job_id = job_id.map(str::to_owned);
        });
        o
    };
    assert_eq!(word(&next(&restored(Some("job-1")))), "adopt job-1");
    let adopted = rest(&restored(Some("job-1"))).record.submission.unwrap();
    assert_eq!(adopted.body_hash.as_deref(), Some(V1_HASH), "what was sent, and not what would be now");
    let mut unknown = restored(None);
    unknown.memory.nonce_seen_for = std::time::Duration::from_secs(60);
    assert_eq!(told(&submits(&unknown)), (V1_BODY.to_owned(), V1_HASH, V1_HASH, 1));

    let mut held = sent_by_v1();
    held.recorded.state = Some("Held".into());
    held.recorded.reason = Some("Refused".into());
    held.recorded.held_on = Some(V1_HELD_ON.into());
    held.recorded.submission = None;
    assert_eq!(word(&next(&held)), "rest Refused", "an upgrade wakes nothing that is held");
    assert_eq!(rest(&held).record.held_on.as_deref(), Some(V1_HELD_ON));
}

/// A run of this hash in the history, and the run after it, which is rolled back.
fn rolled_back(hash: &str) -> Observed {
    let mut o = fresh(spec());
    o.job.spec.run_id = Some("1".into());
    o.recorded = ScrapeJobStatus {
        observed_generation: Some(1),
        run_id: Some("2".into()),
        state: Some("Pending".into()),
        start_time: Some(Time(ago(600))),
        history: vec![Run {
            run_id: Some("1".into()),
            job_id: Some("job-1".into()),
            body_hash: Some(hash.into()),
            outcome: Some("Completed".into()),
            ..Run::default()
        }],
        used_run_ids: vec!["6b86b273ff34".into()],
        ..ScrapeJobStatus::default()
    };
    o
}

fn begun(o: &Observed) -> Standing {
    assert_eq!(word(&next(o)), "begin");
    settle(o, &next(o), &Outcome::Done).standing.unwrap()
}

#[test]
fn a_rollback_shows_the_run_of_the_release_before_and_never_takes_an_unknown_hash_for_another_payload() {
    for known in [V1_HASH, &fresh(spec()).job.body.unwrap().hash] {
        let standing = begun(&rolled_back(known));
        assert!(matches!(standing, Standing::Ended(..)), "{standing:?}");
    }
    for (hash, unclear) in [("v1:0", false), ("v3:0", true)] {
        let Standing::Held(reason, message) = begun(&rolled_back(hash)) else { panic!("{hash}") };
        let reused = matches!(message, Message::Run(RunWord::Reused(_)));
        let of_another = matches!(message, Message::Run(RunWord::OfAnotherRelease(_)));
        assert_eq!((reused, of_another), (!unclear, unclear), "{hash}: {reason:?} {message}");
    }
}

#[test]
fn a_job_of_the_release_before_is_shared_by_an_equal_payload_and_its_payload_has_not_changed() {
    let job = |status: Value| -> ScrapeJob {
        let metadata = json!({"name": "acme"});
        let kind = json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob"});
        let mut job = json!({"metadata": metadata, "spec": spec(), "status": status});
        job.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        serde_json::from_value(job).unwrap()
    };
    let running =
        |hash: &str| job(json!({"jobID": "job-1", "type": "spiderSite", "submission": {"bodyHash": hash}}));
    let waits = job(json!({}));
    let exact = fresh(spec()).job.body.unwrap().hash;
    let rows =
        [(V1_HASH, Share::Wants), (&exact, Share::Wants), ("v3:0", Share::Wants), ("v1:0", Share::None)];
    for (hash, expected) in rows {
        assert_eq!(shares(&running(hash), &waits), expected, "{hash}");
    }

    let mut o = sent_by_v1();
    o.recorded.job_id = Some("job-1".into());
    o.recorded.observed_generation = Some(1);
    o.recorded.state = Some("Processing".into());
    o.recorded.submission.as_mut().unwrap().origin = Some(Origin::Submitted);
    let stale = |o: &Observed| format!("{:?}", rest(o).freshness).contains("PayloadChanged");
    assert!(!stale(&o));
    o.recorded.submission.as_mut().unwrap().body_hash = Some("v3:0".into());
    assert!(!stale(&o));
    o.recorded.submission.as_mut().unwrap().body_hash = Some("v1:0".into());
    assert!(stale(&o));
}

/// A restored backup of a later release: neither this submit nor another one.
#[test]
fn an_intent_of_a_hash_that_cannot_be_made_is_held_and_never_submitted_over() {
    for job_id in [None, Some("job-1")] {
        let mut o = fresh(spec());
        found(&mut o, |intent| {
            *intent = intent.clone().of_body("v3:0");
            intent.uid = "old".into();
            intent.job_id = job_id.map(str::to_owned);
        });
        assert_eq!(word(&next(&o)), "rest SubmissionAmbiguous");
        let of_another = Message::Hold(Hold::IntentOfAnotherRelease);
        assert_eq!(rest(&o).standing, Some(Standing::Held(Reason::SubmissionAmbiguous, of_another)));
        // What is plainly of another submit stays so.
        if let IntentFacts::Found(intent) = &mut o.intent {
            intent.endpoint = "https://other.example".into();
        }
        assert_eq!(word(&next(&o)), "submit 1");
    }
}

/// An annotation survives a round through its text in either form, and no other form is read.
#[test]
fn the_forms_of_the_annotation() {
    let o = fresh(spec());
    let intent = Intent::new(&o.job, &account(), "nonce-1", ago(60)).unwrap();
    for (hash, form) in [(V1_HASH, 1), ("v2:0", 2), ("v3:0", 2)] {
        let intent = intent.clone().of_body(hash);
        assert_eq!(intent.v, form, "{hash}");
        let text = serde_json::to_string(&intent).unwrap();
        assert_eq!(Intent::read(Some(&text)), IntentFacts::Found(Box::new(intent)));
        for (field, longer) in [("bodyHash", "v3:".to_owned() + &"0".repeat(78)), ("nonce", "n".repeat(65))] {
            let mut odd: Value = serde_json::from_str(&text).unwrap();
            odd[field] = longer.into();
            assert_eq!(Intent::read(Some(&odd.to_string())), IntentFacts::Unreadable, "{field}");
        }
        let later = text.replacen(&format!("\"v\":{form}"), "\"v\":3", 1);
        assert_eq!(Intent::read(Some(&later)), IntentFacts::Unreadable);
    }
}
