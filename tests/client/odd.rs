//! Answers that no service should give, to every question: what is readable is read, and nothing else happens.
//!
//! The corpus in `tests/corpus/answers` holds what was met or thought of; it is fed as it is, changed, cut and joined.

use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::{Request, Response};
use spideriq_operator::clock::Clock;
use spideriq_operator::spideriq::{
    Client, Credentials, Endpoint, Failure, Format, JobState, SubmitAnswer, SummaryState, Transport,
    is_job_id,
};
use spideriq_operator::telemetry::Metrics;

use super::{BODY, TOKEN, base64, client, service};

const ID: &str = "550e8400-e29b-41d4-a716-446655440000";

/// What every question is answered with.
#[derive(Clone, Debug, Default)]
struct Canned {
    code: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Answers(Arc<Mutex<Canned>>);

impl Transport for Answers {
    fn send(&self, _: Request) -> BoxFuture<'static, Result<Response, Failure>> {
        let canned = self.0.lock().unwrap().clone();
        let mut response = http::Response::builder().status(canned.code);
        for (name, value) in &canned.headers {
            if let Ok(value) = http::HeaderValue::from_bytes(value) {
                response = response.header(name, value);
            }
        }
        Box::pin(async move { Ok(response.body(canned.body).unwrap().into()) })
    }
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/answers");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files
        .map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(file).unwrap()))
        .collect();
    all.sort();
    all
}

/// Everything that was made of one answer, in words that a status, an event or a log may show.
async fn shown(client: &Client) -> String {
    let submit = client.submit("spiderSite", BODY).await.result.unwrap();
    if let SubmitAnswer::Accepted(accepted) = &submit {
        assert!(is_job_id(&accepted.job_id), "{accepted:?}");
    }
    let submitted = match &submit {
        SubmitAnswer::Accepted(accepted) => said(&accepted.job),
        SubmitAnswer::Refused(error) | SubmitAnswer::Unknown { why: error, .. } => error.to_string(),
    };
    let status = client.status(ID).await.result.map_or_else(|error| error.to_string(), |job| said(&job));
    let text = client.status_text(ID, Format::Markdown).await.result;
    let text = text.unwrap_or_else(|error| error.to_string()).replace(['\n', '\t'], " ");
    let details =
        client.details(ID).await.result.map_or_else(|error| error.to_string(), |said| format!("{said:?}"));
    let results = client.results(ID, || ()).await.result;
    let results =
        results.map_or_else(|error| error.to_string(), |said| said.error_message.unwrap_or_default());
    let cancel = client.cancel(ID).await.result.map_or_else(|error| error.to_string(), |_| String::new());
    let list = client.newest(1).await.result.map_or_else(
        |error| error.to_string(),
        |page| {
            assert!(page.rows.len() <= page.length && page.rows.iter().all(|row| is_job_id(&row.job_id)));
            page.rows.into_iter().filter_map(|row| row.type_).collect()
        },
    );
    let whoami = client.whoami().await.result;
    let whoami = whoami.map_or_else(|error| error.to_string(), |who| who.client_id.unwrap_or_default());
    for words in [&submitted, &status, &details, &results, &cancel, &whoami] {
        assert!(words.len() < 5000, "{words}");
    }
    [submitted, status, text, details, results, cancel, list, whoami].concat()
}

fn said(job: &spideriq_operator::spideriq::JobStatus) -> String {
    let word = if let JobState::Other(word) = &job.state { word.clone() } else { format!("{:?}", job.state) };
    [Some(word), job.type_.clone(), job.worker_id.clone(), job.error_message.clone()]
        .into_iter()
        .flatten()
        .collect()
}

/// Nothing that steers a terminal, turns a text or hides in one, and nothing of the token.
fn check(shown: &str) {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    assert!(!shown.contains(odd), "{shown:?}");
    assert!(!shown.contains("secret_canary"), "{shown}");
}

fn canned() -> (Client, Answers) {
    let answers = Answers::default();
    let endpoint = Endpoint::parse("https://spideriq.example/api/v1").unwrap();
    let credentials = Credentials::new(TOKEN).unwrap();
    let over = (Clock::system(), Metrics::default());
    (Client::over(Arc::new(answers.clone()), endpoint, credentials, over).unwrap(), answers)
}

#[tokio::test]
async fn every_answer_of_the_corpus_is_borne_by_every_route() {
    let (client, answers) = canned();
    for (name, body) in corpus() {
        for code in [200, 201, 202, 204, 302, 400, 401, 402, 404, 410, 418, 422, 429, 500, 503] {
            *answers.0.lock().unwrap() = Canned { code, body: body.clone(), ..Canned::default() };
            let shown = shown(&client).await;
            check(&shown);
            assert!(!shown.is_empty(), "{name} {code}");
        }
    }
}

#[tokio::test]
async fn whatever_stands_beside_it_what_can_be_read_is_read() {
    let (client, answers) = canned();
    let unreadable = ["aliases.yaml", "cut.json", "page.html", "status.md", "status.yaml"];
    let others = ["error-list.json", "error-object.json", "list.json", "half-a-surrogate-in-results.json"];
    for (name, body) in corpus() {
        *answers.0.lock().unwrap() = Canned { code: 201, body, ..Canned::default() };
        let accepted = match client.submit("spiderSite", BODY).await.result.unwrap() {
            SubmitAnswer::Accepted(accepted) => Some(accepted.job_id),
            SubmitAnswer::Refused(_) | SubmitAnswer::Unknown { .. } => None,
        };
        let told = !unreadable.contains(&name.as_str()) && !others.contains(&name.as_str());
        assert_eq!(accepted.as_deref(), told.then_some(ID), "{name}");
        assert_eq!(client.status(ID).await.result.is_ok(), told, "{name}");
    }
    for (name, count) in [
        ("half-a-surrogate-in-results.json", Some(3)),
        ("not-a-number.json", Some(7)),
        ("numbers-beyond.json", Some(3)),
        ("byte-order-mark.json", Some(2)),
        ("bytes-that-are-no-utf-8.json", Some(1)),
        ("names-twice.json", Some(4)),
        ("shapes-of-their-own.json", Some(8)),
        ("deep.json", Some(6)),
        ("list.json", None),
    ] {
        let body = corpus().into_iter().find(|(file, _)| file == name).unwrap().1;
        let bytes = body.len() as u64;
        *answers.0.lock().unwrap() = Canned { code: 200, body, ..Canned::default() };
        let summary = client.results(ID, || ()).await.result.unwrap();
        assert_eq!((summary.count, summary.bytes), (count, bytes), "{name}");
        let page = client.newest(1).await.result;
        let rows = page.map(|page| (page.rows.len(), page.length)).ok();
        assert_eq!(rows, (name == "list.json").then_some((2, 5)), "{name}");
    }
}

/// The answers of a report, over the network.
#[tokio::test]
async fn halves_of_surrogates_cost_no_job_no_end_and_no_count() {
    let service = service("{}").await;
    let client = client(&service);
    let set = |file: &str, code: u16| {
        let body = corpus().into_iter().find(|(name, _)| name == file).unwrap().1;
        let fault = format!("faults: [{{reply: {{status: {code}, body_base64: {}}}}}]", base64(&body));
        service.clear_faults(None);
        service.add_faults(emulator::rules::Rules::parse(&fault).unwrap().faults.unwrap()).unwrap();
    };
    set("half-a-surrogate-in-a-status.json", 200);
    let job = client.status(ID).await.result.unwrap();
    assert_eq!((job.state, job.error_message.as_deref()), (JobState::Failed, Some("x \u{fffd} y")));
    set("half-a-surrogate-in-results.json", 200);
    let summary = client.results(ID, || ()).await.result.unwrap();
    assert_eq!((summary.state, summary.count), (SummaryState::Ready, Some(3)));
    set("half-a-surrogate-in-a-submit.json", 201);
    let answer = client.submit("spiderSite", BODY).await.result.unwrap();
    let SubmitAnswer::Accepted(accepted) = answer else { panic!("{answer:?}") };
    assert_eq!((accepted.job_id.as_str(), accepted.job.worker_id.as_deref()), (ID, Some("w\u{fffd}")));
}

/// Any bytes, and the corpus changed, cut and joined, with any headers.
#[test]
fn no_answer_panics_steers_or_shows_the_token() {
    let (client, answers) = canned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bodies: Vec<Vec<u8>> = corpus().into_iter().map(|(_, body)| body).collect();
    let part = prop_oneof![
        4 => prop::sample::select(bodies),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => Just(TOKEN.as_bytes().to_vec()),
    ];
    let body = (prop::collection::vec(part, 1..3), any::<[prop::sample::Index; 4]>(), any::<[u8; 2]>())
        .prop_map(|(parts, at, bytes)| {
            let mut body = parts.concat();
            if !body.is_empty() {
                let at = at.map(|at| at.index(body.len()));
                body[at[0]] = bytes[0];
                body.insert(at[1], bytes[1]);
                let (from, to) = (at[2].min(at[3]), at[2].max(at[3]));
                body.drain(from..from + (to - from) / 2);
            }
            body
        });
    let value = prop_oneof![
        "[ -~]{0,40}".prop_map(String::into_bytes),
        "-?[0-9]{1,30}(\\.[0-9]{1,30})?(e-?[0-9]{1,5})?".prop_map(String::into_bytes),
        "(Mon|Thu), [0-9]{1,3} (Jan|Feb|Foo) [0-9]{1,6} [0-9]{1,3}:[0-9]{2}:[0-9]{2} (GMT|[+-][0-9]{4,6})"
            .prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..60),
    ];
    let names = [
        "retry-after",
        "date",
        "x-ratelimit-reset",
        "x-ratelimit-remaining",
        "x-ratelimit-limit",
        "content-type",
    ];
    let headers =
        prop::collection::vec((prop::sample::select(names.to_vec()).prop_map(str::to_owned), value), 0..4);
    let code = prop::sample::select(vec![200_u16, 201, 202, 400, 401, 404, 410, 422, 429, 500]);
    let mut runner = TestRunner::new(Config { cases: 512, failure_persistence: None, ..Config::default() });
    let any = (code, headers, body).prop_map(|(code, headers, body)| Canned { code, headers, body });
    runner
        .run(&any, |canned| {
            *answers.0.lock().unwrap() = canned;
            check(&runtime.block_on(shown(&client)));
            Ok(())
        })
        .unwrap();
}

/// Texts that people and other programs write: addresses, tokens.
#[test]
fn no_text_of_a_user_panics_or_passes_for_an_address() {
    let mut runner = TestRunner::new(Config { cases: 2048, failure_persistence: None, ..Config::default() });
    let text = prop_oneof![
        any::<String>(),
        "(https?|HTTP|ftp|file|)(:|://|:/)[a-zA-Z0-9.@:\\[\\]%#?/\\\\ \u{e9}\u{202e}-]{0,60}",
        "cli_[a-z:]{0,9}:[ -~]{0,20}:[ -~]{0,20}\n?",
    ];
    runner
        .run(&text, |text| {
            if let Ok(endpoint) = Endpoint::parse(&text) {
                let shown = endpoint.to_string();
                prop_assert!(shown.starts_with("https://") || shown.starts_with("http://"), "{}", shown);
                prop_assert_eq!(Endpoint::parse(&shown).map(|again| again.to_string()), Ok(shown));
            }
            if let Ok(credentials) = Credentials::new(&text) {
                prop_assert!(credentials.client_id().is_none_or(|id| id.len() <= 128));
                let shown = format!("{credentials:?}");
                prop_assert!(text.len() < 8 || !shown.contains(text.trim()), "{}", shown);
            }
            Ok(())
        })
        .unwrap();
}
