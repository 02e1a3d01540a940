//! Which source an image is made of. All times and serial numbers come from it, so that they are the same each time.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use jiff::Timestamp;

use crate::command::printed;

/// The seconds since 1970 of what is built, where there is no Git (<https://reproducible-builds.org/specs/source-date-epoch>).
const EPOCH: &str = "SOURCE_DATE_EPOCH";
/// The commit of what is built, where there is no Git.
const REVISION: &str = "SOURCE_REVISION";

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The version of the workspace.
    pub version: String,
    /// The commit; it ends in `-dirty` where files differ from it.
    pub revision: String,
    /// When it was committed.
    pub time: Timestamp,
}

impl Source {
    /// Of a work tree: as Git has it, or as the environment says.
    ///
    /// # Errors
    /// If neither says it.
    pub fn of(tree: &Path) -> anyhow::Result<Self> {
        let said = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let git = |arguments: &[&str]| -> anyhow::Result<String> {
            let text =
                printed(Command::new("git").arg("-C").arg(tree).args(arguments)).with_context(|| {
                    format!("cannot tell the commit; build in a Git clone, or set {EPOCH} and {REVISION}")
                })?;
            Ok(text.trim().to_owned())
        };
        let revision = if let Some(revision) = said(REVISION) {
            revision
        } else {
            let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
            git(&["rev-parse", "HEAD"])? + if changed { "-dirty" } else { "" }
        };
        let seconds = match said(EPOCH) {
            Some(seconds) => seconds,
            None => git(&["log", "-1", "--format=%ct"])?,
        };
        let time = seconds
            .parse()
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .with_context(|| format!("{EPOCH} has to be seconds since 1970, and is '{seconds}'"))?;
        Ok(Self { version: env!("CARGO_PKG_VERSION").to_owned(), revision, time })
    }

    /// When it was committed, in seconds since 1970.
    pub fn seconds(&self) -> u64 {
        u64::try_from(self.time.as_second()).unwrap_or(0)
    }
}
