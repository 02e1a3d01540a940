//! Who else uses a job that is about to be cancelled.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use spideriq_operator::api::ScrapeJob;
use spideriq_operator::decide::{Body, Share};

use super::situation::{ago, now, shares};

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
    let credential = json!({"uid": "u", "resourceVersion": "1"});
    let none = json!({});
    let finished = json!({"jobID": "job-1", "finished": true});
    let rows = [
        ("follows it", page("x"), running("a"), Share::Recorded),
        (
            "mirrors it",
            json!({"jobID": "job-1"}),
            json!({"jobID": "job-1", "submission": {}}),
            Share::Recorded,
        ),
        (
            "mirrors it, as an earlier release recorded it",
            json!({"jobID": "job-1"}),
            json!({"jobID": "job-1", "remote": {"state": "queued"}}),
            Share::Recorded,
        ),
        ("names it, and has not seen it", json!({"jobID": "job-1"}), none.clone(), Share::Wants),
        ("names it, and never saw it", json!({"jobID": "job-1"}), json!({"jobID": "job-1"}), Share::Wants),
        ("is finished with it", page("a"), finished.clone(), Share::None),
        (
            "is finished with it, and wants it again",
            with(page("a"), "runID", "2".into()),
            finished,
            Share::Wants,
        ),
        ("waits with the payload it was made of", page("a"), none.clone(), Share::Wants),
        ("waits with the payload of our next run", page("b"), none.clone(), Share::None),
        ("another type", with(page("a"), "type", "spiderMaps".into()), none.clone(), Share::None),
        ("held back", with(page("a"), "suspend", true.into()), none.clone(), Share::None),
        (
            "held back, and what came of its submit is not known",
            with(page("a"), "suspend", true.into()),
            json!({"submission": {"bodyHash": hash("a"), "nonce": "n", "credential": credential}}),
            Share::Recorded,
        ),
        (
            "may have been submitted, says an annotation",
            page("a"),
            json!({"state": "Held", "submission": {"bodyHash": hash("a"), "nonce": "n"}}),
            Share::Wants,
        ),
        (
            "adopted it, by an annotation",
            page("x"),
            json!({"jobID": "job-1", "submission": {"origin": "Adopted", "credential": credential}}),
            Share::Wants,
        ),
        (
            "adopted it, and the service knows it",
            page("x"),
            json!({
                "jobID": "job-1", "remote": {"state": "queued"},
                "submission": {"origin": "Adopted", "credential": credential},
            }),
            Share::Recorded,
        ),
        (
            "held back, and the record of its submit is lost",
            with(page("a"), "suspend", true.into()),
            json!({"state": "Processing"}),
            Share::Recorded,
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

/// Whatever becomes of an account, what its client was sent is that client's; and of another client nothing is shared. By
/// two records nobody can tell another client from another name of the same one: the accounts can.
#[test]
fn what_was_recorded_of_another_client_is_another_job() {
    let page = json!({"type": "spiderSite", "payload": {"url": "a"}});
    let hash = Body::new(page["payload"].as_object().unwrap(), None).hash;
    let of = |endpoint: &str, client: &str, id: &str| {
        json!({"jobID": id, "submission": {
            "bodyHash": hash, "nonce": "n", "endpoint": endpoint, "clientID": client,
            "credential": {"uid": "u", "resourceVersion": "1"},
        }})
    };
    let ours = job(&page, &of("https://a", "cli_a", "job-1"));
    for (endpoint, client, expected) in [
        ("https://a", "cli_a", Share::Recorded),
        ("https://a", "cli_b", Share::OtherName),
        ("https://b", "cli_a", Share::None),
        ("https://b", "cli_b", Share::None),
    ] {
        assert_eq!(
            shares(&ours, &job(&page, &of(endpoint, client, "job-1"))),
            expected,
            "{endpoint} {client}"
        );
        let mut unknown = of(endpoint, client, "");
        unknown.as_object_mut().unwrap().remove("jobID");
        assert_eq!(shares(&ours, &job(&page, &unknown)), expected, "{endpoint} {client}, not answered");
    }
}

/// Else whoever makes one object after the other would keep the job running for ever.
#[test]
fn who_comes_after_the_end_has_begun_does_not_count_unless_it_has_the_job() {
    let page = json!({"type": "spiderSite", "payload": {"url": "a"}});
    let hash = Body::new(page["payload"].as_object().unwrap(), None).hash;
    let running = json!({"jobID": "job-1", "submission": {"bodyHash": hash}});
    let mut ours = job(&page, &running);
    let at = |seconds| Time(ago(seconds));
    for deleted in [true, false] {
        ours.metadata.deletion_timestamp = deleted.then(|| at(60));
        ours.status.as_mut().unwrap().cancel_time = (!deleted).then(|| at(60));
        let other = |spec: &Value, made: i64, changed: Option<(&str, i64)>| {
            let mut other = job(spec, &json!({}));
            other.metadata.creation_timestamp = Some(at(made));
            other.metadata.managed_fields = changed.map(|(what, seconds)| {
                let entry = json!({"manager": "kubectl", "operation": "Update", "time": at(seconds),
                    "fieldsType": "FieldsV1", "fieldsV1": {what: {}}});
                vec![serde_json::from_value(entry).unwrap()]
            });
            other
        };
        let mirror = json!({"jobID": "job-1"});
        for spec in [&page, &mirror] {
            for (made, changed, expected) in [
                (600, None, Share::Wants),
                (60, None, Share::Wants),
                (59, None, Share::None),
                (600, Some(("f:spec", 61)), Share::Wants),
                (600, Some(("f:spec", 59)), Share::None),
                (600, Some(("f:metadata", 59)), Share::Wants),
            ] {
                assert_eq!(shares(&ours, &other(spec, made, changed)), expected, "{spec} {made} {changed:?}");
            }
        }
        let mut has_it = job(&page, &running);
        has_it.metadata.creation_timestamp = Some(at(1));
        assert_eq!(shares(&ours, &has_it), Share::Recorded);
    }
}

/// The operator's clock is minutes behind that of the API server, which tells when objects were made and asked for.
#[test]
fn a_cancel_that_a_late_clock_puts_before_its_wish_counts_from_the_wish() {
    let page = json!({"type": "spiderSite", "payload": {"url": "a"}});
    let hash = Body::new(page["payload"].as_object().unwrap(), None).hash;
    let at = |seconds| Time(ago(seconds));
    let changed = |job: &mut ScrapeJob, seconds: i64| {
        let entry = json!({"manager": "kubectl", "operation": "Update", "time": at(seconds),
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}});
        job.metadata.managed_fields = Some(vec![serde_json::from_value(entry).unwrap()]);
    };
    for (cancelled, deleted) in [(437, None), (60, None), (437, Some(60))] {
        let mut ours = job(&page, &json!({"jobID": "job-1", "submission": {"bodyHash": hash}}));
        ours.metadata.creation_timestamp = Some(at(600));
        changed(&mut ours, 60);
        ours.status.as_mut().unwrap().cancel_time = Some(at(cancelled));
        ours.metadata.deletion_timestamp = deleted.map(at);
        for (made, expected) in [(80, Share::Wants), (60, Share::Wants), (59, Share::None)] {
            let mut other = job(&page, &json!({}));
            other.metadata.creation_timestamp = Some(at(made));
            assert_eq!(shares(&ours, &other), expected, "{cancelled} {deleted:?} {made}");
        }
    }
}

/// Where our own record is lost, the spec tells what the job was made of.
#[test]
fn a_job_whose_record_is_lost_is_shared_by_its_payload() {
    let page = |page: &str| json!({"type": "spiderSite", "payload": {"url": page}});
    let ours = job(&page("a"), &json!({"jobID": "job-1", "state": "Processing"}));
    assert_eq!(shares(&ours, &job(&page("a"), &json!({}))), Share::Wants);
    assert_eq!(shares(&ours, &job(&page("b"), &json!({}))), Share::None);
}
