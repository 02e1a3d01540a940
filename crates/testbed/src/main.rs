//! `testbed`: a real control plane around a command, or left running for people.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use testbed::{ControlPlane, Options, Part, Tool, Tools, guard};

/// How long `up` leaves a control plane running.
const UP_FOR: Duration = Duration::from_secs(8 * 3600);

/// A real Kubernetes control plane (etcd and kube-apiserver) for tests, the demo and benchmarks.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
enum Arguments {
    /// Run a command with a control plane around it; everything ends with the command.
    Run {
        /// Run the controller manager, too: garbage collection, namespace deletion.
        #[arg(long)]
        controller_manager: bool,
        /// Build and offer these programs, too: helm, kstatus, kube-controller-manager.
        #[arg(long, value_delimiter = ',')]
        with: Vec<String>,
        /// Take kubectl and helm from the PATH, where they are within one minor version of the pinned ones.
        #[arg(long)]
        installed: bool,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Start a control plane and leave it running for 8 hours.
    Up {
        /// Run the controller manager, too.
        #[arg(long)]
        controller_manager: bool,
    },
    /// End what `up` started.
    Down,
    /// Build programs and print where they are.
    Build {
        /// Names; left out, all of them.
        tools: Vec<String>,
    },
    /// Serve a control plane to the parent process until its input ends.
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        controller_manager: bool,
        /// End after this many seconds instead of with the input.
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// Become a command that dies with its parent.
    #[command(hide = true)]
    Guard {
        parent: u32,
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments {
        Arguments::Run { controller_manager, with, installed, command } => {
            let tools = Tools::locate()?;
            let tools = if installed { tools.or_installed() } else { tools };
            around(Options { controller_manager }, &tools, &with, &command)
        }
        Arguments::Up { controller_manager } => up(controller_manager),
        Arguments::Down => down(),
        Arguments::Build { tools } => build(&tools),
        Arguments::Serve { controller_manager, seconds } => serve(Options { controller_manager }, seconds),
        Arguments::Guard { parent, command } => Err(guard(parent, &command)),
    }
}

fn named(names: &[String]) -> anyhow::Result<Vec<Tool>> {
    let find = |name: &String| {
        let known = Tool::ALL.map(Tool::name).join(", ");
        Tool::ALL
            .into_iter()
            .find(|tool| tool.name() == name)
            .with_context(|| format!("no program is called {name}; there are {known}"))
    };
    names.iter().map(find).collect()
}

fn build(names: &[String]) -> anyhow::Result<ExitCode> {
    let tools = Tools::locate()?;
    let wanted = if names.is_empty() { Tool::ALL.to_vec() } else { named(names)? };
    tools.build(&wanted)?;
    for tool in wanted {
        println!("{}", tools.path(tool).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Signals are passed on to the command by the terminal, or by whoever sent them to the group; here they only must
/// not end this process before its children.
fn ignore_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(asked)
}

fn around(
    options: Options,
    tools: &Tools,
    with: &[String],
    command: &[OsString],
) -> anyhow::Result<ExitCode> {
    let asked = ignore_signals()?;
    let plane = ControlPlane::with(options, tools, &named(with)?)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(plane.folder().join("bin")).chain(std::env::split_paths(&path));
    let this = std::env::current_exe()?;
    let mut child = Command::new(&this)
        .args(["guard", &std::process::id().to_string(), "--"])
        .args(command)
        .env("KUBECONFIG", plane.kubeconfig())
        .env("PATH", std::env::join_paths(folders)?)
        .env("TESTBED_FOLDER", plane.folder())
        .env("TESTBED_PROGRAM", &this)
        .spawn()
        .context("this program cannot be started once more")?;
    let mut told = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if asked.load(Ordering::Relaxed) && !told {
            told = true;
            let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                // It may have ended in between.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    drop(plane);
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// Serves orders from standard input, or waits out its time.
fn serve(options: Options, seconds: Option<u64>) -> anyhow::Result<ExitCode> {
    let asked = ignore_signals()?;
    let mut plane = ControlPlane::start(options)?;
    println!("{}", plane.folder().display());
    std::io::stdout().flush()?;
    if let Some(seconds) = seconds {
        let begun = now();
        while begun.elapsed() < Duration::from_secs(seconds) && !asked.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(200));
        }
        return Ok(ExitCode::SUCCESS);
    }
    for order in std::io::stdin().lock().lines() {
        match obey(&mut plane, order?.trim()) {
            Ok(()) => println!("done"),
            Err(error) => println!("{error:#}"),
        }
        std::io::stdout().flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn obey(plane: &mut ControlPlane, order: &str) -> anyhow::Result<()> {
    let part = |word: &str| match word {
        "Etcd" => Ok(Part::Etcd),
        "ApiServer" => Ok(Part::ApiServer),
        other => bail!("no part is called {other}"),
    };
    match order.split_once(' ') {
        Some(("kill", word)) => plane.kill_part(part(word)?),
        Some(("start", word)) => {
            plane.start_part(part(word)?)?;
            plane.wait_until_ready()?;
        }
        _ => bail!("an order is `kill PART` or `start PART`"),
    }
    Ok(())
}

fn state_file() -> PathBuf {
    std::env::temp_dir().join("spideriq-testbed.up")
}

fn up(controller_manager: bool) -> anyhow::Result<ExitCode> {
    if state_file().exists() {
        bail!("one is running already; end it with `testbed down`");
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--seconds", &UP_FOR.as_secs().to_string()]);
    if controller_manager {
        command.arg("--controller-manager");
    }
    let mut server = command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn()?;
    let mut folder = String::new();
    std::io::BufReader::new(server.stdout.take().context("no output")?).read_line(&mut folder)?;
    let folder = folder.trim();
    if folder.is_empty() {
        bail!("the control plane did not start; its own words are above");
    }
    std::fs::write(state_file(), server.id().to_string())?;
    println!("export KUBECONFIG={folder}/kubeconfig PATH={folder}/bin:$PATH TESTBED_FOLDER={folder}");
    eprintln!("testbed: it ends by itself after 8 hours, or with `testbed down`");
    Ok(ExitCode::SUCCESS)
}

fn down() -> anyhow::Result<ExitCode> {
    let file = state_file();
    let Ok(text) = std::fs::read_to_string(&file) else { bail!("none is running") };
    std::fs::remove_file(&file)?;
    let pid =
        text.trim().parse().ok().and_then(rustix::process::Pid::from_raw).context("the state file is odd")?;
    if rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_err() {
        eprintln!("testbed: it had ended already");
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::disallowed_methods, reason = "a test tool measures real time")]
fn now() -> Instant {
    Instant::now()
}
