//! What a node needs of the machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::groups::{self, PREFIX};

/// The programs that have to be installed, and Debian's package of each.
const INSTALLED: [(&str, &str); 6] = [
    ("runc", "runc"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
];

/// Where programs of root are, which not every PATH has.
const PROGRAMS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Says in a sentence what this machine lacks for a node.
///
/// # Errors
/// That sentence.
pub fn check() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("a node needs root, for namespaces, mounts and control groups of its own; run it as root");
    }
    let found = |name: &str| folders().iter().any(|folder| folder.join(name).is_file());
    let missing: Vec<_> = INSTALLED.iter().filter(|(name, _)| !found(name)).collect();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
        let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
        packages.dedup();
        bail!(
            "a node needs {}; install what is missing, on Debian with `apt-get install --yes {}`",
            names.join(" and "),
            packages.join(" ")
        );
    }
    let groups = groups::of(&format!("{PREFIX}check-{}", std::process::id()))?;
    groups::make(&groups)?;
    groups::remove(&groups);
    Ok(())
}

/// The PATH of this process, and after it the folders of root's programs.
pub(super) fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let own = env::split_paths(&path).filter(|folder| folder.is_absolute());
    own.chain(PROGRAMS.map(PathBuf::from)).collect()
}

/// The same as a PATH, with another folder before it.
///
/// # Errors
/// If the folder cannot be part of one.
pub(super) fn path(first: Option<PathBuf>) -> anyhow::Result<OsString> {
    Ok(env::join_paths(first.into_iter().chain(folders()))?)
}

/// Whether a node does not see a path, because it has its own folder in that place.
pub(super) fn is_hidden(path: &Path) -> bool {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    ["/var/lib", "/var/log", "/run", "/sys", "/proc"].iter().any(|own| path.starts_with(own))
}
