//! Who else uses a job that is about to be cancelled.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use spideriq_operator::api::ScrapeJob;
use spideriq_operator::decide::{Body, Share};

use super::situation::{now, shares};

fn job(spec: &Value, status: &Value) -> ScrapeJob {
    serde_json::from_value(json!({
        "apiVersion": "spideriq.ai/v1alpha1",
        "kind": "ScrapeJob",
        "metadata": {"name": "acme"},
        "spec": spec,
        "status": status,
    }))
    .unwrap()
}

/// Who uses a job is decided by what it was submitted with, and by who is still interested.
#[test]
fn a_job_is_shared_with_who_follows_it_or_may_receive_it() {
    let page = |page: &str| json!({"type": "spiderSite", "payload": {"url": page}});
    let hash = |page: &str| {
        let payload = json!({ "url": page });
        Body::new(payload.as_object().unwrap(), Some(3)).hash
    };
    let running =
        |page: &str| json!({"jobID": "job-1", "type": "spiderSite", "submission": {"bodyHash": hash(page)}});
    // The spec names the next run already.
    let mut next_run = page("b");
    next_run["runID"] = "2".into();
    let ours = job(&next_run, &running("a"));
    let with = |mut spec: Value, more: &str, value: Value| {
        spec[more] = value;
        spec
    };
    let none = json!({});
    let finished = json!({"jobID": "job-1", "finished": true});
    let rows = [
        ("follows it", page("x"), running("a"), Share::Follows),
        ("mirrors it", json!({"jobID": "job-1"}), none.clone(), Share::Follows),
        ("is finished with it", page("a"), finished.clone(), Share::None),
        (
            "is finished with it, and wants it again",
            with(page("a"), "runID", "2".into()),
            finished,
            Share::MayReceive,
        ),
        ("waits with the payload it was made of", page("a"), none.clone(), Share::MayReceive),
        ("waits with the payload of our next run", page("b"), none.clone(), Share::None),
        ("another type", with(page("a"), "type", "spiderMaps".into()), none.clone(), Share::None),
        ("held back", with(page("a"), "suspend", true.into()), none.clone(), Share::None),
        (
            "held back, and what came of its submit is not known",
            with(page("a"), "suspend", true.into()),
            json!({"submission": {"bodyHash": hash("a"), "nonce": "n"}}),
            Share::MayReceive,
        ),
        (
            "held back, and the record of its submit is lost",
            with(page("a"), "suspend", true.into()),
            json!({"state": "Processing"}),
            Share::MayReceive,
        ),
        ("cancelled", with(page("a"), "cancel", true.into()), none, Share::None),
        ("has another job", page("a"), json!({"jobID": "job-2"}), Share::None),
    ];
    for (what, spec, status, expected) in rows {
        let mut other = job(&spec, &status);
        assert_eq!(shares(&ours, &other), expected, "{what}");
        other.metadata.deletion_timestamp = Some(Time(now()));
        assert_eq!(shares(&ours, &other), Share::None, "{what}, and is deleted");
    }
}

/// Where our own record is lost, the spec tells what the job was made of.
#[test]
fn a_job_whose_record_is_lost_is_shared_by_its_payload() {
    let page = |page: &str| json!({"type": "spiderSite", "payload": {"url": page}});
    let ours = job(&page("a"), &json!({"jobID": "job-1", "state": "Processing"}));
    assert_eq!(shares(&ours, &job(&page("a"), &json!({}))), Share::MayReceive);
    assert_eq!(shares(&ours, &job(&page("b"), &json!({}))), Share::None);
}
