//! Which of several releases works: the verdict on the claims that accounts bear.

use std::time::Duration;

use spideriq_operator::api::OperatorClaim;
use spideriq_operator::clock::Clock;
use spideriq_operator::leader::claim::{
    ALIVE_FOR, Age, Bearer, Borne, RENEW_EVERY, SEND_WITHIN, Verdict, has_lapsed, judge, may_send,
};
use spideriq_operator::leader::{Claims, Release, Scope, Sight};

fn age(created: i64, uid: &str) -> Age {
    Age { created, uid: uid.to_owned() }
}

/// What an account bears, in a word: nothing, ours, alive, gone (by age), lapsed (by its Lease). A bar before it says that
/// the account was deleted.
fn bearer(n: usize, word: &str) -> Bearer {
    let theirs = |unchanged_for, lapsed| Borne::Theirs { unchanged_for, lapsed };
    let (gone, word) = word.strip_prefix('|').map_or((false, word), |word| (true, word));
    let claim = match word {
        "-" => Borne::Nothing,
        "ours" => Borne::Ours,
        "new" => theirs(Duration::ZERO, false),
        "alive" => theirs(ALIVE_FOR.saturating_sub(Duration::from_millis(1)), false),
        "old" => theirs(ALIVE_FOR, false),
        "lapsed" => theirs(Duration::ZERO, true),
        other => panic!("{other}"),
    };
    // The first two were made in one second.
    Bearer { age: age(i64::try_from(n.max(1)).unwrap(), &format!("uid-{n}")), gone, claim }
}

/// The verdict in words: what is to be done with which account, by its place from the oldest.
fn verdict(accounts: &str, holds: bool) -> String {
    let mut bearers: Vec<Bearer> =
        accounts.split_whitespace().enumerate().map(|(n, word)| bearer(n, word)).collect();
    let places: Vec<Age> = bearers.iter().map(|bearer| bearer.age.clone()).collect();
    let place = |age: &Age| places.iter().position(|place| place == age).unwrap();
    let say = |verdict: &Verdict| match verdict {
        Verdict::Free => "free".to_owned(),
        Verdict::Hold(age) => format!("hold {}", place(age)),
        Verdict::Clear(age) => format!("clear {}", place(age)),
        Verdict::Withdraw(age) => format!("withdraw {}", place(age)),
        Verdict::Yield(age) => format!("yield {}", place(age)),
    };
    let said = say(&judge(&bearers, holds));
    // The order in which they are known does not matter.
    bearers.reverse();
    assert_eq!(say(&judge(&bearers, holds)), said, "{accounts}");
    said
}

#[test]
fn who_works_by_what_the_accounts_bear() {
    let rows = [
        // Accounts from the oldest, whether this process holds, and what it does.
        ("", false, "free"),
        ("|-", false, "free"),
        ("-", false, "hold 0"),
        ("- - -", false, "hold 0"),
        ("ours", false, "hold 0"),
        ("ours", true, "hold 0"),
        ("- ours", true, "hold 1"),
        ("- ours", false, "hold 1"),
        // Beside a claim that is alive nobody begins.
        ("new", false, "yield 0"),
        ("alive", false, "yield 0"),
        ("- alive", false, "yield 1"),
        ("ours alive", false, "yield 1"),
        ("alive new", false, "yield 0"),
        // One that is gone is taken over, or off, before anything is sent.
        ("old", false, "hold 0"),
        ("lapsed", false, "hold 0"),
        ("- old", false, "clear 1"),
        ("old lapsed", false, "clear 1"),
        ("lapsed ours", false, "clear 0"),
        ("ours ours", true, "clear 1"),
        // Of several the one on the oldest account holds.
        ("ours alive", true, "hold 0"),
        ("alive ours", true, "withdraw 1"),
        ("alive ours", false, "withdraw 1"),
        ("alive - ours ours", true, "withdraw 2"),
        ("ours old", true, "clear 1"),
        // What went bore what it bore until its release knows that it went.
        ("|alive", false, "yield 0"),
        ("|alive -", false, "yield 0"),
        ("|old -", false, "hold 1"),
        ("|lapsed -", false, "hold 1"),
        ("|alive ours", true, "hold 1"),
        ("|alive ours", false, "yield 0"),
        // Somebody else has our claim's place.
        ("new", true, "yield 0"),
    ];
    for (accounts, holds, expected) in rows {
        assert_eq!(verdict(accounts, holds), expected, "{accounts:?}, holds: {holds}");
    }
}

/// Two releases see each other's claims on any two accounts: never do both hold, and never does nobody go on.
#[test]
fn of_two_that_hold_one_withdraws() {
    let seen = |mine: usize| {
        let bears = |n| if n == mine { "ours" } else { "alive" };
        judge(&[bearer(0, bears(0)), bearer(1, bears(1))], true)
    };
    assert!(matches!((seen(0), seen(1)), (Verdict::Hold(_), Verdict::Withdraw(_))));
}

/// Who held last sends nothing any more when another begins, however far the rates of two clocks differ within a third.
#[test]
fn nobody_sends_when_another_begins() {
    for percent in 70..=140_u32 {
        // By the other's clock, from when the renewal was sent at the earliest.
        let last_send = SEND_WITHIN.saturating_mul(percent) / 100;
        assert!(last_send < ALIVE_FOR, "{percent}");
    }
    assert!(RENEW_EVERY.saturating_mul(2) <= SEND_WITHIN, "one renewal may be lost");
    assert!(may_send(SEND_WITHIN.saturating_sub(Duration::from_millis(1))) && !may_send(SEND_WITHIN));
}

#[test]
fn a_lease_runs_out_after_its_own_time_and_in_a_minute_at_most() {
    let seconds = Duration::from_secs;
    for (lasts, unchanged, lapsed) in [
        (15, 14, false),
        (15, 15, true),
        (1, 1, true),
        (0, 14, false),
        (0, 15, true),
        (9999, 59, false),
        (9999, 60, true),
    ] {
        assert_eq!(has_lapsed(seconds(lasts), seconds(unchanged)), lapsed, "{lasts} {unchanged}");
    }
}

/// An account that is deleted and made again belongs to the release that works there, for as long as that may not know it.
#[test]
fn what_went_bears_its_claim_still() {
    let release = Release { id: "ours".to_owned(), lease: None };
    let (claims, _told) = Claims::new(Clock::system(), release);
    let scope = Scope::Namespace("a".to_owned());
    let claim = OperatorClaim { id: "theirs".to_owned(), lease: None, renewals: 1, renew_time: None };
    let sight = |uid: &str, claim: Option<OperatorClaim>| Sight {
        age: age(1, uid),
        name: "default".to_owned(),
        version: "1".to_owned(),
        claim,
    };
    claims.saw(&scope, sight("first", Some(claim)));
    assert!(claims.is_of_others(&scope));
    claims.gone(&scope, &age(1, "first"));
    claims.saw(&scope, sight("second", None));
    assert!(claims.is_of_others(&scope), "it is not for whoever is faster");
    assert_eq!(claims.accounts(&scope), ["default"]);
}
