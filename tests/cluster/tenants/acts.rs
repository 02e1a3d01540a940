//! What a tenant may try against another one: each act is a row of the table.

use http::Method;
use serde_json::{Value, json};

use super::intents::intents;
use super::place::{Place, least, most, nested};
use super::tenant::{Deed, path};

/// An act, what the neighbour would see of it where it works, and what is done.
pub type Row = (&'static str, &'static str, fn(&Place) -> Vec<Deed>);

/// Each is done by both tenants at once.
pub const TABLE: &[Row] = &[
    ("objects of any depth", "nothing goes on for anybody", deep),
    ("names that are addresses", "its Secrets are listed", addresses),
    ("what no role gives", "its objects are written or read", beyond),
    ("intents by hand", "its job is adopted and cancelled", intents),
    ("the id of somebody else's job", "its job is shown, cancelled, or kept running", ids),
    ("finalizers, owners, a status, annotations", "its job is collected", metadata),
    ("looks that are asked for in a loop", "its own work waits", looks),
    ("equal payloads of who could not have the job", "its job is not cancelled", twins),
    ("Secrets of the cluster and of other services", "what they open is sent to a service", foreign_secrets),
    ("accounts at addresses that nobody allowed", "its network is asked", unlisted),
    ("somebody else's client id, with limits that stop it", "its budget is gone", forged),
    ("accounts in numbers at an address that hangs", "its account is not opened", hanging),
    ("mirrors in numbers, to be cancelled with a bad token", "its own cancels wait", mirrors),
    ("large objects and annotations", "the process is killed for its memory", large),
    ("work in numbers", "its own work waits", numbers),
    ("deletion in numbers", "its own cancels wait", deletion),
];

fn deep(place: &Place) -> Vec<Deed> {
    let named = |name: &str| place.named(name);
    let mut deeds = Vec::new();
    for depth in [65, 123, 130, 9_000] {
        let name = named(&format!("deep-{depth}"));
        let x = nested(depth - 1);
        deeds.push(place.create("scrapejobs", format!(
            r#"{{"apiVersion":"spideriq.ai/v1alpha1","kind":"ScrapeJob","metadata":{{"name":"{name}"}},"spec":{{"type":"spiderSite","payload":{{"url":"https://deep.example","x":{x}}}}}}}"#
        )));
    }
    // Once more by the watch, and by the list before a cancel.
    deeds.push(place.edit("deep-9000", &json!({"metadata": {"labels": {"a": "b"}}})));
    deeds.push(place.edit("deep-130", &json!({"spec": {"cancel": true}})));
    let managed = format!(
        r#"[{{"manager":"m","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{}}}]"#,
        nested(500)
    );
    let name = named("managed");
    deeds.push(place.create("scrapeaccounts", format!(
        r#"{{"apiVersion":"spideriq.ai/v1alpha1","kind":"ScrapeAccount","metadata":{{"name":"{name}","managedFields":{managed}}},"spec":{{"secretRef":{{"name":"managed"}}}}}}"#
    )));
    let secret = format!(
        r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"managed","managedFields":{managed}}},"stringData":{{"token":"cli_deep:sk_deep:secret_deep"}}}}"#
    );
    deeds.push(Deed::create(place.namespace, "secrets", secret).with_secrets());
    deeds.push(place.job("managed", &json!({}), &place.site("managed", "https://deep.example")));
    deeds
}

fn addresses(place: &Place) -> Vec<Deed> {
    let odd = [
        "?limit=500",
        "x?watch=true",
        "../secrets",
        "a/b",
        "a#b",
        "%2e%2e",
        "x,metadata.namespace=default",
        "..",
        "",
    ];
    let mut deeds = Vec::new();
    for name in odd {
        deeds.push(place.account("odd", name, place.service, &most()).invalid());
        let mut spec = place.site("odd", "https://odd.example");
        spec["accountRef"]["name"] = name.into();
        deeds.push(place.job("odd", &json!({}), &spec).invalid());
    }
    for id in ["../../admin/x", "x?page_size=100", "a/b", "a#b", "%2e%2e%2fx", ".."] {
        deeds.push(place.job("odd", &json!({}), &json!({ "jobID": id })).invalid());
    }
    deeds
}

fn forged(place: &Place) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for client in ["acme", "hub"] {
        let name = format!("forged-{client}");
        deeds.push(place.secret(&name, &format!("cli_{client}:sk_wrong:secret_wrong")));
        deeds.push(place.account(&name, &name, place.service, &least()));
        deeds.push(place.job(&name, &json!({}), &place.site(&name, "https://forged.example")));
    }
    deeds
}

fn hanging(place: &Place) -> Vec<Deed> {
    let endpoint = format!("http://{}/api/v1", place.silent);
    let mut deeds = vec![place.secret("silent", "cli_strange:sk_strange:secret_strange")];
    for n in 0..30 {
        let name = format!("silent-{n}");
        deeds.push(place.account(&name, "silent", &endpoint, &most()));
        deeds.push(place.job(&name, &json!({}), &place.site(&name, &format!("https://silent-{n}.example"))));
    }
    deeds
}

fn unlisted(place: &Place) -> Vec<Deed> {
    let mut deeds = vec![place.secret("unlisted", "cli_strange:sk_strange:secret_strange")];
    let host = place.unlisted;
    for (n, endpoint) in [
        format!("http://{host}/api/v1"),
        format!("{}/../../x", place.service),
        format!("{}%40{host}", place.service),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("unlisted-{n}");
        deeds.push(place.account(&name, "unlisted", endpoint, &most()));
        deeds.push(place.job(&name, &json!({}), &place.site(&name, "https://unlisted.example")));
    }
    for endpoint in
        [format!("http://x@{host}/"), format!("{}?x=y", place.service), "http://10.0.0.1/".to_owned()]
    {
        deeds.push(place.account("unlisted", "unlisted", &endpoint, &most()).invalid());
    }
    deeds
}

fn large(place: &Place) -> Vec<Deed> {
    // Many small things weigh more than a long word, once they are a tree.
    let things = Value::from(vec![json!([]); 400_000]);
    let mut deeds = Vec::new();
    for (name, x) in [("things", things), ("word", "x".repeat(1_400_000).into())] {
        let mut spec = place.site("large", "https://large.example");
        spec["payload"]["x"] = x;
        deeds.push(place.job(name, &json!({}), &spec));
    }
    let noted = json!({"annotations": {"a.example/b": "x".repeat(200_000)}});
    deeds.push(place.job("noted", &noted, &place.site("large", "https://large.example")));
    deeds
}

fn mirrors(place: &Place) -> Vec<Deed> {
    let mut deeds = vec![
        place.secret("rejected", "cli_nobody:sk_wrong:secret_wrong"),
        place.account("rejected", "rejected", place.service, &most()),
    ];
    for n in 0..35 {
        let id = format!("1c9b4f0e-0000-4000-8000-{n:012}");
        let spec = json!({"jobID": id, "cancel": true, "accountRef": {"name": place.named("rejected")}});
        deeds.push(place.job(&format!("mirror-{n}"), &json!({}), &spec));
    }
    deeds
}

fn twins(place: &Place) -> Vec<Deed> {
    let mut deeds = vec![
        place.secret("other", "cli_other:sk_other:secret_other"),
        place.account("other", "other", place.service, &most()),
        place.secret("wrong", "cli_acme:sk_wrong:secret_wrong"),
        place.account("wrong", "wrong", place.service, &most()),
    ];
    for (n, victim) in place.victims.iter().enumerate() {
        for account in ["missing", "other", "wrong"] {
            let name = format!("twin-{n}-{account}");
            deeds.push(place.job(&name, &json!({}), &place.site(account, &victim.page)));
            let spec = json!({"jobID": victim.id, "accountRef": {"name": place.named(account)}});
            deeds.push(place.job(&format!("{name}-mirror"), &json!({}), &spec));
        }
    }
    deeds
}

fn looks(place: &Place) -> Vec<Deed> {
    let mut deeds = vec![place.job(
        "looked",
        &json!({}),
        &json!({"type": "spiderSite", "payload": {"url": "https://looked-known.example"}}),
    )];
    for n in 0..40 {
        let key =
            if n % 2 == 0 { "spideriq.ai/reconcile-requested-at" } else { "reconcile.fluxcd.io/requestedAt" };
        deeds.push(place.edit("looked", &json!({"metadata": {"annotations": {key: format!("wish-{n}")}}})));
    }
    deeds
}

fn foreign_secrets(place: &Place) -> Vec<Deed> {
    let token = "cli_planted:sk_planted:secret_planted";
    let of_the_cluster = [
        (
            "basic",
            "kubernetes.io/basic-auth",
            json!({"token": token, "username": "u", "password": "p"}),
            json!({}),
        ),
        ("boot", "bootstrap.kubernetes.io/token", json!({"token": token}), json!({})),
        (
            "pod",
            "kubernetes.io/service-account-token",
            json!({"token": token}),
            json!({"kubernetes.io/service-account.name": "default"}),
        ),
        ("foreign", "Opaque", json!({"token": "ghp_0123456789abcdef"}), json!({})),
    ];
    let mut deeds = Vec::new();
    for (name, type_, data, annotations) in of_the_cluster {
        deeds.push(place.secret_of(type_, name, &data, &annotations));
        deeds.push(place.account(name, name, place.service, &most()));
        deeds.push(place.job(name, &json!({}), &place.site(name, "https://secrets.example")));
    }
    deeds
}

fn beyond(place: &Place) -> Vec<Deed> {
    let (own, cluster) = (place.namespace, "/apis/spideriq.ai/v1alpha1/clusterscrapeaccounts");
    let status = json!({"status": {"state": "Completed", "jobID": place.victims[0].id}});
    let account = json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ClusterScrapeAccount", "metadata": {"name": place.who}, "spec": {"secretRef": {"name": "x"}}});
    let open = json!({"spec": {"allowMirror": true, "limits": least()}});
    let labels = json!({"metadata": {"labels": {"spideriq": "yes"}}});
    let at = |method, path: &str, body: &Value| Deed::at(method, path.to_owned(), body);
    let mut deeds = vec![
        place.job(
            "stated",
            &json!({}),
            &json!({"type": "spiderSite", "payload": {"url": "https://stated.example"}, "suspend": true}),
        ),
        Deed::edit(own, "scrapejobs", &format!("{}/status", place.named("stated")), &status),
        Deed::edit(own, "scrapeaccounts", "default/status", json!({"status": {"clientID": "cli_acme"}})),
        at(Method::POST, cluster, &account),
        at(Method::PATCH, &format!("{cluster}/default"), &open),
        at(Method::PATCH, &format!("{cluster}/default/status"), &json!({"status": {}})),
        at(Method::DELETE, &format!("{cluster}/default"), &json!({})),
        Deed::read(cluster.to_owned()),
        at(Method::PATCH, &format!("/api/v1/namespaces/{own}"), &labels),
        at(
            Method::PATCH,
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scrapejobs.spideriq.ai",
            &labels,
        ),
        Deed::read("/apis/spideriq.ai/v1alpha1/scrapejobs".to_owned()),
        Deed::read("/api/v1/secrets".to_owned()),
        Deed::read(path(place.home, "secrets")),
        Deed::delete(place.home, "leases", "tenants-spideriq-operator"),
        Deed::create(
            place.home,
            "serviceaccounts/operator/token",
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}),
        ),
    ];
    for victim in place.victims {
        let there = victim.namespace.as_str();
        let cancel = json!({"spec": {"cancel": true}});
        deeds.extend([
            Deed::read(path(there, "secrets")),
            Deed::read(path(there, "scrapejobs")),
            Deed::read(path(there, "events")),
            Deed::edit(there, "scrapejobs", &victim.name, &cancel),
            Deed::edit(there, "scrapejobs", &format!("{}/status", victim.name), &status),
            Deed::delete(there, "scrapejobs", &victim.name),
            Deed::delete_all(there, "scrapejobs"),
            Deed::delete_all(there, "scrapeaccounts"),
            Deed::create(there, "scrapejobs", json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "metadata": {"name": "x"}, "spec": {"jobID": "x"}})),
        ]);
    }
    // All but the first, which the rest is about, is refused.
    deeds.into_iter().enumerate().map(|(n, deed)| if n == 0 { deed } else { deed.refused() }).collect()
}

fn metadata(place: &Place) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for (n, victim) in place.victims.iter().enumerate() {
        let owner = json!({"apiVersion": "spideriq.ai/v1alpha1", "kind": "ScrapeJob", "name": victim.name, "uid": victim.uid, "controller": true, "blockOwnerDeletion": true});
        let more = json!({
            "ownerReferences": [owner],
            "finalizers": ["spideriq.ai/job", "a.example/b", "foregroundDeletion"],
            "annotations": {"spideriq.ai/paused": "true", "spideriq.ai/force-orphan": "true"},
        });
        let spec = json!({"type": "spiderSite", "payload": {"url": format!("https://owned-{n}.example")}});
        deeds.push(place.job(&format!("owned-{n}"), &more, &spec));
        // A status in what is created is dropped by the API server.
        let name = format!("restored-{n}");
        let object = json!({
            "apiVersion": "spideriq.ai/v1alpha1",
            "kind": "ScrapeJob",
            "metadata": {"name": place.named(&name)},
            "spec": {"type": "spiderSite", "payload": {"url": format!("https://restored-{n}.example")}, "deletionPolicy": "Cancel"},
            "status": {"state": "Processing", "reason": "Processing", "jobID": victim.id, "submission": {"origin": "Submitted"}, "observedGeneration": 1},
        });
        deeds.push(place.create("scrapejobs", object));
        deeds.push(Deed::delete(place.namespace, "scrapejobs", &place.named(&name)));
        deeds.push(place.edit(&format!("owned-{n}"), &json!({"metadata": {"finalizers": null}})));
    }
    deeds
}

fn ids(place: &Place) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for (n, victim) in place.victims.iter().enumerate() {
        for account in ["own", "default"] {
            let mut spec = json!({"jobID": victim.id, "deletionPolicy": "Cancel"});
            if account == "own" {
                spec["accountRef"] = json!({"name": place.named("own")});
            }
            for (name, cancel) in [("spy", false), ("stop", true)] {
                let name = format!("{name}-{n}-{account}");
                spec["cancel"] = cancel.into();
                deeds.push(place.job(&name, &json!({}), &spec));
            }
            deeds.push(Deed::delete(
                place.namespace,
                "scrapejobs",
                &place.named(&format!("stop-{n}-{account}")),
            ));
        }
    }
    deeds
}

fn numbers(place: &Place) -> Vec<Deed> {
    let job = |n| {
        let page = format!("https://{}-{n}-known.example", place.who);
        place.job(&format!("many-{n}"), &json!({}), &place.site("own", &page))
    };
    (0..30).map(job).collect()
}

fn deletion(place: &Place) -> Vec<Deed> {
    vec![Deed::delete_all(place.namespace, "scrapejobs"), Deed::delete_all(place.namespace, "scrapeaccounts")]
}
