//! A line for machines: one JSON object without objects in it, of what is said and of what the spans around it say.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// Writes such lines. The fields of spans are to be kept as JSON.
pub(super) struct Flat;

impl<S, N> FormatEvent<S, N> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said(Map::new());
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().map(|fields| fields.fields.as_str());
            if let Some(Ok(Value::Object(fields))) = fields.map(serde_json::from_str) {
                said.0.extend(fields);
            }
        }
        // What a line says itself it knows better.
        event.record(&mut said);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        let message = said.0.remove("message").unwrap_or_default();
        let first = [
            ("timestamp", Value::from(time)),
            ("level", metadata.level().as_str().into()),
            ("message", message),
            ("target", metadata.target().into()),
        ];
        writer.write_char('{')?;
        for (at, (name, value)) in first.into_iter().enumerate() {
            said.0.remove(name);
            let comma = if at == 0 { "" } else { "," };
            write!(writer, "{comma}\"{name}\":{value}")?;
        }
        for (name, value) in said.0 {
            write!(writer, ",{}:{value}", Value::from(name))?;
        }
        writer.write_str("}\n")
    }
}

/// What a line says, by name.
struct Said(Map<String, Value>);

impl Said {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().trim_start_matches("r#").to_owned(), value.into());
    }
}

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::tests::Written;
    use super::Flat;

    fn lines(say: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let to = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || to.clone())
            .event_format(Flat)
            .fmt_fields(JsonFields::new());
        let here = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        say();
        drop(here);
        let text = written.text();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_says_what_the_spans_around_it_say_and_holds_no_object() {
        let lines = lines(|| {
            let none: Option<&str> = None;
            let outer = tracing::error_span!("reconcile", kind = "ScrapeJob", name = "a", run = none, at = 1);
            let _outer = outer.enter();
            let _inner = tracing::error_span!("inner", more = true).entered();
            let error = std::io::Error::other("not\n\"now\"");
            tracing::warn!(%error, name = "b", count = 3_u64, share = 0.5, "it was {}", "so");
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        for (name, value) in [
            ("level", json!("WARN")),
            ("message", json!("it was so")),
            ("kind", json!("ScrapeJob")),
            ("at", json!(1)),
            ("more", json!(true)),
            ("name", json!("b")),
            ("count", json!(3)),
            ("share", json!(0.5)),
            ("error", json!("not\n\"now\"")),
        ] {
            assert_eq!(line[name], value, "{line}");
        }
        assert!(line["timestamp"].as_str().unwrap().starts_with("20"), "{line}");
        assert!(line["target"].as_str().unwrap().contains("logging"), "{line}");
        assert!(line.get("run").is_none(), "what is not there is not told: {line}");
    }

    /// Who names a field like one of a line's own takes nothing from it.
    #[test]
    fn the_names_of_a_line_are_its_own() {
        let lines = lines(|| {
            let _span = tracing::error_span!("span", level = "none", message = "of a span").entered();
            tracing::info!(timestamp = "never", target = "nowhere", "said");
        });
        let line = lines[0].as_object().unwrap();
        assert_eq!((&line["level"], &line["message"]), (&json!("INFO"), &json!("said")));
        assert!(line["timestamp"].as_str().unwrap().starts_with("20"), "{line:?}");
        assert_ne!(line["target"], json!("nowhere"));
    }
}
