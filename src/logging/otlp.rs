//! Traces over OTLP, in a build with the feature `otlp`: a span for each look at an object, with the lines of the log as its
//! events. They go to the collector that OpenTelemetry's own variables name, `OTEL_EXPORTER_OTLP_ENDPOINT` first.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter, Tracer};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// Either says where the collector is.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const DISABLED: &str = "OTEL_SDK_DISABLED";
const NAME: &str = "OTEL_SERVICE_NAME";
const SERVICE: &str = "spideriq-operator";
/// How long the process stays for what is left as it ends: the grace period of the pod is for other things.
const LAST_WITHIN: Duration = Duration::from_secs(1);

/// What sends traces; nothing where no collector is named. Dropped, it sends what is left.
pub(super) struct Traces(Option<SdkTracerProvider>);

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traces").field(&self.0.is_some()).finish()
    }
}

/// Says where traces do not arrive. Why is left out: an address may have a password in it.
#[derive(Debug)]
struct Telling(opentelemetry_otlp::SpanExporter);

impl SpanExporter for Telling {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = batch.len();
        let sent = self.0.export(batch);
        async move {
            let sent = sent.await;
            if sent.is_err() {
                tracing::warn!(spans, "traces were not taken by the collector, and are dropped");
            }
            sent
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

impl Traces {
    /// Begins, from a thread of its own and with bounded room for what waits. Not from within a runtime.
    pub(super) fn begin() -> Self {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let off = given(DISABLED).is_some_and(|word| word.eq_ignore_ascii_case("true"));
        if off || !ENDPOINTS.into_iter().any(|name| given(name).is_some()) {
            return Self(None);
        }
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_http();
        let Ok(exporter) = exporter.with_protocol(Protocol::HttpBinary).build() else {
            eprintln!("warning: no traces are sent: OTEL_EXPORTER_OTLP_ENDPOINT is no address");
            return Self(None);
        };
        let resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let resource = if given(NAME).is_some() { resource } else { resource.with_service_name(SERVICE) };
        let provider = SdkTracerProvider::builder().with_resource(resource.build());
        Self(Some(provider.with_batch_exporter(Telling(exporter)).build()))
    }

    pub(super) fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(
        &self,
    ) -> Option<OpenTelemetryLayer<S, Tracer>> {
        let tracer = self.0.as_ref()?.tracer(SERVICE);
        Some(tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        let ended = self.0.take().map(|provider| provider.shutdown_with_timeout(LAST_WITHIN));
        if let Some(Err(_)) = ended {
            eprintln!("warning: the last traces were not sent within {LAST_WITHIN:?}");
        }
    }
}
