//! Traces: a collector that decodes what a build with the feature `otlp` sends. `make otlp` builds that.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use prost::Message;
use tokio::net::TcpListener;

use super::support::World;

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Bytes>>>);

impl Collector {
    /// Begins to take traces; says where.
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let take = async |State(Self(all)): State<Self>, bytes: Bytes| all.lock().unwrap().push(bytes);
        let router = Router::new().route("/v1/traces", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let all = self.0.lock().unwrap();
        all.iter().map(|bytes| ExportTraceServiceRequest::decode(bytes.clone()).unwrap()).collect()
    }

    fn has(&self, words: &[u8]) -> bool {
        self.0.lock().unwrap().iter().any(|bytes| bytes.windows(words.len()).any(|part| part == words))
    }
}

fn word(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(word)) => word.clone(),
        _ => String::new(),
    }
}

async fn completed_beside(name: &str, collector: String) -> World {
    let mut world = World::without_operator(name, "jobs: [{queued: 1, processing: 1}]").await;
    world.account("default", "");
    world.variables.push(("OTEL_EXPORTER_OTLP_ENDPOINT", collector));
    world.variables.push(("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()));
    world.start();
    world.site("site", "");
    world.until("site", "Completed").await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_told_of_each_look_at_an_object_and_never_of_a_token() {
    let collector = Collector::default();
    let address = collector.serve().await;
    let mut world = completed_beside("otlp", address).await;
    let uid = world.get("ScrapeJob", "site").await["metadata"]["uid"].as_str().unwrap().to_owned();
    assert!(world.stop().await, "the last of them are sent as it ends");
    let told = |collector: &Collector| {
        collector.requests().iter().flat_map(|request| &request.resource_spans).any(|of_process| {
            let resource = of_process.resource.as_ref().unwrap();
            assert_eq!(word(&resource.attributes, "service.name"), "spideriq-operator");
            of_process.scope_spans.iter().flat_map(|scope| &scope.spans).any(|span| {
                let of_job = word(&span.attributes, "kind") == "ScrapeJob"
                    && word(&span.attributes, "name") == "site"
                    && word(&span.attributes, "uid") == uid;
                let accepted = span.events.iter().any(|event| event.name == "accepted");
                span.name == "reconcile"
                    && of_job
                    && accepted
                    && span.end_time_unix_nano > span.start_time_unix_nano
            })
        })
    };
    assert!(told(&collector), "the span of the submit");
    for secret in [&b"secret_canary"[..], b"sk_test", b"site.example"] {
        assert!(!collector.has(secret), "a token, or a payload");
    }
}

/// It takes connections and never answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let open = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok(connection) = listener.accept().await {
            open.lock().unwrap().push(connection);
        }
    });
    let mut world = completed_beside("otlp-hangs", address).await;
    assert!(world.stop().await);
    assert!(!asked.lock().unwrap().is_empty(), "it was asked");
}
