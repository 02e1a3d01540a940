//! What a user asks for in a spec or an annotation: another run, a cancel, a deadline, an end of the object, a look.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spideriq_operator::api::{
    CancelReason, DeletionPolicy, Origin, Payload, ScrapeJobStatus, Submission, SubmissionRecord, find,
};
use spideriq_operator::decide::message::{Left, Note};
use spideriq_operator::decide::{
    Accepted, Again, CancelOutcome, Candidate, KeptBody, Listed, Observed, Outcome, SubmitAnswer,
    SubmitOutcome, Verdict, next, settle,
};

use super::situation::{
    accepted, ago, attempted, conditions, fresh, now, remote, rest, site, status_of, word,
};

/// Decides, takes this for what came of it, and records the status.
fn step(o: &mut Observed, expected: &str, outcome: &Outcome) -> Verdict {
    let plan = next(o);
    assert_eq!(word(&plan), expected);
    let verdict = settle(o, &plan, outcome);
    if verdict.standing.is_some() {
        o.recorded = status_of(&verdict, o);
    }
    o.memory = verdict.memory.clone();
    verdict
}

/// In short: run, state and reason.
fn told(status: &ScrapeJobStatus) -> String {
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{:?} {} {}", status.run(), word(&status.state), word(&status.reason))
}

fn want(o: &mut Observed, run: &str, url: &str) {
    o.job.spec.run_id = (!run.is_empty()).then(|| run.to_owned());
    let payload = Payload::from_text(&serde_json::json!({ "url": url }).to_string());
    o.job.body = Some(KeptBody::of(&payload, o.job.spec.priority).unwrap());
    o.job.generation += 1;
}

/// Submits for the first time, and takes this for the service's answer.
fn submit(o: &mut Observed, job_id: &str, state: &str, from_cache: Option<bool>) {
    let accepted = Accepted {
        job_id: job_id.to_owned(),
        job: remote(state),
        from_cache,
        server_date: Some(now()),
        strays: Some(Listed::default()),
    };
    let answer = SubmitAnswer::Accepted(accepted);
    let outcome = Outcome::Submit(Box::new(SubmitOutcome { record: attempted(o, 0), answer }));
    step(o, "submit 1", &outcome);
}

/// An object whose run "1" is completed and let go of.
pub fn completed() -> Observed {
    let mut o = fresh(site());
    want(&mut o, "1", "https://acme.example/1");
    submit(&mut o, "job-1", "queued", Some(false));
    o.watched.latest = Some(remote("cancelled"));
    o.job.protected = true;
    step(&mut o, "rest CancelledRemotely", &Outcome::Done);
    o.recorded.state = Some("Completed".to_owned());
    o.recorded.reason = Some("Completed".to_owned());
    step(&mut o, "release", &Outcome::Done);
    o.job.protected = false;
    o.watched.latest = None;
    o
}

#[test]
fn another_run_begins_from_nothing_in_one_write_and_the_one_before_is_kept() {
    let mut o = completed();
    want(&mut o, "2", "https://acme.example/2");
    let verdict = step(&mut o, "begin", &Outcome::Done);
    assert_eq!(told(&o.recorded), "\"2\" Pending WaitingForController");
    assert_eq!(verdict.again, Again::After(Duration::ZERO));
    assert_eq!((o.recorded.job_id.as_deref(), o.recorded.finished), (None, false));
    assert_eq!(o.recorded.submission, None);
    let left: Vec<String> = conditions(&o.recorded).into_keys().collect();
    assert_eq!(left, ["Finished", "Ready", "Reconciling"], "R8: nothing of the run before is left");
    let run = &o.recorded.history[0];
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    assert_eq!(
        [word(&run.run_id), word(&run.job_id), word(&run.outcome), word(&run.reason)],
        ["1", "job-1", "Completed", "Completed"]
    );
    assert_eq!(o.recorded.used_run_ids.len(), 1);
    submit(&mut o, "job-2", "queued", Some(false));
    assert_eq!(told(&o.recorded), "\"2\" Queued Queued");
}

#[test]
fn a_rollback_costs_nothing_and_shows_what_came_of_the_run() {
    let mut o = completed();
    want(&mut o, "2", "https://acme.example/2");
    step(&mut o, "begin", &Outcome::Done);
    submit(&mut o, "job-2", "queued", Some(false));
    o.job.protected = true;
    // `helm upgrade --rollback-on-failure` while run 2 is queued.
    want(&mut o, "1", "https://acme.example/1");
    step(&mut o, "latch Superseded", &Outcome::Done);
    assert_eq!(o.recorded.cancel_reason, Some(CancelReason::Superseded));
    step(&mut o, "cancel", &Outcome::Cancel(CancelOutcome::Sent));
    // The end of run 2 goes straight into the history: shown, it would be taken for the wanted run's.
    step(&mut o, "confirm", &Outcome::Status(Ok(remote("cancelled"))));
    assert_eq!(told(&o.recorded), "\"1\" Completed Completed");
    assert_eq!(o.recorded.job_id.as_deref(), Some("job-1"));
    assert!(o.recorded.finished && o.recorded.finish_time.is_some());
    let kept: Vec<String> = o
        .recorded
        .history
        .iter()
        .map(|run| format!("{} {}", run.run_id.as_deref().unwrap(), run.outcome.as_deref().unwrap()))
        .collect();
    assert_eq!(kept, ["2 Superseded", "1 Completed"]);
    step(&mut o, "release", &Outcome::Done);
    o.job.protected = false;
    assert_eq!(word(&next(&o)), "rest Completed");
    // And forward again: run 2 was ended, and is not paid for again either.
    want(&mut o, "2", "https://acme.example/2");
    step(&mut o, "begin", &Outcome::Done);
    assert_eq!(told(&o.recorded), "\"2\" Cancelled CancelledAsRequested");
}

#[test]
fn a_used_run_id_with_another_payload_waits_for_a_person() {
    let mut o = completed();
    want(&mut o, "2", "https://acme.example/2");
    step(&mut o, "begin", &Outcome::Done);
    want(&mut o, "1", "https://acme.example/other");
    step(&mut o, "begin", &Outcome::Done);
    assert_eq!(told(&o.recorded), "\"1\" Held RunIDReused");
    assert_eq!(word(&next(&o)), "rest RunIDReused");
    o.job.marks.requested = Some("now".to_owned());
    step(&mut o, "rest RunIDReused", &Outcome::Done);
    assert_eq!(o.recorded.last_handled_reconcile_at.as_deref(), Some("now"));
    let kept = o.recorded.history.len();
    want(&mut o, "3", "https://acme.example/3");
    step(&mut o, "begin", &Outcome::Done);
    assert_eq!(told(&o.recorded), "\"3\" Pending WaitingForController");
    assert_eq!(o.recorded.history.len(), kept, "a run that was never sent is not kept");
    assert_eq!(word(&next(&o)), "submit 1");
    // One that fell out of the history is known by its hash.
    o.recorded.history.clear();
    want(&mut o, "1", "https://acme.example/1");
    step(&mut o, "begin", &Outcome::Done);
    assert_eq!(told(&o.recorded), "\"1\" Held RunIDReused");
}

#[test]
fn a_run_without_an_id_is_the_run_of_that_name() {
    let mut o = accepted("processing");
    o.recorded.submission = Some(SubmissionRecord { origin: Some(Origin::Submitted), ..attempted(&o, 600) });
    o.recorded.state = Some("Completed".to_owned());
    o.recorded.reason = Some("Completed".to_owned());
    o.recorded.finished = true;
    want(&mut o, "next", "https://acme.example/next");
    step(&mut o, "begin", &Outcome::Done);
    assert_eq!(o.recorded.history[0].run_id, None);
    want(&mut o, "", "https://acme.example");
    step(&mut o, "begin", &Outcome::Done);
    assert_eq!(told(&o.recorded), "\"\" Completed Completed");
}

#[test]
fn the_run_before_is_ended_as_deletion_would_end_it() {
    type Change = fn(&mut Observed);
    let rows: [(&str, Change, &str); 10] = [
        ("running", |_| {}, "latch Superseded"),
        ("latched", |o| latch(o, CancelReason::Superseded, 5), "cancel"),
        ("latched long before this process saw it", |o| latch(o, CancelReason::Superseded, 120), "cancel"),
        (
            "latched too long ago",
            |o| {
                latch(o, CancelReason::Superseded, 120);
                o.memory.ending_seen_for = Duration::from_secs(30);
            },
            "begin Orphaned",
        ),
        (
            "policy says leave",
            |o| o.job.spec.deletion_policy = Some(DeletionPolicy::Orphan),
            "begin LeftRunning",
        ),
        (
            "not ours",
            |o| o.recorded.submission.as_mut().unwrap().origin = Some(Origin::Cached),
            "begin LeftRunning",
        ),
        (
            "an equal payload would get this very job",
            |o| want(o, "2", "https://acme.example"),
            "begin LeftRunning",
        ),
        (
            "an equal payload that is held back",
            |o| {
                want(o, "2", "https://acme.example");
                o.job.spec.suspend = Some(true);
            },
            "latch Superseded",
        ),
        ("over at the service", |o| o.watched.latest = Some(remote("completed")), "begin"),
        (
            "unknown outcome",
            |o| {
                o.recorded.job_id = None;
                o.memory.ended_here = true;
            },
            "look up ToRelease",
        ),
    ];
    for (name, change, expected) in rows {
        let mut o = accepted("processing");
        want(&mut o, "2", "https://acme.example/2");
        change(&mut o);
        assert_eq!(word(&next(&o)), expected, "{name}");
    }
}

fn latch(o: &mut Observed, reason: CancelReason, seconds_ago: i64) {
    o.recorded.cancel_reason = Some(reason);
    o.recorded.cancel_time = Some(Time(ago(seconds_ago)));
}

#[test]
fn a_cancel_is_latched_before_the_service_is_told_and_ends_the_run() {
    let mut o = accepted("processing");
    o.job.spec.cancel = Some(true);
    step(&mut o, "latch CancelledAsRequested", &Outcome::Done);
    assert_eq!(told(&o.recorded), "\"\" Cancelling Cancelling");
    // Set back too late: what is begun goes on.
    o.job.spec.cancel = None;
    step(&mut o, "cancel", &Outcome::Cancel(CancelOutcome::Sent));
    for _ in 0..4 {
        step(&mut o, "confirm", &Outcome::Status(Ok(remote("processing"))));
    }
    step(&mut o, "cancel", &Outcome::Cancel(CancelOutcome::AlreadyOver));
    let looked = step(&mut o, "confirm", &Outcome::Status(Ok(remote("processing"))));
    assert_eq!(looked.again, Again::After(Duration::from_secs(32)), "more and more seldom");
    step(&mut o, "confirm", &Outcome::Status(Ok(remote("cancelled"))));
    assert_eq!(told(&o.recorded), "\"\" Cancelled CancelledAsRequested");
    assert_eq!(conditions(&o.recorded)["Ready"], "True", "R6");

    let mut o = accepted("processing");
    latch(&mut o, CancelReason::CancelledAsRequested, 9999);
    assert_eq!(word(&next(&o)), "cancel", "a cancel has no bound: the object stays");
    o.watched.latest = Some(remote("completed"));
    assert_eq!(word(&next(&o)), "read Details", "completed wins");
    let mut o = accepted("processing");
    latch(&mut o, CancelReason::CancelledAsRequested, 1);
    step(&mut o, "cancel", &Outcome::Cancel(CancelOutcome::Left("shared".to_owned())));
    step(&mut o, "abandon LeftRunning", &Outcome::Done);
    assert_eq!(told(&o.recorded), "\"\" Cancelled CancelledAsRequested");
    let left = Note::LeftRunning { job_id: "job-1".to_owned(), why: Left::Said("shared".to_owned()) };
    assert_eq!(o.recorded.message, Some(left.to_string()));
}

#[test]
fn a_cancelled_run_with_nothing_sent_ends_and_one_with_an_unknown_outcome_is_looked_for_once() {
    let mut o = fresh(site());
    o.job.spec.cancel = Some(true);
    step(&mut o, "rest CancelledAsRequested", &Outcome::Done);
    assert_eq!(told(&o.recorded), "\"\" Cancelled CancelledAsRequested");
    o.job.spec.cancel = None;
    want(&mut o, "2", "https://acme.example/2");
    step(&mut o, "begin", &Outcome::Done);
    want(&mut o, "", "https://acme.example");
    step(&mut o, "begin", &Outcome::Done);
    assert_eq!(word(&next(&o)), "submit 1");
    let mut o = fresh(site());
    o.job.spec.cancel = Some(true);

    let mut o = fresh(site());
    o.recorded.submission = Some(attempted(&o, 60));
    o.recorded.observed_generation = Some(1);
    o.memory.ended_here = true;
    o.job.spec.cancel = Some(true);
    step(&mut o, "latch CancelledAsRequested", &Outcome::Done);
    o.memory.ended_here = true;
    let found =
        Candidate { job_id: "job-7".to_owned(), created_at: Some(ago(50)), claimed: false, contested: false };
    step(&mut o, "look up ToRelease", &Outcome::Candidates(Ok(Listed { jobs: vec![found], partly: false })));
    step(&mut o, "abandon Orphaned", &Outcome::Done);
    assert!(o.recorded.message.as_deref().unwrap().contains("job-7"));
    assert_eq!(told(&o.recorded), "\"\" Cancelled CancelledAsRequested");
}

#[test]
fn a_deadline_cancels_what_is_ours_and_only_ends_what_is_not() {
    let mut o = accepted("processing");
    o.recorded.submit_time = Some(Time(ago(600)));
    o.job.spec.active_deadline_seconds = Some(601);
    assert_eq!(rest(&o).again, Again::After(Duration::from_secs(1)), "it wakes in time");
    o.job.spec.active_deadline_seconds = Some(600);
    step(&mut o, "latch DeadlineExceeded", &Outcome::Done);
    step(&mut o, "cancel", &Outcome::Cancel(CancelOutcome::Sent));
    assert_eq!(conditions(&o.recorded)["Ready"], "Unknown", "not confirmed: in progress");
    step(&mut o, "confirm", &Outcome::Status(Ok(remote("cancelled"))));
    assert_eq!(told(&o.recorded), "\"\" Failed DeadlineExceeded");
    assert_eq!(conditions(&o.recorded)["Stalled"], "True");

    let mut o = accepted("processing");
    o.recorded.submit_time = Some(Time(ago(600)));
    o.recorded.submission.as_mut().unwrap().origin = Some(Origin::Cached);
    o.job.spec.active_deadline_seconds = Some(60);
    assert_eq!(word(&next(&o)), "rest DeadlineExceeded");
    o.recorded.submit_time = None;
    assert_eq!(word(&next(&o)), "rest Processing", "no acceptance, no deadline");
}

#[test]
fn an_answer_from_the_cache_is_taken_as_the_spec_says() {
    let rows = [
        (None, "failed", "Processing CollectingResults"),
        (None, "completed", "Processing CollectingResults"),
        (None, "queued", "Queued Queued"),
        (Some("AcceptIfCompleted"), "completed", "Processing CollectingResults"),
        (Some("AcceptIfCompleted"), "queued", "Failed CachedFailure"),
        (Some("AcceptIfCompleted"), "failed", "Failed CachedFailure"),
        (Some("Fail"), "completed", "Failed CachedFailure"),
    ];
    for (choice, state, expected) in rows {
        let mut o = fresh(site());
        let choice = choice.map(|word| serde_json::from_value(word.into()).unwrap());
        o.job.spec.submission = Some(Submission { on_ambiguous: None, on_cache_hit: choice });
        submit(&mut o, "job-1", state, Some(true));
        assert_eq!(told(&o.recorded), format!("\"\" {expected}"), "{choice:?} {state}");
        // A job that is not from the cache is ours, whatever the spec says of the cache.
        let mut o = fresh(site());
        o.job.spec.submission = Some(Submission { on_ambiguous: None, on_cache_hit: choice });
        submit(&mut o, "job-1", "queued", Some(false));
        assert_eq!(told(&o.recorded), "\"\" Queued Queued");
    }
}

#[test]
fn a_requested_look_is_taken_once_and_echoed() {
    let mut o = accepted("processing");
    o.job.marks.requested = Some("2026-01-01T12:00:00Z".to_owned());
    step(&mut o, "look", &Outcome::Status(Ok(remote("processing"))));
    assert_eq!(o.recorded.last_handled_reconcile_at.as_deref(), Some("2026-01-01T12:00:00Z"));
    assert_eq!(word(&next(&o)), "rest Processing");
    let mut o = completed();
    o.job.marks.requested = Some("again".to_owned());
    step(&mut o, "rest Completed", &Outcome::Done);
    assert_eq!(o.recorded.last_handled_reconcile_at.as_deref(), Some("again"));
}

#[test]
fn another_payload_under_the_same_run_is_said_and_submits_nothing() {
    let changed = |status: &ScrapeJobStatus| {
        find(&status.conditions, "Synced").map(|synced| synced.reason.clone()).unwrap_or_default()
    };
    for base in [accepted("processing"), completed()] {
        let mut o = base;
        let (run, url) = (o.job.spec.run().to_owned(), o.job.body.as_ref().unwrap().url.clone());
        want(&mut o, &run, "https://acme.example/renamed");
        assert!(word(&next(&o)).starts_with("rest"));
        o.recorded = status_of(&rest(&o), &o);
        assert_eq!(changed(&o.recorded), "PayloadChangedWithoutRunID");
        want(&mut o, &run, &url.unwrap());
        o.recorded = status_of(&rest(&o), &o);
        assert_eq!(changed(&o.recorded), "Synced");
    }
}

#[test]
fn history_and_used_runs_are_bounded() {
    let mut o = completed();
    for run in 2..=150 {
        want(&mut o, &run.to_string(), &format!("https://acme.example/{run}"));
        step(&mut o, "begin", &Outcome::Done);
        o.recorded.state = Some("Completed".to_owned());
        o.recorded.job_id = Some(format!("job-{run}"));
    }
    assert_eq!((o.recorded.history.len(), o.recorded.used_run_ids.len()), (10, 100));
}
