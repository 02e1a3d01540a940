//! A real node: a control plane, a kubelet, containerd with runc, and names, in namespaces of their own.
//!
//! Nothing outside its folder changes but one control group a hierarchy, and both go with it.

mod family;
mod groups;
mod identity;
mod inside;
mod left;
mod settings;

pub use family::Family;
pub use left::Machine;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use packaging::arch::Arch;
use packaging::archive;
use packaging::program::PAUSE;
use packaging::root::File;
use packaging::source::Source;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use self::groups::Group;
use crate::process::die_with;
use crate::{Tool, Tools};

/// What the names of all that belongs to a node begin with.
const PREFIX: &str = "spideriq-node-";
/// The file that says that the node is ready.
const READY: &str = "ready";
/// How often it is looked whether it is, and how often in all for its first process.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const TRIES: u32 = 200;
/// How many lines of each log are told where something went wrong.
const LAST_LINES: usize = 15;

/// The programs that have to be installed, and Debian's package of each.
const INSTALLED: [(&str, &str); 6] = [
    ("runc", "runc"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
];

/// What a node is to be.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// Its addresses.
    pub family: Family,
    /// Archives of images to load.
    pub images: Vec<PathBuf>,
}

/// What the first process of a node is told.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    family: Family,
    images: Vec<PathBuf>,
    groups: Vec<Group>,
}

impl Plan {
    fn path(folder: &Path) -> PathBuf {
        folder.join("node.json")
    }

    fn read(folder: &Path) -> anyhow::Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(Self::path(folder))?)?)
    }
}

/// A running node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Node {
    folder: PathBuf,
    groups: Vec<Group>,
    /// The pid of what holds it.
    holder: u32,
    /// That of its first process.
    first: u32,
}

/// A node that ends when this is dropped.
#[derive(Debug)]
pub struct Owned {
    node: Node,
    holder: Option<Child>,
}

/// Which of its namespaces a command is to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Only its network: files and processes are those of the machine.
    Network,
    /// All of them.
    All,
}

impl Node {
    /// Says in a sentence what this machine lacks for a node.
    ///
    /// # Errors
    /// That sentence.
    pub fn check() -> anyhow::Result<()> {
        if !rustix::process::geteuid().is_root() {
            bail!("a node needs root, for namespaces, mounts and control groups of its own; run it as root");
        }
        let path = path();
        let found = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        let missing: Vec<_> = INSTALLED.iter().filter(|(name, _)| !found(name)).collect();
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
            let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
            packages.dedup();
            bail!(
                "a node needs {}; install it, on Debian with `apt-get install --yes {}`",
                names.join(" and "),
                packages.join(" ")
            );
        }
        let groups = groups::of(&format!("{PREFIX}check-{}", std::process::id()))?;
        groups::make(&groups)?;
        groups::remove(&groups);
        Ok(())
    }

    /// Builds what is missing, starts it, and waits until pods can run. With `stays`, it outlives this process.
    ///
    /// # Errors
    /// If something is missing or cannot be started; the message has its last words.
    pub fn start(options: &NodeOptions, stays: bool) -> anyhow::Result<Owned> {
        Self::check()?;
        let tools = Tools::locate()?;
        let named = [std::env::temp_dir(), tools.path(Tool::Kubelet)];
        if let Some(hidden) = named.iter().chain(&options.images).find(|path| is_hidden(path)) {
            bail!(
                "{} cannot be seen within a node, which has its own /var/lib, /var/log and /run; use another folder (TMPDIR, HOME)",
                hidden.display()
            );
        }
        let all = [&Tool::BASE[..], &[Tool::ControllerManager, Tool::Helm], &Tool::NODE].concat();
        tools.build(&all)?;
        sweep();
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        fs::write(folder.path().join("owner.pid"), std::process::id().to_string())?;
        prepare(folder.path(), &tools, &all, options.family)?;
        let name = folder.path().file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        let groups = groups::of(&name)?;
        // Before there is anything: whoever finds the folder knows what belongs to it.
        let plan = Plan { family: options.family, images: options.images.clone(), groups };
        fs::write(Plan::path(folder.path()), serde_json::to_string(&plan)?)?;
        let node = begin(folder, plan.groups, stays)?;
        node.wait_until_ready()?;
        Ok(node)
    }

    /// The admin's kubeconfig, for commands within its network.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// The last words of its programs and pods.
    pub fn last_words(&self) -> String {
        let mut logs = Vec::new();
        logs_in(&self.folder, false, &mut logs);
        logs_in(&self.folder.join("varlog/pods"), true, &mut logs);
        let words = |log: &PathBuf| format!("--- {}\n{}\n", log.display(), tail(log, LAST_LINES).join("\n"));
        logs.iter().map(words).collect()
    }

    /// The folder with the logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command within it, that finds its programs and talks to its API server.
    ///
    /// # Errors
    /// If the PATH or the folder of this process is none.
    pub fn command(&self, within: Within, words: &[impl AsRef<OsStr>]) -> anyhow::Result<Command> {
        let (programs, path) = (self.folder.join("bin"), path());
        let folders = std::iter::once(programs).chain(std::env::split_paths(&path));
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.first.to_string()).arg("--net");
        if within == Within::All {
            command.args(["--mount", "--pid", "--cgroup", "--uts", "--ipc"]);
            // Names of files are from where the command is given.
            command.arg(format!("--wd={}", std::env::current_dir()?.display()));
        }
        command.arg("--").args(words);
        command.env("PATH", std::env::join_paths(folders)?).env("KUBECONFIG", self.kubeconfig());
        Ok(command)
    }

    /// Loads an image from an archive.
    ///
    /// # Errors
    /// If it cannot be loaded.
    pub fn load(&self, archive: &Path) -> anyhow::Result<()> {
        let words = [
            "ctr",
            "--address",
            settings::CONTAINERD,
            "--namespace",
            "k8s.io",
            "images",
            "import",
            "--local",
        ];
        let archive =
            fs::canonicalize(archive).with_context(|| format!("cannot read {}", archive.display()))?;
        let status = self.command(Within::All, &words)?.arg(&archive).stdin(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { bail!("{} was not loaded", archive.display()) }
    }

    fn wait_until_ready(&self) -> anyhow::Result<()> {
        // Its first process gives up by itself.
        while is_of(self.first, &self.folder) {
            if self.folder.join(READY).exists() {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        bail!("the node did not start: {}", last_words(&self.folder))
    }

    fn state() -> PathBuf {
        std::env::temp_dir().join("spideriq-testbed.node")
    }

    /// The one that was left running.
    ///
    /// # Errors
    /// If there is none.
    pub fn find() -> anyhow::Result<Self> {
        let missing = "no node is running; `testbed node up` starts one";
        let state = Self::state();
        // Anybody may put a file there, and all that it names is killed and removed.
        let Ok(found) = fs::metadata(&state) else { bail!(missing) };
        if found.uid() != 0 {
            bail!("{} is not root's; remove it", state.display());
        }
        let node: Self =
            serde_json::from_str(&fs::read_to_string(&state)?).context("the state file is odd")?;
        if !is_of(node.first, &node.folder) || !is_of(node.holder, &node.folder) {
            // It ended by itself, and others may have its pids.
            fs::remove_file(&state)?;
            bail!(missing);
        }
        Ok(node)
    }

    /// Ends the one that was left running.
    ///
    /// # Errors
    /// If there is none.
    pub fn down() -> anyhow::Result<()> {
        let node = Self::find()?;
        fs::remove_file(Self::state())?;
        node.end(None);
        Ok(())
    }

    /// Kills all of it, and removes what it leaves.
    fn end(&self, holder: Option<&mut Child>) {
        for pid in [self.first, self.holder] {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            // It may have ended by itself.
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
        // Who did not start it cannot wait for it; its control groups are empty when it is gone.
        let _ = holder.map(Child::wait);
        for left in groups::remove(&self.groups) {
            eprintln!("testbed: the control group {} is left", left.display());
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("testbed: {} is left: {error}", self.folder.display());
        }
    }
}

impl Owned {
    /// Leaves it running, for another process to find.
    ///
    /// # Errors
    /// If nobody could find it: then it ends.
    pub fn leave(mut self) -> anyhow::Result<PathBuf> {
        fs::write(Node::state(), serde_json::to_string(&self.node)?)?;
        self.holder = None;
        Ok(self.node.folder.clone())
    }
}

impl Deref for Owned {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            self.node.end(Some(holder));
        }
    }
}

/// Becomes what holds a node: the program that makes its namespaces, in its control groups. It returns only on failure.
pub fn hold(folder: &Path, parent: Option<u32>) -> anyhow::Error {
    let entered = || {
        if let Some(parent) = parent {
            die_with(parent)?;
        }
        groups::enter(&Plan::read(folder)?.groups)?;
        let this = std::env::current_exe()?;
        let namespaces = ["--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup"];
        let mut command = Command::new("unshare");
        command.args(namespaces).args(["--fork", "--kill-child", "--mount-proc", "--"]);
        command.arg(this).args(["node", "inside"]).arg(folder);
        Err::<(), _>(anyhow::Error::new(command.exec()).context("cannot start unshare"))
    };
    entered().err().unwrap_or_else(|| anyhow::anyhow!("nothing was started"))
}

/// Becomes the first process of a node. It returns only on failure.
pub fn inside(folder: &Path) -> anyhow::Error {
    inside::run(folder).err().unwrap_or_else(|| anyhow::anyhow!("the node ended"))
}

/// Writes all files and links all programs into the folder.
fn prepare(folder: &Path, tools: &Tools, all: &[Tool], family: Family) -> anyhow::Result<()> {
    let programs = folder.join("bin");
    fs::create_dir_all(&programs)?;
    for tool in all {
        std::os::unix::fs::symlink(tools.path(*tool), programs.join(tool.name()))?;
    }
    identity::write(folder, family)?;
    settings::write(folder, family)?;
    let bytes = fs::read(tools.path(Tool::Pause))?;
    let files = vec![File { path: PAUSE.path.to_owned(), mode: 0o755, bytes }];
    let source = Source { version: "1".to_owned(), revision: String::new(), time: Timestamp::UNIX_EPOCH };
    archive::write(
        &PAUSE,
        &[(Arch::of_this_machine()?, files)],
        &source,
        &folder.join(settings::PAUSE_ARCHIVE),
    )?;
    Ok(())
}

/// Starts what holds it, and finds its first process.
fn begin(folder: TempDir, groups: Vec<Group>, stays: bool) -> anyhow::Result<Owned> {
    let log = fs::File::create(folder.path().join("inside.log"))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["node", "hold"]).arg(folder.path()).env("PATH", path());
    if !stays {
        command.arg(std::process::id().to_string());
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    groups::make(&groups)?;
    let holder = command.spawn().inspect_err(|_| drop(groups::remove(&groups)))?;
    let node = Node { folder: folder.keep(), groups, holder: holder.id(), first: 0 };
    let mut owned = Owned { node, holder: Some(holder) };
    let children = format!("/proc/{0}/task/{0}/children", owned.node.holder);
    for _ in 0..TRIES {
        let pids = fs::read_to_string(&children).unwrap_or_default();
        if let Some(first) = pids.split_whitespace().next().and_then(|pid| pid.parse().ok()) {
            owned.node.first = first;
            groups::leave(&owned.groups, owned.node.holder)?;
            return Ok(owned);
        }
        if owned.holder.as_mut().is_some_and(|holder| !matches!(holder.try_wait(), Ok(None))) {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    bail!("the node did not begin: {}", last_words(&owned.folder))
}

/// Where programs are looked for: also where those of root are, which not every PATH has.
fn path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    path
}

fn last_words(folder: &Path) -> String {
    tail(&folder.join("inside.log"), 5).join(" | ")
}

fn tail(log: &Path, lines: usize) -> Vec<String> {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all.iter().skip(all.len().saturating_sub(lines)).map(|line| (*line).to_owned()).collect()
}

/// The logs in a folder, and, where it is asked for, below it.
fn logs_in(folder: &Path, below: bool, logs: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        if entry.extension().is_some_and(|extension| extension == "log") {
            logs.push(entry);
        } else if below && entry.is_dir() {
            logs_in(&entry, below, logs);
        }
    }
}

/// Whether a process is one of the node in this folder: pids are given anew.
fn is_of(pid: u32, folder: &Path) -> bool {
    let line = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(&*folder.to_string_lossy())
}

/// Whether a node does not see a path, because it has its own folder in that place.
fn is_hidden(path: &Path) -> bool {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    ["/var/lib", "/var/log", "/run", "/sys", "/proc"].iter().any(|own| path.starts_with(own))
}

/// Removes what nodes left whose owner was killed: their processes ended with it.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    let kept = Node::find().ok().map(|node| node.folder);
    for folder in entries.flatten().map(|entry| entry.path()) {
        let named = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        let owner = fs::read_to_string(folder.join("owner.pid")).unwrap_or_default();
        let gone = owner.parse::<u32>().is_ok_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
        if named && gone && kept.as_ref() != Some(&folder) {
            let groups = Plan::read(&folder).map(|plan| plan.groups).unwrap_or_default();
            groups::kill(&groups);
            if !groups::remove(&groups).is_empty() {
                continue;
            }
            // Somebody else may be sweeping, too.
            let _ = fs::remove_dir_all(folder);
        }
    }
}
