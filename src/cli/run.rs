//! `spideriq-operator run`: its options, and what they are made into.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::ValueEnum;
use tracing_subscriber::filter::LevelFilter;

use super::place::{Place, named, names};
use crate::api::{ClaimLease, DEFAULT_ENDPOINT, ObjectName};
use crate::budget::Limits;
use crate::controller::Options;
use crate::leader::{Election, Release};
use crate::logging;
use crate::spideriq::Endpoint;

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// Base address that accounts may name; repeat it for more. Left out, only the service's own.
    #[arg(
        long = "allowed-endpoint",
        env = "SPIDERIQ_ALLOWED_ENDPOINTS",
        value_delimiter = ',',
        value_name = "URL"
    )]
    pub(super) allowed_endpoints: Vec<String>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Most requests in any 60 seconds that a client of the service is given, whatever its accounts ask for; a
    /// ClusterScrapeAccount of the client may give it more.
    #[arg(
        long,
        env = "SPIDERIQ_CLIENT_REQUESTS_PER_MINUTE",
        default_value_t = Limits::default().requests_per_minute,
        value_parser = clap::value_parser!(u32).range(10..),
        value_name = "N"
    )]
    client_requests_per_minute: u32,
    /// The same for submits.
    #[arg(
        long,
        env = "SPIDERIQ_CLIENT_SUBMITS_PER_MINUTE",
        default_value_t = Limits::default().submits_per_minute,
        value_parser = clap::value_parser!(u32).range(1..),
        value_name = "N"
    )]
    client_submits_per_minute: u32,
    /// Let accounts listen to the service's events that ask for it: their token is then a part of an address, which ends
    /// in the access logs of whatever stands before the service.
    #[arg(
        long,
        env = "SPIDERIQ_ALLOW_EVENTS",
        default_value_t = false,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    allow_events: bool,
    /// Contend for a lease, so that of several replicas one works and the others stand by.
    #[arg(
        long,
        env = "SPIDERIQ_LEADER_ELECT",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    leader_elect: bool,
    /// Name of the lease, in the operator's namespace: one for each installation of the chart.
    #[arg(long, env = "SPIDERIQ_LEASE_NAME", default_value = "spideriq-operator", value_name = "NAME")]
    lease_name: ObjectName,
    /// What names this installation where another one may work, too, so that one of them does. Left out, the operator's
    /// namespace and the name of the lease.
    #[arg(long, env = "SPIDERIQ_OPERATOR_ID", value_parser = operator_id, value_name = "ID")]
    operator_id: Option<String>,
    /// Address of the probes and metrics; port 0 takes a free one. [::] is every address of both families.
    #[arg(long, env = "SPIDERIQ_HTTP_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    http_listen: SocketAddr,
    /// Form of the log lines.
    #[arg(long, env = "SPIDERIQ_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
    /// The least serious lines that are shown; RUST_LOG says it for a part of the operator.
    #[arg(long, env = "SPIDERIQ_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    log_level: LogLevel,
}

/// Reads what names an installation: it is shown in statuses and events.
pub(super) fn operator_id(text: &str) -> Result<String, String> {
    let fits = (1..=253).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("1 to 253 visible ASCII characters".to_owned()) }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// For machines: one flat JSON object a line.
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    /// What went wrong for good.
    Error,
    /// And what is tried again, or needs somebody.
    Warn,
    /// And what was done.
    Info,
    /// And why.
    Debug,
    /// And each step.
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Raises the soft limit of open files to the hard one: each watch and each request is a connection.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, limit = limit.current, "the limit of open files cannot be raised");
    }
}

/// Runs the operator until it is told to stop.
pub(super) fn operate(run: Run) -> anyhow::Result<()> {
    let form = match run.log_format {
        LogFormat::Text => logging::Form::Text,
        LogFormat::Json => logging::Form::Json,
    };
    let log = logging::start(form, run.log_level.into());
    raise_open_files();
    let mut given = named(&run.allowed_endpoints);
    if given.is_empty() {
        given.push(DEFAULT_ENDPOINT);
    }
    let allowed_endpoints = given.iter().map(|text| Endpoint::parse(text)).collect::<Result<_, _>>()?;
    let namespaces = names(&run.place.watch_namespaces)?;
    let operator_namespace = run.place.operator_namespace;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace = %operator_namespace, "starting");
    let (namespace, name) = (operator_namespace.to_string(), run.lease_name.to_string());
    let release = Release {
        id: run.operator_id.unwrap_or_else(|| format!("{namespace}/{name}")),
        lease: run.leader_elect.then_some(ClaimLease { namespace, name }),
    };
    let election = run.leader_elect.then(|| Election {
        namespace: operator_namespace.clone(),
        lease: run.lease_name,
        identity: identity(),
    });
    let limits = Limits::new(run.client_requests_per_minute, run.client_submits_per_minute);
    let events = run.allow_events;
    let options = Options { allowed_endpoints, namespaces, limits, events, release, operator_namespace };
    // Two threads are plenty, and a machine of 64 cores must not cost the memory of 64.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.spawn(log.left_out.clone().tell());
    let result = runtime.block_on(crate::app::run(options, listening(run.http_listen), election));
    // A thread that still reads results must not keep the process.
    runtime.shutdown_background();
    result
}

/// A kernel without IPv6 has no `[::]`, but the other family still has all of its addresses.
fn listening(asked: SocketAddr) -> SocketAddr {
    let every = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let missing = || std::net::UdpSocket::bind((every, 0)).is_err();
    if asked.ip() == every && missing() { (Ipv4Addr::UNSPECIFIED, asked.port()).into() } else { asked }
}

/// The host's name, which in a pod is the pod's, and a random word: a process that was restarted is another one.
fn identity() -> String {
    let told = std::env::var("HOSTNAME").or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"));
    let host = told.unwrap_or_default();
    format!("{}_{:016x}", host.trim(), fastrand::u64(..))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};

    use clap::Parser;

    use super::{Run, listening, named, operator_id};

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        run: Run,
    }

    #[test]
    fn lists_mean_what_people_mean() {
        for (written, meant) in [
            ("", &[][..]),
            (" ", &[]),
            (",", &[]),
            ("a,", &["a"]),
            (",a", &["a"]),
            ("a, b", &["a", "b"]),
            ("a,,b", &["a", "b"]),
            ("a,b,a", &["a", "b"]),
            ("a\n", &["a"]),
        ] {
            for (option, of) in [
                ("--watch-namespace", (|run| run.place.watch_namespaces) as fn(Run) -> Vec<String>),
                ("--allowed-endpoint", |run| run.allowed_endpoints),
            ] {
                let read = Alone::try_parse_from(["x", &format!("{option}={written}")]).unwrap();
                assert_eq!(named(&of(read.run)), meant, "{option} {written:?}");
            }
        }
    }

    #[test]
    fn what_becomes_part_of_an_address_is_a_name() {
        for option in ["--operator-namespace", "--lease-name"] {
            for bad in ["?limit=500", "a/b", "..", "%2e", "A", ""] {
                let read = Alone::try_parse_from(["x", &format!("{option}={bad}")]);
                assert!(read.is_err(), "{option} {bad}");
            }
        }
    }

    #[test]
    fn what_names_a_release_can_be_shown() {
        let longest = "x".repeat(253);
        for good in ["a", "team/release-2", longest.as_str()] {
            assert_eq!(operator_id(good).as_deref(), Ok(good));
        }
        let longer = "x".repeat(254);
        for bad in ["", "a b", "a\n", "\u{202e}x", "ä", longer.as_str()] {
            assert!(operator_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_address_is_of_both_families() {
        let listener = TcpListener::bind(listening("[::]:0".parse().unwrap())).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
        let named: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(listening(named), named);
    }
}
