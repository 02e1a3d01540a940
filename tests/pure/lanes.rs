//! Between lanes and within one: whose turn is next, and that nobody waits for ever.

use std::time::Duration;

use spideriq_operator::budget::{Lane, Limits, Ticket};

use super::budget::Ledger;

/// Fast enough that all who wait get their turns at one moment.
fn without_bounds() -> Ledger {
    let mut ledger =
        Ledger::new(Limits { requests_per_minute: 16_000, burst: 8_000, submits_per_minute: 16_000 });
    ledger.now += Duration::from_secs(60);
    ledger
}

/// A namespace is deleted and others' ends are read: whoever submits or looks waits for a few turns.
#[test]
fn no_lane_is_passed_over_for_long_however_many_wait_in_the_others() {
    // (lane, the most turns before its first one)
    for (lane, most) in [
        (Lane::Submit, 4),
        (Lane::List, 4),
        (Lane::LookUp, 6),
        (Lane::Poll, 6),
        (Lane::Net, 16),
        (Lane::Whoami, 16),
        (Lane::Idle, 4),
    ] {
        let mut ledger = without_bounds();
        for (lane, many) in [(Lane::Cancel, 500), (Lane::Results, 50)] {
            for n in 0..many {
                ledger.enqueue(lane, "many", &format!("{lane:?}-{n}"));
            }
        }
        let one = ledger.enqueue(lane, "new", "n");
        let granted = ledger.grant();
        let before = granted.iter().position(|granted| *granted == one).unwrap();
        assert!(before <= most + 1, "{lane:?} after {before} turns");
    }
}

/// With more than enough in every lane each has its share, and the longest wait of a lane is not much more than its own
/// measure.
#[test]
fn every_lane_has_its_share() {
    let mut ledger = without_bounds();
    // Of the lists no more than one page each waits at a time.
    for lane in Lane::ALL.into_iter().filter(|lane| !matches!(lane, Lane::List | Lane::Net)) {
        for n in 0..1000 {
            ledger.enqueue(lane, "a", &format!("{lane:?}-{n}"));
        }
    }
    let granted = ledger.grant();
    let most =
        [(Lane::Submit, 4), (Lane::LookUp, 6), (Lane::Poll, 6), (Lane::Results, 8), (Lane::Whoami, 16)];
    for (lane, measure) in most.into_iter().chain([(Lane::Idle, 4), (Lane::Cancel, 8)]) {
        let turns: Vec<usize> = (0..1000).filter(|n| ledger.lanes[&granted[*n]] == lane).collect();
        let longest = turns.windows(2).map(|pair| pair[1] - pair[0] - 1).max().unwrap();
        assert!(longest <= measure + Lane::ALL.len(), "{lane:?} was passed over {longest} times");
    }
}

/// Reads of what is over have time: while many wait, a page of the list or a submit that comes is sent at once.
#[test]
fn what_has_time_leaves_the_last_turn_to_others() {
    let mut ledger = Ledger::new(Limits { requests_per_minute: 100, burst: 20, submits_per_minute: 10 });
    for n in 0..300 {
        ledger.enqueue(Lane::Results, "many", &format!("read-{n}"));
    }
    let mut sent = 0;
    for second in 0..180 {
        ledger.now += Duration::from_millis(1_000);
        let granted = ledger.grant();
        sent += granted.len();
        (0..granted.len()).for_each(|_| ledger.answer(7));
        if second >= 60 && second % 5 == 0 {
            let page = ledger.enqueue(Lane::List, "many", "the list");
            let granted = ledger.grant();
            assert!(granted.contains(&page), "second {second}");
            (0..granted.len()).for_each(|_| ledger.answer(7));
        }
    }
    assert!(sent >= 180, "{sent} were read");
}

/// While looks take each turn as it comes, what is over is read in its own turns, for ever.
#[test]
fn what_has_time_gets_its_own_turn_where_others_take_all() {
    for (limit, burst) in [(100, 20), (30, 6), (15, 3), (5, 1)] {
        let mut ledger = Ledger::new(Limits { requests_per_minute: limit, burst, submits_per_minute: 1 });
        for n in 0..500 {
            ledger.enqueue(Lane::Results, "many", &format!("read-{n}"));
        }
        let (mut looks, mut reads) = (0, 0);
        for second in 0..1_800 {
            ledger.now += Duration::from_secs(1);
            while ledger.budget.waiting(Lane::Poll) < 4 {
                looks += 1;
                ledger.enqueue(Lane::Poll, "many", &format!("look-{looks}"));
            }
            let granted = ledger.grant();
            (0..granted.len()).for_each(|_| ledger.answer(7));
            // Only what is waited for after the first minutes counts.
            let read = granted.iter().filter(|ticket| ledger.lanes[ticket] == Lane::Results).count();
            reads += if second >= 300 { read } else { 0 };
        }
        // A ninth of the turns of 25 minutes, less some.
        let most = usize::try_from(limit).unwrap() * 25;
        assert!(reads * 12 >= most.min(400), "{limit} a minute: {reads} were read");
    }
}

#[test]
fn namespaces_share_fairly_and_higher_lanes_come_first() {
    let mut ledger = Ledger::new(Limits { requests_per_minute: 6000, burst: 1000, submits_per_minute: 600 });
    ledger.now += Duration::from_secs(60);
    let many: Vec<Ticket> = (0..50).map(|n| ledger.enqueue(Lane::Poll, "many", &format!("m{n}"))).collect();
    let few: Vec<Ticket> = (0..3).map(|n| ledger.enqueue(Lane::Poll, "few", &format!("f{n}"))).collect();
    let cancel = ledger.enqueue(Lane::Cancel, "many", "c");
    let granted = ledger.grant();
    let place = |ticket: &Ticket| granted.iter().position(|granted| granted == ticket).unwrap();
    assert_eq!(place(&cancel), 0);
    assert!(
        few.iter().all(|ticket| place(ticket) <= 6),
        "three of a small namespace among fifty of a large one"
    );
    assert_eq!(place(many.last().unwrap()), granted.len() - 1);
}
