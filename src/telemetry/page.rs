//! The page that a scrape reads, in the OpenMetrics text format. Gauges are read when it is made, so that they cost
//! nothing in between.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::families::{
    API_REQUESTS, BUDGET_LEFT, BUDGET_WAIT_SECONDS, BUDGET_WAITING, BUILD, Described, FINISHED, HELD, JOBS,
    KEPT, LEADER, LOOKS, MISNAMED, NEWS_AGE_SECONDS, ORPHANED, PAUSE_SECONDS, PREFIX, QUEUE_SECONDS,
    RECONCILE_SECONDS, RECONCILES, REQUEST_SECONDS, REQUESTS, RUN_SECONDS, STALLED, SUBMIT_PAUSE_SECONDS,
    SUBMITS, TRUTH_AGE_SECONDS, UNDECODABLE, UNKEPT, UNRECORDED, UNSYNCED,
};
use super::process::Process;

/// What is true at the moment of a scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The accounts in use.
    pub accounts: Vec<AccountGauges>,
    /// Jobs by namespace and state.
    pub jobs: BTreeMap<(String, &'static str), u32>,
    /// Held jobs by namespace and reason.
    pub held: BTreeMap<(String, &'static str), u32>,
    /// Jobs whose state may be old, by namespace.
    pub unsynced: BTreeMap<String, u32>,
    /// Jobs that have failed or need somebody, by namespace.
    pub stalled: BTreeMap<String, u32>,
    /// Looks at jobs, by stage.
    pub looks: Vec<(&'static str, usize)>,
    /// Jobs in memory, by how they are kept.
    pub kept: Vec<(&'static str, usize)>,
    /// Objects that cannot be decoded, by namespace and kind.
    pub undecodable: BTreeMap<(String, &'static str), u32>,
    /// Objects that name what nothing can be named, by namespace and kind.
    pub misnamed: BTreeMap<(String, &'static str), u32>,
    /// Seconds since something was heard of a resource, by namespace and resource.
    pub news: BTreeMap<(String, &'static str), f64>,
    /// Fields that the API server would drop, by kind.
    pub unkept: Vec<(&'static str, usize)>,
    /// Accepted jobs that are not recorded.
    pub unrecorded: usize,
    /// Whether this process is the one that works.
    pub leading: bool,
}

/// What is true of one account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountGauges {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub account: String,
    /// Requests that could be sent at once.
    pub requests_left: u32,
    /// Seconds until it may send again.
    pub pause_seconds: f64,
    /// Seconds until submits are taken again.
    pub submit_pause_seconds: f64,
    /// Seconds since the job that was known last was known; none where none runs.
    pub truth_age_seconds: Option<f64>,
    /// How many requests wait, by lane.
    pub waiting: Vec<(&'static str, usize)>,
}

/// The page of a scrape.
#[derive(Debug)]
pub struct Page {
    registry: Registry,
}

impl Page {
    /// The content type of the page.
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// A page of these counters, and of what `now` tells when it is read.
    pub fn new(metrics: &Metrics, now: impl Fn() -> Snapshot + Send + Sync + 'static) -> Self {
        let mut root = Registry::default();
        let registry = root.sub_registry_with_prefix(PREFIX);
        let mut add = |family: &Described, metric: Box<dyn Register>| metric.register(family, registry);
        add(&RECONCILES, Box::new(metrics.reconciles.clone()));
        add(&RECONCILE_SECONDS, Box::new(metrics.reconcile_seconds.clone()));
        add(&REQUESTS, Box::new(metrics.requests.clone()));
        add(&REQUEST_SECONDS, Box::new(metrics.request_seconds.clone()));
        add(&BUDGET_WAIT_SECONDS, Box::new(metrics.budget_wait_seconds.clone()));
        add(&SUBMITS, Box::new(metrics.submits.clone()));
        add(&FINISHED, Box::new(metrics.finished.clone()));
        add(&RUN_SECONDS, Box::new(metrics.run_seconds.clone()));
        add(&QUEUE_SECONDS, Box::new(metrics.queue_seconds.clone()));
        add(&ORPHANED, Box::new(metrics.orphaned.clone()));
        add(&API_REQUESTS, Box::new(metrics.api_requests.clone()));
        registry.register_collector(Box::new(Gauges { now: Box::new(now) }));
        root.register_collector(Box::new(Process));
        Self { registry: root }
    }

    /// The page as it is now.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail; were it to, the page would lack its end, and the scrape be refused.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Anything that a registry takes.
trait Register {
    fn register(self: Box<Self>, family: &Described, registry: &mut Registry);
}

impl<M: prometheus_client::registry::Metric> Register for M {
    fn register(self: Box<Self>, family: &Described, registry: &mut Registry) {
        registry.register(family.name, family.help, *self);
    }
}

struct Gauges {
    now: Box<dyn Fn() -> Snapshot + Send + Sync>,
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = (self.now)();
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let mut put = |family: &Described, rows: Vec<(Vec<&str>, f64)>| -> fmt::Result {
            if rows.is_empty() {
                return Ok(());
            }
            let help = format!("{}.", family.help);
            let mut family_encoder =
                encoder.encode_descriptor(family.name, &help, None, MetricType::Gauge)?;
            for (values, number) in rows {
                let labels: Vec<(&str, &str)> = family.labels.iter().copied().zip(values).collect();
                if labels.is_empty() {
                    return ConstGauge::new(number).encode(family_encoder);
                }
                ConstGauge::new(number).encode(family_encoder.encode_family(&labels)?)?;
            }
            Ok(())
        };
        let of_accounts = |number: &dyn Fn(&AccountGauges) -> Option<f64>| {
            let told = now.accounts.iter().filter_map(|account| {
                Some((vec![account.namespace.as_str(), account.account.as_str()], number(account)?))
            });
            told.collect::<Vec<_>>()
        };
        put(&BUDGET_LEFT, of_accounts(&|account| Some(f64::from(account.requests_left))))?;
        put(&PAUSE_SECONDS, of_accounts(&|account| Some(account.pause_seconds)))?;
        put(&SUBMIT_PAUSE_SECONDS, of_accounts(&|account| Some(account.submit_pause_seconds)))?;
        put(&TRUTH_AGE_SECONDS, of_accounts(&|account| account.truth_age_seconds))?;
        let waiting = now.accounts.iter().flat_map(|account| {
            account.waiting.iter().map(|(lane, count)| {
                (vec![account.namespace.as_str(), account.account.as_str(), *lane], number(*count))
            })
        });
        put(&BUDGET_WAITING, waiting.collect())?;
        for (family, counts) in [
            (&JOBS, &now.jobs),
            (&HELD, &now.held),
            (&MISNAMED, &now.misnamed),
            (&UNDECODABLE, &now.undecodable),
        ] {
            let rows = counts
                .iter()
                .map(|((namespace, word), count)| (vec![namespace.as_str(), *word], f64::from(*count)));
            put(family, rows.collect())?;
        }
        for (family, counts) in [(&UNSYNCED, &now.unsynced), (&STALLED, &now.stalled)] {
            let rows = counts.iter().map(|(namespace, count)| (vec![namespace.as_str()], f64::from(*count)));
            put(family, rows.collect())?;
        }
        for (family, counts) in [(&LOOKS, &now.looks), (&KEPT, &now.kept), (&UNKEPT, &now.unkept)] {
            put(family, counts.iter().map(|(word, count)| (vec![*word], number(*count))).collect())?;
        }
        let heard = now.news.iter().map(|((namespace, of), age)| (vec![namespace.as_str(), *of], *age));
        put(&NEWS_AGE_SECONDS, heard.collect())?;
        put(&UNRECORDED, vec![(Vec::new(), number(now.unrecorded))])?;
        put(&LEADER, vec![(Vec::new(), f64::from(u8::from(now.leading)))])?;
        put(&BUILD, vec![(vec![env!("CARGO_PKG_VERSION")], 1.0)])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::{ALL, LANES, PREFIX, PROCESS, ROUTES};
    use super::{AccountGauges, Metrics, Page, Snapshot};

    #[test]
    fn every_family_of_the_list_is_on_the_page_with_its_kind_its_labels_and_its_help() {
        let metrics = Metrics::default();
        metrics.reconciled("ScrapeJob", "written", Duration::from_millis(3));
        metrics.requested("status", Some(200), Duration::from_millis(20));
        metrics.requested("submit", None, Duration::from_secs(8));
        metrics.waited("poll", Duration::from_secs(1));
        metrics.submitted("accepted");
        metrics.finished("Failed");
        metrics.took("Failed", Some(Duration::from_secs(70)), Some(Duration::from_secs(3)));
        metrics.orphaned();
        metrics.asked_api(("patch", "scrapejobs/status"), Some(409));
        let count = |word| BTreeMap::from([(("team-a".to_owned(), word), 2)]);
        let page = Page::new(&metrics, move || Snapshot {
            accounts: vec![AccountGauges {
                namespace: "team-a".to_owned(),
                account: "default".to_owned(),
                requests_left: 17,
                pause_seconds: 0.0,
                submit_pause_seconds: 0.0,
                truth_age_seconds: Some(2.5),
                waiting: vec![("poll", 3)],
            }],
            jobs: count("Held"),
            held: count("Refused"),
            looks: vec![("working", 1), ("waiting", 0)],
            kept: vec![("whole", 1), ("record", 2)],
            unsynced: BTreeMap::from([("team-a".to_owned(), 1)]),
            stalled: BTreeMap::from([("team-a".to_owned(), 1)]),
            undecodable: count("ScrapeAccount"),
            misnamed: count("ScrapeAccount"),
            news: BTreeMap::from([(("team-a".to_owned(), "scrapejobs"), 3.5)]),
            unkept: vec![("ScrapeJob", 0)],
            unrecorded: 0,
            leading: true,
        });
        let text = page.text();
        let ours = ALL.iter().map(|family| (format!("{PREFIX}_{}", family.name), family));
        for (name, family) in ours.chain(PROCESS.iter().map(|family| (family.name.to_owned(), family))) {
            assert!(text.contains(&format!("# TYPE {name} {}\n", family.kind)), "{name}: {text}");
            assert!(text.contains(&format!("# HELP {name} {}.\n", family.help)), "{name}: {text}");
            let sample = text.lines().find(|line| line.starts_with(&name)).expect(&name);
            for label in family.labels {
                assert!(sample.contains(&format!("{label}=\"")), "{sample} has no {label}");
            }
        }
        assert!(
            text.contains("spideriq_operator_requests_total{route=\"submit\",code=\"none\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("budget_requests_left{namespace=\"team-a\",account=\"default\"} 17.0\n"),
            "{text}"
        );
        assert!(text.contains("\nspideriq_operator_leader 1.0\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    /// A series that is born at 1 never looks as if it had grown, and no alert would fire for the first.
    #[test]
    fn every_closed_set_of_labels_begins_at_0() {
        let text = Page::new(&Metrics::default(), Snapshot::default).text();
        let fixed = [
            "submits_total{outcome=\"unknown\"}",
            "submits_total{outcome=\"accepted\"}",
            "finished_jobs_total{outcome=\"Failed\"}",
            "job_duration_seconds_count{outcome=\"Completed\"}",
            "job_queue_seconds_count",
            "reconciles_total{kind=\"ClusterScrapeAccount\",result=\"retried\"}",
            "reconcile_duration_seconds_count{kind=\"ScrapeJob\"}",
            "orphaned_jobs_total",
        ];
        let lanes = LANES.map(|lane| format!("budget_wait_seconds_count{{lane=\"{lane}\"}}"));
        let routes = ROUTES.map(|route| format!("request_duration_seconds_count{{route=\"{route}\"}}"));
        for series in fixed.map(str::to_owned).iter().chain(&lanes).chain(&routes) {
            assert!(text.contains(&format!("{PREFIX}_{series} 0\n")), "{series}: {text}");
        }
    }
}
