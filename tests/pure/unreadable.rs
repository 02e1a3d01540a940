//! Objects of which a part cannot be read: too deep a payload, fields of another release.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use spideriq_operator::api::{Payload, Reason, ScrapeJob, State, Unfit};
use spideriq_operator::decide::message::{End, Note, Wait};
use spideriq_operator::decide::{Faults, KeptBody, Message, Observed, Plan, Share, Standing, next};

use super::situation::{accepted, ago, attempted, fresh, now, shares, site, word};

/// With a payload that is nested too deep.
fn deep(mut o: Observed) -> Observed {
    let text = format!("{}1{}", r#"{"a":"#.repeat(123), "}".repeat(123));
    o.job.unfit = KeptBody::of(&Payload::from_text(&text), None).err().map(|why| why.to_string());
    o.job.body = None;
    o
}

fn odd_spec(mut o: Observed) -> Observed {
    o.job.faults = Faults { spec: Some("spec.ttlPolicy: OfTomorrow".to_owned()), record: None };
    o
}

fn odd_status(mut o: Observed) -> Observed {
    o.job.faults = Faults { spec: None, record: Some("status.history: OfTomorrow".to_owned()) };
    o
}

fn deleted(mut o: Observed) -> Observed {
    o.job.protected = true;
    o.job.deleted_at = Some(now());
    o
}

/// An attempt whose answer nobody has, and no request can be under way any more.
fn unknown() -> Observed {
    let mut o = fresh(site());
    o.recorded.observed_generation = Some(1);
    o.recorded.submission = Some(attempted(&o, 600));
    o.memory.nonce_seen_for = std::time::Duration::from_secs(60);
    o
}

/// A run that is over, and an object that would have gone by now.
fn expired() -> Observed {
    let mut o = accepted("processing");
    o.job.protected = false;
    o.job.spec.ttl_seconds_after_finished = Some(0);
    o.recorded.finished = true;
    o.recorded.state = Some(State::Completed.as_str().to_owned());
    o.recorded.reason = Some("Completed".to_owned());
    o.recorded.finish_time = Some(Time(ago(60)));
    o
}

#[test]
fn a_payload_that_is_too_deep_fails_with_words_that_help_and_is_never_sent() {
    let mut suspended = fresh(site());
    suspended.job.spec.suspend = Some(true);
    for o in [fresh(site()), suspended] {
        let Plan::Rest(standing) = next(&deep(o)) else { panic!("it does not rest") };
        let Standing::Ended(State::Failed, Reason::InvalidPayload, Message::End(End::Unfit(why))) = standing
        else {
            panic!("{standing:?}")
        };
        assert_eq!(why, Unfit::TooDeep(123).to_string());
    }
    assert_eq!(word(&next(&deep(unknown()))), "look up ToHold", "it cannot be repeated");
}

#[test]
fn what_a_deep_object_has_at_the_service_is_followed_and_ended_like_any_other() {
    for state in ["queued", "processing"] {
        assert_eq!(word(&next(&deep(accepted(state)))), word(&next(&accepted(state))));
        assert_eq!(word(&next(&deep(deleted(accepted(state))))), "cancel");
    }
    assert_eq!(word(&next(&deep(deleted(fresh(site()))))), "release");
}

#[test]
fn nothing_begins_by_half_a_spec_or_over_half_a_status() {
    let mut another_run = accepted("processing");
    another_run.job.spec.run_id = Some("2".to_owned());
    let mut cancelled = accepted("processing");
    cancelled.job.spec.cancel = Some(true);
    for o in [fresh(site()), unknown(), another_run, cancelled, expired(), accepted("queued")] {
        let plan = next(&odd_spec(o.clone()));
        assert!(matches!(plan, Plan::Rest(_)), "{plan:?}");
        assert_eq!(next(&odd_status(o)), Plan::Leave);
    }
    let Plan::Rest(standing) = next(&odd_spec(fresh(site()))) else { panic!("it does not rest") };
    let Standing::Waiting(Reason::Unreadable, Message::Wait(Wait::Unreadable(fault))) = standing else {
        panic!("{standing:?}")
    };
    assert!(fault.contains("spec.ttlPolicy"), "{fault}");
}

#[test]
fn an_object_of_which_half_can_be_read_goes_and_what_it_may_have_left_is_told() {
    for odd in [odd_spec, odd_status] {
        assert_eq!(word(&next(&odd(deleted(accepted("processing"))))), "cancel");
        assert_eq!(word(&next(&odd(deleted(expired())))), "release");
    }
    assert_eq!(next(&odd_spec(deleted(fresh(site())))), Plan::Release(None));
    let Plan::Release(Some(told)) = next(&odd_status(deleted(fresh(site())))) else {
        panic!("nobody is told")
    };
    let Message::Note(Note::RecordUnread(fault)) = &told.note else { panic!("{}", told.note) };
    assert!(told.warning && fault.contains("status.history"), "{fault}");
}

#[test]
fn what_a_deep_object_has_or_has_sent_is_shared_with_it() {
    let job = |spec: serde_json::Value, status: serde_json::Value| -> ScrapeJob {
        serde_json::from_value(json!({"metadata": {"name": "acme"}, "spec": spec, "status": status})).unwrap()
    };
    let record = |more: serde_json::Value| {
        let mut record = json!({"nonce": "n", "credential": {"uid": "u", "resourceVersion": "1"}});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    };
    let ours = job(
        site(),
        json!({"jobID": "job-1", "submission": record(json!({"bodyHash": "v1:aa", "payloadHash": "v1:bb"}))}),
    );
    // Its payload is no part of it any more.
    let spec = json!({"type": "spiderSite"});
    let cases = [
        (json!({"jobID": "job-1"}), Share::Recorded),
        (json!({"jobID": "job-2"}), Share::None),
        (json!({"submission": record(json!({"bodyHash": "v1:aa"}))}), Share::Recorded),
        (
            json!({"submission": record(json!({"bodyHash": "v1:cc", "payloadHash": "v1:bb"}))}),
            Share::Recorded,
        ),
        (json!({"submission": record(json!({"bodyHash": "v1:cc", "payloadHash": "v1:dd"}))}), Share::None),
        (json!({"submission": {"bodyHash": "v1:aa"}}), Share::None),
        (json!({}), Share::None),
    ];
    for (status, expected) in cases {
        assert_eq!(shares(&ours, &job(spec.clone(), status.clone())), expected, "{status}");
    }
}
