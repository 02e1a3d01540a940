//! What is wrong on this side: manifests, accounts, Secrets, tokens, endpoints.

use super::support::{TOKEN, World, condition, site};

#[tokio::test]
async fn a_wrong_manifest_is_refused_with_what_to_write_instead() {
    let world = World::without_operator("manifests", "{}").await;
    let id = "550e8400-e29b-41d4-a716-446655440000";
    let rows = [
        ("type: spiderSite".to_owned(), "payload is required with type"),
        (format!("jobID: {id}, payload: {{url: \"https://a.example\"}}"), "remove them, or remove jobID"),
        ("type: spiderSite, payload: {max_pages: 3}".to_owned(), "type spiderSite needs payload.url"),
        (
            "type: spiderSite, payload: {url: \"ftp://a.example\"}".to_owned(),
            "url must start with http:// or https://",
        ),
        (site("a", "").replace('}', ", max_pages: 51}"), "max_pages of a spiderSite job is 1 to 50"),
        (
            "type: spiderMaps, payload: {search_query: cafes, max_results: 101}".to_owned(),
            "max_results of a spiderMaps job is 1 to 100",
        ),
        (site("a", ", priority: 11"), "less than or equal to 10"),
        (format!("jobID: {id}, type: spiderSite"), "set exactly one of spec.type"),
        (
            "type: spiderMaps, payload: {max_results: 5}".to_owned(),
            "needs exactly one of payload.search_query",
        ),
        (
            "type: spiderMaps, payload: {search_query: cafes, url: \"https://a.example\"}".to_owned(),
            "needs exactly one of payload.search_query",
        ),
        ("type: \"spider site\", payload: {}".to_owned(), "spec.type"),
        (site("a", "").replace('}', ", max_pages: 0}"), "max_pages of a spiderSite job is 1 to 50"),
        (
            format!("type: spiderSite, payload: {{url: \"https://{}.example\"}}", "a".repeat(2048)),
            "may not be more than 2048",
        ),
        (site("a", ", accountRef: {kind: Account, name: a}"), "ClusterScrapeAccount"),
        (site("a", ", accountRef: {kind: ScrapeAccount}"), "accountRef.name"),
        (site("a", ", deletionPolicy: Keep"), "Orphan"),
        (site("a", ", readyWhen: Never"), "Accepted"),
        (site("a", ", submission: {onAmbiguous: Guess}"), "Resubmit"),
        (site("a", ", cancelTimeoutSeconds: -1"), "greater than or equal to 0"),
        (site("a", ", poll: {intervalSeconds: 2}"), "greater than or equal to 3"),
        (site("a", ", prioritty: 1"), "unknown field"),
        (site("a", ", runID: \"a b\""), "runID"),
        (site("a", ", activeDeadlineSeconds: 0"), "greater than or equal to 1"),
        (site("a", ", ttlPolicy: Never"), "RespectGitOps"),
        (site("a", ", submission: {onCacheHit: Perhaps}"), "AcceptIfCompleted"),
        (format!("jobID: {id}, runID: again"), "remove them, or remove jobID"),
        ("jobID: a/b".to_owned(), "jobID"),
        ("{}".trim_matches(['{', '}']).to_owned(), "type"),
    ];
    for (spec, words) in rows {
        let error = world.try_apply(&super::support::job("wrong", &spec)).unwrap_err().to_string();
        assert!(error.contains(words), "{spec}: {error}");
    }
    world.site("right", "");
    for (spec, words) in [
        (site("other", ""), "payload may change only together with runID"),
        (site("right", ", priority: 3"), "priority may change only together with runID"),
        (site("right", ", accountRef: {name: other}"), "accountRef cannot be changed"),
        (site("right", "").replace("spiderSite", "spiderPR"), "type cannot be changed"),
        (format!("jobID: {id}"), "jobID cannot be changed"),
    ] {
        let error = world.try_apply(&super::support::job("right", &spec)).unwrap_err().to_string();
        assert!(error.contains(words), "{spec}: {error}");
    }
    for (spec, words) in [
        ("{}", "secretRef"),
        ("{secretRef: {name: a}, endpoint: \"http://spideriq.ai\"}", "http only on loopback"),
        ("{secretRef: {name: a}, limits: {requestsPerMinute: 10, burst: 10}}", "burst must be smaller"),
        ("{secretRef: {name: a}, limits: {requestsPerMinute: 1}}", "greater than or equal to 2"),
    ] {
        let account = format!(
            "{{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeAccount, metadata: {{name: wrong}}, spec: {spec}}}"
        );
        let error = world.try_apply(&account).unwrap_err().to_string();
        assert!(error.contains(words), "{spec}: {error}");
    }
}

#[tokio::test]
async fn a_job_waits_for_its_account_its_secret_and_a_good_token() {
    let mut world = World::without_operator("waiting", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.start();
    world.site("acme", "");
    let job = world.until_because("acme", "Pending", "AccountNotFound").await;
    assert_eq!((condition(&job, "Reconciling").0, condition(&job, "Stalled").0), ("True", ""));
    world.account_alone("default", "");
    world.until_because("acme", "Pending", "CredentialsMissing").await;
    world.apply("{apiVersion: v1, kind: Secret, metadata: {name: default}, stringData: {other: key}}");
    world
        .until_of("ScrapeAccount", "default", "says which key", |account| {
            condition(account, "Ready").2.contains("token")
        })
        .await;
    world.secret("default", "cli_test:sk_test:secret_wrong");
    world.until_because("acme", "Pending", "CredentialsRejected").await;
    // One submit may have been sent before the service said that it does not know the token.
    let submits = world.requests("submit");
    assert!(submits.len() <= 1 && submits.iter().all(|submit| submit.status == Some(401)), "{submits:?}");
    assert!(world.made().is_empty());
    world.secret("default", TOKEN);
    world.until("acme", "Completed").await;
    assert!(!world.logged().contains("secret_wrong") && !world.logged().contains("secret_canary"));
}

#[tokio::test]
async fn a_token_that_expires_stops_the_mirror_until_there_is_a_new_one() {
    let world = World::new("expired", "jobs: [{queued: 0.1, end: processing}]").await;
    world.site("acme", "");
    world.until("acme", "Processing").await;
    assert!(world.service.expire_token(TOKEN));
    world
        .until_of("ScrapeAccount", "default", "rejected", |account| {
            condition(account, "Ready").1 == "CredentialsRejected"
        })
        .await;
    let id = world.made().remove(0).job_id;
    assert!(world.service.set_state(&id, "completed", None, None));
    let next = "cli_test:sk_test:secret_next";
    world.service.add_token(next).unwrap();
    world.secret("default", next);
    world.until("acme", "Completed").await;
    assert_eq!(world.requests("submit").len(), 1);
}

#[tokio::test]
async fn only_allowed_endpoints_are_talked_to() {
    let world = World::new("endpoints", "{}").await;
    world.apply("{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeAccount, metadata: {name: elsewhere}, spec: {secretRef: {name: default}, endpoint: \"https://elsewhere.example/api/v1\"}}");
    world.site("acme", ", accountRef: {name: elsewhere}");
    world
        .until_of("ScrapeAccount", "elsewhere", "stalled", |account| {
            condition(account, "Stalled").1 == "EndpointNotAllowed"
        })
        .await;
    world.until_because("acme", "Pending", "AccountNotReady").await;
    assert!(world.try_apply("{apiVersion: spideriq.ai/v1alpha1, kind: ScrapeAccount, metadata: {name: plain}, spec: {secretRef: {name: default}, endpoint: \"http://elsewhere.example/api/v1\"}}").is_err());
}

#[tokio::test]
async fn a_suspended_job_is_not_submitted_until_it_is_let_go() {
    let world = World::new("suspended", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.site("acme", ", suspend: true");
    let job = world.until("acme", "Suspended").await;
    assert_eq!((condition(&job, "Ready").0, condition(&job, "Suspended").0), ("True", "True"));
    assert!(world.requests("submit").is_empty());
    world.site("acme", ", suspend: false");
    world.until("acme", "Completed").await;
}

#[tokio::test]
async fn a_payload_over_256_kib_is_refused_here() {
    let world = World::new("large", "{}").await;
    let large = "x".repeat(257 * 1024);
    let manifest =
        super::support::job("large", &format!("type: spiderLanding, payload: {{text: \"{large}\"}}"));
    // Client-side apply would copy it into an annotation, which the API server bounds at the same size.
    world
        .bed
        .run("kubectl", &["create", "--namespace", &world.namespace, "--filename", "-"], &manifest)
        .unwrap();
    let job = world.until_because("large", "Failed", "InvalidPayload").await;
    assert!(job["status"]["message"].as_str().unwrap().contains("256 KiB"));
    assert!(world.requests("submit").is_empty());
}

#[tokio::test]
async fn an_intent_written_by_hand_neither_stops_nor_doubles_a_job() {
    let mut world = World::without_operator("intent", "jobs: [{queued: 0.1, processing: 0.1}]").await;
    world.account("default", "");
    for (name, intent) in [("garbage", "hello"), ("empty", "{}"), ("nested", "[[[[1]]]]")] {
        world.site(name, "");
        world.kubectl(&["annotate", "scrapejob", name, &format!("spideriq.ai/submission={intent}")]).unwrap();
    }
    world.start();
    for name in ["garbage", "empty", "nested"] {
        world
            .until_of("ScrapeJob", name, "settled", |job| {
                ["Completed", "Held"].contains(&super::support::state_of(job))
            })
            .await;
    }
    let mut made: Vec<String> =
        world.requests("submit").into_iter().map(|request| request.body_sha256).collect();
    let all = made.len();
    made.sort();
    made.dedup();
    assert_eq!(made.len(), all);
}

#[tokio::test]
async fn refused_work_is_left_alone_although_the_token_is_good() {
    let world = World::new("forbidden", "jobs: [{queued: 0.1, end: processing}]").await;
    // A look at it that is refused before the submit is decided on would leave none to be refused.
    world.site("runs", ", poll: {intervalSeconds: 10}");
    world.until("runs", "Processing").await;
    world.faults(
        "[{match: {route: submit}, reply: {status: 403}}, {match: {route: status}, reply: {status: 403}}]",
    );
    let asked = world.requests("whoami").len();
    world.site("refused", "");
    world.until_because("refused", "Pending", "CredentialsRejected").await;
    // The account is looked at, and its token found good; that alone is no reason to try the work again.
    world.until_true("the account was asked about", |world| world.requests("whoami").len() > asked).await;
    let refused = |route: &str| world.requests(route).iter().filter(|r| r.status == Some(403)).count();
    world.until_true("a look was refused, too", |_| refused("status") > 0).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(refused("submit"), 1);
}

#[tokio::test]
async fn nothing_is_followed_with_credentials_that_were_taken_away() {
    let world = World::new("taken", "jobs: [{queued: 0.1, end: processing}]").await;
    world.site("acme", "");
    world.until("acme", "Processing").await;
    world.kubectl(&["delete", "secret", "default"]).unwrap();
    world
        .until_of("ScrapeAccount", "default", "without a Secret", |account| {
            condition(account, "Ready").1 == "CredentialsMissing"
        })
        .await;
    // A look may be under way just now.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let looks = world.requests("status").len();
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    assert_eq!(world.requests("status").len(), looks);
    world.secret("default", TOKEN);
    world.until_true("it is followed again", |world| world.requests("status").len() > looks).await;
}
