//! The form of every message: whole sentences of at most 25 words, each of which says what is so, why, or what to do.

use spideriq_operator::api::{AccountKind, CancelReason, OnAmbiguous};
use spideriq_operator::decide::Message;
use spideriq_operator::decide::message::{
    Account, Ambiguous, Cancel, CancelWaits, End, Follow, Gone, Hold, IntentLost, Left, Lost, Named, Note,
    Object, Remark, RunWord, Told, Unknown, Unread, Unsettled, Wait,
};

use super::situation::ago;

/// One of each, with words of others as short as they come.
fn all() -> Vec<Message> {
    let mut all: Vec<Message> = Vec::new();
    all.extend(waits().map(Message::from));
    all.extend(follows().map(Message::from));
    all.extend(holds().map(Message::from));
    all.extend(unsettled().map(Message::from));
    all.extend(unknown().map(Message::from));
    all.extend(cancels().map(Message::from));
    all.extend(ends().map(Message::from));
    all.extend(runs().map(Message::from));
    all.extend(notes().into_iter().map(Message::from));
    all.extend(objects().map(Message::from));
    all.extend(accounts().map(Message::from));
    all
}

fn words() -> String {
    "words".to_owned()
}

fn title() -> String {
    "ScrapeAccount default".to_owned()
}

fn waits() -> impl Iterator<Item = Wait> {
    let odd = |odd_address| Wait::Service { words: words(), odd_address };
    [
        Wait::Begins,
        Wait::Suspended,
        Wait::Submitting,
        Wait::FirstLook,
        Wait::Turn,
        Wait::Pause,
        odd(false),
        odd(true),
        Wait::NoAccount { kind: AccountKind::ScrapeAccount, name: words() },
        Wait::NoAccount { kind: AccountKind::ClusterScrapeAccount, name: words() },
        Wait::AccountSuspended(title()),
        Wait::ClientUnknown { client: "cli_a".to_owned(), account: title() },
        Wait::Rejected("SpiderIQ rejected the token: words".to_owned()),
        Wait::Stops,
        Wait::WriteRefused(words()),
        Wait::Unreadable("spec.type: words".to_owned()),
    ]
    .into_iter()
}

fn follows() -> impl Iterator<Item = Follow> {
    [
        Follow::Synced,
        Follow::Left,
        Follow::Queued,
        Follow::Processing(None),
        Follow::Processing(Some(words())),
        Follow::StateUnknown,
        Follow::Collecting,
        Follow::TenantChanged(title()),
        Follow::PayloadChanged,
    ]
    .into_iter()
}

fn holds() -> impl Iterator<Item = Hold> {
    let served = |odd_address| Hold::NotServed { type_: words(), words: words(), odd_address };
    [
        Hold::IntentUnreadable,
        Hold::IntentUnproven,
        Hold::IntentOfAnotherRelease,
        Hold::IntentOfNobody(title()),
        Hold::NoPayload,
        Hold::Refused(words()),
        Hold::SpendCap(title()),
        served(false),
        served(true),
        Hold::JobUnknown { id: words(), odd_address: true },
        Hold::MirrorNotAllowed("ClusterScrapeAccount default".to_owned()),
    ]
    .into_iter()
}

fn unsettled() -> impl Iterator<Item = Unsettled> {
    let settings = [OnAmbiguous::Auto, OnAmbiguous::Hold, OnAmbiguous::Adopt, OnAmbiguous::Resubmit];
    let found = [(Vec::new(), false), (Vec::new(), true), (vec![words(), words()], true)];
    let ambiguous = settings.into_iter().flat_map(move |on_ambiguous| {
        let of = move |(named, more)| Unsettled::Ambiguous(Ambiguous { named, more, on_ambiguous });
        found.clone().into_iter().map(of)
    });
    let others = [
        Unsettled::RepeatRefused(words()),
        Unsettled::RepeatOfAnotherRelease,
        Unsettled::PayloadChanged,
        Unsettled::TenantChanged(title()),
    ];
    ambiguous.chain(others)
}

fn unknown() -> impl Iterator<Item = Unknown> {
    [
        Unknown::Failed("no answer in time".to_owned()),
        Unknown::Settling,
        Unknown::Paused,
        Unknown::Suspended,
        Unknown::ListUnread,
        Unknown::Stops,
        Unknown::blocked(&Wait::Turn),
    ]
    .into_iter()
}

fn cancels() -> impl Iterator<Item = Cancel> {
    let reasons =
        [CancelReason::CancelledAsRequested, CancelReason::DeadlineExceeded, CancelReason::Superseded];
    let waits =
        [0, 1, 2].into_iter().flat_map(|others| [CancelWaits::Pause(others), CancelWaits::Turn(others)]);
    let waits = waits.chain([CancelWaits::Service(words())]);
    let others = [
        Cancel::Sent,
        Cancel::JobUnknown,
        Cancel::Failed(words()),
        Cancel::Asking(words()),
        Cancel::NoAccount(Wait::AccountSuspended(title()).to_string()),
        Cancel::NothingLeft,
        Cancel::Settling,
        Cancel::TenantChanged,
        Cancel::ListUnread,
        Cancel::IntentAlone(None),
        Cancel::IntentAlone(Some(words())),
        Cancel::WriteRefused(Wait::WriteRefused(words())),
    ];
    reasons.into_iter().map(Cancel::Begins).chain(waits.map(Cancel::Waits)).chain(others)
}

fn ends() -> impl Iterator<Item = End> {
    let told = [
        Told::Completed(None),
        Told::Completed(Some(0)),
        Told::Completed(Some(1)),
        Told::Failed(None),
        Told::Failed(Some(words())),
        Told::Cancelled(None),
        Told::Cancelled(Some(words())),
    ];
    let told = told.into_iter().flat_map(|how| {
        [true, false].map(|mirrored| End::AsTold { how: how.clone(), unread: Unread::GivenUp, mirrored })
    });
    let earlier =
        |state: &str, fresh_from| End::EarlierFailed { state: state.to_owned(), words: None, fresh_from };
    let reasons =
        [CancelReason::CancelledAsRequested, CancelReason::DeadlineExceeded, CancelReason::Superseded];
    let others = [
        earlier("failed", None),
        earlier("cancelled", Some(ago(0))),
        End::EarlierNotAccepted { job_id: words(), state: "queued".to_owned(), fresh_from: Some(ago(0)) },
        End::Vanished { mirrored: true },
        End::Vanished { mirrored: false },
        End::PayloadRefused(words()),
        End::PayloadTooLarge(300_000),
        End::AnnotationsTooLarge(300_000, 262_144),
        End::Deleted,
        End::NothingSubmitted,
        End::OverBeforeCancel,
        End::GoneBeforeCancel,
        End::DeadlineOfOthers,
    ];
    told.chain(reasons.map(End::Cancelled)).chain(others)
}

fn runs() -> impl Iterator<Item = RunWord> {
    let of = |run: &str| {
        let run = || Named(run.to_owned());
        [
            RunWord::Begins(run()),
            RunWord::Reused(run()),
            RunWord::OfAnotherRelease(run()),
            RunWord::Recalled { run: run(), superseded: false },
            RunWord::Recalled { run: run(), superseded: true },
        ]
    };
    of("").into_iter().chain(of("2"))
}

fn notes() -> Vec<Note> {
    let job_id = || "job-1".to_owned();
    let mut notes = vec![
        Note::Accepted(job_id()),
        Note::FromCache(job_id()),
        Note::TakenOver(job_id()),
        Note::RecordUnread(words()),
        Note::Stray(job_id()),
        Note::StraysUnread,
    ];
    let left = [Left::Policy, Left::NotOurs, Left::OfOthers, Left::NextRun, Left::PerhapsNextRun];
    notes.extend(left.map(|why| Note::LeftRunning { job_id: job_id(), why }));
    let gone = [Gone::RecordLost, Gone::NotCancelled, Gone::NotKnown, Gone::Forced];
    notes.extend(gone.map(|why| Note::Orphaned { job_id: job_id(), why }));
    let listed = [(Vec::new(), false), (Vec::new(), true), (vec![words()], false), (vec![words()], true)];
    notes.extend(listed.map(|(jobs, partly)| Note::SubmitLost(Lost::Listed { jobs, partly })));
    notes.extend([Lost::TenantChanged, Lost::ListUnread, Lost::Forced].map(Note::SubmitLost));
    let lost = [IntentLost::Unproven, IntentLost::NotComparable, IntentLost::NoAccount, IntentLost::Forced];
    for job in [None, Some(job_id())] {
        notes.extend(lost.map(|why| Note::IntentLost { job_id: job.clone(), why }));
    }
    notes
}

fn objects() -> impl Iterator<Item = Object> {
    [
        Object::WriteRefused(words()),
        Object::NotRecorded { job_id: words(), words: words() },
        Object::NotTaken(words()),
        Object::AccountName(words()),
        Object::SecretName(words()),
        Object::CrdsOutdated("status.jobID of a ScrapeJob".to_owned()),
    ]
    .into_iter()
}

fn accounts() -> impl Iterator<Item = Account> {
    let scope = || "namespace team-a".to_owned();
    [
        Account::Available(vec![Remark::BeyondClient]),
        Account::Suspended,
        Account::NoSubmits,
        Account::NoSubmitsOf(title()),
        Account::Authenticated,
        Account::NotAuthenticated,
        Account::Paused,
        Account::SubmitsPaused,
        Account::NotPaused,
        Account::SpendCap(None),
        Account::SpendCap(Some(words())),
        Account::Unopened(title()),
        Account::Unavailable(words()),
        Account::Redirects(words()),
        Account::NotAccepted { words: words(), odd_address: true },
        Account::WaitsToAsk,
        Account::SecretUnreadable(words()),
        Account::NoSecret { name: words(), operator_namespace: None },
        Account::NoSecret { name: words(), operator_namespace: Some(words()) },
        Account::SecretForbidden { name: words(), words: words() },
        Account::NotAdmitted { account: title(), namespace: words(), labels: None },
        Account::NotAdmitted { account: title(), namespace: words(), labels: Some("a=b".to_owned()) },
        Account::Unreadable(title()),
        Account::ClusterAccountsOff,
        Account::LabelsUnknown(words()),
        Account::AnotherOperator { other: words(), own: words(), scope: scope() },
        Account::ClaimRefused { scope: scope(), words: words() },
    ]
    .into_iter()
}

#[test]
fn every_message_is_made_of_short_whole_sentences() {
    let faults: Vec<String> = all()
        .iter()
        .filter_map(|message| {
            let said = message.to_string();
            odd(&said).map(|fault| format!("{fault}: {said}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(all().len() > 150, "{}", all().len());
}

/// What is wrong with the form of a message.
fn odd(message: &str) -> Option<String> {
    let begins = message.chars().next().is_some_and(char::is_uppercase) || message.starts_with("spec.");
    if !begins || !message.ends_with('.') || message.contains("..") || message.contains("  ") {
        return Some("it is no sentence".to_owned());
    }
    if message.contains("; ") {
        return Some("two sentences are joined".to_owned());
    }
    if message.len() > 1024 {
        return Some(format!("{} bytes", message.len()));
    }
    let long = message.split(". ").find(|sentence| sentence.split(' ').count() > 25)?;
    Some(format!("{} words", long.split(' ').count()))
}

#[test]
fn the_form_of_a_message_is_judged() {
    assert_eq!(odd("The job completed. Set spec.runID to run it again."), None);
    for bad in ["the job completed.", "The job completed", "The job failed; try again.", &"Word ".repeat(30)]
    {
        assert!(odd(bad.trim()).is_some(), "{bad}");
    }
}
