//! The log: its form, its levels, and how often it says the same.
//!
//! It must never show what the API server or the service sent: libraries log bodies, so that of them only errors are
//! shown, whatever RUST_LOG says.

mod flat;
#[cfg(feature = "otlp")]
mod otlp;

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use self::flat::Flat;
use crate::clock::Clock;

/// The only target whose level people choose.
const OURS: &str = "spideriq_operator";
/// How long lines are counted for.
const WINDOW: Duration = Duration::from_secs(60);
/// How often one and the same line is shown in that time.
const SAME: u32 = 5;
/// How many lines one place in the code shows in that time, of what is no debugging.
const OF_ONE_PLACE: u32 = 600;
/// How many different lines are told apart in that time.
const DIFFERENT: usize = 4096;

/// Form of the log lines.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// For people.
    Text,
    /// For machines: one flat JSON object a line.
    Json,
}

/// What has to live as long as there is something to be said.
#[derive(Debug)]
pub struct Logging {
    /// How many lines were left out.
    pub left_out: LeftOut,
    #[cfg(feature = "otlp")]
    _traces: otlp::Traces,
}

/// Begins to log to standard error, from this level on where `RUST_LOG` asks for no other.
pub fn start(form: Form, level: LevelFilter) -> Logging {
    let left_out = LeftOut::default();
    let limit = Limit { clock: Clock::system(), counts: Mutex::default(), left_out: left_out.clone() };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let asked = std::env::var("RUST_LOG").ok();
    let lines = match form {
        Form::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            lines.with_ansi(colours).with_filter(limit).boxed()
        }
        Form::Json => lines.event_format(Flat).fmt_fields(JsonFields::new()).with_filter(limit).boxed(),
    };
    let registry = tracing_subscriber::registry().with(levels(asked.as_deref(), level)).with(lines);
    #[cfg(feature = "otlp")]
    let traces = otlp::Traces::begin();
    #[cfg(feature = "otlp")]
    let registry = registry.with(traces.layer());
    registry.init();
    Logging {
        left_out,
        #[cfg(feature = "otlp")]
        _traces: traces,
    }
}

/// The levels: ours as asked for, and this one where nothing is; of everybody else errors alone.
fn levels(asked: Option<&str>, level: LevelFilter) -> Targets {
    let asked = asked.filter(|asked| !asked.trim().is_empty());
    let asked = asked.and_then(|asked| asked.parse::<Targets>().ok()).unwrap_or_default();
    let ours = |target: &str| {
        target.strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target(OURS, asked.default_level().unwrap_or(level))
        .with_targets(asked.iter().filter(|(target, _)| ours(target)))
}

/// How many lines were left out since somebody asked last.
#[derive(Clone, Debug, Default)]
pub struct LeftOut(Arc<AtomicU64>);

impl LeftOut {
    /// Says once a minute how many lines were left out, if any.
    pub async fn tell(self) {
        loop {
            tokio::time::sleep(WINDOW).await;
            let lines = self.0.swap(0, Ordering::Relaxed);
            if lines > 0 {
                tracing::warn!(
                    lines,
                    "so many lines of the log were left out in the last minute, because they said the same"
                );
            }
        }
    }
}

/// Leaves lines out that repeat themselves.
#[derive(Debug)]
struct Limit {
    clock: Clock,
    counts: Mutex<Counts>,
    left_out: LeftOut,
}

/// What was shown in this window.
#[derive(Debug, Default)]
struct Counts {
    since: Option<Instant>,
    lines: HashMap<u64, u32>,
    /// By place in the code: there are only so many.
    places: HashMap<Identifier, u32>,
}

impl Counts {
    /// Whether one more such line of this place is shown.
    fn takes(&mut self, (place, line): (Identifier, u64), debugging: bool, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            *self = Self { since: Some(now), ..Self::default() };
        }
        let of_place = self.places.entry(place).or_default();
        if *of_place >= OF_ONE_PLACE && !debugging {
            return false;
        }
        // Where there are too many to be told apart, the place alone counts.
        if self.lines.len() < DIFFERENT || self.lines.contains_key(&line) {
            let same = self.lines.entry(line).or_default();
            if *same >= SAME {
                return false;
            }
            *same += 1;
        }
        *of_place = of_place.saturating_add(1);
        true
    }
}

impl<S> Filter<S> for Limit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn callsite_enabled(&self, _: &'static Metadata<'static>) -> Interest {
        // Whether a line is shown hangs on what it says.
        Interest::sometimes()
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let place = event.metadata().callsite();
        let mut line = Line(DefaultHasher::new());
        place.hash(&mut line.0);
        event.record(&mut line);
        let debugging = *event.metadata().level() > Level::INFO;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = counts.takes((place, line.0.finish()), debugging, self.clock.instant());
        if !shown {
            self.left_out.0.fetch_add(1, Ordering::Relaxed);
        }
        shown
    }
}

/// What a line says, as a number.
struct Line(DefaultHasher);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        field.name().hash(&mut self.0);
        // A hasher takes everything.
        let _ = write!(self, "{value:?}");
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tracing::Level;
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::{LeftOut, Limit, OF_ONE_PLACE, SAME, WINDOW, levels};
    use crate::clock::Clock;

    #[test]
    fn of_everybody_else_only_errors_are_shown_whatever_is_asked_for() {
        for asked in [
            None,
            Some("trace"),
            Some("trace,kube_client=trace,kube_client::client=trace,hyper=debug"),
            Some("kube=trace,h=trace,reqwest::connect=trace,rustls=trace,h2=trace,tower=trace"),
            Some("spideriq_operator_evil=trace,spideriq=trace"),
            Some("not a level=="),
            Some(""),
        ] {
            let levels = levels(asked, LevelFilter::INFO);
            for target in [
                "kube_client::client",
                "kube_client::client::builder",
                "kube_runtime::watcher",
                "kube_core",
                "hyper::proto",
                "hyper_util::client",
                "hyper_rustls",
                "h2::codec",
                "rustls::client",
                "tower::buffer",
                "tower_http",
                "reqwest::connect",
                "tokio_util",
                "log",
                "",
            ] {
                assert!(levels.would_enable(target, &Level::ERROR), "{asked:?} {target}");
                assert!(!levels.would_enable(target, &Level::WARN), "{asked:?} {target}");
            }
            assert!(levels.would_enable("spideriq_operator::app", &Level::INFO), "{asked:?}");
        }
    }

    #[test]
    fn our_own_levels_are_as_asked_for() {
        let shows = |asked: &str, target: &str, level: Level| {
            levels(Some(asked), LevelFilter::INFO).would_enable(target, &level)
        };
        assert!(shows("trace", "spideriq_operator::app", Level::TRACE));
        assert!(shows("info,spideriq_operator=debug", "spideriq_operator::app", Level::DEBUG));
        assert!(shows("spideriq_operator::leader=debug", "spideriq_operator::leader::lease", Level::DEBUG));
        assert!(!shows("spideriq_operator::leader=debug", "spideriq_operator::app", Level::DEBUG));
        assert!(!shows("warn", "spideriq_operator::app", Level::INFO));
        assert!(!shows("off", "spideriq_operator::app", Level::ERROR));
        // The level of the command line holds where no other is asked for.
        for (asked, shown) in [(None, false), (Some(""), false), (Some("spideriq_operator::app=info"), true)]
        {
            let levels = levels(asked, LevelFilter::WARN);
            assert_eq!(levels.would_enable("spideriq_operator::app", &Level::INFO), shown, "{asked:?}");
            assert!(!levels.would_enable("spideriq_operator::leader", &Level::INFO), "{asked:?}");
        }
    }

    #[derive(Clone, Default)]
    pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        fn lines(&self) -> usize {
            self.0.lock().unwrap().split(|byte| *byte == b'\n').count() - 1
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_says_the_same_is_shown_a_few_times_a_minute_and_others_are_not_kept_back() {
        let (written, left_out) = (Written::default(), LeftOut::default());
        let limit = Limit { clock: Clock::system(), counts: Mutex::default(), left_out: left_out.clone() };
        let to = written.clone();
        let lines = tracing_subscriber::fmt::layer().with_writer(move || to.clone()).with_filter(limit);
        let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
        let same = || tracing::warn!(account = "a", "the same");
        (0..100).for_each(|_| same());
        assert_eq!(written.lines(), SAME as usize);
        tracing::warn!(account = "a", "another");
        (0..10).for_each(|n| tracing::info!(n, "each is another"));
        assert_eq!(written.lines(), SAME as usize + 11);
        let out = left_out.0.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(out, 100 - u64::from(SAME));
        tokio::time::advance(WINDOW + Duration::from_secs(1)).await;
        same();
        assert_eq!(written.lines(), SAME as usize + 12, "a minute later it is news");
        // Whoever makes each line another one is kept back by the place that writes it.
        (0..10_000).for_each(|n| tracing::warn!(n, "a flood"));
        assert!(written.lines() <= (SAME + 12 + OF_ONE_PLACE) as usize);
        tracing::error!("and is not in the way of what matters");
        assert!(written.lines() > (SAME + 12 + OF_ONE_PLACE) as usize);
    }
}
