//! The first process of a node: it mounts, joins and starts everything, and then waits for processes that nobody else does.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::WaitOptions;

use super::family::Family;
use super::groups::Group;
use super::identity::NODE;
use super::settings::Program;
use super::{Plan, READY, settings};
use crate::Tool;

/// How often, and how often in all, a program is asked whether it works.
const ASK_EVERY: Duration = Duration::from_millis(100);
const TRIES: u32 = 600;

/// What the kubelet wants of the whole machine. It is shown these values, and nothing is changed.
const WANTED: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Becomes the first process of the node in this folder; it returns only where the node cannot be started.
///
/// # Errors
/// Why not.
pub(super) fn run(folder: &Path) -> anyhow::Result<()> {
    let plan = Plan::read(folder)?;
    mount_all(folder, &plan.groups).context("mounts")?;
    join_network(plan.family).context("network")?;
    let mut programs = Programs { folder, running: Vec::new() };
    let [first, then] = settings::programs(folder, plan.family);
    programs.start(first)?;
    programs.wait_for("containerd", || ctr(folder, &["version"]))?;
    for image in [&folder.join(settings::PAUSE_ARCHIVE)].into_iter().chain(&plan.images) {
        load(folder, image)?;
    }
    programs.wait_for("the API server", || kubectl(folder, &["get", "--raw", "/readyz"]).map(drop))?;
    kubectl(folder, &["apply", "--filename", &folder.join("names.yaml").display().to_string()])?;
    programs.start(then)?;
    programs.wait_for("the node", || is_ready(folder))?;
    fs::write(folder.join(READY), "")?;
    loop {
        // What has no parent left is this process's child.
        if rustix::process::wait(WaitOptions::empty()).is_err() {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// A program that does its work at once.
fn done(program: &str, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<()> {
    said(program, arguments).map(drop)
}

/// The same, and what it prints.
fn said(program: &str, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
    bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim())
}

fn ctr(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let program = folder.join("bin/ctr").display().to_string();
    done(&program, &[&settings::CTR, arguments].concat())
}

/// Loads an image from an archive.
fn load(folder: &Path, archive: &Path) -> anyhow::Result<()> {
    ctr(folder, &[&settings::IMPORT[..], &[&archive.display().to_string()]].concat())
}

fn kubectl(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let (program, config) = (folder.join("bin/kubectl"), folder.join("admin.kubeconfig"));
    let config = format!("--kubeconfig={}", config.display());
    said(&program.display().to_string(), &[&[config.as_str()], arguments].concat())
}

/// Whether the node is ready, and pods need not wait for it any more.
fn is_ready(folder: &Path) -> anyhow::Result<()> {
    let how = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status} {.spec.taints[*].key}";
    let said = kubectl(folder, &["get", "node", NODE, "--output", how])?;
    if said.trim() == "True" { Ok(()) } else { bail!("the node is Ready={said}") }
}

fn mount_all(folder: &Path, groups: &[Group]) -> anyhow::Result<()> {
    done("umount", &["--recursive", "/sys"])?;
    done("mount", &["-t", "sysfs", "sysfs", "/sys"])?;
    mount_groups(groups)?;
    done("mount", &["--make-rshared", "/"])?;
    for (own, shown) in [("varlib", "/var/lib"), ("varlog", "/var/log")] {
        fs::create_dir_all(folder.join(own))?;
        done("mount", &[OsStr::new("--bind"), folder.join(own).as_os_str(), OsStr::new(shown)])?;
    }
    for below in ["varlib/kubelet", "varlib/containerd", "varlib/cni", "varlog/pods", "varlog/containers"] {
        fs::create_dir_all(folder.join(below))?;
    }
    done("mount", &["-t", "tmpfs", "-o", "mode=755", "run", "/run"])?;
    let shown = folder.join("shown");
    fs::create_dir_all(&shown)?;
    for (name, value) in WANTED {
        let (file, setting) = (shown.join(name.replace('/', "_")), Path::new("/proc/sys").join(name));
        fs::write(&file, value)?;
        done("mount", &[OsStr::new("--bind"), OsStr::new("-oro"), file.as_os_str(), setting.as_os_str()])?;
    }
    Ok(())
}

/// The hierarchies of control groups as the node sees them: its own group is the root of each.
fn mount_groups(groups: &[Group]) -> anyhow::Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    if groups.iter().any(|group| group.controllers.is_empty()) {
        done("mount", &["-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"])?;
        // Only a group without processes of its own passes controllers on.
        fs::create_dir(root.join("init"))?;
        let inside = fs::read_to_string(root.join("cgroup.procs"))?;
        // What holds the node is outside of its pids, and moved out by who began it.
        for pid in inside.lines().filter(|pid| *pid != "0") {
            fs::write(root.join("init/cgroup.procs"), pid)?;
        }
        return Ok(());
    }
    done("mount", &["-t", "tmpfs", "-o", "mode=755", "cgroup-root", "/sys/fs/cgroup"])?;
    for Group { controllers, .. } in groups {
        let named = controllers.strip_prefix("name=");
        let folder = root.join(named.unwrap_or(controllers));
        fs::create_dir(&folder)?;
        let options = if named.is_some() { format!("none,{controllers}") } else { controllers.clone() };
        done("mount", &["-t", "cgroup", "-o", &options, "cgroup", &folder.display().to_string()])?;
    }
    Ok(())
}

/// The node's own network: a bridge that has its address, and a way to the Services, from which they are found.
fn join_network(family: Family) -> anyhow::Result<()> {
    let address = format!("{}/{}", family.node(), family.node_bits());
    done("ip", &["link", "set", "lo", "up"])?;
    done("ip", &["link", "add", "node0", "type", "bridge"])?;
    let no_question: &[&str] = if family == Family::V6 { &["nodad"] } else { &[] };
    done("ip", &[&["address", "add", address.as_str(), "dev", "node0"], no_question].concat())?;
    done("ip", &["link", "set", "node0", "up"])?;
    done("ip", &["route", "add", family.services(), "dev", "node0"])?;
    for (name, value) in family.kernel() {
        fs::write(Path::new("/proc/sys").join(name), value).with_context(|| format!("cannot set {name}"))?;
    }
    Ok(())
}

/// The programs that run until the node ends.
struct Programs<'a> {
    folder: &'a Path,
    running: Vec<(Tool, Child)>,
}

impl Programs<'_> {
    fn start(&mut self, programs: Vec<Program>) -> anyhow::Result<()> {
        // Only here: containerd and the kubelet look for their helpers there.
        let mut path = self.folder.join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        for (tool, arguments) in programs {
            let log = File::create(self.folder.join(format!("{}.log", tool.name())))?;
            let child = Command::new(self.folder.join("bin").join(tool.name()))
                .args(arguments)
                .env("PATH", &path)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()
                .with_context(|| format!("cannot start {}", tool.name()))?;
            fs::write(self.folder.join(format!("{}.pid", tool.name())), child.id().to_string())?;
            self.running.push((tool, child));
        }
        Ok(())
    }

    /// Asks until the answer is yes.
    ///
    /// # Errors
    /// If a program ends, or the answer stays no.
    fn wait_for(&mut self, what: &str, ask: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut answer = Ok(());
        for _ in 0..TRIES {
            for (tool, child) in &mut self.running {
                if let Some(status) = child.try_wait()? {
                    bail!("{} ended ({status}): {}", tool.name(), last_words(self.folder, *tool));
                }
            }
            answer = ask();
            if answer.is_ok() {
                return Ok(());
            }
            std::thread::sleep(ASK_EVERY);
        }
        answer.with_context(|| format!("{what} does not work after a minute"))
    }
}

fn last_words(folder: &Path, tool: Tool) -> String {
    let text = fs::read_to_string(folder.join(format!("{}.log", tool.name()))).unwrap_or_default();
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    last.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
