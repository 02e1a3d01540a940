//! What is read of a job that is over: what of it is written with its end, and what is owed.

use std::time::Duration;

use jiff::SignedDuration;
use spideriq_operator::api::{AccountKind, Owed, ScrapeJobStatus};
use spideriq_operator::decide::message::{End, Told, Unread};
use spideriq_operator::decide::{
    AccountFacts, Again, Details, Memory, Observed, Outcome, RemoteJob, Stop, Summary, Trouble, Waiting,
    Watched, next, settle,
};

use super::situation::{accepted, has, now, remote, rest, status_of, word};

/// A completed job of which nothing is read yet, as the poller has just seen it.
fn completed() -> Observed {
    let mut o = accepted("processing");
    o.watched.latest = Some(remote("completed"));
    o.job.protected = false;
    o
}

fn waiting() -> Outcome {
    Outcome::NotYet(Waiting { since: now(), estimate: None, stop: Stop::Turn, others: 9 })
}

fn down() -> Trouble {
    Trouble::Unavailable("down".to_owned())
}

fn as_told(how: Told, unread: Unread) -> String {
    End::AsTold { how, unread, mirrored: false }.to_string()
}

/// The same object after this status was written, seen by a process that remembers this.
fn written(o: &Observed, status: &ScrapeJobStatus, memory: &Memory) -> Observed {
    Observed { recorded: status.clone(), memory: memory.clone(), watched: Watched::default(), ..o.clone() }
}

#[test]
fn r7_what_is_read_at_once_is_written_together_with_the_end() {
    let o = completed();
    assert_eq!(word(&next(&o)), "read Details");
    let detailed = settle(&o, &next(&o), &Outcome::Details(Ok(Details::default())));
    assert_eq!(detailed.standing, None, "the end of a job is one write");
    let read = Observed { memory: detailed.memory, ..o.clone() };
    assert_eq!(word(&next(&read)), "read Results");
    let summary = Summary { count: Some(12), bytes: Some(900), error_message: None };
    let good = status_of(&settle(&read, &next(&read), &Outcome::Summary(Ok(summary))), &read);
    assert_eq!((good.finished, good.results.unwrap().count, good.owed), (true, Some(12), Vec::new()));
}

#[test]
fn r7_an_end_is_shown_at_once_whatever_its_reads_wait_for_and_they_are_owed() {
    let o = completed();
    for outcome in [waiting(), Outcome::Reading, Outcome::Details(Err(down()))] {
        let verdict = settle(&o, &next(&o), &outcome);
        let status = status_of(&verdict, &o);
        assert_eq!(has(&status, "Finished"), "True", "{outcome:?}");
        assert_eq!(status.owed, [Owed::Details, Owed::Results]);
        assert_eq!(status.message.clone().unwrap(), as_told(Told::Completed(None), Unread::Yet));
        // A process that begins anew goes on with what is recorded.
        for memory in [verdict.memory, Memory::default()] {
            let mut o = written(&o, &status, &memory);
            assert_eq!(word(&next(&o)), "read Details");
            for outcome in [waiting(), Outcome::Reading] {
                let verdict = settle(&o, &next(&o), &outcome);
                assert_eq!(verdict.standing, None, "nothing new is written for a wait");
                assert_eq!(verdict.again, Again::After(reads_end(&o)));
            }
            o.memory.details = Some(Details { pages_crawled: Some(7), ..Details::default() });
            let summary = Summary { count: Some(3), ..Summary::default() };
            let summary = Summary { bytes: Some(9), ..summary };
            let verdict = settle(&o, &next(&o), &Outcome::Summary(Ok(summary)));
            assert!(verdict.events.is_empty(), "the end was told: {:?}", verdict.events);
            let status = status_of(&verdict, &o);
            assert_eq!((status.finished, &status.owed[..]), (true, &[][..]));
            assert_eq!(status.message.clone().unwrap(), as_told(Told::Completed(Some(3)), Unread::Nothing));
            assert_eq!(status.remote.unwrap().pages_crawled, Some(7));
        }
    }
    let half = Observed { memory: Memory { details: Some(Details::default()), ..Memory::default() }, ..o };
    let status = status_of(&settle(&half, &next(&half), &waiting()), &half);
    assert_eq!(status.owed, [Owed::Results], "what is read already is written");
}

/// In how long the reads of what is over are given up.
fn reads_end(o: &Observed) -> Duration {
    Duration::from_secs(if o.memory.failed_reads == 0 { 3600 } else { 600 })
}

#[test]
fn r7_a_failed_job_waits_a_moment_for_the_words_on_it() {
    let mut o = accepted("processing");
    o.watched.latest = Some(remote("failed"));
    assert_eq!(word(&next(&o)), "read Results");
    for outcome in [waiting(), Outcome::Reading, Outcome::Summary(Err(down()))] {
        o.memory.over_seen_for = Duration::from_secs(4);
        let verdict = settle(&o, &next(&o), &outcome);
        assert_eq!((verdict.standing, verdict.again), (None, Again::After(Duration::from_secs(1))));
        o.memory.over_seen_for = Duration::from_secs(5);
        let status = status_of(&rest(&o), &o);
        assert_eq!((has(&status, "Failed"), &status.owed[..]), ("True".to_owned(), &[Owed::Results][..]));
        assert_eq!(status.message.clone().unwrap(), as_told(Told::Failed(None), Unread::Yet));
        let words = Some("no such page".to_owned());
        let late = written(&o, &status, &o.memory);
        let summary = Summary { error_message: words.clone(), ..Summary::default() };
        let told = status_of(&settle(&late, &next(&late), &Outcome::Summary(Ok(summary))), &late);
        assert_eq!(told.message.clone().unwrap(), as_told(Told::Failed(words), Unread::Nothing));
        assert!(told.owed.is_empty());
    }
    // Where the status says why, nothing is left to be read.
    let known = RemoteJob { error_message: Some("no such page".to_owned()), ..remote("failed") };
    o.recorded.remote.as_mut().unwrap().error_message.clone_from(&known.error_message);
    o.watched.latest = Some(known);
    o.memory.over_seen_for = Duration::ZERO;
    let status = status_of(&rest(&o), &o);
    assert_eq!((has(&status, "Failed"), &status.owed[..]), ("True".to_owned(), &[][..]));
}

#[test]
fn r7_what_is_owed_is_given_up_in_the_end_and_keeps_the_object_until_then() {
    let o = completed();
    let ended = status_of(&settle(&o, &next(&o), &waiting()), &o);
    let mut o = written(&o, &ended, &Memory::default());
    // Its time to live is over already.
    o.job.spec.ttl_seconds_after_finished = Some(0);
    for tries in 1..=5 {
        let outcome = match word(&next(&o)).as_str() {
            "read Details" => Outcome::Details(Err(down())),
            "read Results" => Outcome::Summary(Err(down())),
            other => panic!("{other}"),
        };
        let verdict = settle(&o, &next(&o), &outcome);
        o.memory = verdict.memory.clone();
        if tries < 5 {
            assert_eq!(verdict.standing, None);
            continue;
        }
        let status = status_of(&verdict, &o);
        assert_eq!((status.finished, &status.owed[..]), (true, &[][..]));
        assert_eq!(status.message.clone().unwrap(), as_told(Told::Completed(None), Unread::GivenUp));
        assert_eq!(word(&next(&written(&o, &status, &o.memory))), "expire");
    }
    o.job.spec.ttl_seconds_after_finished = None;
    // Waiting alone is given up after an hour, failing after ten minutes of failures.
    let failing = |seconds: i64| Some(o.steady.checked_sub(SignedDuration::from_secs(seconds)).unwrap());
    for (failed_reads, since, seconds, given_up) in [
        (0, None, 3599, false),
        (0, None, 3600, true),
        (1, failing(0), 3000, false),
        (1, failing(599), 700, false),
        (1, failing(600), 700, true),
        (1, failing(10), 3600, true),
    ] {
        let over_seen_for = Duration::from_secs(seconds);
        o.memory = Memory { failed_reads, unreadable_since: since, over_seen_for, ..Memory::default() };
        assert_eq!(word(&next(&o)).starts_with("read"), !given_up, "{failed_reads} failed, {seconds} s");
        let status = Some(rest(&o)).filter(|_| given_up).map(|verdict| status_of(&verdict, &o));
        assert!(status.is_none_or(|status| status.owed.is_empty()));
    }
    // Without the account nobody reads, and nothing is deleted before that is given up, too.
    o.account = AccountFacts::Missing { kind: AccountKind::ScrapeAccount, name: "default".to_owned() };
    o.memory = Memory { over_seen_for: Duration::from_secs(2000), ..Memory::default() };
    let verdict = rest(&o);
    assert_eq!(verdict.again, Again::After(Duration::from_secs(600)));
    assert_eq!(verdict.memory.unreadable_since, Some(o.steady), "it counts from the first look without");
    for (seconds, given_up) in [(599, false), (600, true)] {
        o.memory.unreadable_since = Some(o.steady.checked_sub(SignedDuration::from_secs(seconds)).unwrap());
        assert_eq!(status_of(&rest(&o), &o).owed.is_empty(), given_up, "{seconds} s without the account");
    }
}

/// Nobody looks at it again and again for what is given up by then.
#[test]
fn r7_what_is_left_alone_is_not_hurried_by_what_it_owes() {
    let o = completed();
    let ended = status_of(&settle(&o, &next(&o), &waiting()), &o);
    let mut o = written(&o, &ended, &Memory::default());
    o.job.marks.paused = true;
    for (seconds, again) in [(3500, Again::After(Duration::from_secs(100))), (3600, Again::OnChange)] {
        o.memory.over_seen_for = Duration::from_secs(seconds);
        assert_eq!((word(&next(&o)).as_str(), rest(&o).again), ("leave", again));
    }
}

/// Results that the service is still making are no failure.
#[test]
fn r7_what_is_not_ready_is_asked_for_again() {
    let o = completed();
    let ended = status_of(&settle(&o, &next(&o), &Outcome::Unready), &o);
    assert_eq!((ended.finished, ended.owed.len()), (true, 2));
    let mut o = written(&o, &ended, &Memory { details: Some(Details::default()), ..Memory::default() });
    for _ in 0..20 {
        let verdict = settle(&o, &next(&o), &Outcome::Unready);
        assert_eq!((verdict.standing, verdict.again), (None, Again::After(Duration::from_secs(30))));
        o.memory = verdict.memory;
        assert_eq!(o.memory.failed_reads, 0);
    }
}

/// An older version may have written over the record of what it does not know: the outcome stays, and nothing is owed.
#[test]
fn r8_an_end_without_a_word_of_the_service_owes_nothing() {
    let o = completed();
    let mut ended = status_of(&settle(&o, &next(&o), &waiting()), &o);
    ended.remote = None;
    let mut o = written(&o, &ended, &Memory::default());
    for _ in 0..2 {
        let summary = Outcome::Summary(Ok(Summary { count: Some(1), bytes: Some(2), error_message: None }));
        let verdict =
            settle(&o, &next(&o), if o.recorded.owed.is_empty() { &Outcome::Done } else { &summary });
        let status = status_of(&verdict, &o);
        assert_eq!((status.finished, status.owed.len()), (true, 0));
        assert_eq!((&status.state, &status.reason), (&ended.state, &ended.reason));
        o.recorded = status;
    }
}

/// The service says otherwise of what is recorded as over: that stays.
#[test]
fn r8_no_read_takes_an_end_back() {
    let o = completed();
    let ended = status_of(&settle(&o, &next(&o), &waiting()), &o);
    let o = written(&o, &ended, &Memory::default());
    for outcome in [
        Outcome::Summary(Ok(Summary { error_message: Some("it failed".to_owned()), ..Summary::default() })),
        Outcome::Details(Err(Trouble::NotFound("gone".to_owned()))),
        Outcome::Summary(Err(Trouble::Unavailable("the results are not ready yet".to_owned()))),
    ] {
        let verdict = settle(&o, &next(&o), &outcome);
        if verdict.standing.is_some() {
            let status = status_of(&verdict, &o);
            assert_eq!((status.state, status.reason), (ended.state.clone(), ended.reason.clone()));
        }
    }
    // Whatever is recorded, also where the service says another end than a while ago.
    let mut other = o;
    let recorded = (Some("Failed".to_owned()), Some("RemoteJobVanished".to_owned()));
    (other.recorded.state, other.recorded.reason) = recorded.clone();
    let verdict = settle(&other, &next(&other), &Outcome::Summary(Ok(Summary::default())));
    assert!(verdict.standing.is_some());
    let status = status_of(&verdict, &other);
    assert_eq!((status.state, status.reason), recorded);
}
