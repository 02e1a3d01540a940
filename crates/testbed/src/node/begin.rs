//! How a node begins: its folder, its groups, what holds it, and its first process.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::bail;
use jiff::Timestamp;
use packaging::arch::Arch;
use packaging::archive;
use packaging::program::PAUSE;
use packaging::root::File;
use packaging::source::Source;
use tempfile::TempDir;

use super::family::Family;
use super::groups::{self, Group, PREFIX};
use super::needs::{check, is_hidden, path};
use super::{LOOK_EVERY, Node, NodeOptions, Owned, Plan, identity, last_words, settings};
use crate::process::die_with;
use crate::{Tool, Tools};

/// How often it is looked for its first process.
const TRIES: u32 = 200;

/// Builds what is missing, starts it, and waits until pods can run. With `stays`, it outlives this process.
///
/// # Errors
/// If something is missing or cannot be started; the message has its last words.
pub fn start(options: &NodeOptions, stays: bool) -> anyhow::Result<Owned> {
    check()?;
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
    command.args(["node", "hold"]).arg(folder.path()).env("PATH", path(None)?);
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

/// Removes what nodes left whose owner was killed: their processes ended with it.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    let kept = Node::find().ok().map(|node| node.folder);
    for folder in entries.flatten().map(|entry| entry.path()) {
        let named = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        let owner = fs::read_to_string(folder.join("owner.pid")).unwrap_or_default();
        let gone = owner.parse::<u32>().is_ok_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
        // Anybody may put a folder there, and all processes of the groups that it names are killed.
        let is_roots = fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir() && found.uid() == 0);
        if named && gone && is_roots && kept.as_ref() != Some(&folder) {
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
