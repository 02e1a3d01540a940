//! The control groups of a node: a child of this process's own in each hierarchy, so that nothing else is limited or counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// What the names of all that belongs to a node begin with.
pub(super) const PREFIX: &str = "spideriq-node-";
/// Where hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// What the kubelet needs of the one hierarchy of version 2.
const CONTROLLERS: &str = "+cpu +cpuset +io +memory +pids";
/// How often, and how often in all, it is tried to remove them: processes that were killed take a moment to go.
const TRY_EVERY: Duration = Duration::from_millis(50);
const TRIES: u32 = 200;

/// A node's group in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Group {
    /// The controllers of the hierarchy as `/proc/self/cgroup` names them; empty for that of version 2.
    pub(super) controllers: String,
    /// Its folder.
    pub(super) folder: PathBuf,
}

/// Which groups a node of this name has.
///
/// # Errors
/// If this kernel has none.
pub(super) fn of(name: &str) -> anyhow::Result<Vec<Group>> {
    let own = fs::read_to_string("/proc/self/cgroup").context("this kernel has no control groups")?;
    let groups = wanted(&own, Path::new(ROOT).join("cgroup.controllers").is_file(), name);
    if groups.is_empty() {
        bail!("no control groups are mounted at {ROOT}");
    }
    Ok(groups)
}

/// Makes them.
///
/// # Errors
/// If they cannot be made; what was made is removed.
pub(super) fn make(groups: &[Group]) -> anyhow::Result<()> {
    let made = groups.iter().try_for_each(make_one);
    if made.is_err() {
        // What cannot be removed is told by whoever looks for what is left.
        let _ = remove(groups);
    }
    made.context("the node has no control groups of its own")
}

/// Which groups there are to be, by what `/proc/self/cgroup` says. In version 2 a group with processes passes no
/// controllers on, and ours has this one: only the root does.
fn wanted(own: &str, unified: bool, name: &str) -> Vec<Group> {
    if unified {
        return vec![Group { controllers: String::new(), folder: Path::new(ROOT).join(name) }];
    }
    let group = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let hierarchy = Path::new(ROOT).join(controllers.strip_prefix("name=").unwrap_or(controllers));
        // Beside those of version 1 that of version 2 has no controllers.
        let used = !controllers.is_empty() && hierarchy.is_dir();
        let folder = hierarchy.join(path.trim_start_matches('/')).join(name);
        used.then(|| Group { controllers: controllers.to_owned(), folder })
    };
    own.lines().filter_map(group).collect()
}

fn make_one(group: &Group) -> anyhow::Result<()> {
    let folder = &group.folder;
    let above = folder.parent().context("a group has one above it")?;
    if group.controllers.is_empty() {
        fs::write(above.join("cgroup.subtree_control"), CONTROLLERS).with_context(|| {
            format!("{} does not pass its controllers on; run this outside of a container", above.display())
        })?;
    }
    fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    if group.controllers == "cpuset" {
        // Empty, nothing can be put into it.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            fs::write(folder.join(file), fs::read(above.join(file))?)?;
        }
    }
    Ok(())
}

/// Takes what holds a node out of its group of version 2: the node's root may have no process of its own. Its children stay.
///
/// # Errors
/// If it cannot be moved.
pub(super) fn leave(groups: &[Group], holder: u32) -> anyhow::Result<()> {
    for group in groups.iter().filter(|group| group.controllers.is_empty()) {
        let above = group.folder.with_file_name("cgroup.procs");
        fs::write(&above, holder.to_string()).with_context(|| format!("cannot write {}", above.display()))?;
    }
    Ok(())
}

/// Puts this process into them.
///
/// # Errors
/// If it cannot be put there.
pub(super) fn enter(groups: &[Group]) -> anyhow::Result<()> {
    for group in groups {
        fs::write(group.folder.join("cgroup.procs"), std::process::id().to_string())
            .with_context(|| format!("cannot enter {}", group.folder.display()))?;
    }
    Ok(())
}

/// Kills all that is in them.
pub(super) fn kill(groups: &[Group]) {
    for group in groups {
        kill_below(&group.folder);
    }
}

fn kill_below(folder: &Path) {
    for below in folders(folder) {
        kill_below(&below);
    }
    let pids = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for pid in pids.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    below.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Removes them with all that is below; says what is left after a while.
pub(super) fn remove(groups: &[Group]) -> Vec<PathBuf> {
    for _ in 0..TRIES {
        for group in groups {
            remove_below(&group.folder);
        }
        if groups.iter().all(|group| !group.folder.exists()) {
            break;
        }
        std::thread::sleep(TRY_EVERY);
    }
    groups.iter().map(|group| group.folder.clone()).filter(|folder| folder.exists()).collect()
}

fn remove_below(folder: &Path) {
    for below in folders(folder) {
        remove_below(&below);
    }
    // One that is still used is tried again.
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn a_hierarchy_that_is_not_mounted_and_the_other_version_are_left_out() {
        let own = "3:memory:/a/b\n2:nobody-has-this:/\n1:name=nor-this:/\n0::/c\n";
        let folders = |unified| {
            let groups = wanted(own, unified, "node");
            groups.into_iter().map(|group| group.folder.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(folders(true), ["/sys/fs/cgroup/node"]);
        let memory = std::path::Path::new("/sys/fs/cgroup/memory").is_dir();
        let of_one = if memory { vec!["/sys/fs/cgroup/memory/a/b/node".to_owned()] } else { Vec::new() };
        assert_eq!(folders(false), of_one);
        assert_eq!(wanted("no line", false, "node"), []);
    }
}
