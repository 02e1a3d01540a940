//! A real node: a control plane, a kubelet, containerd with runc, and names, in namespaces of their own.
//!
//! Nothing outside its folder changes but one control group a hierarchy, and both go with it.

mod begin;
mod family;
mod groups;
mod identity;
mod inside;
mod left;
mod needs;
mod settings;

pub use begin::{hold, start};
pub use family::Family;
pub use left::Machine;
pub use needs::check;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use self::groups::Group;

/// The file that says that the node is ready.
const READY: &str = "ready";
/// How often it is looked whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many lines of each log are told where something went wrong.
const LAST_LINES: usize = 15;

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
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.first.to_string()).arg("--net");
        if within == Within::All {
            command.args(["--mount", "--pid", "--cgroup", "--uts", "--ipc"]);
            // Names of files are from where the command is given.
            command.arg(format!("--wd={}", std::env::current_dir()?.display()));
        }
        command.arg("--").args(words);
        command.env("PATH", needs::path(Some(self.folder.join("bin")))?).env("KUBECONFIG", self.kubeconfig());
        Ok(command)
    }

    /// Loads an image from an archive.
    ///
    /// # Errors
    /// If it cannot be loaded.
    pub fn load(&self, archive: &Path) -> anyhow::Result<()> {
        let words = [&["ctr"], &settings::CTR[..], &settings::IMPORT].concat();
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
        let Ok(found) = fs::symlink_metadata(&state) else { bail!(missing) };
        if found.uid() != 0 || !found.is_file() {
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
        fs::File::create_new(Node::state())?.write_all(serde_json::to_string(&self.node)?.as_bytes())?;
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

/// Becomes the first process of a node. It returns only on failure.
pub fn inside(folder: &Path) -> anyhow::Error {
    inside::run(folder).err().unwrap_or_else(|| anyhow::anyhow!("the node ended"))
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
