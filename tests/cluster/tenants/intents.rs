//! Annotations by hand, as the operator writes them and otherwise.

use serde_json::{Value, json};

use super::place::{Place, most, nested};
use super::tenant::Deed;

/// The annotation of an object, as the operator writes it, with more; its uid is filled in when it is known.
fn intent(place: &Place, name: &str, more: &Value) -> Value {
    let mut intent = json!({
        "v": 1,
        "object": format!("{}/{}", place.namespace, place.named(name)),
        "uid": "{uid}",
        "type": "spiderSite",
        "run": "",
        "bodyHash": "v1:00",
        "nonce": format!("nonce-{name}"),
        "time": "2026-01-01T00:00:00Z",
        "account": "default",
        "endpoint": place.service,
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        intent[field] = value.clone();
    }
    intent
}

pub fn intents(place: &Place) -> Vec<Deed> {
    let mut deeds = vec![
        place.secret("own", &format!("cli_{0}:sk_{0}:secret_{0}", "own")),
        place.account("own", "own", place.service, &most()),
    ];
    let known: Vec<String> = place.victims.iter().map(|victim| victim.id.clone()).collect();
    let odd = ["../../admin/x", "x?page_size=100", "a/b#c", "", "%2e%2e"].map(str::to_owned);
    let annotation = "spideriq.ai/submission";
    for (n, id) in known.iter().chain(&odd).enumerate() {
        for account in ["own", "default"] {
            let name = format!("intent-{n}-{account}");
            let page = place.victims.first().map_or("", |victim| victim.page.as_str());
            let mut spec = place.site("own", page);
            if account == "default" {
                // The account of the cluster, which admits this namespace.
                spec.as_object_mut().map(|spec| spec.remove("accountRef"));
                spec["payload"]["url"] = format!("https://intent-{n}.example").into();
            }
            spec["suspend"] = true.into();
            spec["submission"] = json!({"onAmbiguous": "Adopt"});
            deeds.push(place.job(&name, &json!({}), &spec));
            let named = if account == "own" { place.named("own") } else { account.to_owned() };
            let told = json!({"account": named, "jobID": id, "outcome": "Processing"});
            let intent = intent(place, &name, &told);
            let metadata =
                json!({"annotations": {annotation: intent.to_string()}, "finalizers": ["spideriq.ai/job"]});
            deeds.push(place.edit(&name, &json!({"metadata": metadata, "spec": {"suspend": false}})));
            deeds.push(place.edit(&name, &json!({"spec": {"cancel": true}})));
        }
    }
    // What an unknown submit may have been answered with is not cancelled: this one was never sent, but for an annotation.
    for (n, victim) in place.victims.iter().enumerate() {
        for client in [Value::Null, "cli_acme".into(), "cli_hub".into()] {
            let name = format!("unsent-{n}-{}", client.as_str().unwrap_or("nobody").replace('_', "-"));
            let mut spec = place.site("missing", &victim.page);
            spec["submission"] = json!({"onAmbiguous": "Hold"});
            let garbage = json!({"annotations": {annotation: "x"}});
            deeds.push(place.job(&name, &garbage, &spec));
            let intent = intent(place, &name, &json!({"clientID": client}));
            let metadata = json!({"annotations": {annotation: intent.to_string()}});
            deeds.push(place.edit(&name, &json!({"metadata": metadata})));
        }
    }
    for (n, text) in
        ["{{{".to_owned(), nested(9_000), "x".repeat(200_000), "[".repeat(50_000)].iter().enumerate()
    {
        let annotations = json!({"annotations": {annotation: text}});
        let name = format!("garbage-{n}");
        deeds.push(place.job(&name, &annotations, &place.site("own", "https://garbage.example")));
    }
    deeds
}
