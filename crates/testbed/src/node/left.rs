//! What a node may leave behind on the machine, to be looked at before it comes and after it has gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::PREFIX;

/// The mounts and links of the machine, and what of it has the name of a node.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine(BTreeSet<String>);

impl Machine {
    /// As it is now.
    pub fn look() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        let mut found: BTreeSet<String> = mounts.map(|at| format!("mount {at}")).collect();
        found.extend(names(Path::new("/sys/class/net")).map(|name| format!("link {name}")));
        groups(Path::new("/sys/fs/cgroup"), &mut found);
        found.extend(names(Path::new("/proc")).filter_map(|pid| {
            let line = fs::read(Path::new("/proc").join(&pid).join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(PREFIX).then(|| format!("process {pid} {line}"))
        }));
        Self(found)
    }

    /// What is there now and was not before.
    pub fn more_than(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
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
