//! The control groups of a node: a child of this process's own in each hierarchy, so that nothing else is limited or counted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

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

/// Makes them.
///
/// # Errors
/// If they cannot be made; what was made is removed.
pub(super) fn make(name: &str) -> anyhow::Result<Vec<Group>> {
    let own = fs::read_to_string("/proc/self/cgroup").context("this kernel has no control groups")?;
    let unified = Path::new(ROOT).join("cgroup.controllers").is_file();
    let groups = wanted(&own, unified, name);
    let made = groups.iter().try_for_each(make_one);
    if let Err(error) =
        made.and_then(|()| if groups.is_empty() { bail!("none is mounted at {ROOT}") } else { Ok(()) })
    {
        // What cannot be removed is told by whoever looks for what is left.
        let _ = remove(&groups);
        return Err(error.context("the node has no control groups of its own"));
    }
    Ok(groups)
}

/// Which groups to make, by what `/proc/self/cgroup` says.
fn wanted(own: &str, unified: bool, name: &str) -> Vec<Group> {
    let group = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let hierarchy = Path::new(ROOT).join(controllers.strip_prefix("name=").unwrap_or(controllers));
        // Beside those of version 1 that of version 2 has no controllers.
        let used = controllers.is_empty() == unified && hierarchy.is_dir();
        let folder = hierarchy.join(path.trim_start_matches('/')).join(name);
        used.then(|| Group { controllers: controllers.to_owned(), folder })
    };
    own.lines().filter_map(group).collect()
}

fn make_one(group: &Group) -> anyhow::Result<()> {
    let folder = &group.folder;
    fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let above = folder.parent().context("a group has one above it")?;
    if group.controllers == "cpuset" {
        // Empty, nothing can be put into it.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            fs::write(folder.join(file), fs::read(above.join(file))?)?;
        }
    }
    if group.controllers.is_empty() {
        fs::write(above.join("cgroup.subtree_control"), CONTROLLERS).with_context(|| {
            format!("{} does not pass its controllers on; run this in a group that is a root or has no processes of its own", above.display())
        })?;
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
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.path().is_dir()) {
        remove_below(&entry.path());
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
        assert_eq!(folders(true), ["/sys/fs/cgroup/c/node"]);
        let memory = std::path::Path::new("/sys/fs/cgroup/memory").is_dir();
        let of_one = if memory { vec!["/sys/fs/cgroup/memory/a/b/node".to_owned()] } else { Vec::new() };
        assert_eq!(folders(false), of_one);
        assert_eq!(wanted("no line", true, "node"), []);
    }
}
