//! A table of situations: what differs, and the plan in one word.

use spideriq_operator::api::{AccountKind, Reason};
use spideriq_operator::decide::{AccountFacts, AccountUse, Intent, IntentFacts, Observed, next};

use super::situation::{account, ago, word};

pub type Change = fn(&mut Observed);

/// Every row: what it is called, what differs, the plan in one word.
pub fn check(base: &Observed, rows: &[(&str, Change, &str)]) {
    for (name, change, expected) in rows {
        let mut o = base.clone();
        change(&mut o);
        assert_eq!(word(&next(&o)), *expected, "{name}");
    }
}

pub fn with_account(o: &mut Observed, change: impl FnOnce(&mut AccountUse)) {
    let mut account = account();
    change(&mut account);
    o.account = AccountFacts::Usable(account);
}

pub fn without_account(o: &mut Observed) {
    o.account = AccountFacts::Missing { kind: AccountKind::ScrapeAccount, name: "default".to_owned() };
}

pub fn barred(o: &mut Observed) {
    with_account(o, |account| account.barred = Some((Reason::NamespaceNotAllowed, String::new())));
}

pub fn intent(o: &Observed) -> Intent {
    Intent::new(&o.job, &account(), "nonce-1", ago(60)).unwrap()
}

pub fn found(o: &mut Observed, change: impl FnOnce(&mut Intent)) {
    let mut intent = intent(o);
    change(&mut intent);
    o.intent = IntentFacts::Found(Box::new(intent));
}
