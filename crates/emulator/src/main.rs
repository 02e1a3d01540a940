//! The emulator as a program.

use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use emulator::rules::{Limits, Rules};
use emulator::{Config, DEMO_TOKEN, Emulator, Tls};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// The SpiderIQ service on loopback, for tests and demos. Nothing it does costs money.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Where to listen; port 0 takes a free one, told on the first line of standard output.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// A token to know: `cli_x:sk_y:secret_z` or `spideriq_pat_<agent>_<secret>[=client_id]`. Repeatable.
    #[arg(long = "token")]
    tokens: Vec<String>,
    /// Job seconds per real second, at least 1. Scales job times and the 24-hour window, not the rate limits.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// A file of rules, JSON or YAML.
    #[arg(long)]
    rules: Option<PathBuf>,
    /// Makes job ids and drawn times repeatable.
    #[arg(long)]
    seed: Option<u64>,
    /// Both clocks start at this time (RFC 3339) instead of now.
    #[arg(long)]
    epoch: Option<jiff::Timestamp>,
    /// Turns off the rate limits, whatever the rules say.
    #[arg(long)]
    no_limits: bool,
    /// Requests per minute and client, instead of 100.
    #[arg(long)]
    requests_per_minute: Option<u32>,
    /// Submits per minute and client, instead of 10.
    #[arg(long)]
    submits_per_minute: Option<u32>,
    /// Most entries that the journal keeps; the oldest are dropped and counted.
    #[arg(long, default_value_t = 200_000)]
    journal_cap: usize,
    /// A certificate in PEM: serves HTTPS instead of HTTP.
    #[arg(long, requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its key.
    #[arg(long, requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Ends when standard input is closed, so that its life is tied to whoever holds the other end.
    #[arg(long)]
    until_stdin_closes: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let until_stdin_closes = flags.until_stdin_closes;
    let demo = flags.tokens.is_empty();
    // Before the first line is printed: whoever reads it may send a signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = Emulator::start(flags.into_config()?).await?;
    let mut out = stdout();
    writeln!(out, "listening on {}", running.base_url())?;
    if demo {
        writeln!(out, "token: {DEMO_TOKEN}")?;
    }
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stdin_closed(), if until_stdin_closes => {}
    }
    running.stop().await;
    // A read of standard input cannot be cancelled and would keep the runtime alive.
    std::process::exit(0);
}

impl Flags {
    fn into_config(self) -> anyhow::Result<Config> {
        let mut rules = match &self.rules {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
                Rules::parse(&text).with_context(|| path.display().to_string())?
            }
            None => Rules::default(),
        };
        if self.requests_per_minute.is_some() || self.submits_per_minute.is_some() {
            let limits = rules.limits.get_or_insert_with(Limits::default);
            limits.requests.per_minute = self.requests_per_minute.unwrap_or(limits.requests.per_minute);
            limits.submits.per_minute = self.submits_per_minute.unwrap_or(limits.submits.per_minute);
            limits.submits.burst = self.submits_per_minute.unwrap_or(limits.submits.burst);
        }
        if !self.listen.ip().is_loopback() {
            eprintln!("warning: the admin routes have no authentication and {} is not loopback", self.listen);
        }
        Ok(Config {
            listen: self.listen,
            tokens: self.tokens,
            speed: self.speed,
            rules,
            seed: self.seed,
            epoch: self.epoch,
            no_limits: self.no_limits,
            journal_cap: self.journal_cap,
            tls: self.tls_certificate.zip(self.tls_key).map(|(certificate, key)| Tls { certificate, key }),
        })
    }
}

/// Returns when standard input ends; what comes before is not read for meaning.
async fn stdin_closed() {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0; 256];
    while stdin.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}
