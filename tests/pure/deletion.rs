//! What is done about an object that is being deleted.

use std::time::Duration;

use spideriq_operator::api::{CancelReason, DeletionPolicy, Origin, Reason, ScrapeJobStatus, State};
use spideriq_operator::decide::{Candidate, Listed, Observed, Outcome, Plan, Standing, next, settle};

use super::situation::{accepted, ago, attempted, fresh, now, remote, shown, site};
use super::table::{barred, check, with_account};

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
                "over for us, with a job that nobody knows",
                |o| {
                    o.recorded =
                        shown(Standing::Ended(State::Cancelled, Reason::CancelledAsRequested, "x".into()), o);
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
                    let ended = Standing::Ended(State::Completed, Reason::Completed, String::new());
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
    assert!(event.note.contains(&job(59).job_id) && !event.note.contains(&job(0).job_id), "{}", event.note);
    assert!(event.note.contains("more than are named") && event.note.len() <= 1024, "{}", event.note.len());
}
