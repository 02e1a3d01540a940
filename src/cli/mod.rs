//! The command line: arguments in, exit code out.

mod place;
mod run;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::place::{Place, names};
use self::run::{Run, operate, operator_id};
use crate::api::{DEFAULT_ENDPOINT, ObjectName, ScrapeJob, crds, to_yaml};
use crate::clock::Clock;
use crate::doctor::{self, Finding};
use crate::drain::{self, How};
use crate::kubernetes::{self, News};
use crate::offline::{self, Facts};
use crate::spideriq::{Client, Credentials, Endpoint, Format};
use crate::telemetry::Metrics;

/// Makes a SpiderIQ scraping job a Kubernetes resource.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    Run(Run),
    /// Print the CRDs, ready for kubectl apply.
    Crds,
    /// Say what the operator would do with a job in a situation, and why; offline.
    Plan(Plan),
    /// Say whether an installation can work, and what to do where it cannot; with the rights of whoever asks.
    Doctor(Doctor),
    /// Stop the operator's work and remove its finalizer from all ScrapeJobs, before it is uninstalled. No job is cancelled; to
    /// cancel jobs, delete their objects first.
    Drain(Drain),
    /// Ask the service itself about a job; the token comes from the environment variable SPIDERIQ_TOKEN.
    Job(Job),
}

#[derive(Debug, clap::Args)]
struct Plan {
    /// The ScrapeJob, as written or as kubectl get --output yaml shows it.
    #[arg(short, long, value_name = "FILE")]
    filename: PathBuf,
    /// What else is known: now, and where it matters account, watched, memory and outcome; docs/plan.md lists every key.
    #[arg(long, value_name = "FILE")]
    facts: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Doctor {
    #[command(flatten)]
    place: Place,
    /// Name of the lease, in the operator's namespace; nothing where there is no election.
    #[arg(long, env = "SPIDERIQ_LEASE_NAME", value_name = "NAME")]
    lease_name: Option<ObjectName>,
}

#[derive(Debug, clap::Args)]
struct Drain {
    #[command(flatten)]
    place: Place,
    /// Name of the lease, in the operator's namespace.
    #[arg(long, env = "SPIDERIQ_LEASE_NAME", default_value = "spideriq-operator", value_name = "NAME")]
    lease_name: ObjectName,
    /// What names this installation, if `run` was given it: objects that another one wrote last are left to that. Left out,
    /// the operator's namespace and the name of the lease.
    #[arg(long, env = "SPIDERIQ_OPERATOR_ID", value_parser = operator_id, value_name = "ID")]
    operator_id: Option<String>,
    /// Take the mark off the lease, so that one of the replicas works again.
    #[arg(long, conflicts_with_all = ["for_uninstall", "stopped"])]
    undo: bool,
    /// Let the mark count for the ServiceAccount alone that this command runs as, so that a new installation works. It is for
    /// the chart's hook, which runs as the operator's.
    #[arg(long, conflicts_with = "stopped")]
    for_uninstall: bool,
    /// The operator does not run any more: mark no lease, and do not wait. The other options still say which it was.
    #[arg(long)]
    stopped: bool,
}

#[derive(Debug, clap::Args)]
struct Job {
    /// The job's id at the service, as in .status.jobID.
    id: String,
    /// Form of the answer.
    #[arg(long, default_value = "md", value_name = "FORMAT")]
    format: StatusFormat,
    /// Base address of the service.
    #[arg(long, env = "SPIDERIQ_ENDPOINT", default_value = DEFAULT_ENDPOINT, value_name = "URL")]
    endpoint: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatusFormat {
    /// For machines.
    Json,
    /// With times and counts that JSON lacks.
    Yaml,
    /// For people.
    Md,
}

/// Where `job` finds the token: arguments would show it to every user of the machine.
const TOKEN: &str = "SPIDERIQ_TOKEN";

/// Runs the command that the arguments name.
///
/// # Errors
/// One sentence that says what to do.
pub fn run() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Crds => print_crds(),
        Command::Run(run) => operate(run),
        Command::Plan(plan) => show_plan(&plan),
        Command::Doctor(doctor) => examine(doctor),
        Command::Drain(drain) => let_go_of_all(drain),
        Command::Job(job) => show_job(&job),
    }
}

fn print_crds() -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    for crd in crds()? {
        writeln!(out, "---\n{}", to_yaml(&crd)?.trim_end())?;
    }
    Ok(())
}

fn show_plan(plan: &Plan) -> anyhow::Result<()> {
    use std::io::Write;
    let job = read(&plan.filename)?;
    if let Some(kind) = job.get("kind").filter(|kind| *kind != "ScrapeJob") {
        bail!("{} holds the kind {kind}; write one ScrapeJob into it", plan.filename.display());
    }
    let job: ScrapeJob = typed(&plan.filename, job)?;
    let facts: Facts = typed(&plan.facts, read(&plan.facts)?)?;
    let planned = serde_saphyr::to_string(&offline::plan(&job, &facts))?;
    writeln!(std::io::stdout().lock(), "{}", planned.trim_end())?;
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    offline::manifest(&text)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("{} is not one object in YAML", file.display()))
}

fn typed<T: DeserializeOwned>(file: &Path, value: Value) -> anyhow::Result<T> {
    serde_path_to_error::deserialize(value)
        .with_context(|| format!("{} is not what is expected", file.display()))
}

fn show_job(job: &Job) -> anyhow::Result<()> {
    use std::io::Write;
    let token = std::env::var(TOKEN).with_context(|| format!("set {TOKEN} to the account's token"))?;
    let (endpoint, credentials) = (Endpoint::parse(&job.endpoint)?, Credentials::new(&token)?);
    let client = Client::new(endpoint, credentials, Clock::system(), Metrics::default())?;
    let format = match job.format {
        StatusFormat::Json => Format::Json,
        StatusFormat::Yaml => Format::Yaml,
        StatusFormat::Md => Format::Markdown,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(client.status_text(&job.id, format)).result?;
    writeln!(std::io::stdout().lock(), "{}", status.trim_end())?;
    Ok(())
}

fn examine(doctor: Doctor) -> anyhow::Result<()> {
    use std::io::Write;
    let installation = doctor::Installation {
        namespaces: names(&doctor.place.watch_namespaces)?,
        home: doctor.place.operator_namespace,
        lease: doctor.lease_name,
    };
    let clock = Clock::system();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (count, wrong) = runtime.block_on(async {
        let client = kubernetes::connect(&News::new(clock.clone()), &Metrics::default()).await?;
        let mut findings = doctor::examine(&client, &installation, clock.now());
        let (mut count, mut wrong) = (0_usize, 0_usize);
        while let Some(finding) = findings.next().await {
            writeln!(std::io::stdout().lock(), "{finding}")?;
            count += 1;
            wrong += usize::from(matches!(finding, Finding::Wrong(_)));
        }
        anyhow::Ok((count, wrong))
    })?;
    if wrong > 0 {
        bail!("the operator cannot work: {wrong} of {count} findings above say what to do");
    }
    Ok(())
}

fn let_go_of_all(drain: Drain) -> anyhow::Result<()> {
    use std::io::Write;
    let (home, lease) = (drain.place.operator_namespace, drain.lease_name);
    let id = drain.operator_id.unwrap_or_else(|| format!("{home}/{lease}"));
    let namespaces = names(&drain.place.watch_namespaces)?;
    let installation = drain::Installation { namespaces, home, lease, id };
    let how = match (drain.for_uninstall, drain.stopped) {
        (true, _) => How::ForUninstall,
        (false, true) => How::Stopped,
        (false, false) => How::Running,
    };
    // Who breaks off the reading of what is told does not break off the rest.
    let tell = |words: String| drop(writeln!(std::io::stdout().lock(), "{words}"));
    let clock = Clock::system();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = kubernetes::connect(&News::new(clock.clone()), &Metrics::default()).await?;
        if drain.undo {
            tell(drain::undo((client, clock), &installation).await?.to_owned());
            return Ok(());
        }
        drain::drain((client, clock), &installation, how, tell).await
    })
}
