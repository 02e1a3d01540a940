//! The verdict on the lease: a table of situations, and its one promise whatever comes when: never two that act.

use std::time::Duration;

use proptest::prelude::*;
use spideriq_operator::leader::{ACT_WITHIN, LEASE, Ledger, Record, Verdict, may_act};

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn record(holder: &str, version: u64, lasts: u64) -> Record {
    let holder = Some(holder.to_owned()).filter(|holder| !holder.is_empty());
    Record { holder, version: version.to_string(), lasts: at(lasts), drained: false }
}

/// What is known at 100 s by "me".
fn ledger(lease: Option<Record>) -> Ledger {
    Ledger::new("me".to_owned(), lease, at(100))
}

/// The same, as the holder since a write sent at 100 s.
fn leading() -> Ledger {
    let mut ledger = ledger(None);
    ledger.wrote(record("me", 1, 15), at(100), at(101));
    ledger
}

#[test]
fn who_does_not_lead_takes_what_is_free_and_waits_for_what_is_not() {
    use Verdict::{Acquire, Wait};
    for (what, lease, now, expected) in [
        ("there is no lease", None, 100, Acquire),
        ("it was given up", Some(record("", 1, 1)), 100, Acquire),
        ("ours, by a write whose answer was lost", Some(record("me", 1, 15)), 100, Acquire),
        ("just seen", Some(record("other", 1, 15)), 100, Wait(LEASE)),
        ("seen unchanged for nearly all of it", Some(record("other", 1, 15)), 114, Wait(at(1))),
        ("seen unchanged for all of it", Some(record("other", 1, 15)), 115, Acquire),
        ("it says that it lasts longer", Some(record("other", 1, 40)), 115, Wait(at(25))),
        ("it says that it lasts less than we grant", Some(record("other", 1, 1)), 101, Wait(at(14))),
        ("it says that it lasts for ever", Some(record("other", 1, u64::from(u32::MAX))), 160, Acquire),
    ] {
        assert_eq!(ledger(lease).judge(at(now)), expected, "{what}");
    }
    let mut ledger = ledger(Some(record("other", 1, 15)));
    ledger.saw(Some(record("other", 1, 15)), at(110));
    assert_eq!(ledger.judge(at(115)), Acquire, "the same record again is no sign of life");
    ledger.failed(at(115));
    assert_eq!(ledger.judge(at(115)), Wait(at(1)), "not at once again");
    ledger.saw(Some(record("other", 2, 15)), at(116));
    assert_eq!(ledger.judge(at(116)), Wait(LEASE), "it lives");
    ledger.saw(Some(record("", 3, 1)), at(117));
    assert_eq!(ledger.judge(at(117)), Acquire, "and gave it up");
}

#[test]
fn what_is_drained_nobody_takes_and_whoever_holds_it_stands_down() {
    for holder in ["", "other", "me"] {
        let drained = Record { drained: true, ..record(holder, 2, 15) };
        for now in [100, 161, 1_000_000] {
            assert!(
                matches!(ledger(Some(drained.clone())).judge(at(now)), Verdict::Wait(_)),
                "{holder} {now}"
            );
        }
        let mut ledger = leading();
        ledger.saw(Some(drained.clone()), at(102));
        assert_eq!(ledger.judge(at(102)), Verdict::Lost, "{holder}");
        // Taken back, it is a lease like any other from that moment on.
        let mut ledger = self::ledger(Some(drained));
        ledger.saw(Some(record(holder, 3, 15)), at(200));
        let expected = if holder == "other" { Verdict::Wait(LEASE) } else { Verdict::Acquire };
        assert_eq!(ledger.judge(at(200)), expected, "{holder}");
    }
}

#[test]
fn who_leads_renews_in_time_or_stands_down() {
    use Verdict::{Lost, Renew, Wait};
    let leading_ledger = leading();
    for (now, expected) in [(101, Wait(at(4))), (105, Renew), (109, Renew), (110, Lost), (1000, Lost)] {
        assert_eq!(leading_ledger.judge(at(now)), expected, "at {now}");
    }
    let mut ledger = leading();
    ledger.failed(at(107));
    assert_eq!(ledger.judge(at(107)), Wait(at(1)));
    assert_eq!(ledger.judge(at(108)), Renew);
    ledger.saw(Some(record("me", 2, 15)), at(108));
    assert_eq!(ledger.judge(at(108)), Renew, "the write was carried out, but nobody knows when");
    ledger.wrote(record("me", 3, 15), at(108), at(109));
    assert_eq!(ledger.judge(at(109)), Wait(at(4)), "counted from sending");
    for seen in [None, Some(record("", 4, 1)), Some(record("other", 4, 15))] {
        let mut ledger = ledger.clone();
        ledger.saw(seen, at(110));
        assert_eq!(ledger.judge(at(110)), Lost);
    }
    let mut late = leading();
    late.wrote(record("me", 2, 15), at(109), at(110));
    assert_eq!(late.judge(at(110)), Lost, "who has stopped acting does not begin again");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Time passes: milliseconds.
    Pass(u64),
    /// The next three, without a delay.
    Do(usize),
    /// A process asks for its verdict, and sends what it says.
    Turn(usize),
    /// Its request reaches the store.
    Arrive(usize),
    /// The answer reaches it.
    Answer(usize),
    /// It waits for the answer no longer; the request may still arrive.
    GiveUpOn(usize),
    /// A request that nobody waits for any more reaches the store.
    Stray,
    /// The next two, without a delay.
    Watch(usize),
    /// A reply to a read, or a watch, leaves the store …
    Look(usize),
    /// … and is seen.
    See(usize),
    /// A graceful end, by giving the lease up; another process takes its place.
    Retire(usize),
    /// The same without a word.
    Crash(usize),
}

const PROCESSES: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let process = || 0..PROCESSES;
    prop_oneof![
        12 => (0..4000_u64).prop_map(Step::Pass),
        12 => process().prop_map(Step::Do),
        8 => process().prop_map(Step::Watch),
        4 => process().prop_map(Step::Turn),
        4 => process().prop_map(Step::Arrive),
        4 => process().prop_map(Step::Answer),
        2 => process().prop_map(Step::GiveUpOn),
        2 => Just(Step::Stray),
        2 => process().prop_map(Step::Look),
        2 => process().prop_map(Step::See),
        1 => process().prop_map(Step::Retire),
        1 => process().prop_map(Step::Crash),
    ]
}

#[derive(Clone, Debug)]
struct Request {
    /// The version that it replaces; none to create.
    over: Option<String>,
    holder: String,
    sent: Duration,
    /// What the store said; none before it arrived.
    said: Option<Result<Record, Conflict>>,
}

/// Somebody else wrote first.
#[derive(Clone, Copy, Debug)]
struct Conflict;

/// The store as a read, or a watch, shows it.
struct Shown(Option<Record>);

struct Process {
    name: String,
    ledger: Ledger,
    request: Option<Request>,
    shown: Option<Shown>,
}

/// A store that takes a write only over the version that it names, and processes whose clocks run at their own pace.
struct World {
    now: u64,
    paces: [u64; PROCESSES],
    store: Option<Record>,
    versions: u64,
    names: u64,
    processes: Vec<Process>,
    strays: Vec<Request>,
    take_overs: u32,
}

impl World {
    fn new(paces: [u64; PROCESSES]) -> Self {
        let mut world = Self {
            now: 0,
            paces,
            store: None,
            versions: 0,
            names: 0,
            processes: Vec::new(),
            strays: Vec::new(),
            take_overs: 0,
        };
        for at in 0..PROCESSES {
            let process = world.fresh(at);
            world.processes.push(process);
        }
        world
    }

    /// The monotonic clock of a process.
    fn clock(&self, at: usize) -> Duration {
        Duration::from_micros(self.now * self.paces.get(at).unwrap())
    }

    fn fresh(&mut self, at: usize) -> Process {
        self.names += 1;
        let name = format!("process-{}", self.names);
        let ledger = Ledger::new(name.clone(), self.store.clone(), self.clock(at));
        Process { name, ledger, request: None, shown: None }
    }

    fn replace(&mut self, at: usize) {
        let fresh = self.fresh(at);
        let old = std::mem::replace(self.processes.get_mut(at).unwrap(), fresh);
        self.strays.extend(old.request.filter(|request| request.said.is_none()));
    }

    fn write(&mut self, request: &Request) -> Result<Record, Conflict> {
        if request.over != self.store.as_ref().map(|record| record.version.clone()) {
            return Err(Conflict);
        }
        self.versions += 1;
        let lasts = if request.holder.is_empty() { 1 } else { 15 };
        let written = record(&request.holder, self.versions, lasts);
        self.store = Some(written.clone());
        Ok(written)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(milliseconds) => self.now += milliseconds,
            Step::Do(at) => {
                for step in [Step::Turn(at), Step::Arrive(at), Step::Answer(at)] {
                    self.step(step);
                }
            }
            Step::Watch(at) => {
                self.step(Step::Look(at));
                self.step(Step::See(at));
            }
            Step::Turn(at) => {
                let (now, process) = (self.clock(at), self.processes.get_mut(at).unwrap());
                if process.request.is_some() {
                    return;
                }
                match process.ledger.judge(now) {
                    Verdict::Acquire | Verdict::Renew => {
                        let over = process.ledger.lease().map(|lease| lease.version.clone());
                        let holder = process.name.clone();
                        process.request = Some(Request { over, holder, sent: now, said: None });
                    }
                    Verdict::Wait(_) => {}
                    Verdict::Lost => self.replace(at),
                }
            }
            Step::Arrive(at) => {
                if let Some(mut request) = self.processes.get_mut(at).unwrap().request.take() {
                    if request.said.is_none() {
                        request.said = Some(self.write(&request));
                    }
                    self.processes.get_mut(at).unwrap().request = Some(request);
                }
            }
            Step::Answer(at) => {
                let (now, process) = (self.clock(at), self.processes.get_mut(at).unwrap());
                let Some(request) = process.request.take_if(|request| request.said.is_some()) else { return };
                let led = process.ledger.renewed().is_some();
                match request.said {
                    Some(Ok(record)) => process.ledger.wrote(record, request.sent, now),
                    Some(Err(Conflict)) | None => process.ledger.failed(now),
                }
                self.take_overs += u32::from(!led && process.ledger.renewed().is_some());
            }
            Step::GiveUpOn(at) => {
                let (now, process) = (self.clock(at), self.processes.get_mut(at).unwrap());
                if let Some(request) = process.request.take() {
                    process.ledger.failed(now);
                    self.strays.extend(Some(request).filter(|request| request.said.is_none()));
                }
            }
            Step::Stray => {
                if let Some(request) = self.strays.pop() {
                    // Nobody waits for what the store says.
                    let _ = self.write(&request);
                }
            }
            Step::Look(at) => {
                let shown = Shown(self.store.clone());
                self.processes.get_mut(at).unwrap().shown = Some(shown);
            }
            Step::See(at) => {
                let (now, process) = (self.clock(at), self.processes.get_mut(at).unwrap());
                if let Some(Shown(seen)) = process.shown.take() {
                    process.ledger.saw(seen, now);
                }
            }
            Step::Retire(at) => {
                let (now, process) = (self.clock(at), self.processes.get(at).unwrap());
                // Who sees that it has lost the lease ends without giving up what is not its own.
                let lost = process.ledger.judge(now) == Verdict::Lost;
                if process.ledger.renewed().is_some() && process.request.is_none() && !lost {
                    let over = process.ledger.lease().map(|lease| lease.version.clone());
                    self.strays.push(Request {
                        over,
                        holder: String::new(),
                        sent: Duration::ZERO,
                        said: None,
                    });
                    self.replace(at);
                }
            }
            Step::Crash(at) => self.replace(at),
        }
    }

    /// The processes that would begin an effect now.
    fn acting(&self) -> Vec<usize> {
        let acts = |at: &usize| {
            let renewed = self.processes.get(*at).unwrap().ledger.renewed();
            renewed.is_some_and(|renewed| may_act(renewed, self.clock(*at)))
        };
        (0..PROCESSES).filter(acts).collect()
    }

    /// How long ago the renewal of any process but this was sent that still takes itself for the leader.
    fn others(&self, but: usize) -> impl Iterator<Item = Duration> {
        let others = self.processes.iter().enumerate().filter(move |(at, _)| *at != but);
        others.filter_map(|(at, process)| Some(self.clock(at).saturating_sub(process.ledger.renewed()?)))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn never_two_act_whatever_comes_when_and_however_the_clocks_run(
        steps in prop::collection::vec(step(), 1..300),
        paces in prop::array::uniform3(850..1150_u64),
    ) {
        let mut world = World::new(paces);
        for step in steps {
            world.step(step);
            prop_assert!(world.acting().len() <= 1, "after {step:?}: {:?}", world.acting());
        }
    }

    /// The request of an effect that began at the last moment goes out up to five seconds later.
    #[test]
    fn who_begins_to_lead_finds_the_last_effects_of_the_one_before_over(
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut world = World::new([1000; PROCESSES]);
        for step in steps {
            world.step(step);
            for leader in world.acting() {
                for ago in world.others(leader) {
                    prop_assert!(ago >= ACT_WITHIN + at(5), "after {step:?}: {ago:?}");
                }
            }
        }
    }
}

/// The model would say nothing if nobody in it ever led.
#[test]
fn in_the_model_leaders_follow_each_other() {
    let mut world = World::new([1000; PROCESSES]);
    for second in 0..300 {
        world.step(Step::Pass(1000));
        for at in 0..PROCESSES {
            world.step(Step::Do(at));
            world.step(Step::Watch(at));
        }
        if second % 60 == 30 {
            let leader = world.acting();
            assert_eq!(leader.len(), 1, "at {second}");
            world.step(if second % 120 == 30 { Step::Crash(leader[0]) } else { Step::Retire(leader[0]) });
            world.step(Step::Stray);
        }
    }
    assert_eq!(world.take_overs, 6);
}
