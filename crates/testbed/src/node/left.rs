//! What a node may leave behind on the machine, to be looked at before it comes and after it has gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::groups::PREFIX;

/// Where programs of a node would leave something, if they were let.
const FOLDERS: [&str; 2] = ["/opt", "/usr/libexec"];
/// The links of a node, and what its mounts are below.
const LINKS: [&str; 2] = ["node0", "cni0"];
const MOUNTS: [&str; 3] = ["/run/containerd", "/var/lib/kubelet", "/run/netns"];

/// What is there of the kinds that a node makes.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine(BTreeSet<String>);

impl Machine {
    /// As it is now.
    pub fn look() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let is_ours = |at: &&str| at.contains(PREFIX) || MOUNTS.iter().any(|below| at.starts_with(below));
        let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(is_ours);
        let mut found: BTreeSet<String> = mounts.map(|at| format!("mount {at}")).collect();
        let links = names(Path::new("/sys/class/net")).filter(|name| LINKS.contains(&name.as_str()));
        found.extend(links.map(|name| format!("link {name}")));
        for folder in FOLDERS {
            found.extend(names(Path::new(folder)).map(|name| format!("folder {folder}/{name}")));
        }
        groups(Path::new("/sys/fs/cgroup"), &mut found);
        found.extend(names(Path::new("/proc")).filter_map(|pid| {
            let line = fs::read(Path::new("/proc").join(&pid).join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(PREFIX).then(|| format!("process {pid} {line}"))
        }));
        Self(found)
    }

    /// What is there now and was not before, but for what names another node than this.
    pub fn more_than(&self, before: &Self, node: &str) -> Vec<String> {
        let of_another = |found: &&String| found.contains(PREFIX) && !found.contains(node);
        self.0.difference(&before.0).filter(|found| !of_another(found)).cloned().collect()
    }
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

fn groups(folder: &Path, found: &mut BTreeSet<String>) {
    for name in names(folder) {
        let below = folder.join(&name);
        // A link to a hierarchy that is there by its own name.
        if below.is_symlink() || !below.is_dir() {
            continue;
        }
        if name.starts_with(PREFIX) {
            found.insert(format!("control group {}", below.display()));
        }
        groups(&below, found);
    }
}
