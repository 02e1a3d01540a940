//! Whether two are, or may be, of one client of the service: every combination of what is known of each.

use spideriq_operator::api::{Credential, SubmissionRecord};
use spideriq_operator::decide::{AccountFacts, AccountUse, ClientIdentity, next};

use super::situation::{account, fresh, site, word};
use super::table::found;

/// Endpoint, name and alias.
type Known<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);

const A: Option<&str> = Some("https://a");
const B: Option<&str> = Some("https://b");

fn of((endpoint, id, alias): Known<'_>) -> ClientIdentity {
    ClientIdentity::new(endpoint, id, alias)
}

#[test]
fn two_clients_are_told_apart_by_every_name_that_is_known() {
    let (named, other, token) = (Some("cli_n"), Some("cli_m"), Some("cli_t"));
    // What is known of the one, of the other, and whether they are surely, and may be, one client.
    let rows: [(&str, Known<'_>, Known<'_>, bool, bool); 21] = [
        ("one name", (A, named, None), (A, named, None), true, true),
        ("two names", (A, named, None), (A, other, None), false, false),
        ("one is unknown", (A, named, None), (A, None, None), false, true),
        ("both are unknown", (A, None, None), (A, None, None), false, true),
        ("one's alias is the other's name", (A, named, token), (A, token, None), true, true),
        ("one has an alias that says nothing", (A, named, token), (A, other, None), false, false),
        ("one has an alias, and one name is both's", (A, named, token), (A, named, None), true, true),
        ("one has an alias, the other is unknown", (A, named, token), (A, None, None), false, true),
        ("both have all names in common", (A, named, token), (A, named, token), true, true),
        ("both have one name and two aliases", (A, named, token), (A, named, other), true, true),
        ("two names and one alias", (A, named, token), (A, other, token), false, true),
        ("two names and two aliases", (A, named, token), (A, other, Some("cli_u")), false, false),
        ("name and alias crosswise", (A, named, token), (A, token, named), true, true),
        ("one's alias is the other's name, which has one", (A, named, token), (A, token, other), true, true),
        ("one name elsewhere", (A, named, None), (B, named, None), false, false),
        ("an alias elsewhere", (A, named, token), (B, token, None), false, false),
        ("both unknown elsewhere", (A, None, None), (B, None, None), false, false),
        ("one name somewhere", (A, named, None), (None, named, None), false, true),
        ("an alias somewhere", (A, named, token), (None, token, None), false, true),
        ("two names somewhere", (A, named, None), (None, other, None), false, false),
        ("nothing is known", (None, None, None), (None, None, None), false, true),
    ];
    let mut wrong = Vec::new();
    for (what, ours, theirs, surely, maybe) in rows {
        for (ours, theirs) in [(of(ours), of(theirs)), (of(theirs), of(ours))] {
            if (ours.is_surely(&theirs), ours.may_be(&theirs)) != (surely, maybe) {
                wrong.push(format!("{what}: {ours:?} {theirs:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is proven is never taken for impossible, whoever asks.
#[test]
fn both_questions_are_symmetric_and_the_sure_ones_may_be() {
    let names = [None, Some("cli_n"), Some("cli_m"), Some("cli_t")];
    let mut all = Vec::new();
    for endpoint in [None, A, B] {
        for id in names {
            for alias in names {
                all.push(of((endpoint, id, alias)));
            }
        }
    }
    for ours in &all {
        for theirs in &all {
            assert_eq!(ours.is_surely(theirs), theirs.is_surely(ours), "{ours:?} {theirs:?}");
            assert_eq!(ours.may_be(theirs), theirs.may_be(ours), "{ours:?} {theirs:?}");
            assert!(!ours.is_surely(theirs) || ours.may_be(theirs), "{ours:?} {theirs:?}");
        }
    }
}

#[test]
fn a_token_names_its_client_unless_the_service_does() {
    let text = |name: &str| Some(name.to_owned());
    for (claimed, named, expected) in [
        (None, None, (None, None)),
        (text("cli_t"), None, (text("cli_t"), None)),
        (None, text("cli_n"), (text("cli_n"), None)),
        (text("cli_n"), text("cli_n"), (text("cli_n"), None)),
        (text("cli_t"), text("cli_n"), (text("cli_n"), text("cli_t"))),
    ] {
        assert_eq!(
            ClientIdentity::of_token(claimed.clone(), named.clone()),
            expected,
            "{claimed:?} {named:?}"
        );
    }
}

/// A record has one name. An account that knows two of them tells that two records are of one client.
#[test]
fn what_any_account_knows_of_a_client_counts() {
    let accounts = [
        of((A, Some("cli_n"), Some("cli_t"))),
        of((A, Some("cli_n"), Some("cli_u"))),
        of((B, Some("cli_n"), Some("cli_v"))),
        of((A, None, None)),
    ];
    for (ours, theirs, without, with) in [
        ("cli_t", "cli_n", false, true),
        ("cli_n", "cli_t", false, true),
        ("cli_t", "cli_u", false, true),
        ("cli_n", "cli_v", false, false),
        ("cli_t", "cli_x", false, false),
        ("cli_x", "cli_x", true, true),
    ] {
        let (ours, theirs) = (of((A, Some(ours), None)), of((A, Some(theirs), None)));
        assert_eq!(ours.may_be(&theirs), without, "{ours:?} {theirs:?}");
        assert_eq!(ours.known_by(&accounts).may_be(&theirs), with, "{theirs:?}");
    }
    let unknown = of((A, None, None));
    assert_eq!(unknown.clone().known_by(&accounts), unknown, "it may be any, and is none of them for sure");
}

fn held(client: Option<&str>, alias: Option<&str>) -> AccountUse {
    AccountUse { client_id: client.map(str::to_owned), alias: alias.map(str::to_owned), ..account() }
}

/// Adopting, believing and repeating need a proof: one client at one endpoint, or the very Secret where a name is missing.
#[test]
fn a_record_is_proven_by_a_name_of_its_client_or_by_the_very_secret() {
    let other = Credential { uid: "secret-2".to_owned(), resource_version: "7".to_owned() };
    // The recorded name, the account's name and alias, and whether it proves with the very Secret, and with another.
    let rows = [
        (Some("cli_n"), Some("cli_n"), None, true, true),
        (Some("cli_m"), Some("cli_n"), None, false, false),
        (Some("cli_t"), Some("cli_n"), Some("cli_t"), true, true),
        (Some("cli_m"), Some("cli_n"), Some("cli_t"), false, false),
        // A record has no alias: by the token's own name nobody can tell that it is the client which was named.
        (Some("cli_n"), Some("cli_t"), None, false, false),
        (Some("cli_n"), None, None, true, false),
        (None, Some("cli_n"), None, true, false),
        (None, Some("cli_n"), Some("cli_t"), true, false),
        (None, None, None, true, false),
    ];
    for (recorded, client, alias, same, another) in rows {
        let ours = held(client, alias);
        let record = |endpoint: Option<&str>, credential: &Credential| SubmissionRecord {
            endpoint: endpoint.map(str::to_owned),
            client_id: recorded.map(str::to_owned),
            credential: Some(credential.clone()),
            ..SubmissionRecord::default()
        };
        let here = Some(ours.endpoint.as_str());
        let what = format!("{recorded:?} {client:?} {alias:?}");
        assert_eq!(ours.proves(&record(here, &ours.credential)), same, "{what}");
        assert_eq!(ours.proves(&record(here, &other)), another, "{what}");
        for elsewhere in [B, None] {
            assert!(!ours.proves(&record(elsewhere, &ours.credential)), "{what} {elsewhere:?}");
        }
    }
}

/// Of a restored object only the intent is left: what it names is adopted, waited for, or another client's.
#[test]
fn an_intent_counts_as_far_as_it_is_of_the_accounts_client() {
    for (intended, client, alias, expected) in [
        (Some("cli_n"), Some("cli_n"), None, "adopt job-1"),
        (Some("cli_m"), Some("cli_n"), None, "submit 1"),
        (Some("cli_t"), Some("cli_n"), Some("cli_t"), "adopt job-1"),
        (Some("cli_m"), Some("cli_n"), Some("cli_t"), "submit 1"),
        (Some("cli_n"), Some("cli_t"), None, "submit 1"),
        (Some("cli_n"), None, None, "rest AccountNotReady"),
        (None, Some("cli_n"), Some("cli_t"), "rest SubmissionAmbiguous"),
        // Neither was ever named: what was begun so goes on so.
        (None, None, None, "adopt job-1"),
    ] {
        let mut o = fresh(site());
        found(&mut o, |intent| {
            intent.uid = "old".into();
            intent.job_id = Some("job-1".into());
            intent.client_id = intended.map(str::to_owned);
        });
        let ours = held(client, alias);
        o.account = AccountFacts::Usable(ours.clone());
        let what = format!("{intended:?} {client:?} {alias:?}");
        assert_eq!(word(&next(&o)), expected, "{what}");
        o.account = AccountFacts::Usable(AccountUse { endpoint: "https://b".to_owned(), ..ours });
        assert_eq!(word(&next(&o)), "submit 1", "{what}, elsewhere");
    }
}

/// Whoever writes another client's name into a token of his own gets none of its jobs held up: the service has named both.
#[test]
fn a_name_that_a_token_claims_joins_no_two_clients_that_the_service_named() {
    let victim = of((A, Some("cli_victim"), None));
    let forger = of((A, Some("cli_forger"), Some("cli_victim"))).given(true);
    let named = victim.clone().given(true);
    assert!(!named.may_be(&forger) && !forger.may_be(&named));
    // A record says nothing of who gave its name; an account that the service named does.
    let accounts = [named.clone(), forger.clone()];
    assert!(!victim.clone().known_by(&accounts).may_be(&forger));
    assert!(!victim.clone().known_by(&accounts).may_be(&of((A, Some("cli_forger"), None))));
    // Where the service never named the victim, nobody can tell.
    assert!(victim.clone().known_by(&[victim.clone(), forger.clone()]).may_be(&forger));
    // At another service it is another client.
    let elsewhere = of((B, Some("cli_victim"), None)).given(true);
    assert!(victim.clone().known_by(&[elsewhere, forger.clone()]).may_be(&forger));
    // What has no name was named by nobody.
    assert!(of((A, None, None)).given(true).may_be(&forger));
}
