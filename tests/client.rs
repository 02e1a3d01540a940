//! The client by itself, against the emulated service and against answers that no service should give.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "client/odd.rs"]
mod odd;

use std::io::Write;
use std::time::Duration;

use emulator::rules::Rules;
use emulator::{Config, Emulator, JobSpec, Running};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use spideriq_operator::clock::Clock;
use spideriq_operator::spideriq::{
    Class, Client, Credentials, Endpoint, Error, JobState, SubmitAnswer, SummaryState,
};
use spideriq_operator::telemetry::Metrics;

const TOKEN: &str = "cli_test:sk_test:secret_canary";
const BODY: &str = r#"{"payload":{"url":"https://acme.example"}}"#;

async fn service(rules: &str) -> Running {
    let rules = Rules::parse(rules).unwrap();
    let config = Config { tokens: vec![TOKEN.to_owned()], rules, no_limits: true, ..Config::default() };
    Emulator::start(config).await.unwrap()
}

fn client_of(url: &str) -> Client {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let credentials = Credentials::new(TOKEN).unwrap();
    Client::new(Endpoint::parse(url).unwrap(), credentials, Clock::system(), Metrics::default()).unwrap()
}

fn client(service: &Running) -> Client {
    client_of(&service.base_url())
}

fn a_job(service: &Running, state: &str) -> String {
    let spec = JobSpec { state: Some(state.to_owned()), ..JobSpec::default() };
    service.create_jobs(spec).unwrap().remove(0)
}

#[tokio::test]
async fn a_job_is_submitted_followed_and_read() {
    let service = service("jobs: [{queued: 0.1, processing: 0.2, result: {pages_crawled: 7}}]").await;
    let client = client(&service);
    let SubmitAnswer::Accepted(accepted) = client.submit("spiderSite", BODY).await.result.unwrap() else {
        panic!("not accepted")
    };
    assert_eq!((accepted.from_cache, &accepted.job.state), (Some(false), &JobState::Queued));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(client.status(&accepted.job_id).await.result.unwrap().state, JobState::Completed);
    let details = client.details(&accepted.job_id).await.result.unwrap();
    assert_eq!(details.pages_crawled, Some(7));
    assert!(details.started_at <= details.completed_at);
    let summary = client.results(&accepted.job_id, || ()).await.result.unwrap();
    assert_eq!((summary.state, summary.count), (SummaryState::Ready, Some(7)));
    assert_eq!(client.newest(1).await.result.unwrap().rows.first().unwrap().job_id, accepted.job_id);
    assert_eq!(client.whoami().await.result.unwrap().client_id.as_deref(), Some("cli_test"));
    assert!(matches!(client.cancel(&accepted.job_id).await.result, Err(Error::Invalid(_))), "it is over");
}

#[tokio::test]
async fn a_submit_is_accepted_refused_or_unknown_and_nothing_else() {
    // (fault, what it means, class of the error)
    let rows = [
        ("reply: {status: 400}", "refused"),
        ("reply: {status: 401}", "refused"),
        ("reply: {status: 402}", "refused"),
        ("reply: {status: 403}", "refused"),
        ("reply: {status: 404}", "refused"),
        ("reply: {status: 405}", "refused"),
        ("reply: {status: 422}", "refused"),
        ("reply: {status: 429}", "refused"),
        ("reply: {status: 500}", "unknown"),
        ("reply: {status: 502, body: '<html>'}", "unknown"),
        ("reply: {status: 503}", "unknown"),
        ("reply: {status: 302, headers: {location: 'http://127.0.0.1:1/'}}", "unknown"),
        ("reply: {status: 409}", "unknown"),
        ("reply: {status: 418}", "unknown"),
        ("reply: {status: 200, body: '<html>'}", "without id"),
        ("reply: {status: 201, body: {}}", "without id"),
        ("reply: {status: 201, body: {job_id: 7, status: queued}}", "without id"),
        ("reply: {status: 201, body: {job_id: 'a/../b', status: queued}}", "without id"),
        ("reply: {status: 201, body: {job_id: '', status: queued}}", "without id"),
        ("reply: {status: 201, body: [1]}", "without id"),
        ("reply: {status: 201, body: {job_id: abc}}", "accepted"),
        ("reply: {status: 201, body: {job_id: abc, status: 7, created_at: [], from_cache: x}}", "accepted"),
        ("reply: {status: 200, body: {job_id: abc, status: reviewing}}", "accepted"),
        ("reply: {status: 201, body: '{\"job_id\": \"abc\", \"status\": \"que'}", "without id"),
        ("cut: 10", "unknown"),
        ("drop: before", "unknown"),
        ("drop: after", "unknown"),
    ];
    let service = service("{}").await;
    let client = client(&service);
    for (fault, expected) in rows {
        service.clear_faults(None);
        service.add_faults(Rules::parse(&format!("faults: [{{{fault}}}]")).unwrap().faults.unwrap()).unwrap();
        let found = match client.submit("spiderSite", BODY).await.result.unwrap() {
            SubmitAnswer::Accepted(_) => "accepted",
            SubmitAnswer::Refused(_) => "refused",
            SubmitAnswer::Unknown { without_id: true, .. } => "without id",
            SubmitAnswer::Unknown { .. } => "unknown",
        };
        assert_eq!(found, expected, "{fault}");
    }
    // Not a byte can have been sent to where nobody listens.
    let nobody = client_of("http://127.0.0.1:1/api/v1").submit("spiderSite", BODY).await.result.unwrap();
    assert!(matches!(nobody, SubmitAnswer::Refused(Error::Connect(_))), "{nobody:?}");
    let odd = client.submit("spider/Site", BODY).await.result.unwrap();
    assert!(matches!(odd, SubmitAnswer::Refused(Error::Invalid(_))), "{odd:?}");
}

#[tokio::test]
async fn hostile_answers_are_errors_within_bounds() {
    let (service, elsewhere) = (service("{}").await, service("{}").await);
    let id = a_job(&service, "processing");
    let client = client(&service);
    let deep = format!("'{}'", "[".repeat(100_000));
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 64 * 1024 * 1024]).unwrap();
    let bomb = base64(&bomb.finish().unwrap());
    let rows = [
        ("reply: {status: 200, body: '<html>welcome</html>'}".to_owned(), "cannot be read"),
        ("reply: {status: 200, body: '{\"success\": true, \"sta'}".to_owned(), "cannot be read"),
        ("reply: {status: 200, body: [1, 2]}".to_owned(), "cannot be read"),
        ("reply: {status: 200, body: {status: 7}}".to_owned(), "cannot be read"),
        (
            format!("reply: {{status: 200, body: {{job_id: other-{id}, status: completed}}}}"),
            "cannot be read",
        ),
        (format!("reply: {{status: 200, body: {deep}}}"), "cannot be read"),
        ("reply: {status: 200, body_base64: '/v8='}".to_owned(), "cannot be read"),
        ("reply: {status: 200, body: 'xxxxxxxxxxxxxxxx', repeat: 100000}".to_owned(), "too large"),
        (
            format!("reply: {{status: 200, headers: {{content-encoding: gzip}}, body_base64: '{bomb}'}}"),
            "too large",
        ),
        ("cut: 10".to_owned(), "broke"),
        ("drop: before".to_owned(), "broke"),
        (
            format!("reply: {{status: 307, headers: {{location: '{}/jobs/list'}}}}", elsewhere.base_url()),
            "a redirect",
        ),
        (format!("reply: {{status: 500, body: 'oops {TOKEN} secret_canary'}}"), "HTTP 500"),
        (format!("reply: {{status: 422, body: {{detail: 'oops {TOKEN} secret_canary'}}}}"), "[redacted]"),
    ];
    for (fault, words) in rows {
        service.clear_faults(None);
        service.add_faults(Rules::parse(&format!("faults: [{{{fault}}}]")).unwrap().faults.unwrap()).unwrap();
        let error = client.status(&id).await.result.unwrap_err();
        let (shown, debugged) = (error.to_string(), format!("{error:?} {client:?}"));
        assert!(shown.contains(words), "{fault:.80}: {shown}");
        assert!(!shown.contains("canary") && !debugged.contains("canary"), "{shown} {debugged}");
        assert!(shown.len() < 1200, "{shown}");
    }
    // A text in the place of a body: what cannot be read is told, and may have been the token.
    service.clear_faults(None);
    let echo = format!("faults: [{{reply: {{status: 200, body: '\"{TOKEN}\"'}}}}]");
    service.add_faults(Rules::parse(&echo).unwrap().faults.unwrap()).unwrap();
    let told = [
        format!("{:?}", client.submit("spiderSite", BODY).await.result),
        format!("{:?}", client.whoami().await.result),
        format!("{:?}", client.newest(1).await.result),
    ];
    assert!(
        told.iter().all(|told| told.contains("not a JSON object") && !told.contains("canary")),
        "{told:?}"
    );
    service.clear_faults(None);
    assert_eq!(client.status(&id).await.result.unwrap().state, JobState::Processing);
    assert_eq!(client.status("a/b").await.result.unwrap_err().class(), Class::Stall);
    assert!(elsewhere.journal(0).entries.is_empty(), "the token did not go along with the redirect");
}

#[tokio::test]
async fn results_are_counted_as_they_stream_and_bounded() {
    let service = service("{}").await;
    let client = client(&service);
    let id = a_job(&service, "completed");
    let set = |fault: &str| {
        service.clear_faults(None);
        service.add_faults(Rules::parse(&format!("faults: [{{{fault}}}]")).unwrap().faults.unwrap()).unwrap();
    };
    for (body, count) in [
        ("{success: true, data: {results_count: 12, pages_crawled: 3}}", Some(12)),
        ("{success: true, data: {pages_crawled: 3}}", Some(3)),
        ("{success: true, data: {results_count: many}}", None),
        ("{success: true, data: null}", None),
        ("{success: false, data: {results_count: 0}, error_message: partial}", Some(0)),
    ] {
        set(&format!("reply: {{status: 200, body: {body}}}"));
        let summary = client.results(&id, || ()).await.result.unwrap();
        assert_eq!(summary.count, count, "{body}");
    }
    set("reply: {status: 410, body: {success: false, status: failed, error_message: 'robots.txt'}}");
    let gone = client.results(&id, || ()).await.result.unwrap();
    assert_eq!((gone.state, gone.error_message.as_deref()), (SummaryState::Gone, Some("robots.txt")));
    set("reply: {status: 202, body: {success: false, status: queued}}");
    assert_eq!(client.results(&id, || ()).await.result.unwrap().state, SummaryState::Pending);
    set("reply: {status: 200, body: '<html>'}");
    assert!(matches!(client.results(&id, || ()).await.result, Err(Error::Malformed(_))));
    set("cut: 20");
    assert!(client.results(&id, || ()).await.result.is_err());
    let refused = client_of(&endless().await).results("large", || ()).await.result;
    assert!(matches!(refused, Err(Error::TooLarge)), "{refused:?}");
}

/// A service whose result never ends.
async fn endless() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = async || {
        let start = futures::stream::iter([r#"{"success": true, "data": {"text": ""#.to_owned()]);
        let more = futures::stream::repeat("x".repeat(256 * 1024));
        let chunks = start.chain(more).map(Ok::<_, std::convert::Infallible>);
        axum::body::Body::from_stream(chunks)
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    format!("http://{address}/api/v1")
}

#[tokio::test]
async fn a_wait_ends_by_itself() {
    let service = service("faults: [{match: {route: submit}, hang: after}, {match: {route: status}, trickle: {bytes: 1, every: 0.5}}]").await;
    let client = client(&service);
    let id = a_job(&service, "processing");
    let (submit, status) = tokio::join!(client.submit("spiderSite", BODY), client.status(&id));
    assert!(matches!(submit.result.unwrap(), SubmitAnswer::Unknown { why: Error::Timeout, .. }));
    assert!(matches!(status.result, Err(Error::Timeout)), "one byte at a time is not an answer");
    assert_eq!(service.jobs().len(), 2, "the submit that hung had been taken");
}

#[tokio::test]
async fn every_way_to_say_wait_is_understood() {
    let service = service("{}").await;
    let client = client(&service);
    let id = a_job(&service, "processing");
    // (headers and body, whether there is a time to come back, whether waiting helps)
    for (reply, timed, helps) in [
        ("headers: {retry-after: '30'}", true, true),
        ("headers: {retry-after: 'Wed, 21 Oct 2099 07:28:00 GMT'}", true, true),
        ("headers: {retry-after: '0'}", false, true),
        ("headers: {retry-after: '-5'}", false, true),
        ("headers: {retry-after: soon}", false, true),
        ("headers: {x-ratelimit-remaining: '0', x-ratelimit-reset: '4102444800'}", true, true),
        ("body: {detail: slow down}", false, true),
        ("body: {error: {code: X, message: y, retry_after_seconds: 12}}", true, true),
        ("body: {error: {code: MAX_CAMPAIGNS_PER_CLIENT, message: y}}", false, false),
    ] {
        service.clear_faults(None);
        let fault = format!("faults: [{{reply: {{status: 429, {reply}}}}}]");
        service.add_faults(Rules::parse(&fault).unwrap().faults.unwrap()).unwrap();
        let answer = client.status(&id).await;
        let Err(Error::Throttled { until, waiting_helps, .. }) = answer.result else { panic!("{reply}") };
        assert_eq!((until.is_some(), waiting_helps), (timed, helps), "{reply}");
        assert_eq!(answer.signals.retry_at, until, "{reply}");
    }
}

fn base64(bytes: &[u8]) -> String {
    const WORDS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let word = |bits: u32| char::from(*WORDS.get((bits & 63) as usize).unwrap());
    bytes
        .chunks(3)
        .map(|three| {
            let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
            let all = byte(0) << 16 | byte(1) << 8 | byte(2);
            let mut four: Vec<char> = [18, 12, 6, 0].map(|shift| word(all >> shift)).to_vec();
            four.splice(three.len() + 1.., std::iter::repeat_n('=', 3 - three.len()));
            four.into_iter().collect::<String>()
        })
        .collect()
}
