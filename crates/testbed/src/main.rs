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
use clap::{Parser, Subcommand};
use testbed::node::{self, Family, Machine, Node, NodeOptions, Within};
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
        /// Build and offer these programs, too: helm, kstatus, kube-controller-manager, kustomize-controller, argo.
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
        /// Names; left out, all but those of a node and of GitOps.
        tools: Vec<String>,
    },
    /// A real node, with pods that run; needs root.
    #[command(subcommand)]
    Node(NodeCommand),
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

/// What to do with a node.
#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Say what this machine lacks for a node.
    Check,
    /// Run a command in the network of a node; everything ends with the command, and what is left is told.
    Run {
        /// Only IPv6.
        #[arg(long)]
        ipv6: bool,
        /// Archives of images to load.
        #[arg(long, value_delimiter = ',')]
        images: Vec<PathBuf>,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Start a node and leave it running.
    Up {
        /// Only IPv6.
        #[arg(long)]
        ipv6: bool,
    },
    /// Run a command within the node that `up` started: kubectl, helm, ctr.
    Exec {
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Load an image into it.
    Load {
        /// An archive of it.
        archive: PathBuf,
    },
    /// End what `up` started.
    Down,
    /// Become what holds a node.
    #[command(hide = true)]
    Hold { folder: PathBuf, parent: Option<u32> },
    /// Become the first process of a node.
    #[command(hide = true)]
    Inside { folder: PathBuf },
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
        Arguments::Node(command) => in_node(command),
        Arguments::Serve { controller_manager, seconds } => serve(Options { controller_manager }, seconds),
        Arguments::Guard { parent, command } => Err(guard(parent, &command)),
    }
}

/// The programs of these names, of those that there are.
fn named(names: &[String], there: &[Tool]) -> anyhow::Result<Vec<Tool>> {
    let find = |name: &String| {
        let known = there.iter().map(|tool| tool.name()).collect::<Vec<_>>().join(", ");
        there
            .iter()
            .copied()
            .find(|tool| tool.name() == name)
            .with_context(|| format!("no program is called {name}; there are {known}"))
    };
    names.iter().map(find).collect()
}

fn build(names: &[String]) -> anyhow::Result<ExitCode> {
    let tools = Tools::locate()?;
    let all = [&Tool::ALL[..], &Tool::NODE, &Tool::GITOPS].concat();
    let wanted = if names.is_empty() { Tool::ALL.to_vec() } else { named(names, &all)? };
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
    let plane = ControlPlane::with(options, tools, &named(with, &[&Tool::ALL[..], &Tool::GITOPS].concat())?)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(plane.folder().join("bin")).chain(std::env::split_paths(&path));
    let this = std::env::current_exe()?;
    let (program, arguments) = command.split_first().context("nothing to run")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("KUBECONFIG", plane.kubeconfig())
        .env("PATH", std::env::join_paths(folders)?)
        .env("TESTBED_FOLDER", plane.folder())
        .env("TESTBED_PROGRAM", &this);
    let code = to_its_end(&command, &asked)?;
    drop(plane);
    Ok(code)
}

/// Runs a command that dies with this process; a signal to end is passed on.
fn to_its_end(command: &Command, asked: &AtomicBool) -> anyhow::Result<ExitCode> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["guard", &std::process::id().to_string(), "--"])
        .arg(command.get_program())
        .args(command.get_args())
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
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
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

fn in_node(command: NodeCommand) -> anyhow::Result<ExitCode> {
    let family = |ipv6: bool| if ipv6 { Family::V6 } else { Family::V4 };
    match command {
        NodeCommand::Check => node::check()?,
        NodeCommand::Run { ipv6, images, command } => {
            return around_node(&NodeOptions { family: family(ipv6), images }, &command);
        }
        NodeCommand::Up { ipv6 } => {
            if Node::find().is_ok() {
                bail!("one is running already; end it with `testbed node down`");
            }
            // Half of a node would be left by who is told to end meanwhile.
            ignore_signals()?;
            let folder =
                node::start(&NodeOptions { family: family(ipv6), images: Vec::new() }, true)?.leave()?;
            eprintln!("testbed: its logs are in {}; it ends with `testbed node down`", folder.display());
        }
        NodeCommand::Exec { command } => {
            let mut command = Node::find()?.command(Within::All, &command)?;
            return Err(anyhow::Error::new(command.exec()).context("cannot start nsenter"));
        }
        NodeCommand::Load { archive } => {
            Node::find()?.load(&archive)?;
        }
        NodeCommand::Down => Node::down()?,
        NodeCommand::Hold { folder, parent } => return Err(node::hold(&folder, parent)),
        NodeCommand::Inside { folder } => return Err(node::inside(&folder)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command in the network of a node, and says what the node has left behind.
fn around_node(options: &NodeOptions, command: &[OsString]) -> anyhow::Result<ExitCode> {
    let asked = ignore_signals()?;
    let before = Machine::look();
    let begun = now();
    let node = node::start(options, false)?;
    eprintln!("testbed: the node is ready after {:.1} s", begun.elapsed().as_secs_f32());
    let mut command = node.command(Within::Network, command)?;
    let code = to_its_end(command.env("TESTBED_NODE", node.folder()), &asked)?;
    if code != ExitCode::SUCCESS {
        eprintln!("{}testbed: the command failed; above are the last words of the node", node.last_words());
    }
    let name = node.folder().file_name().unwrap_or_default().to_string_lossy().into_owned();
    drop(node);
    let left = Machine::look().more_than(&before, &name);
    if left.is_empty() { Ok(code) } else { bail!("the node has left behind: {}", left.join(", ")) }
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
