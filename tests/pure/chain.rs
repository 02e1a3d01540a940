//! The chain of a submit, step by step: what comes next after what came of each.

use spideriq_operator::api::{ScrapeJobStatus, SubmissionRecord};
use spideriq_operator::decide::{Chain, Intent, IntentFacts, Step, Written, is_intended, is_same_record};

use super::situation::fresh;
use super::table::intent;

/// What came of a step.
#[derive(Clone, Copy)]
enum Came {
    Intended,
    Stopped,
    Recorded(Written),
    Read(bool),
}
use Came::{Intended, Read, Recorded, Stopped};

#[test]
fn only_a_record_in_time_is_followed_by_the_request_and_each_try_has_a_nonce_of_its_own() {
    // Whether write 1 stands already; what came of each step; what is next, and how many nonces were tried.
    let rows: &[(bool, &[Came], Step, usize)] = &[
        (false, &[], Step::Intend, 1),
        (true, &[], Step::Record, 1),
        (false, &[Stopped], Step::Stop, 1),
        (false, &[Intended], Step::Record, 1),
        (false, &[Intended, Stopped], Step::Stop, 1),
        (true, &[Recorded(Written::InTime)], Step::Send, 1),
        (true, &[Recorded(Written::Refused)], Step::Stop, 1),
        (true, &[Recorded(Written::Late)], Step::Record, 2),
        (true, &[Recorded(Written::Lost)], Step::Read, 1),
        (true, &[Recorded(Written::Lost), Read(false)], Step::Stop, 1),
        (true, &[Recorded(Written::Lost), Read(true)], Step::Record, 2),
        (true, &[Recorded(Written::Lost), Read(true), Recorded(Written::InTime)], Step::Send, 2),
        (true, &[Recorded(Written::Late), Recorded(Written::Late)], Step::Record, 3),
        (true, &[Recorded(Written::Late), Recorded(Written::Late), Recorded(Written::Late)], Step::Stop, 3),
        (
            true,
            &[Recorded(Written::Late), Recorded(Written::Late), Recorded(Written::Lost), Read(true)],
            Step::Stop,
            3,
        ),
    ];
    for (at, (there, came, next, tried)) in rows.iter().enumerate() {
        let mut chain = Chain::begin("n0".to_owned(), *there);
        for (n, came) in came.iter().enumerate() {
            let fresh = format!("n{}", n + 1);
            match *came {
                Intended => chain.intended(),
                Stopped => chain.stop(),
                Recorded(written) => chain.recorded(written, fresh),
                Read(same) => chain.read(same, fresh),
            }
        }
        assert_eq!((chain.step(), chain.nonces().len()), (*next, *tried), "row {at}");
        let different: std::collections::BTreeSet<&String> = chain.nonces().iter().collect();
        assert_eq!(different.len(), *tried, "row {at}");
        assert_eq!(chain.nonces().last().map(String::as_str), Some(chain.nonce()));
    }
}

#[test]
fn a_stop_ends_it_wherever_it_is() {
    for there in [false, true] {
        let mut chain = Chain::begin("n0".to_owned(), there);
        chain.stop();
        assert_eq!(chain.step(), Step::Stop);
    }
}

#[test]
fn write_1_stands_only_where_a_repeat_finds_its_own_intent_and_the_finalizer() {
    let ours: Intent = intent(&fresh(super::situation::site()));
    let uid = ours.uid.clone();
    let found = IntentFacts::Found(Box::new(ours));
    let rows = [
        (&found, true, uid.as_str(), 2, true),
        (&found, true, uid.as_str(), 1, false),
        (&found, false, uid.as_str(), 2, false),
        (&found, true, "other", 2, false),
        (&IntentFacts::None, true, uid.as_str(), 2, false),
        (&IntentFacts::Unreadable, true, uid.as_str(), 2, false),
    ];
    for (at, (found, protected, uid, attempt, expected)) in rows.into_iter().enumerate() {
        assert_eq!(is_intended(found, protected, (uid, attempt)), expected, "row {at}");
    }
}

#[test]
fn a_record_is_the_same_without_a_job_and_with_no_nonce_of_anybody_else() {
    let status = |nonce: Option<&str>, job: Option<&str>| ScrapeJobStatus {
        job_id: job.map(str::to_owned),
        submission: nonce
            .map(|nonce| SubmissionRecord { nonce: Some(nonce.to_owned()), ..SubmissionRecord::default() }),
        ..ScrapeJobStatus::default()
    };
    let ours = ["n1".to_owned(), "n2".to_owned()];
    let rows = [
        (None, None, None, true),
        (Some("n0"), Some("n0"), None, true),
        (Some("n0"), Some("n2"), None, true),
        (None, Some("n1"), None, true),
        (Some("n0"), None, None, false),
        (None, Some("theirs"), None, false),
        (Some("n0"), Some("theirs"), None, false),
        (None, Some("n1"), Some("job-1"), false),
        (None, None, Some("job-1"), false),
    ];
    for (at, (before, found, job, same)) in rows.into_iter().enumerate() {
        let (before, found) = (status(before, None), status(found, job));
        assert_eq!(is_same_record(&before, &found, &ours), same, "row {at}");
    }
}
