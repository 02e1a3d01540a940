//! Secrets that are looked for everywhere but in Secrets: names that are addresses bring none of them out, whatever the
//! log shows.

use std::fmt::Write as _;
use std::fs;

use testbed::{Options, Own};

use super::support::{TOKEN, World, job};

/// What each Secret of the test world holds; as long as a token.
const CANARY: &str = "Xq7vKp2mWz9tRb4nLs6dGh8c";

/// Names that are more than names where they become part of an address, or of a selector.
const ODD: [&str; 14] = [
    "?limit=500",
    "x?limit=500",
    "?watch=true",
    "../secrets",
    "../../../../api/v1/secrets",
    "a/b",
    "a#b",
    "%2e%2e",
    "a%2f..%2fb",
    "%3flimit=500",
    "x,metadata.namespace=kube-system",
    "a b",
    "..",
    "CANARY-UPPER",
];

/// The CRDs as they are without what this release asks of names.
fn forget_the_patterns(own: &Own) {
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    for (crd, field) in [
        ("scrapeaccounts", "secretRef"),
        ("clusterscrapeaccounts", "secretRef"),
        ("scrapejobs", "accountRef"),
    ] {
        let at = format!("{spec}/{field}/properties/name/pattern");
        let patch = format!(r#"[{{"op": "remove", "path": "{at}"}}]"#);
        let crd = format!("{crd}.spideriq.ai");
        own.kubectl(&["patch", "crd", &crd, "--type=json", "--patch", &patch]).unwrap();
    }
}

fn account(kind: &str, name: &str, secret: &str, endpoint: &str) -> String {
    format!(
        "{{apiVersion: spideriq.ai/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {{secretRef: {{name: \"{secret}\"}}, endpoint: \"{endpoint}\"}}}}"
    )
}

/// Every piece of this that is long enough to be known again.
fn pieces(of: &str) -> Vec<String> {
    let characters: Vec<char> = of.chars().collect();
    characters.windows(10).map(|piece| piece.iter().collect()).collect()
}

/// The canary as it could come out: plain, base64, in another case, percent-encoded, cut.
fn forms(base64: &str) -> Vec<String> {
    let encoded = CANARY.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    });
    let whole = [CANARY.to_owned(), base64.to_owned(), encoded];
    let cased = whole.iter().flat_map(|form| [form.clone(), form.to_uppercase(), form.to_lowercase()]);
    cased.flat_map(|form| pieces(&form)).collect()
}

#[tokio::test]
async fn a_name_that_is_an_address_brings_no_secret_out_and_keeps_nobody_waiting() {
    let own = Own::start(Options { controller_manager: false }).unwrap();
    let mut world =
        World::everywhere((*own).clone(), "canary", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.variables.push(("RUST_LOG", "trace,kube_client=trace,hyper=trace,kube_runtime=trace".to_owned()));
    let token = format!("{TOKEN}{CANARY}");
    for place in ["default", "kube-system", &world.namespace.clone()] {
        for n in 0..3 {
            let secret = format!(
                "{{apiVersion: v1, kind: Secret, metadata: {{name: canary-{n}, namespace: {place}}}, stringData: {{token: {CANARY}, other: \"{token}\"}}}}"
            );
            own.run("kubectl", &["apply", "--filename", "-"], &secret).unwrap();
        }
    }
    let read = ["get", "secret", "canary-0", "--output", "jsonpath={.data.token}"];
    let forms = forms(&own.kubectl(&read).unwrap());

    forget_the_patterns(&own);
    let odd = account("ScrapeAccount", "odd-0", ODD[0], &world.endpoint);
    world.until_true("the patterns are gone", |world| world.try_apply(&odd).is_ok()).await;
    for (n, secret) in ODD.iter().enumerate() {
        let account = |kind: &str| account(kind, &format!("odd-{n}"), secret, &world.endpoint);
        let user = job(
            &format!("odd-{n}"),
            &format!(
                "type: spiderSite, payload: {{url: \"https://odd.example\"}}, accountRef: {{name: \"{secret}\"}}"
            ),
        );
        world.apply(&[account("ScrapeAccount"), account("ClusterScrapeAccount"), user].join("\n---\n"));
    }
    // One whose Secret has a fine name and no token that can be one.
    world.apply(&account("ScrapeAccount", "wrong", "canary-0", &world.endpoint));
    let crds = format!("{}/crds", env!("CARGO_MANIFEST_DIR"));
    own.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &crds]).unwrap();
    world
        .until_true("the patterns are back", |world| {
            world.try_apply(&account("ScrapeAccount", "refused", "?limit=1", &world.endpoint)).is_err()
        })
        .await;
    for secret in ODD {
        for kind in ["ScrapeAccount", "ClusterScrapeAccount"] {
            let refused = world.try_apply(&account(kind, "refused", secret, &world.endpoint));
            assert!(refused.is_err(), "{kind} with {secret}");
        }
        let spec = format!("jobID: abc, accountRef: {{name: \"{secret}\"}}");
        assert!(world.try_apply(&job("refused", &spec)).is_err(), "{secret}");
    }

    world.start();
    world.account("default", "");
    world.site("good", "");
    world.until("good", "Completed").await;
    for n in 0..ODD.len() {
        let name = format!("odd-{n}");
        let mut told = Vec::new();
        while !["CredentialsMissing", "AccountNotFound"]
            .iter()
            .all(|reason| told.iter().any(|seen| seen == reason))
        {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            told = world.events(&name).await.into_iter().map(|(_, reason, _)| reason).collect();
        }
    }
    // What the schema would refuse is not tried.
    let untouched = world.get("ScrapeAccount", "odd-1").await["status"]["observedGeneration"] == -1;
    assert!(untouched, "{}", world.get("ScrapeAccount", "odd-1").await);
    let page = world.http("/metrics").await;
    for kind in ["ScrapeAccount", "ScrapeJob"] {
        let of =
            format!("misnamed_objects{{namespace=\"{}\",kind=\"{kind}\"}} {}", world.namespace, ODD.len());
        assert!(page.contains(&of), "{of} is not in\n{page}");
    }

    // Nobody has asked for more than the Secrets that accounts name.
    let asked = world.bed.audit(0).unwrap().0;
    let secrets = asked.iter().filter(|entry| entry.user == world.user() && entry.resource == "secrets");
    let names: Vec<&str> = secrets.map(|entry| entry.name.as_str()).collect();
    assert!(names.contains(&"default"), "{names:?}");
    assert!(names.iter().all(|name| ["default", "canary-0"].contains(name)), "{names:?}");

    // Nothing of a Secret is anywhere but in Secrets.
    let mut places = vec![("log", world.logged()), ("metrics", page)];
    for (place, kinds) in [
        ("events", "events.events.k8s.io"),
        ("statuses", "scrapejobs,scrapeaccounts,clusterscrapeaccounts"),
        ("lease", "leases"),
    ] {
        places.push((place, own.kubectl(&["get", kinds, "--all-namespaces", "--output", "json"]).unwrap()));
    }
    for (place, text) in places {
        assert!(text.len() > 100, "{place} says nothing");
        let found = forms.iter().find(|form| text.contains(form.as_str()));
        let line = found.and_then(|form| text.lines().find(|line| line.contains(form.as_str())));
        assert!(found.is_none(), "{place} shows {found:?}: {line:?}");
    }
    let log = fs::read_to_string(&world.log).unwrap();
    for library in ["kube_client", "kube_runtime", "hyper", "rustls", "h2:", "tower", "reqwest"] {
        let shown = log.lines().find(|line| line.contains(&format!(" {library}")) && !line.contains("ERROR"));
        assert!(shown.is_none(), "{shown:?}");
    }
}
