//! One list for all jobs of a client: what it costs, what it shows, and what becomes of it when it is refused, wrong or late.

use emulator::journal::{Event, JobEvent};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::fate::Plan;
use super::run::{Ended, key, run};
use super::scenario::{Deed, Scenario};

const START: &str = "2026-01-01T00:00:00Z";

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// So many mirrors of jobs that others made; those of group 1 end, and those of group 0 run for ever.
pub fn mirrored(many: usize, ends: usize) -> Vec<(u64, Deed)> {
    let deeds = (0..many).flat_map(|n| {
        let id = leaked(format!("550e8400-e29b-41d4-a716-{n:012}"));
        let page = leaked(format!("https://group-{}.example/{n}", usize::from(n < ends)));
        [(0, Deed::Theirs(id, page)), (1, Deed::Create(leaked(format!("mirror-{n}")), json!({"jobID": id})))]
    });
    deeds.collect()
}

/// Jobs of group 1 end after so many seconds.
pub fn rules(after: u64) -> &'static str {
    leaked(format!(
        "jobs: [{{match: {{contains: group-1.}}, queued: 5, processing: {}}}, {{queued: 5, end: processing}}]",
        after - 5
    ))
}

pub fn ended(rules: &'static str, deeds: Vec<(u64, Deed)>, lasts: u64) -> Ended {
    let mut deeds = deeds;
    deeds.sort_by_key(|(at, _)| *at);
    run(&Scenario { name: "lists", rules, deeds, lasts }, 1, Plan::default())
}

/// What happened at the service between two seconds.
pub fn between(ended: &Ended, from: u64, to: u64) -> Vec<Event> {
    let start = START.parse::<Timestamp>().unwrap().as_second();
    let second = |at: &str| u64::try_from(at.parse::<Timestamp>().unwrap().as_second() - start).unwrap();
    let entries = ended.service.journal(0).entries.into_iter();
    entries.filter(|entry| (from..to).contains(&second(&entry.at))).map(|entry| entry.event).collect()
}

pub fn requests(events: &[Event], route: &str) -> usize {
    events.iter().filter(|event| matches!(event, Event::Request(request) if request.route == route)).count()
}

/// Pages of all that is not over.
fn of_all(events: &[Event]) -> usize {
    let of_all =
        |event: &&Event| matches!(event, Event::Request(request) if request.path.contains("status_filter"));
    events.iter().filter(of_all).count()
}

/// How long after its end each job was shown as ended, the slowest last; and how many were not.
pub fn shown(ended: &Ended) -> (Vec<i64>, usize) {
    let second = |time: &str| time.parse::<Timestamp>().unwrap().as_second();
    let jobs = ended.api.store().list("ScrapeJob", None);
    let (mut shown, mut missing) = (Vec::new(), 0);
    for entry in ended.service.journal(0).entries {
        let Event::Job(JobEvent { job_id, kind, to, .. }) = entry.event else { continue };
        // Others of the client have jobs of another type.
        if to != "completed" || kind == "spiderMail" {
            continue;
        }
        let finished = jobs.iter().find(|job| job["status"]["jobID"] == job_id.as_str());
        match finished.and_then(|job| job["status"]["finishTime"].as_str()) {
            Some(time) => shown.push(second(time) - second(&entry.at)),
            None => missing += 1,
        }
    }
    shown.sort_unstable();
    (shown, missing)
}

fn sync(ended: &Ended) -> Value {
    ended.api.store().get(&key("ScrapeAccount", "default")).unwrap()["status"]["sync"].clone()
}

/// Whether the account has been ready ever since its first minute.
fn always_ready(ended: &Ended) -> bool {
    let account = ended.api.store().get(&key("ScrapeAccount", "default")).unwrap();
    let conditions = account["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
    ready["status"] == "True" && ready["lastTransitionTime"].as_str() < Some("2026-01-01T00:01:00Z")
}

#[test]
fn jobs_in_numbers_cost_one_list_and_nothing_while_nothing_changes() {
    let quiet = (600, 660);
    let mut deeds = mirrored(300, 0);
    deeds.push((0, Deed::Others(400)));
    let ended = ended(rules(60), deeds, quiet.1);
    let events = between(&ended, quiet.0, quiet.1);
    // In this minute all that is not over is read as well, a page each 12 s.
    let (rounds, looks) = (of_all(&events), requests(&events, "status"));
    let lists = requests(&events, "list") - rounds;
    assert!((4..=6).contains(&lists), "{lists} lists in a quiet minute");
    assert!(rounds <= 5 && looks <= 1, "{rounds} pages of all, {looks} looks");
    assert_eq!(sync(&ended), json!({"mode": "List"}));
    let writes = ended.api.store().writes.iter().filter(|(_, key)| key.kind == "ScrapeJob").count();
    assert!(writes <= 300 * 3, "{writes} writes");
}

/// What the objects record is where a new process goes on: it looks at no job by itself.
#[test]
fn a_new_process_goes_on_with_a_few_pages() {
    let (crash, after) = (150, 160);
    let mut deeds = mirrored(200, 150);
    deeds.push((crash, Deed::Crash));
    // They end while nobody looks.
    let ended = ended(rules(crash), deeds, crash + 600);
    let events = between(&ended, crash, after);
    // What has changed has two pages, until it lies further back than a row may be late.
    assert!(requests(&events, "list") <= 8, "{} lists", requests(&events, "list"));
    let (shown, missing) = shown(&ended);
    assert_eq!((shown.len(), missing), (150, 0));
    assert!(shown.last() <= Some(&8), "{:?}", shown.last());
}

#[test]
fn a_list_that_cannot_be_used_is_left_and_one_that_can_again_is_used_again() {
    let faults = [
        ("reply: {status: 403}", "ListRefused"),
        ("reply: {status: 404}", "ListRefused"),
        ("reply: {status: 422}", "ListRefused"),
        ("reply: {status: 200, body: '<html>'}", "ListUnreadable"),
        ("reply: {status: 200, body: '{\"jobs\": [{\"job_id\": \"x\"}]}'}", "ListUnreadable"),
        ("delay: 30", "ListSlow"),
    ];
    for (fault, reason) in faults {
        let rule = leaked(format!("[{{match: {{route: list}}, {fault}}}]"));
        let mut deeds = mirrored(4, 2);
        deeds.push((0, Deed::Faults(rule)));
        let during = ended(rules(100), deeds.clone(), 400);
        assert_eq!(shown(&during).1, 0, "{fault}: they are looked at one by one");
        assert_eq!(sync(&during), json!({"mode": "OneByOne", "reason": reason}), "{fault}");
        deeds.push((400, Deed::Faults("[]")));
        let after = ended(rules(100), deeds, 400 + 1900 + 120);
        assert_eq!(sync(&after), json!({"mode": "List"}), "{fault}");
        for ended in [&during, &after] {
            assert!(always_ready(ended), "{fault}: it says nothing of the account");
        }
    }
}

/// What a list has told of is looked at as soon as it tells nothing any more.
#[test]
fn jobs_are_looked_at_soon_after_the_list_was_left() {
    let mut deeds = mirrored(20, 15);
    deeds.push((80, Deed::Faults("[{match: {route: list}, reply: {status: 403}}]")));
    let ended = ended(rules(100), deeds, 200);
    let (shown, missing) = shown(&ended);
    assert_eq!((shown.len(), missing), (15, 0));
    assert!(shown.last() <= Some(&25), "{shown:?}");
}

/// An account may be told to do without; then nothing is listed, and nobody else loses anything.
#[test]
fn an_account_without_a_list_looks_at_each_job() {
    let mut deeds = mirrored(4, 2);
    deeds.push((0, Deed::Account(json!({"sync": {"list": "Off"}}))));
    let off = ended(rules(60), deeds.clone(), 120);
    assert_eq!(requests(&between(&off, 0, 120), "list"), 0);
    assert_eq!((shown(&off).1, sync(&off)), (0, json!({"mode": "OneByOne"})));
    deeds.push((120, Deed::Account(json!({"sync": {"list": "Auto"}}))));
    let on = ended(rules(60), deeds, 300);
    assert!(requests(&between(&on, 120, 300), "list") > 5);
    assert!(requests(&between(&on, 240, 300), "status") <= 5);
    assert_eq!(sync(&on), json!({"mode": "List"}));
}

/// The service is away for two minutes: what ended meanwhile is shown when it is back.
#[test]
fn what_ends_while_the_service_is_away_is_shown_when_it_is_back() {
    let mut deeds = mirrored(100, 80);
    deeds.push((60, Deed::Faults("[{reply: {status: 503}}]")));
    deeds.push((180, Deed::Faults("[]")));
    let ended = ended(rules(100), deeds, 900);
    let (shown, missing) = shown(&ended);
    assert_eq!((shown.len(), missing), (80, 0));
    assert!(shown.last() <= Some(&150), "{:?}", shown.last());
    let synced = |job: &Value| {
        let conditions = job["status"]["conditions"].as_array().unwrap();
        conditions.iter().any(|condition| condition["type"] == "Synced" && condition["status"] == "True")
    };
    assert!(ended.api.store().list("ScrapeJob", None).iter().all(synced));
}

/// Nobody has seen any of the jobs yet: a page shows a hundred of those that are not over.
#[test]
fn jobs_in_numbers_that_others_made_are_known_after_a_few_pages() {
    let mut deeds = mirrored(300, 0);
    deeds.push((0, Deed::Others(150)));
    let ended = ended(rules(60), deeds, 120);
    let events = between(&ended, 0, 60);
    let (lists, looks) = (requests(&events, "list"), requests(&events, "status"));
    // What changed is read forty times in this minute, in which all begin to run.
    assert!(lists <= 60 && looks <= 5, "{lists} lists, {looks} looks");
    let known = ended
        .api
        .store()
        .list("ScrapeJob", None)
        .into_iter()
        .filter(|job| job["status"]["state"] == "Processing");
    assert_eq!(known.count(), 300);
}

/// Some jobs change and keep the time of their last change, so that the list of what changed never shows them.
#[test]
fn what_the_list_of_changes_hides_is_found_by_reading_all_that_is_not_over() {
    let text = format!("{}\nlist: {{frozen: group-1., ties: shuffled}}", rules(700));
    let ended = ended(leaked(text), mirrored(120, 40), 2_400);
    let (shown, missing) = shown(&ended);
    assert_eq!((shown.len(), missing), (40, 0));
    // By looks in turn it would take as long as the last of 120, five a minute.
    let looks = requests(&between(&ended, 700, 2_400), "status");
    assert!(looks <= 40 + 40 + 30, "{looks} looks");
    assert_eq!(sync(&ended), json!({"mode": "List"}));
}

/// What some jobs do is listed half a minute late, behind what others did later.
#[test]
fn what_becomes_visible_late_is_shown_soon_afterwards() {
    let rules = "jobs: [{match: {contains: group-1.}, queued: 5, processing: [120, 500]}, {queued: 5, end: processing}]\nlist: {lag: 30, lagging: group-1.}";
    // They are all listed before anybody follows them.
    let later = |(at, deed)| (if matches!(deed, Deed::Create(..)) { 60 } else { at }, deed);
    let mut deeds: Vec<(u64, Deed)> = mirrored(120, 40).into_iter().map(later).collect();
    deeds.push((0, Deed::Busy(600, 600)));
    let ended = ended(rules, deeds, 600);
    let (shown, missing) = shown(&ended);
    println!("{shown:?} {missing} {}", sync(&ended));
    assert_eq!((shown.len(), missing), (40, 0));
    assert!(shown.last() <= Some(&(30 + 10)), "{shown:?}");
    assert_eq!(sync(&ended), json!({"mode": "List"}));
}

/// What others do with the same client costs pages of the list, and neither time nor an end of ours. Half as much at the
/// start, so many a second in the middle.
#[test]
fn jobs_of_others_that_change_many_times_a_second_hide_none_of_ours() {
    for (rate, slowest) in [(10, 5), (50, 8), (80, 8)] {
        let lasts = 600;
        // They were there before ours.
        let ours = mirrored(60, 40).into_iter().map(|(at, deed)| (at + 60, deed));
        let busy = Deed::Busy(rate * usize::try_from(lasts).unwrap() / 4, lasts);
        let deeds = [(0, busy)].into_iter().chain(ours).collect();
        let rules = "jobs: [{match: {contains: group-1.}, queued: 5, processing: [60, 500]}, {queued: 5, end: processing}]";
        let ended = ended(rules, deeds, lasts);
        let (shown, missing) = shown(&ended);
        assert_eq!((shown.len(), missing), (40, 0), "{rate} a second");
        assert!(shown.last() <= Some(&slowest), "{rate} a second: {shown:?}");
        assert_eq!(sync(&ended), json!({"mode": "List"}), "{rate} a second");
    }
}

/// A client of which others make much more than we do: what they do is not kept, and costs what our own jobs cost alone, but
/// for a second page now and then.
#[test]
fn a_day_beside_a_hundred_thousand_jobs_of_others() {
    let (day, minutes) = (24 * 3600, 24 * 60);
    let rules = "jobs: [{match: {contains: group-1.}, queued: 5, processing: [60, 80000]}, {queued: 5, end: processing}]";
    let mut deeds = mirrored(40, 30);
    deeds.push((0, Deed::Busy(100_000, day)));
    let ended = ended(rules, deeds, day);
    let (shown, missing) = shown(&ended);
    assert_eq!((shown.len(), missing), (30, 0));
    // Where nothing of ours has changed for ten minutes the list is read every 15 s.
    assert!(shown.last() <= Some(&17), "{shown:?}");
    let events = between(&ended, 60, day);
    let (lists, looks) = (requests(&events, "list"), requests(&events, "status"));
    assert!(lists <= 7 * minutes && looks <= 5 * minutes, "{lists} pages, {looks} looks");
}

/// Some thousands are shown by a page for a hundred, although what has changed of them has as many pages: nothing is looked
/// at by itself, and a reading that takes minutes is no outage.
#[test]
fn thousands_are_known_without_a_look_at_any() {
    let many = 5_000;
    let ended = ended("jobs: [{queued: 5, end: processing}]", mirrored(many, 0), 400);
    let events = between(&ended, 0, 400);
    let (lists, looks) = (requests(&events, "list"), requests(&events, "status"));
    assert!(lists <= 300 && looks <= 5, "{lists} lists, {looks} looks");
    let writes = ended.api.store().writes.iter().filter(|(_, key)| key.kind == "ScrapeJob").count();
    assert!(writes <= many * 3, "{writes} writes");
    let early = between(&ended, 0, 120);
    assert!(of_all(&early) >= 50, "{} pages of all", of_all(&early));
}
