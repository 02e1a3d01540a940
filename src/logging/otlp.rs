//! Traces over OTLP, in a build with the feature `otlp`: a span for each look at an object, with the lines of the log as its
//! events. They go to the collector that OpenTelemetry's own variables name, `OTEL_EXPORTER_OTLP_ENDPOINT` first.

use std::fmt;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// Either says where the collector is.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const SERVICE: &str = "spideriq-operator";

/// What sends traces; nothing where no collector is named. Dropped, it sends what is left.
pub(super) struct Traces(Option<SdkTracerProvider>);

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traces").field(&self.0.is_some()).finish()
    }
}

impl Traces {
    /// Begins, from a thread of its own and with bounded room for what waits. Not from within a runtime.
    pub(super) fn begin() -> Self {
        if !ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some_and(|named| !named.is_empty())) {
            return Self(None);
        }
        let exporter = match SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build() {
            Ok(exporter) => exporter,
            Err(error) => {
                eprintln!("warning: no traces are sent: {error}");
                return Self(None);
            }
        };
        let resource = Resource::builder()
            .with_service_name(SERVICE)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter);
        Self(Some(provider.build()))
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
        if let Some(Err(error)) = self.0.take().map(|provider| provider.shutdown()) {
            eprintln!("warning: the last traces were not sent: {error}");
        }
    }
}
