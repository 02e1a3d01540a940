//! Texts that people and other programs write into objects and files: any of them is borne.

use proptest::prelude::*;
use spideriq_operator::decide::{Intent, IntentFacts};
use spideriq_operator::offline::manifest;

use super::situation::{fresh, site};
use super::table::intent;

/// An annotation as the operator writes it, cut, changed and joined.
fn annotations() -> impl Strategy<Value = String> {
    let whole = serde_json::to_string(&intent(&fresh(site()))).unwrap();
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "\"",
        "\\ud83d",
        "\"v\":2,",
        "\"jobID\":\"../x\",",
        "null",
        "1e999",
        "\u{202e}",
        "[[[[",
        "\"v\":1,\"v\":2",
    ]);
    let changed = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), piece).prop_map(
        move |(from, to, piece)| {
            let (from, to) = (from.index(whole.len()), to.index(whole.len()));
            format!("{}{piece}{}", &whole[..from], &whole[to..])
        },
    );
    prop_oneof![changed, any::<String>(), "\\[{1,5000}", "x{4090,4100}"]
}

/// What kubectl would take, and what it would not.
fn manifests() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[a-c]: [&*]?[a-c0-9.xoe_+~-]{0,12}",
        "  - ?[0-9.e+-]{0,20}",
        Just("---".to_owned()),
        Just("<<: *a".to_owned()),
        "[\\PC\t]{0,30}",
    ];
    prop_oneof![
        prop::collection::vec(line, 0..20).prop_map(|lines| lines.join("\n")),
        any::<String>(),
        "[\\[{]{1,5000}",
        "(a: ){1,2000}",
        "(- ){1,2000}",
    ]
}

proptest! {
    #[test]
    fn an_annotation_is_an_intent_of_a_known_form_or_none(text in annotations()) {
        match Intent::read(Some(&text)) {
            IntentFacts::Found(intent) => prop_assert!([1, 2].contains(&intent.v) && text.len() <= 4096, "{}", text),
            IntentFacts::Unreadable => {}
            IntentFacts::None => prop_assert!(false, "there is one: {}", text),
        }
    }

    /// What was read once is read the same again: numbers are then as the API server stores them.
    #[test]
    fn a_manifest_is_one_object_or_an_error(text in manifests()) {
        if let Ok(read) = manifest(&text) {
            let again = serde_json::to_string(&read).unwrap();
            prop_assert!(!read.is_null());
            prop_assert_eq!(manifest(&again), Ok(read), "{}", text);
        }
    }

    #[test]
    fn a_double_is_read_as_the_one_that_it_is(double: f64, whole: i64) {
        prop_assume!(double.is_finite() && double != 0.0);
        for number in [serde_json::json!(double), serde_json::json!(whole)] {
            let read = manifest(&format!("a: {number}")).unwrap();
            prop_assert_eq!(read["a"].as_f64(), number.as_f64());
        }
    }
}
