//! When an object is deleted because it finished long ago, and what is done about one that is being deleted.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use spideriq_operator::api::{
    CancelReason, DeletionPolicy, Origin, Reason, ScrapeJobStatus, State, TtlPolicy,
};
use spideriq_operator::decide::message::{Cancel, CancelWaits, Gone, Lost, Note};
use spideriq_operator::decide::{
    Again, CancelOutcome, Candidate, Listed, Message, Observed, Outcome, Plan, Standing, Stop, Trouble,
    Waiting, next, settle,
};
use spideriq_operator::status::same_meaning;

use super::situation::{
    accepted, ago, attempted, fresh, now, remote, rest, shown, site, status_of, word, writes,
};
use super::table::{barred, check, with_account};
use super::verbs::completed;

/// Deleted so long ago by the API server's clock, and seen for so long by our own.
fn late(o: &mut Observed, deleted: i64, seen: u64) {
    o.job.deleted_at = Some(ago(deleted));
    o.memory.ending_seen_for = Duration::from_secs(seen);
}

/// Of the API server's clock and of our own count, each bounds the wait, and a late start leaves time to try.
#[test]
fn a_deletion_waits_for_the_service_no_longer_than_its_bound() {
    let mut base = accepted("processing");
    base.job.deleted_at = Some(ago(5));
    check(
        &base,
        &[
            ("bound reached", |o| late(o, 120, 30), "release Orphaned"),
            ("bound reached before this process saw it", |o| late(o, 3600, 29), "cancel"),
            (
                "bound reached by our own count, the clock being behind",
                |o| late(o, -3600, 120),
                "release Orphaned",
            ),
            ("not yet, by either", |o| late(o, 119, 119), "cancel"),
            // What it waits for its turn is not seen as waiting, and the clock has gone on.
            (
                "a turn that takes an hour",
                |o| {
                    late(o, 3600, 29);
                    o.memory.ending_before = Some(Duration::ZERO);
                },
                "cancel",
            ),
            (
                "stored by a process before this one",
                |o| {
                    late(o, 5, 31);
                    o.memory.ending_before = Some(Duration::from_secs(90));
                },
                "release Orphaned",
            ),
            (
                "stored as over, and a new process has time to try",
                |o| {
                    late(o, 5, 29);
                    o.memory.ending_before = Some(Duration::from_secs(120));
                },
                "cancel",
            ),
            (
                "a bound of zero",
                |o| {
                    o.job.deleted_at = Some(now());
                    o.job.spec.cancel_timeout_seconds = Some(0);
                },
                "release Orphaned",
            ),
        ],
    );
}

#[test]
fn deletion_cancels_what_is_ours() {
    let mut base = accepted("processing");
    base.job.deleted_at = Some(ago(5));
    check(
        &base,
        &[
            ("running", |_| {}, "cancel"),
            ("namespace not admitted any more", barred, "cancel"),
            ("cancel sent", |o| o.memory.cancel_sent = true, "confirm"),
            (
                "cancelled, as its answer said, and too late to confirm it",
                |o| {
                    o.memory.cancelled = true;
                    late(o, 3600, 120);
                },
                "release",
            ),
            (
                "over for us, with a job that nobody knows",
                |o| {
                    o.recorded = shown(
                        Standing::Ended(
                            State::Cancelled,
                            Reason::CancelledAsRequested,
                            Message::Said("x".into()),
                        ),
                        o,
                    );
                    o.recorded.job_id = None;
                    o.recorded.submission = Some(attempted(o, 60));
                },
                "release",
            ),
            ("over", |o| o.watched.latest = Some(remote("completed")), "release"),
            ("shared", |o| o.memory.left = Some("shared".into()), "release LeftRunning"),
            (
                "policy says leave",
                |o| o.job.spec.deletion_policy = Some(DeletionPolicy::Orphan),
                "release LeftRunning",
            ),
            (
                "cached",
                |o| o.recorded.submission.as_mut().unwrap().origin = Some(Origin::Cached),
                "release LeftRunning",
            ),
            (
                "cached, cancel written out",
                |o| {
                    o.recorded.submission.as_mut().unwrap().origin = Some(Origin::Cached);
                    o.job.spec.deletion_policy = Some(DeletionPolicy::Cancel);
                },
                "cancel",
            ),
            (
                "another client",
                |o| with_account(o, |a| a.client_id = Some("cli_b".into())),
                "rest Cancelling",
            ),
            ("finalizer gone", |o| o.job.protected = false, "rest Cancelling"),
            (
                "over, and held by somebody else's finalizer",
                |o| {
                    o.job.protected = false;
                    let ended =
                        Standing::Ended(State::Completed, Reason::Completed, Message::Said(String::new()));
                    o.recorded = shown(ended, o);
                },
                "rest Completed",
            ),
            ("told to go at once", |o| o.job.marks.force_orphan = true, "release Orphaned"),
            (
                "over and told to go at once",
                |o| {
                    o.job.marks.force_orphan = true;
                    o.watched.latest = Some(remote("completed"));
                },
                "release",
            ),
            ("paused all the same", |o| o.job.marks.paused = true, "cancel"),
            (
                "a cancel that the spec began goes on",
                |o| {
                    o.job.spec.deletion_policy = Some(DeletionPolicy::Orphan);
                    o.recorded.cancel_reason = Some(CancelReason::CancelledAsRequested);
                },
                "cancel",
            ),
        ],
    );
}

#[test]
fn deletion_looks_once_for_what_a_lost_submit_may_have_made() {
    let mut unknown = fresh(site());
    unknown.recorded =
        ScrapeJobStatus { submission: Some(attempted(&unknown, 60)), ..ScrapeJobStatus::default() };
    unknown.job.protected = true;
    unknown.job.deleted_at = Some(ago(30));
    unknown.memory.nonce_seen_for = Duration::from_secs(18);
    check(
        &unknown,
        &[
            ("unknown outcome: one look", |_| {}, "look up ToRelease"),
            (
                "unknown outcome, a request may be under way",
                |o| o.memory.nonce_seen_for = Duration::from_secs(17),
                "rest Cancelling",
            ),
            ("told to go at once", |o| o.job.marks.force_orphan = true, "release Orphaned"),
            (
                "credentials of another client",
                |o| with_account(o, |a| a.client_id = Some("cli_b".into())),
                "rest Cancelling",
            ),
            (
                "the same, and it is too late for others",
                |o| {
                    late(o, 120, 30);
                    with_account(o, |a| a.client_id = Some("cli_b".into()));
                },
                "release Orphaned",
            ),
            ("looked", |o| o.memory.candidates = Some(vec!["job-7".into()]), "release Orphaned"),
            ("too late to look", |o| late(o, 120, 30), "release Orphaned"),
            ("never sent", |o| o.recorded.submission = None, "release"),
        ],
    );
}

/// However many jobs others made meanwhile: what was made first after the submit is named, and that there are more.
#[test]
fn the_likeliest_of_many_jobs_that_a_lost_submit_may_have_made_are_named() {
    let mut o = fresh(site());
    o.recorded = ScrapeJobStatus { submission: Some(attempted(&o, 60)), ..ScrapeJobStatus::default() };
    o.job.protected = true;
    o.job.deleted_at = Some(ago(30));
    o.memory.ended_here = true;
    let job = |n: i64| Candidate {
        job_id: format!("1c9b4f0e-0000-4000-8000-{n:012}"),
        created_at: Some(ago(n)),
        claimed: false,
        contested: false,
    };
    let listed = Listed { jobs: (0..60).map(job).collect(), partly: false };
    o.memory = settle(&o, &next(&o), &Outcome::Candidates(Ok(listed))).memory;
    let Plan::Release(Some(event)) = next(&o) else { panic!("it was looked for") };
    let (note, fewer) =
        (event.note.to_string(), Lost::Listed { jobs: vec!["job".to_owned()], partly: false });
    assert!(note.contains(&job(59).job_id) && !note.contains(&job(0).job_id), "{note}");
    assert!(
        note.len() <= 1024 && note.matches('.').count() > fewer.to_string().matches('.').count(),
        "{note}"
    );
}

/// Only a deletion is over with the answer; whoever may still be told otherwise has it confirmed.
#[test]
fn an_answer_that_says_cancelled_ends_a_deletion_and_nothing_else() {
    let mut o = accepted("processing");
    late(&mut o, 5, 5);
    let answered = |o: &Observed, outcome| settle(o, &Plan::Cancel, &Outcome::Cancel(outcome));
    let verdict = answered(&o, CancelOutcome::Cancelled);
    let status = status_of(&verdict, &o);
    assert_eq!((status.state.as_deref(), status.finished), (Some("Cancelled"), true));
    // A process that ends here leaves no doubt, and one that could not write it neither.
    let mut written = o.clone();
    written.recorded = status;
    assert_eq!(word(&next(&written)), "release");
    o.memory = verdict.memory;
    assert_eq!(word(&next(&o)), "release");

    for outcome in [CancelOutcome::Sent, CancelOutcome::AlreadyOver] {
        o.memory.cancelled = false;
        o.memory = answered(&o, outcome).memory;
        assert_eq!(word(&next(&o)), "confirm");
    }
    let mut o = accepted("processing");
    o.job.spec.cancel = Some(true);
    o.recorded.cancel_reason = Some(CancelReason::CancelledAsRequested);
    o.memory = answered(&o, CancelOutcome::Cancelled).memory;
    assert_eq!(word(&next(&o)), "confirm");
}

/// A service whose reads lag does not know a job that it has just made: the same 60 s as when it is followed, or a
/// Warning.
#[test]
fn a_job_that_the_service_does_not_know_is_asked_for_until_it_is_gone_for_a_minute() {
    for deleted in [true, false] {
        let mut o = accepted("queued");
        if deleted {
            late(&mut o, 5, 5);
        } else {
            o.recorded.cancel_reason = Some(CancelReason::CancelledAsRequested);
        }
        let unknown = || Err(Trouble::NotFound("404".to_owned()));
        let mut pauses = Vec::new();
        for missing_for in [0, 2, 6, 14, 30, 59] {
            o.memory.missing_for = Duration::from_secs(missing_for);
            assert_eq!(word(&next(&o)), "cancel", "after {missing_for} s");
            o.memory = settle(&o, &Plan::Cancel, &Outcome::Cancel(CancelOutcome::NotFound)).memory;
            assert_eq!(word(&next(&o)), "confirm", "after {missing_for} s");
            let verdict = settle(&o, &Plan::Confirm, &Outcome::Status(unknown()));
            let status = status_of(&verdict, &o);
            assert_eq!((status.state.as_deref(), status.finished), (Some("Cancelling"), false));
            o.memory = verdict.memory;
            pauses.push(verdict.again);
        }
        assert_eq!(pauses[1], Again::After(Duration::from_secs(4)), "{pauses:?}");
        let mut gone = o.clone();
        gone.memory.missing_for = Duration::from_secs(60);
        gone.memory.cancel_sent = true;
        let verdict = settle(&gone, &Plan::Confirm, &Outcome::Status(unknown()));
        assert_eq!(status_of(&verdict, &gone).state.as_deref(), Some("Cancelled"));
        // One good look in between, and it counts anew.
        let verdict = settle(&gone, &Plan::Confirm, &Outcome::Status(Ok(remote("queued"))));
        assert!(!verdict.memory.missing);
        if deleted {
            late(&mut o, 120, 120);
            let Plan::Release(Some(event)) = next(&o) else { panic!("its bound is over") };
            let gone = Note::Orphaned { job_id: "job-1".to_owned(), why: Gone::NotKnown };
            assert_eq!(event.note, gone.into());
        }
    }
}

/// How many wait is told once; what it has waited is stored with it, and counts in parts of 20 s.
#[test]
fn a_deletion_that_waits_for_its_turn_says_so_once_and_stores_what_it_waited() {
    let mut o = accepted("processing");
    late(&mut o, 3600, 7);
    o.memory.ending_before = Some(Duration::ZERO);
    let wait = |o: &Observed, others| {
        let waiting = Waiting { since: ago(60), estimate: None, stop: Stop::Turn, others };
        settle(o, &Plan::Cancel, &Outcome::NotYet(waiting))
    };
    let told = status_of(&wait(&o, 153), &o);
    let waits = Cancel::Waits(CancelWaits::Turn(153));
    assert_eq!(told.message, Some(waits.to_string()));
    assert_eq!(told.cancel_wait_seconds, Some(7));
    o.recorded = told.clone();
    for (seen, same) in [(8, true), (19, true), (20, false), (100, false)] {
        late(&mut o, 3600, seen);
        let later = status_of(&wait(&o, 20), &o);
        assert_eq!(later.message, told.message);
        assert_eq!(same_meaning(&later, &told), same, "{seen}");
    }
}

#[test]
fn r16_what_finished_long_enough_ago_is_deleted_unless_gitops_owns_it() {
    let mut o = completed();
    o.recorded.finish_time = Some(Time(ago(10)));
    o.job.spec.ttl_seconds_after_finished = Some(11);
    assert_eq!(rest(&o).again, Again::After(Duration::from_secs(1)));
    o.job.spec.ttl_seconds_after_finished = Some(10);
    assert_eq!(word(&next(&o)), "expire");
    o.job.marks.applied_by = Some("Flux");
    assert_eq!(word(&next(&o)), "rest Completed");
    assert_eq!(rest(&o).again, Again::OnChange);
    // It says so, once, whatever it said before, and no longer than it holds.
    o.recorded = status_of(&rest(&o), &o);
    let said = o.recorded.message.clone().unwrap();
    let kept = |said: &str| Message::Said(said.to_owned()).kept_for(Some("Flux")).to_string();
    let without = said.split(" It is kept").next().unwrap();
    assert_eq!(said, kept(without));
    assert!(said.contains("Flux") && said.contains("spec.ttlPolicy"), "{said}");
    assert!(!writes(&o));
    o.recorded.message = Some("\u{e9}".repeat(512));
    o.recorded = status_of(&rest(&o), &o);
    assert!(o.recorded.message.as_ref().is_some_and(|said| said.len() <= 1024 && *said == kept(said)));
    assert!(!writes(&o));
    let mut unmarked = o.clone();
    unmarked.job.spec.ttl_seconds_after_finished = None;
    assert!(!status_of(&rest(&unmarked), &unmarked).message.unwrap().contains("Flux"));
    o.job.spec.ttl_policy = Some(TtlPolicy::Force);
    assert_eq!(word(&next(&o)), "expire");
    o.job.protected = true;
    assert_eq!(word(&next(&o)), "release", "let go of first");
    o.job.protected = false;
    o.job.marks.paused = true;
    assert_eq!(word(&next(&o)), "leave");
}
